package tableauapi

// This file reads what Tableau says about a session and about itself.

import "errors"

// A CurrentSession is the answer to GET sessions/current. It holds no token.
type CurrentSession struct {
	SiteID, SiteName, ContentURL string
	UserID, UserName             string
}

// DecodeCurrentSession reads the answer to GET sessions/current, in XML or
// JSON, of at most 64 KiB. The IDs of the site and of the user must be there.
func DecodeCurrentSession(body []byte) (CurrentSession, error) {
	root, err := decode(body, "tsResponse", responseNamespaces)
	if err != nil {
		return CurrentSession{}, inContext("answer about the session", err)
	}
	r := reader{}
	session := r.object(root, "session")
	site, user := r.object(session, "site"), r.object(session, "user")
	answer := CurrentSession{
		SiteID:     r.text(site, "id"),
		SiteName:   r.text(site, "name"),
		ContentURL: r.text(site, "contentUrl"),
		UserID:     r.text(user, "id"),
		UserName:   r.text(user, "name"),
	}
	if session == nil {
		r.fail(errors.New("there is no session in it"))
	}
	r.luid("site", answer.SiteID)
	r.luid("user", answer.UserID)
	if r.err != nil {
		return CurrentSession{}, inContext("answer about the session", r.err)
	}
	return answer, nil
}

// A ServerInfo is the answer to GET serverinfo, which needs no session.
type ServerInfo struct {
	ProductVersion string // such as "2025.3.0", or "" if not told
	Build          string // such as "20253.25.1113.1234", or "" if not told
	RESTAPIVersion string // the newest that the server speaks, such as "3.27"
}

// DecodeServerInfo reads the answer to GET serverinfo, in XML or JSON, of at
// most 64 KiB. The version of the REST API must be there.
func DecodeServerInfo(body []byte) (ServerInfo, error) {
	root, err := decode(body, "tsResponse", responseNamespaces)
	if err != nil {
		return ServerInfo{}, inContext("server info", err)
	}
	r := reader{}
	info := r.object(root, "serverInfo")
	product := r.member(info, "productVersion")
	answer := ServerInfo{
		ProductVersion: r.content(product, "productVersion"),
		RESTAPIVersion: r.text(info, "restApiVersion"),
	}
	if product != nil && product.kind == kindObject {
		answer.Build = r.text(product, "build")
	}
	if !isVersion(answer.RESTAPIVersion) {
		r.fail(errors.New("there is no version of the REST API in it, such as 3.27"))
	}
	if r.err != nil {
		return ServerInfo{}, inContext("server info", r.err)
	}
	return answer, nil
}

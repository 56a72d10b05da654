// This file serves the calls about sessions: sign-out, switchSite, the
// current session, and serverinfo.

package tableautest

import (
	"encoding/xml"
	"net/http"
	"strings"
)

// noContent is the answer of calls that give nothing back.
var noContent = answer{status: http.StatusNoContent}

func ok(nodes ...*node) (answer, *apiError) { return answer{status: http.StatusOK, nodes: nodes}, nil }

func (x *exchange) signOut() (answer, *apiError) {
	if !x.t.sessions.end(x.session, EndSignOut) {
		return answer{}, invalidToken("the session ended a moment ago")
	}
	return noContent, nil
}

// switchPayload is the wire form of switchSite.
type switchPayload struct {
	XMLName xml.Name `xml:"tsRequest" json:"-"`
	Site    *struct {
		ContentURL string `xml:"contentUrl,attr" json:"contentUrl"`
	} `xml:"site" json:"site"`
}

func (x *exchange) switchSite() (answer, *apiError) {
	if x.session.kind.jwt() && x.t.opts.Undocumented.RefuseJWTSwitchSite {
		return answer{}, invalidToken("switchSite accepts no session from a JWT")
	}
	var p switchPayload
	if err := x.readPayload(&p); err != nil {
		return answer{}, err
	}
	if p.Site == nil {
		return answer{}, badRequest(detailMalformed).because("no site element")
	}
	if strings.EqualFold(p.Site.ContentURL, x.session.site) {
		return answer{}, fail(codeAlreadyOnSite, summarySwitchRefused, "The user is already signed in to that site.")
	}
	return x.switchTo(p.Site.ContentURL)
}

func (x *exchange) switchTo(contentURL string) (answer, *apiError) {
	refused := fail(codeSwitchFailed, summarySwitchRefused, "Unable to switch to the site.")
	site, ok := x.t.accounts.site(contentURL)
	if !ok {
		return answer{}, refused.because("no site has the content URL %q", contentURL)
	}
	if _, ok := x.t.accounts.user(site.ContentURL, x.session.user); !ok {
		return answer{}, refused.because("the user does not belong to the site")
	}
	old := x.session
	if !x.t.sessions.end(old, EndSwitchSite) {
		return answer{}, invalidToken("the session ended a moment ago")
	}
	x.session = &session{
		site: site.ContentURL, user: old.user, kind: old.kind, scopes: old.scopes,
		credential: old.credential, clientID: old.clientID, claims: old.claims,
	}
	x.t.begin(x.session)
	return x.credentials(), nil
}

func (x *exchange) currentSession() (answer, *apiError) {
	return ok(el("session").add(
		el("site", at("id", SiteLUID(x.site.ContentURL)), at("name", x.site.Name), at("contentUrl", x.site.ContentURL)),
		el("user", at("id", UserLUID(x.site.ContentURL, x.user.Name)), at("name", x.user.Name),
			at("siteRole", x.user.SiteRole))))
}

// deleteSession ends a session by its public ID: one's own, or any as a
// server administrator.
func (x *exchange) deleteSession() (answer, *apiError) {
	id := x.params["session"]
	mine := func(s *session) bool {
		return s.id == id && (x.user.ServerAdmin || s.user == x.user.Name)
	}
	if x.t.sessions.endWhere(EndDeleted, mine) == 0 {
		return answer{}, notFound(codeObjectNotFound, "Session")
	}
	return noContent, nil
}

// revokeAdminPATs revokes the PATs of all server administrators.
func (x *exchange) revokeAdminPATs() (answer, *apiError) {
	r := x.t.accounts
	var names []string
	r.mu.Lock()
	for name, p := range r.pats {
		if u := r.byName[p.User]; u != nil && u.ServerAdmin {
			names = append(names, name)
		}
	}
	r.mu.Unlock()
	for _, name := range names {
		_ = x.t.RevokePAT(name) // it was there a moment ago
	}
	return noContent, nil
}

var versionServerInfo = apiVersion{2, 4}

func (x *exchange) serverInfo() (answer, *apiError) {
	if x.version.less(versionServerInfo) {
		return answer{}, fail(codePathNotFound, summaryNotFound, "The path is not known.")
	}
	version := x.t.opts.ProductVersion
	return ok(el("serverInfo").add(
		leaf("productVersion", version, at("build", version+".1")),
		leaf("restApiVersion", x.t.opts.RESTVersion)))
}

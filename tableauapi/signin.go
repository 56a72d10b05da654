package tableauapi

// This file holds the answer to a sign-in and to a switch of sites.

import (
	"errors"
	"strings"
)

// maxToken is the longest session token that is believed, in bytes. Today's
// have fewer than a hundred.
const maxToken = 4096

// A SignInAnswer is what Tableau gives for good credentials.
type SignInAnswer struct {
	Token      Secret
	SiteID     string // LUID
	ContentURL string // of the site; "" is the Default site
	UserID     string // LUID
	// EstimatedTimeToExpiration is days:hours:minutes, or "". After a sign-in
	// with a personal access token it tells that token's life, not the
	// session's.
	EstimatedTimeToExpiration string
}

// DecodeSignInAnswer reads the answer to a sign-in or to switchSite, in XML or
// JSON, of at most 64 KiB. Token, site and user must be there and look like
// what they are: the token goes into a header, the IDs into paths.
func DecodeSignInAnswer(body []byte) (SignInAnswer, error) {
	root, err := decode(body, "tsResponse", responseNamespaces)
	if err != nil {
		return SignInAnswer{}, inContext("sign-in answer", err)
	}
	r := reader{}
	credentials := r.object(root, "credentials")
	site, user := r.object(credentials, "site"), r.object(credentials, "user")
	answer := SignInAnswer{
		Token:                     NewSecret(r.text(credentials, "token")),
		SiteID:                    r.text(site, "id"),
		ContentURL:                r.text(site, "contentUrl"),
		UserID:                    r.text(user, "id"),
		EstimatedTimeToExpiration: r.text(credentials, "estimatedTimeToExpiration"),
	}
	if credentials == nil {
		r.fail(errors.New("there are no credentials in it"))
	}
	r.token(answer.Token)
	r.luid("site", answer.SiteID)
	r.luid("user", answer.UserID)
	if r.err != nil {
		return SignInAnswer{}, inContext("sign-in answer", r.err)
	}
	return answer, nil
}

// token notes what is wrong with a session token.
func (r *reader) token(token Secret) {
	v := token.Reveal()
	switch {
	case v == "":
		r.fail(errors.New("the token is missing"))
	case len(v) > maxToken:
		r.fail(errors.New("the token is longer than 4096 bytes"))
	case strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		r.fail(errors.New("the token holds characters that no token has"))
	}
}

// luid notes what is wrong with the ID of a site or a user.
func (r *reader) luid(what, id string) {
	switch {
	case id == "":
		r.fail(errors.New("the ID of the " + what + " is missing"))
	case !IsLUID(id):
		r.fail(errors.New("the ID of the " + what + " is no LUID"))
	}
}

// Encode returns the body in Tableau's shape, with an XML declaration: the
// Tableau Server Client looks for the namespace only behind one.
func (a SignInAnswer) Encode(f Format) []byte {
	if f == JSON {
		return encodeJSON(jsonAnswer{jsonAnswerCredentials{
			Site:  jsonSite{ID: a.SiteID, ContentURL: a.ContentURL},
			User:  jsonUser{ID: a.UserID},
			Token: a.Token.Reveal(),
			Left:  a.EstimatedTimeToExpiration,
		}})
	}
	attrs := []string{"token", a.Token.Reveal()}
	if a.EstimatedTimeToExpiration != "" {
		attrs = append(attrs, "estimatedTimeToExpiration", a.EstimatedTimeToExpiration)
	}
	var w xmlWriter
	w.open("tsResponse", "xmlns", namespace)
	w.open("credentials", attrs...)
	w.empty("site", "id", a.SiteID, "contentUrl", a.ContentURL)
	w.empty("user", "id", a.UserID)
	w.shut("credentials")
	w.shut("tsResponse")
	return w.document()
}

type jsonAnswer struct {
	Credentials jsonAnswerCredentials `json:"credentials"`
}

type jsonAnswerCredentials struct {
	Site  jsonSite `json:"site"`
	User  jsonUser `json:"user"`
	Token string   `json:"token"`
	Left  string   `json:"estimatedTimeToExpiration,omitempty"`
}

type jsonSite struct {
	ID         string `json:"id,omitempty"`
	ContentURL string `json:"contentUrl"`
}

type jsonUser struct {
	ID string `json:"id"`
}

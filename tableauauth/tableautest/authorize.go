// This file decides whether a session may call an operation.

package tableautest

import (
	"slices"
	"strings"
)

// lookUpSession finds the live session of a request without using it, so
// that faults can be matched by user.
func (x *exchange) lookUpSession() {
	if x.op != nil && x.op.Unauthenticated {
		return
	}
	if token, ok := x.presentedToken(); ok {
		x.session = x.t.sessions.peek(token, x.t.now())
	}
}

// presentedToken is the one token that the request brings.
func (x *exchange) presentedToken() (string, bool) {
	values := x.r.Header.Values(headerAuth)
	if len(values) == 1 {
		return values[0], true
	}
	if len(values) == 0 && x.t.opts.AcceptCookie {
		if cookie, err := x.r.Cookie(sessionCookie); err == nil {
			return cookie.Value, true
		}
	}
	return "", false
}

// authenticate checks session, scopes, role and site, in this order.
func (x *exchange) authenticate() *apiError {
	x.session = nil
	if n := len(x.r.Header.Values(headerAuth)); n > 1 {
		return badRequest("More than one X-Tableau-Auth header.")
	}
	token, ok := x.presentedToken()
	if !ok {
		return fail(codeNoCredentials, summaryUnauthorized, detailNoCredentials)
	}
	s, timedOut := x.t.sessions.use(token, x.t.now())
	if timedOut {
		return fail(x.t.opts.Undocumented.ExpiredCode, summaryUnauthorized, detailInvalidToken).because("the session has timed out")
	}
	if s == nil {
		return invalidToken("no live session has this token")
	}
	x.session = s
	return x.authorize()
}

func (x *exchange) authorize() *apiError {
	s := x.session
	var ok bool
	if x.site, ok = x.t.accounts.site(s.site); !ok {
		return invalidToken("the session's site is gone")
	}
	if x.user, ok = x.t.accounts.user(s.site, s.user); !ok {
		return invalidToken("the session's user is gone")
	}
	if err := x.checkScopes(); err != nil {
		return err
	}
	if x.op.Admin && !x.user.ServerAdmin {
		return forbidden("only for server administrators")
	}
	return x.checkSite()
}

// checkScopes limits sessions from a JWT. Tableau's answer to a scope that is
// missing is the same as to a dead session.
func (x *exchange) checkScopes() *apiError {
	if !x.session.kind.jwt() {
		return nil
	}
	if !x.op.AcceptsJWT {
		return invalidToken("the method accepts no session from a JWT")
	}
	for _, needed := range x.op.Scopes {
		if !x.t.covers(x.session.scopes, needed) {
			return invalidToken("scope %s is missing", needed)
		}
	}
	return nil
}

// covers tells whether scopes include the one needed, as itself or by the
// wildcard of its resource.
func (t *Tableau) covers(scopes []string, needed string) bool {
	if t.opts.Undocumented.AllWildcard && slices.Contains(scopes, "tableau:*:*") {
		return true
	}
	if needed == scopeVDS && t.opts.Undocumented.ContentReadForVDS && slices.Contains(scopes, scopeContent) {
		return true
	}
	wildcard := needed[:strings.LastIndexByte(needed, ':')] + ":*"
	return slices.Contains(scopes, needed) || slices.Contains(scopes, wildcard)
}

// checkSite compares the path's site with the session's. Query Site may also
// name a site by content URL.
func (x *exchange) checkSite() *apiError {
	luid, ok := x.params["site"]
	if !ok || luid == SiteLUID(x.session.site) {
		return nil
	}
	if x.op.Name == "query_site" && x.r.URL.Query().Get("key") == "contentUrl" && strings.EqualFold(luid, x.session.site) {
		return nil
	}
	if _, known := x.t.accounts.siteByLUID(luid); !known {
		return notFound(codeSiteNotFound, "Site")
	}
	return fail(x.t.opts.Undocumented.ForeignSiteCode, summaryForbidden, "The site in the path is not the session's.")
}

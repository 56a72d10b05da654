// This file signs people in, whatever the kind of credential.

package tableautest

import (
	"crypto/subtle"
	"fmt"
	"time"
)

// signInRequest is the body of a sign-in, read from XML or JSON.
type signInRequest struct {
	name, password     string
	patName, patSecret string
	jwt                string
	isUAT              bool
	contentURL         string
	userID             string
}

// The API versions that brought the kinds of sign-in.
var (
	versionPAT = apiVersion{3, 6}
	versionJWT = apiVersion{3, 16}
	versionUAT = apiVersion{3, 27}
)

func (r signInRequest) minVersion() apiVersion {
	switch {
	case r.jwt != "" && r.isUAT:
		return versionUAT
	case r.jwt != "":
		return versionJWT
	case r.patName != "":
		return versionPAT
	}
	return apiVersion{}
}

func (x *exchange) signIn() (answer, *apiError) {
	defer x.t.countSignIn()()
	req, err := x.readSignIn()
	if err != nil {
		return answer{}, err
	}
	site, ok := x.t.accounts.site(req.contentURL)
	if !ok {
		return answer{}, refuseSignIn(0, "no site has the content URL %q", req.contentURL)
	}
	x.entry.Site = site.ContentURL
	s, err := x.verifyCredentials(req, site)
	if err != nil {
		return answer{}, err
	}
	x.t.begin(s)
	x.session = s
	return x.credentials(), nil
}

// countSignIn counts a sign-in in flight until the returned function is called.
func (t *Tableau) countSignIn() func() {
	n := t.signingIn.Add(1)
	for peak := t.signInPeak.Load(); n > peak && !t.signInPeak.CompareAndSwap(peak, n); peak = t.signInPeak.Load() {
	}
	return func() { t.signingIn.Add(-1) }
}

// verifyCredentials finds the kind and checks it. The kinds exclude each other.
func (x *exchange) verifyCredentials(req signInRequest, site Site) (*session, *apiError) {
	kinds := 0
	for _, given := range []bool{req.jwt != "", req.patName != "" || req.patSecret != "", req.name != "" || req.password != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, badRequest("Exactly one kind of credential is needed.")
	}
	if x.t.opts.Undocumented.OldVersionsRefuse && x.version.less(req.minVersion()) {
		return nil, refuseSignIn(0, "the API version is older than this kind of credential")
	}
	switch {
	case req.jwt != "":
		return x.signInByJWT(req, site)
	case req.patName != "":
		return x.signInByPAT(req, site)
	default:
		return x.signInByPassword(req, site)
	}
}

func (x *exchange) signInByPassword(req signInRequest, site Site) (*session, *apiError) {
	x.entry.Kind = KindPassword
	if x.t.opts.Cloud {
		return nil, refuseSignIn(0, "Tableau Cloud demands multi-factor authentication; passwords are not accepted")
	}
	user, ok := x.t.accounts.userFold(site.ContentURL, req.name)
	if !ok {
		return nil, refuseSignIn(0, "no such user")
	}
	x.entry.User = user.Name
	if reason := x.t.accounts.checkPassword(user, req.password, x.t.opts.LockoutAfter); reason != "" {
		return nil, refuseSignIn(0, "%s", reason)
	}
	s := &session{site: site.ContentURL, user: user.Name, kind: KindPassword}
	return s, x.impersonate(s, user, req.userID)
}

// checkPassword returns why a password is refused, or "". Too many wrong
// ones in a row lock the account.
func (r *registry) checkPassword(user User, password string, lockoutAfter int) (reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if lockoutAfter > 0 && r.failures[user.Name] >= lockoutAfter {
		return "the account is locked after too many wrong passwords"
	}
	if user.Password == "" || !sameSecret(user.Password, password) {
		r.failures[user.Name]++
		return "wrong password"
	}
	delete(r.failures, user.Name)
	return ""
}

func sameSecret(want Secret, got string) bool {
	return subtle.ConstantTimeCompare([]byte(want.Reveal()), []byte(got)) == 1
}

func (x *exchange) signInByPAT(req signInRequest, site Site) (*session, *apiError) {
	x.entry.Kind = KindPAT
	pat, reason := x.t.accounts.usePAT(req.patName, req.patSecret, x.t.now())
	if reason != "" {
		return nil, refuseSignIn(0, "%s", reason)
	}
	x.entry.User = pat.User
	user, ok := x.t.accounts.user(site.ContentURL, pat.User)
	if !ok {
		return nil, refuseSignIn(0, "the PAT's owner is not a user of the site")
	}
	s := &session{site: site.ContentURL, user: user.Name, kind: KindPAT, credential: pat.Name}
	if !x.t.opts.PATImpersonation && req.userID != "" {
		return nil, refuseSignIn(0, "impersonation with a PAT is not enabled")
	}
	return s, x.impersonate(s, user, req.userID)
}

// usePAT checks a PAT and notes its use.
func (r *registry) usePAT(name, secret string, now time.Time) (PAT, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pats[name]
	switch {
	case p == nil || !sameSecret(p.Secret, secret):
		return PAT{}, "wrong PAT name or secret"
	case p.revoked:
		return PAT{}, "the PAT is revoked"
	case !now.Before(p.Expires):
		return PAT{}, "the PAT has expired"
	case now.Sub(p.lastUsed) > p.IdleLimit:
		return PAT{}, "the PAT has not been used for too long"
	}
	p.lastUsed = now
	return p.PAT, ""
}

// impersonate makes the session that of another user. Only server
// administrators may, and not on Tableau Cloud.
func (x *exchange) impersonate(s *session, by User, userID string) *apiError {
	if userID == "" {
		return nil
	}
	if x.t.opts.Cloud {
		return refuseSignIn(0, "Tableau Cloud knows no impersonation")
	}
	if !by.ServerAdmin {
		return refuseSignIn(0, "only server administrators may impersonate")
	}
	target, ok := x.t.accounts.userByLUID(s.site, userID)
	if !ok {
		return refuseSignIn(0, "no user of the site has the ID to impersonate")
	}
	s.user = target.Name
	return nil
}

// credentials is the answer of sign-in and switchSite.
func (x *exchange) credentials() answer {
	s := x.session
	siteURL, userName := x.effects.foreign(s.site, s.user)
	attrs := []attr{at("token", s.token)}
	if estimate := x.estimate(); estimate != "" {
		attrs = append(attrs, at("estimatedTimeToExpiration", estimate))
	}
	n := el("credentials", attrs...).add(
		el("site", at("id", SiteLUID(siteURL)), at("contentUrl", siteURL)),
		el("user", at("id", UserLUID(siteURL, userName))))
	return answer{status: 200, nodes: []*node{n}}
}

// estimate is days:hours:minutes. For a PAT it is the PAT's own life.
func (x *exchange) estimate() string {
	var left time.Duration
	switch {
	case x.session.kind == KindPAT:
		left = x.t.accounts.patExpiry(x.session.credential).Sub(x.t.now())
	case x.t.opts.Undocumented.EstimateForAll:
		left = x.t.opts.IdleLimit
	default:
		return ""
	}
	minutes := int(left.Minutes())
	return fmt.Sprintf("%d:%02d:%02d", minutes/(24*60), minutes/60%24, minutes%60)
}

func (r *registry) patExpiry(name string) time.Time {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p := r.pats[name]; p != nil {
		return p.Expires
	}
	return time.Time{}
}

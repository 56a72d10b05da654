// This file reads JWTs, and checks those of Connected Apps with direct trust.

package tableautest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// jwtCheck is one JWT on its way to a session.
type jwtCheck struct {
	x      *exchange
	raw    string
	site   Site
	token  *jwt.Token // parsed, verified only after verify
	claims jwt.MapClaims
	kid    string
	iss    string
}

// signInByJWT finds out which kind of JWT it is, checks it and makes the
// session. Symmetric signatures are for direct trust, others for an issuer.
func (x *exchange) signInByJWT(req signInRequest, site Site) (*session, *apiError) {
	x.t.vault.keepJWT(req.jwt)
	c, err := x.parseJWT(req.jwt, site)
	if err != nil {
		return nil, err
	}
	var s *session
	switch {
	case req.isUAT:
		s, err = c.unifiedAccess()
	case strings.HasPrefix(c.token.Method.Alg(), "HS"):
		s, err = c.directTrust()
	default:
		s, err = c.oauthTrust()
	}
	if err != nil {
		return nil, err
	}
	if req.userID != "" && x.t.opts.Undocumented.RefuseJWTUserID {
		return nil, refuseSignIn(0, "a JWT sign-in may not name a user ID")
	}
	return s, nil
}

// parseJWT reads a JWT without trusting it, and describes it in the journal.
func (x *exchange) parseJWT(raw string, site Site) (*jwtCheck, *apiError) {
	claims := jwt.MapClaims{}
	token, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(raw, claims)
	if err != nil {
		if errors.Is(err, jwt.ErrTokenUnverifiable) {
			return nil, refuseSignIn(subBlockedAlgorithm, "the JWT's alg is missing or unknown")
		}
		return nil, refuseSignIn(subJWTParseError, "not a JWT: %v", err)
	}
	c := &jwtCheck{x: x, raw: raw, site: site, token: token, claims: claims}
	c.kid, _ = token.Header["kid"].(string)
	c.iss, _ = claims["iss"].(string)
	x.entry.JWT = c.describe()
	if typ, given := token.Header["typ"]; given && typ != "JWT" {
		return nil, refuseSignIn(subJWTParseError, "typ is not JWT")
	}
	return c, nil
}

func (c *jwtCheck) describe() *JWTInfo {
	info := &JWTInfo{Alg: c.token.Method.Alg(), KeyID: c.kid, Issuer: c.iss}
	info.Subject, _ = c.claims["sub"].(string)
	info.JTI, _ = c.claims["jti"].(string)
	info.Claims = c.extraClaims()
	if aud, err := json.Marshal(c.claims["aud"]); err == nil {
		info.Audience = string(aud)
	}
	info.IssuedAt, _ = c.time("iat")
	info.NotBefore, _ = c.time("nbf")
	info.ExpireAt, _ = c.time("exp")
	return info
}

// time reads a numeric date; ok tells that the claim is there and a number.
func (c *jwtCheck) time(claim string) (t time.Time, ok bool) {
	seconds, ok := c.claims[claim].(float64)
	if !ok || seconds < 0 || seconds > 1e11 {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(seconds * 1e6)), true
}

// directTrust checks a JWT that a Connected App's secret signed.
func (c *jwtCheck) directTrust() (*session, *apiError) {
	c.x.entry.Kind = KindDirectTrust
	if alg := c.token.Method.Alg(); alg != "HS256" {
		return nil, refuseSignIn(subBlockedAlgorithm, "alg %s is not HS256", alg)
	}
	app, secret, err := c.appSecret()
	if err != nil {
		return nil, err
	}
	if err := c.verify("HS256", []byte(secret.Value.Reveal())); err != nil {
		return nil, err
	}
	if aud, ok := c.claims["aud"].(string); !ok || aud != "tableau" {
		return nil, refuseSignIn(subJWTParseError, `aud is not the string "tableau"`)
	}
	s, err := c.session(KindDirectTrust, "sub")
	if err != nil {
		return nil, err
	}
	s.credential, s.clientID = secret.ID, app.ClientID
	s.scopes, err = c.limitScopes(s.scopes, app.Scopes, c.x.t.opts.Undocumented.AppScopes)
	return s, err
}

// appSecret finds the app by iss and its secret by kid.
func (c *jwtCheck) appSecret() (ConnectedApp, AppSecret, *apiError) {
	none := func(e *apiError) (ConnectedApp, AppSecret, *apiError) { return ConnectedApp{}, AppSecret{}, e }
	if c.kid == "" || c.iss == "" {
		return none(refuseSignIn(subBadJWT, "kid in the header or iss in the claims is missing"))
	}
	if iss, given := c.token.Header["iss"]; given && iss != c.iss {
		return none(refuseSignIn(subBadJWT, "iss in the header differs from iss in the claims"))
	}
	app, ok := c.x.t.accounts.app(c.iss)
	switch {
	case !ok:
		return none(refuseSignIn(subAppNotFound, "no connected app has the client ID %q", c.iss))
	case app.Disabled:
		return none(refuseSignIn(subAppNotFound, "the connected app is disabled"))
	case !strings.EqualFold(app.Site, c.site.ContentURL):
		return none(refuseSignIn(subAppNotFound, "the connected app belongs to another site"))
	}
	for _, secret := range app.Secrets {
		if secret.ID == c.kid {
			return app, secret, nil
		}
	}
	return none(refuseSignIn(subSecretNotFound, "the connected app has no secret %q", c.kid))
}

// app returns a copy of a Connected App.
func (r *registry) app(clientID string) (ConnectedApp, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	app := r.apps[clientID]
	if app == nil {
		return ConnectedApp{}, false
	}
	copied := *app
	copied.Secrets = slices.Clone(app.Secrets)
	return copied, true
}

// verify checks the signature with one algorithm and one key.
func (c *jwtCheck) verify(alg string, key any) *apiError {
	parser := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{alg}), jwt.WithStrictDecoding())
	_, err := parser.Parse(c.raw, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		return refuseSignIn(c.x.t.opts.Undocumented.SubCodes.BadSignature, "the signature is wrong")
	}
	return nil
}

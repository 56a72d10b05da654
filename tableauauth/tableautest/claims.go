// This file checks the claims that all kinds of JWT have in common.

package tableautest

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxJWTLife is how far ahead exp may lie.
const maxJWTLife = 10 * time.Minute

// session checks what all kinds have in common, and makes the session of the
// user whom the claim names.
func (c *jwtCheck) session(kind Kind, userClaim string) (*session, *apiError) {
	name, _ := c.claims[userClaim].(string)
	if name == "" {
		return nil, refuseSignIn(subJWTParseError, "%s is missing", userClaim)
	}
	if err := c.checkTimes(); err != nil {
		return nil, err
	}
	scopes, err := c.scopes(kind)
	if err != nil {
		return nil, err
	}
	if err := c.checkJTI(); err != nil {
		return nil, err
	}
	if _, claimed := c.claims["https://tableau.com/oda"]; claimed && !c.x.t.opts.OnDemandAccess {
		return nil, refuseSignIn(subFeatureOff, "on-demand access is not licensed")
	}
	user, ok := c.x.t.accounts.user(c.site.ContentURL, name)
	if !ok {
		return nil, refuseSignIn(c.x.t.opts.Undocumented.SubCodes.UnknownUser, "no user of the site has this name exactly")
	}
	c.x.entry.User = user.Name
	return &session{
		site: c.site.ContentURL, user: user.Name, kind: kind, credential: c.kid,
		scopes: scopes, claims: c.extraClaims(),
	}, nil
}

// checkTimes checks exp, nbf and iat against the server's clock.
func (c *jwtCheck) checkTimes() *apiError {
	now, skew := c.x.t.clock(), c.x.t.opts.ClockSkew
	codes := c.x.t.opts.Undocumented.SubCodes
	exp, ok := c.time("exp")
	switch {
	case !ok:
		return refuseSignIn(subJWTParseError, "exp is missing or not a number")
	case !exp.Add(skew).After(now):
		return refuseSignIn(codes.Expired, "exp is in the past")
	case exp.Sub(now) > maxJWTLife+skew:
		return refuseSignIn(subLoginFailed, "exp is more than 10 minutes ahead")
	}
	for _, claim := range []string{"nbf", "iat"} {
		if _, given := c.claims[claim]; !given {
			continue
		}
		at, ok := c.time(claim)
		if !ok {
			return refuseSignIn(subJWTParseError, "%s is not a number", claim)
		}
		if at.After(now.Add(skew)) {
			return refuseSignIn(codes.NotYetValid, "%s is in the future", claim)
		}
	}
	return nil
}

// checkJTI lets every JWT ID pass once.
func (c *jwtCheck) checkJTI() *apiError {
	jti, _ := c.claims["jti"].(string)
	if jti == "" {
		return refuseSignIn(c.x.t.opts.Undocumented.SubCodes.MissingJTI, "jti is missing")
	}
	exp, _ := c.time("exp")
	if !c.x.t.jtis.first(c.iss+"\x00"+jti, exp.Add(c.x.t.opts.ClockSkew), c.x.t.clock()) {
		return refuseSignIn(subJTIUsed, "jti was used before")
	}
	return nil
}

// scopePattern is what a scope looks like.
var scopePattern = regexp.MustCompile(`^tableau:([a-z][a-z0-9_]*|\*):([a-z][a-z0-9_]*|\*)$`)

// scopes reads scp, which must be a list of at least one scope. Unified
// access tokens may name it scope, and may write it as one string.
func (c *jwtCheck) scopes(kind Kind) ([]string, *apiError) {
	claim, given := c.claims["scp"]
	if !given && kind == KindUnifiedAccess {
		claim = c.claims["scope"]
		if text, ok := claim.(string); ok {
			claim = toAny(strings.Fields(text))
		}
	}
	list, _ := claim.([]any)
	if len(list) == 0 {
		return nil, refuseSignIn(subScopesMissing, "scp is not a list of at least one scope")
	}
	var scopes []string
	for _, item := range list {
		scope, _ := item.(string)
		if !scopePattern.MatchString(scope) {
			return nil, refuseSignIn(subScopesMissing, "scp holds something that is no scope")
		}
		if !slices.Contains(c.x.t.opts.UnsupportedScopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

func toAny(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// limitScopes applies the scope list of a credential's configuration.
func (c *jwtCheck) limitScopes(asked, limit []string, how AppScopes) ([]string, *apiError) {
	if len(limit) == 0 || how == AppScopesIgnored {
		return asked, nil
	}
	var granted []string
	for _, scope := range asked {
		if c.x.t.covers(limit, scope) {
			granted = append(granted, scope)
		}
	}
	if how == AppScopesRefuse && len(granted) < len(asked) {
		return nil, refuseSignIn(subScopesMissing, "scp asks for more than the connected app has")
	}
	return granted, nil
}

var registeredClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scp", "scope"}

// extraClaims are those that JWTs in general do not have.
func (c *jwtCheck) extraClaims() map[string]any {
	extra := map[string]any{}
	for name, value := range c.claims {
		if !slices.Contains(registeredClaims, name) {
			extra[name] = value
		}
	}
	return extra
}

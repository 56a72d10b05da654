// This file checks JWTs that an issuer signed: OAuth 2.0 trust and unified
// access tokens.

package tableautest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"slices"
	"strings"
)

// minRSABits is the smallest RSA key that Tableau accepts.
const minRSABits = 2048

// oauthTrust checks a JWT of a registered authorization server.
func (c *jwtCheck) oauthTrust() (*session, *apiError) {
	c.x.entry.Kind = KindOAuthTrust
	alg := c.token.Method.Alg()
	if alg != "RS256" && alg != "ES256" {
		return nil, refuseSignIn(subBlockedAlgorithm, "alg %s is neither RS256 nor ES256", alg)
	}
	if c.kid == "" || c.iss == "" {
		return nil, refuseSignIn(subBadJWT, "kid in the header or iss in the claims is missing")
	}
	server, err := c.authorizationServer()
	if err != nil {
		return nil, err
	}
	key, err := c.x.t.issuerKey(c.x.r.Context(), server.Issuer, server.JWKSURI, c.kid)
	if err != nil {
		return nil, err
	}
	if err := c.verifyWith(key); err != nil {
		return nil, err
	}
	if aud, _ := c.claims["aud"].(string); aud != server.audience() {
		return nil, refuseSignIn(subJWTParseError, "aud is not the string %q", server.audience())
	}
	return c.session(KindOAuthTrust, "sub")
}

// authorizationServer finds the registration of the JWT's issuer.
func (c *jwtCheck) authorizationServer() (AuthorizationServer, *apiError) {
	c.x.t.accounts.mu.RLock()
	server, ok := c.x.t.accounts.issuers[c.iss]
	c.x.t.accounts.mu.RUnlock()
	switch {
	case !ok:
		return server, refuseSignIn(subIssuerNotFound, "the issuer %q is not registered", c.iss)
	case server.Disabled:
		return server, refuseSignIn(subIssuerDisabled, "the issuer is disabled")
	case server.ServerWide && c.x.t.opts.Cloud:
		return server, refuseSignIn(subIssuerNotFound, "Tableau Cloud knows no issuer for all sites")
	case !server.ServerWide && !strings.EqualFold(server.Site, c.site.ContentURL):
		return server, refuseSignIn(subIssuerNotFound, "the issuer is registered for another site")
	}
	return server, nil
}

func (s AuthorizationServer) audience() string {
	if s.ServerWide {
		return "tableau"
	}
	return "tableau:" + SiteLUID(s.Site)
}

// verifyWith checks that the key suits the algorithm, then the signature.
func (c *jwtCheck) verifyWith(key crypto.PublicKey) *apiError {
	alg := c.token.Method.Alg()
	switch k := key.(type) {
	case *rsa.PublicKey:
		if alg != "RS256" {
			return refuseSignIn(subNoKeys, "the key is for RS256, the JWT says %s", alg)
		}
		if k.N.BitLen() < minRSABits {
			return refuseSignIn(subRSAKeySize, "the RSA key has %d bits", k.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if alg != "ES256" {
			return refuseSignIn(subNoKeys, "the key is for ES256, the JWT says %s", alg)
		}
	default:
		return refuseSignIn(subNoKeys, "the key is of an unknown type")
	}
	return c.verify(alg, key)
}

// unifiedAccess checks a unified access token.
func (c *jwtCheck) unifiedAccess() (*session, *apiError) {
	c.x.entry.Kind = KindUnifiedAccess
	if !c.x.t.opts.Cloud {
		return nil, refuseSignIn(subFeatureOff, "only Tableau Cloud accepts unified access tokens")
	}
	if alg := c.token.Method.Alg(); alg != "RS256" {
		return nil, refuseSignIn(subBlockedAlgorithm, "alg %s is not RS256", alg)
	}
	config, err := c.unifiedConfig()
	if err != nil {
		return nil, err
	}
	key := config.Key
	if config.JWKSURI != "" {
		if c.kid == "" {
			return nil, refuseSignIn(subBadJWT, "kid is missing")
		}
		if key, err = c.x.t.issuerKey(c.x.r.Context(), config.Issuer, config.JWKSURI, c.kid); err != nil {
			return nil, err
		}
	}
	if err := c.verifyWith(key); err != nil {
		return nil, err
	}
	return c.unifiedSession(config)
}

func (c *jwtCheck) unifiedConfig() (UnifiedAccess, *apiError) {
	if c.iss == "" {
		return UnifiedAccess{}, refuseSignIn(subBadJWT, "iss is missing")
	}
	c.x.t.accounts.mu.RLock()
	config, ok := c.x.t.accounts.unified[c.iss]
	c.x.t.accounts.mu.RUnlock()
	switch {
	case !ok:
		return config, refuseSignIn(subIssuerNotFound, "no unified access configuration has the issuer %q", c.iss)
	case config.Disabled:
		return config, refuseSignIn(subIssuerDisabled, "the unified access configuration is disabled")
	}
	setDefault(&config.UsernameClaim, "email")
	return config, nil
}

// unifiedSession checks the claims that only unified access tokens have.
func (c *jwtCheck) unifiedSession(config UnifiedAccess) (*session, *apiError) {
	tenant, hasTenant := c.claims["https://tableau.com/tenantId"].(string)
	site, hasSite := c.claims["https://tableau.com/siteId"].(string)
	switch {
	case !hasTenant && !hasSite:
		return nil, refuseSignIn(subJWTParseError, "neither a tenant ID nor a site ID is claimed")
	case hasTenant && tenant != config.TenantID:
		return nil, refuseSignIn(subJWTParseError, "the tenant ID is another one")
	case hasSite && site != SiteLUID(c.site.ContentURL):
		return nil, refuseSignIn(subJWTParseError, "the site ID is another one")
	}
	s, err := c.session(KindUnifiedAccess, config.UsernameClaim)
	if err != nil {
		return nil, err
	}
	if len(config.Scopes) > 0 {
		s.scopes = slices.DeleteFunc(s.scopes, func(scope string) bool { return !c.x.t.covers(config.Scopes, scope) })
	}
	return s, nil
}

package tableauauth

// This file holds the Connected App with OAuth 2.0 trust: we are the
// authorization server, and Tableau fetches our public keys and shares no
// secret with us.

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// OAuthTrust is the credential of a Connected App with OAuth 2.0 trust
// (Tableau help, "Configure Connected Apps with OAuth 2.0 trust"), of which this
// program is the registered authorization server. Tableau fetches the public
// keys from the issuer: see [OAuthTrust.Keys].
type OAuthTrust struct {
	issuer   string
	audience string
	keys     []SigningKey // the first signs
}

// NewOAuthTrust returns the credential of the authorization server with the
// given issuer, an https URL that must equal the registered one byte for byte.
// The audience is "tableau" where it is registered for a whole Tableau Server,
// and "tableau:<site LUID>" where it is registered for a site, as it always is
// on Tableau Cloud. Of one or two keys, the first signs. Both are to be
// published, so that keys can be changed without an outage: add the new one
// behind, wait until Tableau has it, and put it first.
func NewOAuthTrust(issuer, audience string, keys ...SigningKey) (*OAuthTrust, error) {
	if err := checkIssuer(issuer); err != nil {
		return nil, err
	}
	if err := checkAudience(audience); err != nil {
		return nil, err
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no key: the authorization server signs with a private key, such as one of caddy tableau keygen")
	case len(keys) > 2:
		return nil, fmt.Errorf("%d keys: two are enough, the one that signs and the one before or after it", len(keys))
	case slices.ContainsFunc(keys, func(k SigningKey) bool { return k.method == nil }):
		return nil, errors.New("a key was not read")
	case len(keys) == 2 && keys[0].kid == keys[1].kid: //nolint:gosec // there are two
		return nil, fmt.Errorf("both keys have the kid %q, so that Tableau could not tell them apart: give each its own", keys[0].kid)
	}
	return &OAuthTrust{issuer: issuer, audience: audience, keys: slices.Clone(keys)}, nil
}

// checkIssuer reports why issuer cannot be an issuer identifier (RFC 8414,
// section 2), or nil. Spellings that programs read alike but do not write alike
// are refused, since Tableau compares bytes.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("issuer is empty: it is the https URL that is registered at Tableau as the issuer")
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		return errors.New("issuer is not an https URL such as https://tableau-proxy.corp.example, and Tableau accepts no other")
	case u.User != nil:
		return errors.New("issuer holds a user name or password: leave it out")
	case strings.ContainsAny(issuer, "?#%"):
		return fmt.Errorf("issuer %q has a query, a fragment or an escape: leave it out", issuer)
	case u.String() != issuer || !isCleanPath(u.Path):
		return fmt.Errorf("issuer %q is not written as URLs are: use lower case for https, and no spaces, empty or dotted segments", issuer)
	}
	return nil
}

// isCleanPath allows one slash at the end, which is part of an issuer's name.
func isCleanPath(p string) bool {
	p = strings.TrimSuffix(p, "/")
	return p == "" || path.Clean(p) == p
}

// checkAudience reports why audience is none that Tableau accepts, or nil.
func checkAudience(audience string) error {
	luid, ofSite := strings.CutPrefix(audience, audienceTableau+":")
	switch {
	case audience == audienceTableau, ofSite && tableauapi.IsLUID(luid):
		return nil
	case audience == "":
		return errors.New("audience is empty: it is tableau:<site LUID> for an issuer registered for one site, and tableau for a whole Tableau Server")
	default:
		return fmt.Errorf("audience %q is neither tableau nor tableau:<site LUID>, with the LUID as in the answer to a sign-in", audience)
	}
}

// Kind returns "oauth_trust".
func (o *OAuthTrust) Kind() string { return "oauth_trust" }

// Issuer is the issuer, as it was given.
func (o *OAuthTrust) Issuer() string { return o.issuer }

// Keys are the keys whose public halves Tableau must find. It looks for
// <issuer>/.well-known/openid-configuration or for
// <issuer>/.well-known/oauth-authorization-server, whichever the node that it
// runs on prefers, and there for jwks_uri, so both have to be served.
func (o *OAuthTrust) Keys() []SigningKey { return slices.Clone(o.keys) }

// Fingerprint digests the issuer, the audience and every key.
func (o *OAuthTrust) Fingerprint() [sha256.Size]byte {
	parts := []string{o.issuer, o.audience}
	for _, k := range o.keys {
		parts = append(parts, string(k.print[:]))
	}
	return digest(parts...)
}

// CheckClaim implements [ClaimBearer].
func (o *OAuthTrust) CheckClaim(name string) error { return CheckClaimName(name) }

// Proof signs a JWT for g.User with the first key. Like the client ID of a
// Connected App with direct trust, the issuer goes into the header too.
func (o *OAuthTrust) Proof(g Grant, now time.Time) (Proof, error) {
	if err := checkClaims(o, g.Claims); err != nil {
		return Proof{}, err
	}
	claims, jti := newClaims(g, now)
	claims["iss"], claims["sub"], claims["aud"] = o.issuer, g.User, o.audience
	signed, err := o.keys[0].sign(claims, map[string]any{"iss": o.issuer})
	if err != nil {
		return Proof{}, err
	}
	return Proof{
		Credentials: tableauapi.Credentials{JWT: signed, Site: g.Site},
		APIVersion:  apiVersionJWT,
		JTI:         jti,
		SecretID:    o.keys[0].kid,
	}, nil
}

// Interface guards
var _ ClaimBearer = (*OAuthTrust)(nil)

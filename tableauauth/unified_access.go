package tableauauth

// This file holds the unified access token of Tableau Cloud: a JWT that one
// configuration of the tenant accepts for all of its sites.

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// apiVersionUAT is the first version with unified access tokens (December
	// 2025; "What's new in the Tableau REST API").
	apiVersionUAT = "3.27"

	// defaultUsernameClaim is the claim that Tableau reads the user name from
	// unless the configuration says otherwise.
	defaultUsernameClaim = "email"

	claimTenant = "https://tableau.com/tenantId"
)

// UnifiedAccess is the credential of a unified access token configuration
// (Tableau Cloud Manager help, "Unified access tokens"). Its JWTs name the
// tenant instead of an audience, and the user in a claim that the
// configuration chooses.
type UnifiedAccess struct {
	issuer        string
	tenant        string
	usernameClaim string
	key           SigningKey
}

// NewUnifiedAccess returns the credential of the configuration with the given
// issuer, a URL, for the tenant with the given ID. The user name goes into
// usernameClaim, "email" if that is empty. The key must be an RSA key: Tableau
// accepts RS256 only.
func NewUnifiedAccess(issuer, tenant, usernameClaim string, key SigningKey) (*UnifiedAccess, error) {
	if usernameClaim == "" {
		usernameClaim = defaultUsernameClaim
	}
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return nil, errors.New("issuer is empty: it is the issuer of the unified access token configuration in Tableau Cloud Manager")
	case err != nil || !u.IsAbs() || u.Host == "" || u.User != nil:
		return nil, errors.New("issuer is not a URL such as https://tableau-proxy.corp.example: use the one of the unified access token configuration")
	case tenant == "" || strings.ContainsAny(tenant, " \t\r\n"):
		return nil, errors.New("tenant is empty or holds a space: it is the tenant ID that Tableau Cloud Manager shows")
	case usernameClaim != defaultUsernameClaim && usernameClaim != "sub" && reservedClaims[usernameClaim]:
		return nil, fmt.Errorf("username_claim %q has a meaning of its own: use the claim that the unified access token configuration names, such as email", usernameClaim)
	case key.method == nil:
		return nil, errors.New("no key: unified access tokens are signed with an RSA key, such as one of caddy tableau keygen")
	case key.Algorithm() != "RS256":
		return nil, fmt.Errorf("key %q signs %s, and Tableau accepts unified access tokens with RS256 only: use an RSA key, such as one of caddy tableau keygen --type rsa", key.kid, key.Algorithm())
	}
	return &UnifiedAccess{issuer: issuer, tenant: tenant, usernameClaim: usernameClaim, key: key}, nil
}

// Kind returns "unified_access".
func (u *UnifiedAccess) Kind() string { return "unified_access" }

// Fingerprint digests the issuer, the tenant, the name of the claim and the key.
func (u *UnifiedAccess) Fingerprint() [sha256.Size]byte {
	return digest(u.issuer, u.tenant, u.usernameClaim, string(u.key.print[:]))
}

// CheckClaim implements [ClaimBearer]. The claim with the user name is
// reserved too, whatever its name.
func (u *UnifiedAccess) CheckClaim(name string) error {
	if name == u.usernameClaim {
		return fmt.Errorf("the claim %q names the user here, and is set by the proxy itself", name)
	}
	return CheckClaimName(name)
}

// Proof signs a JWT for g.User.
func (u *UnifiedAccess) Proof(g Grant, now time.Time) (Proof, error) {
	if err := checkClaims(u, g.Claims); err != nil {
		return Proof{}, err
	}
	claims, jti := newClaims(g, now)
	claims["iss"], claims[claimTenant], claims[u.usernameClaim] = u.issuer, u.tenant, g.User
	signed, err := u.key.sign(claims, nil)
	if err != nil {
		return Proof{}, err
	}
	return Proof{
		Credentials: tableauapi.Credentials{JWT: signed, UAT: true, Site: g.Site},
		APIVersion:  apiVersionUAT,
		JTI:         jti,
		SecretID:    u.key.kid,
	}, nil
}

// Interface guards
var _ ClaimBearer = (*UnifiedAccess)(nil)

package tableauauth

// This file writes the claims that every kind of Connected App JWT shares.

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	// jwtLife is how long a JWT may be presented, in both directions from now.
	// Tableau refuses more than ten minutes (sub-code 16). The token is used
	// at once, so five leave room for a clock that is wrong by as much.
	jwtLife = 5 * time.Minute

	// jwtBackdate is how far iat and nbf lie in the past, so that a clock a
	// little ahead of Tableau's does not make a JWT "not yet valid". Tableau's
	// own samples use 5 to 30 seconds.
	jwtBackdate = 30 * time.Second

	// audienceTableau is the audience of JWTs that Tableau as such is to accept.
	audienceTableau = "tableau"

	// apiVersionJWT is the first version with Connected App sign-in
	// (Tableau Server 2022.3; "What's new in the Tableau REST API").
	apiVersionJWT = "3.17"
)

// reservedClaims are what a JWT says of itself and of who signs in. None of it
// is for an operator to set one by one.
var reservedClaims = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true,
	"scp": true, "scope": true, "email": true,
	"https://tableau.com/tenantId": true, "https://tableau.com/siteId": true, "https://tableau.com/userId": true,
}

// CheckClaimName reports why name cannot be an extra claim, or nil.
func CheckClaimName(name string) error {
	switch {
	case name == "":
		return errors.New("a claim has no name")
	case reservedClaims[name]:
		return fmt.Errorf("the claim %q is set by the proxy itself", name)
	default:
		return nil
	}
}

// A ClaimBearer is a [Credential] whose proofs are JWTs, which carry the
// claims of a [Grant].
type ClaimBearer interface {
	Credential

	// CheckClaim reports why name cannot be an extra claim of these JWTs, or
	// nil.
	CheckClaim(name string) error
}

// checkClaims holds the claims of a grant to what b allows.
func checkClaims(b ClaimBearer, claims []Claim) error {
	for _, c := range claims {
		if err := b.CheckClaim(c.Name); err != nil {
			return err
		}
	}
	return nil
}

// newClaims returns the claims for one sign-in as g.User, with a jti that was
// never used before, and that jti. Scopes go into scp as a list, which must
// not be empty (sub-code 10099). g.Claims come first, so that none of them can
// replace what is ours.
func newClaims(g Grant, now time.Time) (jwt.MapClaims, string) {
	claims := make(jwt.MapClaims)
	for _, c := range g.Claims {
		if c.List {
			claims[c.Name] = c.Values
		} else {
			claims[c.Name] = strings.Join(c.Values, "")
		}
	}
	jti := uuid.NewString()
	claims["jti"] = jti
	claims["iat"] = now.Add(-jwtBackdate).Unix()
	claims["nbf"] = now.Add(-jwtBackdate).Unix()
	claims["exp"] = now.Add(jwtLife).Unix()
	claims["scp"] = g.Scopes
	return claims, jti
}

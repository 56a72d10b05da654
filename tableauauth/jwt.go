package tableauauth

// This file writes the claims that every kind of Connected App JWT shares.

import (
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

	// apiVersionJWT is the first version with Connected App sign-in
	// (Tableau Server 2022.3; "What's new in the Tableau REST API").
	apiVersionJWT = "3.17"
)

// newClaims returns the claims for one sign-in as g.User, with a jti that was
// never used before, and that jti. Scopes go into scp as a list, which must
// not be empty (sub-code 10099).
func newClaims(g Grant, now time.Time) (jwt.MapClaims, string) {
	jti := uuid.NewString()
	return jwt.MapClaims{
		"sub": g.User,
		"aud": "tableau",
		"jti": jti,
		"iat": now.Add(-jwtBackdate).Unix(),
		"nbf": now.Add(-jwtBackdate).Unix(),
		"exp": now.Add(jwtLife).Unix(),
		"scp": g.Scopes,
	}, jti
}

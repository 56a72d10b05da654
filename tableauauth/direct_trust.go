package tableauauth

// This file holds the Connected App with direct trust: Tableau and we share a
// secret, and whoever holds it signs JWTs (HS256) for any user of the site.

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A ConnectedAppSecret is one of the at most two secrets of a Connected App.
type ConnectedAppSecret struct {
	ID    string            // "Secret ID" on the app's page; the JWT's kid
	Value tableauapi.Secret // "Secret Value"; its bytes as text are the HMAC key

	// Current, if not nil, is asked before each sign-in for what ID and Value
	// are now, so that a secret can be replaced while it is in use. When either
	// comes back empty, the last good ones are used.
	Current func() (id string, value tableauapi.Secret)
}

// DirectTrust is the credential of a Connected App with direct trust
// (Tableau help, "Configure Connected Apps with direct trust"). With two
// secrets, the second takes over when Tableau refuses the first, and the other
// way round, so that secrets can be changed at Tableau without an outage.
type DirectTrust struct {
	clientID string
	print    [sha256.Size]byte
	secrets  []*liveSecret
	current  atomic.Int32 // index of the secret that signs
}

// NewDirectTrust returns the credential of the Connected App clientID. It
// fails if clientID or a secret is missing, if there are more than two
// secrets, or if two have the same ID.
func NewDirectTrust(clientID string, secrets ...ConnectedAppSecret) (*DirectTrust, error) {
	switch {
	case clientID == "":
		return nil, errors.New("client_id is empty: it is the Client ID on the Connected App's page at Tableau")
	case len(secrets) == 0:
		return nil, errors.New("no secret: a Connected App signs with a secret ID and value made on its page at Tableau")
	case len(secrets) > 2:
		return nil, fmt.Errorf("%d secrets: a Connected App has at most two", len(secrets))
	}
	for i, s := range secrets {
		if s.ID == "" || s.Value.IsZero() {
			return nil, fmt.Errorf("secret %d: its ID or its value is empty", i+1)
		}
	}
	if len(secrets) == 2 && secrets[0].ID == secrets[1].ID {
		return nil, fmt.Errorf("both secrets have the ID %q: remove one", secrets[0].ID)
	}
	d := &DirectTrust{clientID: clientID}
	parts := []string{clientID}
	for _, s := range secrets {
		d.secrets = append(d.secrets, newLiveSecret(s.ID, s.Value, s.Current))
		parts = append(parts, s.ID, s.Value.Reveal())
	}
	d.print = digest(parts...)
	return d, nil
}

// Kind returns "direct_trust".
func (d *DirectTrust) Kind() string { return "direct_trust" }

// Fingerprint digests the client ID and every secret's ID and value, as they
// were at first: sessions outlive a secret that is replaced while it is in use.
func (d *DirectTrust) Fingerprint() [sha256.Size]byte { return d.print }

// CheckClaim implements [ClaimBearer].
func (d *DirectTrust) CheckClaim(name string) error { return CheckClaimName(name) }

// Proof signs a JWT for g.User with the secret in use. The client ID goes into
// the header and into the claims: Tableau's samples and its help differ on
// where it is read.
func (d *DirectTrust) Proof(g Grant, now time.Time) (Proof, error) {
	secret := d.secrets[d.current.Load()].get()
	claims, jti := newClaims(g, now)
	claims["iss"], claims["sub"], claims["aud"] = d.clientID, g.User, audienceTableau

	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	token.Header["kid"] = secret.name
	token.Header["iss"] = d.clientID
	signed, err := token.SignedString([]byte(secret.value.Reveal()))
	if err != nil {
		return Proof{}, fmt.Errorf("signing the JWT: %w", err)
	}
	return Proof{
		Credentials: tableauapi.Credentials{JWT: tableauapi.NewSecret(signed), Site: g.Site},
		APIVersion:  apiVersionJWT,
		JTI:         jti,
		SecretID:    secret.name,
	}, nil
}

// Refused turns to the other secret if Tableau did not know the one that
// signed p, and reports whether to try again. Several sign-ins may be refused
// at once: only the first of them turns, the others find it done. A secret that
// is no longer there was replaced since p was made: that alone is worth another
// attempt.
func (d *DirectTrust) Refused(p Proof, refusal *SignInError) bool {
	if !refusal.blamesSecret() {
		return false
	}
	for i, s := range d.secrets {
		if s.last.Load().name != p.SecretID {
			continue
		}
		if len(d.secrets) < 2 {
			return false
		}
		d.current.CompareAndSwap(int32(i), int32(1-i))
		return true
	}
	return true
}

// Interface guards
var (
	_ Failover    = (*DirectTrust)(nil)
	_ ClaimBearer = (*DirectTrust)(nil)
)

package tableauauth

// This file says what a credential is to the rest of the package: something
// that can prove, afresh for each attempt, that a grant's user may sign in.

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A Credential is what the operator holds at Tableau: a Connected App, a
// personal access token, an account. Implementations are safe for use by many
// goroutines.
type Credential interface {
	// Kind is the credential's name in configuration, logs and metrics, such
	// as "direct_trust".
	Kind() string

	// Fingerprint is a digest of everything that gives the credential its
	// meaning, secret values included. Sessions are kept for as long as it
	// stays the same, and are dropped when it changes.
	Fingerprint() [sha256.Size]byte

	// Proof makes what one sign-in attempt presents. It is called once for
	// each attempt, because a JWT's jti may be used only once.
	Proof(g Grant, now time.Time) (Proof, error)
}

// A Failover is a [Credential] that may have another secret to try.
type Failover interface {
	Credential

	// Refused is called when Tableau has refused p, and reports whether a new
	// proof is worth one more attempt now.
	Refused(p Proof, refusal *SignInError) (again bool)
}

// An Account is a [Credential] that belongs to one Tableau user, and not to an
// app. That user's rights are the only limit of its sessions: a [Grant]'s scopes
// and claims mean nothing to it, and its user only if it impersonates. Grants
// that differ in nothing else share a session.
type Account interface {
	Credential

	// Owner is the name of the account's user, or "" where only Tableau knows it.
	Owner() string

	// Impersonates reports whether a session is the grant's user's. It takes
	// the account of a server administrator on a Tableau Server (Tableau REST
	// API, "Sign In", on impersonation).
	Impersonates() bool
}

// A Guarded is a [Credential] that decides by itself when it may be presented,
// such as a password: Tableau locks an account after a few that are wrong.
type Guarded interface {
	Credential

	// Admit is called before p is presented. It may wait, until ctx ends, and
	// may bring p up to date. Its error is why p is not presented. If there is
	// none, done is called with the outcome, nil for a sign-in that succeeded.
	Admit(ctx context.Context, p *Proof) (done func(*SignInError), err error)
}

// A Proof is what one sign-in attempt presents to Tableau.
type Proof struct {
	// Credentials is the body of the sign-in request.
	Credentials tableauapi.Credentials

	// APIVersion is the oldest REST API version that knows this kind of
	// sign-in, such as "3.17" for a Connected App. A server that can accept
	// the credential at all answers at that version, so nothing has to be
	// asked first.
	APIVersion string

	// JTI is the JWT's id, or "". It is not a secret: recorded, it joins the
	// sign-in with Tableau's own events.
	JTI string

	// SecretID names the secret that signed the proof, for logs and for
	// [Failover].
	SecretID string
}

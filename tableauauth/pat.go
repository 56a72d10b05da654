package tableauauth

// This file holds the personal access token, which can have one session at a
// time.

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// apiVersionPAT is the first version with personal access tokens (Tableau
// Server 2019.4; "What's new in the Tableau REST API").
const apiVersionPAT = "3.6"

// A PersonalAccessToken is one token, as its owner has made it under My Account
// Settings.
type PersonalAccessToken struct {
	Name   string            // "Token Name"
	Secret tableauapi.Secret // "Token Secret"

	// Current, if not nil, is asked before each sign-in for what Secret is now,
	// so that a token can be replaced by another of the same name while it is
	// in use. When it comes back empty, the last good one is used.
	Current func() tableauapi.Secret
}

// PAT is the credential of one or more personal access tokens. Tableau ends the
// session of a token when it signs in again, on whatever site (Tableau help,
// "Personal Access Tokens"), so each token is one seat of a [Pool]: see
// [Seated].
//
// Without impersonation every session is the token owner's, and one session is
// enough for everybody on a site; further tokens stand in for one that Tableau
// refuses, and serve further sites. With it, each person has a session of their
// own, and there should be as many tokens as people who work at the same time.
type PAT struct {
	tokens      []*liveSecret
	seats       [][sha256.Size]byte
	print       [sha256.Size]byte
	impersonate bool
}

// NewPAT returns the credential of tokens, with which sessions are opened for
// others if impersonate is set. It fails if there is no token, if a name or a
// secret is missing, or if two tokens have the same name.
func NewPAT(impersonate bool, tokens ...PersonalAccessToken) (*PAT, error) {
	if len(tokens) == 0 {
		return nil, errors.New("no token: make a personal access token at Tableau, under My Account Settings")
	}
	c := &PAT{impersonate: impersonate}
	parts := []string{strconv.FormatBool(impersonate)}
	for i, t := range tokens {
		if t.Name == "" || t.Secret.IsZero() {
			return nil, fmt.Errorf("token %d: its name or its secret is empty", i+1)
		}
		if slices.ContainsFunc(tokens[:i], func(other PersonalAccessToken) bool { return other.Name == t.Name }) {
			return nil, fmt.Errorf("two tokens have the name %q: one token can have one session only, and two should have two names", t.Name)
		}
		c.tokens = append(c.tokens, newLiveSecret(t.Name, t.Secret, t.current()))
		c.seats = append(c.seats, digest(t.Name, t.Secret.Reveal()))
		parts = append(parts, t.Name, t.Secret.Reveal())
	}
	c.print = digest(parts...)
	return c, nil
}

func (t PersonalAccessToken) current() func() (string, tableauapi.Secret) {
	if t.Current == nil {
		return nil
	}
	return func() (string, tableauapi.Secret) { return t.Name, t.Current() }
}

// Kind returns "pat".
func (*PAT) Kind() string { return "pat" }

// Fingerprint digests every token's name and secret, as they were at first.
func (c *PAT) Fingerprint() [sha256.Size]byte { return c.print }

// Owner returns "": only Tableau knows whose a token is.
func (*PAT) Owner() string { return "" }

// Impersonates implements [Account].
func (c *PAT) Impersonates() bool { return c.impersonate }

// Seats implements [Seated]: each token is one.
func (c *PAT) Seats() [][sha256.Size]byte { return slices.Clone(c.seats) }

// Proof presents the first token.
func (c *PAT) Proof(g Grant, now time.Time) (Proof, error) { return c.SeatProof(0, g, now) }

// SeatProof presents the token of the seat.
func (c *PAT) SeatProof(seat int, g Grant, _ time.Time) (Proof, error) {
	token := c.tokens[seat].get()
	return Proof{
		Credentials: tableauapi.Credentials{TokenName: token.name, TokenSecret: token.value, Site: g.Site},
		APIVersion:  apiVersionPAT,
		SecretID:    token.name,
	}, nil
}

// Interface guards
var (
	_ Seated  = (*PAT)(nil)
	_ Account = (*PAT)(nil)
)

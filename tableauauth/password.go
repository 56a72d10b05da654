package tableauauth

// This file holds the account with a password, and sees to it that Tableau has
// no reason to lock it.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// apiVersionPassword is the first version with GET sessions/current, by
	// which a session is probed (Tableau Server 2018.2). Passwords are older.
	apiVersionPassword = "3.1"

	// refusedPasswordRest is how long a password that Tableau has refused is
	// not presented again.
	refusedPasswordRest = 15 * time.Minute

	// maxPasswordRefusals is how many refusals in a row a password is risked
	// for. Tableau locks a local account after five that are wrong; beyond
	// this, only another password is.
	maxPasswordRefusals = 3

	// maxRefusedTargets bounds what is remembered of refusals.
	maxRefusedTargets = 1000
)

// An AccountPassword is what a user signs in with at Tableau itself, without
// single sign-on or multi-factor authentication.
type AccountPassword struct {
	Name     string // user name
	Password tableauapi.Secret

	// Current, if not nil, is asked before each sign-in for what Password is
	// now, so that it can be changed while it is in use. When it comes back
	// empty, the last good one is used.
	Current func() tableauapi.Secret
}

// Password is the credential of an account with a password. Any number of
// sessions may be open at a time.
//
// One sign-in is made after the other, so that a password that has been changed
// at Tableau is refused once and not as often as people wait. A refusal rests
// for a quarter of an hour, for what it was about or, unless the password is
// known to be good, altogether; after three in a row only another password is
// tried.
type Password struct {
	name        string
	password    *liveSecret
	print       [sha256.Size]byte
	impersonate bool

	turn chan struct{} // held by who presents the password, and guards what follows

	tried    tableauapi.Secret    // what the following is about
	accepted bool                 // Tableau has accepted it
	refusals int                  // in a row
	rest     time.Time            // until then it is not presented, if it rests altogether
	targets  map[target]time.Time // or not for this
}

// A target is what a password is presented for: refused for one, it may be
// accepted for another.
type target struct{ site, userID string }

// NewPassword returns the credential of the account a, with which sessions are
// opened for others if impersonate is set. It fails if the name or the password
// is empty.
func NewPassword(impersonate bool, a AccountPassword) (*Password, error) {
	if a.Name == "" || a.Password.IsZero() {
		return nil, errors.New("account: its name or its password is empty")
	}
	var current func() (string, tableauapi.Secret)
	if a.Current != nil {
		current = func() (string, tableauapi.Secret) { return a.Name, a.Current() }
	}
	return &Password{
		name:        a.Name,
		password:    newLiveSecret(a.Name, a.Password, current),
		print:       digest(a.Name, a.Password.Reveal(), strconv.FormatBool(impersonate)),
		impersonate: impersonate,
		turn:        make(chan struct{}, 1),
	}, nil
}

// Kind returns "password".
func (*Password) Kind() string { return "password" }

// Fingerprint digests the name and the password, as it was at first.
func (c *Password) Fingerprint() [sha256.Size]byte { return c.print }

// Owner returns the account's name.
func (c *Password) Owner() string { return c.name }

// Impersonates implements [Account].
func (c *Password) Impersonates() bool { return c.impersonate }

// Proof presents the name and the password.
func (c *Password) Proof(g Grant, _ time.Time) (Proof, error) {
	return Proof{
		Credentials: tableauapi.Credentials{Name: c.name, Password: c.password.get().value, Site: g.Site},
		APIVersion:  apiVersionPassword,
		SecretID:    c.name,
	}, nil
}

// Admit implements [Guarded]: it waits for its turn, and fails while the
// password rests.
func (c *Password) Admit(ctx context.Context, p *Proof) (done func(*SignInError), err error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	p.Credentials.Password = c.password.get().value // it may have changed since p was made
	if !c.tried.Equal(p.Credentials.Password) {
		c.tried, c.accepted, c.refusals, c.targets = p.Credentials.Password, false, 0, make(map[target]time.Time)
	}
	about := target{p.Credentials.Site, p.Credentials.ImpersonateUserID}
	if err := c.withheld(about, time.Now()); err != nil {
		<-c.turn
		return nil, err
	}
	return func(failure *SignInError) {
		c.note(about, failure, time.Now())
		<-c.turn
	}, nil
}

// withheld reports why the password is not to be presented, or nil.
func (c *Password) withheld(about target, now time.Time) error {
	until := c.targets[about]
	if c.refusals > 1 || c.refusals == 1 && !c.accepted {
		until = c.rest
	}
	again := "it is tried again in " + until.Sub(now).Round(time.Second).String()
	switch {
	case c.refusals >= maxPasswordRefusals:
		again = "it is not tried again"
	case !now.Before(until):
		return nil
	}
	return &SignInError{Reason: Withheld, Err: fmt.Errorf(
		"the password of %q was refused by Tableau, which locks accounts after a few refusals: %s, or when another password is configured", c.name, again)}
}

// note remembers how presenting the password ended.
func (c *Password) note(about target, failure *SignInError, now time.Time) {
	switch {
	case failure == nil:
		c.accepted, c.refusals = true, 0
		delete(c.targets, about)
	case failure.Reason == Refused:
		c.refusals++
		c.rest = now.Add(refusedPasswordRest)
		if len(c.targets) >= maxRefusedTargets {
			clear(c.targets)
		}
		c.targets[about] = c.rest
	}
}

// Interface guards
var (
	_ Account = (*Password)(nil)
	_ Guarded = (*Password)(nil)
)

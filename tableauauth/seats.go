package tableauauth

// This file lends the sessions of credentials that can have only so many: a
// request keeps its session until it is done.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// defaultSeatWait is how long a request waits for a seat.
const defaultSeatWait = 30 * time.Second

// A Seated is a [Credential] with so many seats, each of which can have one
// session at a time: a personal access token is one. A [Pool] never signs in on
// a seat whose session is in use.
type Seated interface {
	Credential

	// Seats identifies the seats, by digests of what makes each the same seat at
	// Tableau. Pools in one process whose credentials have a seat in common
	// take turns on it.
	Seats() [][sha256.Size]byte

	// SeatProof is Proof on the seat of that index.
	SeatProof(seat int, g Grant, now time.Time) (Proof, error)
}

// A NoSeatError is a request that has waited in vain: every seat that Tableau
// accepts was in use by others.
type NoSeatError struct {
	Kind   string // of the credential
	Seats  int    // that it has
	Waited time.Duration
}

// Error implements error.
func (e *NoSeatError) Error() string {
	return fmt.Sprintf("no session of credentials %s became free in %s: each of the %d can have one session at a time, and requests of others were using it: add more", e.Kind, e.Waited, e.Seats)
}

// Acquire puts a session for g into b, signing in if there is none, and keeps
// it from being ended for the sake of others until [Binding.Release]. Of a
// credential without [Seated] it does what [Pool.Get] does. signedIn tells
// whether it waited for a sign-in.
//
// The error is a *SignInError, a *NoSeatError, ctx's error, or [ErrPoolClosed].
func (b *Binding) Acquire(ctx context.Context, g Grant) (signedIn bool, err error) {
	b.Release()
	b.acquired, b.grant = true, b.Pool.narrow(g)
	if b.Pool.seating == nil {
		b.Session, signedIn, err = b.Pool.Get(ctx, g)
		return signedIn, err
	}
	b.Session, signedIn, err = b.Pool.sit(ctx, b.grant, nil)
	b.held = err == nil
	return signedIn, err
}

// Release says that the request is done, the answer's body included, and will
// not use b.Session any more. Later calls do nothing.
func (b *Binding) Release() {
	if b.held {
		b.held = false
		b.Pool.seating.release(b.Session)
	}
}

// replaceSeated is replace for a session that b may hold: the hold goes over to
// the new one.
func (b *Binding) replaceSeated(ctx context.Context) (*Session, error) {
	dead := b.Session
	fresh, _, err := b.Pool.sit(ctx, dead.Grant(), dead)
	switch {
	case err != nil:
		return nil, err
	case b.held:
		b.Pool.seating.release(dead)
	default:
		b.Pool.seating.release(fresh)
	}
	return fresh, nil
}

// sit returns a session for g and holds it. If dead is not nil, it is another
// session than that.
func (p *Pool) sit(ctx context.Context, g Grant, dead *Session) (s *Session, signedIn bool, err error) {
	key := g.key(p.print)
	now := time.Now()
	s, c, err := p.seating.claim(p, key, g, dead, now)
	switch {
	case err != nil:
		return nil, false, err
	case s == nil:
		s, signedIn, err = c.wait(ctx, p.opts.SeatWait)
	}
	if err == nil {
		s.lastUsed.Store(s.age(time.Now())) // to the millisecond: it orders the seats
	}
	return s, signedIn, err
}

// A claim is a request that waits for a session.
type claim struct {
	pool   *Pool
	key    Key
	grant  Grant
	renews *Session // that the sign-in is to take the place of, or nil
	own    *seat    // of the session that it had, or nil
	barren uint8

	done     chan struct{} // closed when the following is settled
	session  *Session
	signedIn bool // the session was begun while it waited
	err      error
}

// settled reports whether c waits no longer.
func (c *claim) settled() bool { return c.session != nil || c.err != nil }

// give lends s to c. The seating's lock is held, as for fail.
func (c *claim) give(s *Session, signedIn bool) {
	s.lease().holds++
	c.session, c.signedIn = s, signedIn
	close(c.done)
}

func (c *claim) fail(err error) {
	c.err = err
	close(c.done)
}

// wait waits for a session, for ctx, or for as long as limit where nothing is
// done for c but to wait for a seat. A sign-in under way is waited for: it is
// bounded by itself.
func (c *claim) wait(ctx context.Context, limit time.Duration) (*Session, bool, error) {
	began := time.Now()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return c.session, c.signedIn, c.err
		case <-ctx.Done():
			c.pool.seating.leave(c, nil)
			return nil, false, context.Cause(ctx)
		case <-timer.C:
			c.pool.seating.leave(c, &NoSeatError{
				Kind: c.pool.conn.Credential.Kind(), Seats: len(c.pool.seats), Waited: time.Since(began),
			})
			timer.Reset(limit)
		}
	}
}

var errLeft = errors.New("the request waits no longer")

// A lease is what a session has that a seat was taken for. It is guarded by the
// seating's lock.
type lease struct {
	key     Key
	pool    *Pool
	seat    *seat
	holds   int    // requests that use the session
	retired bool   // another session has taken over for its key, or it was given up:
	reason  string // why; "" if it was replaced
}

// A seat can have one session. It is guarded by the seating's lock.
type seat struct {
	session *Session              // the one it has, or nil
	busy    bool                  // a session begins or ends
	pools   int                   // that may use it
	refused map[purpose]seatPause // for what Tableau does not accept it
}

// seatName names a seat in logs.
func (p *Pool) seatName(s *seat) string {
	proof, err := p.prove(Grant{}, slices.Index(p.seats, s))
	if err != nil {
		return ""
	}
	return proof.SecretID
}

// A purpose is what a seat is used for: Tableau may refuse it for one and
// accept it for another.
type purpose struct {
	site        string
	impersonate bool
}

type seatPause struct {
	err   *SignInError
	until time.Time
}

// free reports whether a session can begin on s without ending one that is in
// use.
func (s *seat) free() bool { return !s.busy && (s.session == nil || s.session.lease().holds == 0) }

// since returns when the session on s began, the zero time if there is none.
func (s *seat) since() time.Time {
	if s.session == nil {
		return time.Time{}
	}
	return s.session.SignedInAt()
}

// lastUsed returns when the session on s was last used, the zero time if there
// is none.
func (s *seat) lastUsed() time.Time {
	if s.session == nil {
		return time.Time{}
	}
	return s.session.lastUsedAt()
}

// pause returns why s cannot be used for c now, or nil.
func (s *seat) pause(c *claim, now time.Time) *SignInError {
	if r, ok := s.refused[c.purpose()]; ok && now.Before(r.until) {
		return r.err
	}
	return nil
}

func (c *claim) purpose() purpose { return purpose{c.grant.Site, c.pool.impersonates} }

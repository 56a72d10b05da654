package tableauauth

// This file begins and ends the sessions on seats.

import (
	"context"
	"errors"
	"slices"
	"time"
)

// handoverTimeout bounds the sign-out before a seat goes to somebody else. If
// it fails, the sign-in ends the session, which is not in use.
const handoverTimeout = 5 * time.Second

// launch signs in on s, which is free, for c and whoever else waits for the
// same. The lock is held, as in all functions here unless they say otherwise.
func (t *seating) launch(s *seat, c *claim) {
	idle := s.session
	if idle != nil {
		s.session = nil
		if t.current[idle.lease().key] == idle {
			delete(t.current, idle.lease().key)
		}
	}
	s.busy = true
	t.flights[c.key] = s
	c.pool.flying.Go(func() { t.fly(s, c, idle) })
}

// fly signs out the session that s had, signs in, and publishes the outcome. It
// takes the lock itself.
func (t *seating) fly(s *seat, c *claim, idle *Session) {
	p := c.pool
	if idle != nil {
		p.opts.Observer.evict(EvictedForSeat, idle)
		ctx, cancel := context.WithTimeout(p.ctx, handoverTimeout)
		idle.lease().pool.signOutAll(ctx, []*Session{idle})
		cancel()
	}
	fresh, err := p.signIn(c.key, c.grant, slices.Index(p.seats, s), false)
	var failure *SignInError
	seatRefused := errors.As(err, &failure) && failure.blamesAccount() && p.ctx.Err() == nil
	if seatRefused && len(p.seats) > 1 {
		p.reportFailover(p.seatName(s), failure)
	}
	if c.renews != nil {
		p.opts.Observer.refresh(RefreshEvent{Session: c.renews, Fresh: fresh, Err: err})
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	s.busy = false
	delete(t.flights, c.key)
	switch {
	case err == nil:
		t.seat(s, c, fresh)
	case seatRefused: // another may be accepted; dispatch knows whether there is one
		s.refused[c.purpose()] = seatPause{failure, time.Now().Add(max(rememberSeat, failure.RetryAfter))}
	default:
		t.refuse(c, err)
	}
	t.dispatch()
}

// seat puts a session that has begun on s, and lends it to all who wait for it.
func (t *seating) seat(s *seat, c *claim, fresh *Session) {
	fresh.barren = c.barren
	fresh.rarely().lease = &lease{key: c.key, pool: c.pool, seat: s}
	s.session = fresh
	delete(t.refusals, c.key)
	if old := t.current[c.key]; old != nil { // a renewal
		old.lease().retired = true
		defer t.vacate(old)
	}
	t.current[c.key] = fresh
	for _, waiting := range t.queue {
		if waiting.key == c.key && !waiting.settled() {
			waiting.give(fresh, true)
		}
	}
}

// refuse tells all who wait for the same as c that there will be no session.
func (t *seating) refuse(c *claim, err error) {
	if r, ok := c.pool.refusalOf(err); ok {
		t.refusals[c.key] = r
	}
	for _, waiting := range t.queue {
		if waiting.key == c.key && !waiting.settled() {
			waiting.fail(err)
		}
	}
}

// vacate signs out a session that nobody uses, and makes its seat free.
func (t *seating) vacate(s *Session) {
	p, place, reason := s.lease().pool, s.lease().seat, s.lease().reason
	if s.lease().holds > 0 || place.session != s || p.seatsClosed {
		return // later, long ago, or Close does it
	}
	place.session, place.busy = nil, true
	if t.current[s.lease().key] == s {
		delete(t.current, s.lease().key)
	}
	p.flying.Go(func() {
		if reason != "" {
			p.opts.Observer.evict(reason, s)
		}
		p.signOutAll(p.ctx, []*Session{s})
		t.mu.Lock()
		defer t.mu.Unlock()
		place.busy = false
		t.dispatch()
	})
}

// sweep ends the sessions of p that were unused for too long, and forgets
// refusals that are over. It takes the lock itself.
func (t *seating) sweep(p *Pool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range p.seats {
		if s.session != nil && s.session.lease().pool == p && s.session.idleFor(now) > p.opts.IdleAfter {
			s.session.lease().reason = EvictedIdle
			t.vacate(s.session)
		}
	}
	for key, r := range t.refusals {
		if now.After(r.until) {
			delete(t.refusals, key)
		}
	}
}

// revoke takes the sessions of p out whose grants match, and returns how many.
// It takes the lock itself.
func (t *seating) revoke(p *Pool, match func(Grant) bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range t.current {
		if s.lease().pool == p && match(s.Grant()) {
			delete(t.current, key)
			s.lease().retired, s.lease().reason = true, EvictedRevoked
			t.vacate(s)
			n++
		}
	}
	return n
}

// count returns how many sessions of p live. It takes the lock itself.
func (t *seating) count(p *Pool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.current {
		if s.lease().pool == p {
			n++
		}
	}
	return n
}

// close lets no more requests of p in. Those that wait for a sign-in under way
// still get its session. It takes the lock itself, as does the next function.
func (t *seating) close(p *Pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.seatsClosed = true
	t.dispatch()
}

// empty takes the sessions of a closed pool off their seats, which stay busy
// until free is called, when they have been signed out.
func (t *seating) empty(p *Pool) (sessions []*Session, free func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var places []*seat
	for _, place := range p.seats {
		s := place.session
		if s == nil || s.lease().pool != p {
			continue
		}
		place.session, place.busy = nil, true
		if t.current[s.lease().key] == s {
			delete(t.current, s.lease().key)
		}
		sessions, places = append(sessions, s), append(places, place)
	}
	return sessions, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, place := range places {
			place.busy = false
		}
		t.dispatch()
	}
}

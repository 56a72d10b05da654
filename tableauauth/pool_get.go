package tableauauth

// This file decides which request gets which session, and when a sign-in runs.

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"time"
)

// A place is where in the pool the session of a grant is.
type place struct {
	*shard
	hash uint64
	key  Key
}

// A flight is one sign-in under way, with everybody who waits for it.
type flight struct {
	place
	grant   Grant
	renews  *Session // that it is to take the place of, or nil
	barren  uint8
	entered bool          // through the gate
	done    chan struct{} // closed when session and err are set
	session *Session
	err     error
	landed  bool // there was no need to sign in
}

type refusal struct {
	err   *SignInError
	until time.Time
}

// Get returns the live session for g, signing in if there is none. signedIn
// tells whether the caller waited for a sign-in. The sign-in itself does not
// end with ctx: others may wait for it too.
//
// A session of a [Seated] credential may be ended for somebody else's sake as
// soon as Get has returned: use [Binding.Acquire] to send a request with it.
//
// The error is a *SignInError, a *NoSeatError, ctx's error, or [ErrPoolClosed].
func (p *Pool) Get(ctx context.Context, g Grant) (s *Session, signedIn bool, err error) {
	if p.account != nil {
		g = p.narrow(g)
	}
	if p.seating != nil {
		if s, signedIn, err = p.sit(ctx, g, nil); err == nil {
			p.seating.release(s)
		}
		return s, signedIn, err
	}
	now := time.Now()
	hash := p.hash(g)
	if s := p.find(hash, g); s != nil && !p.lapsed(s, now) {
		s.used(now)
		if p.due(s, now) {
			p.renew(s)
		}
		return s, false, nil
	}
	f, err := p.join(p.place(hash, g), g, nil, false)
	if err != nil {
		return nil, false, err
	}
	return f.wait(ctx)
}

// Replace returns a session other than dead, which Tableau no longer accepts.
// However many requests find the same session dead, one sign-in replaces it;
// a request that comes later with the same dead session gets the new one.
func (p *Pool) Replace(ctx context.Context, dead *Session) (*Session, error) {
	return p.replace(ctx, dead, true)
}

// replace is Replace for a session that is certain to be dead, or else has to
// be signed out.
func (p *Pool) replace(ctx context.Context, dead *Session, certain bool) (*Session, error) {
	if dead.lease() != nil {
		return (&Binding{Pool: p, Session: dead}).replaceSeated(ctx)
	}
	g := dead.Grant()
	f, err := p.join(p.place(p.hash(g), g), g, dead, certain)
	if err != nil {
		return nil, err
	}
	s, _, err := f.wait(ctx)
	return s, err
}

// successor returns the session that has taken the place of dead, or nil.
func (p *Pool) successor(dead *Session) *Session {
	if dead.lease() != nil {
		return p.seating.successor(dead)
	}
	g := dead.Grant()
	if s := p.find(p.hash(g), g); s != dead {
		return s
	}
	return nil
}

// find returns the session of g, or nil.
func (p *Pool) find(hash uint64, g Grant) *Session {
	sh := &p.shards[hash%shards]
	sh.mu.RLock()
	s := sh.sessions[hash]
	sh.mu.RUnlock()
	if s == nil || !s.isFor(g) {
		return nil
	}
	return s
}

// hash returns by what the session of g is found. It differs from pool to pool
// and from start to start.
func (p *Pool) hash(g Grant) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	part := func(s string) {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0) // no more than a hash needs: the session is asked
	}
	part(g.Site)
	part(g.User)
	for _, scope := range g.Scopes {
		part(scope)
	}
	for _, c := range g.Claims {
		part(c.Name)
		for _, v := range c.Values {
			part(v)
		}
	}
	return h.Sum64()
}

// place returns where the session of g is, or has to come.
func (p *Pool) place(hash uint64, g Grant) place {
	return place{&p.shards[hash%shards], hash, g.key(p.print)}
}

// join returns the flight to wait for: a finished one if there is a session
// other than dead by now, the one under way, or a new one.
func (p *Pool) join(at place, g Grant, dead *Session, certain bool) (*flight, error) {
	now := time.Now()
	var lapsed []*Session
	defer func() { p.opts.Observer.evict(EvictedLapsed, lapsed...) }() // without the lock
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.closed {
		return nil, ErrPoolClosed
	}
	if s := at.sessions[at.hash]; s != nil && s.isFor(g) {
		if s != dead && !p.lapsed(s, now) {
			return landed(s), nil
		}
		if s != dead {
			lapsed = append(lapsed, s)
		}
		p.take(at.shard, at.hash)
		if s != dead || !certain {
			p.retired.add(s, now)
		}
	}
	if f := at.flights[at.key]; f != nil {
		return f, nil
	}
	if r, ok := at.refusals[at.key]; ok && now.Before(r.until) {
		return nil, r.err
	}
	barren := dead.barrenLine()
	if barren >= maxBarren {
		refused := &SignInError{Reason: Barren}
		at.refusals[at.key] = refusal{err: refused, until: now.Add(rememberPermanent)}
		return nil, refused
	}
	return p.launch(&flight{place: at, grant: g, barren: barren}), nil
}

// renew starts a sign-in in the background if none runs, none was refused just
// now, and there is room for what can wait. Whoever asked goes on with the
// session there is.
func (p *Pool) renew(s *Session) {
	g := s.Grant()
	at := p.place(p.hash(g), g)
	at.mu.Lock()
	defer at.mu.Unlock()
	now := time.Now()
	if at.closed || at.sessions[at.hash] != s || at.flights[at.key] != nil || now.Before(at.refusals[at.key].until) {
		return
	}
	if p.gate.enterNow(at.key, now) {
		p.launch(&flight{place: at, grant: g, renews: s, entered: true})
	}
}

// launch starts a sign-in. The shard's lock is held.
func (p *Pool) launch(f *flight) *flight {
	f.done = make(chan struct{})
	f.grant.User = strings.Clone(f.grant.User) // outlives the request, whose memory it may be
	f.flights[f.key] = f
	p.flying.Go(func() { p.fly(f) })
	return f
}

// fly runs one sign-in to its end and publishes the outcome.
func (p *Pool) fly(f *flight) {
	s, err := p.signIn(f.key, f.grant, noSeat, f.entered)
	p.land(f, s, err)
	if f.renews != nil {
		p.opts.Observer.refresh(RefreshEvent{Session: f.renews, Fresh: s, Err: err})
	}
	for range 2 { // and one more each time, where there is less room than there was
		if s != nil && p.live.Load() > p.room.Load() {
			p.evict(f.hash, s)
		}
	}
}

func (p *Pool) land(f *flight, s *Session, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flights, f.key)
	f.session, f.err = s, err
	defer close(f.done)

	if s == nil {
		p.remember(f, err)
		return
	}
	delete(f.refusals, f.key)
	s.barren = f.barren
	now := time.Now()
	if old := p.take(f.shard, f.hash); old != nil {
		p.retired.add(old, now)
	}
	// A closed pool keeps it too: Close waits for flights, then signs out.
	f.sessions[f.hash] = s
	p.live.Add(1)
	s.used(now)
}

// take takes the session at hash out of sh, whose lock is held, and returns it.
func (p *Pool) take(sh *shard, hash uint64) *Session {
	s := sh.sessions[hash]
	if s != nil {
		delete(sh.sessions, hash)
		p.live.Add(-1)
	}
	return s
}

// remember notes a failed sign-in.
func (p *Pool) remember(at *flight, err error) {
	if r, ok := p.refusalOf(err); ok {
		at.refusals[at.key] = r
	}
}

// refusalOf returns what is to be remembered of a failed sign-in: nothing, if
// it failed because we are closing, or if nothing was sent.
func (p *Pool) refusalOf(err error) (refusal, bool) {
	var failure *SignInError
	if !errors.As(err, &failure) || failure.ours || p.ctx.Err() != nil {
		return refusal{}, false
	}
	keep := rememberPassing
	if failure.Permanent() {
		keep = rememberPermanent
	}
	return refusal{err: failure, until: time.Now().Add(max(keep, failure.RetryAfter))}, true
}

// wait waits for the flight or for ctx, whichever ends first.
func (f *flight) wait(ctx context.Context) (s *Session, signedIn bool, err error) {
	select {
	case <-f.done:
		if f.err != nil {
			return nil, true, f.err
		}
		f.session.used(time.Now())
		return f.session, !f.landed, nil
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// landed is a flight that is over already: s was there.
func landed(s *Session) *flight { return &flight{done: closedChan, session: s, landed: true} }

package tableauauth

// This file holds the bounds and the brakes of the pool to the simulation: how
// many sessions and sign-ins there may be, and when a sign-in may be refused
// without Tableau being asked.

import "time"

const (
	simFailures = 5  // in a row, until sign-ins are tried only now and then
	simGrantAll = 10 // sign-ins of a grant that may begin at once
)

// tune sets the options that bound the pool.
func (p *simPlan) tune(o *PoolOptions) {
	o.MaxSessions = p.maxSessions
	o.Limits = SignInLimits{InFlight: p.limits.inFlight, PerGrant: p.limits.perGrant}
}

func (p *simPlan) inFlight() int {
	if p.limits.inFlight > 0 {
		return p.limits.inFlight
	}
	return simInFlight
}

// revoke drops the sessions of some grants. The lock is held.
func (s *sim) revoke(on simTarget) {
	p := s.pool
	known := 0
	for grant, k := range p.keys {
		if !on.covers(grant, s.plan.grants[grant]) || k.held == nil || !k.since.Before(time.Now()) {
			continue
		}
		if s.sure(p, k) {
			known++
		}
		k.held.revoked = time.Now()
		k.held = nil
	}
	s.mu.Unlock()
	n := p.Revoke(func(g Grant) bool { return on.covers(s.names[simGrantName(g)], g) })
	s.mu.Lock()
	s.counts.n[countRevoked] += n
	if n < known {
		s.failf("%d sessions were revoked, but there were %d at least", n, known)
	}
}

// brake reports whether a sign-in was refused by the pool's own limits, or
// while sign-in failed for everybody.
func (s *sim) brake(a *simAsk, e *SignInError) bool {
	memory := max(e.RetryAfter, simPassing+time.Second)
	if e.Reason == Limited {
		return s.crowded(a, a.began.Add(-memory-10*time.Second))
	}
	return a.pool.outage(a.began.Add(-memory))
}

// crowded reports whether sign-ins had reached a limit since.
func (s *sim) crowded(a *simAsk, since time.Time) bool {
	limit := s.plan.inFlight()
	if a.pool.fullAt.After(since) || a.pool.flying >= limit-limit/3 {
		return true
	}
	begun := 0
	for _, f := range a.pool.key(a.grant).flights {
		if f.began.After(since.Add(-time.Minute)) {
			begun++
		}
	}
	return begun >= simGrantAll
}

// outage reports whether so many sign-ins in a row had failed, for reasons
// that are not the user's, that the pool kept others back at some time since.
func (p *simPool) outage(since time.Time) bool {
	row := 0
	for _, f := range p.flights {
		switch {
		case f.cancelled:
			continue
		case f.reason == 0 || f.reason == Refused:
			if row >= simFailures && f.ended.After(since) {
				return true
			}
			row = 0
		default:
			row++
		}
	}
	return row >= simFailures
}

package tableauauth

// This file judges whether Tableau's sign-ins work: while they do not, few are
// tried.

import (
	"context"
	"errors"
	"time"
)

const (
	// unhealthyAfter is how many sign-ins in a row have to fail, of whomever, for
	// a reason that is not theirs.
	unhealthyAfter = 5

	// probeEvery is how often a sign-in is tried while they fail, or while none
	// comes back. Together with the time that a sign-in takes it is how long
	// Tableau's recovery can go unnoticed, if somebody wants to sign in.
	probeEvery = 3 * time.Second

	// hungAfter is the age from which a sign-in without an answer is begun
	// again when a younger one has succeeded. It is less than probeEvery, so that
	// the probe before the one that succeeds counts as hung too.
	hungAfter = 2500 * time.Millisecond

	// hungTimes is how many times longer than the one that succeeded it must
	// have taken for that: of a server that is merely slow, none is begun twice.
	hungTimes = 5
)

// errOvertaken is why a hung sign-in was cancelled.
var errOvertaken = errors.New("a sign-in that began later has succeeded")

// health is how the last sign-ins went. It is guarded by the gate's lock.
type health struct {
	failures int // in a row
	last     *SignInError
	probeAt  time.Time // when the next may begin, with so many failures
	cameBack time.Time // the last answer to any, or the last time that one was let through without one
	flying   map[*attempt]struct{}
}

// An attempt is one sign-in at Tableau that has begun.
type attempt struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	began  time.Time
	again  bool // nothing is lost if another takes its place
}

// overtaken reports whether a was cancelled because Tableau answers others.
func (a *attempt) overtaken() bool { return errors.Is(context.Cause(a.ctx), errOvertaken) }

// begin notes that a sign-in begins.
func (g *gate) begin(ctx context.Context, again bool) *attempt {
	a := &attempt{began: time.Now(), again: again}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.health.flying == nil {
		g.health.flying = make(map[*attempt]struct{})
	}
	if len(g.health.flying) == 0 {
		g.health.cameBack = a.began // there was nothing that could
	}
	g.health.flying[a] = struct{}{}
	return a
}

// end notes how a sign-in went, and reports whether that changed what is
// thought of Tableau's health.
func (g *gate) end(a *attempt, failure *SignInError) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer a.cancel(nil)
	delete(g.health.flying, a)
	if a.overtaken() || a.ctx.Err() != nil {
		return false
	}
	return g.health.note(a, failure, time.Now())
}

func (h *health) note(a *attempt, failure *SignInError, now time.Time) (changed bool) {
	was := h.failing()
	h.cameBack = now
	switch {
	case failure != nil && failure.ours: // nothing was sent
	case failure == nil:
		h.failures, h.last, h.probeAt = 0, nil, time.Time{}
		h.overtake(a, now)
	case failure.blamesTableau():
		h.failures++
		h.last = failure
		// From its beginning: one that hung and timed out at last must not keep
		// back the next.
		for _, at := range []time.Time{a.began.Add(probeEvery), now.Add(failure.RetryAfter)} {
			if at.After(h.probeAt) {
				h.probeAt = at
			}
		}
	default:
		h.failures, h.probeAt = 0, time.Time{} // Tableau has judged the credential, so it works
	}
	return h.failing() != was
}

// overtake cancels the sign-ins that hang, while the younger one of a was
// answered.
func (h *health) overtake(a *attempt, now time.Time) {
	took := now.Sub(a.began)
	for other := range h.flying {
		if age := now.Sub(other.began); other.again && age > hungAfter && age > hungTimes*took {
			other.cancel(errOvertaken)
		}
	}
}

// failing reports whether sign-ins fail, whoever's they are.
func (h *health) failing() bool { return h.failures >= unhealthyAfter }

// refuses returns why no sign-in may begin now, or nil. Nothing of what Tableau
// said to somebody else is in it.
func (h *health) refuses(now time.Time) *SignInError {
	if !h.failing() {
		return nil
	}
	if wait := h.probeAt.Sub(now); wait > 0 {
		return &SignInError{Reason: h.last.Reason, Status: h.last.Status, RetryAfter: wait, Err: errUnhealthy, ours: true}
	}
	h.probeAt = now.Add(probeEvery)
	return nil
}

// stalled reports whether nothing has come back for a while, and makes the next
// wait as long: one sign-in may begin.
func (h *health) stalled(now time.Time) bool {
	if len(h.flying) == 0 || now.Sub(h.cameBack) < probeEvery {
		return false
	}
	h.cameBack = now
	return true
}

// blamesTableau reports whether the failure would have met any sign-in.
func (e *SignInError) blamesTableau() bool {
	if e.ours {
		return false
	}
	switch e.Reason {
	case Throttled, Unavailable, Unreachable, TimedOut, Nonsense:
		return true
	default:
		return false
	}
}

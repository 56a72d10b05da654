package tableauauth

// This file holds the day to what is promised. Each violation is one line; the
// day goes on, so that one mistake shows all its consequences.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// What the pool promises, in numbers of the simulation's own: a constant
	// that was changed by mistake would go unnoticed if it were used here.
	simPermanent = 15 * time.Second
	simPassing   = time.Second
	simRetire    = 10 * time.Minute
	simSweep     = time.Minute
	simInFlight  = 32
	simRecovery  = 5 * time.Second
	simQuiet     = time.Minute
	simTimeout   = 30 * time.Second // of a call about a session

	simMaxBroken = 20
)

// A simEvent is a line of the day's trace.
type simEvent struct {
	at                time.Duration
	what, more        string
	pool, grant, asks int
}

func (e simEvent) String() string {
	line := fmt.Sprintf("%-18v pool %d", e.at, e.pool)
	if e.grant >= 0 {
		line += fmt.Sprintf(" grant %-2d", e.grant)
	}
	if e.asks >= 0 {
		line += fmt.Sprintf(" request %d", e.asks)
	}
	return strings.TrimRight(fmt.Sprintf("%s: %s %s", line, e.what, e.more), " ")
}

func (s *sim) note(what string, pool, grant, asks int, more string) {
	s.events = append(s.events, simEvent{s.now(), what, more, pool, grant, asks})
}

func (s *sim) fail(what string) {
	if len(s.broken) < simMaxBroken {
		s.broken = append(s.broken, fmt.Sprintf("%v: %s", s.now(), what))
	}
	s.events = append(s.events, simEvent{s.now(), "VIOLATION", what, -1, -1, -1})
}

func (s *sim) failf(format string, args ...any) { s.fail(fmt.Sprintf(format, args...)) }

// renewalAge is the least age at which a session is renewed.
func (p *simPlan) renewalAge() time.Duration { return p.renewLimit() * 9 / 10 }

func (p *simPlan) renewLimit() time.Duration {
	if p.renewAfter == 0 {
		return 100 * time.Minute
	}
	return p.renewAfter
}

func (p *simPlan) idleLimit() time.Duration {
	if p.idleAfter == 0 {
		return time.Hour
	}
	return p.idleAfter
}

// sure reports whether the pool must have a session for k now, dead or alive:
// nothing has happened that lets it give the session up.
func (s *sim) sure(p *simPool, k *simKey) bool {
	t := k.held
	now := time.Now()
	if t == nil || t.dropped || !t.denied.IsZero() || !t.revoked.IsZero() || s.plan.maxSessions > 0 || !p.closing.IsZero() || !k.since.Before(now) {
		return false
	}
	idle := s.plan.idleLimit()
	if p.idleSafe > 0 {
		idle = min(idle, p.idleSafe)
		if now.Sub(t.good) >= idle { // it is taken to have ended
			return false
		}
	}
	return now.Sub(k.used) < idle-simSweep
}

// starting is called when a client's request begins.
func (s *sim) starting(a *simAsk) {
	k := a.pool.key(a.grant)
	if a.sure = s.sure(a.pool, k); !a.sure && k.since.Before(time.Now()) {
		k.held = nil // until it is seen again
	}
	k.used = time.Now()
	s.note("request", a.pool.n, a.grant, a.id, "")
}

// acquired is called when a client's request has its session.
func (s *sim) acquired(a *simAsk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.got = time.Now()
	if a.binding.Session == nil {
		return
	}
	t := s.byJTI[a.binding.Session.JTI()]
	if t == nil {
		s.failf("request %d got a session that Tableau did not begin", a.id)
		return
	}
	t.asked = time.Now()
	if k := a.pool.key(a.grant); k.held == nil {
		k.held, k.since = t, time.Now()
	}
}

// departing checks that a sign-in may begin. The lock is held.
func (s *sim) departing(k *simKey, grant int) {
	now := time.Now()
	s.counts.n[countChecks] += 4
	if len(k.flights) > 0 {
		last := k.flights[len(k.flights)-1]
		switch since := now.Sub(last.ended); {
		case last.ended.IsZero() && last.ctx.Err() == nil:
			s.failf("grant %d: two sign-ins at once", grant)
		case last.ended.IsZero() || last.reason == 0 || last.cancelled:
		case last.asks > 0 && since < last.asks:
			s.failf("grant %d: a sign-in %v after Tableau asked for %v", grant, since, last.asks)
		case last.permanent && since < simPermanent && !s.correctable(k, since):
			s.failf("grant %d: a sign-in %v after a permanent refusal", grant, since)
		case !last.permanent && since < simPassing:
			s.failf("grant %d: a sign-in %v after one that failed (%v)", grant, since, last.reason)
		}
	}
}

// correctable reports whether a refusal may be followed by another attempt at
// once, because Tableau's clock was found to have moved.
func (s *sim) correctable(k *simKey, since time.Duration) bool {
	if since > 0 || s.movedAt.IsZero() {
		return false
	}
	n := len(k.flights)
	return n < 2 || k.flights[n-2].ended.IsZero() || k.flights[n-2].cancelled || !k.flights[n-2].ended.Equal(k.flights[n-1].began)
}

// needed checks that a sign-in has a reason, and that there are not too many.
func (s *sim) needed(p *simPool, k *simKey, grant int) {
	limit := s.plan.inFlight()
	if p.flying > limit {
		s.failf("%d sign-ins in flight, %d are allowed", p.flying, limit)
	}
	if p.flying >= limit-limit/3 { // the rest is kept for probing
		p.fullAt = time.Now()
	}
	if !s.sure(p, k) {
		return
	}
	s.expire(k.held)
	age := time.Since(k.held.began)
	renewal := s.plan.renewalAge()
	if p.ageSafe > 0 {
		renewal = min(renewal, p.ageSafe*9/10)
	}
	if k.held.ended.IsZero() && age < renewal-time.Second {
		s.failf("grant %d: a sign-in although its session lives, is %v old and was used %v ago", grant, age, time.Since(k.used))
	}
	if k.held.ended.IsZero() {
		s.counts.n[countRenewals]++
		if s.plan.herd && strings.HasPrefix(s.plan.grants[grant].User, "herd") {
			s.renewedAt = append(s.renewedAt, s.now())
		}
	}
}

// landed takes down how a sign-in ended. The lock is held.
func (s *simWire) landed(f *simFlight, grant int, began *simSession, err error) {
	f.ended = time.Now()
	s.pool.flying--
	s.pool.flights = append(s.pool.flights, f)
	if err != nil { // what Tableau decided did not arrive
		f.permanent, f.asks = false, 0
	}
	switch {
	case err != nil && errors.Is(f.ctx.Err(), context.DeadlineExceeded):
		f.reason = TimedOut
	case err != nil && f.ctx.Err() != nil:
		f.reason, f.cancelled = 0, true
	case err != nil:
		f.reason = Unreachable
	}
	if f.cancelled && !s.pool.closing.IsZero() && f.ended.Before(s.pool.closeBy) && !f.began.Before(s.pool.closing.Add(-simTimeout)) {
		s.failf("grant %d: Close cut off a sign-in", grant)
	}
	if f.reason != 0 {
		s.counts.n[countFailed]++
	}
	s.note("sign-in ends", s.pool.n, grant, -1, f.outcome(began))
}

func (f *simFlight) outcome(began *simSession) string {
	switch {
	case f.cancelled:
		return "cancelled"
	case f.reason != 0:
		return f.reason.String()
	default:
		return fmt.Sprintf("session %d", began.n)
	}
}

// sending checks a sending of a client's request. The lock is held.
func (s *sim) sending(a *simAsk, send *simSend) {
	s.counts.n[countChecks] += 4
	t := send.session
	if t == nil {
		s.failf("request %d: a token that Tableau never gave", a.id)
		return
	}
	send.good = t.good
	s.expire(t)
	if t.grant != a.grant {
		s.failf("request %d of grant %d travels with a session of grant %d", a.id, a.grant, t.grant)
	}
	if t.pool != a.pool {
		s.failf("request %d of pool %d travels with a session of pool %d", a.id, a.pool.n, t.pool.n)
	}
	if !t.revoked.IsZero() && a.began.After(t.revoked) {
		s.failf("request %d travels with a session that was revoked before it came", a.id)
	}
	if n := len(a.sends); n > 2 || n == 2 && !a.sends[0].ended {
		s.failf("request %d is sent for the %dth time after status %d", a.id, n, a.sends[n-2].status)
	}
	if a.atRisk() && a.probes == 0 && len(a.sends) == 1 && send.at.Sub(t.good) > simQuiet {
		s.failf("request %d, which cannot be sent again, leaves without a probe, %v after the session was last good", a.id, send.at.Sub(t.good))
	}
}

// atRisk reports whether an ended session would do harm to the request: its
// body cannot be sent again, or nobody would see it.
func (a *simAsk) atRisk() bool { return a.size > simBuffer && !a.stream || a.metadata }

// overdueRenewal checks that a session that Tableau ended for its age had not
// been in use when it was time to renew it. The lock is held.
func (s *sim) overdueRenewal(t *simSession) {
	if t.how != "cap" || s.plan.maxSessions > 0 || s.plan.tableauCap < s.plan.renewLimit()+10*time.Minute {
		return
	}
	k := t.pool.key(t.grant)
	from, to := t.began.Add(s.plan.renewLimit()), t.ended.Add(-3*time.Minute)
	if k.held != t || t.used.Before(from) || t.used.After(to) || t.pool.outage(from) || t.pool.fullAt.After(from) {
		return // a renewal needs room at once
	}
	for _, f := range k.flights {
		if !f.began.Before(t.began.Add(s.plan.renewalAge())) && f.began.Before(t.ended) {
			return
		}
	}
	s.failf("grant %d: a session reached Tableau's limit of age, though it was used at the age of %v", t.grant, t.used.Sub(t.began))
}

// answered checks the end of a client's request. The lock is held.
func (s *sim) answered(a *simAsk) {
	s.counts.n[countChecks] += 5
	now := time.Now()
	s.note("answer", a.pool.n, a.grant, a.id, a.outcome())
	if end, _ := a.ctx.Deadline(); now.After(end.Add(time.Millisecond)) || a.cancel > 0 && now.Sub(a.began) > a.cancel+time.Millisecond {
		s.failf("request %d ended %v after it began: later than its client left", a.id, now.Sub(a.began))
	}
	if a.sure {
		s.counts.n[countSure]++
		if a.signedIn || !a.got.Equal(a.began) {
			s.failf("request %d waited %v for a sign-in although there was a session", a.id, a.got.Sub(a.began))
		}
	}
	if a.err == nil {
		s.judgeAnswer(a)
	} else {
		s.judgeError(a)
	}
	if !s.faulty(a) && a.cancel == 0 && now.Sub(a.began) > 20*time.Second+a.bodyTime() {
		s.failf("request %d took %v, without a fault", a.id, now.Sub(a.began))
	}
	if a.witness > 0 && a.began.Sub(s.start) >= a.witness+simRecovery && a.err != nil && !s.troubledWitness(a) {
		s.failf("request %d failed %v after sign-in had come back: %v", a.id, s.now()-a.witness, a.err)
	}
}

// bodyTime is how long the client takes to send its body, twice.
func (a *simAsk) bodyTime() time.Duration {
	if a.body == nil {
		return 0
	}
	return 2 * a.slow * time.Duration(a.size/300+2)
}

func (a *simAsk) outcome() string {
	if a.err != nil {
		return fmt.Sprintf("error: %v (%d sendings, %d probes)", a.err, len(a.sends), a.probes)
	}
	return fmt.Sprintf("%d (%d sendings, %d probes)", a.gave, len(a.sends), a.probes)
}

// judgeAnswer checks what Tableau answered.
func (s *sim) judgeAnswer(a *simAsk) {
	last := a.sends[len(a.sends)-1]
	want := a.wanted()
	switch {
	case a.gave == http.StatusUnauthorized && last.ended:
		s.judgeEnded(a, last)
	case a.hidden && last.at.Sub(last.good) <= simQuiet || a.hidden && a.flags&simProbeUnknown != 0:
	case a.accepted != 1:
		s.failf("request %d was accepted %d times", a.id, a.accepted)
	case a.flags&simFault500 != 0 && a.gave == 500:
	case a.gave != want:
		s.failf("request %d was answered with %d, not %d", a.id, a.gave, want)
	case a.gave == 200 && a.owner != simGrantName(s.plan.grants[a.grant]):
		s.failf("request %d of %s was answered for %s", a.id, simGrantName(s.plan.grants[a.grant]), a.owner)
	}
}

// wanted is the status that the plan has for the request.
func (a *simAsk) wanted() int {
	if a.status == simStatusDataSource {
		return http.StatusUnauthorized
	}
	return a.status
}

// judgeEnded checks a client that was told that its session has ended. That may
// be if two sessions were killed under the same request, the second perhaps
// before the answer to its sign-in had come, if nobody could find out, or if a missing scope came to light with the second session.
func (s *sim) judgeEnded(a *simAsk, last *simSend) {
	missing := !s.may(a)
	switch {
	case a.flags&simProbeUnknown != 0:
	case len(a.sends) == 2 && missing:
	case !a.pool.closing.IsZero() && last.session != nil && last.session.how == "sign-out": // by Close, whose grace was over
	case len(a.sends) == 2 && last.session != nil && last.session.how == "kill" && (last.session.ended.After(a.began) || !last.session.accepted):
	default:
		s.failf("request %d was told that its session has ended", a.id)
	}
}

// may reports whether the grant has the scope of the request.
func (s *sim) may(a *simAsk) bool { return slices.Contains(s.plan.grants[a.grant].Scopes, a.scope) }

// judgeError checks that an error has a reason other than that a session
// began, ended or was renewed.
func (s *sim) judgeError(a *simAsk) {
	var refused *SignInError
	var scope *ScopeError
	var ended *EndedError
	ok := false
	switch err := a.err; {
	case errors.As(err, &refused):
		ok = s.explained(a, refused)
	case errors.As(err, &scope):
		ok = !s.may(a)
	case errors.As(err, &ended), errors.Is(err, errBodyGone):
		ok = s.unlucky(a)
	case errors.Is(err, ErrPoolClosed):
		ok = !a.pool.closing.IsZero()
	case errors.Is(err, errSimCut):
		ok = a.flags&simCut != 0
	case errors.Is(err, context.Canceled):
		ok = a.cancel > 0 && a.ctx.Err() != nil
	case errors.Is(err, context.DeadlineExceeded):
		ok = a.ctx.Err() != nil && (a.flags&simHung != 0 || a.cancel > 0 || s.signInTrouble(a))
	}
	if a.cancel > 0 && a.ctx.Err() != nil {
		s.counts.n[countLeft]++
	} else {
		s.counts.n[countErrors]++
	}
	if !ok {
		s.failf("request %d failed without a fault that concerns it: %v", a.id, a.err)
	}
}

// unlucky reports whether the session of a large body ended in the minute
// in which it is taken to live, or while the body was on its way.
func (s *sim) unlucky(a *simAsk) bool {
	if a.size <= simBuffer || len(a.sends) == 0 {
		return false
	}
	first := a.sends[0]
	if first.session == nil {
		return false
	}
	back := s.plan.slowest + time.Millisecond // the last good answer may have been on its way when the session ended
	return a.flags&simProbeUnknown != 0 || !s.may(a) || first.session.ended.After(first.good.Add(-back))
}

// explained reports whether a failed sign-in of the request's own grant is why
// it failed, one that is remembered still.
func (s *sim) explained(a *simAsk, e *SignInError) bool {
	k := a.pool.key(a.grant)
	for _, f := range k.flights {
		memory := simPassing + time.Second
		if f.permanent {
			memory = simPermanent
		}
		if !f.ended.IsZero() && f.reason == e.Reason && f.faulty && !f.ended.Add(max(memory, f.asks)).Before(a.began) {
			return true
		}
	}
	return e.Reason == Barren && s.barren(a) || s.brake(a, e)
}

// barren reports whether six sessions of the grant ended, one after the
// other, before a request was accepted.
func (s *sim) barren(a *simAsk) bool {
	n := 0
	for _, t := range s.all {
		if t.grant != a.grant || t.pool != a.pool {
			continue
		}
		if n++; t.accepted || t.how != "kill" {
			n = 0
		}
		if n >= 6 {
			return true
		}
	}
	return false
}

// signInTrouble reports whether a sign-in of the request's grant that something
// was wrong with was under way when the request was.
func (s *sim) signInTrouble(a *simAsk) bool {
	for _, f := range a.pool.key(a.grant).flights {
		if f.faulty && (f.ended.IsZero() || !f.ended.Before(a.began)) {
			return true
		}
	}
	return false
}

// faulty reports whether something that was done on purpose concerned a.
func (s *sim) faulty(a *simAsk) bool { return a.flags != 0 || s.signInTrouble(a) }

// troubledWitness reports whether a witness of a recovery has a reason to fail
// that is not the outage it is a witness of.
func (s *sim) troubledWitness(a *simAsk) bool {
	for _, f := range s.faults {
		if f.kind.of() == callSignIn && s.now()-f.until < simRecovery && f.until != a.witness || f.asks > 0 && s.now()-f.until < time.Duration(f.asks)*time.Second+simRecovery {
			return true
		}
	}
	// Of a few sign-ins at once, too few are kept for probing while all hang.
	return s.signInTrouble(a) || s.offset.Abs() > MaxClockOffset || s.plan.limits.inFlight > 0
}

// signingOut checks that a session that is ended has not been asked for lately.
func (s *sim) signingOut(t *simSession) {
	k := t.pool.key(t.grant)
	s.counts.n[countChecks]++
	if k.held == t && s.sure(t.pool, k) {
		s.failf("grant %d: its session is signed out %v after it was used", t.grant, time.Since(k.used))
	}
	if lent := time.Since(t.asked); lent < simRetire-2*time.Second && t.denied.IsZero() && s.plan.maxSessions == 0 && t.pool.closing.IsZero() && t.pool.idleSafe == 0 {
		s.failf("grant %d: session %d is signed out %v after it was given to a request", t.grant, t.n, lent)
	}
}

// check is called between any two steps of the day.
func (s *sim) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.n[countChecks] += 3
	now := time.Now()
	for a := range s.asking {
		if end, _ := a.ctx.Deadline(); now.After(end.Add(time.Second)) {
			s.failf("request %d is not answered %v after its client left", a.id, now.Sub(end))
			delete(s.asking, a)
		}
	}
	if n := s.pool.Len(); s.plan.maxSessions > 0 && n > s.plan.maxSessions {
		s.failf("the pool has %d sessions, %d are allowed", n, s.plan.maxSessions)
	}
	if now.Sub(s.lastLook) >= 20*time.Minute {
		s.lastLook = now
		for _, t := range s.all {
			s.forgotten(t)
		}
	}
}

// forgotten checks that a session nobody uses is ended in time.
func (s *sim) forgotten(t *simSession) {
	s.expire(t)
	if !t.ended.IsZero() || t.lost || t.failed {
		return
	}
	s.counts.n[countChecks]++
	last := t.used
	if t.asked.After(last) {
		last = t.asked
	}
	if unused := time.Since(last); unused > max(s.plan.idleLimit(), simRetire)+5*simSweep {
		s.failf("grant %d: session %d lives, was last used %v ago, and nobody ends it", t.grant, t.n, unused)
		t.lost = true // said once
	}
}

// closedPool checks what a closed pool leaves behind. The lock is held.
func (s *sim) closedPool(p *simPool, left int, within time.Duration) {
	if took := time.Since(p.closing); took > within {
		s.failf("pool %d took %v to close, %v were allowed", p.n, took, within)
	}
	failed := 0
	for _, t := range s.all {
		s.expire(t)
		s.counts.n[countChecks]++
		switch {
		case t.pool != p:
		case t.failed && t.logged:
			failed++
		case t.ended.IsZero() && !t.lost:
			s.failf("grant %d: session %d lives after Close, and nothing says why (sign-out failed: %v, logged: %v)", t.grant, t.n, t.failed, t.logged)
		}
	}
	if left > failed {
		s.failf("pool %d left %d sessions, but %d sign-outs failed", p.n, left, failed)
	}
	if p.flying != 0 {
		s.failf("pool %d: %d sign-ins under way after Close", p.n, p.flying)
	}
}

// finish ends the day.
func (s *sim) finish() {
	for range 10 {
		s.check()
		time.Sleep(30 * time.Second)
	}
	s.mu.Lock()
	waiting := len(s.asking)
	if waiting > 0 {
		s.failf("%d requests were never answered", waiting)
	}
	s.mu.Unlock()
	s.gone.Wait()
	s.close(s.pool, time.Minute)
	for _, b := range s.bodies {
		s.counts.n[countChecks]++
		if b.closed.Load() == 0 {
			s.failf("the body of request %d was not closed", b.id)
		}
	}
	s.checkHerd()
}

// checkHerd checks that those who arrived together did not come back together.
func (s *sim) checkHerd() {
	if !s.plan.herd || len(s.renewedAt) < simHerd {
		return
	}
	first, last := s.renewedAt[0], s.renewedAt[0]
	for _, at := range s.renewedAt[:simHerd] {
		first, last = min(first, at), max(last, at)
	}
	s.counts.n[countChecks]++
	if last-first < time.Minute+2*time.Second {
		s.failf("%d sessions that began together were all renewed within %v", simHerd, last-first)
	}
}

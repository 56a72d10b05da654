package tableauauth

// This file holds the limits on sign-ins: Tableau is to see few of them, at a
// rate that it can bear, whatever the clients do.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// SignInLimits bound the sign-ins of a [Pool]. The zero value has the defaults.
// A sign-in that they keep back is not sent, and fails with the reason
// [Limited]. A renewal never waits: it is left for later, while the session
// that it would renew goes on.
type SignInLimits struct {
	// Rate is how many sign-ins may begin each second, of all grants together.
	// After a quiet time, twice as many may begin at once. Default: 50.
	Rate float64

	// PerGrant is how many sign-ins may begin for one grant each minute. After a
	// quiet time, a third as many, but at least 10, may begin at once.
	// Default: 30.
	PerGrant float64

	// InFlight is how many sign-ins may run at once. A third of these is kept
	// for the time when nothing comes back: then a sign-in is begun every 3
	// seconds, to see when Tableau has recovered. With fewer than 30, these too
	// may all hang, until one has timed out. Default: 32.
	InFlight int

	// Queue is how many sign-ins may wait for their turn. Default: 1000.
	Queue int

	// Wait is how long a sign-in may wait for its turn. Default: 10 seconds.
	Wait time.Duration
}

func (l SignInLimits) withDefaults() SignInLimits {
	if l.Rate <= 0 {
		l.Rate = 50
	}
	if l.PerGrant <= 0 {
		l.PerGrant = 30
	}
	if l.InFlight <= 0 {
		l.InFlight = 32
	}
	if l.Queue <= 0 {
		l.Queue = 1000
	}
	if l.Wait <= 0 {
		l.Wait = 10 * time.Second
	}
	return l
}

// burst is how many sign-ins of all may begin at once.
func (l SignInLimits) burst() int { return int(2*l.Rate) + 1 }

// burstPerGrant is how many sign-ins of one grant may begin at once.
func (l SignInLimits) burstPerGrant() int { return max(10, int(l.PerGrant/3)) }

// regular is how many sign-ins may run at once while answers come.
func (l SignInLimits) regular() int { return l.InFlight - l.InFlight/3 }

// A gate lets sign-ins through, one by one, as the limits and the health of
// Tableau's sign-ins allow. No goroutine belongs to it.
type gate struct {
	mu      sync.Mutex
	limits  SignInLimits
	all     *rate.Limiter
	grants  map[Key]*rate.Limiter // of grants that have signed in lately
	queue   []chan struct{}       // closed for who is let through
	delayed int                   // how many wait for the rate, before the queue
	running int
	health  health
}

func newGate(l SignInLimits) *gate {
	g := &gate{grants: make(map[Key]*rate.Limiter)}
	g.use(l)
	return g
}

// use changes the limits. Who waits, waits by the old ones.
func (g *gate) use(l SignInLimits) {
	l = l.withDefaults()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limits == l {
		return
	}
	g.limits = l
	g.all = rate.NewLimiter(rate.Limit(l.Rate), l.burst())
	clear(g.grants)
}

// enter waits for the turn of a sign-in. Without an error, leave must be called
// when the sign-in is over.
func (g *gate) enter(ctx context.Context, key Key) *SignInError {
	delay, refused := g.reserve(key, time.Now())
	if refused != nil {
		return refused
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
		g.mu.Lock()
		g.delayed--
		g.mu.Unlock()
	}
	return g.queueUp(ctx, delay)
}

// reserve takes a place in time for a sign-in, which may be some time ahead.
// What refuses it spends nothing: neither the grant's number nor the probe.
func (g *gate) reserve(key Key, now time.Time) (delay time.Duration, refused *SignInError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.spent(key, now) {
		return 0, limited(time.Duration(float64(time.Minute)/g.limits.PerGrant),
			fmt.Errorf("the sessions of this grant had to be begun more often than %g times a minute: something ends them", g.limits.PerGrant))
	}
	place := g.all.ReserveN(now, 1)
	delay = place.DelayFrom(now)
	switch {
	case delay > g.limits.Wait:
		refused = limited(delay-g.limits.Wait, fmt.Errorf("more sign-ins are due than %g a second", g.limits.Rate))
	case delay > 0 && g.full():
		refused = limited(delay, g.errFull())
	default:
		refused = g.health.refuses(now)
	}
	if refused != nil {
		place.CancelAt(now)
		return 0, refused
	}
	g.grant(key).AllowN(now, 1)
	if delay > 0 {
		g.delayed++
	}
	return delay, nil
}

// queueUp waits for one of the places of sign-ins that run, for what is left
// of the time.
func (g *gate) queueUp(ctx context.Context, waited time.Duration) *SignInError {
	turn, refused := g.take(time.Now())
	if refused != nil || turn == nil {
		return refused
	}
	limit := time.NewTimer(g.limits.Wait - waited)
	defer limit.Stop()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	for {
		select {
		case <-turn:
			return nil
		case <-probe.C:
			if g.probe(turn, time.Now()) {
				return nil
			}
		case <-limit.C:
			if g.giveUp(turn) {
				return limited(probeEvery, fmt.Errorf("%d sign-ins are under way, and none has ended in time", g.limits.InFlight))
			}
			return nil
		case <-ctx.Done():
			if g.giveUp(turn) {
				return &SignInError{Reason: Limited, Err: ctx.Err(), ours: true}
			}
			return nil
		}
	}
}

// take takes a place, or else one in the queue.
func (g *gate) take(now time.Time) (turn chan struct{}, refused *SignInError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.running < g.limits.regular() && len(g.queue) == 0:
		g.running++
		return nil, nil
	case g.running < g.limits.InFlight && g.health.stalled(now):
		g.running++
		return nil, nil
	case g.full():
		return nil, limited(probeEvery, g.errFull())
	}
	turn = make(chan struct{})
	g.queue = append(g.queue, turn)
	return turn, nil
}

// probe lets who waits for turn through, if nothing comes back from Tableau and
// it is time to see whether it has recovered.
func (g *gate) probe(turn chan struct{}, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, turn)
	if i < 0 {
		return true // let through a moment ago
	}
	if g.running >= g.limits.InFlight || !g.health.stalled(now) {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	g.running++
	return true
}

// giveUp leaves the queue, unless the turn has just come.
func (g *gate) giveUp(turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.queue, turn)
	if i < 0 {
		return false
	}
	g.queue = slices.Delete(g.queue, i, i+1)
	return true
}

// enterNow is enter for what need not be: it does not wait.
func (g *gate) enterNow(key Key, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) > 0 || g.running >= g.limits.regular() || g.all.TokensAt(now) < 1 || g.spent(key, now) {
		return false
	}
	if g.health.refuses(now) != nil {
		return false
	}
	g.grant(key).AllowN(now, 1)
	g.all.AllowN(now, 1)
	g.running++
	return true
}

// leave gives the place of a sign-in to the next.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	for len(g.queue) > 0 && g.running < g.limits.regular() {
		close(g.queue[0])
		g.queue = slices.Delete(g.queue, 0, 1)
		g.running++
	}
}

// sweep forgets the grants that have not signed in lately.
func (g *gate) sweep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, l := range g.grants {
		if l.TokensAt(now) >= float64(l.Burst()) {
			delete(g.grants, key)
		}
	}
}

// spent reports whether a grant has to wait. The lock is held, as for what
// follows.
func (g *gate) spent(key Key, now time.Time) bool {
	l := g.grants[key]
	return l != nil && l.TokensAt(now) < 1
}

// grant returns the limiter of a grant.
func (g *gate) grant(key Key) *rate.Limiter {
	l := g.grants[key]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(g.limits.PerGrant/60), g.limits.burstPerGrant())
		g.grants[key] = l
	}
	return l
}

func (g *gate) full() bool { return len(g.queue)+g.delayed >= g.limits.Queue }

func (g *gate) errFull() error {
	return fmt.Errorf("%d sign-ins are waiting for their turn", g.limits.Queue)
}

// limited is the failure of a sign-in that was not sent.
func limited(retryAfter time.Duration, why error) *SignInError {
	return &SignInError{Reason: Limited, RetryAfter: max(retryAfter, time.Second), Err: why, ours: true}
}

var errUnhealthy = errors.New("sign-ins at Tableau have failed in this way several times in a row: they are tried now and then until one succeeds, and live sessions go on")

package tableauauth

// This file counts what a herd of requests costs Tableau: sign-ins, calls, and
// who waits for them. Counts, not times: time is simulated.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// slowSignIns makes each sign-in take so long.
func (r *rig) slowSignIns(d time.Duration) {
	r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: d})
}

// attempts counts the sign-ins that reached Tableau, whatever it said.
func (r *rig) attempts() int { return len(r.entries("sign_in")) }

// together runs n functions at once and waits for them.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// TestHerdOfOneUser: 10 000 requests of one user find no session: 1 sign-in.
func TestHerdOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.slowSignIns(2 * time.Second)
		together(10_000, func(int) {
			if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
				t.Error(err)
			}
		})
		if n := r.attempts(); n != 1 {
			t.Errorf("%d sign-ins, want 1", n)
		}
	})
}

// TestHerdOfUsers: 10 000 users come at once: as many sign-ins, and never more
// of them at a time than the limit.
func TestHerdOfUsers(t *testing.T) {
	const herd, limit = 10_000, 32
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{
			Rate: 1e6, InFlight: limit, Queue: herd, Wait: time.Hour,
		}})
		r.slowSignIns(10 * time.Millisecond)
		together(herd, func(i int) {
			if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprint("user", i))); err != nil {
				t.Error(err)
			}
		})
		if n := r.attempts(); n != herd {
			t.Errorf("%d sign-ins, want %d", n, herd)
		}
		if peak := r.Stats().MaxSignInsInFlight; peak > limit || peak < 2 {
			t.Errorf("%d sign-ins at a time, want some, but no more than %d", peak, limit)
		}
	})
}

// TestNobodyWaitsForRenewal: while sessions in use are renewed, and the sign-ins
// for it take long, no request waits.
func TestNobodyWaitsForRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{})
		const people = 20
		together(people, func(i int) { r.session(t, fmt.Sprint("user", i)) })
		r.slowSignIns(3 * time.Second)
		waited := 0
		for began := time.Now(); time.Since(began) < 4*time.Hour; time.Sleep(time.Second) {
			for i := range people {
				before := time.Now()
				_, signedIn, err := r.pool.Get(t.Context(), grant(fmt.Sprint("user", i)))
				if err != nil {
					t.Fatal(err)
				}
				if signedIn || time.Since(before) > 0 {
					waited++
				}
			}
		}
		if waited > 0 {
			t.Errorf("%d requests waited, want 0", waited)
		}
		if n := r.attempts(); n < 3*people || n > 4*people {
			t.Errorf("%d sign-ins in 4 hours, want 2 renewals for each of %d people, or 3", n, people)
		}
	})
}

// TestHerdFindsTheSessionDead: 100 requests of one session are told that it has
// ended: 1 sign-in, and every request is answered.
func TestHerdFindsTheSessionDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		r.slowSignIns(time.Second)
		r.KillSessions(tableautest.SessionFilter{})
		before := r.attempts()
		request := func(int) {
			if res, content, err := r.do(t, s, http.MethodGet, workbooks, ""); err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("%v, %v: %s", res, err, content)
			}
		}
		together(100, request)
		for i := range 10 { // that were on their way with the dead session for longer
			request(i)
		}
		if n := r.attempts() - before; n != 1 {
			t.Errorf("%d sign-ins, want 1", n)
		}
	})
}

// TestCallsWhereEverythingIs401: Tableau accepts sign-ins, and no session that
// comes of them. A request costs 3 calls at most, the probe included, and one
// sign-in.
func TestCallsWhereEverythingIs401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.session(t, "alice")
		refused := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Refuse: &tableautest.Refusal{Code: "401002"}})
		began := r.attempts()
		for i := range 100 {
			calls, signIns := refused.Hits(), r.attempts()
			if s, _, err := r.pool.Get(t.Context(), grant("alice")); err == nil {
				if res, _, err := r.do(t, s, http.MethodGet, workbooks, ""); err == nil && res.StatusCode != http.StatusUnauthorized {
					t.Errorf("request %d: status %d", i, res.StatusCode)
				}
			}
			if calls, signIns = refused.Hits()-calls, r.attempts()-signIns; calls > 3 || signIns > 1 {
				t.Errorf("request %d: %d calls and %d sign-ins, want at most 3 and 1", i, calls, signIns)
			}
		}
		if n := r.attempts() - began; n > maxBarren {
			t.Errorf("%d sign-ins for 100 requests at once, want at most %d", n, maxBarren)
		}
		refused.Remove()
	})
}

// TestSomethingEndsTheSessionsOfOne: a session that is ended ten times a second
// is not begun ten times a second.
func TestSomethingEndsTheSessionsOfOne(t *testing.T) {
	const minutes = 5
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		for range minutes * 600 {
			r.KillSessions(tableautest.SessionFilter{})
			if s, _, err := r.pool.Get(t.Context(), grant("alice")); err == nil {
				_, _, _ = r.do(t, s, http.MethodGet, workbooks, "")
			}
			time.Sleep(100 * time.Millisecond)
		}
		limits := SignInLimits{}.withDefaults()
		most := int(limits.PerGrant)*minutes + limits.burstPerGrant()
		if n := r.attempts(); n > most || n < most/2 {
			t.Errorf("%d sign-ins in %d minutes, want no more than %d, and not many less", n, minutes, most)
		}
	})
}

// TestFullQueue: who finds the queue full is refused at once, is told when to
// come again, and Tableau hears nothing of it.
func TestFullQueue(t *testing.T) {
	const herd, running, queue = 100, 2, 5
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Rate: 1000, InFlight: 3, Queue: queue, Wait: time.Minute}})
		r.slowSignIns(2 * time.Second)
		var served, refused atomic.Int32
		together(herd, func(i int) {
			before := time.Now()
			_, _, err := r.pool.Get(t.Context(), grant(fmt.Sprint("user", i)))
			failure, ours := errors.AsType[*SignInError](err)
			switch {
			case err == nil:
				served.Add(1)
			case ours && failure.Reason == Limited && failure.RetryAfter > 0 && time.Since(before) == 0 && !failure.Permanent():
				refused.Add(1)
			default:
				t.Errorf("after %v: %v", time.Since(before), err)
			}
		})
		if n := r.attempts(); n != running+queue || served.Load() != running+queue || refused.Load() != herd-running-queue {
			t.Errorf("%d sign-ins, %d served, %d refused; want %d, %[4]d and %d", n, served.Load(), refused.Load(), running+queue, herd-running-queue)
		}
		if _, _, err := r.pool.Get(t.Context(), grant("user99")); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

// TestSignInsAreDown: while sign-ins fail, whoever has a session goes on, Tableau
// sees few sign-ins, nobody is shown what it said to another, and within 5
// seconds of its recovery all is as before.
func TestSignInsAreDown(t *testing.T) {
	const minutes, live = 5, 5
	for name, down := range map[string]tableautest.Fault{
		"unavailable": {Refuse: &tableautest.Refusal{Code: "503000", Detail: "for a certain user"}},
		"throttled":   {Refuse: &tableautest.Refusal{Code: "429000", Detail: "for a certain user"}},
		"a web page":  {Body: tableautest.HTMLBody},
		"cut":         {Cut: tableautest.CutBeforeHeaders},
		"hung":        {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, anybody, PoolOptions{})
				for i := range live {
					r.session(t, fmt.Sprint("live", i))
				}
				down.Match = tableautest.Match{SignIn: true}
				fault := r.AddFault(down)
				var askers sync.WaitGroup
				defer askers.Wait()
				ask := func(i int) { // somebody new, who does not wait for long
					askers.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						defer cancel()
						if _, _, err := r.pool.Get(ctx, grant(fmt.Sprint("new", i))); err == nil {
							t.Error("a sign-in succeeded")
						} else if refused, ok := errors.AsType[*SignInError](err); ok && refused.ours && refused.Tableau != nil {
							t.Errorf("a refusal without a sign-in repeats Tableau: %v", err)
						}
					})
				}
				limits := SignInLimits{}.withDefaults()
				perMinute := unhealthyAfter + int(time.Minute/probeEvery) + 1
				if down.Hang { // until the first have timed out
					perMinute += 2 * limits.InFlight
				}
				for minute := range minutes {
					hits := fault.Hits()
					for i := range 120 {
						ask(minute*120 + i)
						user := fmt.Sprint("live", i%live)
						if res, _, err := r.do(t, r.session(t, user), http.MethodGet, workbooks, ""); err != nil || res.StatusCode != http.StatusOK {
							t.Errorf("minute %d, %s: %v, %v", minute, user, res, err)
						}
						time.Sleep(500 * time.Millisecond)
					}
					if n := fault.Hits() - hits; n > perMinute || n == 0 {
						t.Errorf("minute %d: %d sign-ins reached Tableau, want some, at most %d", minute, n, perMinute)
					}
				}
				time.Sleep(25 * time.Second) // nobody waits any more
				askers.Wait()
				fault.Remove()
				recovered := time.Now()
				for i := 0; ; i++ {
					if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprint("later", i))); err == nil {
						break
					}
					if time.Since(recovered) > 5*time.Second {
						t.Fatalf("no session 5 seconds after the recovery")
					}
					time.Sleep(100 * time.Millisecond)
				}
				if _, _, err := r.pool.Get(t.Context(), grant("another")); err != nil || time.Since(recovered) > 5*time.Second {
					t.Errorf("%v after the recovery: %v", time.Since(recovered), err)
				}
			})
		})
	}
}

package tableauauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// anybody lets everybody sign in.
var anybody = tableautest.Options{AcceptUser: func(string) bool { return true }}

// outcomes starts one request for each of n users and returns what came of it.
func (r *rig) outcomes(t *testing.T, n int) []error {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, _, errs[i] = r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", i))) })
	}
	all.Wait()
	return errs
}

// failedWith counts the errors that are sign-ins failed for reason.
func failedWith(reason Reason, errs []error) (n int) {
	for _, err := range errs {
		if failure, ok := errors.AsType[*SignInError](err); ok && failure.Reason == reason {
			n++
		}
	}
	return n
}

// TestSignInRate: sign-ins begin at the rate, and those that would have to wait
// too long are told when to come again.
func TestSignInRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Rate: 10, Wait: 5 * time.Second, InFlight: 1000}})
		began := time.Now()
		errs := r.outcomes(t, 100)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("somebody waited %v", took)
		}
		want := 21 + 5*10 // at once, and while the others wait
		if n := r.SignIns(tableautest.SignInFilter{}); n != want {
			t.Errorf("%d sign-ins, want %d", n, want)
		}
		if n := failedWith(Limited, errs); n != 100-want {
			t.Errorf("%d were kept back, want %d", n, 100-want)
		}
		for _, err := range errs {
			if failure, ok := errors.AsType[*SignInError](err); ok && (failure.RetryAfter < time.Second || !strings.Contains(failure.Error(), "10 a second")) {
				t.Errorf("kept back with %v, and %v", failure.RetryAfter, failure)
			}
		}
	})
}

// TestSignInsInFlight: only so many at once, in the order in which they came,
// and the queue has an end.
func TestSignInsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Rate: 1e6, InFlight: 6, Queue: 10, Wait: time.Minute}})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: time.Second})
		began := time.Now()
		errs := r.outcomes(t, 20)
		if took := time.Since(began); took != 4*time.Second { // 4 at a time, since 2 of 6 are kept
			t.Errorf("took %v, want 4 s", took)
		}
		if n := failedWith(Limited, errs); n != 20-14 {
			t.Errorf("%d were kept back, want 6", n)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 14 {
			t.Errorf("%d sign-ins, want 14", n)
		}
	})
}

// TestSignInsOfOneGrant: something that ends a user's sessions again and again
// does not make us sign in as often.
func TestSignInsOfOneGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{PerGrant: 6}})
		var kept error
		for range 60 {
			r.KillSessions(tableautest.SessionFilter{})
			s, _, err := r.pool.Get(t.Context(), grant("alice"))
			if err == nil {
				_, _, err = r.do(t, s, http.MethodGet, "/sites/{site}/workbooks", "")
			}
			if err != nil {
				kept = err
			}
			time.Sleep(time.Second)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n < 10+5 || n > 10+6 {
			t.Errorf("%d sign-ins in a minute, want 10 and 6 more", n)
		}
		if failedWith(Limited, []error{kept}) != 1 || !strings.Contains(kept.Error(), "6 times a minute") {
			t.Errorf("kept back with %v", kept)
		}
		if s, _, err := r.pool.Get(t.Context(), grant("bob")); err != nil {
			t.Errorf("another user: %v, %v", s, err)
		}
		// What was kept back is not held against the user.
		time.Sleep(10 * time.Second)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Errorf("when it is time again: %v", err)
		}
	})
}

// TestRenewalDoesNotQueue: while users wait to sign in, a session that is only
// due goes on.
func TestRenewalDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{InFlight: 1}})
		first := r.session(t, "alice")
		for range 105 {
			time.Sleep(time.Minute)
			r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: 20 * time.Second, Count: 1})
			scopes := []string{time.Now().String()} // another sign-in each time
			go func() { _, _, _ = r.pool.Get(t.Context(), Grant{Site: testSite, User: "bob", Scopes: scopes}) }()
			synctest.Wait()
			if r.session(t, "alice") != first {
				t.Fatal("renewed, although somebody else is waiting")
			}
		}
		r.ClearFaults()
		time.Sleep(time.Minute)
		r.session(t, "alice")
		synctest.Wait()
		if r.session(t, "alice") == first {
			t.Error("not renewed when nobody was waiting any more")
		}
	})
}

// TestLimitsChange: a running pool takes up other limits.
func TestLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Rate: 0.1, Wait: time.Second}})
		if n := failedWith(Limited, r.outcomes(t, 10)); n != 9 {
			t.Fatalf("%d were kept back, want 9", n)
		}
		r.pool.UseLimits(SignInLimits{})
		if n := failedWith(Limited, r.outcomes(t, 10)); n != 0 {
			t.Errorf("%d were kept back by the old limits", n)
		}
	})
}

// TestCloseWakesTheQueue: who waits for a turn is told that the pool closes.
func TestCloseWakesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{InFlight: 1, Rate: 1, Wait: time.Hour}})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Hang: true})
		var closed atomic.Int64
		for i := range 10 {
			go func() {
				if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", i))); errors.Is(err, ErrPoolClosed) {
					closed.Add(1)
				}
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.pool.Close(ctx)
		synctest.Wait()
		if closed.Load() != 10 {
			t.Errorf("%d of 10 were told", closed.Load())
		}
	})
}

// TestGateIsFair: whatever comes and goes, the number of those let through is
// that of those who left and those who run, and nobody is forgotten.
func TestGateIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := SignInLimits{Rate: 1e9, PerGrant: 1e9, InFlight: rapid.IntRange(1, 9).Draw(t, "in flight"), Queue: rapid.IntRange(1, 9).Draw(t, "queue")}
		g := newGate(limits)
		var running int
		var waiting []chan struct{}
		settle := func() {
			for len(waiting) > 0 {
				select {
				case <-waiting[0]:
					waiting, running = waiting[1:], running+1
				default:
					return
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				turn, refused := g.take(time.Now())
				switch {
				case refused != nil && len(waiting) < limits.Queue:
					t.Fatalf("refused with %d in the queue", len(waiting))
				case refused == nil && turn == nil:
					running++
				case refused == nil:
					waiting = append(waiting, turn)
				}
			},
			"leave": func(*rapid.T) {
				if running > 0 {
					running--
					g.leave()
					settle()
				}
			},
			"give up": func(t *rapid.T) {
				if len(waiting) == 0 {
					return
				}
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "who")
				if !g.giveUp(waiting[i]) {
					t.Fatal("had been let through, out of turn")
				}
				waiting = append(waiting[:i:i], waiting[i+1:]...)
			},
			"": func(t *rapid.T) {
				regular := g.limits.regular()
				if running > regular || len(waiting) > 0 && running < regular || g.running != running || len(g.queue) != len(waiting) {
					t.Fatalf("%d run of %d, %d wait; the gate counts %d and %d", running, regular, len(waiting), g.running, len(g.queue))
				}
			},
		})
	})
}

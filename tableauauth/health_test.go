package tableauauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// outage is a fault of sign-ins, and what comes of it.
var outages = map[string]struct {
	fault  tableautest.Fault
	reason Reason
}{
	"503":     {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "503000"}}, Unavailable},
	"429":     {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000"}}, Throttled},
	"cut":     {tableautest.Fault{Cut: tableautest.CutBeforeHeaders}, Unreachable},
	"garbage": {tableautest.Fault{Body: tableautest.HTMLBody}, Nonsense},
}

// TestOutage: while the sign-in endpoint is down, few sign-ins are tried, live
// sessions go on, and somebody who signs in after its return is served within
// 5 seconds.
func TestOutage(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, anybody, PoolOptions{})
				live := r.session(t, "alice")
				outage.fault.Match.SignIn = true
				down := r.AddFault(outage.fault)
				const seconds = 10 * 60
				for i := range seconds * 4 {
					_, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", i)))
					failure, ok := errors.AsType[*SignInError](err)
					if !ok || failure.Reason != outage.reason || failure.ours && failure.Tableau != nil {
						t.Fatalf("got %v, want the reason %s", err, outage.reason)
					}
					if i%100 == 0 {
						if res, _, err := r.do(t, live, http.MethodGet, "/sites/{site}/workbooks", ""); err != nil || res.StatusCode != http.StatusOK {
							t.Fatalf("the live session: %v, %v", res, err)
						}
					}
					time.Sleep(time.Second / 4)
				}
				if n := down.Hits(); n < seconds/3 || n > unhealthyAfter+seconds/3 {
					t.Errorf("%d sign-ins were tried in %d s, want %d", n, seconds, seconds/3)
				}
				down.Remove()
				back := time.Now()
				for i := 0; ; i++ {
					if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("late%d", i))); err == nil {
						break
					}
					time.Sleep(time.Second / 10)
				}
				if took := time.Since(back); took > 5*time.Second {
					t.Errorf("served %v after Tableau's return", took)
				}
				if n := failedWith(outage.reason, r.outcomes(t, 50)); n != 0 {
					t.Errorf("%d are kept back afterwards", n)
				}
			})
		})
	}
}

// TestHungSignIns: Tableau takes sign-ins and says nothing. One is begun every 3
// seconds all the same, the first that is answered ends the waiting of all, and
// nobody's is in the air twice.
func TestHungSignIns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Wait: time.Minute, Rate: 1000}})
		hung := r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Hang: true, Count: 28})
		served := make(chan time.Duration, 100)
		began := time.Now()
		for i := range 100 {
			go func() {
				if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", i))); err == nil {
					served <- time.Since(began)
				}
			}()
		}
		time.Sleep(25 * time.Second)
		// 22 at once, and six more, one by one; the seventh is answered.
		if n := hung.Hits(); n != 28 {
			t.Errorf("%d hung, want 28", n)
		}
		if len(served) != 100 {
			t.Errorf("%d of 100 served within 25 s", len(served))
		}
		close(served)
		for took := range served {
			if took != 21*time.Second {
				t.Errorf("served after %v, want 21 s", took)
			}
		}
		// What hung may have become a session that nobody knows of; what was
		// begun again is one that somebody has.
		if n := r.SignIns(tableautest.SignInFilter{}); n != 100 {
			t.Errorf("%d sign-ins, want 100", n)
		}
	})
}

// TestSlowIsNotHung: of a Tableau that is slow, no sign-in is begun twice.
func TestSlowIsNotHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Wait: time.Minute}})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: 12 * time.Second})
		for i := range 10 {
			go func() { _, _, _ = r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", i))) }()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if n := len(r.entries("sign_in")); n != 10 {
			t.Errorf("%d sign-ins, want 10", n)
		}
	})
}

// TestOthersMistakesAreNoOutage: a Connected App's refusals are no reason to
// keep others waiting.
func TestOthersMistakesAreNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		for i := range 20 {
			if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("nobody%d", i))); err == nil {
				t.Fatal("no error")
			}
		}
		if _, signedIn, err := r.pool.Get(t.Context(), grant("alice")); err != nil || !signedIn {
			t.Errorf("signed in %t, error %v", signedIn, err)
		}
	})
}

// TestNotSentIsNoOutage: what was not sent says nothing about Tableau, and is
// remembered for nobody.
func TestNotSentIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{})
		r.pool.UseClient(Client{Transport: roundTripFunc(func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%w: no record of it can be made", ErrNotSent)
		})})
		for range 2 {
			for _, err := range r.outcomes(t, 4*unhealthyAfter) {
				if !errors.Is(err, ErrNotSent) {
					t.Fatalf("got %v", err)
				}
			}
		}
		r.pool.UseClient(Client{Transport: r.base})
		if _, _, err := r.pool.Get(t.Context(), grant("user0")); err != nil {
			t.Errorf("as soon as something is sent again: %v", err)
		}
	})
}

// TestOutageTellsNothingOfOthers: what Tableau said to one user is not in what
// another is told.
func TestOutageTellsNothingOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "503000", Detail: "about-user-zero"}})
		var err error
		for i := range unhealthyAfter + 1 {
			_, _, err = r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", i)))
		}
		if err == nil || strings.Contains(err.Error(), "about-user-zero") || !strings.Contains(err.Error(), "several times in a row") {
			t.Errorf("told: %v", err)
		}
	})
}

// TestOutageObeysRetryAfter: no sign-in of anybody before Tableau wants one.
func TestOutageObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{})
		busy := r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Count: unhealthyAfter, Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "60"}})
		r.outcomes(t, unhealthyAfter)
		for i := range 59 {
			if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("late%d", i))); failedWith(Throttled, []error{err}) != 1 {
				t.Fatalf("after %d s: %v", i, err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil || busy.Hits() != unhealthyAfter {
			t.Errorf("after 60 s: %v, %d refused", err, busy.Hits())
		}
	})
}

// slowFor delays the sign-ins of one user by d.
func (r *rig) slowFor(user string, d time.Duration) http.RoundTripper {
	return roundTripFunc(func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		if parts := bytes.Split(body, []byte(".")); len(parts) > 2 {
			claims, _ := base64.RawURLEncoding.DecodeString(string(parts[1]))
			if bytes.Contains(claims, []byte(`"sub":"`+user+`"`)) {
				select {
				case <-time.After(d):
				case <-req.Context().Done():
					return nil, req.Context().Err()
				}
			}
		}
		return r.base.RoundTrip(req)
	})
}

// TestOvertakenOnce: a sign-in that is slow for one user only is begun again
// once, however many others succeed meanwhile.
func TestOvertakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{})
		r.pool.UseClient(Client{Transport: r.slowFor("alice", 20*time.Second)})
		slow := make(chan error, 1)
		began := time.Now()
		go func() { _, _, err := r.pool.Get(t.Context(), grant("alice")); slow <- err }()
		for i := range 10 {
			time.Sleep(hungAfter)
			r.session(t, fmt.Sprintf("user%d", i))
		}
		if err := <-slow; err != nil {
			t.Errorf("the slow one: %v", err)
		}
		if took := time.Since(began); took < 22*time.Second || took > 26*time.Second {
			t.Errorf("took %v: begun again once, it takes 20 s and what passed before", took)
		}
	})
}

// TestRefusedProbeIsNotSpent: a user whose own limit is used up, and who tries
// all the time, does not use up the probes of others.
func TestRefusedProbeIsNotSpent(t *testing.T) {
	for off := range 100 { // tenths of a second, as long as it takes alice to be let through again
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{PerGrant: 6}})
			down := r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "503000"}})
			try := func(user string) (served bool) {
				_, _, err := r.pool.Get(t.Context(), grant(user))
				return err == nil
			}
			for range 10*60*3 + off {
				try("alice")
				time.Sleep(100 * time.Millisecond)
			}
			down.Remove()
			back := time.Now()
			for try("alice"); !try("bob"); try("alice") {
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(back); took > 5*time.Second {
				t.Errorf("bob was served %v after Tableau's return", took)
			}
		})
	}
}

// TestHungProbesDoNotHoldBack: probes that time out after Tableau's return keep
// nobody waiting.
func TestHungProbesDoNotHoldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{})
		down := r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Count: unhealthyAfter, Refuse: &tableautest.Refusal{Code: "503000"}})
		r.outcomes(t, unhealthyAfter)
		if down.Hits() != unhealthyAfter {
			t.Fatalf("%d sign-ins", down.Hits())
		}
		hung := make(chan struct{}, 100)
		// They time out half a second before the next would begin.
		r.pool.UseClient(Client{Timeout: 29500 * time.Millisecond, Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			hung <- struct{}{}
			<-req.Context().Done()
			return nil, req.Context().Err()
		})})
		for i := range 40 { // probes begin at 3, 6, 9 ... seconds and hang for 30
			go func() { _, _, _ = r.pool.Get(t.Context(), grant(fmt.Sprintf("hung%d", i))) }()
			time.Sleep(time.Second)
		}
		if len(hung) < 8 {
			t.Fatalf("%d probes hung", len(hung))
		}
		r.pool.UseClient(Client{Transport: r.base})
		back := time.Now()
		for i := 0; ; i++ {
			if _, _, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("late%d", i))); err == nil {
				break
			}
			time.Sleep(time.Second / 10)
		}
		if took := time.Since(back); took > 5*time.Second {
			t.Errorf("served %v after Tableau's return", took)
		}
	})
}

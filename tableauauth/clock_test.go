package tableauauth

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// TestWrongClock: what is within bounds is corrected, at the cost of one refused
// attempt; what is not is refused, and says why.
func TestWrongClock(t *testing.T) {
	for _, c := range []struct {
		ahead     time.Duration // Tableau's clock, by ours
		corrected bool
	}{
		{0, true},
		{10 * time.Second, true},
		{-20 * time.Second, true},
		{6 * time.Minute, true},
		{-6 * time.Minute, true},
		{9 * time.Minute, true},
		{time.Hour, false},
		{-time.Hour, false},
	} {
		t.Run(c.ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reports atomic.Int64
				r := newRig(t, tableautest.Options{}, PoolOptions{Observer: Observer{Clock: func(time.Duration) { reports.Add(1) }}})
				r.SetClockOffset(c.ahead)
				_, _, err := r.pool.Get(t.Context(), grant("alice"))
				if (err == nil) != c.corrected {
					t.Fatalf("error %v", err)
				}
				if attempts := len(r.entries("sign_in")); attempts > 2 {
					t.Errorf("%d attempts", attempts)
				}
				if !c.corrected {
					var refused *SignInError
					if !errors.As(err, &refused) || !strings.Contains(err.Error(), "this machine's clock is") {
						t.Errorf("the clock is not named: %v", err)
					}
					return
				}
				r.ResetJournal()
				if _, _, err := r.pool.Get(t.Context(), grant("bob")); err != nil {
					t.Errorf("the next one: %v", err)
				}
				if attempts := len(r.entries("sign_in")); attempts != 1 {
					t.Errorf("the next one took %d attempts", attempts)
				}
				if want := int64(1); c.ahead.Abs() >= clockNoise && reports.Load() != want {
					t.Errorf("reported %d times, want %d", reports.Load(), want)
				}
			})
		})
	}
}

func TestClockComesRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.SetClockOffset(time.Hour)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err == nil {
			t.Fatal("no error an hour off")
		}
		r.SetClockOffset(0)
		time.Sleep(rememberPermanent + time.Second)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Error(err)
		}
		if d := r.pool.clock.correction(); d != 0 {
			t.Errorf("still corrects by %v", d)
		}
	})
}

func TestClaims(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	g := grant("alice")
	g.Claims = []Claim{
		{Name: "https://tableau.com/groups", Values: []string{"a"}, List: true},
		{Name: "Region", Values: []string{"West"}},
		{Name: "sub", Values: []string{"admin"}}, // the proxy's own wins
	}
	if _, _, err := r.pool.Get(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	e := r.entries("sign_in")[0]
	if e.JWT.Subject != "alice" || e.JWT.Claims["Region"] != "West" {
		t.Errorf("got %+v", e.JWT)
	}
	if groups, ok := e.JWT.Claims["https://tableau.com/groups"].([]any); !ok || len(groups) != 1 || groups[0] != "a" {
		t.Errorf("groups: %v", e.JWT.Claims["https://tableau.com/groups"])
	}
	if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
		t.Fatal(err)
	}
	if n := r.SignIns(tableautest.SignInFilter{}); n != 2 {
		t.Errorf("%d sign-ins: sessions with other claims are shared", n)
	}
}

func TestCheckClaimName(t *testing.T) {
	for _, name := range []string{"", "sub", "iss", "aud", "exp", "nbf", "iat", "jti", "scp", "scope", "email", "https://tableau.com/tenantId"} {
		if CheckClaimName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	for _, name := range []string{"Region", "https://tableau.com/oda", "https://tableau.com/groups"} {
		if err := CheckClaimName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

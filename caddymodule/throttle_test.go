package caddymodule

// This file checks that guessing client secrets is slow, whoever guesses, and
// that it holds up nobody whose secret is right.

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// guess counts n wrong secrets.
func (t *throttle) guess(n int, name, address string) {
	for range n {
		t.failed(name, address)
	}
}

func (t *throttle) busy(name, address, secret string) bool {
	_, busy := t.take(name, address, tableauapi.NewSecret(secret))
	return busy
}

func TestGuessesAreSlowedByNameAndByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for i := range guessBurst {
			if th.busy("etl", "192.0.2.1", "wrong") {
				t.Fatalf("held up after %d guesses", i)
			}
			th.guess(1, "etl", "192.0.2.1")
		}
		for _, test := range []struct {
			name, address string
			want          bool
		}{
			{"etl", "192.0.2.1", true},
			{"etl", "192.0.2.2", true},
			{"other", "192.0.2.1", true},
			{"other", "192.0.2.2", false},
		} {
			if got := th.busy(test.name, test.address, "wrong"); got != test.want {
				t.Errorf("%s from %s is held up: %t, want %t", test.name, test.address, got, test.want)
			}
		}
		if wait, _ := th.take("etl", "192.0.2.1", tableauapi.NewSecret("wrong")); wait != guessEvery {
			t.Errorf("it has to wait %v, want %v", wait, guessEvery)
		}
	})
}

func TestGuessingGoesOnAtASlowPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		th.guess(guessBurst, "etl", "192.0.2.1")
		for range 3 {
			time.Sleep(guessEvery - time.Millisecond)
			if !th.busy("etl", "192.0.2.1", "wrong") {
				t.Fatal("free too early")
			}
			time.Sleep(time.Millisecond)
			if th.busy("etl", "192.0.2.1", "wrong") {
				t.Fatal("held up for too long")
			}
			th.guess(1, "etl", "192.0.2.1")
		}
		time.Sleep(guessBurst * guessEvery)
		for i := range guessBurst {
			if th.busy("etl", "192.0.2.1", "wrong") {
				t.Fatalf("after a rest it is held up after %d guesses", i)
			}
			th.guess(1, "etl", "192.0.2.1")
		}
	})
}

func TestKnownSecretIsNotHeldUpByGuesses(t *testing.T) {
	th := newThrottle()
	th.succeeded("etl", tableauapi.NewSecret("right"))
	th.guess(10*guessBurst, "etl", "192.0.2.1")
	for _, test := range []struct {
		name, secret string
		want         bool
	}{
		{"etl", "right", false},
		{"etl", "wrong", true},
		{"etl", "", true},
		{"other", "right", true}, // by its address
		{"et", "lright", true},
	} {
		if got := th.busy(test.name, "192.0.2.1", test.secret); got != test.want {
			t.Errorf("%s with the secret %q is held up: %t, want %t", test.name, test.secret, got, test.want)
		}
	}
}

// One success is no excuse for guesses.
func TestSuccessForgivesNoGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		th.guess(guessBurst-1, "etl", "192.0.2.1")
		th.succeeded("mine", tableauapi.NewSecret("right"))
		th.guess(1, "etl", "192.0.2.1")
		if !th.busy("etl", "192.0.2.1", "wrong") {
			t.Error("guesses were forgiven")
		}
	})
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for i := range maxGuessers/2 + 100 {
			th.guess(1, fmt.Sprint("name", i), fmt.Sprint("address", i))
		}
		if len(th.guessers) > maxGuessers {
			t.Errorf("it remembers %d guessers", len(th.guessers))
		}
		for i := range maxGuessers + 10 {
			th.succeeded("etl", tableauapi.NewSecret(fmt.Sprint("secret", i)))
		}
		if len(th.good) > maxGuessers {
			t.Errorf("it remembers %d secrets", len(th.good))
		}
		th.guess(1, strings.Repeat("n", 1<<16), "192.0.2.1")
		for key := range th.guessers {
			if len(key) > 300 {
				t.Errorf("it remembers a name of %d bytes", len(key))
			}
		}
	})
}

func TestIdleGuessersAreForgottenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for i := range maxGuessers/2 - 1 {
			th.guess(1, fmt.Sprint("name", i), fmt.Sprint("address", i))
		}
		time.Sleep(time.Minute)
		th.guess(guessBurst, "etl", "192.0.2.1")
		th.guess(1, "one more", "192.0.2.3")
		if !th.busy("etl", "192.0.2.2", "wrong") || !th.busy("other", "192.0.2.1", "wrong") {
			t.Error("somebody who guesses was forgotten, and those who rest were not")
		}
		if n := len(th.guessers); n != 4 {
			t.Errorf("it remembers %d guessers, want 4", n)
		}
	})
}

func TestThrottleRemembersNoSecretInTheClear(t *testing.T) {
	a, b := newThrottle(), newThrottle()
	secret := tableauapi.NewSecret("right")
	if a.digest("etl", secret) == b.digest("etl", secret) {
		t.Error("the digests of two throttles are equal: there is no salt in them")
	}
	if first, second := a.digest("etl", secret), a.digest("etl", secret); first != second {
		t.Error("one throttle has two digests for the same")
	}
}

func TestThrottleFromManyAtOnce(t *testing.T) {
	th := newThrottle()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 200 {
				name := fmt.Sprint("name", (worker+i)%5)
				th.busy(name, "192.0.2.1", "x")
				th.failed(name, "192.0.2.1")
				th.succeeded(name, tableauapi.NewSecret("x"))
			}
		})
	}
	wg.Wait()
	if th.busy("name1", "192.0.2.1", "x") || !th.busy("name1", "192.0.2.1", "y") {
		t.Error("a known secret is held up, or a guess is not")
	}
}

func TestClientIPIsThatOfTheClientBehindTrustedProxies(t *testing.T) {
	for _, test := range []struct{ remote, known, want string }{
		{"192.0.2.1:1234", "", "192.0.2.1"},
		{"[2001:db8::1]:1234", "", "2001:db8::1"},
		{"192.0.2.1:1234", "198.51.100.7", "198.51.100.7"},
		{"@", "", "@"}, // of a Unix socket
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		vars := map[string]any{}
		if test.known != "" {
			vars[caddyhttp.ClientIPVarKey] = test.known
		}
		if got := clientIP(r.WithContext(contextWith(r, vars))); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func contextWith(r *http.Request, vars map[string]any) context.Context {
	return context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars)
}

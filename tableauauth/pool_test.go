package tableauauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestOneSignInForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: 2 * time.Second})
		sessions := make([]*Session, 1000)
		waited := make([]bool, len(sessions))
		var all sync.WaitGroup
		for i := range sessions {
			all.Go(func() {
				var err error
				if sessions[i], waited[i], err = r.pool.Get(t.Context(), grant("alice")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i := range sessions {
			if sessions[i] != sessions[0] || !waited[i] {
				t.Fatalf("request %d: session %v, waited %v", i, sessions[i], waited[i])
			}
		}
		if _, signedIn, err := r.pool.Get(t.Context(), grant("alice")); err != nil || signedIn {
			t.Errorf("the next request: waited %v, error %v", signedIn, err)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 1 {
			t.Errorf("%d sign-ins, want 1", n)
		}
	})
}

func TestGrantsDoNotShare(t *testing.T) {
	r := newRig(t, tableautest.Options{AcceptUser: func(string) bool { return true }}, PoolOptions{})
	seen := make(map[*Session]Grant)
	for _, g := range []Grant{
		grant("alice"), grant("Alice"), grant("bob"),
		{Site: testSite, User: "alice", Scopes: []string{"tableau:jobs:read"}},
		{Site: testSite, User: "alice", Scopes: []string{"tableau:content:read", "tableau:jobs:read"}},
	} {
		s, _, err := r.pool.Get(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[s]; twice {
			t.Errorf("%v and %v share a session", g, other)
		}
		seen[s] = g
	}
}

// TestWaiterLeaves: the first request gives up, the sign-in that it began goes
// on for the second.
func TestWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: 2 * time.Second})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, _, err := r.pool.Get(impatient, grant("alice"))
			first <- err
		}()
		synctest.Wait()
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Errorf("the patient one: %v", err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient one: %v", err)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 1 {
			t.Errorf("%d sign-ins, want 1", n)
		}
	})
}

func TestRefusalIsRememberedForItsUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		attempts := func() int { return len(r.entries("sign_in")) }
		for range 50 {
			_, _, err := r.pool.Get(t.Context(), grant("nobody"))
			var refused *SignInError
			if !errors.As(err, &refused) || !refused.Permanent() {
				t.Fatalf("got %v", err)
			}
		}
		if attempts() != 1 {
			t.Errorf("%d attempts for the unknown user, want 1", attempts())
		}
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Errorf("another user: %v", err)
		}
		r.AddUser(tableautest.User{Name: "nobody"})
		time.Sleep(rememberPermanent + time.Millisecond)
		if _, _, err := r.pool.Get(t.Context(), grant("nobody")); err != nil {
			t.Errorf("after the cause was mended: %v", err)
		}
	})
}

func TestPassingTroubleIsForgottenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		down := r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "503000"}})
		for range 10 {
			if _, _, err := r.pool.Get(t.Context(), grant("alice")); err == nil {
				t.Fatal("no error")
			}
		}
		if down.Hits() != 1 {
			t.Errorf("%d attempts, want 1", down.Hits())
		}
		down.Remove()
		time.Sleep(rememberPassing + time.Millisecond)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Error(err)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		busy := r.AddFault(tableautest.Fault{
			Match: tableautest.Match{SignIn: true}, Count: 1,
			Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "60"},
		})
		for range 59 {
			if _, _, err := r.pool.Get(t.Context(), grant("alice")); err == nil {
				t.Fatal("no error while throttled")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second + time.Millisecond)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Error(err)
		}
		if busy.Hits() != 1 {
			t.Errorf("%d attempts while throttled, want 1", busy.Hits())
		}
	})
}

// TestRenewal: a session in use is renewed in the background, and no request
// waits for it; the old one is kept for requests on their way, then signed out.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		first := r.session(t, "alice")
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: 20 * time.Second})
		for range 119 { // Tableau Cloud ends sessions after 120 minutes
			before := time.Now()
			if _, waited, err := r.pool.Get(t.Context(), grant("alice")); err != nil || waited || time.Since(before) > 0 {
				t.Fatalf("waited %v (%v), error %v", waited, time.Since(before), err)
			}
			time.Sleep(time.Minute)
		}
		if s := r.session(t, "alice"); s == first {
			t.Error("the session was not renewed")
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 2 {
			t.Errorf("%d sign-ins, want 2", n)
		}
		if n := len(r.Sessions()); n != 1 {
			t.Errorf("%d sessions live at Tableau, want 1", n)
		}
	})
}

func TestFailedRenewalKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		first := r.session(t, "alice")
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "503000"}})
		for range 115 {
			if s := r.session(t, "alice"); s != first {
				t.Fatal("the session was given up")
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestIdleSessionIsSignedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.session(t, "alice")
		time.Sleep(30 * time.Minute)
		r.session(t, "bob")
		time.Sleep(35 * time.Minute)
		live := r.Sessions()
		if len(live) != 1 || live[0].User != "bob" {
			t.Errorf("live: %v, want bob's only", live)
		}
	})
}

func TestCloseSignsOutEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{AcceptUser: func(string) bool { return true }}, PoolOptions{})
		const users = 100
		for i := range users {
			r.session(t, string(rune('a'+i%26))+string(rune('a'+i/26)))
		}
		// One more sign-in is under way, and one session has been renewed.
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: time.Second})
		late := make(chan error, 1)
		go func() {
			_, _, err := r.pool.Get(t.Context(), grant("late"))
			late <- err
		}()
		synctest.Wait()
		ended, left := r.pool.Close(t.Context())
		if ended != users+1 || left != 0 || len(r.Sessions()) != 0 {
			t.Errorf("ended %d, left %d, live %d", ended, left, len(r.Sessions()))
		}
		if err := <-late; err != nil {
			t.Errorf("the waiter: %v", err)
		}
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); !errors.Is(err, ErrPoolClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// TestCloseIsBounded: a Tableau that answers nothing does not keep us.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		r.session(t, "alice")
		r.session(t, "bob")
		r.AddFault(tableautest.Fault{Hang: true})
		go func() { _, _, _ = r.pool.Get(t.Context(), grant("carol")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		before := time.Now()
		if ended, left := r.pool.Close(ctx); ended != 0 || left != 2 {
			t.Errorf("ended %d, left %d, want 0 and 2", ended, left)
		}
		if took := time.Since(before); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A badCredential does what a guest module must not.
type badCredential struct{ panics bool }

func (badCredential) Kind() string                   { return "bad" }
func (badCredential) Fingerprint() [sha256.Size]byte { return digest("bad") }

func (c badCredential) Proof(Grant, time.Time) (Proof, error) {
	if c.panics {
		panic("with-a-secret-in-it")
	}
	return Proof{}, errors.New("no key")
}

func TestBadCredential(t *testing.T) {
	for _, c := range []badCredential{{panics: false}, {panics: true}} {
		pool, err := NewPool(Connection{Origin: testOrigin, Credential: c}, PoolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = pool.Get(t.Context(), grant("alice"))
		var refused *SignInError
		if !errors.As(err, &refused) || refused.Reason != Unsigned {
			t.Errorf("panics %v: got %v", c.panics, err)
		}
		pool.Close(t.Context())
	}
}

// TestForeignAnswerIsNoSession: a sign-in that comes back for another site must
// not become the session of the one who asked.
func TestForeignAnswerIsNoSession(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, AnswerSite: "marketing"})
	_, _, err := r.pool.Get(t.Context(), grant("alice"))
	var refused *SignInError
	if !errors.As(err, &refused) || refused.Reason != Misfit {
		t.Errorf("got %v", err)
	}
}

func TestReplaceGivesEachDeadSessionOneSuccessor(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	dead := r.session(t, "alice")
	r.KillSessions(tableautest.SessionFilter{})
	var all sync.WaitGroup
	fresh := make([]*Session, 100)
	for i := range fresh {
		all.Go(func() {
			var err error
			if fresh[i], err = r.pool.Replace(t.Context(), dead); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, s := range fresh {
		if s == dead || s != fresh[0] {
			t.Fatalf("got %v, want %v for all", s, fresh[0])
		}
	}
	if n := r.SignIns(tableautest.SignInFilter{}); n != 2 {
		t.Errorf("%d sign-ins, want 2", n)
	}
}

// TestBarrenSessionsEnd: where sign-ins succeed but nothing accepts what comes
// of them, signing in stops.
func TestBarrenSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		var err error
		for range 20 {
			var next *Session
			if next, err = r.pool.Replace(t.Context(), s); err == nil {
				s = next
			}
		}
		var refused *SignInError
		if !errors.As(err, &refused) || refused.Reason != Barren {
			t.Errorf("got %v", err)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != maxBarren {
			t.Errorf("%d sign-ins, want %d", n, maxBarren)
		}
		time.Sleep(rememberPermanent + time.Second)
		if _, _, err := r.pool.Get(t.Context(), grant("alice")); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

func TestObserver(t *testing.T) {
	var mu sync.Mutex
	var ins []SignInEvent
	var outs []SignOutEvent
	r := newRig(t, tableautest.Options{}, PoolOptions{Observer: Observer{
		SignIn:  func(e SignInEvent) { mu.Lock(); ins = append(ins, e); mu.Unlock() },
		SignOut: func(e SignOutEvent) { mu.Lock(); outs = append(outs, e); mu.Unlock() },
	}})
	s := r.session(t, "alice")
	if _, _, err := r.pool.Get(t.Context(), grant("nobody")); err == nil {
		t.Fatal("no error")
	}
	r.pool.Close(t.Context())
	mu.Lock()
	defer mu.Unlock()
	if len(ins) != 2 || ins[0].Session != s || ins[0].JTI != s.JTI() || ins[0].Err != nil || ins[1].Err == nil || ins[1].Session != nil {
		t.Errorf("sign-ins: %+v", ins)
	}
	if len(outs) != 1 || outs[0].Session != s || outs[0].Err != nil {
		t.Errorf("sign-outs: %+v", outs)
	}
}

func TestNewPoolRefuses(t *testing.T) {
	app, _ := NewDirectTrust("c", appSecret("s", "v"))
	for _, c := range []Connection{
		{},
		{Origin: testOrigin},
		{Credential: app},
		{Origin: "https://tableau.example/path", Credential: app},
		{Origin: "tableau.example", Credential: app},
	} {
		if pool, err := NewPool(c, PoolOptions{}); err == nil {
			pool.Close(t.Context())
			t.Errorf("%q: no error", c.Origin)
		}
	}
}

func TestFingerprintOfConnections(t *testing.T) {
	one, _ := NewDirectTrust("c", appSecret("s", "v"))
	two, _ := NewDirectTrust("c", appSecret("s", "w"))
	base := Connection{Origin: testOrigin, Credential: one}
	for _, other := range []Connection{
		{Origin: "https://other.example", Credential: one},
		{Origin: testOrigin, Credential: two},
		{Origin: testOrigin, Credential: one, Variant: "tls"},
	} {
		if base.Fingerprint() == other.Fingerprint() {
			t.Errorf("%+v has the fingerprint of %+v", other, base)
		}
	}
}

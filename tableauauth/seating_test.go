package tableauauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const patSignIns = "sign_in"

func (r *patRig) entries(operation string) []tableautest.Entry {
	return slices.DeleteFunc(r.Journal(), func(e tableautest.Entry) bool { return e.Operation != operation })
}

// Without impersonation, whoever it is for and whatever the scopes, one session
// is enough for a site, and it is the owner's.
func TestPATIsShared(t *testing.T) {
	r := newPATRig(t, 3, false, tableautest.Options{}, PoolOptions{})
	first := r.acquire(t, testSite, "alice")
	defer first.Release()
	for _, g := range []Grant{
		{Site: testSite, User: "bob"},
		{Site: testSite, User: "alice", Scopes: []string{"tableau:jobs:read"}},
		{Site: testSite, User: "alice", Claims: []Claim{{Name: "Region", Values: []string{"North"}}}},
	} {
		b := &Binding{Pool: r.pool}
		signedIn, err := b.Acquire(t.Context(), g)
		if err != nil || signedIn || b.Session != first.Session {
			t.Errorf("%+v: session %v, signed in %t, error %v", g, b.Session, signedIn, err)
		}
		b.Release()
	}
	if got := first.Session.ActsAs(); got != "admin" {
		t.Errorf("the session acts as %q, want its owner", got)
	}
	if n := len(r.entries(patSignIns)); n != 1 {
		t.Errorf("%d sign-ins, want 1", n)
	}
	// Whose it is, is asked once, not at each sign-in.
	r.KillSessions(tableautest.SessionFilter{})
	if _, err := r.pool.Replace(t.Context(), first.Session); err != nil {
		t.Fatal(err)
	}
	if n := len(r.entries("get_current_server_session")); n != 1 {
		t.Errorf("asked %d times whose session it is, want once", n)
	}
}

// Further tokens serve further sites at the same time.
func TestPATServesOtherSites(t *testing.T) {
	r := newPATRig(t, 2, false, tableautest.Options{}, PoolOptions{})
	finance := r.acquire(t, "finance", "alice")
	defer finance.Release()
	marketing := r.acquire(t, "marketing", "alice")
	defer marketing.Release()
	for _, b := range []*Binding{finance, marketing} {
		if status, _, err := r.get(t.Context(), b, "/sites/{site}/workbooks"); err != nil || status != http.StatusOK {
			t.Errorf("%v: status %d, error %v", b.Session, status, err)
		}
	}
	if r.pool.Len() != 2 {
		t.Errorf("%d sessions, want 2", r.pool.Len())
	}
}

// With impersonation each user has a session of their own. Who
// somebody is to Tableau is asked once.
func TestPATImpersonates(t *testing.T) {
	r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{})
	for range 2 {
		for _, user := range []string{"alice", "bob", "carol"} {
			b := r.acquire(t, testSite, user)
			_, body, err := r.get(t.Context(), b, "/sessions/current")
			if err != nil || !strings.Contains(body, `name="`+user+`"`) || b.Session.ActsAs() != user {
				t.Errorf("%s: %v as %q, %s", user, err, b.Session.ActsAs(), body)
			}
			b.Release()
		}
	}
	if n := len(r.entries("get_users_on_site")); n != 3 {
		t.Errorf("%d look-ups, want one for each user", n)
	}
	r.watch.check(t)
}

// Somebody who is not a user of the site is told so, without an attempt to
// become them.
func TestUnknownUserIsNotImpersonated(t *testing.T) {
	r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{})
	for range 5 {
		_, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: "nobody"})
		var refused *SignInError
		if !errors.As(err, &refused) || refused.Reason != Refused || !strings.Contains(err.Error(), `no user named "nobody"`) {
			t.Errorf("got %v", err)
		}
	}
	if ins := r.entries(patSignIns); len(ins) != 1 || ins[0].User != "admin" {
		t.Errorf("sign-ins %v, want one of the administrator's, for the look-up", ins)
	}
	r.acquire(t, testSite, "alice").Release() // the seat is not blamed
}

// A token that Tableau refuses is left to the next one, for everybody, and not
// tried by every request.
func TestRefusedTokenIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{Observer: Observer{
			Failover: func(e FailoverEvent) { told = append(told, e.SecretID) },
		}})
		if err := r.RevokePAT("proxy-1"); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			for _, user := range []string{"alice", "bob", "carol"} {
				b := r.acquire(t, testSite, user)
				if status, _, err := r.get(t.Context(), b, "/sites/{site}/workbooks"); err != nil || status != http.StatusOK {
					t.Errorf("%s: status %d, error %v", user, status, err)
				}
				b.Release()
			}
		}
		if n := r.SignIns(tableautest.SignInFilter{Code: "401001"}); n != 1 {
			t.Errorf("%d refused sign-ins, want 1", n)
		}
		if !slices.Equal(told, []string{"proxy-1"}) {
			t.Errorf("told of %q", told)
		}
		// When there is none left, that is said at once and to all.
		if err := r.RevokePAT("proxy-2"); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			b := &Binding{Pool: r.pool}
			_, err := b.Acquire(t.Context(), Grant{Site: testSite, User: "admin"})
			var refused *SignInError
			if !errors.As(err, &refused) || refused.Reason != Refused {
				t.Fatalf("got %v", err)
			}
		}
		if n := r.SignIns(tableautest.SignInFilter{Code: "401001"}); n != 2 {
			t.Errorf("%d refused sign-ins, want 2", n)
		}
		time.Sleep(rememberSeat + time.Second)
		r.AddPAT(r.pats[1])
		r.acquire(t, testSite, "alice").Release()
	})
}

// A token that may sign in on one site only is not given up for that one.
func TestTokenIsRefusedForASite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{})
		b := &Binding{Pool: r.pool}
		if _, err := b.Acquire(t.Context(), Grant{Site: "nowhere"}); err == nil {
			t.Error("no error for an unknown site")
		}
		r.acquire(t, testSite, "").Release()
	})
}

// TestWaitingIsFair: one token, which a stream of requests of alice's would keep
// for ever. The others get it in the order in which they came, alice among
// them.
func TestWaitingIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, true, tableautest.Options{}, PoolOptions{})
		done := make(chan struct{})
		var stream, waiting sync.WaitGroup
		for i := range 3 { // at any time one of these is under way
			stream.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				for {
					select {
					case <-done:
						return
					default:
					}
					b := r.acquire(t, testSite, "alice")
					time.Sleep(time.Second)
					b.Release()
				}
			})
		}
		time.Sleep(5 * time.Second)
		var mu sync.Mutex
		var order []string
		for _, user := range []string{"bob", "carol", "admin"} {
			waiting.Go(func() {
				b := r.acquire(t, testSite, user)
				mu.Lock()
				order = append(order, user)
				mu.Unlock()
				time.Sleep(time.Second)
				b.Release()
			})
			synctest.Wait()
		}
		began := time.Now()
		waiting.Wait()
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("three waited %v for one second each, behind one of alice's", took)
		}
		close(done)
		stream.Wait()
		if !slices.Equal(order, []string{"bob", "carol", "admin"}) {
			t.Errorf("served in the order %q", order)
		}
		r.watch.check(t)
	})
}

// Who waits is no hindrance to requests whose sessions are on other seats.
func TestOneSeatIsKeptForOneWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{})
		alice := r.acquire(t, testSite, "alice") // the oldest, which is kept
		time.Sleep(time.Second)
		bob := r.acquire(t, testSite, "bob")
		var all sync.WaitGroup
		var carol, alices *Binding
		all.Go(func() { carol = r.acquire(t, testSite, "carol") })
		synctest.Wait()
		r.acquire(t, testSite, "bob").Release() // does not wait, or this would not end
		all.Go(func() { alices = r.acquire(t, testSite, "alice") })
		synctest.Wait()
		if carol != nil || alices != nil {
			t.Fatalf("carol has %v, alice's second request %v, before a seat is free", carol, alices)
		}
		bob.Release() // carol takes the first that becomes free, and alice's is hers again
		all.Wait()
		if alices.Session != alice.Session {
			t.Errorf("alice's second request has %v, want %v", alices.Session, alice.Session)
		}
		for _, b := range []*Binding{alice, alices, carol} {
			b.Release()
		}
		r.watch.check(t)
	})
}

// Two who take turns on one token need a sign-in for each turn, not for each
// request: those who wait for the same go together.
func TestThoseWhoWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, true, tableautest.Options{}, PoolOptions{})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: time.Second})
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				b := r.acquire(t, testSite, []string{"alice", "bob"}[i%2])
				time.Sleep(time.Second)
				b.Release()
			})
		}
		all.Wait()
		// One each, and before it one as the administrator, who looks them up.
		if n := len(r.entries(patSignIns)); n != 4 {
			t.Errorf("%d sign-ins, want 4", n)
		}
	})
}

func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{})
		alice, bob := r.acquire(t, testSite, "alice"), r.acquire(t, testSite, "bob")
		began := time.Now()
		late := &Binding{Pool: r.pool}
		_, err := late.Acquire(t.Context(), Grant{Site: testSite, User: "carol"})
		var none *NoSeatError
		if !errors.As(err, &none) || none.Seats != 2 || none.Waited != defaultSeatWait || time.Since(began) != defaultSeatWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		// Nothing is kept for her any more.
		r.acquire(t, testSite, "alice").Release()
		r.acquire(t, testSite, "bob").Release()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := late.Acquire(ctx, Grant{Site: testSite, User: "carol"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who has left: %v", err)
		}
		r.acquire(t, testSite, "alice").Release()
		alice.Release()
		alice.Release() // is done already
		bob.Release()
		r.acquire(t, testSite, "carol").Release()
		r.watch.check(t)
	})
}

// A sign-in under way is waited for longer than a seat is: it ends by itself.
func TestSlowSignInIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{SeatWait: time.Second})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: 10 * time.Second})
		r.acquire(t, testSite, "").Release()
	})
}

// A session that is due is renewed with a token that nobody uses, and ends when
// its requests are done. Where there is none, it stays.
func TestPATRenewal(t *testing.T) {
	for _, tokens := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			r := newPATRig(t, tokens, false, tableautest.Options{}, PoolOptions{})
			export := r.acquire(t, testSite, "") // a long one
			r.watch.hold(export.Session, 1)
			for range 110 {
				time.Sleep(time.Minute)
				if b := r.acquire(t, testSite, ""); b != nil {
					b.Release()
				}
			}
			synctest.Wait()
			next := r.acquire(t, testSite, "")
			if renewed := next.Session != export.Session; renewed != (tokens > 1) {
				t.Errorf("%d tokens: renewed %t", tokens, renewed)
			}
			if n := len(r.Sessions()); n != tokens {
				t.Errorf("%d tokens: %d sessions live during the export", tokens, n)
			}
			if status, _, err := r.get(t.Context(), export, "/sites/{site}/workbooks"); err != nil || status != http.StatusOK {
				t.Errorf("%d tokens: the export: status %d, error %v", tokens, status, err)
			}
			r.watch.hold(export.Session, -1)
			export.Release()
			synctest.Wait()
			if n := len(r.Sessions()); n != 1 {
				t.Errorf("%d tokens: %d sessions live after the export", tokens, n)
			}
			next.Release()
			r.watch.check(t)
		})
	}
}

func TestIdleSeatIsSignedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{})
		r.acquire(t, testSite, "alice").Release()
		bob := r.acquire(t, testSite, "bob")
		time.Sleep(65 * time.Minute)
		live := r.Sessions()
		if len(live) != 1 || live[0].User != "bob" {
			t.Errorf("live: %v, want bob's, which is in use", live)
		}
		bob.Release()
	})
}

// A dead session is replaced once, on its own seat.
func TestDeadSeatIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 3, true, tableautest.Options{}, PoolOptions{})
		for _, user := range []string{"bob", "carol"} { // whose seats are empty again when hers is
			r.acquire(t, testSite, user).Release()
		}
		defer r.acquire(t, testSite, "alice").Release()
		time.Sleep(65 * time.Minute)
		var all sync.WaitGroup
		dead := make([]*Binding, 50)
		for i := range dead {
			dead[i] = r.acquire(t, testSite, "alice")
		}
		on := dead[0].Session.lease().seat
		r.KillSessions(tableautest.SessionFilter{})
		before := len(r.entries(patSignIns))
		for _, b := range dead {
			all.Go(func() {
				if status, _, err := r.get(t.Context(), b, "/sites/{site}/workbooks"); err != nil || status != http.StatusOK || !b.Replaced {
					t.Errorf("status %d, replaced %t, error %v", status, b.Replaced, err)
				}
				b.Release()
			})
		}
		all.Wait()
		if n := len(r.entries(patSignIns)) - before; n != 1 {
			t.Errorf("%d sign-ins, want 1", n)
		}
		if dead[0].Session.lease().seat != on || dead[0].Session.lease().holds != 0 {
			t.Errorf("on seat %p with %d holds, want %p with none", dead[0].Session.lease().seat, dead[0].Session.lease().holds, on)
		}
		r.watch.check(t)
	})
}

// A session that Tableau has not said to be dead is not replaced on a guess: the
// sign-in would end it for whoever else uses it.
func TestDoubtfulSeatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{})
		b := r.acquire(t, testSite, "")
		defer b.Release()
		time.Sleep(10 * youngSession)
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/workbooks"}, Refuse: &tableautest.Refusal{Code: "401002"}})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/sessions/current"}, Refuse: &tableautest.Refusal{Code: "500000"}})
		status, _, err := r.get(t.Context(), b, "/sites/{site}/workbooks")
		if err != nil || status != http.StatusUnauthorized || b.Replaced {
			t.Errorf("status %d, replaced %t, error %v", status, b.Replaced, err)
		}
		if n := len(r.entries(patSignIns)); n != 1 {
			t.Errorf("%d sign-ins, want 1", n)
		}
	})
}

// A session that Tableau accepts in the moment of the sign-in was accepted.
func TestAcceptedAtOnce(t *testing.T) {
	now := time.Now()
	s := &Session{terms: &terms{began: now}}
	if s.barrenLine() != 1 {
		t.Error("a session that was never accepted counts as if it had been")
	}
	if s.accepted(now); s.barrenLine() != 0 {
		t.Error("a session that was accepted counts as barren")
	}
}

// Two pools that share a token, as during a reload, take turns on it.
func TestPoolsShareSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{})
		other := r.newPool(t, true, PoolOptions{})
		old := r.acquire(t, testSite, "")
		r.watch.hold(old.Session, 1)
		fresh := &Binding{Pool: other}
		got := make(chan error, 1)
		go func() {
			_, err := fresh.Acquire(t.Context(), Grant{Site: testSite, User: "alice"})
			got <- err
		}()
		synctest.Wait()
		select {
		case err := <-got:
			t.Fatalf("the other pool did not wait: %v", err)
		default:
		}
		r.watch.hold(old.Session, -1)
		old.Release()
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		fresh.Release()
		r.pool.Close(t.Context())
		if n := len(r.Sessions()); n != 1 {
			t.Errorf("%d sessions live, want the other pool's", n)
		}
		other.Close(t.Context())
		if n := len(r.Sessions()); n != 0 || len(seatings.at) != 0 {
			t.Errorf("%d sessions live, %d seatings remain", n, len(seatings.at))
		}
		r.watch.check(t)
	})
}

func TestCloseWithSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 2, true, tableautest.Options{}, PoolOptions{})
		alice := r.acquire(t, testSite, "alice") // still at work
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: time.Second})
		results := make(chan error, 2)
		for _, user := range []string{"bob", "carol"} { // the one signs in, the other waits for a seat
			go func() {
				_, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: user})
				results <- err
			}()
			synctest.Wait()
		}
		ended, left := r.pool.Close(t.Context())
		if ended != 2 || left != 0 || len(r.Sessions()) != 0 {
			t.Errorf("ended %d, left %d, live %d", ended, left, len(r.Sessions()))
		}
		if one, two := <-results, <-results; !errors.Is(errors.Join(one, two), ErrPoolClosed) || one != nil && two != nil {
			t.Errorf("who waited got %v and %v, want one session and one ErrPoolClosed", one, two)
		}
		alice.Release()
		if _, err := (&Binding{Pool: r.pool}).Acquire(t.Context(), Grant{}); !errors.Is(err, ErrPoolClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// What a session costs a request that finds one.
func TestAcquireAllocatesNothing(t *testing.T) {
	unseated := newRig(t, tableautest.Options{}, PoolOptions{})
	seated := newPATRig(t, 1, true, tableautest.Options{}, PoolOptions{})
	for name, pool := range map[string]*Pool{"direct_trust": unseated.pool, "pat": seated.pool} {
		b := &Binding{Pool: pool}
		ctx, g := t.Context(), grant("alice")
		allocations := testing.AllocsPerRun(100, func() {
			if _, err := b.Acquire(ctx, g); err != nil {
				t.Fatal(err)
			}
			b.Release()
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
		if n := testing.AllocsPerRun(100, func() { _, _, _ = pool.Get(ctx, g) }); n != 0 {
			t.Errorf("%s: %v allocations in Get", name, n)
		}
	}
}

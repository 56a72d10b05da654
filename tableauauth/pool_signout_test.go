package tableauauth

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// TestPoolIsBounded: of more users than there is room for, the last ones have
// sessions, and those that were taken out are signed out, but not under the
// hands of requests that have them.
func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 20
		r := newRig(t, anybody, PoolOptions{MaxSessions: room, Limits: SignInLimits{Rate: 1000}})
		for i := range 10 * room {
			r.session(t, fmt.Sprintf("user%d", i))
			synctest.Wait()
			if n := r.pool.Len(); n > room {
				t.Fatalf("%d sessions, want at most %d", n, room)
			}
			time.Sleep(time.Second)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 10*room {
			t.Errorf("%d sign-ins, want %d", n, 10*room)
		}
		if _, signedIn, err := r.pool.Get(t.Context(), grant(fmt.Sprintf("user%d", 10*room-1))); err != nil || signedIn {
			t.Errorf("the last one's: signed in %t, error %v", signedIn, err)
		}
		if n := len(r.Sessions()); n > 2*room+sweepGap {
			t.Errorf("%d sessions live at Tableau", n)
		}
		time.Sleep(retireAfter + 2*sweepEvery)
		if n := len(r.Sessions()); n != room {
			t.Errorf("%d sessions live at Tableau in the end, want %d", n, room)
		}
	})
}

// sweepGap is how many sessions a test that begins one each second can begin
// between two sweeps.
const sweepGap = int(sweepEvery / time.Second)

// TestEvictionSparesTheBusy: those who use their sessions all the time keep
// them.
func TestEvictionSparesTheBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{MaxSessions: 16, Limits: SignInLimits{Rate: 1000}})
		busy := r.session(t, "busy")
		for i := range 500 {
			time.Sleep(2 * time.Second)
			if s := r.session(t, "busy"); s != busy {
				t.Fatalf("was evicted after %d others", i)
			}
			r.session(t, fmt.Sprintf("user%d", i))
		}
	})
}

// TestEvictedSessionServes: a request that has got its session keeps it.
func TestEvictedSessionServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{MaxSessions: 1})
		first := r.session(t, "alice")
		time.Sleep(time.Second)
		r.session(t, "bob")
		synctest.Wait()
		time.Sleep(retireAfter - 2*sweepEvery)
		if res, _, err := r.do(t, first, http.MethodGet, "/sites/{site}/workbooks", ""); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", res, err)
		}
		if n := r.SignIns(tableautest.SignInFilter{}); n != 2 {
			t.Errorf("%d sign-ins, want 2", n)
		}
	})
}

// TestSignOutIsTriedAgain: a session is not forgotten because Tableau was away
// when it was to be signed out.
func TestSignOutIsTriedAgain(t *testing.T) {
	for _, tries := range []int{1, 2, 3, 4} {
		synctest.Test(t, func(t *testing.T) {
			var told atomic.Int64
			var failed atomic.Bool
			r := newRig(t, tableautest.Options{}, PoolOptions{Observer: Observer{SignOut: func(e SignOutEvent) {
				told.Add(1)
				failed.Store(e.Err != nil)
			}}})
			r.session(t, "alice")
			r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/auth/signout"}, Count: tries, Cut: tableautest.CutBeforeHeaders})
			time.Sleep(defaultIdleAfter + 6*sweepEvery)
			synctest.Wait()
			lost := tries >= signOutTries
			if told.Load() != 1 || failed.Load() != lost || len(r.Sessions()) == 0 == lost {
				t.Errorf("%d failures: told %d times, failed %t, %d live", tries, told.Load(), failed.Load(), len(r.Sessions()))
			}
		})
	}
}

// TestSweepIsBounded: where nothing answers, a sweep does not try one session
// after the other.
func TestSweepIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, anybody, PoolOptions{Limits: SignInLimits{Rate: 1e6, InFlight: 1000}})
		const sessions = 5 * parallelSignOuts
		for i := range sessions {
			r.session(t, fmt.Sprintf("user%d", i))
		}
		away := r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/auth/signout"}, Hang: true})
		time.Sleep(defaultIdleAfter + 2*sweepEvery + DefaultSignInTimeout)
		if n := away.Hits(); n > 2*parallelSignOuts {
			t.Errorf("%d sign-outs were tried in two sweeps", n)
		}
		away.Remove()
		time.Sleep(3 * sweepEvery)
		if n := len(r.Sessions()); n > 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// TestRevoke: the sessions of one site go, those of the others stay.
func TestRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		alice, bob := r.session(t, "alice"), r.session(t, "bob")
		if n := r.pool.Revoke(func(g Grant) bool { return g.User == "alice" && g.Site == testSite }); n != 1 {
			t.Errorf("%d revoked, want 1", n)
		}
		if s := r.session(t, "bob"); s != bob {
			t.Error("bob's was revoked too")
		}
		if s := r.session(t, "alice"); s == alice {
			t.Error("alice still has hers")
		}
		if n := len(r.Sessions()); n != 3 {
			t.Errorf("%d live, want 3: requests may have the one that was revoked", n)
		}
		time.Sleep(retireAfter + 2*sweepEvery)
		if n := len(r.Sessions()); n != 2 {
			t.Errorf("%d live in the end, want 2", n)
		}
	})
}

// TestRevokeSeated: a personal access token's session goes when the last
// request has given it back.
func TestRevokeSeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{})
		b := r.acquire(t, testSite, "alice")
		if n := r.pool.Revoke(func(g Grant) bool { return g.Site == testSite }); n != 1 {
			t.Errorf("%d revoked, want 1", n)
		}
		synctest.Wait()
		if n := len(r.Sessions()); n != 1 {
			t.Errorf("%d live, want 1 while a request has it", n)
		}
		b.Release()
		synctest.Wait()
		if n := len(r.Sessions()); n != 0 {
			t.Errorf("%d live, want none", n)
		}
	})
}

// TestCutRejectionConfirmsNothing: a 401 that breaks off is no sign that the
// session lives; one about something else is.
func TestCutRejectionConfirmsNothing(t *testing.T) {
	cut := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: io.NopCloser(iotest.TimeoutReader(strings.NewReader("<tsResponse>")))}
	if _, v := judge(cut); v != silent {
		t.Errorf("a 401 that breaks off: %v", v)
	}
	for body, want := range map[string]verdict{
		"<html>Who are you?</html>":                              silent,
		`{"error":{"summary":"s","detail":"d","code":"401002"}}`: rejected,
		`{"error":{"summary":"s","detail":"d","code":"401000"}}`: rejected,
		`{"error":{"summary":"s","detail":"d","code":"401003"}}`: accepted,
	} {
		if _, v := judge(&http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}); v != want {
			t.Errorf("%s: %v, want %v", body, v, want)
		}
	}
}

// TestMetadataMayHideTheEnd: a request to the Metadata API does not go out with
// a session that Tableau has not confirmed lately, and its 200 confirms none.
func TestMetadataMayHideTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		query := func() *Binding {
			b := &Binding{Pool: r.pool, Session: s}
			req, err := http.NewRequestWithContext(NewContext(t.Context(), b), http.MethodPost, testOrigin+"/api/metadata/graphql", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			backfill := &Transport{Base: roundTripFunc(answering(200, `{"data":null,"errors":[{"extensions":{"severity":"WARNING","code":"BACKFILL_RUNNING"}}]}`).RoundTrip)}
			if res, _, err := roundTrip(t, backfill, req); err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", res, err)
			}
			return b
		}
		probes := func() int { return len(r.entries("get_current_server_session")) }
		query()
		query()
		if probes() != 0 {
			t.Errorf("%d probes of a session that has just begun", probes())
		}
		time.Sleep(quietLimit)
		query()
		query()
		if probes() != 1 {
			t.Errorf("%d probes, want 1 for two queries", probes())
		}
		time.Sleep(quietLimit)
		r.KillSessions(tableautest.SessionFilter{})
		if b := query(); !b.Replaced || b.Session == s {
			t.Error("a dead session was sent")
		}
	})
}

// TestReplacedOnAGuess: a session that may live, since the probe said nothing,
// is not forgotten.
func TestReplacedOnAGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		s := r.session(t, "alice")
		time.Sleep(2 * youngSession)
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/sessions/current"}, Count: 1, Refuse: &tableautest.Refusal{Code: "500000"}})
		if res, _, err := r.do(t, s, http.MethodGet, "/sites/{site}/groups", ""); err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("a missing scope: %v, %v", res, err)
		}
		if n := len(r.Sessions()); n != 2 {
			t.Fatalf("%d live, want the one that was given up, too", n)
		}
		time.Sleep(retireAfter + 2*sweepEvery)
		if n := len(r.Sessions()); n != 1 {
			t.Errorf("%d live, want 1", n)
		}
	})
}

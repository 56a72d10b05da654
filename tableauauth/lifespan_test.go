package tableauauth

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// use sends one request as user and reports whether Tableau had ended the
// session before.
func (r *rig) use(t *testing.T, user string) (recovered bool) {
	t.Helper()
	req, b := r.request(t, r.session(t, user), http.MethodGet, "/sites/{site}/workbooks", "")
	res, _, err := roundTrip(t, &Transport{Base: r.base}, req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", res, err)
	}
	return b.Replaced
}

// TestLifetimeIsLearned: a Tableau that ends sessions after 50 minutes costs a
// few recoveries, and none any more when that is known.
func TestLifetimeIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{LifetimeLimit: 50 * time.Minute}, PoolOptions{})
		use := func(d time.Duration) (recoveries int) {
			for range int(d / time.Minute) {
				if r.use(t, "alice") {
					recoveries++
				}
				time.Sleep(time.Minute)
			}
			return recoveries
		}
		if n := use(4 * time.Hour); n != convincing {
			t.Errorf("%d recoveries until it was learned, want %d", n, convincing)
		}
		if n := use(12 * time.Hour); n != 0 {
			t.Errorf("%d recoveries afterwards, want none", n)
		}
		before := r.SignIns(tableautest.SignInFilter{})
		use(12 * time.Hour) // it is forgotten and learned again
		if n := r.SignIns(tableautest.SignInFilter{}) - before; n > 12*60/40+convincing {
			t.Errorf("%d sign-ins in 12 hours", n)
		}
	})
}

// TestIdleLimitIsLearned: a Server that ends sessions after 20 idle minutes is
// not asked with dead ones for long.
func TestIdleLimitIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{IdleLimit: 20 * time.Minute}, PoolOptions{})
		var recoveries int
		for range 10 {
			for range 3 {
				r.use(t, "alice")
				time.Sleep(15 * time.Minute)
			}
			time.Sleep(10 * time.Minute)
			if r.use(t, "alice") {
				recoveries++
			}
		}
		if recoveries != convincing {
			t.Errorf("%d recoveries, want %d until it was learned", recoveries, convincing)
		}
	})
}

// TestKillsAreNoLimit: sessions that an administrator ends teach nothing about
// how long others live.
func TestKillsAreNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		users := []string{"alice", "bob", "carol"}
		for i := range 12 * 60 {
			for _, user := range users {
				r.use(t, user)
			}
			if i%37 == 0 {
				r.KillSessions(tableautest.SessionFilter{User: users[i/37%3]})
			}
			time.Sleep(time.Minute)
		}
		if d := r.pool.life.age.believed.Load(); d != 0 {
			t.Errorf("believes in %v", time.Duration(d))
		}
	})
}

// TestRestartIsNoLimit: that all sessions of one age end at once is one
// occasion, however many they are.
func TestRestartIsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tableautest.Options{}, PoolOptions{})
		for range 30 {
			for _, user := range []string{"alice", "bob", "carol"} {
				r.use(t, user)
			}
			time.Sleep(time.Minute)
		}
		r.KillSessions(tableautest.SessionFilter{})
		for _, user := range []string{"alice", "bob", "carol"} {
			if !r.use(t, user) {
				t.Errorf("the session of %s was not ended", user)
			}
		}
		if d := r.pool.life.age.believed.Load(); d != 0 {
			t.Errorf("believes in %v", time.Duration(d))
		}
	})
}

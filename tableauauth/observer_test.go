package tableauauth

// This file checks what a pool tells of sessions that are renewed or given up.

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A story is what a pool has told.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// observer tells of the sessions that are given up and renewed.
func (s *story) observer() Observer {
	return Observer{
		Evict: func(e EvictEvent) { s.tell("%s of %s", e.Reason, e.Session.user+e.Session.terms.site) },
		Refresh: func(e RefreshEvent) {
			s.tell("renewed %t, another %t, failed %t", e.Session != nil, e.Fresh != nil && e.Fresh != e.Session, e.Err != nil)
		},
	}
}

func (s *story) check(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.lines, want) {
		t.Errorf("told %q, want %q", s.lines, want)
	}
}

func TestEvictionsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		opts PoolOptions
		does func(t *testing.T, r *rig)
		want []string
	}{
		"idle": {PoolOptions{}, func(t *testing.T, r *rig) {
			r.session(t, "alice")
			time.Sleep(defaultIdleAfter + 2*sweepEvery)
		}, []string{"idle of alicefinance"}},
		"room": {PoolOptions{MaxSessions: 1}, func(t *testing.T, r *rig) {
			r.session(t, "alice")
			time.Sleep(time.Second)
			r.session(t, "bob")
		}, []string{"max_sessions of alicefinance"}},
		"revoked": {PoolOptions{}, func(t *testing.T, r *rig) {
			r.session(t, "alice")
			r.pool.Revoke(func(Grant) bool { return true })
		}, []string{"revoked of alicefinance"}},
		"replaced": {PoolOptions{}, func(t *testing.T, r *rig) {
			if _, err := r.pool.Replace(t.Context(), r.session(t, "alice")); err != nil {
				t.Fatal(err)
			}
		}, nil},
		"closed": {PoolOptions{}, func(t *testing.T, r *rig) {
			r.session(t, "alice")
			r.pool.Close(t.Context())
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told story
				c.opts.Observer = told.observer()
				r := newRig(t, tableautest.Options{}, c.opts)
				c.does(t, r)
				told.check(t, c.want...)
			})
		})
	}
}

func TestLapsedSessionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told story
		r := newRig(t, tableautest.Options{}, PoolOptions{Observer: told.observer()})
		first := r.session(t, "alice")
		idle := &r.pool.life.idle // see TestIdleLimitIsLearned
		idle.since = time.Now()
		idle.believed.Store(int64(20 * time.Minute))
		time.Sleep(15 * time.Minute)
		r.session(t, "alice") // nothing is sent with it
		time.Sleep(10 * time.Minute)
		if r.session(t, "alice") == first {
			t.Error("a session that Tableau has ended is in use")
		}
		told.check(t, "lapsed of alicefinance")
	})
}

func TestSeatEvictionsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told story
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{Observer: told.observer()})
		r.acquire(t, "finance", "alice").Release()
		marketing := r.acquire(t, "marketing", "alice")
		r.pool.Revoke(func(Grant) bool { return true })
		told.check(t, "seat of finance")
		marketing.Release() // only now does it end
		told.check(t, "seat of finance", "revoked of marketing")
		r.acquire(t, "finance", "alice").Release()
		time.Sleep(defaultIdleAfter + 2*sweepEvery)
		told.check(t, "seat of finance", "revoked of marketing", "idle of finance")
	})
}

func TestRenewalsAreTold(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var told story
			r := newRig(t, tableautest.Options{}, PoolOptions{Observer: told.observer()})
			r.session(t, "alice")
			for range 3 {
				time.Sleep(30 * time.Minute)
				r.session(t, "alice")
			}
			if fails {
				r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "503000"}})
			}
			time.Sleep(10 * time.Minute)
			r.session(t, "alice")
			told.check(t, fmt.Sprintf("renewed true, another %t, failed %t", !fails, fails))
		})
	}
}

func TestSeatRenewalsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told story
		r := newPATRig(t, 2, false, tableautest.Options{}, PoolOptions{Observer: told.observer()})
		for range 5 {
			r.acquire(t, testSite, "alice").Release()
			synctest.Wait()
			time.Sleep(25 * time.Minute)
		}
		told.check(t, "renewed true, another true, failed false")
	})
}

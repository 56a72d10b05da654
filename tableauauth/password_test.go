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

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const goodPassword = "the right password"

// A passwordRig is a simulated Tableau with a pool that signs in as its
// administrator by password, which can be changed on our side by use.
type passwordRig struct {
	*patRig
	ours atomic.Pointer[string]
}

func newPasswordRig(t *testing.T, impersonate bool, ours string) *passwordRig {
	t.Helper()
	r := &passwordRig{patRig: &patRig{Tableau: tableautest.New(tableautest.Options{})}}
	r.AddUser(tableautest.User{Name: "admin", ServerAdmin: true, Password: goodPassword})
	r.watch = &seatWatch{base: r.RoundTripper(), tableau: r.Tableau, held: make(map[string]int)}
	r.use(ours)
	c, err := NewPassword(impersonate, AccountPassword{
		Name: "admin", Password: tableauapi.NewSecret(ours),
		Current: func() tableauapi.Secret { return tableauapi.NewSecret(*r.ours.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.pool, err = NewPool(Connection{Origin: testOrigin, Credential: c}, PoolOptions{Client: Client{Transport: r.watch}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.pool.Close(context.Background()) })
	return r
}

func (r *passwordRig) use(password string) { r.ours.Store(&password) }

func (r *passwordRig) refusals() int { return r.SignIns(tableautest.SignInFilter{Code: "401001"}) }

func TestPasswordIsShared(t *testing.T) {
	r := newPasswordRig(t, false, goodPassword)
	one, two := r.acquire(t, testSite, "alice"), r.acquire(t, testSite, "bob")
	if one.Session != two.Session || one.Session.ActsAs() != "admin" {
		t.Errorf("%v and %v", one.Session, two.Session)
	}
	if status, _, err := r.get(t.Context(), one, "/sites/{site}/workbooks"); err != nil || status != http.StatusOK {
		t.Errorf("status %d, error %v", status, err)
	}
}

func TestPasswordImpersonates(t *testing.T) {
	r := newPasswordRig(t, true, goodPassword)
	var live []*Binding
	for _, user := range []string{"alice", "bob", "alice"} {
		b := r.acquire(t, testSite, user)
		_, body, err := r.get(t.Context(), b, "/sessions/current")
		if err != nil || !strings.Contains(body, `name="`+user+`"`) {
			t.Errorf("%s: %v, %s", user, err, body)
		}
		live = append(live, b)
	}
	if live[0].Session != live[2].Session || len(r.Sessions()) != 2 {
		t.Errorf("%d sessions live, want one for each of two", len(r.Sessions()))
	}
}

// TestWrongPasswordLocksNothing: for two days, many people on several sites keep
// asking with a wrong password. Tableau sees it a few times, the account is not
// locked, and the right password works as soon as it is there.
func TestWrongPasswordLocksNothing(t *testing.T) {
	for _, impersonate := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newPasswordRig(t, impersonate, "a wrong password")
			for minute := range 2 * 24 * 60 {
				var all sync.WaitGroup
				for i, site := range []string{"finance", "marketing", ""} {
					all.Go(func() {
						_, _, err := r.pool.Get(t.Context(), Grant{Site: site, User: fmt.Sprintf("user %d", i)})
						var refused *SignInError
						if !errors.As(err, &refused) || !refused.Permanent() {
							t.Errorf("got %v", err)
						}
					})
				}
				all.Wait()
				if n := r.refusals(); minute < 15 && n != 1 {
					t.Fatalf("tried %d times in the first %d minutes, want once", n, minute+1)
				}
				time.Sleep(time.Minute)
			}
			if n := r.refusals(); n < 2 || n > maxPasswordRefusals {
				t.Errorf("tried %d times, want twice to %d times", n, maxPasswordRefusals)
			}
			r.use(goodPassword)
			if _, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: "alice"}); err != nil {
				t.Errorf("with the right password: %v", err)
			}
		})
	}
}

// A password that is changed at Tableau is refused once, or twice, and not as
// often as people wait for a session.
func TestChangedPasswordIsRefusedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPasswordRig(t, true, goodPassword)
		r.acquire(t, testSite, "carol").Release()
		r.AddUser(tableautest.User{Name: "admin", ServerAdmin: true, Password: "another password"})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: time.Second})
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if _, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: fmt.Sprintf("user %d", i)}); err == nil {
					t.Error("no error")
				}
			})
		}
		all.Wait()
		if n := r.refusals(); n > 2 {
			t.Errorf("tried %d times, want at most twice", n)
		}
		_, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: "alice"})
		var refused *SignInError
		if !errors.As(err, &refused) || refused.Reason != Withheld || !strings.Contains(err.Error(), "tried again in 15m") {
			t.Errorf("got %v", err)
		}
		r.use("another password")
		time.Sleep(rememberPermanent + time.Second)
		r.acquire(t, testSite, "alice").Release()
	})
}

// A site that the account is no user of is no reason to withhold a password
// that is known to be good from the others.
func TestRefusalForOneSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPasswordRig(t, false, goodPassword)
		r.acquire(t, "finance", "").Release()
		for range 10 {
			if _, _, err := r.pool.Get(t.Context(), Grant{Site: "nowhere"}); err == nil {
				t.Fatal("no error")
			}
			time.Sleep(rememberPermanent + time.Second)
			r.KillSessions(tableautest.SessionFilter{})
		}
		if n := r.refusals(); n != 1 {
			t.Errorf("refused %d times for the unknown site, want once", n)
		}
		r.acquire(t, "marketing", "").Release()
		time.Sleep(refusedPasswordRest)
		if _, _, err := r.pool.Get(t.Context(), Grant{Site: "nowhere"}); err == nil {
			t.Fatal("no error")
		}
		if n := r.refusals(); n != 2 {
			t.Errorf("refused %d times after a quarter of an hour, want twice", n)
		}
	})
}

// Who has waited for a turn presents the password as it is then, and not the one
// that was refused in the meantime.
func TestPasswordIsUpToDate(t *testing.T) {
	ours := "old"
	c := must(NewPassword(false, AccountPassword{
		Name: "a", Password: tableauapi.NewSecret(ours),
		Current: func() tableauapi.Secret { return tableauapi.NewSecret(ours) },
	}))
	one, two := must(c.Proof(Grant{}, time.Now())), must(c.Proof(Grant{}, time.Now()))
	done, err := c.Admit(t.Context(), &one)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Admit(gone, &two); !errors.Is(err, context.Canceled) {
		t.Errorf("two at a time, or %v", err)
	}
	done(&SignInError{Reason: Refused})
	if _, err := c.Admit(t.Context(), &two); err == nil {
		t.Fatal("the refused password was presented again")
	}
	ours = "new"
	if done, err = c.Admit(t.Context(), &two); err != nil {
		t.Fatal(err)
	}
	done(nil)
	if got := two.Credentials.Password.Reveal(); got != "new" {
		t.Errorf("presents %q", got)
	}
}

func TestNewPasswordRefuses(t *testing.T) {
	for _, a := range []AccountPassword{{}, {Name: "a"}, {Password: tableauapi.NewSecret("p")}} {
		if _, err := NewPassword(false, a); err == nil {
			t.Errorf("%q: no error", a.Name)
		}
	}
	account := AccountPassword{Name: "a", Password: tableauapi.NewSecret("p")}
	if must(NewPassword(false, account)).Fingerprint() == must(NewPassword(true, account)).Fingerprint() {
		t.Error("the fingerprint is the same with and without impersonation")
	}
}

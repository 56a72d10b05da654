package caddymodule

// This file checks the credentials that are somebody's account: personal access
// tokens and passwords, with and without impersonation.

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const testAccount = "CADDY_TABLEAU_TEST_ACCOUNT"

// accounts are the ways to sign in of this file, as the administrator, whose
// secret is in the environment.
var accounts = map[string]struct{ credentials, kind string }{
	"pat":      {"pat {\n\ttoken admin-pat {env." + testAccount + "}\n", "pat"},
	"password": {"password {\n\taccount admin {env." + testAccount + "}\n", "password"},
}

// withAccount is a setup with the credentials; options are more of
// tableau_proxy.
func (r *rig) withAccount(credentials, options string) setup {
	return setup{handlers: fmt.Sprintf("\ttableau_proxy %s {\n\tsite finance marketing\n\tuser {http.auth.user.id}\n%s\n\tcredentials %s\n\ttransport {\n%s\n}\n}", r.URL, options, credentials, r.trust())}
}

// secretOf is the administrator's secret of a kind.
func (r *rig) secretOf(kind string) string {
	if kind == "pat" {
		return r.PATs("admin")[0].Secret.Reveal()
	}
	for _, u := range r.Users() {
		if u.Name == "admin" {
			return u.Password.Reveal()
		}
	}
	return ""
}

func startedWithAccount(t *testing.T, name string, impersonate bool) *rig {
	t.Helper()
	r := newRig(t, tableautest.Options{PATImpersonation: true})
	t.Setenv(testAccount, r.secretOf(accounts[name].kind))
	credentials := accounts[name].credentials
	if impersonate {
		credentials += "\timpersonate\n"
	}
	r.load(t, r.withAccount(credentials+"}", ""))
	return r
}

// TestAccountJourney: a client that signs in, asks and signs out, in XML. What it
// gets is its own user's, or the account's, and the record names both.
func TestAccountJourney(t *testing.T) {
	for name := range accounts {
		for _, impersonate := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s impersonate=%t", name, impersonate), func(t *testing.T) {
				r := startedWithAccount(t, name, impersonate)
				for _, user := range []string{"alice", "bob"} {
					as := user
					if !impersonate {
						as = "admin"
					}
					r.journey(t, user, as)
				}
				if name == "pat" && r.Stats().Ended[tableautest.EndPATReuse] != 0 {
					t.Error("a session was ended by another sign-in with its token")
				}
			})
		}
	}
}

// journey is the way of user's client, whom Tableau has to take for as.
func (r *rig) journey(t *testing.T, user, as string) {
	t.Helper()
	logged.reset()
	a := r.do(t, call{
		user: user, method: "POST", path: api + "/auth/signin",
		body: `<tsRequest><credentials name="any" password="thing"><site contentUrl="finance"/></credentials></tsRequest>`,
	})
	answer, err := tableauapi.DecodeSignInAnswer([]byte(a.body))
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("sign-in: %d, %v, %s", a.status, err, a.body)
	}
	if answer.UserID != tableautest.UserLUID(testSite, as) || answer.SiteID != tableautest.SiteLUID(testSite) {
		t.Errorf("the sign-in is for user %s on site %s, want %s's", answer.UserID, answer.SiteID, as)
	}
	token := headers("X-Tableau-Auth", answer.Token.Reveal())
	for _, path := range []string{workbooks, api + "/sites/" + answer.SiteID + "/users/-/workbooks", api + "/sites/marketing/workbooks"} {
		if a := r.do(t, call{user: user, path: path, header: token}); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if e := r.last(t); e.User != as || e.Kind == tableautest.KindDirectTrust {
			t.Errorf("%s: Tableau took %s for %s, by %s", path, user, e.User, e.Kind)
		}
	}
	record := await(t, "tableau.audit", map[string]any{"user": user, "site": "finance", "route": "/sites/{site}/workbooks"})
	if actsAs, there := record["acts_as"]; there != (user != as) || there && actsAs != as {
		t.Errorf("the record says acts_as %v of %s, who is sent as %s", actsAs, user, as)
	}
	if a := r.do(t, call{user: user, method: "POST", path: api + "/auth/signout", header: token}); a.status != http.StatusNoContent {
		t.Errorf("sign-out: %d", a.status)
	}
}

// One token, and the session dies under a stream of requests of two people: all
// are answered, and none by a second session.
func TestTokenIsSharedFairly(t *testing.T) {
	r := startedWithAccount(t, "pat", true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			user := []string{"alice", "bob"}[i%2]
			a, err := r.send(ctx, call{user: user, path: workbooks})
			if err != nil || a.status != http.StatusOK {
				t.Errorf("%s: %v %d %s", user, err, a.status, a.body)
			}
			if i == 0 {
				r.KillSessions(tableautest.SessionFilter{})
			}
		})
	}
	all.Wait()
	if n := r.Stats().Ended[tableautest.EndPATReuse]; n != 0 {
		t.Errorf("%d sessions were ended by another sign-in with their token", n)
	}
}

// Who finds every token in use, for the whole of the time that it may wait, is
// told so; the request that had it is not disturbed, and gives it back.
func TestNoFreeToken(t *testing.T) {
	none := &tableauauth.NoSeatError{Kind: "pat", Seats: 1, Waited: 30 * time.Second}
	f := sessionFailure(none)
	if f.status != http.StatusServiceUnavailable || f.code != "no_free_token" || f.retryAfter == 0 {
		t.Errorf("the answer is %+v", f)
	}
	if g := transportFailure(&exchange{}, none); g == nil || g.code != f.code {
		t.Errorf("in the transport it is %+v", g)
	}

	r := startedWithAccount(t, "pat", true)
	hang := r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/workbooks"}, Hang: true, Count: 1})
	done := make(chan error, 1)
	go func() {
		a, err := r.send(t.Context(), call{user: "alice", path: workbooks})
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", a.status, a.body)
		}
		done <- err
	}()
	if err := hang.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if a, err := r.send(ctx, call{user: "bob", path: workbooks}); err == nil {
		t.Errorf("bob got %d while alice had the only token", a.status)
	}
	hang.Remove()
	if err := <-done; err != nil {
		t.Errorf("alice: %v", err)
	}
	if a := r.get(t, "bob", workbooks); a.status != http.StatusOK {
		t.Errorf("bob, when alice is done: %d %s", a.status, a.body)
	}
}

// A secret that Tableau refuses is named by its kind to the client, in full to
// the operator, and by its value to nobody.
func TestAccountIsRefused(t *testing.T) {
	for name, want := range map[string]string{"pat": "refused", "password": "refused"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tableautest.Options{})
			t.Setenv(testAccount, "a secret that Tableau does not know")
			r.load(t, r.withAccount(accounts[name].credentials+"}", ""))
			for range 8 {
				if a := r.get(t, "alice", workbooks); a.status != http.StatusBadGateway || a.code() != "sign_in_refused" {
					t.Errorf("%d %s: %s", a.status, a.code(), a.body)
				}
			}
			entry := await(t, "tableau", map[string]any{"msg": "sign-in failed"})
			if text := fmt.Sprint(entry["error"]); !strings.Contains(text, want) {
				t.Errorf("the log says %q", text)
			}
			if n := r.Server.SignIns(tableautest.SignInFilter{Code: "401001"}); n != 1 {
				t.Errorf("%d sign-ins for eight requests, want 1", n)
			}
		})
	}
}

// TestSecretFileIsReadAgain: while requests are made, the first of two secrets is
// deleted at Tableau and its two files, of the ID and the value, are replaced;
// then the same with the second. No request fails, and nothing is reloaded.
func TestSecretFileIsReadAgain(t *testing.T) {
	r := newRig(t, tableautest.Options{
		AcceptUser:   func(string) bool { return true },
		Undocumented: tableautest.Undocumented{RevokeEndsSessions: true},
	})
	second, err := r.AddSecret(r.app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
	put := func(file string, s tableautest.AppSecret) {
		write("id"+file, s.ID)
		write("value"+file, s.Value.Reveal())
	}
	put("1", r.app.Secrets[0])
	put("2", second)
	option := func(file string) string {
		return "secret {file." + filepath.Join(dir, "id"+file) + "} {file." + filepath.Join(dir, "value"+file) + "}\n"
	}
	r.load(t, setup{credentials: "client_id " + r.app.ClientID + "\n" + option("1") + option("2")})

	made, stop := make(chan struct{}, 1), make(chan struct{})
	var load sync.WaitGroup
	defer load.Wait()
	defer close(stop)
	for i := range 6 {
		load.Go(func() {
			user := []string{"alice", "bob", "carol"}[i%3]
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := r.send(t.Context(), call{user: user, path: workbooks})
				if err != nil || a.status != http.StatusOK {
					t.Errorf("%s: %v %d %s", user, err, a.status, a.body)
					return
				}
				select {
				case made <- struct{}{}:
				default:
				}
			}
		})
	}
	// requests lets some more be made.
	requests := func() {
		for range 60 {
			select {
			case <-made:
			case <-time.After(patience):
				t.Fatal("no more requests are made")
			}
		}
	}
	for file, old := range map[string]tableautest.AppSecret{"1": r.app.Secrets[0], "2": second} {
		requests()
		if err := r.DeleteSecret(r.app.ClientID, old.ID); err != nil {
			t.Fatal(err)
		}
		requests()
		write("value"+file, "") // not there yet
		requests()
		fresh, err := r.AddSecret(r.app.ClientID)
		if err != nil {
			t.Fatal(err)
		}
		put(file, fresh)
		requests()
	}
}

// A secret that is gone when it is needed is logged, and the last one serves.
func TestSecretFileGoes(t *testing.T) {
	for name := range accounts {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tableautest.Options{})
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(r.secretOf(name)), 0o600); err != nil {
				t.Fatal(err)
			}
			credentials := strings.Replace(accounts[name].credentials, "{env."+testAccount+"}", "{file."+path+"}", 1)
			r.load(t, r.withAccount(credentials+"}", ""))
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if a := r.get(t, "alice", workbooks); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
			entry := await(t, "tableau.credentials", map[string]any{"level": "error"})
			if text := fmt.Sprint(entry["error"]); !strings.Contains(text, path) {
				t.Errorf("the log says %q, which does not name the file", text)
			}
		})
	}
}

func TestProvisionAccounts(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	t.Setenv("EMPTY_SECRET", "")
	with := func(credentials string) string { return goodSite + goodUser + "credentials " + credentials + "\n" }
	pat, password := "pat {\ntoken one {env.GOOD_SECRET}\n", "password {\naccount svc {env.GOOD_SECRET}\n"
	tests := map[string]struct {
		options string
		want    []string // in the error; none: it loads
	}{
		"pat":                           {with(pat + "}"), nil},
		"pat with impersonate":          {with(pat + "impersonate\n}"), nil},
		"two tokens":                    {with(pat + "token two {env.GOOD_SECRET}\n}"), nil},
		"password":                      {with(password + "}"), nil},
		"password with impersonate":     {with(password + "impersonate\n}"), nil},
		"scopes do no harm":             {with(pat+"}") + goodScopes, nil},
		"claims with pat":               {with(pat+"}") + "claims {\nRegion North\n}\n", []string{"claims", "pat", "without a JWT"}},
		"claims with password":          {with(password+"}") + "claims {\nRegion North\n}\n", []string{"claims", "password", "without a JWT"}},
		"direct trust chooses scopes":   {goodSite + goodUser + goodCredentials, nil},
		"no token":                      {with("pat {\n}"), []string{"no token", "My Account Settings"}},
		"tokens of one name":            {with(pat + "token one {env.GOOD_SECRET}\n}"), []string{"two tokens", `"one"`}},
		"a literal token":               {with("pat {\ntoken one " + literal + "\n}"), []string{"token", "autosave.json"}},
		"an empty token":                {with("pat {\ntoken one {env.EMPTY_SECRET}\n}"), []string{"token", "{env.EMPTY_SECRET}"}},
		"a token without secret":        {with("pat {\ntoken one\n}"), []string{"token takes a name and a secret"}},
		"unknown option of pat":         {with(pat + "secret x\n}"), []string{"secret", "there are token and impersonate"}},
		"an argument of impersonate":    {with(pat + "impersonate yes\n}"), []string{"wrong argument count", "'yes'"}},
		"no account":                    {with("password {\n}"), []string{"account"}},
		"two accounts":                  {with(password + "account other {env.GOOD_SECRET}\n}"), []string{"account is given twice"}},
		"a literal password":            {with("password {\naccount svc " + literal + "\n}"), []string{"account", "autosave.json"}},
		"an account without password":   {with("password {\naccount svc\n}"), []string{"account takes a name and a password"}},
		"unknown option of password":    {with(password + "token x\n}"), []string{"token", "there are account and impersonate"}},
		"a name that comes out empty":   {with("password {\naccount {env.EMPTY_SECRET} {env.GOOD_SECRET}\n}"), []string{"account (its name)"}},
		"a token name that comes empty": {with("pat {\ntoken {env.EMPTY_SECRET} {env.GOOD_SECRET}\n}"), []string{"token (its name)"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := provision(t, goodOrigin, test.options)
			if err == nil && test.want != nil {
				t.Fatal("no error")
			}
			if err != nil && test.want == nil {
				t.Fatal(err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %v", part, err)
				}
			}
			if err != nil && strings.Contains(err.Error(), literal) {
				t.Error("the error repeats the secret")
			}
		})
	}
}

package caddymodule

// This file checks what becomes of sessions when the configuration changes.

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// signOuts counts the sessions that were signed out at Tableau.
func (r *rig) signOuts() int { return r.Stats().Ended[tableautest.EndSignOut] }

func (r *rig) counts(t *testing.T, when string, signIns, signOuts, live int) {
	t.Helper()
	if a, b, c := r.signIns(), r.signOuts(), len(r.Sessions()); a != signIns || b != signOuts || c != live {
		t.Errorf("%s: %d sign-ins, %d sign-outs, %d sessions, want %d, %d, %d", when, a, b, c, signIns, signOuts, live)
	}
}

func (r *rig) works(t *testing.T, when, user string) {
	t.Helper()
	if a := r.get(t, user, workbooks); a.status != 200 || !strings.Contains(a.body, tableautest.DraftsName(user)) {
		t.Errorf("%s: status %d, code %q: %s", when, a.status, a.code(), a.body)
	}
}

func TestSessionsSurviveAReload(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.works(t, "at first", "alice")
	r.works(t, "at first", "bob")
	for name, s := range map[string]setup{
		"the same":       {},
		"a new header":   {after: "\theader X-Reloaded yes"},
		"a new map":      {options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tuser_map bob bob\n\t\tscopes tableau:content:read"},
		"a further site": {options: "\t\tsite finance marketing\n\t\tuser {http.auth.user.id}\n\t\tscopes tableau:content:read"},
	} {
		r.load(t, s)
		r.works(t, name, "alice")
		r.works(t, name, "bob")
		r.counts(t, name, 2, 0, 2)
	}
}

// What a session is for is part of it: with other scopes there is another, and
// the old one is left to its idle limit.
func TestOtherScopesAreOtherSessions(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.works(t, "at first", "alice")
	r.load(t, setup{options: defaultOptions + " tableau:users:read"})
	if a := r.get(t, "alice", api+"/sites/-/users"); a.code() == "scope_missing" {
		t.Errorf("the session of before is in use: %s", a.body)
	}
	if got := r.signIns(); got != 2 {
		t.Errorf("%d sign-ins, want 2", got)
	}
}

func TestSessionsEndWithTheirConnection(t *testing.T) {
	second := func(r *rig) string {
		return "client_id " + r.app.ClientID + "\n\t\t\tsecret " + r.app.Secrets[0].ID + " {env." + testSecret + "}\n\t\t\tsecret spare {env." + testSecret + "}"
	}
	for name, change := range map[string]func(*rig) (s setup, signsIn bool){
		"a second secret":   func(r *rig) (setup, bool) { return setup{credentials: second(r)}, true },
		"another trust":     func(*rig) (setup, bool) { return setup{transport: "tls_server_name example.com"}, true },
		"the block is gone": func(*rig) (setup, bool) { return setup{handlers: "\trespond gone"}, false },
	} {
		t.Run(name, func(t *testing.T) {
			r := started(t, tableautest.Options{}, setup{})
			r.works(t, "at first", "alice")
			r.works(t, "at first", "bob")
			s, signsIn := change(r)
			r.load(t, s)
			r.counts(t, "after the change", 2, 2, 0)
			if signsIn {
				r.works(t, "after the change", "alice")
				r.counts(t, "after a request", 3, 2, 1)
			}
		})
	}
}

func TestSessionsEndWithCaddy(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for _, user := range []string{"alice", "bob", "carol"} {
		r.works(t, "before", user)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	r.counts(t, "after Stop", 3, 3, 0)
}

func TestFailedReloadChangesNothing(t *testing.T) {
	t.Setenv("EMPTY_SECRET", "")
	r := started(t, tableautest.Options{}, setup{})
	r.works(t, "at first", "alice")
	// The last fails only when it is started: its address is taken.
	taken := "\n}\nhttp://" + strings.TrimPrefix(r.URL, "https://") + " {\n\trespond taken"
	for name, s := range map[string]setup{
		"a bad option":      {options: defaultOptions + "\n\t\tunmapped deny"},
		"a bad secret":      {credentials: "client_id " + r.app.ClientID + "\n\t\t\tsecret id {env.EMPTY_SECRET}"},
		"another directive": {after: "\thandle {\n\t\treverse_proxy https://x {\n\t\t\ttransport tableau {\n\t\t\t\ttls_insecure_skip_verify\n\t\t\t}\n\t\t}\n\t}"},
		"a taken address":   {after: taken},
	} {
		if err := r.try(s); err == nil {
			t.Fatalf("%s: it loads", name)
		}
		r.works(t, name, "alice")
		r.counts(t, name, 1, 0, 1)
	}
	// Sign-ins and sessions go on to work, and end.
	r.works(t, "somebody new", "bob")
	r.KillSessions(tableautest.SessionFilter{User: "alice"})
	r.works(t, "a session that Tableau ended", "alice")
	r.load(t, setup{handlers: "\trespond gone"})
	r.counts(t, "at last", 3, 2, 0)
}

// A request that is under way when the configuration changes comes to its end.
func TestReloadDuringARequest(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.works(t, "at first", "alice")
	fault := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Hang: true})
	type outcome struct {
		answer
		err error
	}
	done := make(chan outcome)
	go func() {
		a, err := r.send(t.Context(), call{user: "alice", path: workbooks})
		done <- outcome{a, err}
	}()
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.load(t, setup{after: "\theader X-Reloaded yes"})
	fault.Remove()
	if o := <-done; o.err != nil || o.status != http.StatusOK {
		t.Errorf("status %d, %v", o.status, o.err)
	}
	r.counts(t, "after all", 1, 0, 1)
}

// Two blocks with the same connection share its sessions; with another they do
// not, and each ends with its own block.
func TestBlocksShareByConnection(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	block := r.block(setup{})
	other := r.block(setup{transport: "tls_server_name example.com"})
	r.load(t, setup{handlers: "\ttableau_proxy /api/3.24/* " + r.URL + block + "\n\ttableau_proxy /api/3.23/* " + r.URL + block + "\n\ttableau_proxy /api/3.22/* " + r.URL + other})
	for _, version := range []string{"3.24", "3.23"} {
		r.get(t, "alice", "/api/"+version+"/sites/-/workbooks")
	}
	r.counts(t, "the same connection", 1, 0, 1)
	r.get(t, "alice", "/api/3.22/sites/-/workbooks")
	r.counts(t, "another connection", 2, 0, 2)
	r.load(t, setup{handlers: "\ttableau_proxy /api/3.23/* " + r.URL + block})
	r.counts(t, "one block is left", 2, 1, 1)
	if a := r.get(t, "alice", "/api/3.23/sites/-/workbooks"); a.status != 200 {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
	r.counts(t, "its session is the same", 2, 1, 1)
}

// A pool goes on with the transport and the log of the configuration that was
// started last, and not of one that was only tried.
func TestTakeOver(t *testing.T) {
	tableau := tableautest.New(tableautest.Options{})
	app := tableau.ConnectedApp(testSite)
	credential, err := tableauauth.NewDirectTrust(app.ClientID, tableauauth.ConnectedAppSecret{
		ID: app.Secrets[0].ID, Value: tableauapi.NewSecret(app.Secrets[0].Value.Reveal()),
	})
	if err != nil {
		t.Fatal(err)
	}
	type generation struct {
		app   *App
		log   bytes.Buffer
		calls atomic.Int32
	}
	connected := func() (*generation, *connection) {
		g := new(generation)
		g.app = &App{slogger: slog.New(slog.NewTextHandler(&g.log, nil))}
		client := tableauauth.Client{Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
			g.calls.Add(1)
			return tableau.RoundTripper().RoundTrip(req)
		})}
		c, err := g.app.connect(tableauauth.Connection{Origin: goodOrigin, Credential: credential}, client, []string{testSite})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := g.app.Cleanup(); err != nil {
				t.Error(err)
			}
		})
		return g, c
	}
	first, c := connected()
	second, other := connected()
	if c.pool != other.pool {
		t.Fatal("the same connection has two pools")
	}
	use := func(user string) {
		slog.New(c.pool.log).Info(user)
		grant := tableauauth.Grant{Site: testSite, User: user, Scopes: []string{"tableau:content:read"}}
		if _, _, err := c.pool.Get(t.Context(), grant); err != nil {
			t.Fatal(err)
		}
	}
	use("alice")
	if err := second.app.Start(); err != nil {
		t.Fatal(err)
	}
	use("bob")
	if a, b := first.calls.Load(), second.calls.Load(); a != 1 || b != 1 {
		t.Errorf("%d calls by the first configuration's transport, %d by the second's, want one each", a, b)
	}
	if a, b := first.log.String(), second.log.String(); !strings.Contains(a, "alice") || strings.Contains(a, "bob") || !strings.Contains(b, "bob") {
		t.Errorf("the first log has %q, the second %q", a, b)
	}
}

// TestRemovedSite: when no configuration names a site any more, its sessions
// are given up, while the pool goes on for the sites that are left.
func TestRemovedSite(t *testing.T) {
	tableau := tableautest.New(tableautest.Options{})
	app := tableau.ConnectedApp(testSite)
	credential, err := tableauauth.NewDirectTrust(app.ClientID, tableauauth.ConnectedAppSecret{
		ID: app.Secrets[0].ID, Value: tableauapi.NewSecret(app.Secrets[0].Value.Reveal()),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := tableauauth.Client{Transport: tableau.RoundTripper()}
	uses := make([]*App, 3)
	var pool *pooled
	for i, sites := range [][]string{{testSite, "marketing"}, {testSite}, {"marketing"}} {
		uses[i] = &App{slogger: slog.New(slog.DiscardHandler)}
		c, err := uses[i].connect(tableauauth.Connection{Origin: goodOrigin, Credential: credential}, client, sites)
		if err != nil {
			t.Fatal(err)
		}
		pool = c.pool
	}
	grant := tableauauth.Grant{Site: testSite, User: "alice", Scopes: []string{"tableau:content:read"}}
	if _, _, err := pool.Get(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0, 0} {
		if err := uses[i].Cleanup(); err != nil {
			t.Fatal(err)
		}
		if n := pool.Len(); n != want {
			t.Errorf("%d sessions when %d uses are gone, want %d", n, i+1, want)
		}
		if live, last := len(tableau.Sessions()), i == 2; (live == 0) != last {
			t.Errorf("%d live at Tableau when %d uses are gone", live, i+1)
		}
	}
}

// roundTripFunc is a function as an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

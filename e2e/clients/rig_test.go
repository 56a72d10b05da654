// This file puts a test together: the simulated Tableau, the proxy in front of
// it, and what has to hold at the end of every test.

package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	site   = "finance"
	secret = "TABLEAU_SECRET" // the environment variable with the Connected App's secret

	// password is what people authenticate to Caddy with, by HTTP basic
	// authentication.
	password = "caddy-password"
)

// scopes are all that the journeys of the clients need; docs/clients.md has
// the same list.
const scopes = "tableau:content:read tableau:views:download tableau:workbooks:download tableau:datasources:download " +
	"tableau:workbooks:create tableau:file_uploads:create tableau:users:read tableau:jobs:read tableau:tasks:run"

// A rig is a simulated Tableau and the proxy in front of it, with three
// listeners: for tools that present nothing but the secret of their entry in
// the clients block, over TLS and without, and for people with a password.
type rig struct {
	*tableautest.Server
	t        *testing.T
	dir      string
	app      tableautest.ConnectedApp
	sites    string
	scopes   string
	ports    [3]int
	proxy    *process
	programs []*process

	https, http, basic string // base URLs
}

// newRig starts both, with the simulator's default content.
func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, scopes)
}

// newRigWith starts both, with these scopes in the configuration.
func newRigWith(t *testing.T, scopes string) *rig {
	t.Helper()
	return serve(t, tableautest.NewTLSServer(tableautest.Options{EchoToken: true}), site, scopes)
}

// serve starts the proxy in front of a simulator.
func serve(t *testing.T, tableau *tableautest.Server, sites, scopes string) *rig {
	t.Helper()
	r := &rig{Server: tableau, t: t, dir: t.TempDir(), sites: sites, scopes: scopes}
	t.Cleanup(r.Close)
	r.app = r.ConnectedApp(site)
	r.file("tableau.pem", r.CAPEM())
	r.certificate()
	for attempt := 1; ; attempt++ {
		// Somebody else may take a port between its reservation and its use.
		for i := range r.ports {
			r.ports[i] = program.FreePort(t)
		}
		path := r.file("Caddyfile", []byte(r.caddyfile()))
		env := append(r.env(), secret+"="+r.app.Secrets[0].Value.Reveal())
		r.proxy = start(t, r.dir, env, caddy, "run", "--config", path, "--adapter", "caddyfile")
		if r.proxy.printed(r.proxy.stderr, "serving initial configuration") {
			break
		}
		if attempt == 3 || !strings.Contains(r.proxy.stderr.String(), "address already in use") {
			t.Fatalf("the proxy did not start\n%s", r.proxy.tail())
		}
	}
	r.https = fmt.Sprintf("https://localhost:%d", r.ports[0])
	r.http = fmt.Sprintf("http://127.0.0.1:%d", r.ports[1])
	r.basic = fmt.Sprintf("https://localhost:%d", r.ports[2])
	t.Cleanup(r.finish)
	return r
}

// finish stops the proxy and looks at what it has left behind.
func (r *rig) finish() {
	if status := r.proxy.interrupt(); status != 0 {
		r.t.Errorf("the proxy ended with status %d", status)
	}
	if r.t.Failed() {
		r.t.Logf("the proxy's output:\n%s", r.proxy.tail())
	}
	for _, p := range append(r.programs, r.proxy) {
		r.noSecrets(p)
	}
	if left := r.Sessions(); len(left) > 0 {
		r.t.Errorf("%d sessions are alive at Tableau after the proxy has stopped", len(left))
	}
	for _, e := range r.Journal() {
		if e.Authorization || e.Cookie || e.AuthTokens > 1 {
			r.t.Errorf("%s %s reached Tableau with Authorization: %t, Cookie: %t, %d X-Tableau-Auth; it may not be the only one",
				e.Method, e.Path, e.Authorization, e.Cookie, e.AuthTokens)
			return
		}
	}
}

// noSecrets searches what a program printed: for everything that is secret at
// Tableau, and the proxy's log for the secrets of its clients too.
func (r *rig) noSecrets(p *process) {
	text := p.stdout.String() + p.stderr.String()
	if leaks := r.Leaks([]byte(text)); len(leaks) > 0 {
		r.t.Errorf("%s printed secrets: %v", filepath.Base(p.cmd.Path), leaks)
	}
	if p != r.proxy {
		return
	}
	for _, ours := range []string{etl.secret, reports.secret, password} {
		if strings.Contains(text, ours) {
			r.t.Error("the proxy's log holds the secret of a client")
		}
	}
}

// expectSignIns fails the test unless Tableau has seen so many sign-ins, and refused
// none.
func (r *rig) expectSignIns(want int) {
	r.t.Helper()
	if got := r.SignIns(tableautest.SignInFilter{}); got != want {
		r.t.Errorf("sign-ins at Tableau: %d, want %d", got, want)
	}
	for _, e := range r.Journal() {
		if e.Operation == "sign_in" && e.Status != 200 {
			r.t.Errorf("Tableau refused a sign-in: %d %s", e.Status, e.Reason)
		}
	}
}

// file writes a file into the rig's directory and returns its path.
func (r *rig) file(name string, content []byte) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

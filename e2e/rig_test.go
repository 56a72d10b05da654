// This file puts a test together: the simulated Tableau, the proxy in front of
// it, and what has to hold at the end of every test.

package e2e

import (
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A wrapper changes what the simulator hears and says.
type wrapper func(http.Handler) http.Handler

// A rig is a simulated Tableau and the proxy in front of it.
type rig struct {
	*tableautest.Server
	t     testing.TB
	app   tableautest.ConnectedApp
	conf  caddyfile
	proxy *process
	kept  *evidence
	trust *x509.CertPool // of the proxy's own certificate
}

// newRig starts both. Whatever the proxy says to anybody is searched for
// secrets at the end of the test.
func newRig(t testing.TB, s setup) *rig {
	t.Helper()
	r := prepare(t, s)
	r.start()
	return r
}

// start starts the proxy.
func (r *rig) start() {
	t := r.t
	t.Helper()
	for attempt := 1; ; attempt++ {
		// Somebody else may take a port between its reservation and its use.
		r.conf.HTTP, r.conf.HTTPS = program.FreePort(t), program.FreePort(t)
		path := r.conf.write(t)
		r.proxy = launch(t, r.conf.Dir, r.env(), "run", "--config", path, "--adapter", "caddyfile")
		r.proxy.clean = r.kept.clean
		if r.started() {
			return
		}
		if attempt == 3 || !strings.Contains(r.proxy.stderr.String(), "address already in use") {
			t.Fatalf("the proxy did not start\n%s", r.proxy.tail())
		}
	}
}

// prepare makes everything but the proxy.
func prepare(t testing.TB, s setup) *rig {
	t.Helper()
	s.tableau.EchoToken = true // the real one does not; a proxy must not pass it on if it did
	r := &rig{t: t, Server: startTableau(t, s), conf: s.caddyfile()}
	r.app = r.ConnectedApp(site)
	r.kept = newEvidence(r)
	r.conf.Dir = shortTempDir(t)
	r.conf.ClientID, r.conf.SecretID = r.app.ClientID, r.app.Secrets[0].ID
	if r.conf.Origin == "" {
		r.conf.Origin = r.URL
	}
	r.file("tableau.pem", r.CAPEM())
	r.certificate()
	t.Cleanup(r.finish)
	return r
}

// startTableau serves the simulator with TLS.
func startTableau(t testing.TB, s setup) *tableautest.Server {
	t.Helper()
	tableau := tableautest.New(s.tableau)
	var handler http.Handler = tableau
	if s.wrap != nil {
		handler = s.wrap(tableau)
	}
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that break are what tests are about
	server.StartTLS()
	srv := &tableautest.Server{Tableau: tableau, URL: server.URL, HTTP: server}
	t.Cleanup(srv.Close)
	return srv
}

// started waits until the proxy serves, or has failed to.
func (r *rig) started() bool {
	r.t.Helper()
	_, err := r.proxy.stderr.Await("serving initial configuration", r.proxy.ended, patience)
	if errors.Is(err, program.ErrTimedOut) {
		r.t.Fatalf("the proxy did not serve within %v\n%s", patience, r.proxy.tail())
	}
	return err == nil
}

// env is the proxy's environment.
func (r *rig) env() []string {
	return []string{secretVariable + "=" + r.app.Secrets[0].Value.Reveal()}
}

// finish collects what the proxy wrote, ends it, and searches all of it.
func (r *rig) finish() {
	if r.proxy != nil {
		if r.proxy.running() {
			r.collectAdmin()
		}
		r.proxy.kill()
		r.collectFiles()
		if r.t.Failed() {
			r.t.Logf("the proxy's output:\n%s", r.proxy.tail())
		}
	}
	r.kept.search()
}

// file writes a file into the rig's directory and returns its path.
func (r *rig) file(name string, content []byte) string {
	r.t.Helper()
	path := filepath.Join(r.conf.Dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// certificate makes a certificate for the proxy's TLS listener.
func (r *rig) certificate() {
	r.t.Helper()
	cert, key := program.Certificate(r.t)
	r.file("proxy.pem", cert)
	r.file("proxy.key", key)
	r.trust = x509.NewCertPool()
	r.trust.AppendCertsFromPEM(cert)
}

// shortTempDir is a temporary directory whose path is short enough to hold a
// Unix socket, which t.TempDir's is not for a long test name.
func shortTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

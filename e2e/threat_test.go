// These tests look where a running process shows itself: its profiles, traces,
// metrics, files, arguments and environment.

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// profiles are what /debug/pprof/ shows.
var profiles = []string{
	"", "allocs?debug=1", "block?debug=1", "cmdline", "goroutine?debug=1", "goroutine?debug=2", "heap?debug=1", "heap?debug=2",
	"mutex?debug=1", "threadcreate?debug=1", "heap", "goroutine", "profile?seconds=1", "trace?seconds=1", "symbol",
}

// accessFilter is what Caddyfile.example has for the tokens of clients.
const accessFilter = `format filter {
			wrap json
			fields {
				request>headers>X-Tableau-Auth delete
			}
		}`

// traced starts a rig whose secret is in a file, and which prints its traces.
func traced(t *testing.T) *rig {
	t.Helper()
	headerOnly := noIdentity
	r := prepare(t, setup{identity: &headerOnly, users: headerUsers, routes: "tracing {\n\t\tspan proxy\n\t}", access: accessFilter, global: "metrics {\n\t\tper_host\n\t}"})
	r.conf.Secret = "{file." + r.file("secret", []byte(r.app.Secrets[0].Value.Reveal())) + "}"
	r.conf.HTTP, r.conf.HTTPS = program.FreePort(t), program.FreePort(t)
	path := r.conf.write(t)
	env := []string{"OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=50"}
	r.proxy = launch(t, r.conf.Dir, env, "run", "--config", path, "--adapter", "caddyfile")
	r.proxy.clean = r.kept.clean
	if !r.started() {
		t.Fatalf("the proxy did not start\n%s", r.proxy.tail())
	}
	return r
}

func TestNoSecretWhereTheProcessShowsItself(t *testing.T) {
	r := traced(t)
	c := r.h2()
	token := c.signIn("alice")
	c.get("", workbooks, remoteUser, "alice", "X-Tableau-Auth", token).expect(r, http.StatusOK)
	r.KillSessions(tableautest.SessionFilter{})
	c.get("", workbooks, remoteUser, "alice", "X-Tableau-Auth", token).expect(r, http.StatusOK)
	c.get("", "/web", remoteUser, "alice").expect(r, http.StatusNotFound)
	hang := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Count: 1, Hang: true})
	inFlight := c.later(c.request(http.MethodGet, "", workbooks, nil, remoteUser, "alice", "X-Tableau-Auth", token))
	r.wait(hang, 1) // so that somebody's session is in the goroutines
	for _, profile := range profiles {
		a, err := r.adminCall(http.MethodGet, "/debug/pprof/"+profile, "", nil)
		if err != nil || a.status != http.StatusOK || len(a.body) == 0 {
			t.Errorf("%s: %v, status %d, %d bytes", profile, err, a.status, len(a.body))
		}
		r.kept.add("profile "+profile, unzipped(a.body))
	}
	hang.Remove()
	r.await(inFlight).expect(r, http.StatusOK)
	r.proxy.waitFor(r.proxy.stdout, `"SpanContext"`)
	r.collectAdmin()
	r.expectBoundedLabels(t)
	if runtime.GOOS == "linux" {
		for _, name := range []string{"environ", "cmdline"} {
			r.kept.add("process "+name, readFile(t, fmt.Sprintf("/proc/%d/%s", r.proxy.cmd.Process.Pid, name)))
		}
	}
	r.expectPrivateFiles(t)
	r.proxy.kill()
	r.collectFiles()
	r.expectNowhere(t, "the token of a client", token)
	for name, holds := range map[string]string{
		"profile goroutine?debug=2": "tableauauth.(*Transport).RoundTrip", "profile heap?debug=1": "heap profile", "stdout": `"SpanContext"`,
		"admin /metrics": "caddy_tableau_", "file access.log": `"tableau_user":"alice"`,
	} {
		if !r.kept.has(name, holds) {
			t.Errorf("the search does not see %s with %q in it", name, holds)
		}
	}
}

// TestTheExampleClosesTheAdminEndpoint: whoever begins with the example does not
// begin with an endpoint that shows and changes everything.
func TestTheExampleClosesTheAdminEndpoint(t *testing.T) {
	path, err := filepath.Abs("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	done := runCaddy(t, dir, []string{"TABLEAU_CA_FILE=" + dir, "USER_MAP_FILE=" + dir}, "adapt", "--config", path, "--adapter", "caddyfile")
	var config struct {
		Admin struct {
			Disabled bool
			Config   struct{ Persist *bool }
		}
	}
	if err := json.Unmarshal([]byte(done.stdout), &config); err != nil {
		t.Fatalf("exit code %d, %v: %s", done.code, err, done.stderr)
	}
	if !config.Admin.Disabled || config.Admin.Config.Persist == nil || *config.Admin.Config.Persist {
		t.Errorf("the example has %+v", config.Admin)
	}
}

// signIn signs in as a tool does, and returns its token.
func (c *client) signIn(identity string) string {
	c.rig.t.Helper()
	body := strings.NewReader(`{"credentials":{"name":"x","password":"x","site":{"contentUrl":""}}}`)
	a := c.do(c.request(http.MethodPost, "", api+"/auth/signin", body, remoteUser, identity, "Content-Type", "application/json", "Accept", "application/json"))
	var said struct{ Credentials struct{ Token string } }
	if err := json.Unmarshal(a.body, &said); err != nil || said.Credentials.Token == "" {
		c.rig.t.Fatalf("status %d: %v", a.status, err)
	}
	return said.Credentials.Token
}

// unzipped is b, or what it holds if it is compressed.
func unzipped(b []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return b
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return b
	}
	return plain
}

// expectNowhere looks for what is no secret of Tableau's, and must be in nothing
// but the answer to the client.
func (r *rig) expectNowhere(t *testing.T, what, secret string) {
	t.Helper()
	r.kept.mu.Lock()
	defer r.kept.mu.Unlock()
	for _, p := range r.kept.pieces {
		if !strings.HasPrefix(p.name, "an answer") && holds(p.content, secret) {
			t.Errorf("%s holds %s", p.name, what)
		}
	}
}

// expectBoundedLabels: no metric of ours is about one person, path or session.
func (r *rig) expectBoundedLabels(t *testing.T) {
	t.Helper()
	a, err := r.adminCall(http.MethodGet, "/metrics", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(a.body), "\n") {
		if strings.HasPrefix(line, "caddy_tableau_") && (strings.Contains(line, "alice") || strings.Contains(line, "/sites/") || strings.Contains(line, tableautest.SiteLUID(site))) {
			t.Errorf("a metric is about somebody: %s", line)
		}
	}
}

// expectPrivateFiles: what the proxy writes can be read by its user alone.
func (r *rig) expectPrivateFiles(t *testing.T) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(r.conf.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		seen++
		if mode := info.Mode(); mode.Perm()&0o077 != 0 {
			t.Errorf("others have access to %s: %v", strings.TrimPrefix(path, r.conf.Dir+"/"), mode)
		}
		return nil
	})
	if err != nil || seen < 5 {
		t.Errorf("%d files, %v", seen, err)
	}
	if _, err := os.Stat(filepath.Join(r.conf.Dir, "storage", "tableau")); err != nil {
		t.Error(err)
	}
}

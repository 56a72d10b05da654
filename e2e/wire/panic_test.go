// This test is the canary at its worst: modules beside ours panic with the
// session in their hands, and a Tableau repeats in its errors what it was given.
// Then everything that the proxy has said or written is searched.

package wire

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// panics are the places and values that the program in testdata panics with.
var panics = []string{"handler request", "handler text", "handler wrapped", "hop request", "hop text", "hop wrapped", "hop error"}

// adminPaths are what the admin API shows.
var adminPaths = []string{"/config/", "/reverse_proxy/upstreams", "/metrics", "/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"}

func TestNoSecretAfterPanicsAndEchoes(t *testing.T) {
	if err := build("panicking", "./e2e/wire/testdata/panicking"); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, setup{Program: "panicking", Level: "debug", Behind: "panicking", Trust: "network_proxy panicking", LogAll: true, Echo: true})
	said := map[string]string{}
	c := newClient(p)
	defer c.close()
	for _, h2 := range protocols {
		for _, how := range panics {
			a := p.panicking(t, c, how, h2)
			said["the answer after "+how] = string(a.raw)
			if a.status != 0 && a.status < 500 || a.outcome() == passed {
				t.Errorf("%s, HTTP/2 %v: %s", how, h2, a.describe())
			}
		}
	}
	for name, a := range p.refusals(t, c) {
		said["the answer to "+name] = string(a.raw)
	}
	if a := p.panicking(t, c, "", true); a.status != 200 {
		t.Errorf("after all the panics: %s", a.describe())
	}
	for _, path := range adminPaths {
		said["admin "+path] = p.admin(path)
	}
	p.dump(t)
	p.files(t, said)
	said["output"] = p.output.String()
	if !strings.Contains(said["output"], "panic serving") {
		t.Error("nothing has panicked")
	}
	p.search(t, said)
}

// panicking sends a request that lets something panic.
func (p *proxy) panicking(t *testing.T, c *client, how string, h2 bool) *answer {
	t.Helper()
	m := message{h2: h2, user: "alice", to: byHeader, method: "GET", target: workbooks, host: "x"}
	if how != "" {
		m.fields = []field{{strings.ToLower("X-Wire-Panic"), how}}
	}
	a, err := c.send(&m, mark(0))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// refusals lets sign-ins and calls be refused with a repetition of what they
// presented.
func (p *proxy) refusals(t *testing.T, c *client) map[string]*answer {
	t.Helper()
	answers := make(map[string]*answer)
	for name, m := range map[string]message{
		"a refused sign-in, XML":  {user: "echo one", fields: []field{{"Accept", "application/xml"}}},
		"a refused sign-in, JSON": {user: "echo two", fields: []field{{"Accept", "application/json"}}},
		"a call that is refused":  {user: "alice", target: workbooks + "/00000000-0000-4000-8000-000000000000"},
		"a scope that is missing": {user: "alice", target: api + "/sites/-/datasources"},
		"a sign-in at the proxy":  {user: "alice", method: "POST", target: api + "/auth/signin", body: signInBody},
	} {
		m.to, m.host = byHeader, "x"
		if m.method == "" {
			m.method = "GET"
		}
		if m.target == "" {
			m.target = workbooks
		}
		a, err := c.send(&m, mark(0))
		if err != nil {
			t.Fatal(err)
		}
		if a.status == 0 {
			t.Errorf("%s: %s", name, a.describe())
		}
		answers[name] = a
	}
	return answers
}

// anyToken is a live session.
func (p *proxy) anyToken(t *testing.T) string {
	t.Helper()
	tokens := p.tokens()
	if len(tokens) == 0 {
		t.Fatal("nobody has signed in")
	}
	return tokens[0]
}

// dump ends the proxy with the stacks of all goroutines.
func (p *proxy) dump(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the proxy has not ended")
	}
	if !strings.Contains(p.output.String(), "\ngoroutine 1 ") {
		t.Error("there is no dump in the output")
	}
}

// files reads what the proxy has written.
func (p *proxy) files(t *testing.T, said map[string]string) {
	t.Helper()
	own := []string{"Caddyfile", "tableau.pem", "proxy.pem", "proxy.key"}
	err := filepath.WalkDir(p.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || slices.Contains(own, entry.Name()) {
			return err
		}
		content, err := os.ReadFile(path)
		said["file "+strings.TrimPrefix(path, p.Dir+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file audit.log", "file access.log"} {
		if !strings.Contains(said[name], `"`) {
			t.Errorf("%s has not been seen", name)
		}
	}
}

// search looks for secrets in everything that was said.
func (p *proxy) search(t *testing.T, said map[string]string) {
	t.Helper()
	secrets := map[string]string{"the password of the clients": password, "the secret of the connected app": p.app.Secrets[0].Value.Reveal()}
	for name, text := range said {
		for _, leak := range p.Leaks([]byte(text)) {
			t.Errorf("%s holds a %s", name, leak)
		}
		for what, value := range secrets {
			if strings.Contains(text, value) || strings.Contains(text, url.QueryEscape(value)) {
				t.Errorf("%s holds %s", name, what)
			}
		}
	}
	if len(p.Leaks([]byte("x"+p.anyToken(t)+"x"))) == 0 {
		t.Error("the search does not find a session")
	}
}

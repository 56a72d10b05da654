// This file is the canary: everything that the proxy says or writes is kept,
// and searched for secrets.

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// mostKept is how much of one piece is kept, in bytes.
const mostKept = 2 << 20

// A piece is something that the proxy said or wrote.
type piece struct {
	name    string
	content []byte
}

// evidence is all pieces of one test.
type evidence struct {
	rig *rig
	// ours are secrets that the simulator does not know, by what they are.
	ours map[string]string

	mu     sync.Mutex
	pieces []piece
}

func newEvidence(r *rig) *evidence {
	e := &evidence{rig: r, ours: map[string]string{"the password of a client": clientPassword}}
	for _, user := range []string{"alice", "bob", "mallory"} {
		e.ours["the Authorization header of "+user] = base64.StdEncoding.EncodeToString([]byte(user + ":" + clientPassword))
	}
	return e
}

// add keeps a piece.
func (e *evidence) add(name string, content []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pieces = append(e.pieces, piece{name, bytes.Clone(content[:min(len(content), mostKept)])})
}

// search fails the test for every secret in any piece.
func (e *evidence) search() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.pieces {
		for _, leak := range e.leaks(p.content) {
			e.rig.t.Errorf("%s holds %s", p.name, leak)
		}
	}
}

// leaks names the secrets in b: those that the simulator finds, and, in case
// it is mistaken, those of the Connected Apps by their own bytes.
func (e *evidence) leaks(b []byte) []string {
	names := e.rig.Leaks(b)
	for name, secret := range e.ours {
		if holds(b, secret) {
			names = append(names, name)
		}
	}
	for _, app := range e.rig.ConnectedApps() {
		for _, secret := range app.Secrets {
			if holds(b, secret.Value.Reveal()) {
				names = append(names, "the secret of a connected app")
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// holds tells whether b holds the secret, as it is or in a usual encoding.
func holds(b []byte, secret string) bool {
	quoted, _ := json.Marshal(secret)
	raw := []byte(secret)
	for _, form := range []string{
		secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw),
	} {
		if bytes.Contains(b, []byte(form)) {
			return true
		}
	}
	return false
}

// clean takes the lines that hold a secret out of what a failing test shows.
func (e *evidence) clean(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if found := e.leaks([]byte(line)); len(found) > 0 {
			lines[i] = "(withheld, it holds " + strings.Join(found, ", ") + ")\n"
		}
	}
	return strings.Join(lines, "")
}

// adminPaths are what the admin API shows.
var adminPaths = []string{
	"/config/", "/reverse_proxy/upstreams", "/metrics", "/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2",
}

// collectAdmin keeps what the admin API shows.
func (r *rig) collectAdmin() {
	for _, path := range adminPaths {
		a, err := r.adminCall(http.MethodGet, path, "", nil)
		if err != nil {
			r.t.Errorf("admin API, %s: %v", path, err)
			continue
		}
		r.kept.add("admin "+path, a.body)
	}
}

// ownFiles are the files that tests write; a name that begins so is not the
// proxy's.
var ownFiles = []string{"Caddyfile", "tableau.pem", "proxy.", "secret"}

// collectFiles keeps every file that the proxy wrote, and what it printed.
func (r *rig) collectFiles() {
	r.kept.add("stdout", []byte(r.proxy.stdout.String()))
	r.kept.add("stderr", []byte(r.proxy.stderr.String()))
	err := filepath.WalkDir(r.conf.Dir, func(path string, entry fs.DirEntry, err error) error {
		isOwn := func(prefix string) bool { return strings.HasPrefix(entry.Name(), prefix) }
		if err != nil || !entry.Type().IsRegular() || slices.ContainsFunc(ownFiles, isOwn) {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil {
			r.kept.add("file "+strings.TrimPrefix(path, r.conf.Dir+"/"), content)
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
}

// The tests of this file run requests with the scopes that the proxy chooses, and
// the command that tells which they are.

package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// columns are runs of spaces, whose width is the table's business.
var columns = regexp.MustCompile(` {2,}`)

// Each operation has a session of its own kind, and what is denied to a group
// does not reach Tableau.
func TestSessionsHaveWhatTheirOperationsNeed(t *testing.T) {
	r := newRig(t, setup{scopes: "auto", options: "policy {http.auth.user.id} alice {\n\t\t\tdeny write\n\t\t}\n\t\tpolicy default {\n\t\t\tread_only\n\t\t}"})
	c := r.h2()
	for range 2 {
		c.get("alice", workbooks).expect(r, http.StatusOK)
		c.get("alice", api+"/sites/-/users/-").expect(r, http.StatusOK)
	}
	r.expectSignIns(2)
	for _, e := range r.Journal() {
		if e.JWT != nil && len(e.Scopes) != 1 {
			t.Errorf("a session has the scopes %v", e.Scopes)
		}
	}
	for user, detail := range map[string]string{"alice": "(deny write)", "bob": "(read_only)"} {
		expectRefused(t, r, refused{
			method: http.MethodPost, path: api + "/sites/-/fileUploads", user: user,
			status: 403, code: "operation_denied", tableau: "403004", detail: detail,
		})
	}
	r.expectSignIns(2)
}

func TestScopesCommand(t *testing.T) {
	r := prepareMistake(t)
	dir := r.conf.Dir
	done := runCaddy(t, dir, nil, "tableau", "scopes", "GET", "/sites/-/workbooks")
	if want := "scopes: tableau:content:read\n"; done.code != 0 || !strings.Contains(columns.ReplaceAllString(done.stdout, ": "), want) {
		t.Errorf("exit code %d: %s%s, want %q in it", done.code, done.stdout, done.stderr, want)
	}
	done = runCaddy(t, dir, nil, "tableau", "scopes", "GET", "/sites/-/novelties")
	if done.code == 0 || !strings.Contains(done.stderr, "no operation of Tableau's API that is known has this path") {
		t.Errorf("exit code %d: %s%s", done.code, done.stdout, done.stderr)
	}
	// Without the environment that the secret comes from.
	done = runCaddy(t, dir, nil, "tableau", "scopes", "--config", r.conf.write(t), "--adapter", "caddyfile")
	if want := "\nrefused: scopes: get_users_on_site: GET: /sites/{site}/users: -\n"; done.code != 0 || !strings.Contains(columns.ReplaceAllString(done.stdout, ": "), want) {
		t.Errorf("exit code %d: %.2000s%s, want %q in it", done.code, done.stdout, done.stderr, want)
	}
	r.kept.add("caddy tableau scopes", []byte(done.stdout+done.stderr))
}

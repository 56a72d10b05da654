// These tests show the answers that the proxy makes itself: their status, their
// code, and that clients can read them in XML and in JSON.

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A refused request and what it must be answered with.
type refused struct {
	name          string
	user          string
	method, path  string
	headers       []string
	status        int
	code, tableau string
	detail        string // a part of it
}

// expectRefused sends the request in both formats, by every version of HTTP.
func expectRefused(t *testing.T, r *rig, want refused) {
	t.Helper()
	if want.method == "" {
		want.method = http.MethodGet
	}
	for _, c := range []*client{r.plain(), r.h2()} {
		for format, accept := range map[string]string{"xml": "application/xml", "json": "application/json"} {
			headers := append([]string{"Accept", accept}, want.headers...)
			a := c.do(c.request(want.method, want.user, want.path, nil, headers...))
			if a.status != want.status || a.header.Get(headerProxyError) != want.code {
				t.Errorf("%s, %s: status %d and %s %q, want %d and %q:\n%s", c.name, format,
					a.status, headerProxyError, a.header.Get(headerProxyError), want.status, want.code, a.body)
				continue
			}
			if !strings.Contains(a.header.Get("Content-Type"), format) {
				t.Errorf("%s: asked for %s, the answer is %s", c.name, format, a.header.Get("Content-Type"))
			}
			said := readProblem(t, a)
			if said.code != want.tableau || said.summary == "" || !strings.Contains(said.detail, want.detail) || said.detail == "" {
				t.Errorf("%s, %s: %+v, want code %s and a detail with %q", c.name, format, said, want.tableau, want.detail)
			}
		}
	}
}

func TestWithoutAPasswordNobodyGetsPastCaddy(t *testing.T) {
	r := newRig(t, setup{})
	for _, c := range []*client{r.plain(), r.h1(), r.h2()} {
		a := c.get("", workbooks).expect(r, http.StatusUnauthorized)
		if a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", c.name)
		}
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

func TestWithoutIdentity401(t *testing.T) {
	nobody := noIdentity
	for name, users := range map[string]string{"template": "user {http.auth.user.id}", "map": mappedUsers, "header": headerUsers} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{identity: &nobody, users: users})
			expectRefused(t, r, refused{path: workbooks, user: "alice", status: 401, code: "identity_missing", tableau: "401000", detail: "does not know who you are"})
			if n := len(r.Journal()); n != 0 {
				t.Errorf("%d requests reached Tableau", n)
			}
		})
	}
}

func TestIdentityOutsideTheMap403(t *testing.T) {
	r := newRig(t, setup{})
	expectRefused(t, r, refused{path: workbooks, user: "mallory", status: 403, code: "identity_not_mapped", tableau: "403004", detail: "no Tableau user is assigned to you"})
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

func TestIdentityThatCouldBeMistaken400(t *testing.T) {
	nobody := noIdentity
	r := newRig(t, setup{
		identity: &nobody, users: headerUsers, options: "forbid_users admin",
		tableau: tableautest.Options{AcceptUser: func(string) bool { return true }},
	})
	for name, identity := range map[string]string{
		"control character":   "al\tice",
		"not UTF-8":           "al\xffice",
		"zero-width space":    "al\u200bice",
		"right-to-left mark":  "alice\u202e",
		"no-break space":      "al\u00a0ice",
		"not NFC":             "ame\u0301lie",
		"longer than 255":     strings.Repeat("a", 256),
		"soft hyphen":         "al\u00adice",
		"C1 control in UTF-8": "al\u0085ice",
	} {
		t.Run(name, func(t *testing.T) {
			expectRefused(t, r, refused{
				path: workbooks, headers: []string{remoteUser, identity},
				status: 400, code: "identity_invalid", tableau: "400000", detail: "cannot be used",
			})
		})
	}
	t.Run("named twice", func(t *testing.T) {
		expectRefused(t, r, refused{
			path: workbooks, headers: []string{remoteUser, "alice", remoteUser, "bob"},
			status: 400, code: "request_ambiguous", tableau: "400000", detail: remoteUser,
		})
	})
	t.Run("forbidden", func(t *testing.T) {
		expectRefused(t, r, refused{
			path: workbooks, headers: []string{remoteUser, "Admin"},
			status: 403, code: "user_forbidden", tableau: "403004", detail: "may not be used",
		})
	})
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
	r.plain().get("", workbooks, remoteUser, "amélie").expect(r, http.StatusOK)
}

func TestRequestsThatMayNotLeaveAreRefused(t *testing.T) {
	r := newRig(t, setup{})
	for _, want := range []refused{
		{name: "dots", path: api + "/sites/-/../users", status: 400, code: "request_ambiguous", tableau: "400000", detail: "dots"},
		{name: "escaped dots", path: api + "/sites/-/%2e%2e/users", status: 400, code: "request_ambiguous", tableau: "400000", detail: "escape"},
		{name: "escaped slash", path: api + "/sites/-%2fusers", status: 400, code: "request_ambiguous", tableau: "400000", detail: "separator"},
		{name: "semicolon", path: api + "/sites/-;x/users", status: 400, code: "request_ambiguous", tableau: "400000", detail: "semicolon"},
		{name: "two slashes", path: api + "/sites//users", status: 400, code: "request_ambiguous", tableau: "400000", detail: "empty segment"},
		{name: "two sites", path: api + "/serverinfo", headers: []string{"X-Tableau-Site", "a", "X-Tableau-Site", "b"}, status: 400, code: "request_ambiguous", tableau: "400000", detail: "X-Tableau-Site"},
		{name: "web page", path: "/#/site/finance/views", status: 404, code: "not_an_api_path", tableau: "404003", detail: "/api/"},
		{name: "trusted ticket", path: "/trusted", method: http.MethodPost, status: 404, code: "not_an_api_path", tableau: "404003", detail: "/api/"},
		{name: "OPTIONS", path: workbooks, method: http.MethodOptions, status: 405, code: "method_not_allowed", tableau: "405000", detail: "GET"},
		{name: "TRACE", path: workbooks, method: http.MethodTrace, status: 405, code: "method_not_allowed", tableau: "405000", detail: "GET"},
		{name: "PROPFIND", path: workbooks, method: "PROPFIND", status: 405, code: "method_not_allowed", tableau: "405000", detail: "GET"},
		{name: "revoking tokens", path: api + "/auth/serverAdminAccessTokens", method: http.MethodDelete, status: 403, code: "auth_call_refused", tableau: "403004", detail: "/auth/"},
		{name: "site in the path", path: api + "/sites/marketing/workbooks", status: 403, code: "site_not_allowed", tableau: "403004", detail: "not among those"},
		{name: "site in the header", path: "/api/-/search", headers: []string{"X-Tableau-Site", "marketing"}, status: 403, code: "site_not_allowed", tableau: "403004", detail: "not among those"},
	} {
		t.Run(want.name, func(t *testing.T) {
			want.user = "alice"
			expectRefused(t, r, want)
		})
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

// A scope that sessions are not given is missed before anybody signs in.
func TestScopeMissing403NamesTheScopes(t *testing.T) {
	r := newRig(t, setup{scopes: "tableau:content:read"})
	expectRefused(t, r, refused{
		path: api + "/sites/-/users", user: "alice",
		status: 403, code: "scope_missing", tableau: "403004", detail: "needs the scope tableau:users:read. The session may have the scope tableau:content:read:",
	})
	r.expectSignIns(0)
}

// Tableau answers a missing scope as it does a dead session. The proxy tells
// them apart, and does not sign in again.
func TestScopeThatTableauDoesNotGive403(t *testing.T) {
	r := newRig(t, setup{scopes: "auto", tableau: tableautest.Options{UnsupportedScopes: []string{"tableau:users:read"}}})
	expectRefused(t, r, refused{
		path: api + "/sites/-/users", user: "alice",
		status: 403, code: "scope_missing", tableau: "403004", detail: "It needs the scope tableau:users:read, and the session was opened with the scope tableau:users:read.",
	})
	r.expectSignIns(1)
}

func TestOriginDown502(t *testing.T) {
	t.Run("never up", func(t *testing.T) {
		r := newRig(t, setup{})
		r.Server.Close()
		expectRefused(t, r, refused{path: workbooks, user: "alice", status: 502, code: "tableau_unreachable", tableau: "502000", detail: "could not be reached"})
	})
	t.Run("gone after the sign-in", func(t *testing.T) {
		r := newRig(t, setup{})
		r.plain().get("alice", workbooks).expect(r, http.StatusOK)
		r.Server.Close()
		expectRefused(t, r, refused{path: workbooks, user: "alice", status: 502, code: "tableau_unreachable", tableau: "502000", detail: "could not be reached"})
	})
	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		r := prepare(t, setup{})
		r.file("tableau.pem", readFile(t, r.conf.Dir+"/proxy.pem"))
		r.start()
		expectRefused(t, r, refused{path: workbooks, user: "alice", status: 502, code: "tableau_unreachable", tableau: "502000", detail: "could not be reached"})
	})
}

func TestTableauTooSlow504(t *testing.T) {
	r := newRig(t, setup{trust: "response_header_timeout 300ms"})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Count: 1, Hang: true})
	a := r.plain().get("alice", workbooks).expect(r, http.StatusGatewayTimeout)
	if code := a.header.Get(headerProxyError); code != "tableau_timeout" {
		t.Errorf("%s %q", headerProxyError, code)
	}
	r.ClearFaults()
	r.plain().get("bob", workbooks).expect(r, http.StatusOK)
	r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Hang: true})
	expectRefused(t, r, refused{path: workbooks, user: "bob", status: 504, code: "tableau_timeout", tableau: "504000", detail: "in time"})
}

func TestSignInTroubleSaysWhoCanHelp(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		r := newRig(t, setup{})
		r.RemoveUser("alice")
		expectRefused(t, r, refused{path: workbooks, user: "alice", status: 502, code: "sign_in_refused", tableau: "502000", detail: "operator"})
	})
	t.Run("throttled", func(t *testing.T) {
		r := newRig(t, setup{})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "60"}})
		expectRefused(t, r, refused{path: workbooks, user: "alice", status: 503, code: "sign_in_throttled", tableau: "503000", detail: "limiting sign-ins"})
		if wait := r.plain().get("alice", workbooks).header.Get("Retry-After"); wait != "60" {
			t.Errorf("Retry-After %q, Tableau said 60", wait)
		}
		if n := len(r.entries("sign_in")); n != 1 {
			t.Errorf("%d sign-ins were tried within the minute that Tableau asked for", n)
		}
	})
}

// A transport without the handler in front of it must not send anything.
func TestTransportWithoutHandlerSendsNothing(t *testing.T) {
	r := newRig(t, setup{routes: `handle /bare/* {
		reverse_proxy https://127.0.0.1:1 {
			transport tableau
		}
	}`})
	expectRefused(t, r, refused{path: "/bare/api/3.24/sites", user: "alice", status: 502, code: "misdirected", tableau: "502000", detail: "operator"})
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

package caddymodule

// The tests of this file are attacks on "who is this?": what a client can do to
// be taken for somebody else where a single sign-on stands in front.

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// remoteUser is the header by which a single sign-on names people.
const remoteUser = "Remote-User"

// signOn is a single sign-on for forward_auth. It answers 200 with what header X-Says
// of the request asks for as Remote-User, once for each value; it is the
// test's means to choose the answer, and nothing that a client could do. The
// options are forward_auth's.
func signOn(t *testing.T, options string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range r.Header["X-Says"] {
			w.Header().Add(remoteUser, name)
		}
	}))
	t.Cleanup(s.Close)
	return "\tforward_auth " + s.URL + " {\n\t\turi /check\n\t\t" + options + "\n\t}"
}

// trustsLoopback has Caddy take the tests for a proxy that is trusted.
const trustsLoopback = "\tservers {\n\t\ttrusted_proxies static 127.0.0.1\n\t}\n"

const remoteUserOptions = `
		site finance
		user {http.reverse_proxy.header.Remote-User}
		scopes tableau:content:read`

// TestSingleSignOnDecides: who is named is whom the single sign-on has named, and
// whoever it has not named is nobody; whether the answer itself is taken, or the
// header that forward_auth makes of it, behind proxies that are trusted.
func TestSingleSignOnDecides(t *testing.T) {
	copied := "copy_headers " + remoteUser
	for name, s := range map[string]setup{
		"the answer":             {before: signOn(t, ""), options: remoteUserOptions},
		"the answer, and copied": {before: signOn(t, copied), options: remoteUserOptions},
		"the copied header": {
			before:  signOn(t, copied),
			options: strings.Replace(remoteUserOptions, answerPrefix, headerPrefix, 1),
			global:  trustsLoopback,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.options += "\n\t\tforbid_users admin"
			everybody := tableautest.Options{AcceptUser: func(string) bool { return true }}
			testSingleSignOn(t, started(t, everybody, s))
		})
	}
}

func testSingleSignOn(t *testing.T, r *rig) {
	for _, test := range []struct {
		name   string
		says   []string // the single sign-on
		client http.Header
		user   string // whom Tableau sees, or
		code   string
	}{
		{"as it should be", []string{"alice"}, nil, "alice", ""},
		{"the client says it itself", []string{"alice"}, headers(remoteUser, "bob"), "alice", ""},
		{"in lower case", []string{"alice"}, headers("remote-user", "bob"), "alice", ""},
		{"in other spellings", []string{"alice"}, headers("Remote_User", "bob", "Remote.User", "bob", "REMOTE_USER", "bob"), "alice", ""},
		{"twice", []string{"alice"}, headers(remoteUser, "bob", remoteUser, "carol"), "alice", ""},
		{"signed on, but not named", nil, nil, "", "identity_missing"},
		{"not named, and the client says it", nil, headers(remoteUser, "bob"), "", "identity_missing"},
		{"not named, and the client says it in other spellings", nil, headers("Remote_User", "bob", "remote.user", "bob"), "", "identity_missing"},
		{"named with nothing", []string{""}, headers(remoteUser, "bob"), "", "identity_missing"},
		{"a JWT of the client's", nil, headers("Authorization", "Bearer "+unsignedJWT("bob")), "", "identity_missing"},
		{"a list", []string{"alice,bob"}, nil, "", "request_ambiguous"},
		{"two names", []string{"alice", "bob"}, nil, "", "request_ambiguous"},
		{"a name and nothing", []string{"alice", ""}, nil, "", "request_ambiguous"},
		{"several addresses in one", []string{"alice@good.example@evil.example"}, nil, "alice@good.example@evil.example", ""},
		{"a placeholder of the environment", []string{"{env." + testSecret + "}"}, nil, "{env." + testSecret + "}", ""},
		{"a placeholder of a header", []string{"{http.request.header.X-Other}"}, headers("X-Other", "bob"), "{http.request.header.X-Other}", ""},
		{"a claim", []string{`alice"}{"sub":"bob`}, nil, `alice"}{"sub":"bob`, ""},
		{"who may not be", []string{"Admin"}, nil, "", "user_forbidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(r.data())
			header := headers()
			maps.Copy(header, test.client)
			header["X-Says"] = test.says
			a := r.do(t, call{path: workbooks, header: header})
			if a.code() != test.code {
				t.Fatalf("status %d, code %q, want %q: %s", a.status, a.code(), test.code, a.body)
			}
			sent := r.data()[before:]
			if test.user == "" {
				if len(sent) != 0 {
					t.Errorf("Tableau saw a request of %q", sent[0].User)
				}
				return
			}
			if len(sent) != 1 || sent[0].User != test.user || sent[0].AuthTokens != 1 {
				t.Fatalf("status %d: Tableau saw %+v, want %q", a.status, sent, test.user)
			}
			for name := range sent[0].Headers {
				if tableauauth.NormalHeaderName(name) == "remote-user" {
					t.Errorf("Tableau saw the header %s", name)
				}
			}
		})
	}
}

// TestHeadersOfStrangersOverTheWire: what a header says of a person is believed
// from the proxies that Caddy trusts, and a try by others is in the audit file.
func TestHeadersOfStrangersOverTheWire(t *testing.T) {
	byHeader := strings.Replace(remoteUserOptions, answerPrefix, headerPrefix, 1)
	for _, test := range []struct {
		name string
		setup
		code string
	}{
		{"the user", setup{before: "\theader X-Before yes", options: byHeader}, "identity_untrusted"},
		{"the user, and others are trusted", setup{before: "\theader X-Before yes", options: byHeader, global: "\tservers {\n\t\ttrusted_proxies static 192.0.2.0/24\n\t}\n"}, "identity_untrusted"},
		{"the user of a map", setup{options: byHeader + "\n\t\tuser_map alice alice"}, "identity_untrusted"},
		{"a claim", setup{options: defaultOptions + "\n\t\tclaims {\n\t\t\tregion {header.Remote-User}\n\t\t}"}, "identity_untrusted"},
		{"a policy", setup{options: defaultOptions + "\n\t\tpolicy {header.Remote-User} bob {\n\t\t\tread_only\n\t\t}"}, "identity_untrusted"},
		{"the user, by a trusted proxy", setup{before: "\theader X-Before yes", options: byHeader, global: trustsLoopback}, ""},
		{"the user, by anybody", setup{before: "\theader X-Before yes", options: byHeader + "\n\t\tidentity_headers any"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := startedAudit(t, test.setup)
			a := r.do(t, call{user: "alice", path: workbooks, header: headers(remoteUser, "bob", "X-Forwarded-For", "192.0.2.1")})
			r.stop(t)
			if a.code() != test.code || test.code != "" && a.status != http.StatusUnauthorized {
				t.Errorf("status %d, code %q, want %q", a.status, a.code(), test.code)
			}
			rejects := r.events(t, eventIdentityReject)
			if test.code == "" {
				if len(rejects) != 0 || len(r.data()) != 1 || r.last(t).User != "bob" {
					t.Errorf("%d rejects, and Tableau saw %+v", len(rejects), r.data())
				}
				return
			}
			if len(rejects) != 1 || rejects[0]["error"] != test.code || !strings.Contains(fmt.Sprint(rejects[0]["cause"]), "none of trusted_proxies") {
				t.Errorf("rejects %v, want one that says %s", rejects, test.code)
			}
			if len(r.Journal()) != 0 {
				t.Errorf("Tableau saw %+v", r.Journal())
			}
		})
	}
}

// TestSocketOfATrustedProxy: behind trusted_proxies_unix, whoever may write to
// the socket is believed, and nobody else.
func TestSocketOfATrustedProxy(t *testing.T) {
	for option, code := range map[string]string{"trusted_proxies_unix": "", "trusted_proxies static 127.0.0.1": "identity_untrusted"} {
		t.Run(option, func(t *testing.T) {
			r := newRig(t, tableautest.Options{})
			dir, err := os.MkdirTemp("", "socket-") // short enough for a Unix socket
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			socket := filepath.Join(dir, "s")
			config := r.caddyfile(setup{
				global: "\tservers {\n\t\t" + option + "\n\t}", before: "\tbind unix/" + socket,
				options: strings.Replace(remoteUserOptions, answerPrefix, headerPrefix, 1),
			})
			adapted, err := adapt(config)
			if err != nil {
				t.Fatal(err)
			}
			if err := caddy.Load(adapted, true); err != nil {
				t.Fatal(err)
			}
			r.client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}}
			a := r.do(t, call{path: workbooks, header: headers(remoteUser, "alice")})
			if a.code() != code {
				t.Errorf("status %d, code %q, want %q", a.status, a.code(), code)
			}
		})
	}
}

// unsignedJWT names somebody, and nobody vouches for it.
func unsignedJWT(user string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"sub":"`+user+`","aud":"tableau","exp":99999999999}`)) + "."
}

// TestThousandsOfPairsStayApart: names that software is known to take for one
// another become Tableau users as different as they are.
func TestThousandsOfPairsStayApart(t *testing.T) {
	ids := mustIdentities(t, &Handler{User: "{http.auth.user.id}@corp.example"})
	names := confusable()
	users := make(map[string]string)
	for _, name := range names {
		user, _, code := resolved(ids, httptest.NewRequest(http.MethodGet, "/", nil), name)
		if code != "" {
			continue // nobody
		}
		if other, there := users[user]; there {
			t.Errorf("%q and %q are both %q", name, other, user)
		}
		users[user] = name
	}
	if pairs := len(users) * (len(users) - 1) / 2; pairs < 10_000 {
		t.Errorf("only %d pairs of %d names were compared", pairs, len(names))
	}
}

// confusable are names, each once.
func confusable() []string {
	var names []string
	letters := []string{"i", "I", "\u0131", "\u0130", "e\u0301", "\u00e9", "k", "\u212a", "s", "\u017f", "ss", "\u00df", "\uff49", "\u0456"}
	for _, first := range letters {
		for _, second := range letters {
			for _, at := range []string{"", "@a.example", "@b.example", "@A.example"} {
				names = append(names, first+second+at)
			}
		}
	}
	for _, domain := range []string{"a.com", "b.com", "a.com.", "A.com", "a.com@b.com", "xn--a-com", "a_com", "a\u3002com"} {
		for _, local := range []string{"bob", "Bob", "bob+x", "b.ob", `"bob"`, "CORP\\bob", "corp/bob", "bob%40", "bob "} {
			names = append(names, local, local+"@"+domain)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestWhoIsRemovedIsOutAtOnce: the session of somebody who is no longer mapped
// is still there, and of no use to them.
func TestWhoIsRemovedIsOutAtOnce(t *testing.T) {
	options := func(users ...string) setup {
		s := setup{options: "\t\tsite finance\n\t\tscopes tableau:content:read"}
		for _, u := range users {
			s.options += "\n\t\tuser_map " + u
		}
		return s
	}
	r := started(t, tableautest.Options{}, options("alice alice", "bob bob"))
	if a := r.get(t, "alice", workbooks); a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	seen := len(r.data())
	for name, s := range map[string]setup{"not mapped": options("bob bob"), "mapped to another": options("alice carol", "bob bob")} {
		r.load(t, s)
		a := r.get(t, "alice", workbooks)
		switch name {
		case "not mapped":
			if a.status != 403 || a.code() != "identity_not_mapped" {
				t.Errorf("%s: status %d, code %q", name, a.status, a.code())
			}
		default:
			if a.status != 200 || r.last(t).User != "carol" || strings.Contains(a.body, tableautest.DraftsName("alice")) {
				t.Errorf("%s: status %d, Tableau saw %q", name, a.status, r.last(t).User)
			}
		}
	}
	for _, e := range r.data()[seen:] {
		if e.User == "alice" {
			t.Error("a request went out as alice")
		}
	}
}

// TestRecordsSayWhoVouches: whoever reads the audit file can tell a name that a
// handler has verified from one that stood in a header.
func TestRecordsSayWhoVouches(t *testing.T) {
	header := strings.Replace(remoteUserOptions, answerPrefix, headerPrefix, 1)
	bySignOn := call{path: workbooks, header: headers("X-Says", "alice", remoteUser, "alice")}
	for source, test := range map[string]struct {
		setup
		call
	}{
		"authenticated": {setup{}, call{user: "alice", path: workbooks}},
		"forward_auth":  {setup{before: signOn(t, ""), options: remoteUserOptions}, bySignOn},
		"header":        {setup{before: open, options: header, global: trustsLoopback}, bySignOn},
		"constant":      {setup{before: open, options: strings.Replace(header, "{http.request.header.Remote-User}", "alice", 1)}, bySignOn},
	} {
		t.Run(source, func(t *testing.T) {
			r := startedAudit(t, test.setup)
			r.do(t, test.call)
			r.stop(t)
			one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest, "identity": "alice", "identity_src": source})
		})
	}
	t.Run("clients", func(t *testing.T) {
		r := startedAudit(t, clientSetup(t))
		r.with(t, "", r.clientSignIn(t, "report", reportSecret))
		r.stop(t)
		one(t, r.events(t), map[string]any{"event": eventAuthIntercept, "identity": "bob", "identity_src": "client_sign_in"})
		one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest, "identity": "bob", "identity_src": "client_token"})
	})
}

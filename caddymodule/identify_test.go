package caddymodule

// This file checks who becomes which Tableau user, and who nobody.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// resolved is the outcome for a request that an authentication handler has
// found to be id's; "" is nobody's.
func resolved(ids *identities, r *http.Request, id string) (user, identity, code string) {
	repl := caddyhttp.NewTestReplacer(r)
	if id != "" {
		repl.Set(authUserID, id)
	}
	var x exchange
	if refused := ids.resolve(r, repl, &x); refused != nil {
		return x.user, x.identity, refused.code
	}
	return x.user, x.identity, ""
}

// byTrustedProxy is r as Caddy's server has judged where it comes from.
func byTrustedProxy(r *http.Request, trusted bool) *http.Request {
	vars := map[string]any{caddyhttp.TrustedProxyVarKey: trusted}
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
}

func mustIdentities(t *testing.T, h *Handler) *identities {
	t.Helper()
	ids, err := newIdentities(h, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestIdentify(t *testing.T) {
	t.Setenv("OTHER_USER", "admin")
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("dave dave.d\nalice not-this-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var (
		plain      = Handler{User: "{http.auth.user.id}"}
		domain     = Handler{User: "{http.auth.user.id}@corp.example"}
		mapped     = Handler{UserMap: map[string]string{"alice": "alice.liddell"}}
		orTemplate = Handler{User: "{http.auth.user.id}@corp.example", UserMap: map[string]string{"alice": "alice.liddell"}, Unmapped: "template"}
		onlyMapped = Handler{User: "{http.auth.user.id}@corp.example", UserMap: map[string]string{"alice": "alice.liddell"}}
		bothMaps   = Handler{UserMap: map[string]string{"alice": "alice.liddell"}, UserMapFile: file}
		header     = Handler{User: "{http.request.header.Remote-User}"}
		lowHeader  = Handler{User: "{http.request.header.remote-user}"}
		anybody    = Handler{User: "{http.request.header.Remote-User}", IdentityHeaders: "any"}
		headerMap  = Handler{User: "{http.request.header.Remote-User}", UserMap: map[string]string{"alice": "alice.liddell"}}
		cert       = Handler{User: "{http.request.tls.client.subject}"}
		print      = Handler{User: "{http.request.tls.client.fingerprint}"}
		constant   = Handler{User: "svc-reports"}
		forbid     = Handler{User: "{http.auth.user.id}", ForbidUsers: []string{"Admin", "svc-backup"}}
		forbidMail = Handler{User: "{http.auth.user.id}@corp.example", ForbidUsers: []string{"admin@corp.example"}}
		unknown    = Handler{User: "{http.auth.user.department}"}
		twoParts   = Handler{User: "{http.auth.user.id}{http.auth.user.suffix}"}
	)
	tests := []struct {
		name    string
		handler Handler
		id      string // what authentication has found
		header  http.Header
		user    string
		code    string
	}{
		{"verified", plain, "alice", nil, "alice", ""},
		{"template", domain, "alice", nil, "alice@corp.example", ""},
		{"nobody", plain, "", nil, "", "identity_missing"},
		{"nobody, in a template with text", domain, "", nil, "", "identity_missing"},
		{"nobody, with a map", mapped, "", nil, "", "identity_missing"},
		{"unknown placeholder", unknown, "alice", nil, "", "identity_missing"},
		{"one of two placeholders empty", twoParts, "alice", nil, "", "identity_missing"},
		{"constant", constant, "", nil, "svc-reports", ""},
		{"constant, whoever it is", constant, "alice", nil, "svc-reports", ""},

		{"map", mapped, "alice", nil, "alice.liddell", ""},
		{"not in the map", mapped, "bob", nil, "", "identity_not_mapped"},
		{"other case is another identity", mapped, "Alice", nil, "", "identity_not_mapped"},
		{"not in the map, template for the others", orTemplate, "bob", nil, "bob@corp.example", ""},
		{"in the map, template for the others", orTemplate, "alice", nil, "alice.liddell", ""},
		{"not in the map, which decides", onlyMapped, "bob", nil, "", "identity_not_mapped"},
		{"file", bothMaps, "dave", nil, "dave.d", ""},
		{"the map wins over the file", bothMaps, "alice", nil, "alice.liddell", ""},
		{"in neither", bothMaps, "erin", nil, "", "identity_not_mapped"},

		{"header", header, "", headers("Remote-User", "alice"), "alice", ""},
		{"header in other spelling of the option", lowHeader, "", headers("Remote-User", "alice"), "alice", ""},
		{"header missing", header, "", nil, "", "identity_missing"},
		{"header empty", header, "", headers("Remote-User", ""), "", "identity_missing"},
		{"header twice", header, "", headers("Remote-User", "alice", "Remote-User", "bob"), "", "request_ambiguous"},
		{"header twice, the first empty", header, "", headers("Remote-User", "", "Remote-User", "bob"), "", "request_ambiguous"},
		{"header twice, option in lower case", lowHeader, "", headers("Remote-User", "alice", "Remote-User", "bob"), "", "request_ambiguous"},
		{"header twice, with a map", headerMap, "alice", headers("Remote-User", "alice", "Remote-User", "bob"), "", "request_ambiguous"},
		{"a list", header, "", headers("Remote-User", "alice,bob"), "", "request_ambiguous"},
		{"a list, with a map", headerMap, "alice", headers("Remote-User", "alice,bob"), "", "request_ambiguous"},
		{"a comma from elsewhere", plain, "alice,bob", nil, "alice,bob", ""},
		{"header of anybody", anybody, "", headers("Remote-User", "alice"), "alice", ""},
		{"alias of the header", header, "", headers("Remote_user", "alice"), "", "identity_missing"},
		{"header through a map", headerMap, "", headers("Remote-User", "alice"), "alice.liddell", ""},
		{"header not in the map", headerMap, "", headers("Remote-User", "bob"), "", "identity_not_mapped"},

		{"no client certificate", cert, "", nil, "", "identity_missing"},
		{"no client certificate has a fingerprint, too", print, "", nil, "", "identity_missing"},

		{"forbidden", forbid, "svc-backup", nil, "", "user_forbidden"},
		{"forbidden in other case", forbid, "ADMIN", nil, "", "user_forbidden"},
		{"forbidden with special letters", Handler{User: "{http.auth.user.id}", ForbidUsers: []string{"kelvin"}}, "\u212aelvin", nil, "", "identity_invalid"},
		{"forbidden as it comes out", forbidMail, "ADMIN", nil, "", "user_forbidden"},
		{"not forbidden", forbid, "administrator", nil, "administrator", ""},

		{"placeholder in the identity", plain, "{env.OTHER_USER}", nil, "{env.OTHER_USER}", ""},
		{"placeholder in the identity, within text", domain, "{env.OTHER_USER}", nil, "{env.OTHER_USER}@corp.example", ""},
		{"placeholder in the identity, for a header", header, "", headers("Remote-User", "{http.request.header.X-Other}", "X-Other", "admin"), "{http.request.header.X-Other}", ""},
		{"shell's and others' braces", plain, "${OTHER_USER}%s{{.}}", nil, "${OTHER_USER}%s{{.}}", ""},
		{"quotes", plain, `"},{"sub":"admin`, nil, `"},{"sub":"admin`, ""},

		{"control character", plain, "al\x00ice", nil, "", "identity_invalid"},
		{"line feed", plain, "alice\nbob", nil, "", "identity_invalid"},
		{"zero width", plain, "al\u200bice", nil, "", "identity_invalid"},
		{"right to left", plain, "\u202eecila", nil, "", "identity_invalid"},
		{"line separator", plain, "alice\u2028", nil, "", "identity_invalid"},
		{"space in front", plain, " alice", nil, "", "identity_invalid"},
		{"space behind", plain, "alice ", nil, "", "identity_invalid"},
		{"space in front, where text hides it", domain, "alice ", nil, "", "identity_invalid"},
		{"space within", plain, "Alice Liddell", nil, "Alice Liddell", ""},
		{"not UTF-8", plain, "andr\xe9", nil, "", "identity_invalid"},
		{"composed", plain, "andr\u00e9", nil, "andr\u00e9", ""},
		{"not composed", plain, "andre\u0301", nil, "", "identity_invalid"},
		{"255 bytes", plain, strings.Repeat("a", 255), nil, strings.Repeat("a", 255), ""},
		{"256 bytes", plain, strings.Repeat("a", 256), nil, "", "identity_invalid"},
		{"256 bytes with the domain", domain, strings.Repeat("a", 256-len("@corp.example")), nil, "", "identity_invalid"},
		{"256 bytes in characters of two", plain, strings.Repeat("\u00e9", 128), nil, "", "identity_invalid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, workbooks, nil)
			r.TLS = new(tls.ConnectionState) // without a certificate of the client's
			maps.Copy(r.Header, test.header)
			r = byTrustedProxy(r, true)
			user, _, code := resolved(mustIdentities(t, &test.handler), r, test.id)
			if user != test.user || code != test.code {
				t.Errorf("user %q, code %q, want %q, %q", user, code, test.user, test.code)
			}
		})
	}
}

// The identity that a map is asked for, and that records show, is the one that
// authentication found, whatever the template makes of it.
func TestIdentityIsWhatWasVerified(t *testing.T) {
	ids := mustIdentities(t, &Handler{User: "{http.auth.user.id}@corp.example"})
	_, identity, _ := resolved(ids, httptest.NewRequest(http.MethodGet, "/", nil), "alice")
	if identity != "alice" {
		t.Errorf("identity %q, want alice", identity)
	}
}

func TestIdentityOfACertificate(t *testing.T) {
	ids := mustIdentities(t, &Handler{User: "{http.request.tls.client.san.emails.0}"})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{EmailAddresses: []string{"alice@corp.example"}}}}
	if user, _, code := resolved(ids, r, ""); user != "alice@corp.example" {
		t.Errorf("user %q (%s), want that of the certificate", user, code)
	}
	r.TLS.PeerCertificates = []*x509.Certificate{{}}
	if user, _, code := resolved(ids, r, ""); code != "identity_missing" {
		t.Errorf("a certificate without an address became %q", user)
	}
}

// What a template makes of two identities is one user only if they are one.
func TestTemplateMergesNobody(t *testing.T) {
	ids := mustIdentities(t, &Handler{User: "{http.auth.user.id}@corp.example"})
	names := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[aA][lL](ice)?[.@ ]?(corp\.example)?`),
		rapid.SampledFrom([]string{"é", "e\u0301", "ı", "i", "I", "İ", "ß", "ss", "K", "\u212a", "{http.auth.user.id}", "\\{", "a@corp.example"}),
	)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := names.Draw(rt, "a"), names.Draw(rt, "b")
		userA, _, _ := resolved(ids, httptest.NewRequest(http.MethodGet, "/", nil), a)
		userB, _, _ := resolved(ids, httptest.NewRequest(http.MethodGet, "/", nil), b)
		if userA != "" && userA == userB && a != b {
			rt.Fatalf("%q and %q both became %q", a, b, userA)
		}
		if userA != "" && userA != a+"@corp.example" {
			rt.Fatalf("%q became %q", a, userA)
		}
		if userA != "" && tableauauth.CheckUser(a) != nil {
			rt.Fatalf("%q is no identity, and became %q", a, userA)
		}
	})
}

// A header names nobody if nobody vouches for who sends it, whatever else is
// known of them.
func TestHeadersOfStrangers(t *testing.T) {
	const user = "{http.request.header.Remote-User}"
	for name, test := range map[string]struct {
		handler Handler
		id      string
		header  http.Header
		judged  bool // Caddy's server has looked where the request comes from
		user    string
		code    string
	}{
		"a header":                        {Handler{User: user}, "", headers("Remote-User", "alice"), true, "", "identity_untrusted"},
		"said outright":                   {Handler{User: user, IdentityHeaders: "trusted_proxies"}, "", headers("Remote-User", "alice"), true, "", "identity_untrusted"},
		"nobody has judged":               {Handler{User: user}, "", headers("Remote-User", "alice"), false, "", "identity_untrusted"},
		"empty":                           {Handler{User: user}, "", headers("Remote-User", ""), true, "", "identity_untrusted"},
		"twice":                           {Handler{User: user}, "", headers("Remote-User", "alice", "Remote-User", "bob"), true, "", "identity_untrusted"},
		"a part of the user":              {Handler{User: "{http.auth.user.id}@" + user}, "alice", headers("Remote-User", "x"), true, "", "identity_untrusted"},
		"of somebody who is in the map":   {Handler{User: user, UserMap: map[string]string{"alice": "al"}}, "alice", headers("Remote-User", "bob"), true, "", "identity_untrusted"},
		"none":                            {Handler{User: user}, "", nil, true, "", "identity_missing"},
		"none, of who is in the map":      {Handler{User: user, UserMap: map[string]string{"alice": "al"}}, "alice", nil, true, "al", ""},
		"another, that is not looked at":  {Handler{User: user}, "", headers("Remote_User", "alice"), true, "", "identity_missing"},
		"of anybody":                      {Handler{User: user, IdentityHeaders: "any"}, "", headers("Remote-User", "alice"), true, "alice", ""},
		"of anybody, nobody has judged":   {Handler{User: user, IdentityHeaders: "any"}, "", headers("Remote-User", "alice"), false, "alice", ""},
		"an answer, which nobody has set": {Handler{User: "{http.reverse_proxy.header.Remote-User}"}, "", headers("Remote-User", "alice"), true, "", "identity_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, workbooks, nil)
			maps.Copy(r.Header, test.header)
			if test.judged {
				r = byTrustedProxy(r, false)
			}
			user, _, code := resolved(mustIdentities(t, &test.handler), r, test.id)
			if user != test.user || code != test.code {
				t.Errorf("user %q, code %q, want %q, %q", user, code, test.user, test.code)
			}
		})
	}
	if _, err := newIdentities(&Handler{User: user, IdentityHeaders: "all"}, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "is neither trusted_proxies nor any") {
		t.Errorf("identity_headers all: %v", err)
	}
}

// Records say where an identity came from.
func TestSourceOfAnIdentity(t *testing.T) {
	for user, want := range map[string]string{
		"{http.auth.user.id}":                                  "authenticated",
		"{http.auth.user.email}":                               "authenticated",
		"{http.request.header.Remote-User}":                    "header",
		"{http.reverse_proxy.header.Remote-User}":              "forward_auth",
		"{http.reverse_proxy.header.A}{http.request.header.B}": "header",
		"{http.request.tls.client.subject}":                    "tls",
		"{http.vars.user}":                                     "placeholder",
		"svc-reports":                                          "constant",
	} {
		if got := sourceOf(user); got != want {
			t.Errorf("%s is from %s, want %s", user, got, want)
		}
	}
	ids := mustIdentities(t, &Handler{User: "svc-reports"})
	for id, want := range map[string]string{"": "constant", "alice": "authenticated"} {
		r := httptest.NewRequest(http.MethodGet, workbooks, nil)
		repl := caddyhttp.NewTestReplacer(r)
		repl.Set(authUserID, id)
		var x exchange
		if refused := ids.resolve(r, repl, &x); refused != nil || x.identitySource != want {
			t.Errorf("%q is from %q, want %s", id, x.identitySource, want)
		}
	}
}

func TestWarnsOfWeakIdentities(t *testing.T) {
	for user, want := range map[string]string{
		"svc-reports":                         "every request is sent as the same Tableau user",
		"{http.request.header.Remote-User}":   "the Tableau user comes from a request header, and identity_headers any believes everybody",
		"{http.auth.user.id}@corp.example":    "",
		"{http.request.tls.client.subject}":   "",
		"{http.auth.user.email}@corp.example": "",
	} {
		core, logs := observer.New(zap.WarnLevel)
		if _, err := newIdentities(&Handler{User: user, IdentityHeaders: "any"}, zap.New(core)); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range logs.All() {
			got += e.Message
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: warning %q, want %q", user, got, want)
		}
	}
}

// lookUpNow makes the next lookup look at the file.
func (f *userFile) lookUpNow() { f.next.Store(0) }

func TestUserFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	modified := time.Now().Add(-time.Hour)
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		modified = modified.Add(time.Second)
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	write("alice al\n")
	core, logs := observer.New(zap.InfoLevel)
	ids, err := newIdentities(&Handler{UserMapFile: path, ForbidUsers: []string{"admin"}}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name, content string
		identity      string
		want          string
		logged        string
	}{
		{"as it was", "", "alice", "al", ""},
		{"changed", "alice alison\nbob bobby\n", "alice", "alison", "user_map_file has changed and was read"},
		{"somebody new", "", "bob", "bobby", ""},
		{"somebody gone", "alice alison\n", "bob", "", "user_map_file has changed and was read"},
		{"broken", "alice\n", "alice", "alison", "user_map_file was not read again, the users read before stay in force"},
		{"to a forbidden user", "alice admin\n", "alice", "alison", "user_map_file was not read again, the users read before stay in force"},
		{"mended", "alice alison2\n", "alice", "alison2", "user_map_file has changed and was read"},
		{"same size", "alice alison3\n", "alice", "alison3", "user_map_file has changed and was read"},
	}
	for _, step := range steps {
		if step.content != "" {
			write(step.content)
		}
		before := logs.Len()
		ids.file.lookUpNow()
		if got, _ := ids.lookup(step.identity); got != step.want {
			t.Errorf("%s: %s is %q, want %q", step.name, step.identity, got, step.want)
		}
		said := ""
		for _, e := range logs.All()[before:] {
			said += e.Message
		}
		if said != step.logged {
			t.Errorf("%s: logged %q, want %q", step.name, said, step.logged)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	ids.file.lookUpNow()
	if got, _ := ids.lookup("alice"); got != "alison3" {
		t.Errorf("without the file, alice is %q, want what was read last", got)
	}
}

func TestUserFileIsLookedAtOnceASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("alice al\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openUserFile(path, func(string, map[string]string) error { return nil }, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	f.next.Store(time.Now().Add(time.Hour).UnixNano())
	if err := os.WriteFile(path, []byte("alice somebody-else\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.lookup("alice"); got != "al" {
		t.Errorf("alice is %q before it was time to look", got)
	}
}

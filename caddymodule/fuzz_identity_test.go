package caddymodule

// The fuzz targets of this file are names: of people, in templates and in maps.

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const fuzzedSecret = "the-value-of-a-variable"

// FuzzIdentity gives a person a name, by an authentication handler or a header.
// The Tableau user is the template with the name in its place, byte for byte: a
// name with a placeholder in it is a name. A map gives what it says to exactly
// who is in it.
func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{
		"alice", "Alice", "alice,bob", "{env.FUZZED}", "{http.request.header.X-Name}", "{http.auth.user.id}", "{", "}", "a}{b", "\\{x}", `","sub":"bob`, "alice\x00", "\u202ebob", "e\u0301", "", " ",
		"\u212a", "admin", "ADMIN", "{file./etc/passwd}", "{time.now}", strings.Repeat("x", 256),
	} {
		f.Add(seed, 1)
		f.Add(seed, 2)
	}
	f.Setenv("FUZZED", fuzzedSecret)
	byID := fuzzedIdentities(f, &Handler{User: "{http.auth.user.id}@corp.example", ForbidUsers: []string{"admin@corp.example"}})
	byHeader := fuzzedIdentities(f, &Handler{User: "{http.request.header.X-Name}", IdentityHeaders: "any", ForbidUsers: []string{"admin"}})
	strict := fuzzedIdentities(f, &Handler{User: "{http.request.header.X-Name}"})
	byMap := fuzzedIdentities(f, &Handler{User: "{http.auth.user.id}", UserMap: map[string]string{"alice": "al"}})
	f.Fuzz(func(t *testing.T, name string, times int) {
		named := func() *http.Request {
			r := httptest.NewRequest(http.MethodGet, workbooks, nil)
			for range min(max(times, 0), 3) {
				r.Header["X-Name"] = append(r.Header["X-Name"], name)
			}
			return r
		}
		user, identity, code := resolved(byID, named(), name)
		expectName(t, name, "@corp.example", user, identity, code)
		user, identity, code = resolved(byHeader, named(), "")
		if expectName(t, name, "", user, identity, code); code == "" && (times != 1 || strings.Contains(name, ",")) {
			t.Fatalf("%q, %d times, is %q", name, times, user)
		}
		if user, _, _ = resolved(strict, named(), ""); user != "" {
			t.Fatalf("%q is believed from anybody", user)
		}
		user, _, code = resolved(byMap, named(), name)
		if inMap := name == "alice"; inMap != (user == "al" && code == "") || user != "" && !inMap {
			t.Fatalf("%q is mapped to %q (%s)", name, user, code)
		}
	})
}

func fuzzedIdentities(f *testing.F, h *Handler) *identities {
	f.Helper()
	ids, err := newIdentities(h, zap.NewNop())
	if err != nil {
		f.Fatal(err)
	}
	return ids
}

// expectName checks who a name has become.
func expectName(t *testing.T, name, suffix, user, identity, code string) {
	t.Helper()
	if code != "" {
		if user != "" {
			t.Fatalf("%q is refused (%s), and is %q", name, code, user)
		}
		return
	}
	invisible := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case user != name+suffix || identity != name && identity != name+suffix:
		t.Fatalf("%q is %q and becomes %q", name, identity, user)
	case name == "" || len(user) > 255 || !utf8.ValidString(user) || strings.ContainsFunc(user, invisible):
		t.Fatalf("%q is accepted", name)
	case strings.EqualFold(name, "admin"):
		t.Fatalf("%q is not forbidden", name)
	}
}

// FuzzUserTemplate expands templates that configurations may hold. None gives
// anybody a user that depends on what the client chooses, and one without a
// name in it is nobody.
func FuzzUserTemplate(f *testing.F) {
	for _, seed := range []string{
		"{http.auth.user.id}", "svc-{http.auth.user.id}", "{http.auth.user.id}{http.auth.user.suffix}", "{http.request.uri.query.user}", "{http.request.host}", "{http.request.cookie.user}",
		"{http.request.header.X-Name}", "{http.request.uri.path}", "{http.request.body}", "{http.request.method}", "{http.vars.x}", "constant", "{", "}", "{}", "{{http.auth.user.id}}", "\\{http.auth.user.id}", "{http.request.remote.host}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		ids, err := newIdentities(&Handler{User: template, IdentityHeaders: "any"}, zap.NewNop())
		if err != nil {
			return
		}
		const chosen = "chosen-by-the-client"
		r := httptest.NewRequest(http.MethodGet, "http://"+chosen+"/"+chosen+"?user="+chosen+"&"+chosen, strings.NewReader(chosen))
		r.AddCookie(&http.Cookie{Name: "user", Value: chosen})
		r.Header.Set("X-Name", chosen)
		repl := caddyhttp.NewTestReplacer(r)
		repl.Set(authUserID, "alice")
		var x exchange
		if refused := ids.resolve(r, repl, &x); refused != nil {
			if x.user != "" {
				t.Fatalf("%q is refused (%s), and is %q", template, refused.code, x.user)
			}
			return
		}
		if byHeader := len(ids.headers) > 0; strings.Contains(x.user, chosen) && !byHeader && !strings.Contains(template, chosen) {
			t.Fatalf("%q lets the client choose: %q", template, x.user)
		}
		if nobody, _, _ := resolved(ids, httptest.NewRequest(http.MethodGet, "/", nil), ""); nobody != "" && strings.Contains(template, "{"+authUserID+"}") {
			t.Fatalf("with %q, nobody is %q", template, nobody)
		}
	})
}

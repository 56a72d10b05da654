package caddymodule

// The tests of this file are attacks on "who is this?": what a client can do to
// be taken for somebody else where a single sign-on stands in front.

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// remoteUser is the header by which a single sign-on names people.
const remoteUser = "Remote-User"

// signOn is a single sign-on for forward_auth. It answers 200 with what header X-Says
// of the request asks for as Remote-User, once for each value; it is the
// test's means to choose the answer, and nothing that a client could do.
func signOn(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range r.Header["X-Says"] {
			w.Header().Add(remoteUser, name)
		}
	}))
	t.Cleanup(s.Close)
	return "\tforward_auth " + s.URL + " {\n\t\turi /check\n\t\tcopy_headers " + remoteUser + "\n\t}"
}

const remoteUserOptions = `
		site finance
		user {http.request.header.Remote-User}
		scopes tableau:content:read`

// TestSingleSignOnDecides: who is named is whom the single sign-on has named, and
// whoever it has not named is nobody.
func TestSingleSignOnDecides(t *testing.T) {
	everybody := tableautest.Options{AcceptUser: func(string) bool { return true }}
	r := started(t, everybody, setup{before: signOn(t), options: remoteUserOptions + "\n\t\tforbid_users admin"})
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
		{"a list is a name", []string{"alice,bob"}, nil, "alice,bob", ""},
		{"several addresses in one", []string{"alice@good.example@evil.example"}, nil, "alice@good.example@evil.example", ""},
		{"a placeholder of the environment", []string{"{env." + testSecret + "}"}, nil, "{env." + testSecret + "}", ""},
		{"a placeholder of a header", []string{"{http.request.header.X-Other}"}, headers("X-Other", "bob"), "{http.request.header.X-Other}", ""},
		{"a claim", []string{`alice","sub":"bob`}, nil, `alice","sub":"bob`, ""},
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

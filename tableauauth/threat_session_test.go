package tableauauth

// The tests of this file are attacks on "whose session is it?": grants that look
// alike, and answers to a sign-in that are not what was asked for.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// TestMillionsOfPairsHaveTheirOwnKeys: grants made of the same few letters, which
// run together in as many ways as there are, have a key each.
func TestMillionsOfPairsHaveTheirOwnKeys(t *testing.T) {
	parts := []string{"", "a", "b", "ab", "ba", "a:b", "a|b", "a/b", "a\x00", "\x00a", "A", "default", "\u00e9", "e\u0301", strings.Repeat("a", 4096)}
	scopes := [][]string{nil, {""}, {"a"}, {"a", "b"}, {"ab"}, {"b", "a"}}
	claims := [][]Claim{nil, {{Name: "a", Values: []string{"b"}}}, {{Name: "a", Values: []string{"b"}, List: true}}, {{Name: "ab"}}}
	seen := make(map[Key]Grant)
	conn := digest("connection")
	for _, site := range parts {
		for _, user := range parts {
			for _, scope := range scopes {
				for _, claim := range claims {
					g := Grant{Site: site, User: user, Scopes: scope, Claims: claim}
					key := g.key(conn)
					if other, there := seen[key]; there {
						t.Fatalf("%.80q and %.80q have one key", fmt.Sprint(g), fmt.Sprint(other))
					}
					seen[key] = g
				}
			}
		}
	}
	if pairs := len(seen) * (len(seen) - 1) / 2; pairs < 10_000_000 {
		t.Errorf("only %d pairs", pairs)
	}
}

// TestAnswersThatAreNoSession: what a sign-in answers is a session only if it
// is that of whom it was asked for.
func TestAnswersThatAreNoSession(t *testing.T) {
	finance, marketing := tableautest.SiteLUID("finance"), tableautest.SiteLUID("marketing")
	user := "abcdef01-2222-3333-4444-555555555555"
	answer := func(token, site, url, user string) string {
		return `<tsResponse xmlns="http://tableau.com/api"><credentials token="` + token + `"><site id="` + site + `" contentUrl="` + url + `"/><user id="` + user + `"/></credentials></tsResponse>`
	}
	good := "AAAAAAAAAAAAAAAAAAAAAA|bbbb|" + finance
	for _, test := range []struct {
		name, body string
		want       Reason // or 0: a session
	}{
		{"as asked for", answer(good, finance, "finance", user), 0},
		{"a token of the old form", answer("AAAAAAAAAAAAAAAAAAAAAA", finance, "finance", user), 0},
		{"ids in upper case", answer(good, strings.ToUpper(finance), "Finance", strings.ToUpper(user)), 0},
		{"an id of another form", answer(good, finance, "finance", "user-1"), Nonsense},
		{"no token", answer("", finance, "finance", user), Nonsense},
		{"another site", answer(good, marketing, "marketing", user), Misfit},
		{"another site, in the token only", answer("AAAAAAAAAAAAAAAAAAAAAA|bbbb|"+marketing, finance, "finance", user), Misfit},
		{"no site", answer(good, "", "", user), Nonsense},
		{"the Default site", answer("AAAAAAAAAAAAAAAAAAAAAA|bbbb|"+marketing, marketing, "", user), Misfit},
		{"no user", answer(good, finance, "finance", ""), Nonsense},
		{"a token of two lines", answer("AAAA&#13;&#10;X-Other: 1", finance, "finance", user), Nonsense},
		{"two answers", answer(good, finance, "finance", user) + answer(good, finance, "finance", user), Nonsense},
		{"a web page", "<html><body>Sign in</body></html>", Nonsense},
	} {
		t.Run(test.name, func(t *testing.T) {
			fixed := roundTripFunc(func(req *http.Request) (*http.Response, error) {
				status, body := http.StatusNoContent, "" // to a sign-out
				if strings.HasSuffix(req.URL.Path, "/auth/signin") {
					status, body = http.StatusOK, test.body
				}
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
			})
			r := newRig(t, tableautest.Options{}, PoolOptions{Client: Client{Transport: fixed}})
			s, _, err := r.pool.Get(t.Context(), grant("alice"))
			failure, _ := errors.AsType[*SignInError](err)
			switch {
			case test.want == 0 && (err != nil || s.Grant().User != "alice" || !strings.EqualFold(s.SiteID(), finance) || !strings.Contains(test.body, `"`+s.UserID()+`"`) || !strings.EqualFold(s.ContentURL(), "finance")):
				t.Errorf("%v, %v", s, err)
			case test.want != 0 && (failure == nil || failure.Reason != test.want):
				t.Errorf("got %v, %v, want the reason %v", s, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "AAAAAAAA") {
				t.Errorf("the error shows a token: %v", err)
			}
		})
	}
}

// TestSessionTellsWhatItIs: a session knows its grant, keeps the id that Tableau
// gave its user, and shows its token to nobody who dumps it.
func TestSessionTellsWhatItIs(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	g := grant("alice")
	g.Claims = []Claim{{Name: "Region", Values: []string{"East"}}}
	s, _, err := r.pool.Get(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Grant(); !s.isFor(g) || got.User != g.User || got.Site != g.Site || !slices.Equal(got.Scopes, g.Scopes) || !slices.EqualFunc(got.Claims, g.Claims, Claim.equal) {
		t.Errorf("%+v became the session of %+v", g, got)
	}
	for name, other := range map[string]Grant{
		"another user":   {Site: g.Site, User: "bob", Scopes: g.Scopes, Claims: g.Claims},
		"another case":   {Site: g.Site, User: "Alice", Scopes: g.Scopes, Claims: g.Claims},
		"another site":   {Site: "marketing", User: g.User, Scopes: g.Scopes, Claims: g.Claims},
		"another scope":  {Site: g.Site, User: g.User, Scopes: []string{"tableau:users:read"}, Claims: g.Claims},
		"another claim":  {Site: g.Site, User: g.User, Scopes: g.Scopes, Claims: []Claim{{Name: "Region", Values: []string{"West"}}}},
		"without claims": grant("alice"),
	} {
		if s.isFor(other) {
			t.Errorf("it is for %s too", name)
		}
	}
	other, _, err := r.pool.Get(t.Context(), grant("bob"))
	if err != nil {
		t.Fatal(err)
	}
	dump := cmp.Diff(s, other, cmp.Exporter(func(reflect.Type) bool { return true }))
	if leaks := r.Leaks([]byte(dump + fmt.Sprintf("%v %#v", s, *BindingFrom(NewContext(t.Context(), &Binding{Session: s}))))); len(leaks) > 0 || dump == "" {
		t.Errorf("a dump of %d bytes shows %v", len(dump), leaks)
	}
	if s.JTI() == "" || new(Session).JTI() != "" {
		t.Errorf("the JWT is called %q, and one that there was not %q", s.JTI(), new(Session).JTI())
	}
	if got := s.LogValue().String(); !strings.Contains(got, s.ID()) || !strings.Contains(s.String(), `"alice"`) {
		t.Errorf("it calls itself %s and %s", got, s)
	}
}

// TestSessionOfAnotherIsNotSent: should a request ever come to the last hop with
// the session of another grant, it goes no further.
func TestSessionOfAnotherIsNotSent(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	bobs := r.session(t, "bob")
	b := &Binding{Pool: r.pool}
	if _, err := b.Acquire(t.Context(), grant("alice")); err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	b.Session = bobs
	r.ResetJournal()
	req, err := http.NewRequestWithContext(NewContext(t.Context(), b), http.MethodGet, testAPI+"/sites", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Transport{Base: r.base}).RoundTrip(req); !errors.Is(err, ErrOtherGrant) {
		t.Errorf("got %v", err)
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("Tableau saw %d requests", n)
	}
}

// TestLeavingDuringRecovery: who leaves while the session is found dead costs no
// further sign-in, and the next to come finds another session.
func TestLeavingDuringRecovery(t *testing.T) {
	ctx, leave := context.WithCancelCause(t.Context())
	gone := errors.New("the client is gone")
	var r *rig
	asked := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		res, err := r.base.RoundTrip(req)
		if err != nil || !strings.HasSuffix(req.URL.Path, "/sessions/current") {
			return res, err
		}
		body, err := io.ReadAll(res.Body)
		res.Body = io.NopCloser(strings.NewReader(string(body)))
		leave(gone)
		return res, err
	})
	r = newRig(t, tableautest.Options{}, PoolOptions{Client: Client{Transport: asked}})
	s := r.session(t, "alice")
	r.KillSessions(tableautest.SessionFilter{})
	req, _ := r.request(t, s, http.MethodGet, workbooks, "")
	_, _, err := roundTrip(t, &Transport{Base: r.base}, req.WithContext(NewContext(ctx, BindingFrom(req.Context()))))
	if !errors.Is(err, gone) || r.SignIns(tableautest.SignInFilter{}) != 1 {
		t.Errorf("%v, after %d sign-ins, want 1", err, r.SignIns(tableautest.SignInFilter{}))
	}
	if _, _, err := r.do(t, s, http.MethodGet, workbooks, ""); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// TestScopeErrorNamesTheScopes of the session, and not the session.
func TestScopeErrorNamesTheScopes(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	_, _, err := r.do(t, r.session(t, "alice"), http.MethodGet, users, "")
	if err == nil || !strings.Contains(err.Error(), "tableau:content:read") || len(r.Leaks([]byte(err.Error()))) > 0 {
		t.Errorf("got %v", err)
	}
}

package tableauauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// answering is a transport that answers everything with the same XML.
func answering(status int, body string) http.RoundTripper {
	return roundTripFunc(func(req *http.Request) (*http.Response, error) {
		w := &http.Response{StatusCode: status, Header: http.Header{}, Request: req}
		w.Body = readCloser{strings.NewReader(body)}
		return w, nil
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

const (
	oneLUID = "9a8a7b6b-5c4c-3d2d-1e0e-9a8a7b6b5c4c"
	twoLUID = "1a8a7b6b-5c4c-3d2d-1e0e-9a8a7b6b5c4c"
)

// The name that is asked for must come back as it is, once: whoever is like it
// is somebody else.
func TestFindUser(t *testing.T) {
	user := func(id, name string) string { return fmt.Sprintf(`<user id="%s" name="%s"/>`, id, name) }
	tests := map[string]struct {
		users string
		want  string // the LUID, or a part of the error
	}{
		"one":               {user(oneLUID, "alice"), oneLUID},
		"among others":      {user(twoLUID, "bob") + user(oneLUID, "alice"), oneLUID},
		"none":              {"", "no user named"},
		"in another case":   {user(oneLUID, "Alice"), `but "Alice": map the identity to that spelling`},
		"in both":           {user(oneLUID, "Alice") + user(twoLUID, "alice"), twoLUID},
		"in two domains":    {user(oneLUID, "alice") + user(twoLUID, "alice"), "several users"},
		"longer":            {user(oneLUID, "alice2"), "no user named"},
		"with no LUID":      {user("../../auth", "alice"), "no user named"},
		"not well-formed":   {"<user", "not Tableau's XML"},
		"of another answer": {"</users></tsResponse><tsResponse><users>" + user(oneLUID, "alice"), "no user named"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := &Client{Origin: testOrigin, Transport: answering(200, `<tsResponse xmlns="http://tableau.com/api"><users>`+test.users+`</users></tsResponse>`)}
			got, err := c.findUser(t.Context(), &Session{terms: &terms{apiVersion: "3.6", siteID: oneLUID}}, "alice")
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q in it", got, test.want)
			}
		})
	}
}

// The name goes into the filter as a value, whatever it holds.
func TestFindUserEscapes(t *testing.T) {
	var query string
	c := &Client{Origin: testOrigin, Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		query = req.URL.RawQuery
		return answering(200, `<tsResponse/>`).RoundTrip(req)
	})}
	if _, err := c.findUser(t.Context(), &Session{terms: &terms{apiVersion: "3.6", siteID: oneLUID}}, "a&b=c d+é"); err == nil {
		t.Error("no error")
	}
	if want := "filter=name%3Aeq%3Aa%26b%3Dc+d%2B%C3%A9"; query != want {
		t.Errorf("asked %s, want %s", query, want)
	}
}

// A user who was removed and added again has another LUID: the one that is
// remembered is looked up again.
func TestStaleUserID(t *testing.T) {
	r := newPATRig(t, 1, true, tableautest.Options{}, PoolOptions{})
	r.pool.userIDs.put(testSite, "alice", tableautest.UserLUID(testSite, "somebody before"))
	b := r.acquire(t, testSite, "alice")
	defer b.Release()
	if b.Session.UserID() != tableautest.UserLUID(testSite, "alice") {
		t.Errorf("got the session of %s", b.Session.UserID())
	}
}

// The session that looks somebody up may die, as any: neither the token nor the
// user is to blame.
func TestLookUpSurvivesADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, true, tableautest.Options{}, PoolOptions{})
		died := r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "get_users_on_site"}, KillSession: true, Count: 2})
		r.acquire(t, testSite, "alice").Release()
		if died.Hits() != 2 {
			t.Errorf("%d look-ups died", died.Hits())
		}
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "get_users_on_site"}, KillSession: true, Count: maxLookUps})
		_, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: "bob"})
		var failure *SignInError
		if !errors.As(err, &failure) || failure.Permanent() {
			t.Errorf("when all of them die: %v", err)
		}
		time.Sleep(rememberPassing + time.Second)
		r.acquire(t, testSite, "bob").Release()
	})
}

// A session that is not the one asked for is nobody's, least of all an
// administrator's.
func TestImpersonationOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, true, tableautest.Options{}, PoolOptions{})
		r.acquire(t, testSite, "alice").Release()
		r.acquire(t, testSite, "bob").Release()
		r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, AnswerUser: "admin"})
		_, _, err := r.pool.Get(t.Context(), Grant{Site: testSite, User: "alice"})
		if err == nil || !strings.Contains(err.Error(), "misfit") {
			t.Errorf("got %v", err)
		}
	})
}

// Where the account may not impersonate, the message says what it takes.
func TestImpersonationIsNotAllowed(t *testing.T) {
	for name, test := range map[string]struct {
		owner string
		want  string
	}{
		"not enabled":         {"admin", "tsm authentication pat-impersonation enable"},
		"not even site admin": {"bob", "administrator"},
	} {
		t.Run(name, func(t *testing.T) {
			tableau := tableautest.New(tableautest.Options{PATs: []tableautest.PAT{{Name: "one", Secret: "the secret of it", User: test.owner}}})
			pool, err := NewPool(Connection{Origin: testOrigin, Credential: ourPAT(t, true, tableau.PATs(test.owner)...)},
				PoolOptions{Client: Client{Transport: tableau.RoundTripper()}})
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close(t.Context())
			_, _, err = pool.Get(t.Context(), Grant{Site: testSite, User: "alice"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if n := len(tableau.Sessions()); n != 0 {
				t.Errorf("%d sessions live", n)
			}
		})
	}
}

// If Tableau does not say whose a token is, nothing but the record is poorer.
func TestOwnerStaysUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPATRig(t, 1, false, tableautest.Options{}, PoolOptions{})
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "get_current_server_session"}, Hang: true})
		began := time.Now()
		b := r.acquire(t, testSite, "alice")
		defer b.Release()
		if b.Session.ActsAs() != "" || time.Since(began) > ownerTimeout {
			t.Errorf("after %v: acts as %q", time.Since(began), b.Session.ActsAs())
		}
	})
}

func TestKnownUsersAreBounded(t *testing.T) {
	var k knownUsers
	for i := range maxKnownUsers + 100 {
		k.put("site", fmt.Sprint(i), "id")
	}
	if len(k.known) != maxKnownUsers {
		t.Errorf("%d are remembered, want %d", len(k.known), maxKnownUsers)
	}
	if _, ok := k.get("site", fmt.Sprint(maxKnownUsers+99)); !ok {
		t.Error("the newest is not among them")
	}
}

func TestNewPATRefuses(t *testing.T) {
	token := func(name, secret string) PersonalAccessToken {
		return PersonalAccessToken{Name: name, Secret: tableauapi.NewSecret(secret)}
	}
	for want, tokens := range map[string][]PersonalAccessToken{
		"no token":                      nil,
		"token 1: its name":             {token("", "s")},
		"token 2: its name":             {token("a", "s"), token("b", "")},
		`two tokens have the name "a":`: {token("a", "s"), token("a", "t")},
	} {
		if _, err := NewPAT(false, tokens...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", tokens, err, want)
		}
	}
	one, _ := NewPAT(false, token("a", "s"))
	for _, other := range []*PAT{
		must(NewPAT(true, token("a", "s"))), must(NewPAT(false, token("a", "t"))),
		must(NewPAT(false, token("b", "s"))), must(NewPAT(false, token("a", "s"), token("b", "s"))),
	} {
		if one.Fingerprint() == other.Fingerprint() {
			t.Errorf("%v has the fingerprint of another", other.seats)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

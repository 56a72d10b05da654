package caddymodule

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// claimed returns the extra claims of the newest sign-in of user.
func (r *rig) claimed(t *testing.T, user string) map[string]any {
	t.Helper()
	var found map[string]any
	for _, e := range r.Journal() {
		if e.JWT != nil && e.JWT.Subject == user {
			found = e.JWT.Claims
		}
	}
	if found == nil {
		t.Fatalf("%s has not signed in", user)
	}
	return found
}

func withClaims(lines ...string) string {
	return defaultOptions + "\n\t\tclaims {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}"
}

// TestClaims: what the JWT says of a person is what the configuration says, in
// the shape that Tableau wants, whatever the client sends.
func TestClaims(t *testing.T) {
	t.Setenv("TEST_REGION", "EMEA")
	r := started(t, tableautest.Options{OnDemandAccess: true}, setup{options: withClaims(
		"region {env.TEST_REGION}",
		"person {http.auth.user.id}-x",
		"teams blue {http.auth.user.id}",
		"https://tableau.com/oda true",
		"https://tableau.com/groups viewers",
		`quoted "a \"b\" <c> {http.auth.user.id}"`,
	)})
	evil := call{user: "alice", path: workbooks + "?region=evil&claims=%7B%22region%22%3A%22evil%22%7D", header: headers(
		"region", "evil", "Region", "evil", "Claims", `{"region":"evil"}`, "X-Tableau-Claims", "region=evil",
		"https-tableau.com-groups", "admins", "X-Tableau-Site", "finance")}
	if a := r.do(t, evil); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	want := map[string]any{
		"region": "EMEA", "person": "alice-x", "teams": []any{"blue", "alice"}, "https://tableau.com/oda": "true",
		"https://tableau.com/groups": []any{"viewers"}, "quoted": `a "b" <c> alice`,
	}
	if got := r.claimed(t, "alice"); !maps.EqualFunc(got, want, func(a, b any) bool { return fmt.Sprintf("%T%v", a, a) == fmt.Sprintf("%T%v", b, b) }) {
		t.Errorf("claims %v, want %v", got, want)
	}
	signIn := call{
		user: "bob", method: http.MethodPost, path: api + "/auth/signin?region=evil", header: headers("Region", "evil"),
		body: `{"credentials":{"name":"x","password":"y","region":"evil","claims":{"region":"evil"},"site":{"contentUrl":""}}}`,
	}
	if a := r.do(t, signIn); a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if got := r.claimed(t, "bob"); got["region"] != "EMEA" || got["person"] != "bob-x" {
		t.Errorf("claims %v", got)
	}
	if got := r.signIns(); got != 2 {
		t.Errorf("%d sign-ins, want 2", got)
	}
}

// Different claims are different sessions, the same claims are one; what is
// missing, empty, twice or not text is refused, and reaches nobody.
func TestClaimsFromAHeader(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{global: trustsLoopback, options: withClaims("department {header.X-Department}")})
	for _, c := range []struct {
		name   string
		header http.Header
		status int
		code   string
		logins int
	}{
		{"one", headers("X-Department", "sales"), 200, "", 1},
		{"the same", headers("X-Department", "sales"), 200, "", 1},
		{"another", headers("X-Department", "Sales"), 200, "", 2},
		{"a placeholder", headers("X-Department", "{env."+testSecret+"}"), 200, "", 3},
		{"none", nil, 403, "claim_missing", 3},
		{"empty", headers("X-Department", ""), 403, "claim_missing", 3},
		{"blank", headers("X-Department", "\u00a0"), 403, "claim_missing", 3},
		{"not UTF-8", headers("X-Department", "a\xff"), 403, "claim_missing", 3},
		{"a control character", headers("X-Department", "a\tb"), 403, "claim_missing", 3},
		{"twice", headers("X-Department", "sales", "X-Department", "board"), 400, "request_ambiguous", 3},
		{"twice in other case", headers("X-Department", "sales", "x-department", "board"), 400, "request_ambiguous", 3},
		{"in the query", nil, 403, "claim_missing", 3},
	} {
		a := r.do(t, call{user: "alice", path: workbooks + "?department=x", header: c.header})
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s: status %d, code %q, want %d %q", c.name, a.status, a.code(), c.status, c.code)
		}
		if got := r.signIns(); got != c.logins {
			t.Errorf("%s: %d sign-ins, want %d", c.name, got, c.logins)
		}
	}
	if got := r.claimed(t, "alice")["department"]; got != "{env."+testSecret+"}" {
		t.Errorf("what a header holds was expanded again: %v", got)
	}
	signIn := r.do(t, call{user: "alice", method: http.MethodPost, path: api + "/auth/signin", body: `{"credentials":{"name":"x","password":"y","site":{"contentUrl":""}}}`})
	if signIn.status != http.StatusUnauthorized || signIn.code() != "claim_missing" {
		t.Errorf("sign-in: status %d, code %q", signIn.status, signIn.code())
	}
	for _, c := range []call{{path: api + "/serverinfo"}, {method: http.MethodPost, path: api + "/auth/signout"}} {
		c.user = "alice"
		if a := r.do(t, c); a.status >= 300 {
			t.Errorf("%s, which needs no session: status %d", c.path, a.status)
		}
	}
}

// The header that a claim is taken from goes no further.
func TestClaimHeadersAreRemoved(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	s := setup{global: trustsLoopback, options: withClaims("department {header.X-Department}")}
	s.handlers = "\ttableau_auth " + r.URL + r.block(s) + "\n\trespond \"department <{header.X-Department}> other <{header.X-Other}>\""
	r.load(t, s)
	a := r.get(t, "alice", workbooks, "X-Department", "sales", "X-Other", "stays")
	if a.status != http.StatusOK || a.body != "department <> other <stays>" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// Without a client certificate, Caddy's placeholders describe an empty one,
// whose fingerprint is the same for everybody.
func TestClaimFromNoCertificate(t *testing.T) {
	site := newTLSSite(t)
	r := newRig(t, tableautest.Options{})
	s := setup{options: withClaims("device {http.request.tls.client.fingerprint}")}
	proxy := "\ttableau_proxy " + r.URL + r.block(s)
	r.loadWith(t, setup{handlers: proxy}, site.block(r.basicAuth()+"\n"+proxy))
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+testPassword))
	for where, a := range map[string]answer{
		"without TLS": r.get(t, "alice", workbooks),
		"over TLS":    site.do(t, http.MethodGet, workbooks, "Authorization", authorization),
	} {
		if a.status != http.StatusForbidden || a.code() != "claim_missing" {
			t.Errorf("%s: status %d, code %q", where, a.status, a.code())
		}
	}
}

// What is missing is not left out of what stands around it.
func TestClaimOfSomethingUnknown(t *testing.T) {
	for _, value := range []string{"{http.auth.user.nothing}-x", "a {http.auth.user.nothing}", "{http.no.such.placeholder}-x"} {
		r := started(t, tableautest.Options{}, setup{options: withClaims("person " + value)})
		if a := r.get(t, "alice", workbooks); a.status != http.StatusForbidden || a.code() != "claim_missing" {
			t.Errorf("%s: status %d, code %q", value, a.status, a.code())
		}
		if n := len(r.Journal()); n > 0 {
			t.Errorf("%s: %d requests reached Tableau", value, n)
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClaimsProvisionRefuses(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	unified := "credentials unified_access {\nissuer https://x.example\ntenant t\nusername_claim upn\n" + keyLine(t, "rsa") + "\n}\n"
	cases := []struct {
		name, claims, credentials string
		want                      []string
	}{
		{"a PAT", "region x", "credentials pat {\ntoken ci {env.GOOD_SECRET}\n}\n", []string{"claims: credentials pat sign in without a JWT", "leave claims out"}},
		{"user name of UAT", "upn {http.auth.user.id}", unified, []string{`"upn" names the user`, "leave it out"}},
		{"email of UAT", "email {http.auth.user.id}", unified, []string{`"email" is set by the proxy itself`}},
		{"empty value", `region ""`, goodCredentials, []string{"region has no value, or an empty one"}},
		{"empty among others", `region a ""`, goodCredentials, []string{"region has no value, or an empty one"}},
		{"empty name", `"" a`, goodCredentials, []string{"claims: a claim has no name"}},
		{"second value chosen by the client", "region a {query.region}", goodCredentials, []string{"{http.request.uri.query.region} is chosen by the client"}},
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scp", "scope", "email", "https://tableau.com/tenantId", "https://tableau.com/siteId", "https://tableau.com/userId"} {
		cases = append(cases, struct {
			name, claims, credentials string
			want                      []string
		}{"reserved: " + name, name + " x", goodCredentials, []string{"claims", name, "set by the proxy itself", "leave it out"}})
	}
	for _, chosen := range []string{"{query.r}", "{uri}", "{path}", "{http.request.uri.path.0}", "{cookie.r}", "{header.Authorization}", "{header.cookie}", "{host}", "{http.request.body}", "{method}", "{http.request.orig_uri.query}", "{http.auth.candidate.id}", "{http.request.tls.server_name}"} {
		cases = append(cases, struct {
			name, claims, credentials string
			want                      []string
		}{"chosen: " + chosen, "region " + chosen, goodCredentials, []string{"claims: region: {", "is chosen by the client", "what an authentication handler has verified"}})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := provision(t, goodOrigin, goodSite+goodUser+goodScopes+c.credentials+"claims {\n"+c.claims+"\n}\n")
			if err == nil {
				t.Fatal("it loads")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not hold %q", err, part)
				}
			}
		})
	}
	for _, credentials := range []string{goodCredentials, unified} {
		if err := provision(t, goodOrigin, goodSite+goodUser+goodScopes+credentials+"claims {\nregion {header.X-Region} {http.auth.user.x}\n}\n"); err != nil {
			t.Error(err)
		}
	}
}

// Only a JWT carries claims.
func TestClaimsNeedAJWT(t *testing.T) {
	_, err := newClaims(map[string][]string{"region": {"x"}}, plainCredential{}, sources{}, nil)
	if err == nil || !strings.Contains(err.Error(), "credentials plain sign in without a JWT") || !strings.Contains(err.Error(), "leave claims out") {
		t.Errorf("got %v", err)
	}
	if c, err := newClaims(nil, plainCredential{}, sources{}, nil); c != nil || err != nil {
		t.Errorf("no claims: got %v and %v", c, err)
	}
}

// The order of a configuration, which JSON does not keep, makes no difference
// to sessions.
func TestClaimsAreSorted(t *testing.T) {
	c, err := newClaims(map[string][]string{"b": {"1"}, "a": {"2"}, "c": {"3", "0"}}, new(tableauauth.DirectTrust), sources{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(c.templates), "[{a [2] false} {b [1] false} {c [3 0] true}]"; got != want {
		t.Errorf("claims %s, want %s", got, want)
	}
}

// A plainCredential signs in without a JWT.
type plainCredential struct{ tableauauth.Credential }

func (plainCredential) Kind() string { return "plain" }

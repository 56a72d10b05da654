package caddymodule

// This file checks the tools that show who they are when they sign in: what
// they get, what their tokens are good for, and what the others learn.

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	// open is a site in front of which nobody authenticates.
	open = "\t# nobody is asked who they are"

	etlSecret    = "ETLSECRETETLSECRETETLSECRE"
	reportSecret = "REPORTSECRETREPORTSECRETRE"
)

// hashOf is a secret as the configuration has it, at the least cost.
func hashOf(t testing.TB, secret string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// argon2Hash is hashOf for argon2id.
func argon2Hash(secret string) string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(secret), salt, 1, 64, 1, 32)
	return "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

// clientOptions are the options of a proxy with these lines in clients.
func clientOptions(lines ...string) string {
	return defaultOptions + "\n\t\tclients {\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n\t\t}"
}

// clientSetup is a proxy that knows alice by her own secret, and a tool that
// stands for bob.
func clientSetup(t testing.TB) setup {
	return setup{before: open, options: clientOptions("alice "+hashOf(t, etlSecret), "report "+hashOf(t, reportSecret)+" bob")}
}

func byPassword(name, secret string) string {
	return `<tsRequest><credentials name="` + name + `" password="` + secret + `"><site contentUrl="finance"/></credentials></tsRequest>`
}

func byPAT(name, secret string) string {
	return `{"credentials":{"personalAccessTokenName":"` + name + `","personalAccessTokenSecret":"` + secret + `","site":{"contentUrl":"finance"}}}`
}

// clientSignIn makes a sign-in of a client, which must be good.
func (r *rig) clientSignIn(t *testing.T, name, secret string) string {
	t.Helper()
	return read(t, r.post(t, "", signInPath, byPassword(name, secret)), tableauapi.XML).Credentials.Token
}

func TestClientSignsInAndItsTokenIsItsIdentity(t *testing.T) {
	r := started(t, tableautest.Options{}, clientSetup(t))
	for _, test := range []struct {
		name, body string
		format     tableauapi.Format
		client     string
		user       string
	}{
		{"by password", byPassword("alice", etlSecret), tableauapi.XML, "alice", "alice"},
		{"by PAT", byPAT("alice", etlSecret), tableauapi.JSON, "alice", "alice"},
		{"for another identity", byPassword("report", reportSecret), tableauapi.XML, "report", "bob"},
		{"by PAT for another identity", byPAT("report", reportSecret), tableauapi.JSON, "report", "bob"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := read(t, r.post(t, "", signInPath, test.body), test.format).Credentials
			if want := tableautest.UserLUID(testSite, test.user); c.User.ID != want {
				t.Errorf("user %q, want %q", c.User.ID, want)
			}
			expectStatus(t, "with the token alone", r.with(t, "", c.Token), http.StatusOK, "")
			if e := r.last(t); e.User != test.user {
				t.Errorf("the request was made as %q", e.User)
			}
			await(t, "tableau.audit", map[string]any{"msg": auditMessage, "client": test.client, "identity": test.user, "user": test.user, "route": "/sites/{site}/workbooks"})
			a := r.post(t, "", signOutPath, "", headerAuth, c.Token)
			expectStatus(t, "sign-out", a, http.StatusNoContent, "")
			expectStatus(t, "after the sign-out", r.with(t, "", c.Token), http.StatusUnauthorized, "token_invalid")
		})
	}
	if got := r.signIns(); got != 2 {
		t.Errorf("%d sign-ins at Tableau, want one for each user", got)
	}
	for _, secret := range []string{etlSecret, reportSecret} {
		if strings.Contains(string(logged.bytes()), secret) {
			t.Error("the log holds a client's secret")
		}
	}
}

func TestClientWithAnArgon2Hash(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{before: open, options: clientOptions("alice "+argon2Hash(etlSecret), "report "+argon2Hash(reportSecret)+" bob")})
	expectStatus(t, "with the token", r.with(t, "", r.clientSignIn(t, "report", reportSecret)), http.StatusOK, "")
	for _, name := range []string{"report", "alice", "nobody"} {
		secret := map[string]string{"report": etlSecret, "alice": reportSecret, "nobody": etlSecret}[name]
		checkError(t, r.post(t, "", signInPath, byPassword(name, secret)), http.StatusUnauthorized, "client_unknown", tableauapi.CodeSignInFailed, tableauapi.XML)
	}
}

func TestClientIsMappedLikeAnyIdentity(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{before: open, options: `
		site finance
		user_map nightly carol
		scopes tableau:content:read
		clients {
			etl ` + hashOf(t, etlSecret) + ` nightly
			report ` + hashOf(t, reportSecret) + `
		}`})
	expectStatus(t, "mapped", r.with(t, "", r.clientSignIn(t, "etl", etlSecret)), http.StatusOK, "")
	if e := r.last(t); e.User != "carol" {
		t.Errorf("the request was made as %q", e.User)
	}
	checkError(t, r.post(t, "", signInPath, byPassword("report", reportSecret)), http.StatusUnauthorized, "identity_not_mapped", tableauapi.CodeSignInFailed, tableauapi.XML)
}

// Nothing but the right secret tells a name that exists from one that does not.
func TestWrongSecretAndUnknownNameLookTheSame(t *testing.T) {
	r := started(t, tableautest.Options{}, clientSetup(t))
	for _, form := range []struct {
		name string
		body func(name, secret string) string
		want tableauapi.Format
	}{{"password", byPassword, tableauapi.XML}, {"PAT", byPAT, tableauapi.JSON}} {
		t.Run(form.name, func(t *testing.T) {
			r.reload(t, clientSetup(t)) // with no guesses yet
			var first answer
			for i, body := range []string{
				form.body("alice", "wrong"), form.body("nobody", "wrong"), form.body("alice", ""), form.body("nobody", ""),
				form.body("alice", reportSecret), form.body("Alice", etlSecret), form.body("alice:", etlSecret), form.body("bob", reportSecret),
			} {
				a := r.post(t, "", signInPath, body)
				checkError(t, a, http.StatusUnauthorized, "client_unknown", tableauapi.CodeSignInFailed, form.want)
				delete(a.header, "Date")
				if i == 0 {
					first = a
				}
				if got, want := fmt.Sprint(a), fmt.Sprint(first); got != want {
					t.Errorf("attempt %d is answered with\n%s, the first with\n%s", i, got, want)
				}
			}
		})
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

// comparisons records what a secret was compared with.
type comparisons struct{ hashes []string }

func (c *comparisons) Compare(hash, _ []byte) (bool, error) {
	c.hashes = append(c.hashes, string(hash))
	return true, nil
}

// A hash of another cost would show by its time which names exist. Even if the
// secret fits it, the name does not exist.
func TestUnknownNameCostsAsMuchAsAnother(t *testing.T) {
	cs, hash := unitClients(t), new(comparisons)
	cs.verify.Hash, cs.verify.HashCache = hash, nil
	r := httptest.NewRequest(http.MethodPost, signInPath, nil)
	for _, name := range []string{"etl", "nobody", "nobody:", "etl:x"} {
		client, refused := cs.signIn(r, tableauapi.Credentials{Name: name, Password: tableauapi.NewSecret("x")})
		if known := name == "etl"; known != (refused == nil) || known != (client.Name == "etl") {
			t.Errorf("%s: client %q, refused %v", name, client.Name, refused)
		}
	}
	if len(hash.hashes) != 4 {
		t.Fatalf("%d comparisons for 4 attempts", len(hash.hashes))
	}
	for i, got := range hash.hashes {
		if got != hash.hashes[0] {
			t.Errorf("attempt %d was compared with a hash of its own: %.7s, not %.7s", i, got, hash.hashes[0])
		}
	}
}

// unitClients are clients without a proxy.
func unitClients(t *testing.T) *clients {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	cs, err := newClients(ctx, []Client{{Name: "etl", Hash: hashOf(t, etlSecret)}})
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

func TestJWTIsNoSecretOfAClient(t *testing.T) {
	r := started(t, tableautest.Options{}, clientSetup(t))
	for _, body := range []string{
		`<tsRequest><credentials jwt="e30.e30.c2ln" isUat="false"><site contentUrl="finance"/></credentials></tsRequest>`,
		`<tsRequest><credentials jwt="` + etlSecret + `"><site contentUrl="finance"/></credentials></tsRequest>`,
		`<tsRequest><credentials password="` + etlSecret + `"><site contentUrl="finance"/></credentials></tsRequest>`,
	} {
		checkError(t, r.post(t, "", signInPath, body), http.StatusUnauthorized, "client_unknown", tableauapi.CodeSignInFailed, tableauapi.XML)
	}
}

func TestTokensOfAClientEndWithWhatWasAccepted(t *testing.T) {
	hash := hashOf(t, etlSecret)
	other := "report " + hashOf(t, reportSecret) + " bob"
	for _, test := range []struct {
		name   string
		lines  []string
		status int
		code   string
	}{
		{"nothing changed", []string{"alice " + hash, other}, 200, ""},
		{"its identity spelled out", []string{"alice " + hash + " alice", other}, 200, ""},
		{"another client added", []string{"new " + hashOf(t, "x"), "alice " + hash, other}, 200, ""},
		{"another client removed", []string{"alice " + hash}, 200, ""},
		{"removed", []string{other}, 401, "token_invalid"},
		{"its secret hashed anew", []string{"alice " + hashOf(t, etlSecret), other}, 401, "token_invalid"},
		{"another secret", []string{"alice " + hashOf(t, "another"), other}, 401, "token_invalid"},
		{"another identity", []string{"alice " + hash + " carol", other}, 401, "token_invalid"},
		{"another name", []string{"carol " + hash + " alice", other}, 401, "token_invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := started(t, tableautest.Options{}, setup{before: open, options: clientOptions("alice "+hash, other)})
			token := r.clientSignIn(t, "alice", etlSecret)
			r.reload(t, setup{before: open, options: clientOptions(test.lines...)})
			expectStatus(t, "after the reload", r.with(t, "", token), test.status, test.code)
		})
	}
	t.Run("no clients at all", func(t *testing.T) {
		r := started(t, tableautest.Options{}, setup{before: open, options: clientOptions("alice " + hash)})
		token := r.clientSignIn(t, "alice", etlSecret)
		r.reload(t, setup{before: open})
		expectStatus(t, "after the reload", r.with(t, "", token), 401, "identity_missing")
	})
}

func TestClientTokenSwitchesSitesAndStaysAClients(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	twoSites(t, r)
	options := strings.Replace(clientOptions("alice "+hashOf(t, etlSecret)), "site finance", "site finance marketing", 1)
	r.load(t, setup{before: open, options: options})
	old := r.clientSignIn(t, "alice", etlSecret)
	c := read(t, r.post(t, "", switchPath, `<tsRequest><site contentUrl="marketing"/></tsRequest>`, headerAuth, old), tableauapi.XML).Credentials
	if a := r.with(t, "", c.Token); !strings.Contains(a.body, "Marketing Overview") {
		t.Errorf("with the new token: %s", a.body)
	}
	expectStatus(t, "with the old token", r.with(t, "", old), http.StatusUnauthorized, "token_invalid")
	r.reload(t, setup{before: open, options: strings.Replace(options, "alice $", "bob $", 1)})
	expectStatus(t, "once the client is gone", r.with(t, "", c.Token), http.StatusUnauthorized, "token_invalid")
}

// behindProxies makes the test's X-Forwarded-For count.
func behindProxies(s setup) setup {
	s.global = "\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}"
	return s
}

func TestGuessesAtSignInAreSlowedByNameAndAddress(t *testing.T) {
	r := started(t, tableautest.Options{}, behindProxies(clientSetup(t)))
	try := func(name, secret, address string) answer {
		return r.post(t, "", signInPath, byPassword(name, secret), "X-Forwarded-For", address)
	}
	expectStatus(t, "the right secret, before", try("alice", etlSecret, "192.0.2.1"), 200, "")
	for range guessBurst {
		expectStatus(t, "a guess", try("alice", "wrong", "192.0.2.2"), 401, "client_unknown")
		expectStatus(t, "a guess at no name", try("nobody", "wrong", "192.0.2.3"), 401, "client_unknown")
	}
	for _, test := range []struct {
		name                    string
		client, secret, address string
		status                  int
	}{
		{"the name", "alice", "wrong", "192.0.2.9", 429},
		{"the name that does not exist", "nobody", "wrong", "192.0.2.9", 429},
		{"the address, with another name", "carol", "wrong", "192.0.2.2", 429},
		{"another name from another address", "dave", "wrong", "192.0.2.9", 401},
		{"a right secret that was not known, from the address", "report", reportSecret, "192.0.2.2", 429},
		{"a right secret that was not known", "report", reportSecret, "192.0.2.9", 200},
		{"a right secret that was known", "alice", etlSecret, "192.0.2.1", 200},
		{"a right secret that was known, from the address that guesses", "alice", etlSecret, "192.0.2.2", 200},
	} {
		a := try(test.client, test.secret, test.address)
		switch {
		case a.status != test.status:
			t.Errorf("%s: status %d, want %d", test.name, a.status, test.status)
		case test.status == 429:
			checkError(t, a, 429, "client_throttled", tableauapi.CodeTooManyRequests, tableauapi.XML)
			if got := a.header.Get("Retry-After"); got != "5" {
				t.Errorf("%s: Retry-After %q", test.name, got)
			}
		}
	}
	a, b := try("alice", "wrong", "192.0.2.9"), try("nobody", "wrong", "192.0.2.9")
	a.header.Del("Date")
	if b.header.Del("Date"); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("a name that exists is held up with\n%v, one that does not with\n%v", a, b)
	}
	if got := r.signIns(); got != 2 {
		t.Errorf("%d sign-ins at Tableau, want 2", got)
	}
}

func TestServerInfoBeforeSignInIsForThoseWithClients(t *testing.T) {
	paths := []string{"/api/2.4/serverinfo", "/api/2.4/serverInfo", "//api/2.4/serverInfo"}
	t.Run("with clients", func(t *testing.T) {
		r := started(t, tableautest.Options{LenientPaths: true}, clientSetup(t))
		for _, path := range paths {
			expectStatus(t, path, r.get(t, "", path), 200, "")
			expectStatus(t, path+" with a stale token", r.get(t, "", path, headerAuth, "stale"), 200, "")
		}
		expectStatus(t, "other calls", r.get(t, "", workbooks), 401, "identity_missing")
		expectStatus(t, "the session", r.get(t, "", api+"/sessions/current"), 401, "identity_missing")
		if got := r.signIns(); got != 0 {
			t.Errorf("%d sign-ins at Tableau", got)
		}
	})
	t.Run("for those whom Caddy knows", func(t *testing.T) {
		r := started(t, tableautest.Options{LenientPaths: true}, setup{})
		for _, path := range paths {
			expectStatus(t, path+" with a stale token", r.get(t, "alice", path, headerAuth, "stale"), 200, "")
		}
	})
	t.Run("without clients", func(t *testing.T) {
		r := started(t, tableautest.Options{LenientPaths: true}, setup{before: open})
		for _, path := range paths {
			expectStatus(t, path, r.get(t, "", path), 401, "identity_missing")
		}
		if n := len(r.Journal()); n != 0 {
			t.Errorf("%d requests reached Tableau", n)
		}
	})
}

// Some are known to Caddy, and others only by their sign-in: neither can pass
// for the other.
func TestClientsAndBasicAuthSideBySide(t *testing.T) {
	s := clientSetup(t)
	s.before = "\t@known header Authorization *\n\tbasic_auth @known {\n\t\talice " + testHash() + "\n\t\tbob " + testHash() + "\n\t}"
	r := started(t, tableautest.Options{}, s)

	of := func(user, body string) string {
		return read(t, r.post(t, user, signInPath, body), tableauapi.XML).Credentials.Token
	}
	alices := of("alice", byPassword("report", reportSecret)) // Caddy's word counts, not the body's
	clients := of("", byPassword("report", reportSecret))
	for _, test := range []struct {
		name, user, token string
		status            int
		code              string
	}{
		{"the token of somebody whom Caddy knows", "alice", alices, 200, ""},
		{"without what Caddy knows them by", "", alices, 401, "identity_missing"},
		{"by another", "bob", alices, 401, "token_invalid"},
		{"the token of a client", "", clients, 200, ""},
		{"by somebody whom Caddy knows under its identity", "bob", clients, 200, ""},
		{"by somebody whom Caddy knows", "alice", clients, 401, "token_invalid"},
		{"neither", "", "", 401, "identity_missing"},
	} {
		expectStatus(t, test.name, r.with(t, test.user, test.token), test.status, test.code)
	}
	for range guessBurst + 1 {
		expectStatus(t, "any password is good for somebody whom Caddy knows", r.post(t, "alice", signInPath, byPassword("report", "wrong")), 200, "")
	}
}

func TestClientTokenIsForProxiesThatKnowTheClient(t *testing.T) {
	hash := hashOf(t, etlSecret)
	r := newRig(t, tableautest.Options{})
	var handlers strings.Builder
	for which, lines := range map[string][]string{
		"same": {"alice " + hash}, "stranger": {"report " + hash}, "namesake": {"alice " + hashOf(t, "another")}, "without": nil,
	} {
		options := defaultOptions
		if lines != nil {
			options = clientOptions(lines...)
		}
		fmt.Fprintf(&handlers, "\t@%s header X-Which %s\n\ttableau_proxy @%s %s%s\n", which, which, which, r.URL, r.block(setup{options: options}))
	}
	handlers.WriteString("\ttableau_proxy " + r.URL + r.block(setup{options: clientOptions("alice " + hash)}))
	r.load(t, setup{before: open, handlers: handlers.String()})
	token := r.clientSignIn(t, "alice", etlSecret)
	for _, test := range []struct {
		which  string
		status int
		code   string
	}{{"", 200, ""}, {"same", 200, ""}, {"stranger", 401, "token_invalid"}, {"namesake", 401, "token_invalid"}, {"without", 401, "identity_missing"}} {
		expectStatus(t, "at "+test.which, r.get(t, "", workbooks, headerAuth, token, "X-Which", test.which), test.status, test.code)
	}
}

func TestClientsAreChecked(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	hash := testHash()
	for _, test := range []struct{ name, user, lines, want string }{
		{"two", goodUser, "etl " + hash + "\nreport " + hash + " alice", ""},
		{"by the map alone", "user_map etl alice\n", "etl " + hash, ""},
		{"no hash", goodUser, "etl", "takes the hash of its secret"},
		{"too much", goodUser, "etl " + hash + " alice bob", "takes the hash of its secret"},
		{"none", goodUser, "", "clients is empty"},
		{"a secret for a hash", goodUser, "etl hunter2", "its hash is neither bcrypt nor argon2id: make one with caddy tableau client add"},
		{"a hash of another kind", goodUser, "etl $scrypt$hunter2", "its hash is neither bcrypt nor argon2id"},
		{"twice", goodUser, "etl " + hash + "\netl " + hash, `"etl" is there twice`},
		{"both kinds of hash", goodUser, "etl " + hash + "\nreport " + argon2Hash("x"), "some hashes are bcrypt and some argon2id: use one kind"},
		{"a colon", goodUser, "a:b " + hash, "no colon"},
		{"a placeholder for a name", goodUser, "{env.GOOD_SECRET} " + hash, "no braces"},
		{"an invisible character", goodUser, "e\u200btl " + hash, "invisible"},
		{"an identity with a space at its end", goodUser, "etl " + hash + ` "alice "`, "identity: the user name"},
		{"a constant user", "user alice\n", "etl " + hash, "the identity of a client is {http.auth.user.id}"},
		{"a user from a header", "user {http.request.header.Remote-User}\n", "etl " + hash, "the identity of a client is {http.auth.user.id}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := provision(t, goodOrigin, goodSite+test.user+goodScopes+goodCredentials+"clients {\n"+test.lines+"\n}\n")
			switch {
			case (err == nil) != (test.want == ""):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("error %q, want %q in it and no secret", err, test.want)
			}
		})
	}
}

func TestProofOfAClientIsOfAllThatItIs(t *testing.T) {
	base := Client{Name: "etl", Hash: "$2a$04$x", Identity: "alice"}
	for _, other := range []Client{
		{Name: "etl2", Hash: base.Hash, Identity: base.Identity},
		{Name: base.Name, Hash: "$2a$04$y", Identity: base.Identity},
		{Name: base.Name, Hash: base.Hash, Identity: "bob"},
		{Name: base.Name, Hash: base.Hash + "a", Identity: "lice"},
	} {
		if other.proof() == base.proof() {
			t.Errorf("%+v has the proof of %+v", other, base)
		}
	}
	cs := &clients{byName: map[string]Client{"etl": base}}
	for proof, want := range map[string]bool{base.proof(): true, "etl": false, "etl:": false, "": false, "other:" + base.proof(): false, base.proof() + "x": false} {
		if _, ok := cs.byProof(proof); ok != want {
			t.Errorf("%q is a proof: %t", proof, ok)
		}
	}
}

package caddymodule

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

var financeAudience = "tableau:" + tableautest.SiteLUID(testSite)

// trusting is a rig whose Tableau trusts the issuer at site, for one site.
func trusting(t *testing.T, site *tlsSite, opts tableautest.Options) *rig {
	t.Helper()
	opts.HTTPClient = site.client
	r := newRig(t, opts)
	r.AddAuthorizationServer(tableautest.AuthorizationServer{Issuer: site.url, Site: testSite})
	return r
}

func (r *rig) noPrivateKey(t *testing.T) {
	t.Helper()
	log := string(logged.bytes())
	for kid, text := range testKeys() {
		if strings.Contains(log, strings.Split(text, "\n")[1]) {
			t.Errorf("the log shows the private key %s", kid)
		}
	}
}

// TestOAuthTrustJourney takes people to Tableau, which fetches the keys from
// the same Caddy over TLS, by either of the two documents.
func TestOAuthTrustJourney(t *testing.T) {
	for kid, alg := range map[string]string{"rsa": "RS256", "ec": "ES256"} {
		t.Run(alg, func(t *testing.T) {
			site := newTLSSite(t)
			r := trusting(t, site, tableautest.Options{})
			r.loadWith(t, setup{handlers: r.proxyWith("", oauthTrust(site.url, financeAudience, keyLine(t, kid)))},
				site.block(r.basicAuth()+"\n\ttableau_issuer"))
			for range 2 {
				for _, user := range []string{"alice", "bob"} {
					if a := r.get(t, user, workbooks); a.status != http.StatusOK || !strings.Contains(a.body, tableautest.DraftsName(user)) {
						t.Fatalf("%s: status %d: %s", user, a.status, a.body)
					}
				}
			}
			if got := r.SignIns(tableautest.SignInFilter{Kind: tableautest.KindOAuthTrust}); got != 2 {
				t.Errorf("%d sign-ins, want 2", got)
			}
			for _, e := range r.Journal() {
				if e.JWT != nil && (e.JWT.Alg != alg || e.JWT.KeyID != kid || e.JWT.Issuer != site.url || e.JWT.Subject != e.User) {
					t.Errorf("JWT %+v", e.JWT)
				}
			}
			want := []string{"/.well-known/jwks.json 200", "/.well-known/oauth-authorization-server 200", "/.well-known/openid-configuration 200"}
			if got := site.wasFetched(); !slices.Equal(got, want) {
				t.Errorf("Tableau fetched %v, want %v", got, want)
			}
			r.noPrivateKey(t)
		})
	}
}

// TestOAuthKeyRotation puts a new key behind the old one, then before it, then
// alone. What the old key signed is good as long as it is published.
func TestOAuthKeyRotation(t *testing.T) {
	site := newTLSSite(t)
	r := trusting(t, site, tableautest.Options{KeyCacheTTL: time.Nanosecond})
	load := func(kids ...string) {
		t.Helper()
		var lines []string
		for _, kid := range kids {
			lines = append(lines, keyLine(t, kid))
		}
		r.loadWith(t, setup{handlers: r.proxyWith("", oauthTrust(site.url, financeAudience, lines...))}, site.block("\ttableau_issuer"))
	}
	etags := make(map[string]bool)
	for _, step := range []struct {
		kids      []string
		signs     string
		published string
		old       int
	}{
		{[]string{"rsa"}, "rsa", "rsa RS256", http.StatusOK},
		{[]string{"rsa", "ec"}, "rsa", "ec ES256,rsa RS256", http.StatusOK},
		{[]string{"ec", "rsa"}, "ec", "ec ES256,rsa RS256", http.StatusOK},
		{[]string{"ec"}, "ec", "ec ES256", http.StatusUnauthorized},
	} {
		load(step.kids...)
		// For a moment both configurations listen, and the kernel chooses; who
		// gets the one that is about to close is cut off.
		published := func() string {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.url+wellKnownJWKS, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			res, err := site.client.Do(req)
			if err != nil {
				return ""
			}
			a, err := readAnswer(res)
			if err != nil || a.status != http.StatusOK {
				return ""
			}
			return strings.Join(kids(t, a.body), ",")
		}
		for same, end := 0, time.Now().Add(patience); same < 20 && time.Now().Before(end); same++ {
			if published() != step.published {
				same = 0
			}
		}
		a := r.get(t, "alice", workbooks)
		for end := time.Now().Add(patience); a.code() == "shutting_down" && time.Now().Before(end); {
			a = r.get(t, "alice", workbooks)
		}
		if a.status != http.StatusOK {
			t.Fatalf("%v: status %d: %s", step.kids, a.status, a.body)
		}
		signedBy := ""
		for _, e := range r.Journal() {
			if e.JWT != nil && e.User == "alice" {
				signedBy = e.JWT.KeyID
			}
		}
		if signedBy != step.signs {
			t.Errorf("%v: signed by %q, want %q", step.kids, signedBy, step.signs)
		}
		jwks := site.do(t, http.MethodGet, wellKnownJWKS)
		if got := strings.Join(kids(t, jwks.body), ","); got != step.published {
			t.Errorf("%v: published %s, want %s", step.kids, got, step.published)
		}
		etags[jwks.header.Get("ETag")] = true
		if got := r.presentOld(t, site.url); got != step.old {
			t.Errorf("%v: a JWT of the old key gets %d, want %d", step.kids, got, step.old)
		}
	}
	if len(etags) != 3 {
		t.Errorf("%d ETags for three sets of keys", len(etags))
	}
}

// presentOld signs in at Tableau as bob with a JWT of the key rsa, and signs
// out again.
func (r *rig) presentOld(t *testing.T, issuer string) (status int) {
	t.Helper()
	key, err := tableauauth.ParseSigningKey("rsa", tableauapi.NewSecret(testKeys()["rsa"]))
	if err != nil {
		t.Fatal(err)
	}
	trust, err := tableauauth.NewOAuthTrust(issuer, financeAudience, key)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := trust.Proof(tableauauth.Grant{Site: testSite, User: "bob", Scopes: []string{"tableau:content:read"}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	body := strings.NewReader(string(proof.Credentials.Encode(tableauapi.XML)))
	res, err := r.HTTP.Client().Post(r.URL+api+"/auth/signin", "application/xml", body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	r.KillSessions(tableautest.SessionFilter{User: "bob"})
	return res.StatusCode
}

// What does not agree with the registration is refused, and the log says what.
func TestOAuthTrustRefusals(t *testing.T) {
	for _, c := range []struct {
		name, slash, audience string
		registered            string // behind the issuer at Tableau
		published             bool
		want                  string // sub-code, or none
	}{
		{"issuer with a slash too many", "/", financeAudience, "", true, "10089"},
		{"issuer with a slash too few", "", financeAudience, "/", true, "10089"},
		{"both with a slash", "/", financeAudience, "/", true, ""},
		{"audience of the server", "", "tableau", "", true, "10084"},
		{"audience of another site", "", "tableau:" + tableautest.SiteLUID("marketing"), "", true, "10084"},
		{"nothing published", "", financeAudience, "", false, "10081"},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := newTLSSite(t)
			r := newRig(t, tableautest.Options{HTTPClient: site.client})
			r.AddAuthorizationServer(tableautest.AuthorizationServer{Issuer: site.url + c.registered, Site: testSite})
			publish := "\trespond 404"
			if c.published {
				publish = "\ttableau_issuer"
			}
			r.loadWith(t, setup{handlers: r.proxyWith("", oauthTrust(site.url+c.slash, c.audience, keyLine(t, "ec")))}, site.block(publish))
			a := r.get(t, "alice", workbooks)
			if c.want == "" {
				if a.status != http.StatusOK {
					t.Errorf("status %d: %s", a.status, a.body)
				}
				return
			}
			if a.status != http.StatusBadGateway || a.code() != "sign_in_refused" {
				t.Errorf("status %d, code %q", a.status, a.code())
			}
			if log := string(logged.bytes()); !strings.Contains(log, c.want) {
				t.Errorf("the log does not name %s: %s", c.want, log)
			}
		})
	}
}

func TestOAuthTrustProvisionRefuses(t *testing.T) {
	t.Setenv("EMPTY_KEY", "")
	t.Setenv("BAD_KEY", literal)
	rsa, ec := keyLine(t, "rsa"), keyLine(t, "ec")
	for _, c := range []struct {
		name, credentials string
		want              []string
	}{
		{"key: variable missing", oauthTrust("https://x.example", "tableau", "key one {env.NO_SUCH_KEY}"), []string{`key "one"`, "{env.NO_SUCH_KEY}", "set the environment variable or file"}},
		{"key: variable empty", oauthTrust("https://x.example", "tableau", "key one {env.EMPTY_KEY}"), []string{`key "one"`, "set the environment variable or file"}},
		{"key: not PEM", oauthTrust("https://x.example", "tableau", "key one {env.BAD_KEY}"), []string{`key "one"`, "not PEM", "-----BEGIN PRIVATE KEY-----"}},
		{"key: literal", oauthTrust("https://x.example", "tableau", "key one "+literal), []string{`key "one": a secret in the configuration itself would show in the admin API`, "write {env.NAME} or {file./path} here"}},
		{"key: literal PEM", oauthTrust("https://x.example", "tableau", "key one `"+testKeys()["ec"]+"`"), []string{`key "one": a secret in the configuration itself`}},
		{"key: no kid", oauthTrust("https://x.example", "tableau", `key "" {env.TEST_KEY_ec}`), []string{"kid of a key is empty"}},
		{"key: none", oauthTrust("https://x.example", "tableau"), []string{"no key", "caddy tableau keygen"}},
		{"key: one kid twice", oauthTrust("https://x.example", "tableau", ec, strings.Replace(rsa, "key rsa", "key ec", 1)), []string{`both keys have the kid "ec"`, "give each its own"}},
		{"issuer: missing", "oauth_trust {\naudience tableau\n" + ec + "\n}", []string{"issuer is empty"}},
		{"issuer: variable missing", oauthTrust("{env.NO_SUCH_ISSUER}", "tableau", ec), []string{"issuer", "{env.NO_SUCH_ISSUER}"}},
		{"issuer: http", oauthTrust("http://x.example", "tableau", ec), []string{"issuer is not an https URL such as"}},
		{"audience: missing", "oauth_trust {\nissuer https://x.example\n" + ec + "\n}", []string{"audience is empty", "tableau:<site LUID>"}},
		{"audience: variable missing", oauthTrust("https://x.example", "{env.NO_SUCH_AUDIENCE}", ec), []string{"audience", "{env.NO_SUCH_AUDIENCE}"}},
		{"audience: content URL", oauthTrust("https://x.example", "tableau:finance", ec), []string{`audience "tableau:finance" is neither`}},
		{"unified: no key", "unified_access {\nissuer https://x.example\ntenant t\n}", []string{"key: missing", "{file./path/of/the/key.pem}"}},
		{"unified: EC key", "unified_access {\nissuer https://x.example\ntenant t\n" + ec + "\n}", []string{`key "ec" signs ES256`, "--type rsa"}},
		{"unified: no issuer", "unified_access {\ntenant t\n" + rsa + "\n}", []string{"issuer is empty"}},
		{"unified: no tenant", "unified_access {\nissuer https://x.example\n" + rsa + "\n}", []string{"tenant is empty"}},
		{"unified: tenant missing", "unified_access {\nissuer https://x.example\ntenant {env.NO_SUCH_TENANT}\n" + rsa + "\n}", []string{"tenant", "{env.NO_SUCH_TENANT}"}},
		{"unified: claim of the JWT", "unified_access {\nissuer https://x.example\ntenant t\nusername_claim exp\n" + rsa + "\n}", []string{`username_claim "exp"`, "such as email"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := provision(t, goodOrigin, goodSite+goodUser+goodScopes+"credentials "+c.credentials+"\n")
			if err == nil {
				t.Fatal("it loads")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q does not hold %q", err, part)
				}
			}
			for _, secret := range []string{literal, strings.Split(testKeys()["ec"], "\n")[1]} {
				if strings.Contains(err.Error(), secret) {
					t.Error("the error shows the secret")
				}
			}
		})
	}
	for _, good := range []string{oauthTrust("https://x.example", "tableau", ec, rsa), "unified_access {\nissuer https://x.example\ntenant t\n" + rsa + "\n}"} {
		if err := provision(t, goodOrigin, goodSite+goodUser+goodScopes+"credentials "+good+"\n"); err != nil {
			t.Error(err)
		}
	}
}

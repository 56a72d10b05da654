package tableauauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const testIssuer = "https://issuer.example"

var siteAudience = "tableau:" + tableautest.SiteLUID(testSite)

func TestNewOAuthTrustRefuses(t *testing.T) {
	one, two := signingKey(t, "one", keyring().rsa), signingKey(t, "two", keyring().ec)
	for _, c := range []struct {
		name, issuer, audience string
		keys                   []SigningKey
		want                   string
	}{
		{"no issuer", "", "tableau", []SigningKey{one}, "issuer is empty"},
		{"http", "http://issuer.example", "tableau", []SigningKey{one}, "not an https URL"},
		{"no scheme", "issuer.example", "tableau", []SigningKey{one}, "not an https URL"},
		{"no host", "https:///x", "tableau", []SigningKey{one}, "not an https URL"},
		{"only a port", "https://:443", "tableau", []SigningKey{one}, "not an https URL"},
		{"user info", "https://a:hunter2@issuer.example", "tableau", []SigningKey{one}, "user name or password"},
		{"query", testIssuer + "?a=b", "tableau", []SigningKey{one}, "query"},
		{"empty query", testIssuer + "?", "tableau", []SigningKey{one}, "query"},
		{"fragment", testIssuer + "#a", "tableau", []SigningKey{one}, "fragment"},
		{"empty fragment", testIssuer + "#", "tableau", []SigningKey{one}, "fragment"},
		{"escape", testIssuer + "/%61", "tableau", []SigningKey{one}, "escape"},
		{"upper case", "HTTPS://issuer.example", "tableau", []SigningKey{one}, "lower case"},
		{"space", testIssuer + "/a b", "tableau", []SigningKey{one}, "spaces"},
		{"dots", testIssuer + "/a/../b", "tableau", []SigningKey{one}, "dotted"},
		{"empty segment", testIssuer + "//b", "tableau", []SigningKey{one}, "empty"},
		{"two slashes at the end", testIssuer + "/b//", "tableau", []SigningKey{one}, "empty"},
		{"no audience", testIssuer, "", []SigningKey{one}, "audience is empty"},
		{"other audience", testIssuer, "Tableau", []SigningKey{one}, `"Tableau" is neither`},
		{"audience by content URL", testIssuer, "tableau:finance", []SigningKey{one}, "LUID"},
		{"no key", testIssuer, "tableau", nil, "no key"},
		{"zero key", testIssuer, "tableau", []SigningKey{one, {}}, "not read"},
		{"three keys", testIssuer, "tableau", []SigningKey{one, two, one}, "3 keys"},
		{"same kid", testIssuer, "tableau", []SigningKey{one, signingKey(t, "one", keyring().ec)}, `"one"`},
	} {
		_, err := NewOAuthTrust(c.issuer, c.audience, c.keys...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error about %q", c.name, err, c.want)
		}
	}
}

func TestOAuthTrustKeepsItsIssuer(t *testing.T) {
	for _, issuer := range []string{testIssuer, testIssuer + "/", testIssuer + ":8443/tableau", testIssuer + "/tableau/", "https://[::1]:8443"} {
		o, err := NewOAuthTrust(issuer, "tableau", signingKey(t, "one", keyring().ec))
		if err != nil || o.Issuer() != issuer {
			t.Errorf("%q: got %v, error %v", issuer, o, err)
		}
	}
}

func TestOAuthTrustProof(t *testing.T) {
	o, err := NewOAuthTrust(testIssuer, siteAudience, signingKey(t, "two", keyring().ec), signingKey(t, "one", keyring().rsa))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	g := grant("Alice@corp.example")
	g.Claims = []Claim{{Name: "region", Values: []string{"EMEA"}}, {Name: "teams", Values: []string{"a"}, List: true}}
	proof, err := o.Proof(g, now)
	if err != nil {
		t.Fatal(err)
	}
	header, claims := verify(t, proof.Credentials.JWT.Reveal(), o.Keys()[0], keyring().ec.Public())
	if fmt.Sprint(header) != fmt.Sprintf("map[alg:ES256 iss:%s kid:two typ:JWT]", testIssuer) {
		t.Errorf("header %v", header)
	}
	want := map[string]any{
		"iss": testIssuer, "sub": "Alice@corp.example", "aud": siteAudience, "jti": proof.JTI,
		"iat": 1_800_000_000 - 30.0, "nbf": 1_800_000_000 - 30.0, "exp": 1_800_000_000 + 300.0,
		"scp": []any{"tableau:content:read"}, "region": "EMEA", "teams": []any{"a"},
	}
	if fmt.Sprint(claims) != fmt.Sprint(want) {
		t.Errorf("claims %v, want %v", claims, want)
	}
	if proof.SecretID != "two" || proof.APIVersion != "3.17" || proof.Credentials.UAT || proof.Credentials.Site != testSite || proof.JTI == "" {
		t.Errorf("proof %+v", proof)
	}
}

// No claim of a grant replaces one of ours, even if whoever made the grant did
// not ask first.
func TestProofRefusesReservedClaims(t *testing.T) {
	key := signingKey(t, "one", keyring().rsa)
	trust, _ := NewOAuthTrust(testIssuer, "tableau", key)
	unified, _ := NewUnifiedAccess(testIssuer, "tenant", "upn", key)
	for _, b := range []ClaimBearer{trust, unified} {
		for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scp", "scope", "email", "", "https://tableau.com/tenantId", "https://tableau.com/siteId", "https://tableau.com/userId"} {
			g := grant("alice")
			g.Claims = []Claim{{Name: "fine", Values: []string{"x"}}, {Name: name, Values: []string{"mallory"}}}
			if _, err := b.Proof(g, time.Now()); err == nil || b.CheckClaim(name) == nil {
				t.Errorf("%s accepts the claim %q", b.Kind(), name)
			}
		}
	}
	g := grant("alice")
	g.Claims = []Claim{{Name: "upn", Values: []string{"mallory"}}}
	if _, err := unified.Proof(g, time.Now()); err == nil || unified.CheckClaim("upn") == nil {
		t.Error("the claim that names the user can be replaced")
	}
	if err := trust.CheckClaim("upn"); err != nil {
		t.Errorf("oauth_trust: %v", err)
	}
}

func TestOAuthTrustFingerprint(t *testing.T) {
	rsaKey, ecKey := signingKey(t, "one", keyring().rsa), signingKey(t, "two", keyring().ec)
	sameKey, err := ParseSigningKey("one", secretOf(pkcs1(keyring().rsa)))
	if err != nil {
		t.Fatal(err)
	}
	print := func(issuer, audience string, keys ...SigningKey) [32]byte {
		o, err := NewOAuthTrust(issuer, audience, keys...)
		if err != nil {
			t.Fatal(err)
		}
		return o.Fingerprint()
	}
	base := print(testIssuer, "tableau", rsaKey)
	if base != print(testIssuer, "tableau", sameKey) {
		t.Error("the same key in another encoding is another credential")
	}
	for name, other := range map[string][32]byte{
		"issuer":        print(testIssuer+"/", "tableau", rsaKey),
		"audience":      print(testIssuer, siteAudience, rsaKey),
		"kid":           print(testIssuer, "tableau", signingKey(t, "two", keyring().rsa)),
		"key":           print(testIssuer, "tableau", signingKey(t, "one", keyring().other)),
		"second key":    print(testIssuer, "tableau", rsaKey, ecKey),
		"order of keys": print(testIssuer, "tableau", ecKey, rsaKey),
	} {
		if other == base {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	if print(testIssuer, "tableau", rsaKey, ecKey) == print(testIssuer, "tableau", ecKey, rsaKey) {
		t.Error("keys in another order have the same fingerprint")
	}
}

// publisher serves the documents of an issuer over TLS.
type publisher struct {
	*httptest.Server
	keys []SigningKey
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := new(publisher)
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/jwks"})
		case "/jwks":
			_, _ = w.Write(JWKSet(p.keys...))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(func() {
		p.Client().CloseIdleConnections()
		p.Close()
	})
	return p
}

// pool returns a pool that signs in to r with the credential.
func (r *rig) poolOf(t *testing.T, credential Credential) *Pool {
	t.Helper()
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: credential}, PoolOptions{Client: Client{Transport: r.base}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close(context.Background()) })
	return pool
}

func TestOAuthTrustSignsIn(t *testing.T) {
	for _, key := range []SigningKey{signingKey(t, "one", keyring().rsa), signingKey(t, "one", keyring().ec)} {
		t.Run(key.Algorithm(), func(t *testing.T) {
			p := newPublisher(t)
			p.keys = []SigningKey{key}
			r := newRig(t, tableautest.Options{HTTPClient: p.Client()}, PoolOptions{})
			r.AddAuthorizationServer(tableautest.AuthorizationServer{Issuer: p.URL, Site: testSite})
			o, err := NewOAuthTrust(p.URL, siteAudience, key)
			if err != nil {
				t.Fatal(err)
			}
			pool := r.poolOf(t, o)
			for _, user := range []string{"alice", "bob"} { // one for each of the two documents
				if _, _, err := pool.Get(t.Context(), grant(user)); err != nil {
					t.Fatal(err)
				}
			}
			kinds := tableautest.SignInFilter{Kind: tableautest.KindOAuthTrust, User: "bob"}
			if got := r.SignIns(kinds); got != 1 {
				t.Errorf("%d sign-ins of bob by OAuth trust, want 1", got)
			}
		})
	}
}

// Refusals say what to change: the sub-code is in the error.
func TestOAuthTrustRefused(t *testing.T) {
	key := signingKey(t, "one", keyring().ec)
	for _, c := range []struct {
		name, slash, audience string
		published             []SigningKey
		want                  string
	}{
		{"issuer with a slash at its end", "/", siteAudience, []SigningKey{key}, "10089"},
		{"audience of the server", "", "tableau", []SigningKey{key}, "10084"},
		{"audience of another site", "", "tableau:" + tableautest.SiteLUID("marketing"), []SigningKey{key}, "10084"},
		{"key not published", "", siteAudience, nil, "10085"},
		{"another key of the same kid", "", siteAudience, []SigningKey{signingKey(t, "one", keyring().rsa)}, "10085"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPublisher(t)
			p.keys = c.published
			r := newRig(t, tableautest.Options{HTTPClient: p.Client()}, PoolOptions{})
			r.AddAuthorizationServer(tableautest.AuthorizationServer{Issuer: p.URL, Site: testSite})
			o, err := NewOAuthTrust(p.URL+c.slash, c.audience, key)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = r.poolOf(t, o).Get(t.Context(), grant("alice"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %s", err, c.want)
			}
			if refused := r.entries("sign_in"); len(refused) != 1 {
				t.Errorf("%d attempts, want 1", len(refused))
			}
		})
	}
}

func TestOAuthTrustKeysAreACopy(t *testing.T) {
	o, err := NewOAuthTrust(testIssuer, "tableau", signingKey(t, "one", keyring().ec), signingKey(t, "two", keyring().rsa))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(o.Keys())
	proof, err := o.Proof(grant("alice"), time.Now())
	if err != nil || proof.SecretID != "one" {
		t.Errorf("signed by %q, error %v", proof.SecretID, err)
	}
}

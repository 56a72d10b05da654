package tableauauth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const testTenant = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

func secretOf(text string) tableauapi.Secret { return tableauapi.NewSecret(text) }

func TestNewUnifiedAccessRefuses(t *testing.T) {
	key := signingKey(t, "one", keyring().rsa)
	for _, c := range []struct {
		name, issuer, tenant, claim string
		key                         SigningKey
		want                        string
	}{
		{"no issuer", "", testTenant, "", key, "issuer is empty"},
		{"no URL", "issuer", testTenant, "", key, "issuer is not a URL"},
		{"no host", "https:issuer", testTenant, "", key, "issuer is not a URL"},
		{"user info", "https://a:hunter2@x", testTenant, "", key, "issuer is not a URL"},
		{"no tenant", testIssuer, "", "", key, "tenant is empty"},
		{"space in the tenant", testIssuer, "a b", "", key, "tenant"},
		{"claim of the JWT", testIssuer, testTenant, "jti", key, `username_claim "jti"`},
		{"claim of the tenant", testIssuer, testTenant, "https://tableau.com/tenantId", key, "username_claim"},
		{"no key", testIssuer, testTenant, "", SigningKey{}, "no key"},
		{"EC key", testIssuer, testTenant, "", signingKey(t, "two", keyring().ec), "RS256 only"},
	} {
		_, err := NewUnifiedAccess(c.issuer, c.tenant, c.claim, c.key)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error about %q", c.name, err, c.want)
		}
	}
}

func TestUnifiedAccessProof(t *testing.T) {
	for given, claim := range map[string]string{"": "email", "email": "email", "upn": "upn", "sub": "sub"} {
		u, err := NewUnifiedAccess(testIssuer, testTenant, given, signingKey(t, "one", keyring().rsa))
		if err != nil {
			t.Fatal(err)
		}
		g := grant("Alice@corp.example")
		g.Claims = []Claim{{Name: "region", Values: []string{"EMEA"}}}
		proof, err := u.Proof(g, time.Unix(1_800_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		header, claims := verify(t, proof.Credentials.JWT.Reveal(), u.key, keyring().rsa.Public())
		if fmt.Sprint(header) != "map[alg:RS256 kid:one typ:JWT]" {
			t.Errorf("header %v", header)
		}
		want := map[string]any{
			"iss": testIssuer, claim: "Alice@corp.example", "https://tableau.com/tenantId": testTenant, "jti": proof.JTI,
			"iat": 1_800_000_000 - 30.0, "nbf": 1_800_000_000 - 30.0, "exp": 1_800_000_000 + 300.0,
			"scp": []any{"tableau:content:read"}, "region": "EMEA",
		}
		if fmt.Sprint(claims) != fmt.Sprint(want) {
			t.Errorf("claims %v, want %v", claims, want)
		}
		if !proof.Credentials.UAT || proof.APIVersion != "3.27" || proof.SecretID != "one" || proof.Credentials.Site != testSite {
			t.Errorf("proof %+v", proof)
		}
	}
}

func TestUnifiedAccessFingerprint(t *testing.T) {
	seen := make(map[[32]byte]string)
	for name, make := range map[string]func() (*UnifiedAccess, error){
		"base": func() (*UnifiedAccess, error) {
			return NewUnifiedAccess(testIssuer, "a", "", signingKey(t, "one", keyring().rsa))
		},
		"issuer": func() (*UnifiedAccess, error) {
			return NewUnifiedAccess(testIssuer+"/", "a", "", signingKey(t, "one", keyring().rsa))
		},
		"tenant": func() (*UnifiedAccess, error) {
			return NewUnifiedAccess(testIssuer, "b", "", signingKey(t, "one", keyring().rsa))
		},
		"claim": func() (*UnifiedAccess, error) {
			return NewUnifiedAccess(testIssuer, "a", "upn", signingKey(t, "one", keyring().rsa))
		},
		"kid": func() (*UnifiedAccess, error) {
			return NewUnifiedAccess(testIssuer, "a", "", signingKey(t, "two", keyring().rsa))
		},
		"key": func() (*UnifiedAccess, error) {
			return NewUnifiedAccess(testIssuer, "a", "", signingKey(t, "one", keyring().other))
		},
	} {
		u, err := make()
		if err != nil {
			t.Fatal(err)
		}
		if other, same := seen[u.Fingerprint()]; same {
			t.Errorf("%s and %s have the same fingerprint", name, other)
		}
		seen[u.Fingerprint()] = name
	}
}

func TestUnifiedAccessSignsIn(t *testing.T) {
	for _, claim := range []string{"", "upn"} {
		r := newRig(t, tableautest.Options{Cloud: true}, PoolOptions{})
		r.AddUnifiedAccess(tableautest.UnifiedAccess{Issuer: testIssuer, TenantID: testTenant, UsernameClaim: claim, Key: keyring().rsa.Public()})
		u, err := NewUnifiedAccess(testIssuer, testTenant, claim, signingKey(t, "one", keyring().rsa))
		if err != nil {
			t.Fatal(err)
		}
		pool := r.poolOf(t, u)
		for _, site := range []string{testSite, "marketing"} {
			g := grant("alice@example.com")
			g.Site = site
			if _, _, err := pool.Get(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.SignIns(tableautest.SignInFilter{Kind: tableautest.KindUnifiedAccess}); got != 2 {
			t.Errorf("%d sign-ins, want one for each site", got)
		}
	}
}

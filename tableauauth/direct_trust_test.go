package tableauauth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func appSecret(id, value string) ConnectedAppSecret {
	return ConnectedAppSecret{ID: id, Value: tableauapi.NewSecret(value)}
}

// TestDirectTrustJWT reads the JWT back as Tableau would, claim by claim.
func TestDirectTrustJWT(t *testing.T) {
	app, err := NewDirectTrust("client-1", appSecret("secret-1", "value-1"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	g := Grant{Site: "finance", User: "Alice@corp.example", Scopes: []string{"tableau:content:read", "tableau:jobs:read"}}
	proof, err := app.Proof(g, now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(proof.Credentials.JWT.Reveal(), func(*jwt.Token) (any, error) { return []byte("value-1"), nil },
		jwt.WithValidMethods([]string{"HS256"}))
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	for name, want := range map[string]any{
		"iss": "client-1", "sub": "Alice@corp.example", "aud": "tableau", "jti": proof.JTI,
	} {
		if claims[name] != want {
			t.Errorf("claim %s = %v, want %v", name, claims[name], want)
		}
	}
	for name, want := range map[string]any{"alg": "HS256", "typ": "JWT", "kid": "secret-1", "iss": "client-1"} {
		if token.Header[name] != want {
			t.Errorf("header %s = %v, want %v", name, token.Header[name], want)
		}
	}
	if got := fmt.Sprint(claims["scp"]); got != "[tableau:content:read tableau:jobs:read]" {
		t.Errorf("scp = %v", got)
	}
	if life := time.Unix(int64(claims["exp"].(float64)), 0).Sub(now); life > 5*time.Minute || life < 4*time.Minute {
		t.Errorf("exp is %v ahead, want at most 5 minutes", life)
	}
	for _, name := range []string{"nbf", "iat"} {
		if back := now.Sub(time.Unix(int64(claims[name].(float64)), 0)); back < 5*time.Second || back > time.Minute {
			t.Errorf("%s is %v back", name, back)
		}
	}
	if _, err := uuid.Parse(proof.JTI); err != nil {
		t.Errorf("jti %q: %v", proof.JTI, err)
	}
	if proof.Credentials.Site != "finance" || proof.APIVersion != "3.17" {
		t.Errorf("site %q, version %q", proof.Credentials.Site, proof.APIVersion)
	}
}

func TestDirectTrustNeverRepeatsAJTI(t *testing.T) {
	app, _ := NewDirectTrust("c", appSecret("s", "v"))
	seen := make(map[string]bool)
	for range 1000 {
		proof, err := app.Proof(grant("alice"), time.Now())
		if err != nil || seen[proof.JTI] {
			t.Fatalf("jti %q again, error %v", proof.JTI, err)
		}
		seen[proof.JTI] = true
	}
}

func TestNewDirectTrustRefuses(t *testing.T) {
	one, two := appSecret("a", "1"), appSecret("b", "2")
	for _, c := range []struct {
		name    string
		client  string
		secrets []ConnectedAppSecret
		want    string
	}{
		{"no client", "", []ConnectedAppSecret{one}, "client_id"},
		{"no secret", "c", nil, "no secret"},
		{"no ID", "c", []ConnectedAppSecret{appSecret("", "1")}, "secret 1"},
		{"no value", "c", []ConnectedAppSecret{one, appSecret("b", "")}, "secret 2"},
		{"same ID", "c", []ConnectedAppSecret{one, appSecret("a", "2")}, `"a"`},
		{"three", "c", []ConnectedAppSecret{one, two, appSecret("d", "3")}, "at most two"},
	} {
		_, err := NewDirectTrust(c.client, c.secrets...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error about %q", c.name, err, c.want)
		}
	}
}

func TestDirectTrustFingerprint(t *testing.T) {
	base, _ := NewDirectTrust("c", appSecret("a", "1"))
	same, _ := NewDirectTrust("c", appSecret("a", "1"))
	if base.Fingerprint() != same.Fingerprint() {
		t.Error("equal credentials differ")
	}
	for name, make := range map[string]func() (*DirectTrust, error){
		"client": func() (*DirectTrust, error) { return NewDirectTrust("d", appSecret("a", "1")) },
		"id":     func() (*DirectTrust, error) { return NewDirectTrust("c", appSecret("b", "1")) },
		"value":  func() (*DirectTrust, error) { return NewDirectTrust("c", appSecret("a", "2")) },
		"second": func() (*DirectTrust, error) { return NewDirectTrust("c", appSecret("a", "1"), appSecret("b", "2")) },
	} {
		other, err := make()
		if err != nil {
			t.Fatal(err)
		}
		if base.Fingerprint() == other.Fingerprint() {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
}

// TestSecretFailover deletes at Tableau the secret in use: the other takes
// over at once, and later sign-ins begin with it.
func TestSecretFailover(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	clientID := r.ConnectedApp(testSite).ClientID
	if _, err := r.AddSecret(clientID); err != nil {
		t.Fatal(err)
	}
	secrets := r.ConnectedApp(testSite).Secrets
	r.app = r.directTrust(t, secrets...)
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: r.app}, PoolOptions{Client: Client{Transport: r.base}})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close(t.Context())

	if err := r.DeleteSecret(clientID, secrets[0].ID); err != nil {
		t.Fatal(err)
	}
	for i, user := range []string{"alice", "bob"} {
		if _, _, err := pool.Get(t.Context(), grant(user)); err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		if got, want := len(r.entries("sign_in")), 2+i; got != want {
			t.Errorf("after %s: %d sign-in attempts, want %d", user, got, want)
		}
	}
}

// TestBothSecretsRefused must end, with the reason.
func TestBothSecretsRefused(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	app, err := NewDirectTrust(r.ConnectedApp(testSite).ClientID, appSecret("gone-1", "x"), appSecret("gone-2", "y"))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: app}, PoolOptions{Client: Client{Transport: r.base}})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close(t.Context())
	_, _, err = pool.Get(t.Context(), grant("alice"))
	if err == nil || !strings.Contains(err.Error(), "CONNECTED_APP_SECRET_NOT_FOUND") && !strings.Contains(err.Error(), "(127)") {
		t.Errorf("got %v", err)
	}
	if got := len(r.entries("sign_in")); got != 2 {
		t.Errorf("%d attempts, want 2", got)
	}
}

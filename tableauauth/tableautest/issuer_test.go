// This file tests OAuth 2.0 trust and unified access tokens against an issuer
// that listens with TLS.

package tableautest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// keyring makes the keys of all tests once, because RSA takes its time.
var keyring = sync.OnceValue(func() (k struct {
	rsa, other, small *rsa.PrivateKey
	ec                *ecdsa.PrivateKey
},
) {
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.other, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.small, _ = rsa.GenerateKey(rand.Reader, 1024)
	k.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k
})

// issuer is an authorization server whose documents tests change.
type issuer struct {
	*httptest.Server
	mu    sync.Mutex
	docs  map[string]any
	calls map[string]int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{docs: map[string]any{}, calls: map[string]int{}}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.calls[r.URL.Path]++
		doc, ok := i.docs[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(doc)
	}))
	t.Cleanup(func() {
		i.Client().CloseIdleConnections()
		i.Close()
	})
	metadata := map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"}
	i.set(wellKnownOpenID, metadata)
	i.set(wellKnownOAuth, metadata)
	k := keyring()
	i.set("/jwks", jwks(rsaJWK("rsa", k.rsa), rsaJWK("small", k.small), ecJWK("ec", k.ec)))
	return i
}

func (i *issuer) set(path string, doc any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.docs[path] = doc
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls[path]
}

func jwks(keys ...map[string]string) any { return map[string]any{"keys": keys} }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(kid string, k *rsa.PrivateKey) map[string]string {
	return map[string]string{"kty": "RSA", "use": "sig", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func ecJWK(kid string, k *ecdsa.PrivateKey) map[string]string {
	point, _ := k.PublicKey.Bytes()
	return map[string]string{"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point[1:33]), "y": b64(point[33:])}
}

// trust registers the issuer for the site finance.
func trust(t *testing.T, opts Options, change func(*AuthorizationServer)) (*world, *issuer) {
	t.Helper()
	i := newIssuer(t)
	opts.HTTPClient = i.Client()
	w := newWorld(t, opts)
	server := AuthorizationServer{Issuer: i.URL, Site: "finance"}
	if change != nil {
		change(&server)
	}
	w.AddAuthorizationServer(server)
	return w, i
}

func (w *world) oauth(i *issuer, sub string, scopes ...string) forge {
	f := w.directTrust("finance", sub, scopes...)
	f.method, f.key, f.header = jwt.SigningMethodRS256, keyring().rsa, map[string]any{"kid": "rsa"}
	f.claims["iss"], f.claims["aud"] = i.URL, "tableau:"+SiteLUID("finance")
	return f
}

func TestOAuthTrust(t *testing.T) {
	w, i := trust(t, Options{}, nil)
	for range 4 {
		if got := w.signInJWT(w.oauth(i, "alice", scopeContent).sign(t), "finance"); got.status != 200 || w.last().Kind != KindOAuthTrust {
			t.Fatalf("RS256: %d (%s)", got.status, w.last().Reason)
		}
	}
	f := w.oauth(i, "alice", scopeContent)
	f.method, f.key, f.header["kid"] = jwt.SigningMethodES256, keyring().ec, "ec"
	if got := w.signInJWT(f.sign(t), "finance"); got.status != 200 {
		t.Errorf("ES256: %d (%s)", got.status, w.last().Reason)
	}
	if a, b := i.count(wellKnownOpenID), i.count(wellKnownOAuth); a != 1 || b != 1 {
		t.Errorf("%d and %d fetches of the two documents, want one each", a, b)
	}
}

func TestOAuthTrustRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		opts   Options
		server func(*AuthorizationServer)
		change func(*world, *issuer, *forge)
		want   int
	}{
		{name: "kid missing", change: func(_ *world, _ *issuer, f *forge) { f.header["kid"] = nil }, want: 10083},
		{name: "iss missing", change: func(_ *world, _ *issuer, f *forge) { delete(f.claims, "iss") }, want: 10083},
		{name: "issuer unknown", change: func(_ *world, i *issuer, f *forge) { f.claims["iss"] = i.URL + "/" }, want: 10089},
		{name: "issuer disabled", server: func(s *AuthorizationServer) { s.Disabled = true }, want: 10090},
		{name: "issuer of another site", server: func(s *AuthorizationServer) { s.Site = "marketing" }, want: 10089},
		{name: "server-wide on Cloud", opts: Options{Cloud: true}, server: func(s *AuthorizationServer) { s.ServerWide = true }, want: 10089},
		{name: "aud plain", change: func(_ *world, _ *issuer, f *forge) { f.claims["aud"] = "tableau" }, want: 10084},
		{name: "aud a list", change: func(_ *world, _ *issuer, f *forge) { f.claims["aud"] = []any{f.claims["aud"]} }, want: 10084},
		{name: "aud of the site, server-wide", server: func(s *AuthorizationServer) { s.ServerWide = true }, want: 10084},
		{name: "kid unknown", change: func(_ *world, _ *issuer, f *forge) { f.header["kid"] = "none" }, want: 10085},
		{name: "key for encryption", change: func(_ *world, i *issuer, _ *forge) {
			k := rsaJWK("rsa", keyring().rsa)
			k["use"] = "enc"
			i.set("/jwks", jwks(k))
		}, want: 10085},
		{name: "other key", change: func(_ *world, _ *issuer, f *forge) { f.key = keyring().other }, want: 10084},
		{name: "key of other type", change: func(_ *world, _ *issuer, f *forge) { f.header["kid"] = "ec" }, want: 10085},
		{name: "RSA key too small", change: func(_ *world, _ *issuer, f *forge) { f.header["kid"], f.key = "small", keyring().small }, want: 10088},
		{name: "RS384", change: func(_ *world, _ *issuer, f *forge) { f.method = jwt.SigningMethodRS384 }, want: 10087},
		{name: "HS256 with the public key", change: func(_ *world, _ *issuer, f *forge) {
			f.method, f.key = jwt.SigningMethodHS256, keyring().rsa.N.Bytes()
		}, want: 126},
		{name: "no JWKS", change: func(_ *world, i *issuer, _ *forge) { i.Close() }, want: 10081},
		{name: "metadata missing", opts: Options{Undocumented: Undocumented{Metadata: MetadataOAuth}}, change: func(_ *world, i *issuer, _ *forge) {
			i.set(wellKnownOAuth, map[string]string{"issuer": i.URL})
		}, want: 10081},
		{name: "metadata without issuer", change: func(_ *world, i *issuer, _ *forge) {
			i.set(wellKnownOpenID, map[string]string{"jwks_uri": i.URL + "/jwks"})
		}, want: 10082},
		{name: "JWKS not found", change: func(_ *world, i *issuer, _ *forge) {
			i.set(wellKnownOpenID, map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/none"})
		}, want: 10085},
		{name: "sub unknown", change: func(_ *world, _ *issuer, f *forge) { f.claims["sub"] = "mallory" }, want: 5},
		{name: "scp missing", change: func(_ *world, _ *issuer, f *forge) { delete(f.claims, "scp") }, want: 10099},
		{name: "exp too far", change: func(w *world, _ *issuer, f *forge) { f.claims["exp"] = w.clock.Now().Add(time.Hour).Unix() }, want: 16},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, i := trust(t, test.opts, test.server)
			f := w.oauth(i, "alice", scopeContent)
			if test.change != nil {
				test.change(w, i, &f)
			}
			wantRefused(t, w, w.signInJWT(f.sign(t), "finance"), test.want)
		})
	}
}

// Metadata is fetched over TLS only, even if an issuer would give it otherwise.
func TestIssuerNeedsTLS(t *testing.T) {
	w, i := trust(t, Options{}, nil)
	plain := httptest.NewServer(i.Config.Handler)
	defer plain.Close()
	metadata := map[string]string{"issuer": plain.URL, "jwks_uri": i.URL + "/jwks"}
	i.set(wellKnownOpenID, metadata)
	w.AddAuthorizationServer(AuthorizationServer{Issuer: plain.URL, Site: "finance"})
	f := w.oauth(i, "alice", scopeContent)
	f.claims["iss"] = plain.URL
	wantRefused(t, w, w.signInJWT(f.sign(t), "finance"), 10081)
}

// An issuer that serves one of the two documents only fails on every other node.
func TestBothDocumentsAreNeeded(t *testing.T) {
	w, i := trust(t, Options{}, nil)
	i.mu.Lock()
	delete(i.docs, wellKnownOAuth)
	i.mu.Unlock()
	var statuses []int
	for range 4 {
		statuses = append(statuses, w.signInJWT(w.oauth(i, "alice", scopeContent).sign(t), "finance").status)
	}
	if statuses[0] != 200 || statuses[1] != 401 || statuses[2] != 200 || statuses[3] != 401 {
		t.Errorf("got %v", statuses)
	}
}

func TestServerWideIssuer(t *testing.T) {
	w, i := trust(t, Options{}, func(s *AuthorizationServer) { s.ServerWide = true })
	f := w.oauth(i, "alice", scopeContent)
	f.claims["aud"] = "tableau"
	if got := w.signInJWT(f.sign(t), "marketing"); got.status != 200 {
		t.Errorf("%d (%s)", got.status, w.last().Reason)
	}
}

func TestKeyRotation(t *testing.T) {
	for _, stale := range []bool{false, true} {
		w, i := trust(t, Options{Undocumented: Undocumented{StaleKeys: stale, Metadata: MetadataOpenID}}, nil)
		w.signInJWT(w.oauth(i, "alice", scopeContent).sign(t), "finance")
		i.set("/jwks", jwks(rsaJWK("next", keyring().other)))
		next := func() reply {
			f := w.oauth(i, "alice", scopeContent)
			f.key, f.header["kid"] = keyring().other, "next"
			return w.signInJWT(f.sign(t), "finance")
		}
		if got := next(); stale != (got.status == 401) {
			t.Errorf("stale %v: %d (%s)", stale, got.status, w.last().Reason)
		}
		w.clock.advance(10 * time.Minute)
		if got := next(); got.status != 200 {
			t.Errorf("stale %v, later: %d (%s)", stale, got.status, w.last().Reason)
		}
	}
}

const tenant = "tenant-1"

func unified(t *testing.T, change func(*UnifiedAccess)) (*world, *issuer) {
	t.Helper()
	i := newIssuer(t)
	w := newWorld(t, Options{Cloud: true, HTTPClient: i.Client()})
	config := UnifiedAccess{Issuer: i.URL, TenantID: tenant, JWKSURI: i.URL + "/jwks"}
	if change != nil {
		change(&config)
	}
	w.AddUnifiedAccess(config)
	return w, i
}

func (w *world) uat(i *issuer) forge {
	now := w.clock.Now()
	return forge{
		method: jwt.SigningMethodRS256, key: keyring().rsa, header: map[string]any{"kid": "rsa"},
		claims: jwt.MapClaims{
			"iss": i.URL, "email": "alice@example.com", "https://tableau.com/tenantId": tenant, "jti": uuid.NewString(),
			"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "scp": []string{scopeContent},
		},
	}
}

func TestUnifiedAccess(t *testing.T) {
	for _, test := range []struct {
		name   string
		config func(*UnifiedAccess)
		change func(*world, *forge)
		want   int // sub-code, or 0 for success
	}{
		{name: "right"},
		{name: "scope as text", change: func(_ *world, f *forge) {
			delete(f.claims, "scp")
			f.claims["scope"] = scopeContent + " tableau:jobs:read"
		}},
		{name: "site instead of tenant", change: func(_ *world, f *forge) {
			delete(f.claims, "https://tableau.com/tenantId")
			f.claims["https://tableau.com/siteId"] = SiteLUID("finance")
		}},
		{name: "other user-name claim", config: func(u *UnifiedAccess) { u.UsernameClaim = "upn" }, change: func(_ *world, f *forge) {
			f.claims["upn"] = f.claims["email"]
			delete(f.claims, "email")
		}},
		{name: "key given, no kid", config: func(u *UnifiedAccess) { u.JWKSURI, u.Key = "", crypto.PublicKey(&keyring().rsa.PublicKey) }, change: func(_ *world, f *forge) { f.header["kid"] = nil }},
		{name: "user-name claim missing", change: func(_ *world, f *forge) { delete(f.claims, "email"); f.claims["sub"] = "alice@example.com" }, want: 10084},
		{name: "no tenant", change: func(_ *world, f *forge) { delete(f.claims, "https://tableau.com/tenantId") }, want: 10084},
		{name: "other tenant", change: func(_ *world, f *forge) { f.claims["https://tableau.com/tenantId"] = "x" }, want: 10084},
		{name: "other site", change: func(_ *world, f *forge) { f.claims["https://tableau.com/siteId"] = SiteLUID("marketing") }, want: 10084},
		{name: "kid missing", change: func(_ *world, f *forge) { f.header["kid"] = nil }, want: 10083},
		{name: "ES256", change: func(_ *world, f *forge) {
			f.method, f.key, f.header["kid"] = jwt.SigningMethodES256, keyring().ec, "ec"
		}, want: 10087},
		{name: "issuer unknown", change: func(_ *world, f *forge) { f.claims["iss"] = "https://x" }, want: 10089},
		{name: "issuer missing", change: func(_ *world, f *forge) { delete(f.claims, "iss") }, want: 10083},
		{name: "disabled", config: func(u *UnifiedAccess) { u.Disabled = true }, want: 10090},
		{name: "other key", change: func(_ *world, f *forge) { f.key = keyring().other }, want: 10084},
		{name: "no scopes", change: func(_ *world, f *forge) { delete(f.claims, "scp") }, want: 10099},
		{name: "jti missing", change: func(_ *world, f *forge) { delete(f.claims, "jti") }, want: 10084},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, i := unified(t, test.config)
			f := w.uat(i)
			if test.change != nil {
				test.change(w, &f)
			}
			got := w.signIn(`isUat="true" jwt="`+f.sign(t)+`"`, "finance")
			if test.want != 0 {
				wantRefused(t, w, got, test.want)
			} else if got.status != 200 || w.last().Kind != KindUnifiedAccess || w.last().User != "alice@example.com" {
				t.Errorf("%d (%s)", got.status, w.last().Reason)
			}
		})
	}
}

func TestUnifiedAccessNeedsItsFlagAndCloud(t *testing.T) {
	w, i := unified(t, nil)
	wantRefused(t, w, w.signIn(`isUat="false" jwt="`+w.uat(i).sign(t)+`"`, "finance"), 10089)
	w.opts.Cloud = false
	wantRefused(t, w, w.signIn(`isUat="true" jwt="`+w.uat(i).sign(t)+`"`, "finance"), 67)
}

func TestUnifiedAccessScopeSubset(t *testing.T) {
	w, i := unified(t, func(u *UnifiedAccess) { u.Scopes = []string{"tableau:jobs:read"} })
	f := w.uat(i)
	f.claims["scp"] = []string{scopeContent, "tableau:jobs:read"}
	w.signIn(`isUat="true" jwt="`+f.sign(t)+`"`, "finance")
	if got := w.last().Scopes; len(got) != 1 || got[0] != "tableau:jobs:read" {
		t.Errorf("scopes %v", got)
	}
}

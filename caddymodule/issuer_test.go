package caddymodule

// This file tests what tableau_issuer publishes, and holds what the tests of
// asymmetric credentials share: keys, and a site with TLS that publishes them.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// testKeys makes, once, the private keys that tests sign with, in PEM by kid.
// keygen makes them, which is what users do.
var testKeys = sync.OnceValue(func() map[string]string {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	keys := make(map[string]string)
	for kid, kind := range map[string]string{"rsa": "rsa", "ec": "ec", "ec2": "ec"} {
		file := filepath.Join(dir, kid)
		if err := (keygen{kind: kind, kid: kid, out: file}).run(io.Discard); err != nil {
			panic(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		keys[kid] = string(content)
	}
	return keys
})

// keyLine is the option key for one of testKeys, by way of a file or, every
// other time, of the environment.
func keyLine(t *testing.T, kid string) string {
	t.Helper()
	if strings.HasPrefix(kid, "ec") {
		t.Setenv("TEST_KEY_"+kid, testKeys()[kid])
		return "key " + kid + " {env.TEST_KEY_" + kid + "}"
	}
	file := filepath.Join(t.TempDir(), kid+".pem")
	if err := os.WriteFile(file, []byte(testKeys()[kid]), 0o600); err != nil {
		t.Fatal(err)
	}
	return "key " + kid + " {file." + file + "}"
}

// A tlsSite is a site of Caddy's with a certificate of its own, and a client
// that trusts no other.
type tlsSite struct {
	address, url string
	tls          string // the directive
	client       *http.Client

	mu      sync.Mutex
	fetched []string // paths, with their status
}

func newTLSSite(t *testing.T) *tlsSite {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	s := &tlsSite{address: freeAddress(t), tls: "\ttls " + certFile + " " + keyFile + "\n"}
	s.url = "https://" + s.address
	s.client = &http.Client{Timeout: patience, Transport: &recordingTransport{s, &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
	}}}
	return s
}

// A recordingTransport notes what was fetched.
type recordingTransport struct {
	site *tlsSite
	base http.RoundTripper
}

func (t *recordingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(r)
	if err == nil {
		t.site.mu.Lock()
		t.site.fetched = append(t.site.fetched, fmt.Sprint(r.URL.Path, " ", res.StatusCode))
		t.site.mu.Unlock()
	}
	return res, err
}

// wasFetched returns what was fetched, sorted, each once.
func (s *tlsSite) wasFetched() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(s.fetched)))
}

// block is the site in a Caddyfile.
func (s *tlsSite) block(directives string) string {
	return s.url + " {\n" + s.tls + directives + "\n}\n"
}

// do makes a request to the site.
func (s *tlsSite) do(t *testing.T, method, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = headers(header...)
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAnswer(res)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// proxyWith is a tableau_proxy with other credentials than r.block has.
func (r *rig) proxyWith(options, credentials string) string {
	if options == "" {
		options = defaultOptions
	}
	return "\ttableau_proxy " + r.URL + " {\n" + options + "\n\t\tcredentials " + credentials + "\n\t\ttransport {\n" + r.trust() + "\n\t\t}\n\t}"
}

// tryWith loads the configuration of s with more sites behind it.
func (r *rig) tryWith(s setup, sites ...string) error {
	adapted, err := adapt(r.caddyfile(s) + strings.Join(sites, ""))
	if err != nil {
		return err
	}
	return caddy.Load(adapted, true)
}

// loadWith loads the configuration, which must be good.
func (r *rig) loadWith(t *testing.T, s setup, sites ...string) {
	t.Helper()
	if err := r.tryWith(s, sites...); err != nil {
		t.Fatal(err)
	}
	r.reloaded.Store(true)
}

// oauthTrust is the block of that credential.
func oauthTrust(issuer, audience string, keyLines ...string) string {
	return "oauth_trust {\n\t\t\tissuer " + issuer + "\n\t\t\taudience " + audience + "\n\t\t\t" + strings.Join(keyLines, "\n\t\t\t") + "\n\t\t}"
}

// kids are the kids in a JWK Set, with the members of each key that are not
// public.
func kids(t *testing.T, body string) []string {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var found []string
	for _, key := range set.Keys {
		for name := range key {
			if !slices.Contains([]string{"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"}, name) {
				t.Errorf("the key %s shows its %s", key["kid"], name)
			}
		}
		found = append(found, key["kid"]+" "+key["alg"])
	}
	return found
}

func TestIssuerDocuments(t *testing.T) {
	for _, c := range []struct {
		name, suffix      string
		metadata, foreign []string
		jwks              string
	}{
		{
			name:     "at the root",
			metadata: []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
			jwks:     "/.well-known/jwks.json",
			foreign:  []string{"/", "/.well-known/", "/.well-known/openid-configuration/", "/.well-known/jwks.json/x", "//.well-known/openid-configuration", "/x/.well-known/jwks.json"},
		},
		{
			name: "below a path", suffix: "/id/tableau",
			metadata: []string{"/id/tableau/.well-known/openid-configuration", "/id/tableau/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/id/tableau"},
			jwks:     "/id/tableau/.well-known/jwks.json",
			foreign:  []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/id/.well-known/jwks.json"},
		},
		{
			name: "with a slash at its end", suffix: "/",
			metadata: []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "//.well-known/openid-configuration", "//.well-known/oauth-authorization-server"},
			jwks:     "/.well-known/jwks.json",
			foreign:  []string{"/x"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := newTLSSite(t)
			r := newRig(t, tableautest.Options{})
			issuer := site.url + c.suffix
			r.loadWith(t, setup{handlers: r.proxyWith("", oauthTrust(issuer, "tableau", keyLine(t, "rsa"), keyLine(t, "ec")))},
				site.block(r.basicAuth()+"\n\ttableau_issuer\n\trespond \"somebody else\" 418"))

			want := map[string]any{
				"issuer": issuer, "jwks_uri": site.url + c.jwks,
				"subject_types_supported": []any{"public"}, "id_token_signing_alg_values_supported": []any{"ES256", "RS256"},
			}
			for _, path := range c.metadata {
				a := site.checkDocument(t, path)
				var got map[string]any
				if err := json.Unmarshal([]byte(a.body), &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: got %s, want %v", path, a.body, want)
				}
			}
			if got := kids(t, site.checkDocument(t, c.jwks).body); fmt.Sprint(got) != "[ec ES256 rsa RS256]" {
				t.Errorf("keys %v", got)
			}
			for _, path := range c.foreign {
				if a := site.do(t, http.MethodGet, path); a.status != http.StatusUnauthorized {
					t.Errorf("%s: status %d, want what the other handlers say to nobody: 401", path, a.status)
				}
			}
		})
	}
}

// checkDocument fetches a document as caches and clumsy clients do.
func (s *tlsSite) checkDocument(t *testing.T, path string) answer {
	t.Helper()
	a := s.do(t, http.MethodGet, path)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%s: status %d, header %v", path, a.status, a.header)
	}
	etag := a.header.Get("ETag")
	if b := s.do(t, http.MethodHead, path); b.status != http.StatusOK || b.body != "" || b.header.Get("ETag") != etag || b.header.Get("Content-Length") != fmt.Sprint(len(a.body)) {
		t.Errorf("HEAD %s: status %d, header %v", path, b.status, b.header)
	}
	if b := s.do(t, http.MethodGet, path, "If-None-Match", etag); etag == "" || b.status != http.StatusNotModified || b.body != "" {
		t.Errorf("%s with If-None-Match: status %d, ETag %q", path, b.status, etag)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if b := s.do(t, method, path); b.status != http.StatusMethodNotAllowed || b.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: status %d, Allow %q", method, path, b.status, b.header.Get("Allow"))
		}
	}
	return a
}

// Several credentials may share an issuer, and a site may publish one of
// several issuers.
func TestIssuersOfOneConfiguration(t *testing.T) {
	site := newTLSSite(t)
	one, two := site.url+"/one", site.url+"/two"
	r := newRig(t, tableautest.Options{})
	handle := func(path, credentials string) string {
		return "\thandle " + path + " {\n" + r.proxyWith("", credentials) + "\n\t}\n"
	}
	marketing := "tableau:" + tableautest.SiteLUID("marketing")
	rsa, ec, ec2 := keyLine(t, "rsa"), keyLine(t, "ec"), keyLine(t, "ec2")
	r.loadWith(t, setup{handlers: handle("/a/*", oauthTrust(one, "tableau", rsa)) +
		handle("/b/*", oauthTrust(one, marketing, ec, rsa)) + handle("/c/*", oauthTrust(two, "tableau", ec2))},
		site.block("\ttableau_issuer {\n\t\tissuer "+one+"\n\t}\n\ttableau_issuer {\n\t\tissuer "+two+"\n\t}"))
	for path, want := range map[string]string{"/one": "[ec ES256 rsa RS256]", "/two": "[ec2 ES256]"} {
		if got := kids(t, site.do(t, http.MethodGet, path+wellKnownJWKS).body); fmt.Sprint(got) != want {
			t.Errorf("keys of the issuer at %s: %v, want %s", path, got, want)
		}
	}
}

func TestIssuerWithoutCredential(t *testing.T) {
	trust := func(issuer, key string) string {
		return oauthTrust(issuer, "tableau", key)
	}
	other := "https://other.example"
	for _, c := range []struct {
		name, issuer string
		credentials  func(*rig, string) []string // for handle blocks
		want         string
	}{
		{"none", "", func(*rig, string) []string { return nil }, "no tableau_auth or tableau_proxy"},
		{"another kind", "", func(r *rig, _ string) []string {
			return []string{"direct_trust {\nclient_id x\nsecret y {env." + testSecret + "}\n}"}
		}, "signs in with credentials oauth_trust"},
		{"several", "", func(_ *rig, key string) []string { return []string{trust(other, key), trust(other+"/x", key)} }, "name one with issuer <url>, of " + other},
		{"unknown", other + "/", func(_ *rig, key string) []string { return []string{trust(other, key)} }, "name one of " + other},
		{"one kid, two keys", "", func(_ *rig, key string) []string {
			return []string{trust(other, key), trust(other, strings.Replace(key, "{env.TEST_KEY_ec}", "{env.TEST_KEY_ec2}", 1))}
		}, "give each key a kid of its own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, tableautest.Options{})
			site := newTLSSite(t)
			keyLine(t, "ec2")
			var handlers strings.Builder
			handlers.WriteString("\trespond /x 200\n")
			for i, credentials := range c.credentials(r, keyLine(t, "ec")) {
				fmt.Fprintf(&handlers, "\thandle /%d/* {\n%s\n}\n", i, r.proxyWith("", credentials))
			}
			options := ""
			if c.issuer != "" {
				options = " {\n\t\tissuer " + c.issuer + "\n\t}"
			}
			err := r.tryWith(setup{handlers: handlers.String()}, site.block("\ttableau_issuer"+options))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

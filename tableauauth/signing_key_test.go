package tableauauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// keyring makes the keys of all tests once, because RSA takes its time.
var keyring = sync.OnceValue(func() (k struct {
	rsa, other, small *rsa.PrivateKey
	ec, ec384         *ecdsa.PrivateKey
	ed                ed25519.PrivateKey
},
) {
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.other, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.small, _ = rsa.GenerateKey(rand.Reader, 1024)
	k.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ec384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	return k
})

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("PRIVATE KEY", der)
}

func sec1(key *ecdsa.PrivateKey) string {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("EC PRIVATE KEY", der)
}

func pkcs1(key *rsa.PrivateKey) string {
	return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func pkix(key any) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return pemOf("PUBLIC KEY", der)
}

func signingKey(t testing.TB, kid string, key any) SigningKey {
	t.Helper()
	k, err := ParseSigningKey(kid, tableauapi.NewSecret(pkcs8(key)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestParseSigningKey(t *testing.T) {
	k := keyring()
	for _, c := range []struct {
		name, pem, alg string
		public         any
	}{
		{"RSA, PKCS#8", pkcs8(k.rsa), "RS256", k.rsa.Public()},
		{"RSA, PKCS#1", pkcs1(k.rsa), "RS256", k.rsa.Public()},
		{"EC, PKCS#8", pkcs8(k.ec), "ES256", k.ec.Public()},
		{"EC, SEC1", sec1(k.ec), "ES256", k.ec.Public()},
		{"a name before it", "Bag Attributes\n" + pkcs8(k.ec) + "\n\n", "ES256", k.ec.Public()},
		{"Windows lines", strings.ReplaceAll(pkcs8(k.ec), "\n", "\r\n"), "ES256", k.ec.Public()},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := ParseSigningKey("one", tableauapi.NewSecret(c.pem))
			if err != nil {
				t.Fatal(err)
			}
			if key.Algorithm() != c.alg || key.ID() != "one" {
				t.Errorf("%s %q", key.Algorithm(), key.ID())
			}
			signed, err := key.sign(jwt.MapClaims{"a": "b"}, map[string]any{"iss": "x"})
			if err != nil {
				t.Fatal(err)
			}
			verify(t, signed.Reveal(), key, c.public)
		})
	}
}

// verify checks a JWT with a public key and returns its header and claims.
func verify(t testing.TB, signed string, key SigningKey, public any) (map[string]any, jwt.MapClaims) {
	t.Helper()
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{key.Algorithm()}), jwt.WithoutClaimsValidation()).
		ParseWithClaims(signed, claims, func(*jwt.Token) (any, error) { return public, nil })
	if err != nil {
		t.Fatal(err)
	}
	if token.Header["kid"] != key.ID() {
		t.Errorf("kid %v, want %q", token.Header["kid"], key.ID())
	}
	return token.Header, claims
}

func TestParseSigningKeyRefuses(t *testing.T) {
	k := keyring()
	good := pkcs8(k.ec)
	encrypted := "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
	for _, c := range []struct{ name, kid, pem, want string }{
		{"no kid", "", good, "kid of a key is empty"},
		{"space in the kid", "a b", good, "holds spaces"},
		{"control character in the kid", "a\x00", good, "unprintable"},
		{"kid not UTF-8", "a\xff", good, "unprintable"},
		{"kid too long", strings.Repeat("a", 256), good, "more than 255 bytes"},
		{"empty", "one", "", "not PEM"},
		{"not PEM", "one", "hunter2", "not PEM"},
		{"too long", "one", good + strings.Repeat(" ", maxPEM), "longer than"},
		{"damaged", "one", strings.Replace(good, "-----END", "----END", 1), "damaged"},
		{"RSA of 1024 bits", "one", pkcs8(k.small), "1024 bits"},
		{"RSA of 1024 bits, PKCS#1", "one", pkcs1(k.small), "1024 bits"},
		{"P-384", "one", pkcs8(k.ec384), "P-384"},
		{"P-384, SEC1", "one", sec1(k.ec384), "P-384"},
		{"Ed25519", "one", pkcs8(k.ed), "neither an RSA nor an ECDSA"},
		{"public", "one", pkix(k.ec.Public()), "public key"},
		{"public, PKCS#1", "one", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)), "public key"},
		{"certificate", "one", pemOf("CERTIFICATE", []byte("x")), "certificate"},
		{"certificate request", "one", pemOf("CERTIFICATE REQUEST", []byte("x")), "certificate"},
		{"encrypted", "one", encrypted, "encrypted"},
		{"encrypted, PKCS#8", "one", pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "encrypted"},
		{"OpenSSH", "one", pemOf("OPENSSH PRIVATE KEY", []byte("x")), "OpenSSH"},
		{"another block", "one", pemOf("DSA PRIVATE KEY", []byte("x")), "none of PRIVATE KEY"},
		{"two keys", "one", good + good, "several PEM blocks"},
		{"parameters and a key", "one", pemOf("EC PARAMETERS", []byte("x")) + sec1(k.ec), "several PEM blocks"},
		{"a damaged key and a good one", "one", "-----BEGIN PRIVATE KEY-----\n???\n-----END PRIVATE KEY-----\n" + good, "several PEM blocks"},
		{"not DER", "one", pemOf("PRIVATE KEY", []byte("x")), "cannot be read"},
		{"SEC1 called PKCS#8", "one", strings.ReplaceAll(sec1(k.ec), "EC PRIVATE", "PRIVATE"), "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := ParseSigningKey(c.kid, tableauapi.NewSecret(c.pem))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v and %v, want an error about %q", key, err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error %q repeats the text", err)
			}
		})
	}
}

// privateParts are spellings of what must not be seen of the keys.
func privateParts() []string {
	k := keyring()
	scalar, _ := k.ec.Bytes()
	var parts []string
	for _, d := range []*big.Int{k.rsa.D, k.rsa.Primes[0], new(big.Int).SetBytes(scalar)} {
		parts = append(parts, d.String(), d.Text(16), base64.RawURLEncoding.EncodeToString(d.Bytes()), base64.StdEncoding.EncodeToString(d.Bytes())[:20])
		parts = append(parts, strings.Trim(fmt.Sprint(string(d.Bytes())), "[]"))
	}
	for _, text := range []string{pkcs8(k.rsa), pkcs8(k.ec)} {
		parts = append(parts, strings.Split(text, "\n")[1])
	}
	return parts
}

func TestSigningKeyIsNotPrinted(t *testing.T) {
	k := keyring()
	rsaKey, ecKey := signingKey(t, "rsa", k.rsa), signingKey(t, "ec", k.ec)
	trust, err := NewOAuthTrust("https://x.example", "tableau", rsaKey, ecKey)
	if err != nil {
		t.Fatal(err)
	}
	unified, err := NewUnifiedAccess("https://x.example", "tenant", "", rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	text := slog.New(slog.NewTextHandler(&out, nil))
	for _, v := range []any{rsaKey, &ecKey, []SigningKey{rsaKey, ecKey}, trust, *trust, unified, *unified} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
		logger.Info("x", "v", v)
		text.Info("x", "v", v)
	}
	for _, part := range privateParts() {
		if strings.Contains(out.String(), part) {
			t.Fatal("a part of a private key was printed")
		}
	}
	if got, want := fmt.Sprint(ecKey), `ES256 key "ec"`; got != want {
		t.Errorf("printed as %s, want %s", got, want)
	}
}

// publicOf reads a JWK as RFC 7518, section 6, describes it.
func publicOf(jwk []byte) (kid, alg string, public crypto.PublicKey, err error) {
	var v map[string]string
	if err := json.Unmarshal(jwk, &v); err != nil {
		return "", "", nil, err
	}
	number := func(name string, size int) *big.Int {
		b, e := base64.RawURLEncoding.Strict().DecodeString(v[name])
		if e != nil || size > 0 && len(b) != size {
			err = fmt.Errorf("%s is %q", name, v[name])
			return new(big.Int)
		}
		return new(big.Int).SetBytes(b)
	}
	want := map[string]bool{"kty": true, "kid": true, "alg": true, "use": true}
	switch v["kty"] {
	case "RSA":
		want["n"], want["e"] = true, true
		public = &rsa.PublicKey{N: number("n", 0), E: int(number("e", 0).Int64())}
	case "EC":
		want["crv"], want["x"], want["y"] = true, true, true
		point := append([]byte{4}, number("x", 32).FillBytes(make([]byte, 32))...)
		point = append(point, number("y", 32).FillBytes(make([]byte, 32))...)
		if err == nil {
			public, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		}
	}
	for name := range v {
		if !want[name] {
			err = fmt.Errorf("there is a member %q", name)
		}
	}
	if v["use"] != "sig" {
		err = fmt.Errorf("use is %q", v["use"])
	}
	return v["kid"], v["alg"], public, err
}

type publicKey interface{ Equal(crypto.PublicKey) bool }

// checkJWK holds the JWK of a private key to its public half.
func checkJWK(t interface{ Fatalf(string, ...any) }, kid string, private crypto.Signer) {
	key, err := ParseSigningKey(kid, tableauapi.NewSecret(pkcs8(private)))
	if err != nil {
		t.Fatalf("%v", err)
	}
	gotKID, alg, public, err := publicOf(key.JWK())
	if err != nil {
		t.Fatalf("%s: %v", key.JWK(), err)
	}
	if gotKID != kid || alg != key.Algorithm() || !private.Public().(publicKey).Equal(public) {
		t.Fatalf("%s is not the public half of %v", key.JWK(), key)
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(JWKSet(key, key), &set); err != nil || len(set.Keys) != 2 || !bytes.Equal(set.Keys[1], key.JWK()) {
		t.Fatalf("JWK set %s: %v", JWKSet(key, key), err)
	}
}

func TestJWKRoundTrip(t *testing.T) {
	k := keyring()
	rapid.Check(t, func(t *rapid.T) {
		kid := rapid.StringMatching(`[!-~]{1,40}|[а-яä"<&\\]{1,20}`).Draw(t, "kid")
		var private crypto.Signer = rapid.SampledFrom([]*rsa.PrivateKey{k.rsa, k.other}).Draw(t, "RSA key")
		if rapid.Bool().Draw(t, "EC") {
			seed := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "scalar")
			ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed)
			if err != nil {
				return // zero, or not below the order
			}
			private = ec
		}
		checkJWK(t, kid, private)
	})
}

// A coordinate that begins with a zero byte is as long as any other (RFC 7518,
// section 6.2.1.2).
func TestJWKKeepsLeadingZeros(t *testing.T) {
	for n := int64(1); ; n++ {
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(n).FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatal(err)
		}
		if point, _ := private.PublicKey.Bytes(); point[1] == 0 {
			checkJWK(t, "zero", private)
			return
		}
	}
}

// keyLine is a line of a key in PEM.
var keyLine = regexp.MustCompile(`[A-Za-z0-9+/=]{20,}`)

func FuzzParseSigningKey(f *testing.F) {
	k := keyring()
	for _, text := range []string{pkcs8(k.ec), sec1(k.ec), pkcs8(k.rsa), pkcs1(k.rsa), pkcs8(k.small), pkcs8(k.ed), pkix(k.ec.Public()), pkcs8(k.ec) + pkcs8(k.ec)} {
		f.Add("one", text)
	}
	f.Fuzz(func(t *testing.T, kid, text string) {
		key, err := ParseSigningKey(kid, tableauapi.NewSecret(text))
		if err != nil {
			for _, line := range keyLine.FindAllString(text, -1) {
				if strings.Contains(err.Error(), line) && !strings.Contains(kid, line) {
					t.Errorf("the error %q holds a line of the text", err)
				}
			}
			return
		}
		gotKID, alg, public, err := publicOf(key.JWK())
		if err != nil || gotKID != kid || alg != key.Algorithm() {
			t.Fatalf("%s for %q: %v", key.JWK(), kid, err)
		}
		signed, err := key.sign(jwt.MapClaims{"a": "b"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, signed.Reveal(), key, public)
	})
}

package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKeyComesBackFromPEM(t *testing.T) {
	k := newKey("proxy1.corp.example/audit")
	text, err := k.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey(k.Name(), text)
	if err != nil {
		t.Fatal(err)
	}
	if again.VerifierKey() != k.VerifierKey() || again.Name() != k.Name() {
		t.Errorf("read again %q, want %q", again.VerifierKey(), k.VerifierKey())
	}
	s, err := again.signer()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign([]byte("text"))
	if err != nil || !k.Verifier().Verify([]byte("text"), sig) {
		t.Errorf("the key that was read does not sign as the one that was written: %v", err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	good, _ := testKey().MarshalPEM()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, _ := x509.MarshalPKCS8PrivateKey(ec)
	for name, test := range map[string]struct {
		name, text, want string
	}{
		"nothing":           {"a", "", "not PEM"},
		"a public key":      {"a", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "is not \"PRIVATE KEY\""},
		"another algorithm": {"a", string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})), "not an Ed25519 key"},
		"damaged":           {"a", string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der[:20]})), "no PKCS#8 key"},
		"two":               {"a", string(good) + string(good), "more than one"},
		"long":              {"a", strings.Repeat("x", 20<<10), "longer than"},
		"no name":           {"", string(good), "is empty"},
		"a name with space": {"a b", string(good), "holds spaces"},
		"a name with plus":  {"a+b", string(good), "plus sign"},
		"a long name":       {strings.Repeat("a", 300), string(good), "255 bytes"},
		"a name of lines":   {"a\nb", string(good), "unprintable"},
	} {
		_, err := ParseKey(test.name, []byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	k := testKey()
	private := k.private()
	text, _ := k.MarshalPEM()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, k, &k)
		fmt.Fprintf(&out, verb, struct{ K SigningKey }{k})
		fmt.Fprintf(&out, verb, Options{Key: k})
	}
	encoded, err := json.Marshal(map[string]any{"k": k})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "k", k)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "k", k)
	for _, secret := range []string{
		string(private), fmt.Sprintf("%x", private.Seed()), fmt.Sprintf("%d", private.Seed())[1:40], strings.Split(string(text), "\n")[1],
	} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the key is printed: %s", out.String())
		}
	}
}

func TestZeroKey(t *testing.T) {
	var k SigningKey
	if _, err := k.MarshalPEM(); err == nil {
		t.Error("MarshalPEM of no key")
	}
	if _, err := k.signer(); err == nil {
		t.Error("signer of no key")
	}
	if !k.IsZero() || k.Verifier() != nil {
		t.Error("the zero key is a key")
	}
}

func TestParseVerifiers(t *testing.T) {
	k := testKey().VerifierKey()
	keys, err := ParseVerifiers([]byte("# the log of proxy1\n\n" + k + "\n"))
	if err != nil || len(keys) != 1 || keys[0].Name() != testKeyName {
		t.Errorf("ParseVerifiers: %v, %v", keys, err)
	}
	for _, bad := range []string{"", "# nothing\n", "x", k + "x"} {
		if _, err := ParseVerifiers([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := ReadVerifiers(logPath(t)); err == nil {
		t.Error("a file that is not there is read")
	}
}

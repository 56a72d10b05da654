package tableauapi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEchoedIn(t *testing.T) {
	const secret = `s3<cr&t"pass'wörd/with+all`
	body := `{"name":"svc","password":` + secret + `}`
	quoted, _ := json.Marshal(secret)
	for name, text := range map[string]string{
		"as it is":     "read tcp: " + secret,
		"a part of it": "read tcp: /with+all",
		"quoted":       fmt.Sprintf("malformed HTTP status code %q", secret),
		"in ASCII":     fmt.Sprintf("malformed HTTP status code %+q", secret),
		"in JSON":      string(quoted),
		"in XML":       "s3&lt;cr&amp;t&#34;",
		"in XML again": "s3&lt;cr&amp;t&quot;",
		"in a query":   url.QueryEscape(secret),
		"in a path":    url.PathEscape(secret),
		"in hex":       strings.ToUpper(hex.EncodeToString([]byte(body))),
		"in base64":    base64.StdEncoding.EncodeToString([]byte(body)),
		"in base64url": base64.RawURLEncoding.EncodeToString([]byte("x" + body)),
	} {
		if !NewSecret(secret).EchoedIn(text) {
			t.Errorf("%s: %s is not taken for an echo", name, text)
		}
	}
	for _, text := range []string{"", "dial tcp 127.0.0.1:443: connect: connection refused", "s3<cr", "with+al"} {
		if NewSecret(secret).EchoedIn(text) {
			t.Errorf("%q is taken for an echo", text)
		}
	}
}

func TestShortSecretsAreEchoedAsAWhole(t *testing.T) {
	for text, want := range map[string]bool{"x=hunter2": true, "aHVudGVy": true, "hunter": false, "": false} {
		if got := NewSecret("hunter2").EchoedIn(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
	if NewSecret("").EchoedIn("anything") {
		t.Error("nothing is echoed")
	}
}

// Wherever a run of a secret stands in a text, it is found.
func TestEchoedRunIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringN(echoRun, 200, -1).Draw(t, "secret")
		from := rapid.IntRange(0, len(secret)-echoRun).Draw(t, "from")
		to := rapid.IntRange(from+echoRun, len(secret)).Draw(t, "to")
		text := rapid.String().Draw(t, "before") + secret[from:to] + rapid.String().Draw(t, "after")
		if !NewSecret(secret).EchoedIn(text) {
			t.Fatalf("%q is not found in %q", secret[from:to], text)
		}
	})
}

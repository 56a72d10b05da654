package tableauapi

// The tests of this file look for a secret wherever a value can end up.

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const canary = "c4n4ry-s3cret"

// withSecrets has secrets where a method is found and where none is.
type withSecrets struct {
	Exported   Secret
	unexported Secret
	Pointer    *Secret
	nested     struct{ deep []Secret }
	Map        map[string]Secret
}

func newWithSecrets() withSecrets {
	s := NewSecret(canary)
	v := withSecrets{Exported: s, unexported: s, Pointer: &s, Map: map[string]Secret{"k": s}}
	v.nested.deep = []Secret{s}
	return v
}

func TestSecretIsNeverPrinted(t *testing.T) {
	secret := NewSecret(canary)
	for _, v := range []any{secret, &secret, newWithSecrets(), []Secret{secret}, SignInAnswer{Token: secret}, Credentials{JWT: secret, Password: secret, TokenSecret: secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%c", "%U", "%08.3f", "%w"} {
			noLeak(t, verb, fmt.Sprintf(verb, v))
		}
		asJSON, err := json.Marshal(v)
		noLeak(t, "json", string(asJSON), fmt.Sprint(err))
		asXML, err := xml.Marshal(v)
		noLeak(t, "xml", string(asXML), fmt.Sprint(err))
		var asGob bytes.Buffer
		err = gob.NewEncoder(&asGob).Encode(v)
		noLeak(t, "gob", asGob.String(), fmt.Sprint(err))

		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "v", v, slog.Group("g", "v", v))
		noLeak(t, "slog", logged.String())
		noLeak(t, "error", errors.Join(fmt.Errorf("e: %v", v), fmt.Errorf("f: %+v", v)).Error())
	}
}

// Tools that walk values by reflection and skip methods must not find it
// either: go-cmp does so to show a difference that String hides.
func TestSecretIsNeverDumped(t *testing.T) {
	a, b := newWithSecrets(), newWithSecrets()
	b.Exported = NewSecret("another " + canary)
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	noLeak(t, "go-cmp", cmp.Diff(a, b, everything))
}

func noLeak(t *testing.T, where string, texts ...string) {
	t.Helper()
	encoded := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%v", []byte(canary))}
	for _, text := range texts {
		for _, needle := range encoded {
			if strings.Contains(text, needle) {
				t.Errorf("%s shows the secret: %q", where, text)
			}
		}
	}
}

func TestSecretMarshalsToAPlaceholder(t *testing.T) {
	s := NewSecret(canary)
	asJSON, err := json.Marshal(map[string]any{"s": s})
	if err != nil || string(asJSON) != `{"s":"[redacted]"}` {
		t.Errorf("JSON: %s, %v", asJSON, err)
	}
	asText, err := s.MarshalText()
	if err != nil || string(asText) != "[redacted]" {
		t.Errorf("text: %s, %v", asText, err)
	}
	if got := fmt.Sprintf("%s %v %#v %q", s, s, s, &s); got != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("fmt: %s", got)
	}
	if s.String() != "[redacted]" || s.GoString() != "[redacted]" || s.LogValue().String() != "[redacted]" {
		t.Error("a method returns something else than the placeholder")
	}
}

func TestSecretRevealEqualZero(t *testing.T) {
	var zero Secret
	if !zero.IsZero() || !NewSecret("").IsZero() || NewSecret("a").IsZero() {
		t.Error("IsZero is not about the value")
	}
	if zero.Reveal() != "" || NewSecret(canary).Reveal() != canary {
		t.Error("Reveal returns another value")
	}
	for _, c := range []struct {
		a, b Secret
		want bool
	}{
		{NewSecret("x"), NewSecret("x"), true},
		{NewSecret("x"), NewSecret("y"), false},
		{NewSecret("x"), NewSecret("xx"), false},
		{NewSecret("x"), zero, false},
		{zero, NewSecret(""), true},
	} {
		if c.a.Equal(c.b) != c.want || c.b.Equal(c.a) != c.want {
			t.Errorf("Equal(%q, %q) is not %t", c.a.Reveal(), c.b.Reveal(), c.want)
		}
	}
}

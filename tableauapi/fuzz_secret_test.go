package tableauapi

// The fuzz target of this file prints secrets.

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A holder is a struct with secrets in it, as a configuration has them.
type holder struct {
	Name   string
	Secret Secret
	Pair   [2]Secret
}

// FuzzSecret prints a secret with every verb and encoder. What comes out must
// not depend on it.
func FuzzSecret(f *testing.F) {
	f.Add("k9Yx2mLq8RvT4wZb7NcJ5hGd1FpS6aEu", "%+v %#v %s %q")
	f.Add("aaaaaaaaaaaaaaaaaaaaaa|bbbb|cccc", "%#x %X %d %t %p %T %U %c")
	f.Add("100% of it", "%[1]*[2]d %[2]v")
	f.Fuzz(func(t *testing.T, value, format string) {
		if value == "" {
			return // there is no secret, and %p may say so
		}
		first, second := printed(t, value, format), printed(t, "another", format)
		for i := range first {
			if first[i] != second[i] {
				t.Fatalf("with %q, way %d shows something of the secret", format, i)
			}
		}
		if s := NewSecret(value); s.Reveal() != value || !s.Equal(NewSecret(value)) || s.IsZero() != (value == "") {
			t.Fatal("the secret has become another")
		}
	})
}

// printed is a secret, alone and in a struct, printed in every way.
func printed(t *testing.T, value, format string) []string {
	t.Helper()
	s := NewSecret(value)
	h := holder{"name", s, [2]Secret{s, s}}
	var logged strings.Builder
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindTime {
			a.Value = slog.TimeValue(time.Time{})
		}
		return a
	}}
	slog.New(slog.NewTextHandler(&logged, options)).Info("x", "secret", s, "holder", h)
	slog.New(slog.NewJSONHandler(&logged, options)).Info("x", "secret", s, "holder", h)
	asJSON, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	asXML, err := xml.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		fmt.Sprintf(format, s, s), fmt.Sprintf(format, h), fmt.Errorf(format, s, h).Error(), fmt.Sprint(s, h), fmt.Sprintln(h, s),
		fmt.Sprintf("%v %+v %#v", h, h, h), logged.String(), string(asJSON), string(asXML),
	}
}

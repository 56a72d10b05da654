package tableauapi

// This file holds the type of everything that opens a door.

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// A Secret is a value that works at Tableau: a password, a token, a JWT. It
// comes out by [Secret.Reveal] only. Formatting, logging or encoding one gives
// "[redacted]".
//
// The value stands behind a function, because fmt cannot call the methods of
// an unexported field: there it prints an address, as does every dumper that
// walks a struct by reflection. A Secret can therefore not be compared with
// ==; use [Secret.Equal]. The zero Secret holds nothing.
type Secret struct {
	reveal func() string
}

// NewSecret makes a Secret of s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return s }}
}

// Reveal returns the value, for the one place where it has to go.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the Secret holds no value, or an empty one.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Equal reports whether both hold the same value, in a time that depends on
// the lengths only. Two Secrets that hold nothing are equal: where an absent
// value must not match, check [Secret.IsZero] first.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

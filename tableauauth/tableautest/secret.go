// This file holds the string type for passwords, secrets and tokens.

package tableautest

import (
	"fmt"
	"log/slog"
)

// Secret is a string that does not print: fmt, encoding/json and log/slog all
// show "[redacted]". A string literal converts to it without ceremony.
type Secret string

const redacted = "[redacted]"

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (Secret) String() string { return redacted }

// Format hides the value from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText hides the value from encoding/json and encoding/xml.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the value from log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

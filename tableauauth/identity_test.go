package tableauauth

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestCheckUser(t *testing.T) {
	for _, c := range []struct {
		name string
		want error
	}{
		{"alice", nil},
		{"alice@corp.example", nil},
		{`CORP\Alice Liddell`, nil},
		{"Ålice", nil},
		{"aliçe", nil},
		{"愛麗絲", nil},
		{strings.Repeat("a", 255), nil},
		{"", ErrUserEmpty},
		{strings.Repeat("a", 256), ErrUserTooLong},
		{strings.Repeat("å", 128), ErrUserTooLong}, // bytes, not runes
		{"al\xffice", ErrUserNotUTF8},
		{"alice\x00", ErrUserUnprintable},
		{"alice\n", ErrUserUnprintable},
		{"alice\x7f", ErrUserUnprintable},
		{" alice", ErrUserUnprintable},
		{"alice ", ErrUserUnprintable},
		{"ali\u00a0ce", ErrUserUnprintable}, // no-break space
		{"ali\u200bce", ErrUserUnprintable}, // zero-width space
		{"ali\u202ece", ErrUserUnprintable}, // right-to-left override
		{"ali\u2028ce", ErrUserUnprintable}, // line separator
		{"\ufeffalice", ErrUserUnprintable}, // byte order mark
		{"A\u030alice", ErrUserNotNFC},      // Å as two runes
	} {
		if got := CheckUser(c.name); !errors.Is(got, c.want) {
			t.Errorf("CheckUser(%q) = %v, want %v", c.name, got, c.want)
		}
	}
}

// FuzzCheckUser holds every accepted name to the promise, rule by rule, in
// other words than the code's.
func FuzzCheckUser(f *testing.F) {
	for _, s := range []string{"alice", "", "a b", "Å", "A\u030a", "\u202e", "a\x00", "\xff", strings.Repeat("é", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckUser(name) != nil {
			return
		}
		if len(name) == 0 || len(name) > 255 || !utf8.ValidString(name) {
			t.Fatalf("accepted %q", name)
		}
		if norm.NFC.String(name) != name {
			t.Fatalf("accepted %q, which is not in NFC", name)
		}
		if strings.TrimSpace(name) != name {
			t.Fatalf("accepted %q with outer space", name)
		}
		for _, r := range name {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) {
				t.Fatalf("accepted %q with %U", name, r)
			}
		}
	})
}

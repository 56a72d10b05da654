package tableauauth

// This file says which names may become a Tableau user.

import (
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxUserBytes is the longest user name that [CheckUser] accepts, in bytes.
const MaxUserBytes = 255

// The reasons for which CheckUser refuses a name.
var (
	ErrUserEmpty       = errors.New("the user name is empty")
	ErrUserTooLong     = errors.New("the user name is longer than 255 bytes")
	ErrUserNotUTF8     = errors.New("the user name is not valid UTF-8")
	ErrUserUnprintable = errors.New("the user name holds a control, invisible or direction-changing character, or begins or ends with a space")
	ErrUserNotNFC      = errors.New("the user name is not in Unicode normalisation form C")
)

// CheckUser reports why name must not be used as a Tableau user or as the
// identity of a person, or nil. The name is never changed to make it fit: two
// identities that differ in a byte are two identities, since Tableau compares
// the sub claim case-sensitively and a fold would let one person become another.
//
// Names that are easily mistaken for another are refused: control characters,
// zero-width and bidirectional marks (Unicode category Cf), spaces other than
// U+0020, a leading or trailing space, and text that is not in normalisation
// form C.
func CheckUser(name string) error {
	switch {
	case name == "":
		return ErrUserEmpty
	case len(name) > MaxUserBytes:
		return ErrUserTooLong
	case !utf8.ValidString(name):
		return ErrUserNotUTF8
	case name[0] == ' ' || name[len(name)-1] == ' ' || hasUnprintable(name):
		return ErrUserUnprintable
	case !isASCII(name) && !norm.NFC.IsNormalString(name):
		return ErrUserNotNFC
	}
	return nil
}

// hasUnprintable reports whether name holds a rune that a reader of a log
// could not see as it is. unicode.IsPrint is letters, marks, numbers,
// punctuation, symbols and U+0020: it leaves out all of category C and every
// other space.
func hasUnprintable(name string) bool {
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return true
		}
	}
	return false
}

// isASCII reports whether s is ASCII, which is in every normalisation form.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

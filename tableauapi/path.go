package tableauapi

// This file decides which paths have one reading only. A path is never made
// right: what another server could read in another way is refused, so that
// what was judged is byte for byte what is sent.

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath is the longest path that is judged, in bytes.
const maxPath = 8 << 10

// A PathError says in which way a path is ambiguous.
type PathError struct {
	// Reason completes "the path has ...". It holds nothing of the path.
	Reason string
}

func (e *PathError) Error() string { return "the path has " + e.Reason }

// CanonicalPath returns the canonical form of a request's path, given as it
// stood on the wire: escaped, without the query. The only change made is that
// several slashes before a leading "api" become one, because the Tableau Server
// Client sends "//api/..." if the server's address ends in a slash. Everything
// else that has more than one reading is refused with a [PathError]: empty
// segments and those of dots, escaped separators and characters that need no
// escape, backslashes, semicolons, bytes outside of printable ASCII and what
// decodes to invalid UTF-8 or to invisible characters.
func CanonicalPath(escaped string) (string, error) {
	if len(escaped) > maxPath {
		return "", &PathError{"more than 8 KiB"}
	}
	path := collapseBeforeAPI(escaped)
	if path == "" || path[0] != '/' {
		return "", &PathError{"no slash at its beginning"}
	}
	for rest := path[1:]; ; {
		segment, after, more := strings.Cut(rest, "/")
		if reason := segmentFault(segment, more); reason != "" {
			return "", &PathError{reason}
		}
		if !more {
			return path, nil
		}
		rest = after
	}
}

// collapseBeforeAPI cuts all but one of the slashes before "api".
func collapseBeforeAPI(path string) string {
	trimmed := strings.TrimLeft(path, "/")
	first, _, _ := strings.Cut(trimmed, "/")
	if slashes := len(path) - len(trimmed); slashes > 1 && first == "api" {
		return path[slashes-1:]
	}
	return path
}

// segmentFault says what is wrong with a segment, or "". More tells whether
// another one follows.
func segmentFault(segment string, more bool) string {
	if segment == "" {
		if more {
			return "an empty segment (two slashes in a row)"
		}
		return "a slash at its end"
	}
	onlyDots := true // or spaces: some servers cut both off
	for i := 0; i < len(segment); {
		c := segment[i]
		switch {
		case c == '%':
			width, reason := escapeFault(segment[i:])
			if reason != "" {
				return reason
			}
			onlyDots = onlyDots && segment[i:i+width] == "%20"
			i += width
			continue
		case !rawAllowed[c]:
			return rawFault(c)
		case c != '.':
			onlyDots = false
		}
		i++
	}
	if onlyDots {
		return "a segment of dots or spaces"
	}
	return ""
}

// rawAllowed are the bytes that may stand in a segment as they are: those of
// RFC 3986's pchar without the semicolon, which begins a parameter for some
// servers, and with square brackets, which everybody leaves alone.
var rawAllowed = func() (allowed [256]bool) {
	for c := range 256 {
		allowed[c] = unreserved(byte(c)) || strings.IndexByte("!$&'()*+,=:@[]", byte(c)) >= 0
	}
	return allowed
}()

// unreserved reports whether c never needs an escape (RFC 3986, section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

func rawFault(c byte) string {
	switch c {
	case ';':
		return "a semicolon"
	case '\\':
		return "a backslash"
	case '#':
		return "a fragment"
	case '?':
		return "a question mark"
	default:
		return "a character that has to be escaped"
	}
}

// escapeFault judges the escape that s begins with, or the run of them that
// make up one character. It returns the width of what it judged.
func escapeFault(s string) (width int, reason string) {
	c, ok := unescape(s)
	switch {
	case !ok:
		return 0, "a broken percent escape"
	case c >= utf8.RuneSelf:
		return escapedRune(s)
	case c < 0x20 || c == 0x7f:
		return 0, "an escaped control character"
	case unreserved(c):
		return 0, "an escape of a character that needs none"
	case strings.IndexByte(`/\;?#%`, c) >= 0:
		return 0, "an escaped separator (one of / \\ ; ? # %)"
	default:
		return 3, ""
	}
}

// escapedRune judges the escapes of one character beyond ASCII.
func escapedRune(s string) (width int, reason string) {
	var encoded [utf8.UTFMax]byte
	n := 0
	for n < len(encoded) {
		c, ok := unescape(s[3*n:])
		if !ok || c < utf8.RuneSelf {
			break
		}
		encoded[n] = c
		n++
	}
	r, size := utf8.DecodeRune(encoded[:n])
	switch {
	case r == utf8.RuneError && size <= 1:
		return 0, "escapes that are not UTF-8"
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
		return 0, "an invisible character"
	default:
		return 3 * size, ""
	}
}

// unescape decodes the percent escape that s begins with.
func unescape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := hexDigit(s[1]), hexDigit(s[2])
	return high<<4 | low, high < 16 && low < 16
}

// hexDigit returns the value of a hexadecimal digit, or 16.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 16
	}
}

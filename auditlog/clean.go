package auditlog

// This file makes any string fit to stand in a record, and in a terminal.

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// minMarked is the least limit at which a string that was cut says so: below it
// the mark would be most of what is left.
const minMarked = 48

// Clean returns s as it may stand in a record: valid UTF-8 of at most limit
// bytes in which every character can be seen. A control character (line breaks
// and the escape of ANSI sequences among them) becomes its picture in Unicode,
// such as U+240A for a line feed. What is not UTF-8, U+2028 and U+2029, and the
// invisible characters that reverse or hide text become U+FFFD. A string that
// is too long is cut between two characters, and ends with how many bytes it
// had: "…(65536 bytes)". Cleaning a second time changes nothing.
func Clean(s string, limit int) string {
	if len(s) <= limit && isClean(s) {
		return s
	}
	return string(appendClean(nil, s, limit))
}

// isClean tells whether every character of s is kept as it is.
func isClean(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return isCleanUnicode(s[i:])
		case c < ' ' || c == 0x7f:
			return false
		}
	}
	return true
}

func isCleanUnicode(s string) bool {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return false
			}
		}
		if visible(r) != r {
			return false
		}
	}
	return true
}

// visible is the character that stands for r in a record.
func visible(r rune) rune {
	switch {
	case r < ' ':
		return 0x2400 + r // the control pictures
	case r < 0x7f:
		return r
	case r == 0x7f:
		return 0x2421
	case unicode.IsGraphic(r):
		return r
	default:
		return utf8.RuneError
	}
}

// appendClean appends what Clean returns to dst.
func appendClean(dst []byte, s string, limit int) []byte {
	start := len(dst)
	room := max(limit, 0)
	mark := ""
	for pass := range 2 {
		if done := appendVisible(&dst, s, start+room); done {
			return append(dst, mark...)
		}
		if pass == 0 && limit >= minMarked {
			mark = "…(" + strconv.Itoa(len(s)) + " bytes)"
			room -= len(mark)
		}
		if pass == 0 && mark != "" {
			dst = dst[:start]
			continue
		}
		break
	}
	return append(dst, mark...)
}

// appendVisible appends the characters of s to dst as long as it does not grow
// beyond end bytes, and reports whether it has appended them all.
func appendVisible(dst *[]byte, s string, end int) bool {
	for _, r := range s {
		r = visible(r)
		if len(*dst)+utf8.RuneLen(r) > end {
			return false
		}
		*dst = utf8.AppendRune(*dst, r)
	}
	return true
}

package tableauapi

// This file holds Tableau's errors: the codes, the body in the shapes of the
// several APIs, and a text that is safe to log.

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tableau's error codes, as its REST API Reference ("Handling Errors") and
// clients have them. The first three digits are the HTTP status. Those from
// 502000 on are no codes of the REST API; they have its shape for answers of
// a proxy.
const (
	CodeBadRequest         = "400000"
	CodeNotSignedIn        = "401000" // no token was sent, or the session is past its time-out
	CodeSignInFailed       = "401001" // wrong credentials, unknown site, expired token; see [Error.SubCode]
	CodeInvalidToken       = "401002" // the session is dead, or (JWT) lacks the scope of the method
	CodeDataSourceSignIn   = "401003" // Pulse: the data source's own credential failed, not the session
	CodeForbidden          = "403004" // role or permissions do not allow it
	CodeListSitesForbidden = "403069" // Tableau Cloud does not list sites
	CodeAlreadyOnSite      = "403070" // switchSite to the site of the session
	CodeFeatureDisabled    = "403157"
	CodeAPIAccessMissing   = "403800" // VizQL Data Service: the "API Access" capability is missing
	CodeSiteNotFound       = "404000"
	CodePathNotFound       = "404003" // also what old servers answer to serverinfo
	CodeMethodNotAllowed   = "405000"
	CodeTooManyRequests    = "429000"
	CodeBadGateway         = "502000"
	CodeServiceUnavailable = "503000"
	CodeGatewayTimeout     = "504000"
)

// maxErrorText is how long the text of an Error gets, in bytes, give or take
// one character.
const maxErrorText = 1024

// An Error is the body of an answer that refuses something.
type Error struct {
	Code    string // digits, such as "401002"
	Summary string
	Detail  string
}

// Error returns "code: summary: detail" on one line: characters that do not
// print are escaped, and the text is cut off after a KiB.
func (e *Error) Error() string {
	var b strings.Builder
	for _, part := range []string{e.Code, e.Summary, e.Detail} {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		if !writePrintable(&b, part, maxErrorText) {
			b.WriteString("...")
			break
		}
	}
	if b.Len() == 0 {
		return "tableau error without a code"
	}
	return b.String()
}

// writePrintable appends s until b holds limit bytes, with everything escaped
// that a log or a terminal could take for more than text. It reports whether
// all of s went in.
func writePrintable(b *strings.Builder, s string, limit int) bool {
	for len(s) > 0 {
		if b.Len() >= limit {
			return false
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0]), 16))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return true
}

// Status returns the HTTP status that the code implies: its first three
// digits, or 0 if they are no error status.
func (e *Error) Status() int {
	if !isErrorCode(e.Code) {
		return 0
	}
	status, err := strconv.Atoi(e.Code[:3])
	if err != nil || status < 400 || status > 599 {
		return 0
	}
	return status
}

// Encode returns the body in Tableau's shape. Text that the format cannot
// carry (invalid UTF-8, control characters in XML) is replaced by U+FFFD. No
// part is left empty, because the Tableau Server Client takes an error without
// a summary and a detail for something that is not Tableau's.
func (e *Error) Encode(f Format) []byte {
	summary, detail := e.Summary, e.Detail
	if summary == "" {
		summary = "Error"
	}
	if detail == "" {
		detail = summary
	}
	if f == JSON {
		return encodeJSON(jsonError{jsonErrorBody{Summary: summary, Detail: detail, Code: e.Code}})
	}
	var w xmlWriter
	w.open("tsResponse", "xmlns", namespace)
	w.open("error", "code", e.Code)
	w.leaf("summary", summary)
	w.leaf("detail", detail)
	w.shut("error")
	w.shut("tsResponse")
	return w.document()
}

type jsonError struct {
	Error jsonErrorBody `json:"error"`
}

type jsonErrorBody struct {
	Summary string `json:"summary"`
	Detail  string `json:"detail"`
	Code    string `json:"code"`
}

// DecodeError reads the body of a refusal in any of Tableau's shapes: that of
// the REST API in XML or JSON, that of the VizQL Data Service (errorCode and
// message) and that of Pulse (code and message). For the latter two the
// message becomes the detail. It reports false for everything else, and for a
// body over 64 KiB.
func DecodeError(body []byte) (*Error, bool) {
	e, err := readError(body)
	return e, err == nil
}

func readError(body []byte) (*Error, error) {
	root, err := decode(body, "tsResponse", responseNamespaces)
	if err != nil {
		return nil, err
	}
	r := reader{}
	e := &Error{}
	switch inner := r.object(root, "error"); {
	case inner != nil:
		e.Code = r.text(inner, "code")
		e.Summary = r.text(inner, "summary")
		e.Detail = r.text(inner, "detail")
	case root.has("errorCode"):
		e.Code = r.text(root, "errorCode")
		e.Detail = r.text(root, "message")
	default:
		e.Code = r.text(root, "code")
		e.Detail = r.text(root, "message")
	}
	if !isErrorCode(e.Code) {
		r.fail(errors.New("there is no error of Tableau's in it"))
	}
	if r.err != nil {
		return nil, r.err
	}
	return e, nil
}

// isErrorCode tells Tableau's codes, which are numbers of six digits today,
// from words that other servers put in the same place.
func isErrorCode(code string) bool {
	return len(code) >= 3 && len(code) <= 9 && strings.Trim(code, "0123456789") == ""
}

package tableauapi

// This file finds out whether a text that is about to be logged, recorded or
// told repeats a secret.

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
)

// echoRun is how many bytes in a row of a secret, or of a form of it, are too
// many for a text that anybody may read.
const echoRun = 8

// EchoedIn reports whether text repeats the secret: eight bytes in a row of it,
// or all if there are fewer, as they are, as Go, JSON, XML or a URL quotes them,
// or in base64 or hexadecimal, also as a part of something longer.
func (s Secret) EchoedIn(text string) bool {
	value := s.Reveal()
	if value == "" || text == "" {
		return false
	}
	runs := make(map[uint64]struct{}, len(text))
	for i := 0; i+echoRun <= len(text); i++ {
		runs[binary.LittleEndian.Uint64([]byte(text[i:i+echoRun]))] = struct{}{}
	}
	for _, form := range echoForms(value) {
		if len(form) < echoRun {
			if form != "" && strings.Contains(text, form) {
				return true
			}
			continue
		}
		for i := 0; i+echoRun <= len(form); i++ {
			if _, ok := runs[binary.LittleEndian.Uint64([]byte(form[i:i+echoRun]))]; ok {
				return true
			}
		}
	}
	return false
}

// echoForms are the ways in which a text may write a secret.
func echoForms(value string) []string {
	quoted, _ := json.Marshal(value) // a string can be
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(value)) // a Builder takes everything
	forms := []string{
		value, unquoted(strconv.Quote(value)), unquoted(strconv.QuoteToASCII(value)), unquoted(string(quoted)),
		escaped.String(), strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(value),
		url.QueryEscape(value), url.PathEscape(value),
		hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value))),
	}
	for skip := range 3 { // base64 takes three bytes at a time, wherever it began
		rest := []byte(value)[min(skip, len(value)):]
		rest = rest[:len(rest)/3*3]
		forms = append(forms, base64.StdEncoding.EncodeToString(rest), base64.URLEncoding.EncodeToString(rest))
	}
	return forms
}

func unquoted(s string) string { return s[1 : len(s)-1] }

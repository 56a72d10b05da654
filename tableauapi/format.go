package tableauapi

// This file decides between the two formats that the REST API speaks.

import (
	"strconv"
	"strings"
)

// A Format is how a body is written.
type Format int

// The formats of the REST API. Tableau's default is XML.
const (
	XML Format = iota
	JSON
)

// ContentType returns the media type exactly as Tableau sends it: clients
// such as Tableau's Postman collection compare the whole string.
func (f Format) ContentType() string {
	if f == JSON {
		return "application/json;charset=utf-8"
	}
	return "application/xml;charset=utf-8"
}

// NegotiateFormat chooses the format of an answer from the values of the
// request's Accept header and the first byte of its body that is not white
// space, 0 if there is none. It is JSON if Accept names application/json, as
// at Tableau; a JSON body without a usable Accept (none, or wildcards only) is
// answered in JSON too. Everything else is XML.
func NegotiateFormat(accept []string, bodyFirst byte) Format {
	usable := false
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			media, params, _ := strings.Cut(item, ";")
			media = strings.ToLower(strings.TrimSpace(media))
			switch {
			case media == "" || refusedByWeight(params):
			case media == "application/json":
				return JSON
			case media != "*/*" && media != "application/*":
				usable = true
			}
		}
	}
	if bodyFirst == '{' && !usable {
		return JSON
	}
	return XML
}

// refusedByWeight reports whether the parameters of a media range hold a
// weight of zero, "not acceptable" (RFC 9110, section 12.4.2).
func refusedByWeight(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return err == nil && weight == 0
	}
	return false
}

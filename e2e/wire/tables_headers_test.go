// This file has the table of headers that are not the client's to send: each in
// every spelling, at every place, once and often, with every method.

package wire

import "strings"

// notTheirs are headers that a client must not get through.
var notTheirs = []string{
	"X-Tableau-Auth", "X-Tableau-Site", "X-Tableau-User", "X-Tableau-Impersonate", "Authorization", "Cookie",
	"Proxy-Authorization", "Proxy-Connection", "Proxy-User", "Forwarded",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Forwarded-Email",
	"X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Port", "X-Forwarded-Method", "X-Forwarded-Access-Token",
	"X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Original-Host", "X-Rewrite-Url", "X-Rewrite-Path",
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "Keep-Alive", "Te", "Upgrade", "Http2-Settings",
}

// A spelling writes a header's name in another way.
type spelling struct {
	name  string
	write func(string) string
	valid bool // still a name that HTTP allows
}

var spellings = []spelling{
	{"as it is", func(s string) string { return s }, true},
	{"lower case", strings.ToLower, true},
	{"upper case", strings.ToUpper, true},
	{"alternating case", alternating, true},
	{"underscores", func(s string) string { return strings.ReplaceAll(s, "-", "_") }, true},
	{"lower case with underscores", func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }, true},
	{"one underscore", func(s string) string { return strings.Replace(s, "-", "_", 1) }, true},
	{"dots", func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", ".") }, true},
	{"a dot and an underscore", func(s string) string {
		return strings.ToLower(strings.ReplaceAll(strings.Replace(s, "-", ".", 1), "-", "_"))
	}, true},
	{"spaces", func(s string) string { return strings.ReplaceAll(s, "-", " ") }, false},
	{"a space at the end", func(s string) string { return s + " " }, false},
	{"a space at the beginning", func(s string) string { return " " + s }, false},
	{"a tab at the end", func(s string) string { return s + "\t" }, false},
	{"a Kelvin sign or a long s", func(s string) string { return strings.NewReplacer("k", "\u212a", "s", "\u017f").Replace(s) + "\u200b" }, false},
	{"a NUL at the end", func(s string) string { return s + "\x00" }, false},
	{"a colon at the beginning", func(s string) string { return ":" + strings.ToLower(s) }, false},
}

func alternating(s string) string {
	b := []byte(strings.ToLower(s))
	for i := 0; i < len(b); i += 2 {
		b[i] = strings.ToUpper(s)[i]
	}
	return string(b)
}

// A place is where the header stands.
type place struct {
	name string
	put  func(*message, []field)
}

var places = []place{
	{"before the others", func(m *message, f []field) { m.first = f }},
	{"after the others", func(m *message, f []field) { m.fields = append(m.fields, f...) }},
	{"as a trailer", func(m *message, f []field) { m.chunked, m.trailers = true, f }},
	{"as a trailer that is announced", func(m *message, f []field) {
		m.chunked, m.trailers = true, f
		m.fields = append(m.fields, field{"Trailer", f[len(f)-1].name})
	}},
	{"named by Connection", func(m *message, f []field) {
		m.first = f
		m.fields = append(m.fields, field{"Connection", f[len(f)-1].name + ", x-tableau-auth"})
	}},
}

// repetitions are the values of the header, which make it one or several.
var repetitions = [][]string{
	{secret},
	{secret, secret + "-again"},
	{"", "workgroup_session_id=" + secret, strings.Repeat("x", 2000) + secret},
}

func headerTable(add func(message)) {
	for _, name := range notTheirs {
		for _, s := range spellings {
			for _, where := range places {
				for _, values := range repetitions {
					for _, c := range calls {
						for _, h2 := range protocols {
							add(headerMessage(name, s, where, values, c, h2))
						}
					}
				}
			}
		}
	}
}

// folded is the header before one that begins with a space, which makes that one
// a part of its value (RFC 9112, section 5.2).
const folded = "X-Folded"

// fields are headers with the name in this spelling.
func (s spelling) fields(name string, values ...string) (fields []field) {
	written := s.write(name)
	for _, v := range values {
		if written[0] == ' ' {
			fields = append(fields, field{folded, "x"})
		}
		fields = append(fields, field{written, v})
	}
	return fields
}

func headerMessage(name string, s spelling, where place, values []string, c call, h2 bool) message {
	m := c.message("headers", h2)
	m.row = name + ", " + s.name + ", " + where.name
	fields := s.fields(name, values...)
	where.put(&m, fields)
	if m.want == passes && !s.removable(name, where, h2) {
		m.want = whatever
	}
	return m
}

// removable tells whether a request goes through without the header. Of some
// headers the proxy or Caddy itself makes something, and HTTP/2 knows neither
// upper case nor the headers of connections.
func (s spelling) removable(name string, where place, h2 bool) bool {
	written := s.write(name)
	isTrailer := strings.HasPrefix(where.name, "as a trailer")
	switch {
	case !s.valid:
		return false
	case h2 && (written != strings.ToLower(written) || isTrailer || where.name == "named by Connection"):
		return false
	case isTrailer:
		return where.name == "as a trailer"
	}
	switch strings.ToLower(written) {
	case "x-tableau-auth", "x-tableau-site", "authorization":
		return false
	case "te", "upgrade", "keep-alive", "proxy-connection":
		return !h2
	default:
		return true
	}
}

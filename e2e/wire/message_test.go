// This file says what a request of the corpus is, and how it is written as
// bytes of HTTP/1.1 and as fields of HTTP/2.

package wire

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// secret is in every value that must not reach Tableau.
	secret = "hostile-secret"
	// password is what people authenticate to Caddy with.
	password = "client-password"
	// headerID marks a request, upstream and in the answer.
	headerID = "X-Wire-Id"
	// noID stands where the mark of a request is put when it is sent.
	noID = "wire-000000"
)

// A want is what has to become of a request, where that is certain.
type want int

const (
	// whatever: the invariants have to hold, and nothing else is asked.
	whatever want = iota
	// passes: Tableau has to get it.
	passes
	// refused: Tableau must not get it.
	refused
)

// A listener is one of the proxy's.
type listener int

const (
	plain    listener = iota // HTTP/1.1 in the clear; names come from passwords
	overTLS                  // TLS; names come from passwords
	byHeader                 // TLS; names come from a header, as behind another proxy
)

// A field is a header or a trailer as it stands on the wire.
type field struct{ name, value string }

// A message is one request of the corpus.
type message struct {
	class, row string // table and entry
	h2         bool
	to         listener
	user       string // who sends it; "" for nobody
	method     string
	target     string
	host       string
	version    string  // of HTTP/1, "HTTP/1.1" if empty
	first      []field // before the usual ones
	fields     []field // after them
	body       string
	chunked    bool
	trailers   []field
	raw        string // HTTP/1.1: instead of all of the above
	named      string // by a header of the table and not as usual
	want       want
}

// authorization is the value of a client's password header.
func authorization(user string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// identity is the usual field that says who sends a message.
func (m *message) identity() []field {
	switch {
	case m.user == "":
		return nil
	case m.to == byHeader:
		return []field{{remoteUser, m.user}}
	default:
		return []field{{"Authorization", authorization(m.user)}}
	}
}

// sender is whose session a message may go on with.
func (m *message) sender() string { return cmp.Or(m.named, m.user) }

// relaxed is a message that need not go through.
func (m message) relaxed() message {
	if m.want == passes {
		m.want = whatever
	}
	return m
}

// bytes writes a message as HTTP/1.1 has it, with noID as its mark.
func (m *message) bytes() string {
	if m.raw != "" {
		return m.raw
	}
	var b strings.Builder
	version := m.version
	if version == "" {
		version = "HTTP/1.1"
	}
	b.WriteString(m.method + " " + m.target + " " + version + "\r\n")
	for _, f := range m.first {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	if m.host != "" {
		b.WriteString("Host: " + m.host + "\r\n")
	}
	b.WriteString(headerID + ": " + noID + "\r\n")
	for _, f := range m.identity() {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	for _, f := range m.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	switch {
	case m.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if m.body != "" {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(m.body), m.body)
		}
		b.WriteString("0\r\n")
		for _, f := range m.trailers {
			b.WriteString(f.name + ": " + f.value + "\r\n")
		}
	case m.body != "":
		b.WriteString("Content-Length: " + strconv.Itoa(len(m.body)) + "\r\n")
	}
	b.WriteString("\r\n")
	if !m.chunked {
		b.WriteString(m.body)
	}
	return b.String()
}

// frames lists the header fields that a message has in HTTP/2, with noID as its
// mark. Names that stand in the usual spelling are in lower case there.
func (m *message) frames() []field {
	list := []field{{":method", m.method}, {":scheme", "https"}, {":authority", m.host}, {":path", m.target}}
	list = append(list, lowered(m.first)...)
	list = append(list, field{strings.ToLower(headerID), noID})
	for _, f := range m.identity() {
		list = append(list, field{strings.ToLower(f.name), f.value})
	}
	list = append(list, lowered(m.fields)...)
	if m.body != "" && !m.chunked {
		list = append(list, field{"content-length", strconv.Itoa(len(m.body))})
	}
	return list
}

// usual are the names whose spelling is not what is tried.
var usual = []string{
	"Trailer", "Content-Type", "Connection", "Upgrade", "HTTP2-Settings", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Expect", "Host",
	"X-Other", folded,
}

// lowered spells the names of HTTP/1's own fields as HTTP/2 has them. The others
// stay as they are: their spelling is what is tried.
func lowered(fields []field) []field {
	list := make([]field, len(fields))
	for i, f := range fields {
		if slices.Contains(usual, f.name) {
			f.name = strings.ToLower(f.name)
		}
		list[i] = f
	}
	return list
}

// hash tells messages apart by what is sent, whatever their class and mark.
func (m *message) hash() [sha256.Size]byte {
	if !m.h2 {
		return sha256.Sum256([]byte(fmt.Sprint(m.to) + " " + m.bytes()))
	}
	return sha256.Sum256(fmt.Appendf(nil, "h2 %d %q %q %q", m.to, m.frames(), m.body, m.trailers))
}

func (m *message) String() string {
	protocol := "HTTP/1.1"
	if m.h2 {
		protocol = "HTTP/2"
	}
	return fmt.Sprintf("%s, %s: %s %s %s", m.class, m.row, protocol, m.method, strconv.QuoteToASCII(m.target))
}

// These tests send what makes two servers disagree about where a request ends,
// with another person's request behind it on the same connection.

package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Marks of the three requests of a permutation.
const (
	front  = "wire-front0"
	hidden = "wire-hidden"
	behind = "wire-behind"
)

// A permutation is one way to hide a request.
type permutation struct {
	name string
	// text is what is sent first.
	text string
	// answers are the statuses that come back, the last for what is behind it;
	// 0 is the end of the connection.
	answers []int
	// reach are the marks of what Tableau gets whole, in this order.
	reach []string
}

// inner is the request that is hidden. It has a password, so that it would go
// through if it were one.
var inner = "GET " + workbooks + "?hidden HTTP/1.1\r\nHost: proxy.example\r\nAuthorization: " + authorization("alice") + "\r\n" + headerID + ": " + hidden + "\r\n\r\n"

// victim is the request behind it, and the last of its connection.
var victim = "GET " + workbooks + "?behind HTTP/1.1\r\nHost: proxy.example\r\nAuthorization: " + authorization("bob") + "\r\n" + headerID + ": " + behind + "\r\nConnection: close\r\n\r\n"

// post is the beginning of a request with a body.
func post(lines string) string {
	return "POST /api/metadata/graphql HTTP/1.1\r\nHost: proxy.example\r\nContent-Type: application/json\r\nAuthorization: " +
		authorization("alice") + "\r\n" + headerID + ": " + front + "\r\n" + lines
}

// get is the beginning of one without.
func get(lines string) string {
	return strings.Replace(strings.Replace(post(lines), "POST /api/metadata/graphql", "GET "+workbooks, 1), "Content-Type: application/json\r\n", "", 1)
}

// inChunks is text as one chunk.
func inChunks(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// What becomes of most of them.
var (
	ok          = []int{200, 200, 0}      // two requests
	passThrough = []string{front, behind} // both go through
	bad         = []int{400, 0}           // no request
	unknown     = []int{501, 0}           // a coding that nobody knows
	broken      = []int{400, 0}           // a body that breaks off: so does what Tableau gets
	ends        = []int{200, 0}           // the connection ends after chunks, lest somebody in front counts by a length
	alone       = []string{front}
)

var permutations = []permutation{
	{"nothing hidden", post("Content-Length: 34\r\n\r\n") + query, ok, passThrough},
	{"a request in a body with a length", post(fmt.Sprintf("Content-Length: %d\r\n\r\n", len(inner))) + inner, []int{400, 200, 0}, passThrough},
	{"a request in a chunk", post("Transfer-Encoding: chunked\r\n\r\n") + inChunks(inner) + "0\r\n\r\n", []int{400, 0}, alone},
	{"two requests in a row", post("Content-Length: 34\r\n\r\n") + query + inner, []int{200, 200, 200, 0}, []string{front, hidden, behind}},

	// net/http reads the chunks, and takes the length away before anybody sees that
	// both were there. So the connection ends after every body in chunks, and what
	// follows is not read (RFC 9112, section 6.3).
	{"CL.TE", post(fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n", 5+len(inner))) + "0\r\n\r\n" + inner, []int{400, 0}, alone},
	{"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n") + inChunks(inner) + "0\r\n\r\n", []int{400, 0}, alone},
	{"CL.0", post(fmt.Sprintf("Content-Length: %d\r\nContent-Length: 0\r\n\r\n", len(inner))) + inner, bad, nil},
	{"0.CL", post(fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(inner))) + inner, bad, nil},
	{"CL.CL, the same", post("Content-Length: 34\r\nContent-Length: 34\r\n\r\n") + query, ok, passThrough},
	{"CL.CL in one line", post("Content-Length: 34, 34\r\n\r\n") + query, bad, nil},
	{"CL with a sign", post("Content-Length: +34\r\n\r\n") + query, bad, nil},
	{"CL in hexadecimal", post("Content-Length: 0x22\r\n\r\n") + query, bad, nil},
	{"CL with a space before the colon", post("Content-Length : 34\r\n\r\n") + query, bad, nil},
	{"CL in a folded line", post("X-Other: x\r\n Content-Length: 34\r\n\r\n") + inner, []int{400, 200, 200, 0}, []string{front, hidden, behind}},
	{"CL in underscores", post("Content_Length: 34\r\n\r\n") + inner, []int{400, 200, 200, 0}, []string{front, hidden, behind}},
	{"CL of a GET", get(fmt.Sprintf("Content-Length: %d\r\n\r\n", len(inner))) + inner, ok, passThrough},
	{"CL with a NUL", post("Content-Length: 34\x00\r\n\r\n") + query, bad, nil},

	{"TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n") + inChunks(query) + "0\r\n\r\n", unknown, nil},
	{"TE with a space before the colon", post("Transfer-Encoding : chunked\r\nContent-Length: 34\r\n\r\n") + query, bad, nil},
	{"TE behind a tab", post("Transfer-Encoding:\tchunked\r\n\r\n") + inChunks(query) + "0\r\n\r\n", ends, alone},
	{"TE behind a vertical tab", post("Transfer-Encoding: \x0bchunked\r\nContent-Length: 34\r\n\r\n") + query, bad, nil},
	{"TE in a folded line", post("Transfer-Encoding:\r\n chunked\r\n\r\n") + inChunks(query) + "0\r\n\r\n", ends, alone},
	{"TE in a folded line of another", post("X-Other: x\r\n Transfer-Encoding: chunked\r\nContent-Length: 34\r\n\r\n") + query, ok, passThrough},
	{"TE with quotes", post("Transfer-Encoding: \"chunked\"\r\nContent-Length: 34\r\n\r\n") + query, unknown, nil},
	{"TE xchunked", post("Transfer-Encoding: xchunked\r\nContent-Length: 34\r\n\r\n") + query, unknown, nil},
	{"TE in capitals", post("TRANSFER-ENCODING: CHUNKED\r\n\r\n") + inChunks(query) + "0\r\n\r\n", ends, alone},
	{"TE in underscores", post("Transfer_Encoding: chunked\r\nContent-Length: 34\r\n\r\n") + query, ok, passThrough},
	{"TE chunked, identity", post("Transfer-Encoding: chunked, identity\r\n\r\n") + inChunks(query) + "0\r\n\r\n", unknown, nil},
	{"TE identity with a length", post("Transfer-Encoding: identity\r\nContent-Length: 34\r\n\r\n") + query, unknown, nil},
	{"TE behind a line that ends with LF alone", post("X-Other: x\nTransfer-Encoding: chunked\r\nContent-Length: 34\r\n\r\n") + query, broken, nil},
	{"TE behind a bare CR", post("X-Other: x\rTransfer-Encoding: chunked\r\nContent-Length: 34\r\n\r\n") + query, bad, nil},
	{"TE named by Connection", post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n") + inChunks(query) + "0\r\n\r\n", ends, alone},
	{"CL named by Connection", post("Connection: Content-Length\r\nContent-Length: 34\r\n\r\n") + query, ok, passThrough},
	{"TE of a GET", get("Transfer-Encoding: chunked\r\n\r\n") + inChunks(inner) + "0\r\n\r\n", ends, alone},

	{"a chunk extension", post("Transfer-Encoding: chunked\r\n\r\n") + "22;x=y\r\n" + query + "\r\n0\r\n\r\n", ends, alone},
	{"a chunk extension with a line end", post("Transfer-Encoding: chunked\r\n\r\n") + "22;x=\"\r\n" + query + "\r\n0\r\n\r\n", ends, alone},
	{"a chunk extension with LF alone", post("Transfer-Encoding: chunked\r\n\r\n") + "22;x\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk extension with a bare CR", post("Transfer-Encoding: chunked\r\n\r\n") + "22;x\ry\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a long chunk extension", post("Transfer-Encoding: chunked\r\n\r\n") + "22;" + strings.Repeat("x", 20000) + "\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk size with LF alone", post("Transfer-Encoding: chunked\r\n\r\n") + "22\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk that ends with LF alone", post("Transfer-Encoding: chunked\r\n\r\n") + "22\r\n" + query + "\n0\r\n\r\n", broken, nil},
	{"a last chunk with LF alone", post("Transfer-Encoding: chunked\r\n\r\n") + "22\r\n" + query + "\r\n0\n\n", broken, nil},
	{"a chunk size with leading zeros", post("Transfer-Encoding: chunked\r\n\r\n") + "00000022\r\n" + query + "\r\n0\r\n\r\n", ends, alone},
	{"a chunk size that overflows", post("Transfer-Encoding: chunked\r\n\r\n") + "10000000000000022\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk size with 0x", post("Transfer-Encoding: chunked\r\n\r\n") + "0x22\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk size with a sign", post("Transfer-Encoding: chunked\r\n\r\n") + "+22\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a negative chunk size", post("Transfer-Encoding: chunked\r\n\r\n") + "-1\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk size behind a space", post("Transfer-Encoding: chunked\r\n\r\n") + " 22\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk size before a space", post("Transfer-Encoding: chunked\r\n\r\n") + "22 \r\n" + query + "\r\n0\r\n\r\n", ends, alone},
	{"an empty chunk size", post("Transfer-Encoding: chunked\r\n\r\n") + "\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a chunk that is longer than its size", post("Transfer-Encoding: chunked\r\n\r\n") + "21\r\n" + query + "\r\n0\r\n\r\n", broken, nil},
	{"a trailer that is a request", post("Transfer-Encoding: chunked\r\n\r\n") + inChunks(query) + "0\r\n" + inner, broken, nil},
	{"trailers that frame", post("Transfer-Encoding: chunked\r\n\r\n") + inChunks(query) + "0\r\nContent-Length: 200\r\nTransfer-Encoding: chunked\r\n\r\n", ends, alone},

	// RFC 9112, section 2.2, lets a server read LF as the end of a line.
	{"lines that end with LF alone", strings.ReplaceAll(post("Content-Length: 34\r\n\r\n"), "\r\n", "\n") + query, ok, passThrough},
	{"a head that ends with LF alone", post("Content-Length: 34\r\n\n") + query, ok, passThrough},
	{"a head that ends with CR CR LF", post("Content-Length: 34\r\n\r\r\n") + query, bad, nil},
	{"an empty line before", "\r\n" + post("Content-Length: 34\r\n\r\n") + query, bad, nil},
	{"a space before the first header", strings.Replace(post("Content-Length: 34\r\n\r\n"), "Host:", " Host:", 1) + query, bad, nil},
	{"a line without a colon", post("X-Other\r\nContent-Length: 34\r\n\r\n") + query, bad, nil},
	{"a request line in a header's name", post("GET / HTTP/1.1\r\nContent-Length: 34\r\n\r\n") + query, bad, nil},
	{"a request line with a tab", strings.Replace(post("Content-Length: 34\r\n\r\n"), " HTTP/1.1", "\tHTTP/1.1", 1) + query, bad, nil},
	{"a request line with two spaces", strings.Replace(post("Content-Length: 34\r\n\r\n"), " HTTP/1.1", "  HTTP/1.1", 1) + query, bad, nil},
	{"a target with a request", strings.Replace(get("\r\n"), workbooks, workbooks+"%20HTTP/1.1%0d%0aX-Wire-Id:%20"+hidden+"%0d%0a%0d%0a", 1), []int{400, 200, 0}, []string{behind}},
	{"a query with a request", strings.Replace(get("\r\n"), workbooks, workbooks+"?a=%20HTTP/1.1%0d%0aX-Wire-Id:%20"+hidden+"%0d%0a%0d%0a", 1), ok, passThrough},
	{"a header with a bare CR", get("X-Other: a\r" + headerID + ": " + hidden + "\r\n\r\n"), bad, nil},
	{"a header with a NUL", get("X-Other: a\x00b\r\n\r\n"), bad, nil},

	{"HTTP/1.0 with a length", strings.Replace(post("Content-Length: 34\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1) + query, []int{200, 0}, []string{front}},
	{"HTTP/1.0 that is kept", strings.Replace(post("Connection: keep-alive\r\nContent-Length: 34\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1) + query, []int{200, 0}, []string{front}},
	{"HTTP/1.0 with TE", strings.Replace(post("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1) + inChunks(inner) + "0\r\n\r\n", []int{400, 0}, []string{front}},
	{"HTTP/1.0 with TE and CL", strings.Replace(post("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 34\r\n\r\n"), "HTTP/1.1", "HTTP/1.0", 1) + query, []int{200, 0}, []string{front}},
	{"HTTP/0.9", "GET " + workbooks + "\r\n", bad, nil},

	{"Expect with a body", post("Expect: 100-continue\r\nContent-Length: 34\r\n\r\n") + query, ok, passThrough},
	{"Expect with an early answer and a request as body", strings.Replace(post(fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(inner))), "/api/metadata/graphql", "/web", 1) + inner, []int{404, 0}, nil},
	{"an early answer and a request as body", strings.Replace(post(fmt.Sprintf("Content-Length: %d\r\n\r\n", len(inner))), "/api/metadata/graphql", "/web", 1) + inner, []int{404, 0}, nil},
	{"an early answer and a request as chunk", strings.Replace(post("Transfer-Encoding: chunked\r\n\r\n"), "/api/metadata/graphql", "/web", 1) + inChunks(inner) + "0\r\n\r\n", []int{404, 0}, nil},
	{"an unknown expectation with a request as body", post(fmt.Sprintf("Expect: x\r\nContent-Length: %d\r\n\r\n", len(inner))) + inner, []int{417, 0}, nil},
	{"CONNECT with a request behind", "CONNECT tableau.example:443 HTTP/1.1\r\nHost: tableau.example:443\r\nAuthorization: " + authorization("alice") + "\r\n\r\n" + inner, []int{405, 0}, nil},
	{"Upgrade with a request behind", get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n") + inner, []int{200, 200, 200, 0}, []string{front, hidden, behind}},
	{"Upgrade to h2c with a request behind", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n") + inner, []int{200, 200, 200, 0}, []string{front, hidden, behind}},
	{"HEAD with a body", strings.Replace(get(fmt.Sprintf("Content-Length: %d\r\n\r\n", len(inner))), "GET", "HEAD", 1) + inner, []int{405, 200, 0}, passThrough},
	{"a call under /auth/ with a request behind", strings.Replace(post("Content-Length: 0\r\n\r\n"), "/api/metadata/graphql", api+"/auth/signout", 1) + inner, []int{204, 200, 200, 0}, []string{hidden, behind}},
	{"a sign-in with a body that is too long", strings.Replace(post(fmt.Sprintf("Content-Length: %d\r\n\r\n", 300<<10+len(inner))), "/api/metadata/graphql", api+"/auth/signin", 1) + strings.Repeat(" ", 300<<10) + inner, []int{400, 200, 0}, []string{behind}},
}

func TestNothingIsSmuggledPastTheListener(t *testing.T) {
	p := startProxy(t, setup{})
	warm(t, p)
	for _, c := range permutations {
		for _, to := range []listener{plain, overTLS} {
			t.Run(fmt.Sprintf("%s, listener %d", c.name, to), func(t *testing.T) { c.try(t, p, to) })
		}
	}
}

// warm lets both people sign in.
func warm(t *testing.T, p *proxy) {
	t.Helper()
	c := newClient(p)
	defer c.close()
	for _, user := range users {
		m := message{user: user, to: plain, method: "GET", target: workbooks, host: "x"}
		if a, err := c.send(&m, mark(0)); err != nil || a.status != 200 {
			t.Fatalf("%v: %+v", err, a)
		}
	}
	p.take()
}

// try sends a permutation with a victim behind it, and holds the answers and
// what Tableau got against what is expected.
func (c permutation) try(t *testing.T, p *proxy, to listener) {
	conn, err := p.dial(to, false)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, c.text+victim); err != nil && !isClosed(err) {
		t.Fatal(err)
	}
	answers := readAnswers(t, conn, c.text)
	var reach []string
	for _, s := range p.take() {
		if s.fault == "" {
			reach = append(reach, s.id())
		}
		c.judge(t, p, s)
	}
	if fmt.Sprint(answers) != fmt.Sprint(c.answers) || fmt.Sprint(reach) != fmt.Sprint(c.reach) {
		t.Errorf("answers %v, Tableau got %v; want %v and %v", answers, reach, c.answers, c.reach)
	}
}

// judge looks at a request that reached Tableau: it must be one of the three, and
// that of who sent it.
func (c permutation) judge(t *testing.T, p *proxy, s *seen) {
	t.Helper()
	user := map[string]string{front: "alice", hidden: "alice", behind: "bob"}[s.id()]
	tokens := s.values("x-tableau-auth")
	if len(tokens) != 1 || user == "" || p.owner(tokens[0]) != user {
		t.Errorf("Tableau got %q, marked %q, with %d sessions: %q", s.line, s.id(), len(tokens), p.owner(strings.Join(tokens, "")))
	}
	if s.id() == behind && (!strings.HasSuffix(s.path(), "?behind") || s.body != "") {
		t.Errorf("the request behind has become %q with %d bytes of body", s.line, len(s.body))
	}
	if holdsSecret(s.text()) && s.id() != front {
		t.Error("Tableau got a password of the client")
	}
}

// readAnswers reads answers until the connection is closed, for which it puts 0.
func readAnswers(t *testing.T, conn net.Conn, text string) (statuses []int) {
	t.Helper()
	method, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), " ")
	r := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err, ok := errors.AsType[net.Error](err); ok && err.Timeout() {
			t.Error("the connection was left open")
		}
		if err != nil {
			return append(statuses, 0)
		}
		switch res.StatusCode {
		case http.StatusContinue, http.StatusEarlyHints:
			continue
		case http.StatusSwitchingProtocols:
			t.Error("the connection was given over")
		}
		_, _ = io.Copy(io.Discard, res.Body)
		statuses, method = append(statuses, res.StatusCode), "GET"
	}
}

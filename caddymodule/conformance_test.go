package caddymodule

// This file runs the same scenes through tableau_proxy, and through tableau_auth
// with reverse_proxy: what the client gets and what Tableau gets has to be the
// same, header for header. Beside that, each scene says what it must be.

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"
)

func fingerprintOf(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:8] }

// A plainScene is a request that is made at once, and its answer.
type plainScene struct {
	name   string
	method string // default: GET
	header http.Header
	body   string
	chunks bool // the body is sent without a length
	// reply is what Tableau sends, line for line, and text what comes behind the
	// headers. Without reply it is a plain 200.
	reply  []string
	text   string
	status int    // that the client must get
	broken bool   // the answer must break off
	want   string // what has to be among the notes
	not    string // and what not
}

var (
	ok = "HTTP/1.1 200 OK"
	// chunked has a type, too: whether net/http sniffs one depends on whether the
	// headers go out before the first part of the body.
	chunked  = "Content-Type: text/plain\r\nTransfer-Encoding: chunked"
	huge     = strings.Repeat("0123456789abcdef", 320<<10) // 5 MiB
	longLine = strings.Repeat("a", 12<<10)
)

var plainScenes = []plainScene{
	{name: "GET", status: 200, want: "X-Tableau-Auth: " + scriptedToken},
	{name: "HEAD", method: "HEAD", reply: []string{ok, "Content-Length: 12345", "Content-Type: application/json"}, status: 200, want: "12345"},
	{name: "HEAD without a length", method: "HEAD", reply: []string{ok, "Content-Type: application/json"}, status: 200},
	{name: "POST without a body", method: "POST", status: 200},
	{name: "PUT without a body", method: "PUT", status: 200},
	{name: "PATCH without a body", method: "PATCH", status: 200},
	{name: "DELETE without a body", method: "DELETE", status: 200},
	{name: "DELETE with a body", method: "DELETE", body: "x", status: 200},
	{name: "GET with a body", body: "a body", status: 200},
	{name: "POST with a length", method: "POST", body: "a body", status: 200, want: `body "a body"`},
	{name: "POST in chunks", method: "POST", body: "a body", chunks: true, status: 200, want: `body "a body"`},
	{name: "PUT of 5 MiB", method: "PUT", body: huge, status: 200},
	{name: "PUT of 5 MiB in chunks", method: "PUT", body: huge, chunks: true, status: 200},
	{name: "5 MiB", reply: []string{ok, "Content-Length: 5242880"}, text: huge, status: 200},
	{name: "5 MiB until the end of the connection", reply: []string{ok, "Content-Type: a/b", "Connection: close"}, text: huge, status: 200},
	{name: "204", method: "DELETE", reply: []string{"HTTP/1.1 204 No Content"}, status: 204},
	{name: "205", method: "POST", reply: []string{"HTTP/1.1 205 Reset Content", "Content-Length: 0"}, status: 205},
	{name: "304", header: headers("If-None-Match", `"a"`), reply: []string{"HTTP/1.1 304 Not Modified", `Etag: "a"`, "Cache-Control: max-age=1"}, status: 304},
	{name: "redirect to somewhere", reply: []string{"HTTP/1.1 302 Found", "Location: https://elsewhere.example/a?b#c", "Content-Length: 0"}, status: 302, want: "elsewhere.example"},
	{name: "relative redirect", reply: []string{"HTTP/1.1 307 Temporary Redirect", "Location: ../b", "Content-Length: 0"}, status: 307},
	{name: "404", reply: []string{"HTTP/1.1 404 Not Found", "Content-Length: 2"}, text: "no", status: 404},
	{name: "401 that is not about a session", reply: []string{"HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Basic", "Content-Length: 2"}, text: "no", status: 401},
	{name: "500", reply: []string{"HTTP/1.1 500 Internal Server Error", "Content-Length: 2"}, text: "no", status: 500},
	{name: "503 with Retry-After", reply: []string{"HTTP/1.1 503 Service Unavailable", "Retry-After: 7", "Content-Length: 0"}, status: 503, want: `Retry-After: ["7"]`},
	{name: "a status that nobody knows", reply: []string{"HTTP/1.1 599 Odd", "Content-Length: 0"}, status: 599},
	{name: "chunks", reply: []string{ok, chunked}, text: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", status: 200, want: `body "abcde"`},
	{name: "no Content-Type", reply: []string{ok, "Content-Length: 6"}, text: "<html>", status: 200},
	{name: "HTTP/1.0", reply: []string{"HTTP/1.0 200 OK", "Content-Type: a/b"}, text: "old", status: 200, want: "1.0 Caddy"},
	{name: "gzip as it is", header: headers("Accept-Encoding", "gzip, br"), reply: []string{ok, "Content-Encoding: gzip", "Content-Length: 4"}, text: "\x1f\x8b\x08\x00", status: 200, want: "Accept-Encoding: gzip, br"},
	{name: "no Accept-Encoding", status: 200, not: "Accept-Encoding"},
	{name: "no User-Agent", header: http.Header{"User-Agent": {""}}, status: 200, not: "User-Agent"},
	{name: "a User-Agent", header: headers("User-Agent", "tabcmd/2.0"), status: 200, want: "User-Agent: tabcmd/2.0"},
	{name: "large headers", header: headers("X-Large", longLine), reply: []string{ok, "X-Large: " + longLine, "Content-Length: 0"}, status: 200, want: "X-Large: " + longLine},
	{name: "repeated headers", header: headers("X-Repeated", "one", "X-Repeated", "two"), reply: []string{ok, "X-Repeated: a", "X-Repeated: b", "Content-Length: 0"}, status: 200, want: `X-Repeated: ["a" "b"]`},
	{name: "empty headers", header: headers("X-Empty", ""), reply: []string{ok, "X-Empty:", "Content-Length: 0"}, status: 200},
	{name: "headers that the front sets too", reply: []string{ok, "X-Own: theirs", "Via: 1.0 upstream", "Server: Tableau", "Content-Length: 0"}, status: 200, want: `X-Own: ["mine" "theirs"]`},
	{name: "hop-by-hop headers of the answer", reply: []string{
		ok, "Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Alt-Svc: h3=\":443\"", "Upgrade: h2c", "Te: x", "Content-Length: 0",
	}, status: 200, not: "X-Hop"},
	{name: "Via of the client", header: headers("Via", "1.1 before", "Via", "1.0 earlier"), status: 200, want: "Via: 1.0 earlier"},
	{name: "X-Forwarded-* of a stranger", header: headers("X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "evil", "Forwarded", "for=1.2.3.4", "X-Forwarded-Port", "1"), status: 200, want: "X-Forwarded-For: 127.0.0.1\n", not: "evil"},
	{name: "hop-by-hop headers of the client", header: headers("Te", "trailers", "Keep-Alive", "1", "Proxy-Connection", "x", "Proxy-Authorization", "x"), status: 200, not: "Te:"},
	{name: "early data and conditions", header: headers("Early-Data", "1", "Range", "bytes=0-1", "If-Match", `"b"`), reply: []string{"HTTP/1.1 206 Partial Content", "Content-Range: bytes 0-1/9", "Content-Length: 2"}, text: "ab", status: 206},
	{name: "incremental", method: "POST", header: headers("Incremental", "?1"), body: "x", reply: []string{ok, "Content-Type: a/b", "Incremental: ?1", "Content-Length: 2"}, text: "ab", status: 200},
	{name: "incremental without a body", header: headers("Incremental", "?1"), status: 200},
	{name: "trailers, announced", reply: []string{ok, chunked, "Trailer: X-Sum, X-More"}, text: "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", status: 200, want: "X-Sum:[1]"},
	{name: "trailers, not announced", reply: []string{ok, chunked}, text: "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", status: 200, want: "X-Sum:[1]"},
	{name: "trailers, some announced", reply: []string{ok, chunked, "Trailer: X-Sum"}, text: "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", status: 200, want: "X-More:[2]"},
	{name: "trailers, announced and not sent", reply: []string{ok, chunked, "Trailer: X-Sum"}, text: "3\r\nabc\r\n0\r\n\r\n", status: 200},
	{name: "trailers that hold a session", reply: []string{ok, chunked, "Trailer: X-Tableau-Auth"}, text: "3\r\nabc\r\n0\r\nX-Tableau-Auth: x\r\nX-Other: 1\r\n\r\n", status: 200},
	{name: "interim answers", reply: []string{
		"HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload", "Connection: X-Hop", "X-Hop: 1", "", "HTTP/1.1 103 Early Hints", "Link: </b>", "Set-Cookie: a=b", "", ok, "Content-Length: 2",
	}, text: "ab", status: 200, want: "interim 103"},
	{name: "interim answers only", reply: []string{"HTTP/1.1 103 Early Hints", "Link: </a>"}, status: 502, want: "tableau_unreachable"},
	{name: "nothing", reply: []string{}, status: 502, want: "tableau_unreachable"},
	{name: "half a head", reply: []string{ok, "Content-Le"}, status: 502},
	{name: "no HTTP", reply: []string{"SSH-2.0-OpenSSH_9.6"}, status: 502},
	{name: "two lengths", reply: []string{ok, "Content-Length: 1", "Content-Length: 2"}, text: "ab", status: 502},
	{name: "less than announced", reply: []string{ok, "Content-Length: 10"}, text: "abc", status: 200, broken: true},
	{name: "much less than announced", reply: []string{ok, "Content-Length: 9242880"}, text: huge, status: 200, broken: true},
	{name: "chunks that end", reply: []string{ok, chunked}, text: "3\r\nabc\r\n", status: 200, broken: true},
	{name: "chunks that are none", reply: []string{ok, chunked}, text: "3\r\nabc\r\nzz\r\n", status: 200, broken: true},
	{name: "an empty answer that breaks off", reply: []string{ok, chunked}, status: 200, broken: true},
	{name: "another protocol", reply: []string{"HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"}, text: "ab", status: 502, want: "tableau_unreachable"},
}

// fresh has a new connection to Tableau for each request, so that none depends on
// what was before.
var fresh = stageSetup{transport: "keepalive off"}

func TestConformance(t *testing.T) {
	th := newTheatre(t, fresh)
	for _, scene := range plainScenes {
		th.play(t, scene.name, scene.play)
	}
}

func (p plainScene) play(t *testing.T, s *stage) {
	s.script(func(c *scriptedCall) {
		body, trailers := c.body()
		s.saw("body %q, trailers %q", shortened(body), trailers)
		p.act(c)
	})
	method := p.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if p.body != "" {
		body = strings.NewReader(p.body)
	}
	if p.chunks {
		body = io.MultiReader(body)
	}
	a := s.do(s.request(t, method, body, p.header))
	if a.Response == nil {
		t.Fatal(a.err)
	}
	if a.StatusCode != p.status || p.broken != (a.err != nil) {
		t.Errorf("status %d, broken off: %v, want %d, %t", a.StatusCode, a.err, p.status, p.broken)
	}
	notes := strings.Join(s.noted(), "\n")
	if p.want != "" && !strings.Contains(notes, p.want) {
		t.Errorf("%q is nowhere in\n%s", p.want, notes)
	}
	if p.not != "" && strings.Contains(notes, p.not) {
		t.Errorf("%q is in\n%s", p.not, notes)
	}
}

// act sends the answer of the scene.
func (p plainScene) act(c *scriptedCall) {
	if p.reply == nil {
		c.answer("200 OK", "Content-Type: application/json", "{}")
		return
	}
	if len(p.reply) > 0 {
		c.send(append(p.reply, "")...)
	}
	c.text(p.text)
}

// Trusted proxies may say who their client is.
func TestConformanceBehindATrustedProxy(t *testing.T) {
	th := newTheatre(t, stageSetup{transport: fresh.transport, servers: "trusted_proxies static 127.0.0.0/8"})
	for _, scene := range []plainScene{
		{name: "nothing said", status: 200, want: "X-Forwarded-For: 127.0.0.1\n"},
		{name: "all said", header: headers("X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "5.6.7.8", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "outside.example"), status: 200, want: "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1\n"},
		{name: "said twice", header: headers("X-Forwarded-Proto", "http", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "a", "X-Forwarded-Host", "b"), status: 200, want: "X-Forwarded-Host: b\n"},
		{name: "said to be nothing", header: headers("X-Forwarded-For", "", "X-Forwarded-Proto", "", "X-Forwarded-Host", ""), status: 200},
	} {
		th.play(t, scene.name, scene.play)
	}
}

// rawScenes are what no http.Client would send, over HTTP/1.1.
var rawScenes = []struct {
	name  string
	lines []string
	want  string
}{
	{"WebSocket is not for us", []string{"GET " + scriptedPath + " HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", "", ""}, "X-Status: 200"},
	{"Connection names headers", []string{"GET " + scriptedPath + " HTTP/1.1", "Host: a", "Connection: close, X-Tableau-Auth, Via, X-Forwarded-For", "", ""}, "X-Status: 200"},
	{"an absolute address", []string{"GET http://user:secret@elsewhere.example" + scriptedPath + "?a=b HTTP/1.1", "Host: a", "Connection: close", "", ""}, "X-Status: 200"},
	{"a query that others would clean", []string{"GET " + scriptedPath + "?a;b=%zz&&filter=name:eq:x+y& HTTP/1.1", "Host: a", "Connection: close", "", ""}, "X-Status: 200"},
	{"an empty query", []string{"GET " + scriptedPath + "? HTTP/1.1", "Host: a", "Connection: close", "", ""}, "X-Status: 200"},
	{"HTTP/1.0", []string{"GET " + scriptedPath + " HTTP/1.0", "", ""}, "X-Status: 200"},
	{"trailers", []string{"POST " + scriptedPath + " HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Sum", "", "3", "abc", "0", "X-Sum: 1", "X-Other: 2", "", ""}, "X-Status: 200"},
	{"headers in lower case", []string{"GET " + scriptedPath + " HTTP/1.1", "host: a", "x-any: 1", "accept: a", "accept: b", "connection: close", "", ""}, "X-Status: 200"},
	{"header and address that differ", []string{"GET " + scriptedPath + " HTTP/1.1", "Host: tableau.example:99", "Connection: close", "", ""}, "X-Status: 200"},
	{"a method that the API does not know", []string{"OPTIONS " + scriptedPath + " HTTP/1.1", "Host: a", "Connection: close", "", ""}, "405"},
}

func TestConformanceOfRawRequests(t *testing.T) {
	th := newTheatre(t, fresh)
	for _, scene := range rawScenes {
		th.play(t, scene.name, func(t *testing.T, s *stage) {
			if s.version != 1 {
				return
			}
			s.script(func(c *scriptedCall) {
				body, trailers := c.body()
				s.saw("body %q, trailers %q", body, trailers)
				c.answer("200 OK", "Content-Type: application/json", "{}")
			})
			if got := s.raw(t, scene.lines...); !strings.Contains(got, scene.want) {
				t.Errorf("%q is not in the answer\n%s", scene.want, got)
			}
		})
	}
}

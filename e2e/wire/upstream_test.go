// This file holds the server behind the proxy: the simulated Tableau on a server
// of HTTP/1.1 that reads its connections byte for byte, keeps what it read, and
// takes nothing for granted that net/http would tidy up.

package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// maxBody bounds the bodies that the server reads.
const maxBody = 8 << 20

// A seen is one request as it came on a connection to Tableau.
type seen struct {
	connection, number int
	line               string  // the request line
	fields             []field // as they stood on the wire
	trailers           []field
	body               string
	fault              string // why it could not be read, or was not complete
}

// values are the values of all fields whose name a lenient server could take
// for name.
func (s *seen) values(name string) (values []string) {
	for _, f := range s.fields {
		if normal(f.name) == name {
			values = append(values, f.value)
		}
	}
	return values
}

// id is the mark of the request, or "".
func (s *seen) id() string {
	if ids := s.values(normal(headerID)); len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// path is the path with the query, as it stood in the request line.
func (s *seen) path() string {
	parts := strings.Split(s.line, " ")
	if len(parts) != 3 {
		return s.line
	}
	return parts[1]
}

// An upstream is the server behind the proxy.
type upstream struct {
	*tableautest.Tableau
	t        testing.TB
	listener net.Listener
	caPEM    []byte
	echo     bool // errors repeat what was presented

	mu          sync.Mutex
	requests    []*seen
	owners      map[string]string // user by token
	connections int
	open        map[net.Conn]bool
	working     sync.WaitGroup
}

// newUpstream starts the server, for HTTP/1.1 over TLS only.
func newUpstream(t testing.TB, options tableautest.Options, echo bool) *upstream {
	t.Helper()
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	defer certificates.Close()
	config := &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{
		Tableau: tableautest.New(options), t: t, echo: echo, listener: tls.NewListener(inner, config),
		caPEM:  (&tableautest.Server{HTTP: certificates}).CAPEM(),
		owners: make(map[string]string), open: make(map[net.Conn]bool),
	}
	u.working.Go(u.accept)
	t.Cleanup(u.close)
	return u
}

// address is the host and port of the server.
func (u *upstream) address() string { return u.listener.Addr().String() }

func (u *upstream) close() {
	_ = u.listener.Close()
	u.mu.Lock()
	for conn := range u.open {
		_ = conn.Close()
	}
	u.mu.Unlock()
	u.working.Wait()
}

func (u *upstream) accept() {
	for {
		conn, err := u.listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.connections++
		number := u.connections
		u.open[conn] = true
		u.mu.Unlock()
		u.working.Go(func() {
			u.serve(conn, number)
			_ = conn.Close()
			u.mu.Lock()
			delete(u.open, conn)
			u.mu.Unlock()
		})
	}
}

// serve answers the requests of one connection, one after the other.
func (u *upstream) serve(conn net.Conn, number int) {
	r := bufio.NewReader(conn)
	for i := 1; ; i++ {
		s, err := readHead(r)
		if err != nil {
			return // nothing came, or nothing more
		}
		s.connection, s.number = number, i
		if s.fault == "" {
			s.readBody(r, conn)
		}
		// It is in the books before it is answered, so that who has the answer
		// finds it there.
		u.mu.Lock()
		u.requests = append(u.requests, s)
		u.mu.Unlock()
		if s.fault != "" || u.answer(conn, s) != nil {
			return
		}
	}
}

// readHead reads up to the empty line. Lines end with CR LF and nothing else.
func readHead(r *bufio.Reader) (*seen, error) {
	s := new(seen)
	for first := true; ; first = false {
		line, err := r.ReadString('\n')
		if err != nil {
			if first && line == "" {
				return nil, err
			}
			s.fault = "a head that ends in its middle"
			return s, nil
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		switch name, value, colon := strings.Cut(text, ":"); {
		case !ok:
			s.fault = "a line that ends with LF alone"
			return s, nil
		case first:
			s.line = text
		case text == "":
			return s, nil
		case !colon:
			s.fault = "a header line without a colon"
			return s, nil
		default:
			s.fields = append(s.fields, field{name, strings.Trim(value, " \t")})
		}
	}
}

// readBody reads the body in the framing that the head announces.
func (s *seen) readBody(r *bufio.Reader, w io.Writer) {
	lengths, codings := s.values("content-length"), s.values("transfer-encoding")
	if len(s.values("expect")) > 0 {
		_, _ = io.WriteString(w, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	var err error
	switch {
	case len(lengths)+len(codings) == 0:
	case len(lengths) == 1 && len(codings) == 0:
		err = s.readSized(r, lengths[0])
	case len(codings) == 1 && len(lengths) == 0 && codings[0] == "chunked":
		err = s.readChunks(r)
	default:
		err = fmt.Errorf("ambiguous framing: Content-Length %q, Transfer-Encoding %q", lengths, codings)
	}
	if err != nil {
		s.fault = err.Error()
	}
}

func (s *seen) readSized(r io.Reader, length string) error {
	n, err := strconv.ParseUint(length, 10, 32)
	if err != nil || n > maxBody || length != strconv.FormatUint(n, 10) {
		return fmt.Errorf("Content-Length %q", length)
	}
	body := make([]byte, n)
	got, err := io.ReadFull(r, body)
	s.body = string(body[:got])
	if err != nil {
		return errors.New("a body that ends in its middle")
	}
	return nil
}

func (s *seen) readChunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return errors.New("a body that ends in its middle")
		}
		size, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 32)
		if err != nil || size > maxBody {
			return fmt.Errorf("chunk size %q", line)
		}
		if size == 0 {
			return s.readTrailers(r)
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(r, chunk); err != nil || string(chunk[size:]) != "\r\n" {
			return errors.New("a chunk that does not end where it should")
		}
		s.body += string(chunk[:size])
	}
}

func (s *seen) readTrailers(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return errors.New("trailers that end in their middle")
		}
		if line == "\r\n" {
			return nil
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), ":")
		s.trailers = append(s.trailers, field{name, strings.TrimSpace(value)})
	}
}

// answer lets the simulator answer, and adds to the answer what a client must
// never get: the session, in headers, in an interim answer and in trailers.
func (u *upstream) answer(w io.Writer, s *seen) error {
	req, err := s.request()
	if err != nil {
		return err
	}
	rec := httptest.NewRecorder()
	u.ServeHTTP(rec, req)
	u.note(s, rec)
	token := strings.Join(s.values("x-tableau-auth"), ",")
	var b bytes.Buffer
	if token != "" {
		fmt.Fprintf(&b, "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\nX-Tableau-Auth: %s\r\nSet-Cookie: workgroup_session_id=%s\r\nX-Debug: %s\r\n\r\n", token, token, token)
	}
	status, body := rec.Code, rec.Body.Bytes()
	if u.echo && (status >= 400 || s.echoes()) {
		status, body = max(status, 400), append(body, s.text()...)
	}
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	header := rec.Header()
	header.Del("Content-Length")
	header.Set(headerID, s.id())
	if token != "" {
		header.Set("X-Wire-Owner", u.owner(token))
		header.Set("X-Tableau-Auth", token)
		header.Add("Set-Cookie", "workgroup_session_id="+token)
		header.Add("X-Debug", "token="+token)
	}
	_ = header.Write(&b)
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		b.WriteString("\r\n")
	case strings.HasPrefix(s.line, "HEAD "):
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	case token != "":
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\nTrailer: X-Tableau-Auth\r\n\r\n")
		if len(body) > 0 {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(body), body)
		}
		fmt.Fprintf(&b, "0\r\nX-Tableau-Auth: %s\r\nX-Debug: %s\r\n\r\n", token, token)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// echoes tells whether a sign-in is one of those that are refused with a
// repetition of what they presented.
func (s *seen) echoes() bool { return strings.Contains(s.subject(), "echo") }

// text is what a refusal repeats.
func (s *seen) text() string {
	var b strings.Builder
	for _, f := range s.fields {
		b.WriteString(f.name + ": " + f.value + "\n")
	}
	return b.String() + s.body
}

// request is the request for the simulator.
func (s *seen) request() (*http.Request, error) {
	parts := strings.Split(s.line, " ")
	if len(parts) != 3 {
		return nil, fmt.Errorf("request line %q", s.line)
	}
	address, err := url.ParseRequestURI(parts[1])
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(context.Background(), parts[0], "https://tableau.example/", strings.NewReader(s.body))
	if err != nil {
		return nil, err
	}
	req.URL, req.RequestURI = address, parts[1]
	for _, f := range s.fields {
		req.Header.Add(f.name, f.value)
	}
	req.Host, req.RemoteAddr = req.Header.Get("Host"), "127.0.0.1:1"
	return req, nil
}

var (
	jwtInBody   = regexp.MustCompile(`jwt["=:\s]+([\w-]+\.[\w-]+\.[\w-]+)`)
	tokenInBody = regexp.MustCompile(`token["=:\s]+([^"\s]+\|[^"\s]+\|[^"\s]+)"`)
)

// subject is the user that a sign-in is for, by its JWT.
func (s *seen) subject() string {
	jwt := jwtInBody.FindStringSubmatch(s.body)
	if jwt == nil || !strings.Contains(s.line, "/auth/signin ") {
		return ""
	}
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(jwt[1], ".")[1])
	var claims struct {
		Sub string `json:"sub"`
	}
	_ = json.Unmarshal(payload, &claims)
	return claims.Sub
}

// note remembers whom a session was given to.
func (u *upstream) note(s *seen, rec *httptest.ResponseRecorder) {
	user := s.subject()
	token := tokenInBody.FindStringSubmatch(rec.Body.String())
	if user == "" || token == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.owners[token[1]] = user
}

// owner is the user that a session was given to, or "".
func (u *upstream) owner(token string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.owners[token]
}

// tokens are all sessions that were given out.
func (u *upstream) tokens() (tokens []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for token := range u.owners {
		tokens = append(tokens, token)
	}
	return tokens
}

// take returns what was seen since the last time.
func (u *upstream) take() []*seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	requests := u.requests
	u.requests = nil
	return requests
}

package caddymodule

// This file holds the Tableau of the conformance tests: it signs everybody in,
// and does with all else what a script says, down to the byte.

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A scriptedTableau signs everybody in, and does with all else what the script
// says.
type scriptedTableau struct {
	net.Listener
	origin string
	script atomic.Pointer[func(*scriptedCall)]
}

// A scriptedCall is one request that has reached Tableau.
type scriptedCall struct {
	net.Conn
	reader *bufio.Reader
	head   string // every line of it, as it came
	keep   bool   // the connection is used again
	// by HTTP/2
	w http.ResponseWriter
	r *http.Request
}

const scriptedToken = "9f86d081884c7d659a2feaa0c55ad015|"

func newScriptedTableau(t testing.TB, secure bool, cert tls.Certificate) *scriptedTableau {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	u := &scriptedTableau{Listener: l, origin: "http://127.0.0.1:" + port}
	t.Cleanup(func() { u.Close() })
	if secure {
		u.origin = "https://127.0.0.1:" + port
		server := &http.Server{Handler: u, ReadHeaderTimeout: patience}
		t.Cleanup(func() { server.Close() })
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		go func() { _ = server.ServeTLS(l, "", "") }()
		return u
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

// play makes do the script of the calls that come.
func (u *scriptedTableau) play(do func(*scriptedCall)) {
	u.script.Store(&do)
}

// serve answers the calls of one connection. One that a script had to do with is
// closed, so that the next does not depend on what was before.
func (u *scriptedTableau) serve(conn net.Conn) {
	defer conn.Close()
	c := &scriptedCall{Conn: conn, reader: bufio.NewReader(conn)}
	for c.readHead() {
		line, _, _ := strings.Cut(c.head, "\n")
		switch {
		case strings.Contains(line, "/auth/signin"):
			_, _ = c.body()
			c.answer("200 OK", "Content-Type: application/xml", string(instantAnswer))
		case strings.Contains(line, "/auth/signout"):
			c.answer("204 No Content", "X: 1", "")
		case strings.Contains(line, "/serverinfo"), strings.Contains(line, "/sessions/current"):
			c.answer("404 Not Found", "X: 1", "")
		default:
			c.keep = false
			(*u.script.Load())(c)
			if !c.keep {
				return
			}
		}
	}
}

// ServeHTTP implements http.Handler, for HTTP/2.
func (u *scriptedTableau) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.Contains(r.URL.Path, "/auth/signin"):
		w.Header().Set("Content-Type", "application/xml")
		_, _ = w.Write(instantAnswer)
	case strings.Contains(r.URL.Path, "/auth/signout"):
		w.WriteHeader(http.StatusNoContent)
	case strings.Contains(r.URL.Path, "/serverinfo"), strings.Contains(r.URL.Path, "/sessions/current"):
		w.WriteHeader(http.StatusNotFound)
	default:
		head, _ := httputil.DumpRequest(r, false)
		lines := strings.Split(strings.TrimSpace(string(head)), "\r\n")
		slices.Sort(lines[1:])
		(*u.script.Load())(&scriptedCall{w: w, r: r, head: strings.Join(lines, "\n")})
	}
}

// readHead reads the request line and the headers.
func (c *scriptedCall) readHead() bool {
	var head strings.Builder
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			return false
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			break
		}
		head.WriteString(line + "\n")
	}
	c.head = head.String()
	return true
}

// header returns the value of a header of the request.
func (c *scriptedCall) header(name string) string {
	for line := range strings.SplitSeq(c.head, "\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}

// body reads the body of the request, and returns what is behind its last chunk.
func (c *scriptedCall) body() (body, trailers string) {
	if c.header("Transfer-Encoding") != "chunked" {
		n, _ := strconv.Atoi(c.header("Content-Length"))
		b := make([]byte, n)
		n, err := io.ReadFull(c.reader, b)
		if err != nil {
			return string(b[:n]) + " BROKEN", ""
		}
		return string(b), ""
	}
	b, err := io.ReadAll(httputil.NewChunkedReader(c.reader))
	if err != nil {
		return string(b) + " BROKEN", ""
	}
	for {
		line, err := c.reader.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "" {
			return string(b), trailers
		}
		trailers += line
	}
}

// send sends lines as they stand, each with its end.
func (c *scriptedCall) send(lines ...string) {
	_, _ = io.WriteString(c.Conn, strings.Join(lines, "\r\n")+"\r\n")
}

// text sends bytes as they stand.
func (c *scriptedCall) text(s string) { _, _ = io.WriteString(c.Conn, s) }

// chunk sends one chunk of a chunked body; an empty one is the last.
func (c *scriptedCall) chunk(s string) { c.text(fmt.Sprintf("%x\r\n%s\r\n", len(s), s)) }

// answer sends a whole answer with a length.
func (c *scriptedCall) answer(status, header, body string) {
	length := fmt.Sprintf("Content-Length: %d", len(body))
	if strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304") {
		length = "X-No-Body: 1"
	}
	c.text("HTTP/1.1 " + status + "\r\n" + header + "\r\n" + length + "\r\n\r\n" + body)
}

// gone waits until the proxy has let go of the connection.
func (c *scriptedCall) gone() error {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c.reader)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}

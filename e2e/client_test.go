// This file holds the clients: net/http's, with one version of HTTP each, and
// a bare connection.

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api is where the proxy's REST API begins.
const api = "/api/3.24"

// workbooks is a call whose answer depends on who asks.
const workbooks = api + "/sites/-/workbooks"

// A client speaks one version of HTTP to the proxy.
type client struct {
	rig   *rig
	name  string
	proto string // that answers must have
	base  string
	http  *http.Client
}

// An answer is a response that was read to its end.
type answer struct {
	status  int
	proto   string
	header  http.Header
	trailer http.Header
	length  int64
	body    []byte
}

// plain speaks HTTP/1.1 without TLS.
func (r *rig) plain() *client {
	return r.newClient("HTTP/1.1 in the clear", "HTTP/1.1", fmt.Sprintf("http://127.0.0.1:%d", r.conf.HTTP))
}

// h1 speaks HTTP/1.1 over TLS.
func (r *rig) h1() *client {
	return r.newClient("HTTP/1.1", "HTTP/1.1", fmt.Sprintf("https://localhost:%d", r.conf.HTTPS))
}

// h2 speaks HTTP/2.
func (r *rig) h2() *client {
	return r.newClient("HTTP/2", "HTTP/2.0", fmt.Sprintf("https://localhost:%d", r.conf.HTTPS))
}

func (r *rig) newClient(name, proto, base string) *client {
	transport := &http.Transport{
		Protocols:           new(http.Protocols),
		DisableCompression:  true,
		MaxIdleConnsPerHost: 64,
		TLSClientConfig:     &tls.Config{RootCAs: r.trust},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	transport.Protocols.SetHTTP1(proto == "HTTP/1.1")
	transport.Protocols.SetHTTP2(proto == "HTTP/2.0")
	r.t.Cleanup(transport.CloseIdleConnections)
	return &client{rig: r, name: name, proto: proto, base: base, http: &http.Client{
		Transport:     transport,
		Timeout:       time.Minute, // a GiB takes a few seconds
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// request makes a request of user; "" brings no password. Headers come in pairs.
func (c *client) request(method, user, path string, body io.Reader, headers ...string) *http.Request {
	c.rig.t.Helper()
	req, err := http.NewRequestWithContext(c.rig.t.Context(), method, c.base+path, body)
	if err != nil {
		c.rig.t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, clientPassword)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

// try sends a request and reads the answer.
func (c *client) try(req *http.Request) (answer, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	if res.Proto != c.proto {
		return answer{}, fmt.Errorf("the answer came by %s, want %s", res.Proto, c.proto)
	}
	return c.rig.read(res)
}

// do is try for a request that must be answered.
func (c *client) do(req *http.Request) answer {
	c.rig.t.Helper()
	a, err := c.try(req)
	if err != nil {
		c.rig.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return a
}

// get reads path as user.
func (c *client) get(user, path string, headers ...string) answer {
	c.rig.t.Helper()
	return c.do(c.request(http.MethodGet, user, path, nil, headers...))
}

// read reads an answer, keeps it as evidence, and looks for what no answer of
// the proxy may have.
func (r *rig) read(res *http.Response) (answer, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := answer{status: res.StatusCode, proto: res.Proto, header: res.Header, trailer: res.Trailer, length: res.ContentLength, body: body}
	r.keepAnswer(a)
	return a, err
}

// keepAnswer keeps an answer as evidence.
func (r *rig) keepAnswer(a answer) {
	for _, h := range []http.Header{a.header, a.trailer} {
		for _, name := range []string{"X-Tableau-Auth", "Set-Cookie"} {
			if len(h[name]) > 0 {
				r.t.Errorf("an answer (%d) has a header %s", a.status, name)
			}
		}
	}
	var b bytes.Buffer
	_ = a.header.Write(&b)
	_ = a.trailer.Write(&b)
	b.Write(a.body)
	r.kept.add(fmt.Sprintf("an answer with status %d", a.status), b.Bytes())
}

// expect fails the test unless the answer has the status.
func (a answer) expect(r *rig, status int) answer {
	r.t.Helper()
	if a.status != status {
		r.t.Fatalf("status %d, want %d, error %q:\n%s", a.status, status, a.header.Get(headerProxyError), r.kept.clean(string(a.body[:min(len(a.body), 2000)])))
	}
	return a
}

// headerProxyError names the code of the proxy's own answers.
const headerProxyError = "X-Tableau-Proxy-Error"

// dial opens a bare connection to the proxy, in the clear.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	conn, err := new(net.Dialer).DialContext(r.t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", r.conf.HTTP))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// raw sends bytes as they are and reads one answer.
func (r *rig) raw(method, text string) answer {
	r.t.Helper()
	conn := r.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := r.read(res)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// authorization is the header line of a client's password.
func authorization(user string) string {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, clientPassword)
	return "Authorization: " + req.Header.Get("Authorization") + "\r\n"
}

// adminCall calls the admin API on its Unix socket.
func (r *rig) adminCall(method, path, contentType string, body []byte) (answer, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.conf.Dir+"/admin")
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1"+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	return r.read(res)
}

// sitePath is path within the default site.
func sitePath(segments ...string) string {
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return api + "/sites/-/" + strings.Join(segments, "/")
}

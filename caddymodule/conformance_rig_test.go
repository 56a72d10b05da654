package caddymodule

// This file holds what shows that tableau_proxy, and tableau_auth with
// reverse_proxy, are one and the same to whoever talks to them: one Caddy with
// both, each by HTTP/1.1 and by HTTP/2, in front of one Tableau that does what a
// script says and keeps what it got, byte for byte.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/logging"
)

// A stageSetup is what differs between the configurations of the tests.
type stageSetup struct {
	servers   string // more options of the servers
	transport string // more options of the transport to Tableau
	site      string // more directives
	secure    bool   // Tableau speaks TLS, and HTTP/2
}

// A theatre is the Caddy with both forms, and the scripted Tableau behind it.
type theatre struct {
	up     *scriptedTableau
	doors  []door
	config func() []byte
}

// A door is one form by one protocol.
type door struct {
	form    string // tableau_proxy or reverse_proxy
	version int    // of HTTP
	base    string
	client  *http.Client
}

const (
	formForward = "tableau_proxy"
	formClassic = "reverse_proxy"
	// scriptedPath is a route that no operation is known for, so that any method
	// goes through.
	scriptedPath = api + "/sites/-/novelties"
)

// newTheatre starts everything.
func newTheatre(t *testing.T, s stageSetup) *theatre {
	t.Helper()
	logged.reset()
	t.Setenv(testSecret, strings.Repeat("s", 44))
	ca := newTestCA(t)
	cert := ca.issue(nil)
	th := &theatre{up: newScriptedTableau(t, s.secure, cert)}
	trust := ""
	if s.secure {
		trust = "\t\t\ttls_trust_pool file " + ca.file("ca.pem", ca.root()) + "\n"
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	certFile, keyFile := ca.files(cert)
	sites, ports := "", freePorts(t, 4)
	for _, form := range []string{formForward, formClassic} {
		for version, scheme := range map[int]string{1: "http", 2: "https"} {
			port := ports[len(th.doors)]
			d := door{form: form, version: version, base: scheme + "://localhost:" + port, client: stageClient(t, version, roots)}
			th.doors = append(th.doors, d)
			site, certificate := scheme+"://:"+port, "" // whatever Host says
			if version == 2 {
				site, certificate = d.base, "\ttls "+certFile+" "+keyFile+"\n"
			}
			sites += site + " {\n\tbind 127.0.0.1\n" + certificate + s.site + stageHeaders + stageHandlers(form, th.up.origin, trust+s.transport) + "}\n"
		}
	}
	slices.SortFunc(th.doors, func(a, b door) int { return a.version - b.version })
	storage := t.TempDir()
	th.config = func() []byte {
		config, err := adapt(fmt.Sprintf(stageGlobal, storage, s.servers) + sites)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	if err := caddy.Load(th.config(), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		if strings.Contains(string(logged.bytes()), scriptedToken) {
			t.Error("the log holds the session")
		}
	})
	return th
}

const stageGlobal = `{
	admin off
	persist_config off
	auto_https off
	skip_install_trust
	grace_period 10s
	storage file_system {
		root %s
	}
	log default {
		level DEBUG
		output test_memory
		format json
	}
	servers {
		protocols h1 h2
		%s
	}
}
`

// stageHeaders are set by a handler in front, one at once and the others with
// the answer.
const stageHeaders = `	header {
		+X-Own mine
		+Via before
	}
	header >X-Status "{http.reverse_proxy.status_code} {http.reverse_proxy.header.X-Repeated} {http.reverse_proxy.upstream.hostport}"
`

// stageHandlers are the directives of one form.
func stageHandlers(form, origin, transport string) string {
	options := `{
		site finance
		user alice
		scopes tableau:content:read
		unknown_routes tableau:content:read
		insecure_http
		credentials direct_trust {
			client_id 3f9a3a52-3b1d-4f38-9d5a-2f0f2a2b1c11
			secret 0c1d2e3f-1111-2222-3333-444455556666 {env.` + testSecret + `}
		}
		transport {
` + transport + `
		}
	}
`
	if strings.HasPrefix(origin, "https://") {
		options = strings.Replace(options, "\t\tinsecure_http\n", "", 1)
	}
	if form == formForward {
		return "\ttableau_proxy " + origin + " " + options
	}
	return "\ttableau_auth " + origin + " " + options + "\treverse_proxy " + origin + " {\n\t\ttransport tableau {\n" + transport + "\n\t\t}\n\t}\n"
}

// freePorts are ports that nothing listens on, each another.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, ports[i], _ = net.SplitHostPort(l.Addr().String())
	}
	return ports
}

// stageClient speaks one version of HTTP, and resolves localhost to where Caddy
// listens.
func stageClient(t *testing.T, version int, roots *x509.CertPool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetHTTP2(version == 2)
	transport := &http.Transport{
		DisableCompression: true, Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots},
		ExpectContinueTimeout: patience,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// play runs a scene at every door, and reports where the two forms differ.
func (th *theatre) play(t *testing.T, name string, scene func(*testing.T, *stage)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		seen := make(map[int]map[string][]string)
		for _, d := range th.doors {
			if seen[d.version] == nil {
				seen[d.version] = make(map[string][]string)
			}
			ok := t.Run(fmt.Sprintf("%s by HTTP %d", d.form, d.version), func(t *testing.T) {
				s := &stage{door: d, up: th.up}
				scene(t, s)
				seen[d.version][d.form] = s.noted()
			})
			if !ok {
				return
			}
		}
		for version, of := range seen {
			if diff := cmp.Diff(of[formClassic], of[formForward]); diff != "" {
				t.Errorf("by HTTP %d, the forms differ (-reverse_proxy +tableau_proxy):\n%s", version, diff)
			}
		}
	})
}

// A stage is one scene at one door. What the scene notes is compared.
type stage struct {
	door
	up     *scriptedTableau
	mu     sync.Mutex
	client []string
	there  []string
	leave  atomic.Bool // the client was told to send its body
}

// got notes something that the client saw.
func (s *stage) got(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = append(s.client, s.plain(fmt.Sprintf(format, args...)))
}

// saw notes something that Tableau saw.
func (s *stage) saw(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there = append(s.there, s.plain(fmt.Sprintf(format, args...)))
}

// plain puts a word in the place of the door's address.
func (s *stage) plain(text string) string {
	port := s.base[strings.LastIndexByte(s.base, ':')+1:]
	return strings.ReplaceAll(strings.ReplaceAll(text, "localhost:"+port, "DOOR"), ":"+port, ":DOOR")
}

func (s *stage) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append([]string{"client"}, s.client...), append([]string{"tableau"}, s.there...)...)
}

// script says what Tableau does with the next requests of this scene.
func (s *stage) script(do func(*scriptedCall)) {
	s.up.play(func(c *scriptedCall) {
		s.saw("%s", c.head)
		do(c)
	})
}

// request makes a request to the scripted path.
func (s *stage) request(t *testing.T, method string, body io.Reader, header http.Header) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.base+scriptedPath, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		if status == http.StatusContinue {
			s.leave.Store(true) // Tableau's, net/http's, or both: that is chance
		} else {
			s.got("interim %d %v", status, h)
		}
		return nil
	}}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
}

// A seenAnswer is what a client can tell of an answer.
type seenAnswer struct {
	*http.Response
	body string
	err  error // why the body broke off
}

// do sends a request and notes all of its answer.
func (s *stage) do(req *http.Request) seenAnswer {
	a := s.open(req)
	if a.Response != nil {
		s.finish(&a)
	}
	return a
}

// open sends a request and notes the beginning of its answer.
func (s *stage) open(req *http.Request) seenAnswer {
	res, err := s.door.client.Do(req)
	if err != nil {
		s.got("no answer")
		return seenAnswer{err: err}
	}
	res.Header.Del("Date")
	s.got("%s %s", res.Proto, res.Status)
	for _, name := range slices.Sorted(maps.Keys(res.Header)) {
		s.got("%s: %q", name, res.Header[name])
	}
	s.got("trailers announced: %v", slices.Sorted(maps.Keys(res.Trailer)))
	return seenAnswer{Response: res}
}

// finish reads the rest of an answer, and notes it.
func (s *stage) finish(a *seenAnswer) {
	defer a.Body.Close()
	rest, err := io.ReadAll(a.Body)
	a.body, a.err = a.body+string(rest), err
	s.got("framing: length %d, encoding %v, close %t", a.ContentLength, a.TransferEncoding, a.Close)
	s.got("body %q, broken %t", shortened(a.body), err != nil)
	s.got("trailers: %v", a.Trailer)
}

func shortened(s string) string {
	if len(s) <= 200 {
		return s
	}
	return fmt.Sprintf("%s... %d bytes, %x", s[:50], len(s), fingerprintOf(s))
}

// raw sends lines as they stand over HTTP/1.1, and notes the bytes of the answer.
func (s *stage) raw(t *testing.T, lines ...string) string {
	t.Helper()
	conn := s.dial(t)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	return s.readRaw(t, conn)
}

// dial opens a connection to an HTTP/1.1 door.
func (s *stage) dial(t *testing.T) net.Conn {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.base[strings.Index(s.base, "//")+2:])
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readRaw notes the bytes of the answer that comes.
func (s *stage) readRaw(t *testing.T, conn net.Conn) string {
	t.Helper()
	var got bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &got)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	var text strings.Builder
	for line := range strings.SplitSeq(got.String(), "\r\n") {
		if !strings.HasPrefix(line, "Date: ") {
			text.WriteString(line + "\n")
		}
	}
	s.got("%s", text.String())
	s.got("clean end: %t", err == nil)
	return text.String()
}

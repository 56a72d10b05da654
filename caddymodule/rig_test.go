package caddymodule

// This file holds what the tests share: a simulated Tableau, a real Caddy in
// this process in front of it, and a client. A process runs one Caddy, so the
// tests that use it do not run in parallel.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/requestbody"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/forwardauth"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	testSite     = "finance"
	testPassword = "correct horse"
	testSecret   = "CADDY_TABLEAU_TEST_SECRET"

	// patience ends tests that wait for what never comes.
	patience = 30 * time.Second
)

// testHash is testPassword as basic_auth wants it.
var testHash = sync.OnceValue(func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte(testPassword), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
})

func TestMain(m *testing.M) {
	caddy.RegisterModule(memoryLog{})
	os.Exit(m.Run())
}

// A rig is a simulated Tableau behind a Caddy.
type rig struct {
	*tableautest.Server
	app     tableautest.ConnectedApp
	address string // of Caddy
	loaded  bool
	fresh   func() string // an address for the next configuration
	storage string        // Caddy's
	client  *http.Client
	// reloaded says that no request was made since a configuration was loaded.
	reloaded atomic.Bool
	// sessionsMayStay says that the test makes sign-outs impossible.
	sessionsMayStay bool
}

// newRig starts a simulated Tableau. At the end of the test it stops Caddy, and
// checks what has to be true of every test: no secret in any log, no
// credential of a client at Tableau, no session left alive there.
func newRig(t testing.TB, opts tableautest.Options) *rig {
	t.Helper()
	r := &rig{Server: tableautest.NewTLSServer(opts), address: freeAddress(t), storage: t.TempDir()}
	r.fresh = func() string { return freeAddress(t) }
	r.app = r.ConnectedApp(testSite)
	t.Setenv(testSecret, r.app.Secrets[0].Value.Reveal())
	r.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	logged.reset()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		r.check(t)
		r.Close()
	})
	return r
}

func (r *rig) check(t testing.TB) {
	t.Helper()
	r.noLeak(t, "the log", logged.bytes())
	if left := r.Sessions(); len(left) > 0 && !r.sessionsMayStay {
		t.Errorf("%d sessions are alive after Caddy has stopped", len(left))
	}
	for _, e := range r.Journal() {
		if e.Authorization || e.Cookie || len(e.Trailers) > 0 || e.AuthTokens > 1 {
			t.Errorf("%s %s reached Tableau with Authorization: %t, Cookie: %t, trailers %v, %d X-Tableau-Auth",
				e.Method, e.Path, e.Authorization, e.Cookie, e.Trailers, e.AuthTokens)
		}
	}
}

func (r *rig) noLeak(t testing.TB, where string, content []byte) {
	t.Helper()
	if leaks := r.Leaks(content); len(leaks) > 0 {
		t.Errorf("%s holds secrets: %v", where, leaks)
	}
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A setup is the configuration of a test. What is empty has a default.
type setup struct {
	global  string // more global options
	before  string // directives of the site in front; default: basic_auth
	options string // of tableau_proxy, besides credentials and transport
	// transport are options of its transport, besides the CA.
	transport   string
	credentials string
	// handlers replaces tableau_proxy.
	handlers string
	after    string // more directives
}

const defaultOptions = `
		site finance
		user {http.auth.user.id}
		scopes tableau:content:read`

// caddyfile returns the configuration that s stands for.
func (r *rig) caddyfile(s setup) string {
	if s.before == "" {
		s.before = r.basicAuth()
	}
	if s.handlers == "" {
		s.handlers = "\ttableau_proxy " + r.URL + r.block(s)
	}
	return fmt.Sprintf(`{
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
%s
}
http://%s {
	log
%s
%s
%s
}
`, r.storage, s.global, r.address, s.before, s.handlers, s.after)
}

// block returns the options of tableau_proxy or tableau_auth in braces.
func (r *rig) block(s setup) string {
	if s.options == "" {
		s.options = defaultOptions
	}
	if s.credentials == "" {
		s.credentials = fmt.Sprintf("client_id %s\n\t\t\tsecret %s {env.%s}", r.app.ClientID, r.app.Secrets[0].ID, testSecret)
	}
	return fmt.Sprintf(` {
%s
		credentials direct_trust {
			%s
		}
		transport {
			%s
			%s
		}
	}`, s.options, s.credentials, r.trust(), s.transport)
}

// trust is the transport option that trusts the simulator's certificate.
func (r *rig) trust() string {
	return "tls_trust_pool inline {\n\t\t\t\ttrust_der " + base64.StdEncoding.EncodeToString(r.HTTP.Certificate().Raw) + "\n\t\t\t}"
}

// basicAuth lets everybody in who knows testPassword, under a few names.
func (r *rig) basicAuth() string {
	var b strings.Builder
	b.WriteString("\tbasic_auth {\n")
	for _, user := range []string{"alice", "bob", "carol", "mallory"} {
		fmt.Fprintf(&b, "\t\t%s %s\n", user, testHash())
	}
	b.WriteString("\t}")
	return b.String()
}

// adapt turns a Caddyfile into JSON.
func adapt(config string) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	return adapted, err
}

// try loads the configuration. One that takes the place of another listens
// elsewhere: while the old server ends, it may still accept a connection on an
// address that both listen on, and drop it.
func (r *rig) try(s setup) (err error) {
	before := r.address
	if r.loaded {
		r.address = r.fresh()
	}
	defer func() {
		if err != nil {
			r.address = before
		}
	}()
	adapted, err := adapt(r.caddyfile(s))
	if err != nil {
		return err
	}
	if err := caddy.Load(adapted, true); err != nil {
		return err
	}
	r.loaded = true
	return nil
}

// load loads the configuration, which must be good.
func (r *rig) load(t testing.TB, s setup) {
	t.Helper()
	if err := r.try(s); err != nil {
		t.Fatal(err)
	}
	r.reloaded.Store(true)
}

// started is a rig with the configuration loaded.
func started(t *testing.T, opts tableautest.Options, s setup) *rig {
	t.Helper()
	r := newRig(t, opts)
	r.load(t, s)
	return r
}

// An answer is what the client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string { return a.header.Get(headerProxyError) }

// A call is a request to make. User is who authenticates by basic_auth, if
// anybody; the path is sent as it stands.
type call struct {
	user, method, path, body string
	header                   http.Header
}

// api is where the paths of the REST API begin.
const api = "/api/3.24"

// do makes a request and checks that no secret is in its answer.
func (r *rig) do(t *testing.T, c call) answer {
	t.Helper()
	a, err := r.send(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r.inspect(t, a)
	return a
}

func (r *rig) send(ctx context.Context, c call) (answer, error) {
	if c.method == "" {
		c.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, c.method, "http://"+r.address+c.path, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	maps.Copy(req.Header, c.header)
	if c.user != "" {
		req.SetBasicAuth(c.user, testPassword)
	}
	res, err := r.client.Do(req)
	if r.reloaded.Swap(false) && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		// Both configurations listened at once, and the kernel had given the
		// connection to the one that was about to close (SO_REUSEPORT).
		again := req.Clone(ctx)
		again.Body = io.NopCloser(strings.NewReader(c.body))
		res, err = r.client.Do(again)
	}
	if err != nil {
		return answer{}, err
	}
	return readAnswer(res)
}

func readAnswer(res *http.Response) (answer, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// get makes a GET request as user.
func (r *rig) get(t *testing.T, user, path string, header ...string) answer {
	t.Helper()
	return r.do(t, call{user: user, path: path, header: headers(header...)})
}

// headers makes headers of names and values, whose spelling is kept.
func headers(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// raw sends lines as they stand, with what authenticates user.
func (r *rig) raw(t *testing.T, user string, lines ...string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	authorization := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+testPassword))
	head := append([]string{lines[0], "Host: " + r.address, authorization}, lines[1:]...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(lines[0], " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAnswer(res)
	if err != nil {
		t.Fatal(err)
	}
	r.inspect(t, a)
	return a
}

// inspect checks what has to be true of every answer.
func (r *rig) inspect(t *testing.T, a answer) {
	t.Helper()
	var b bytes.Buffer
	_ = a.header.Write(&b)
	b.WriteString(a.body)
	r.noLeak(t, "an answer", b.Bytes())
	if a.header["Set-Cookie"] != nil || a.header["X-Tableau-Auth"] != nil {
		t.Errorf("the answer has Set-Cookie %q and X-Tableau-Auth %q", a.header["Set-Cookie"], a.header["X-Tableau-Auth"])
	}
}

// signIns counts the sign-ins that Tableau accepted.
func (r *rig) signIns() int { return r.Server.SignIns(tableautest.SignInFilter{}) }

// data returns the journal's entries that are about no session.
func (r *rig) data() []tableautest.Entry {
	var found []tableautest.Entry
	for _, e := range r.Journal() {
		if !strings.Contains(e.Path, "/auth/") && !strings.HasSuffix(e.Path, "/sessions/current") {
			found = append(found, e)
		}
	}
	return found
}

// last returns the newest entry about no session.
func (r *rig) last(t *testing.T) tableautest.Entry {
	t.Helper()
	all := r.data()
	if len(all) == 0 {
		t.Fatal("nothing reached Tableau")
	}
	return all[len(all)-1]
}

// workbooks is the path of alice's and everybody's first request.
const workbooks = api + "/sites/-/workbooks"

// memoryLog is a log writer that keeps everything in the variable logged.
type memoryLog struct{}

func (memoryLog) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.test_memory", New: func() caddy.Module { return new(memoryLog) }}
}
func (memoryLog) String() string                                 { return "memory" }
func (memoryLog) WriterKey() string                              { return "test_memory" }
func (memoryLog) OpenWriter() (io.WriteCloser, error)            { return &logged, nil }
func (*memoryLog) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// logged is what Caddy has logged since the last reset.
var logged memory

type memory struct {
	mu      sync.Mutex
	entries []string
	changed chan struct{}
}

func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, string(b))
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
	return len(b), nil
}

func (*memory) Close() error { return nil }

func (m *memory) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = nil
}

func (m *memory) bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return []byte(strings.Join(m.entries, ""))
}

// since returns the entries from the n-th on, and a channel that is closed when
// there are more.
func (m *memory) since(n int) ([]string, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	return m.entries[min(n, len(m.entries)):], m.changed
}

// await returns the first entry from a logger whose fields hold what is wanted:
// records are written when the client has its answer already.
func await(t *testing.T, logger string, want map[string]any) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := 0; ; {
		entries, changed := logged.since(n)
		for _, e := range entries {
			if fields, ok := matches(e, logger, want); ok {
				return fields
			}
		}
		n += len(entries)
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the log has no entry of %s with %v:\n%s", logger, want, logged.bytes())
		}
	}
}

func matches(entry, logger string, want map[string]any) (map[string]any, bool) {
	fields := make(map[string]any)
	if json.Unmarshal([]byte(entry), &fields) != nil || fields["logger"] != logger {
		return nil, false
	}
	for name, value := range want {
		if fmt.Sprint(fields[name]) != fmt.Sprint(value) {
			return nil, false
		}
	}
	return fields, true
}

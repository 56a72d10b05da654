// This file runs the proxy: the real binary, with a Caddyfile of three listeners.

package wire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	// patience is how long anything may take that is only a matter of time.
	patience = 20 * time.Second
	// site is the content URL of the proxy's default site.
	site = "finance"
	// remoteUser is the header that names the sender at one listener.
	remoteUser = "X-Remote-User"
	// secretVariable is the environment variable with the secret.
	secretVariable = "TABLEAU_SECRET"
	// passwordHash is bcrypt of password, at the least cost.
	passwordHash = "$2a$04$ycxPaz/KKtDk8y9M/0LjUO6nJhM7gapyHmnVH.OtFHp6l1tuin2L6"
)

// A setup is what a test wants to be different.
type setup struct {
	Program  string // name of the binary; "caddy" if empty
	Level    string // "debug", or empty
	Routes   string // before tableau_proxy
	Behind   string // between tableau_auth and reverse_proxy, which then stand apart
	Trust    string // options of the transport besides the CA
	Names    string // how the listener that believes a header gets names
	LogAll   bool   // an access log
	Echo     bool   // Tableau repeats in its errors what it was given
	ClientID string
	SecretID string
	Dir      string
	Origin   string
	Ports    [3]int
}

var caddyfile = template.Must(template.New("Caddyfile").Parse(`{
	{{.Level}}
	admin unix/{{.Dir}}/admin
	skip_install_trust
	auto_https disable_redirects
	default_sni localhost
	persist_config off
	storage file_system {{.Dir}}/storage
	log audit {
		include tableau.audit
		output file {{.Dir}}/audit.log {
			roll_disabled
		}
	}
	metrics
}
(before) {
	bind 127.0.0.1
	header X-Wire-Request {http.request.uuid}
	{{if .LogAll}}log {
		output file {{.Dir}}/access.log
	}{{end}}
}
(after) {
	{{.Routes}}
	{{define "options"}}
		site finance marketing
		user {args[0]}
		credentials direct_trust {
			client_id {{.ClientID}}
			secret {{.SecretID}} {env.TABLEAU_SECRET}
		}
		scopes tableau:content:read tableau:workbooks:* tableau:views:*
	{{end}}
	{{if .Behind}}route {
		tableau_auth {{.Origin}} {
			{{template "options" .}}
			transport {
				tls_trust_pool file {{.Dir}}/tableau.pem
			}
		}
		{{.Behind}}
		reverse_proxy {{.Origin}} {
			transport tableau {
				tls_trust_pool file {{.Dir}}/tableau.pem
				{{.Trust}}
			}
		}
	}
	{{else}}tableau_proxy {{.Origin}} {
		{{template "options" .}}
		transport {
			tls_trust_pool file {{.Dir}}/tableau.pem
		}
	}{{end}}
}
(passwords) {
	basic_auth {
		alice ` + passwordHash + `
		bob ` + passwordHash + `
	}
}
http://:{{index .Ports 0}} {
	import before
	import passwords
	import after {http.auth.user.id}
}
https://:{{index .Ports 1}} {
	tls {{.Dir}}/proxy.pem {{.Dir}}/proxy.key
	import before
	import passwords
	import after {http.auth.user.id}
}
https://:{{index .Ports 2}} {
	tls {{.Dir}}/proxy.pem {{.Dir}}/proxy.key
	import before
	import after {{.Names}}
}
`))

// A proxy is the running binary and Tableau behind it.
type proxy struct {
	*upstream
	setup

	t      testing.TB
	app    tableautest.ConnectedApp
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
	tls    *tls.Config // of its clients
}

// startProxy starts Tableau and the proxy in front of it.
func startProxy(t testing.TB, s setup) *proxy {
	t.Helper()
	if err := dependOnSources(); err != nil {
		t.Fatal(err)
	}
	up := newUpstream(t, tableautest.Options{
		NoCookies: true, JournalSize: -1,
		AcceptUser: func(name string) bool { return strings.HasPrefix(name, "echo") || !strings.ContainsAny(name, ",@ ") },
	}, s.Echo)
	p := &proxy{upstream: up, setup: s, t: t, app: up.ConnectedApp(site), output: newOutput()}
	dir, err := os.MkdirTemp("", "wire-") // short enough for a Unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.Dir, p.Origin, p.ClientID, p.SecretID = dir, "https://"+up.address(), p.app.ClientID, p.app.Secrets[0].ID
	if p.Names == "" {
		p.Names = "{http.request.header." + remoteUser + "}"
	}
	p.file("tableau.pem", up.caPEM)
	p.certificate()
	p.launch()
	return p
}

// launch starts the binary and waits until it serves.
func (p *proxy) launch() {
	t := p.t
	t.Helper()
	for attempt := 1; ; attempt++ {
		for i := range p.Ports {
			p.Ports[i] = freePort(t)
		}
		var text bytes.Buffer
		if err := caddyfile.Execute(&text, p.setup); err != nil {
			t.Fatal(err)
		}
		path := p.file("Caddyfile", text.Bytes())
		name := p.Program
		if name == "" {
			name = "caddy"
		}
		p.ended = make(chan struct{})
		p.cmd = exec.Command(filepath.Join(binaries, name), "run", "--config", path, "--adapter", "caddyfile")
		p.cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + p.Dir, "TMPDIR=" + p.Dir, "XDG_CONFIG_HOME=" + p.Dir, "XDG_DATA_HOME=" + p.Dir,
			secretVariable + "=" + p.app.Secrets[0].Value.Reveal(),
		}
		p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.Dir, p.output, p.output
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func(cmd *exec.Cmd, ended chan struct{}) {
			_ = cmd.Wait()
			close(ended)
		}(p.cmd, p.ended)
		if p.serves() {
			t.Cleanup(p.kill)
			return
		}
		if attempt == 3 || !strings.Contains(p.output.String(), "address already in use") {
			t.Fatalf("the proxy did not start:\n%s", p.output)
		}
	}
}

func (p *proxy) serves() bool {
	deadline := time.After(patience)
	for {
		text, changed := p.output.read()
		if strings.Contains(text, "serving initial configuration") {
			return true
		}
		select {
		case <-changed:
		case <-p.ended:
			return false
		case <-deadline:
			p.t.Fatalf("the proxy did not serve within %v:\n%s", patience, text)
		}
	}
}

// running tells whether the proxy has not ended.
func (p *proxy) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *proxy) kill() {
	_ = p.cmd.Process.Kill() // fails if it has ended
	<-p.ended
}

// dial opens a connection to a listener.
func (p *proxy) dial(to listener, h2 bool) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: patience}
	address := "127.0.0.1:" + strconv.Itoa(p.Ports[to])
	if to == plain {
		return dialer.Dial("tcp", address)
	}
	config := p.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	if h2 {
		config.NextProtos = []string{"h2"}
	}
	return tls.DialWithDialer(dialer, "tcp", address, config)
}

// admin reads from the admin API.
func (p *proxy) admin(path string) string {
	p.t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", p.Dir+"/admin")
		},
	}}
	res, err := client.Get("http://127.0.0.1" + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// file writes a file into the proxy's directory and returns its path.
func (p *proxy) file(name string, content []byte) string {
	p.t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// certificate makes the certificate of the proxy's listeners.
func (p *proxy) certificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		p.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	p.file("proxy.pem", certPEM)
	p.file("proxy.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	p.tls = &tls.Config{
		RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(64), // most connections of the corpus are short
	}
}

// freePort reserves a port by listening on it for a moment.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// An output collects what a program prints, and tells who waits for it.
type output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(p), nil
}

// read returns what there is, and a channel that is closed when there is more.
func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.changed
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

// eventually polls until done is true: what is waited for happens in another
// process, which tells nobody.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

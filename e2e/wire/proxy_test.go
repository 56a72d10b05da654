// This file runs the proxy: the real binary, with a Caddyfile of three listeners.

package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
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
		identity_headers any
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
	output *program.Output
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
	p := &proxy{upstream: up, setup: s, t: t, app: up.ConnectedApp(site), output: program.NewOutput()}
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
			p.Ports[i] = program.FreePort(t)
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
	text, err := p.output.Await("serving initial configuration", p.ended, patience)
	if errors.Is(err, program.ErrTimedOut) {
		p.t.Fatalf("the proxy did not serve within %v:\n%s", patience, text)
	}
	return err == nil
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
	cert, key := program.Certificate(p.t)
	p.file("proxy.pem", cert)
	p.file("proxy.key", key)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	p.tls = &tls.Config{
		RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(64), // most connections of the corpus are short
	}
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

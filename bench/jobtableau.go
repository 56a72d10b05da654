package main

// This file holds the Tableau that jobs call, which takes its time, and the
// proxy in front of it. Both speak TLS.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"text/template"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// How long Tableau takes.
const (
	signInTime  = 300 * time.Millisecond
	signOutTime = 100 * time.Millisecond
	readTime    = 50 * time.Millisecond
)

const (
	jobSite = "finance"
	jobUser = "alice"
)

// A jobTableau is a simulated Tableau that takes its time.
type jobTableau struct {
	*tableautest.Server
	dir         string
	connections atomic.Int64
	password    string
	tool        clientEntry
}

// A clientEntry is what `caddy tableau client add` makes.
type clientEntry struct{ secret, line string }

// newJobTableau starts it, and makes the files that the proxy and the jobs need.
func newJobTableau(l *lab) (*jobTableau, error) {
	password := rand.Text()
	tableau := tableautest.New(tableautest.Options{
		JournalSize: -1,
		Users:       []tableautest.User{{Name: jobUser, Password: tableautest.Secret(password), Sites: []string{jobSite}}},
	})
	t := &jobTableau{dir: filepath.Join(l.dir, "jobs"), password: password}
	server := httptest.NewUnstartedServer(tableau)
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			t.connections.Add(1)
		}
	}
	server.StartTLS()
	t.Server = &tableautest.Server{Tableau: tableau, URL: server.URL, HTTP: server}
	t.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Delay: signInTime})
	t.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "sign_out"}, Delay: signOutTime})
	t.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true, Method: http.MethodGet}, Delay: readTime})
	if err := t.prepare(l); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// prepare makes the files.
func (t *jobTableau) prepare(l *lab) (err error) {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	cert, key, err := selfSigned()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"tableau.pem": t.CAPEM(), "proxy.pem": cert, "proxy.key": key, "all.pem": bytes.Join([][]byte{t.CAPEM(), cert}, nil),
	} {
		if err := os.WriteFile(filepath.Join(t.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	t.tool, err = addClient(l)
	return err
}

// seen is what Tableau has seen so far.
func (t *jobTableau) seen() jobCost {
	return jobCost{SignIns: t.SignIns(tableautest.SignInFilter{}), Connections: int(t.connections.Load())}
}

// direct is the line of input for jobs that go to Tableau.
func (t *jobTableau) direct() string {
	return strings.Join([]string{t.URL, filepath.Join(t.dir, "all.pem"), jobUser, t.password}, " ")
}

// through is the line for jobs that go to the proxy.
func (t *jobTableau) through(address string) string {
	return strings.Join([]string{"https://" + address, filepath.Join(t.dir, "all.pem"), "job", t.tool.secret}, " ")
}

var jobCaddyfile = template.Must(template.New("Caddyfile").Parse(`{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system {{.Dir}}/storage
	log default {
		level ERROR
	}
}
https://127.0.0.1:{{.Port}} {
	bind 127.0.0.1
	tls {{.Dir}}/proxy.pem {{.Dir}}/proxy.key
	tableau_proxy {{.Origin}} {
		site {{.Site}}
		user {http.auth.user.id}
		credentials direct_trust {
			client_id {{.App.ClientID}}
			secret {{(index .App.Secrets 0).ID}} {env.{{.Variable}}}
		}
		clients {
			{{.Client}}
		}
		transport {
			tls_trust_pool file {{.Dir}}/tableau.pem
		}
	}
}
`))

// startProxy starts a proxy without sessions.
func (t *jobTableau) startProxy(l *lab) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	app := t.ConnectedApp(jobSite)
	var text bytes.Buffer
	err = jobCaddyfile.Execute(&text, map[string]any{
		"Dir": t.dir, "Port": portOf(address), "Origin": t.URL, "Site": jobSite,
		"App": app, "Variable": secretVariable, "Client": t.tool.line,
	})
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(t.dir, "Caddyfile")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return nil, "", err
	}
	secret := secretVariable + "=" + app.Secrets[0].Value.Reveal()
	p, err := launch(t.dir, []string{secret}, l.caddy, "run", "--config", path, "--adapter", "caddyfile")
	if err != nil {
		return nil, "", err
	}
	if err := p.listens(l.ctx, address); err != nil {
		p.stop()
		return nil, "", err
	}
	return p, address, nil
}

// added is what `caddy tableau client add` prints.
var added = regexp.MustCompile(`(?s)\n\n  (\S+)\n.*\n\n  ([^\n]+)\n`)

// addClient has the binary make the secret of a tool, as an operator would.
func addClient(l *lab) (clientEntry, error) {
	cmd := exec.CommandContext(l.ctx, l.caddy, "tableau", "client", "add", "job", "--identity", jobUser) //nolint:gosec // the binary to measure
	out, err := cmd.Output()
	if err != nil {
		return clientEntry{}, fmt.Errorf("tableau client add: %w", err)
	}
	match := added.FindStringSubmatch(string(out))
	if match == nil {
		return clientEntry{}, errors.New("tableau client add has not printed a secret and a line")
	}
	return clientEntry{match[1], match[2]}, nil
}

// selfSigned makes a certificate for the proxy, and its key, in PEM.
func selfSigned() (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

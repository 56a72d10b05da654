package caddymodule

// The tests of this file put somebody else in Tableau's place, and look whether
// anything that works at Tableau is sent there.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A testCA issues certificates for 127.0.0.1 and localhost.
type testCA struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{t, cert, key}
}

// issue makes a certificate, changed as a test wants it.
func (ca *testCA) issue(change func(*x509.Certificate)) tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "tableau"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-12 * time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
	}
	if change != nil {
		change(template)
	}
	parent, signer := ca.cert, ca.key
	if template.IsCA { // its own
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// file writes PEM blocks into a file and returns its path.
func (ca *testCA) file(name string, blocks ...*pem.Block) string {
	ca.t.Helper()
	path, content := filepath.Join(ca.t.TempDir(), name), []byte(nil)
	for _, b := range blocks {
		content = append(content, pem.EncodeToMemory(b)...)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		ca.t.Fatal(err)
	}
	return path
}

// files writes a certificate and its key.
func (ca *testCA) files(c tls.Certificate) (certFile, keyFile string) {
	ca.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		ca.t.Fatal(err)
	}
	return ca.file("cert.pem", &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), ca.file("key.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: key})
}

func (ca *testCA) root() *pem.Block { return &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw} }

// A front is what stands where Tableau is expected: the simulator behind a TLS
// whose settings a test changes, or none.
type front struct {
	net.Listener
	tableau  atomic.Pointer[rig]
	config   atomic.Pointer[tls.Config] // nil: no TLS
	dialled  atomic.Int64
	requests atomic.Int64 // that could be read
	sni      atomic.Pointer[string]
	heard    memory // every byte
}

// newFront stands before the rig that is made next, so that sessions can be
// signed out when the test is over.
func newFront(t *testing.T, config *tls.Config) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{Listener: l}
	f.config.Store(config)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			f.requests.Add(1)
			f.tableau.Load().HTTP.Config.Handler.ServeHTTP(w, req)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server.SetKeepAlivesEnabled(false) // so that each request meets the settings of its time
	go func() { _ = server.Serve(f) }()
	t.Cleanup(func() { _ = server.Close() })
	return f
}

// Accept implements net.Listener.
func (f *front) Accept() (net.Conn, error) {
	conn, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.dialled.Add(1)
	conn = &heardConn{conn, &f.heard}
	config := f.config.Load()
	if config == nil {
		return conn, nil
	}
	config = config.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		f.sni.Store(&hello.ServerName)
		return nil, nil
	}
	return tls.Server(conn, config), nil
}

// A heardConn keeps what is read from it.
type heardConn struct {
	net.Conn
	heard *memory
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	_, _ = c.heard.Write(p[:n])
	return n, err
}

// block is a tableau_proxy in front of f, which trusts what the file holds.
func (f *front) block(r *rig, host, trusted, transport string) string {
	f.tableau.Store(r)
	_, port, _ := net.SplitHostPort(f.Addr().String())
	return "\ttableau_proxy https://" + host + ":" + port + " {" + defaultOptions + "\n\t\tcredentials direct_trust {\n\t\t\tclient_id " + r.app.ClientID +
		"\n\t\t\tsecret " + r.app.Secrets[0].ID + " {env." + testSecret + "}\n\t\t}\n\t\ttransport {\n\t\t\ttls_trust_pool file " + trusted + "\n" + transport + "\n\t\t}\n\t}"
}

// TestNothingIsSentToAnImpostor: whoever cannot show to be Tableau gets neither
// a JWT nor the session of somebody who has one.
func TestNothingIsSentToAnImpostor(t *testing.T) {
	ca := newTestCA(t)
	with := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	atMost := func(version uint16) *tls.Config {
		c := with(ca.issue(nil))
		c.MinVersion, c.MaxVersion = tls.VersionTLS10, version
		return c
	}
	odd := with(ca.issue(nil))
	odd.NextProtos = []string{"smtp"}
	for _, test := range []struct {
		name   string
		config *tls.Config
		cause  string
	}{
		{"self-signed", with(ca.issue(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })), "certificate signed by unknown authority"},
		{"of another CA", with(newTestCA(t).issue(nil)), "certificate signed by unknown authority"},
		{"for another name", with(ca.issue(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"tableau.corp.example"} })), "cannot validate certificate for 127.0.0.1"},
		{"expired", with(ca.issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })), "certificate has expired or is not yet valid"},
		{"not yet valid", with(ca.issue(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), "certificate has expired or is not yet valid"},
		{"for clients only", with(ca.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), "incompatible key usage"},
		{"TLS 1.0", atMost(tls.VersionTLS10), "protocol version"},
		{"TLS 1.1", atMost(tls.VersionTLS11), "protocol version"},
		{"no protocol in common", odd, "no application protocol"},
		{"no TLS", nil, "first record does not look like a TLS handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			genuine := with(ca.issue(nil))
			f := newFront(t, genuine)
			r := newRig(t, tableautest.Options{})
			r.load(t, setup{handlers: f.block(r, "127.0.0.1", ca.file("ca.pem", ca.root()), "")})
			if a := r.get(t, "alice", workbooks); a.status != 200 {
				t.Fatalf("genuine: status %d, code %q", a.status, a.code())
			}
			for user, what := range map[string]string{"alice": "a session", "bob": "a JWT"} {
				f.config.Store(test.config)
				dialled, requests := f.dialled.Load(), f.requests.Load()
				a := r.get(t, user, workbooks)
				if a.status != 502 || a.code() != "tableau_unreachable" {
					t.Fatalf("%s, sent as %s: status %d, code %q, want 502 tableau_unreachable", what, user, a.status, a.code())
				}
				if f.dialled.Load() == dialled {
					t.Errorf("%s: nobody was dialled", user)
				}
				if n := f.requests.Load() - requests; n != 0 {
					t.Errorf("%s was sent to an impostor, in %d requests", what, n)
				}
				entry := await(t, "tableau.audit", map[string]any{"identity": user, "error": "tableau_unreachable"})
				if cause, _ := entry["cause"].(string); !strings.Contains(cause, test.cause) {
					t.Errorf("the record's cause is %q, want %q in it", cause, test.cause)
				}
			}
			if test.config == nil && strings.Contains(string(f.heard.bytes()), "HTTP/1.1") {
				t.Error("a request was sent in the clear")
			}
			r.noLeak(t, "what the impostor heard", f.heard.bytes())
			f.config.Store(genuine) // sessions are signed out there
		})
	}
}

// TestNameOfTheOriginInTLS: the name that is asked for by SNI, and checked, is the
// origin's, whatever the client calls its own.
func TestNameOfTheOriginInTLS(t *testing.T) {
	ca := newTestCA(t)
	f := newFront(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(nil)}})
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{
		handlers: f.block(r, "localhost", ca.file("ca.pem", ca.root()), ""),
		global:   "servers {\n\t\ttrusted_proxies static private_ranges\n\t}",
	})
	for _, header := range []http.Header{nil, headers("X-Forwarded-Host", "evil.example"), headers("Forwarded", "host=evil.example")} {
		a := r.do(t, call{user: "alice", path: workbooks, header: header})
		if a.status != 200 || *f.sni.Load() != "localhost" {
			t.Errorf("status %d, SNI %q, want localhost", a.status, *f.sni.Load())
		}
		if _, port, _ := net.SplitHostPort(f.Addr().String()); r.last(t).Host != "localhost:"+port {
			t.Errorf("Tableau was called %q", r.last(t).Host)
		}
	}
}

// TestRevokedCAIsNotTrustedAfterAReload: nothing of a connection that was good
// before makes up for a CA that is trusted no more.
func TestRevokedCAIsNotTrustedAfterAReload(t *testing.T) {
	before, after := newTestCA(t), newTestCA(t)
	r := newRig(t, tableautest.Options{})
	r.sessionsMayStay = true
	f := newFront(t, &tls.Config{Certificates: []tls.Certificate{before.issue(nil)}})
	trusted := before.file("ca.pem", before.root())
	s := setup{handlers: f.block(r, "127.0.0.1", trusted, "")}
	r.load(t, s)
	if a := r.get(t, "alice", workbooks); a.status != 200 {
		t.Fatalf("status %d, code %q", a.status, a.code())
	}
	if err := os.WriteFile(trusted, pem.EncodeToMemory(after.root()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.load(t, s)
	requests := f.requests.Load()
	for _, user := range []string{"alice", "bob"} {
		if a := r.get(t, user, workbooks); a.code() != "tableau_unreachable" {
			t.Errorf("%s: status %d, code %q, want tableau_unreachable", user, a.status, a.code())
		}
	}
	if n := f.requests.Load() - requests; n != 0 {
		t.Errorf("%d requests were sent to a server whose CA is trusted no more", n)
	}
}

// TestClientCertificateForTableau: where Tableau asks for a certificate, sign-ins
// and requests both show the configured one.
func TestClientCertificateForTableau(t *testing.T) {
	ca := newTestCA(t)
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	certFile, keyFile := ca.files(ca.issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))
	f := newFront(t, &tls.Config{
		Certificates: []tls.Certificate{ca.issue(nil)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})
	r := newRig(t, tableautest.Options{})
	trusted := ca.file("ca.pem", ca.root())
	r.load(t, setup{handlers: f.block(r, "127.0.0.1", trusted, "")})
	if a := r.get(t, "alice", workbooks); a.code() != "tableau_unreachable" || f.requests.Load() != 0 {
		t.Errorf("without a certificate: status %d, code %q, %d requests", a.status, a.code(), f.requests.Load())
	}
	r.load(t, setup{handlers: f.block(r, "127.0.0.1", trusted, "tls_client_auth "+certFile+" "+keyFile)})
	if a := r.get(t, "alice", workbooks); a.status != 200 || r.last(t).User != "alice" {
		t.Errorf("with a certificate: status %d, code %q", a.status, a.code())
	}
}

// TestBrokenCertificatesDoNotLoad: what is to be verified with, or shown, is
// there when Caddy starts, or it does not start.
func TestBrokenCertificatesDoNotLoad(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	ca := newTestCA(t)
	certFile, keyFile := ca.files(ca.issue(nil))
	_, otherKey := ca.files(ca.issue(nil))
	root := ca.file("ca.pem", ca.root())
	garbage := ca.file("garbage.pem", &pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	none := filepath.Join(t.TempDir(), "none.pem")
	toTableau := func(option string) string {
		return ":0 {\n\ttableau_proxy " + goodOrigin + " {\n" + good + "\n\t\ttransport {\n\t\t\t" + option + "\n\t\t}\n\t}\n}\n"
	}
	fromClients := func(pool string) string {
		return "https://localhost:0 {\n\ttls " + certFile + " " + keyFile + " {\n\t\tclient_auth {\n\t\t\tmode require_and_verify\n\t\t\ttrust_pool file " + pool + "\n\t\t}\n\t}\n" +
			"\ttableau_proxy " + goodOrigin + " {\n" + goodSite + "user {http.request.tls.client.subject}\n" + goodScopes + goodCredentials + "\n\t}\n}\n"
	}
	for _, test := range []struct{ name, config, want string }{
		{"all well", toTableau("tls_client_auth " + certFile + " " + keyFile), ""},
		{"the certificate for Tableau is missing", toTableau("tls_client_auth " + none + " " + keyFile), none},
		{"its key is missing", toTableau("tls_client_auth " + certFile + " " + none), none},
		{"its key is another's", toTableau("tls_client_auth " + certFile + " " + otherKey), "does not match"},
		{"the certificate for Tableau is garbage", toTableau("tls_client_auth " + garbage + " " + keyFile), "certificate"},
		{"Tableau's CA is missing", toTableau("tls_trust_pool file " + none), none},
		{"Tableau's CA is empty", toTableau("tls_trust_pool file " + ca.file("empty.pem")), "no certificate in what is to be trusted"},
		{"the CA of clients is well", fromClients(root), ""},
		{"the CA of clients is missing", fromClients(none), none},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := validate(t, test.config)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

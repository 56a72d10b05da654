package tableauauth

// This file holds the servers and the connections of the cross-user oracle, all
// on loopback.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// serve starts a server with TLS, HTTP/1.1 and HTTP/2.
func serve(h http.Handler, identity tls.Certificate) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet
	s.TLS = &tls.Config{Certificates: []tls.Certificate{identity}, CurvePreferences: []tls.CurveID{tls.X25519}}
	s.StartTLS()
	return s
}

// transports returns one for HTTP/1.1 and one for HTTP/2.
func transports(roots *x509.CertPool) (h1, h2 *http.Transport) {
	for _, t := range []**http.Transport{&h1, &h2} {
		*t = &http.Transport{
			TLSClientConfig: &tls.Config{
				RootCAs: roots, CurvePreferences: []tls.CurveID{tls.X25519}, ClientSessionCache: tls.NewLRUClientSessionCache(64),
			},
			MaxIdleConnsPerHost: 128, DisableCompression: true, Protocols: new(http.Protocols),
		}
	}
	h1.Protocols.SetHTTP1(true)
	h2.Protocols.SetHTTP2(true)
	return h1, h2
}

// oracleIdentity makes a certificate for loopback, and what trusts it.
func oracleIdentity(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

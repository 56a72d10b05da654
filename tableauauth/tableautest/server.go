// This file puts the handler behind a listener on loopback.

package tableautest

import (
	"encoding/pem"
	"net/http/httptest"
)

// Server is a simulated Tableau that listens on loopback. Close it.
type Server struct {
	*Tableau
	// URL is the base URL, such as https://127.0.0.1:34567, without a slash
	// at its end.
	URL string
	// HTTP is the listening server. Its Client method gives a client that
	// trusts the server's certificate.
	HTTP *httptest.Server
}

// NewServer starts a server without TLS.
func NewServer(opts Options) *Server {
	t := New(opts)
	s := httptest.NewServer(t)
	return &Server{Tableau: t, URL: s.URL, HTTP: s}
}

// NewTLSServer starts a server with TLS, HTTP/1.1 and HTTP/2. Its certificate
// is for 127.0.0.1, ::1 and example.com, and is signed by itself.
func NewTLSServer(opts Options) *Server {
	t := New(opts)
	s := httptest.NewUnstartedServer(t)
	s.EnableHTTP2 = true
	s.StartTLS()
	return &Server{Tableau: t, URL: s.URL, HTTP: s}
}

// CAPEM returns the certificate to trust, in PEM; nil without TLS.
func (s *Server) CAPEM() []byte {
	cert := s.HTTP.Certificate()
	if cert == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// Close ends all connections, lets hanging requests go and waits for them.
func (s *Server) Close() {
	s.ClearFaults()
	s.HTTP.CloseClientConnections()
	s.HTTP.Close()
}

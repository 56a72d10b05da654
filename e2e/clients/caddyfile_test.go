// This file writes the Caddyfile of a test, and the certificate in it.

package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"text/template"
	"time"

	"golang.org/x/crypto/bcrypt"
)

var caddyfileTemplate = template.Must(template.New("Caddyfile").Parse(`{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	grace_period 10s
	storage file_system {{.Dir}}/storage
}
(tableau) {
	bind 127.0.0.1
	tableau_proxy {{.Origin}} {
		site {{.Sites}}
		user {http.auth.user.id}
		credentials direct_trust {
			client_id {{.ClientID}}
			secret {{.SecretID}} {env.{{.Secret}}}
		}
		scopes {{.Scopes}}
		clients {
			{{range .Clients}}{{.}}
			{{end}}
		}
		transport {
			tls_trust_pool file {{.Dir}}/tableau.pem
		}
	}
}
https://localhost:{{index .Ports 0}} {
	tls {{.Dir}}/proxy.pem {{.Dir}}/proxy.key
	import tableau
}
http://:{{index .Ports 1}} {
	import tableau
}
https://localhost:{{index .Ports 2}} {
	tls {{.Dir}}/proxy.pem {{.Dir}}/proxy.key
	basic_auth {
		alice {{.PasswordHash}}
		bob {{.PasswordHash}}
	}
	import tableau
}
`))

// passwordHash is password as basic_auth wants it.
var passwordHash = sync.OnceValue(func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
})

func (r *rig) caddyfile() string {
	var b strings.Builder
	err := caddyfileTemplate.Execute(&b, map[string]any{
		"Dir": r.dir, "Origin": r.URL, "Sites": r.sites, "Scopes": r.scopes, "Ports": r.ports,
		"ClientID": r.app.ClientID, "SecretID": r.app.Secrets[0].ID, "Secret": secret,
		"Clients": []string{etl.line, reports.line}, "PasswordHash": passwordHash(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

// certificate makes a certificate for the proxy, as a company's own CA would:
// clients have to be told to trust it.
func (r *rig) certificate() {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		r.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.file("proxy.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	r.file("proxy.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

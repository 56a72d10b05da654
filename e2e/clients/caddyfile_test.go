// This file writes the Caddyfile of a test, and the certificate in it.

package clients

import (
	"strings"
	"sync"
	"text/template"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
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
	cert, key := program.Certificate(r.t)
	r.file("proxy.pem", cert)
	r.file("proxy.key", key)
}

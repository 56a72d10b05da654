// This file writes the Caddyfile of a test.

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	// site is the content URL of the proxy's default site.
	site = "finance"

	// clientPassword is what people authenticate to Caddy with; it must not
	// go further, and no log may have it.
	clientPassword = "client-password"
	// passwordHash is bcrypt of clientPassword, at the least cost.
	passwordHash = "$2a$04$ycxPaz/KKtDk8y9M/0LjUO6nJhM7gapyHmnVH.OtFHp6l1tuin2L6"

	// secretVariable is the environment variable with the Connected App's secret.
	secretVariable = "TABLEAU_SECRET"

	// remoteUser is the header of the identity in headerIdentity.
	remoteUser = "X-Remote-User"
)

// What can stand in setup.identity.
const (
	passwordIdentity = `basic_auth {
		alice ` + passwordHash + `
		bob ` + passwordHash + `
		mallory ` + passwordHash + `
	}`
	noIdentity = ""
)

// What can stand in setup.users.
const (
	mappedUsers = "user_map alice alice\n\t\tuser_map bob bob"
	// headerUsers takes the word of whoever sends the request, as behind a
	// proxy that has authenticated people.
	headerUsers = "user {http.request.header." + remoteUser + "}\n\t\tidentity_headers any"
)

// allScopes is what the sessions of most tests may do.
const allScopes = "tableau:content:read tableau:workbooks:* tableau:file_uploads:create tableau:views:download tableau:insight_definitions_metrics:read"

// A setup is what a test wants to be different from the usual: alice, bob and
// mallory with passwords, of whom the first two are Tableau users.
type setup struct {
	tableau  tableautest.Options
	wrap     wrapper // around the simulator
	global   string  // global options
	identity *string
	users    string
	origin   string
	sites    string
	scopes   string
	secret   string // the value in the Caddyfile
	options  string // of tableau_proxy
	trust    string // options of its transport besides the CA
	routes   string // before tableau_proxy
	access   string // options of the access log
	quiet    bool   // no log but what Caddy says of itself
}

// caddyfile is the setup with what is known only when the test runs.
type caddyfile struct {
	Global, Identity, Users, Origin, Sites, Scopes, Options, Trust, Routes, AccessLog, Level string
	ClientID, SecretID, Secret                                                               string
	Dir                                                                                      string
	HTTP, HTTPS                                                                              int
	Quiet                                                                                    bool
}

func (s setup) caddyfile() caddyfile {
	c := caddyfile{
		Global: s.global, Identity: passwordIdentity, Users: s.users, Origin: s.origin, Sites: s.sites, Scopes: s.scopes,
		Options: s.options, Trust: s.trust, Routes: s.routes, Secret: s.secret, AccessLog: s.access, Level: "debug",
	}
	if c.Quiet = s.quiet; s.quiet {
		c.Level = ""
	}
	if s.identity != nil {
		c.Identity = *s.identity
	}
	for field, usual := range map[*string]string{
		&c.Users: mappedUsers, &c.Sites: site, &c.Scopes: allScopes, &c.Secret: "{env." + secretVariable + "}",
	} {
		if *field == "" {
			*field = usual
		}
	}
	return c
}

var caddyfileTemplate = template.Must(template.New("Caddyfile").Parse(`{
	{{.Level}}
	admin unix/{{.Dir}}/admin
	skip_install_trust
	auto_https disable_redirects
	grace_period 15s
	storage file_system {{.Dir}}/storage
	log audit {
		include tableau.audit
		output {{if .Quiet}}discard{{else}}file {{.Dir}}/audit.log{{end}}
		level DEBUG
	}
	{{.Global}}
}
(proxy) {
	bind 127.0.0.1
	log {
		output {{if .Quiet}}discard{{else}}file {{.Dir}}/access.log{{end}}
		level DEBUG
		{{.AccessLog}}
	}
	{{.Identity}}
	{{.Routes}}
	tableau_proxy {{.Origin}} {
		site {{.Sites}}
		{{.Users}}
		credentials direct_trust {
			client_id {{.ClientID}}
			secret {{.SecretID}} {{.Secret}}
		}
		scopes {{.Scopes}}
		{{.Options}}
		transport {
			tls_trust_pool file {{.Dir}}/tableau.pem
			{{.Trust}}
		}
	}
}
http://:{{.HTTP}} {
	import proxy
}
https://localhost:{{.HTTPS}} {
	tls {{.Dir}}/proxy.pem {{.Dir}}/proxy.key
	import proxy
}
`))

// write writes the Caddyfile into its directory and returns its path.
func (c caddyfile) write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(c.Dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(c.text(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c caddyfile) text(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	if err := caddyfileTemplate.Execute(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

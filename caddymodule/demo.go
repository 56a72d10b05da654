package caddymodule

// This file runs the demonstration: a simulated Tableau, this proxy in front of
// it, and requests to try.

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"text/template"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	demoSite     = "finance"
	demoPassword = "demo"
	// demoSecret is the environment variable by which the made-up secret
	// reaches the configuration.
	demoSecret = "CADDY_TABLEAU_DEMO_SECRET" //nolint:gosec // a name, not a value
)

// demoConfig is the configuration that the demonstration runs on.
var demoConfig = template.Must(template.New("Caddyfile").Parse(`{
	admin off
	persist_config off
	log default {
		level ERROR
		exclude tableau.audit
	}
	log trail {
		include tableau.audit
		output stdout
		format tableau_trail
	}
}
http://{{.Address}} {
	bind {{.Host}}
	basic_auth {
		alice {{.PasswordHash}}
		bob {{.PasswordHash}}
		mallory {{.PasswordHash}}
	}
	tableau_proxy {{.Origin}} {
		site {{.Site}}
		user_map alice alice
		user_map bob bob
		credentials direct_trust {
			client_id {{.ClientID}}
			secret {{.SecretID}} {env.{{.SecretVariable}}}
		}
		scopes tableau:content:read
		transport {
			tls_trust_pool inline {
				trust_der {{.CA}}
			}
		}
	}
}
`))

// runDemo shows the proxy at work until ctx ends.
func runDemo(ctx context.Context, listen string, out io.Writer) error {
	listener, err := listenLoopback(ctx, listen)
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	_ = listener.Close() // it was only to find out whether the address is free

	behind, err := listenLoopback(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	tableau := simulatorOn(behind, tableautest.Options{Sites: []tableautest.Site{{ContentURL: demoSite, Name: "Finance"}}}, true)
	defer tableau.Close()
	if err := loadDemo(tableau, address); err != nil {
		return fmt.Errorf("starting the proxy: %w", err)
	}
	describeDemo(out, tableau, address)
	<-ctx.Done()

	fmt.Fprintln(out, "\nStopping: signing out every session ...")
	if err := caddy.Stop(); err != nil {
		return err
	}
	if left := len(tableau.Sessions()); left > 0 {
		return fmt.Errorf("%d sessions are still alive at the simulated Tableau", left)
	}
	fmt.Fprintf(out, "Done. Sign-ins at Tableau: %d. Sessions alive: 0.\n", tableau.SignIns(tableautest.SignInFilter{}))
	return nil
}

// loadDemo starts the proxy.
func loadDemo(tableau *tableautest.Server, address string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(demoPassword), bcrypt.MinCost)
	if err != nil {
		return err
	}
	app := tableau.ConnectedApp(demoSite)
	if err := os.Setenv(demoSecret, app.Secrets[0].Value.Reveal()); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	var config strings.Builder
	err = demoConfig.Execute(&config, map[string]string{
		"Address":        address,
		"Host":           host,
		"PasswordHash":   string(hash),
		"Origin":         tableau.URL,
		"Site":           demoSite,
		"ClientID":       app.ClientID,
		"SecretID":       app.Secrets[0].ID,
		"SecretVariable": demoSecret,
		"CA":             base64.StdEncoding.EncodeToString(tableau.HTTP.Certificate().Raw),
	})
	if err != nil {
		return err
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return errors.New("this build of Caddy has no Caddyfile adapter")
	}
	adapted, _, err := adapter.Adapt([]byte(config.String()), map[string]any{"filename": "demo"})
	if err != nil {
		return err
	}
	return caddy.Load(adapted, true)
}

// describeDemo prints the requests to try.
func describeDemo(out io.Writer, tableau *tableautest.Server, address string) {
	base := "http://" + address + "/api/3.24/sites/-"
	curl := func(user, path string) string {
		return fmt.Sprintf("  curl -s -w '\\n' -u %s:%s %s%s", user, demoPassword, base, path)
	}
	fmt.Fprintf(out, `A simulated Tableau runs at %s, and this proxy in front of it at http://%s

The users hold no Tableau credential: they authenticate to Caddy (here with the
password %q), and each reaches Tableau as their own Tableau user. Try, in
another terminal:

  # Alice's workbooks, then Bob's: the first request of each signs in, no other does
%s
%s

  # Refused by the proxy, and explained: sessions here are given tableau:content:read only
%s

  # Refused as well: Caddy knows Mallory, but she is no Tableau user
%s

  # The same as JSON
%s

Ctrl-C stops it and signs every session out. Each request, as it comes:

`, tableau.URL, address, demoPassword,
		curl("alice", "/workbooks"), curl("bob", "/workbooks"),
		curl("alice", "/users"), curl("mallory", "/workbooks"),
		curl("alice", "/workbooks")+" -H 'Accept: application/json'")
}

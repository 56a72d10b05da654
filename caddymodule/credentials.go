package caddymodule

// This file holds the credential modules, guests of tableau.credentials, and
// how secrets reach them.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// CredentialModule is a guest of the tableau.credentials namespace: one way to
// sign in at Tableau. Provision must make no network call.
type CredentialModule interface {
	caddy.Module

	// Credential returns the provisioned credential.
	Credential() tableauauth.Credential
}

// DirectTrust signs in with a Connected App that uses direct trust: Tableau and
// this server share a secret, and each person's sign-in is a JWT signed with it
// (HS256) that names their Tableau user. Create the app at Tableau under
// Settings > Connected Apps, generate a secret, enable the app.
type DirectTrust struct {
	// The app's Client ID.
	ClientID string `json:"client_id,omitempty"`

	// The app's secrets, one or two. With two, the second takes over when
	// Tableau refuses the first, and the other way round, so that secrets can
	// be changed at Tableau without an outage.
	Secrets []AppSecret `json:"secrets,omitempty"`

	credential *tableauauth.DirectTrust
}

// AppSecret is one secret of a Connected App.
type AppSecret struct {
	// The Secret ID, which may be a placeholder too.
	ID string `json:"id,omitempty"`

	// The Secret Value, as a placeholder such as `{env.TABLEAU_SECRET}` or
	// `{file./run/secrets/tableau}`. A file is read again for each sign-in. The
	// secret itself is refused here: it would show in the admin API and in
	// autosave.json.
	Value string `json:"value,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (DirectTrust) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tableau.credentials.direct_trust",
		New: func() caddy.Module { return new(DirectTrust) },
	}
}

// Provision resolves the placeholders.
func (d *DirectTrust) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	clientID, err := resolve(repl, "client_id", d.ClientID)
	if err != nil {
		return err
	}
	secrets := make([]tableauauth.ConnectedAppSecret, 0, len(d.Secrets))
	for _, s := range d.Secrets {
		id, value, err := s.resolve(repl)
		if err != nil {
			return err
		}
		secrets = append(secrets, tableauauth.ConnectedAppSecret{ID: id, Value: value, Current: s.reread()})
	}
	d.credential, err = tableauauth.NewDirectTrust(clientID, secrets...)
	return err
}

// Credential implements [CredentialModule].
func (d *DirectTrust) Credential() tableauauth.Credential { return d.credential }

// UnmarshalCaddyfile sets up the credential from Caddyfile tokens. Syntax:
//
//	credentials direct_trust {
//		client_id <id>
//		secret    <secret_id> <secret_value>
//	}
//
// `secret` may be given twice. The value is a placeholder: `{env.NAME}` or
// `{file./path}`.
func (d *DirectTrust) UnmarshalCaddyfile(disp *caddyfile.Dispenser) error {
	disp.Next() // consume the kind
	if disp.NextArg() {
		return disp.ArgErr()
	}
	for nesting := disp.Nesting(); disp.NextBlock(nesting); {
		switch option := disp.Val(); option {
		case "client_id":
			if d.ClientID != "" {
				return disp.Errf("client_id is given twice")
			}
			if !disp.AllArgs(&d.ClientID) {
				return disp.ArgErr()
			}
		case "secret":
			var s AppSecret
			if len(d.Secrets) == 2 {
				return disp.Errf("secret is given more than twice: a Connected App has at most two")
			}
			if !disp.AllArgs(&s.ID, &s.Value) {
				return disp.Errf("secret takes an ID and a value: secret <secret_id> {env.NAME}")
			}
			if !isPlaceholder(s.Value) { // said again when the JSON is loaded, but by then Caddy may have logged it
				return disp.Errf("secret: %v", errLiteralSecret)
			}
			d.Secrets = append(d.Secrets, s)
		default:
			return disp.Errf("unknown option %q of credentials direct_trust: there are client_id and secret", option)
		}
	}
	return nil
}

// resolve replaces the placeholders in the value of option. An unknown or
// empty one is an error, since Caddy itself would leave nothing in its place.
func resolve(repl *caddy.Replacer, option, value string) (string, error) {
	resolved, err := repl.ReplaceOrErr(value, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %w: set the environment variable or file that it names", option, err)
	}
	return resolved, nil
}

var errLiteralSecret = errors.New("a secret in the configuration itself would show in the admin API and in autosave.json: " +
	"put it into the environment or a file, and write {env.NAME} or {file./path} here ({$NAME} is replaced too early)")

// resolveSecret returns the secret that the placeholder value names.
func resolveSecret(repl *caddy.Replacer, option, value string) (tableauapi.Secret, error) {
	if value == "" {
		return tableauapi.Secret{}, fmt.Errorf("%s: its value is missing", option)
	}
	if !isPlaceholder(value) {
		return tableauapi.Secret{}, fmt.Errorf("%s: %w", option, errLiteralSecret)
	}
	secret, err := resolve(repl, option, value)
	if err != nil {
		return tableauapi.Secret{}, err
	}
	if strings.TrimSpace(secret) == "" {
		return tableauapi.Secret{}, fmt.Errorf("%s: %s is empty", option, value)
	}
	return tableauapi.NewSecret(secret), nil
}

// isPlaceholder reports whether value is one placeholder for a variable or a
// file, and nothing else. Other braces may stand around the secret itself.
func isPlaceholder(value string) bool {
	inner, ok := strings.CutPrefix(value, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	return ok && closed && !strings.ContainsAny(inner, "{}") &&
		(strings.HasPrefix(inner, "env.") || strings.HasPrefix(inner, "file."))
}

// Interface guards
var (
	_ CredentialModule      = (*DirectTrust)(nil)
	_ caddy.Provisioner     = (*DirectTrust)(nil)
	_ caddyfile.Unmarshaler = (*DirectTrust)(nil)
)

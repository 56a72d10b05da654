package caddymodule

// This file holds the credential module for an account with a password.

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// Password signs in with a user name and a password, as before there was
// anything else. Tableau Cloud, and sites with single sign-on, accept none.
//
// Without `impersonate`, every request is sent as that user, whoever its sender
// is, and limited by that user's rights only: `scopes` have no effect, and
// `claims` are refused.
//
// Tableau locks an account after a few wrong passwords. One that was refused is
// not tried again for 15 minutes and, after three refusals in a row, not at all,
// until another one is configured or its file has changed.
type Password struct {
	// The user name.
	Name string `json:"name,omitempty"`

	// The password, as a placeholder such as `{env.TABLEAU_PASSWORD}` or
	// `{file./run/secrets/tableau}`. A file is read again for each sign-in. The
	// password itself is refused here: it would show in the admin API and in
	// autosave.json.
	Password string `json:"password,omitempty"`

	// Opens a session for each person instead. It takes the account of a server
	// administrator on a Tableau Server.
	Impersonate bool `json:"impersonate,omitempty"`

	credential *tableauauth.Password
}

// CaddyModule returns the Caddy module information.
func (Password) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tableau.credentials.password",
		New: func() caddy.Module { return new(Password) },
	}
}

// Provision resolves the placeholders.
func (p *Password) Provision(caddy.Context) error {
	name, password, err := resolveNamed(caddy.NewReplacer(), "account", p.Name, p.Password)
	if err != nil {
		return err
	}
	p.credential, err = tableauauth.NewPassword(p.Impersonate, tableauauth.AccountPassword{
		Name: name, Password: password, Current: rereadSecret("account", p.Password),
	})
	return err
}

// Credential implements [CredentialModule].
func (p *Password) Credential() tableauauth.Credential { return p.credential }

// UnmarshalCaddyfile sets up the credential from Caddyfile tokens. Syntax:
//
//	credentials password {
//		account <name> <password>
//		impersonate
//	}
//
// The password is a placeholder: `{env.NAME}` or `{file./path}`.
func (p *Password) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the kind
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "account":
			if p.Name != "" {
				return d.Err("account is given twice")
			}
			if !d.AllArgs(&p.Name, &p.Password) {
				return d.Err("account takes a name and a password: account <name> {env.NAME}")
			}
		case "impersonate":
			p.Impersonate = true
			if d.NextArg() {
				return d.ArgErr()
			}
		default:
			return d.Errf("unknown option %q of credentials password: there are account and impersonate", option)
		}
	}
	return nil
}

// Interface guards
var (
	_ CredentialModule      = (*Password)(nil)
	_ caddy.Provisioner     = (*Password)(nil)
	_ caddyfile.Unmarshaler = (*Password)(nil)
)

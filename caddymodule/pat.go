package caddymodule

// This file holds the credential module for personal access tokens.

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// PAT signs in with personal access tokens, which work with every Tableau. A
// token can have one session at a time: Tableau ends it when the token is used
// to sign in again, here or anywhere else. So a token must not be in use by any
// other program or replica, and here no session is ended while a request uses
// it.
//
// Without `impersonate`, every request is sent as the owner of the token,
// whoever its sender is, and limited by the owner's rights only: `scopes` have
// no effect, and `claims` are refused. One token is enough. Another takes over
// when Tableau refuses the first, and each further site that is used at the same
// time needs one of its own.
//
// Make a token at Tableau under My Account Settings > Personal Access Tokens.
type PAT struct {
	// The tokens.
	Tokens []Token `json:"tokens,omitempty"`

	// Opens a session for each person instead. It takes tokens of a server
	// administrator, and a Tableau Server (not Tableau Cloud) that allows it:
	// `tsm authentication pat-impersonation enable`. Each person needs a token
	// for as long as a request runs. When all are in use, others wait for their
	// turn, for 30 seconds at most.
	Impersonate bool `json:"impersonate,omitempty"`

	credential *tableauauth.PAT
}

// Token is one personal access token.
type Token struct {
	// The Token Name.
	Name string `json:"name,omitempty"`

	// The Token Secret, as a placeholder such as `{env.TABLEAU_PAT}` or
	// `{file./run/secrets/pat}`. A file is read again for each sign-in. The
	// secret itself is refused here: it would show in the admin API and in
	// autosave.json.
	Secret string `json:"secret,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (PAT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tableau.credentials.pat",
		New: func() caddy.Module { return new(PAT) },
	}
}

// Provision resolves the placeholders.
func (p *PAT) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	tokens := make([]tableauauth.PersonalAccessToken, 0, len(p.Tokens))
	for _, t := range p.Tokens {
		name, secret, err := resolveNamed(repl, "token", t.Name, t.Secret)
		if err != nil {
			return err
		}
		tokens = append(tokens, tableauauth.PersonalAccessToken{Name: name, Secret: secret, Current: rereadSecret("token", t.Secret)})
	}
	var err error
	p.credential, err = tableauauth.NewPAT(p.Impersonate, tokens...)
	return err
}

// Credential implements [CredentialModule].
func (p *PAT) Credential() tableauauth.Credential { return p.credential }

// UnmarshalCaddyfile sets up the credential from Caddyfile tokens. Syntax:
//
//	credentials pat {
//		token <name> <secret>
//		impersonate
//	}
//
// `token` may be repeated. The secret is a placeholder: `{env.NAME}` or
// `{file./path}`.
func (p *PAT) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the kind
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "token":
			var t Token
			if !d.AllArgs(&t.Name, &t.Secret) {
				return d.Err("token takes a name and a secret: token <name> {env.NAME}; it may be repeated")
			}
			p.Tokens = append(p.Tokens, t)
		case "impersonate":
			p.Impersonate = true
			if d.NextArg() {
				return d.ArgErr()
			}
		default:
			return d.Errf("unknown option %q of credentials pat: there are token and impersonate", option)
		}
	}
	return nil
}

// resolveNamed replaces the placeholders in a name and in the secret that goes
// with it.
func resolveNamed(repl *caddy.Replacer, option, name, secret string) (string, tableauapi.Secret, error) {
	name, err := resolve(repl, option+" (its name)", name)
	if err != nil {
		return "", tableauapi.Secret{}, err
	}
	value, err := resolveSecret(repl, option, secret)
	return name, value, err
}

// Interface guards
var (
	_ CredentialModule      = (*PAT)(nil)
	_ caddy.Provisioner     = (*PAT)(nil)
	_ caddyfile.Unmarshaler = (*PAT)(nil)
)

package caddymodule

// This file holds the credential module for unified access tokens.

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// UnifiedAccess signs in with unified access tokens, which Tableau Cloud knows
// since December 2025 (REST API 3.27): each person's sign-in is a JWT signed
// with this server's private key (RS256) that names their Tableau user. One
// configuration in Tableau Cloud Manager serves all sites of the tenant. Make a
// key with `caddy tableau keygen`, and give that configuration its public half.
type UnifiedAccess struct {
	// The issuer, exactly as in the configuration in Tableau Cloud Manager.
	Issuer string `json:"issuer,omitempty"`

	// The ID of the tenant, as Tableau Cloud Manager shows it.
	Tenant string `json:"tenant,omitempty"`

	// The claim that holds the user name, as in the configuration in Tableau
	// Cloud Manager. Default: `email`.
	UsernameClaim string `json:"username_claim,omitempty"`

	// The private key, RSA of at least 2048 bits.
	Key SigningKey `json:"key,omitzero"`

	credential *tableauauth.UnifiedAccess
}

// CaddyModule returns the Caddy module information.
func (UnifiedAccess) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tableau.credentials.unified_access",
		New: func() caddy.Module { return new(UnifiedAccess) },
	}
}

// Provision resolves the placeholders and reads the key.
func (u *UnifiedAccess) Provision(caddy.Context) error {
	repl := caddy.NewReplacer()
	issuer, err := resolve(repl, "issuer", u.Issuer)
	if err != nil {
		return err
	}
	tenant, err := resolve(repl, "tenant", u.Tenant)
	if err != nil {
		return err
	}
	claim, err := resolve(repl, "username_claim", u.UsernameClaim)
	if err != nil {
		return err
	}
	if u.Key == (SigningKey{}) {
		return errors.New("key: missing: name the private key that signs, such as key <kid> {file./path/of/the/key.pem}")
	}
	key, err := u.Key.parse(repl)
	if err != nil {
		return err
	}
	u.credential, err = tableauauth.NewUnifiedAccess(issuer, tenant, claim, key)
	return err
}

// Credential implements [CredentialModule].
func (u *UnifiedAccess) Credential() tableauauth.Credential { return u.credential }

// UnmarshalCaddyfile sets up the credential from Caddyfile tokens. Syntax:
//
//	credentials unified_access {
//		issuer         <url>
//		tenant         <id>
//		username_claim <name>
//		key            <kid> <pem>
//	}
//
// The key in PEM is a placeholder: `{env.NAME}` or `{file./path}`.
func (u *UnifiedAccess) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the kind
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch option := d.Val(); option {
		case "issuer":
			err = unmarshalOnce(d, &u.Issuer)
		case "tenant":
			err = unmarshalOnce(d, &u.Tenant)
		case "username_claim":
			err = unmarshalOnce(d, &u.UsernameClaim)
		case "key":
			if u.Key != (SigningKey{}) {
				return d.Err("key is given twice: Tableau Cloud checks unified access tokens with one key")
			}
			err = u.Key.unmarshal(d)
		default:
			err = d.Errf("unknown option %q of credentials unified_access: there are issuer, tenant, username_claim and key", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ CredentialModule      = (*UnifiedAccess)(nil)
	_ caddy.Provisioner     = (*UnifiedAccess)(nil)
	_ caddyfile.Unmarshaler = (*UnifiedAccess)(nil)
)

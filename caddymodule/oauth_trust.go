package caddymodule

// This file holds the credential module for OAuth 2.0 trust, and the private
// keys that it and unified access tokens are signed with.

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// OAuthTrust signs in with a Connected App that uses OAuth 2.0 trust: this
// server is the authorization server, each person's sign-in is a JWT signed
// with its private key that names their Tableau user, and Tableau fetches the
// public key from here. Tableau and this server share no secret.
//
// Tableau looks for the key below the issuer's URL, so that URL has to lead to a
// site of this server with the `tableau_issuer` handler. Make a key with
// `caddy tableau keygen`, and register the issuer at Tableau under Settings >
// Connected Apps > New Connected App > OAuth 2.0 Trust.
//
// To change the key without an outage, add the new one behind it, wait until
// Tableau has fetched both, put the new one first, and remove the old one a day
// later.
type OAuthTrust struct {
	// The issuer, an https URL, exactly as it is registered at Tableau: with a
	// slash at its end only if it has one there. Tableau Cloud must be able to
	// reach it.
	Issuer string `json:"issuer,omitempty"`

	// The audience that Tableau expects: `tableau:<site LUID>` for an issuer
	// registered for one site, which it always is on Tableau Cloud, and
	// `tableau` for one registered for a whole Tableau Server.
	Audience string `json:"audience,omitempty"`

	// The private keys, one or two. The first signs; the public halves of both
	// are published.
	Keys []SigningKey `json:"keys,omitempty"`

	credential *tableauauth.OAuthTrust
}

// SigningKey is a private key that JWTs are signed with: RSA of at least 2048
// bits (RS256), or ECDSA on the curve P-256 (ES256).
type SigningKey struct {
	// The name of the key, by which Tableau finds its public half: its `kid`.
	ID string `json:"id,omitempty"`

	// The key in PEM (PKCS#8, SEC1 or PKCS#1, not encrypted), as a placeholder
	// such as `{file./run/secrets/tableau.pem}` or `{env.TABLEAU_KEY}`. The key
	// itself is refused here: it would show in the admin API and in
	// autosave.json.
	PEM string `json:"pem,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (OAuthTrust) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tableau.credentials.oauth_trust",
		New: func() caddy.Module { return new(OAuthTrust) },
	}
}

// Provision resolves the placeholders, reads the keys, and makes them known to
// the tableau_issuer handlers of this configuration.
func (o *OAuthTrust) Provision(ctx caddy.Context) error {
	app, err := ctx.App("tableau")
	if err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	issuer, err := resolve(repl, "issuer", o.Issuer)
	if err != nil {
		return err
	}
	audience, err := resolve(repl, "audience", o.Audience)
	if err != nil {
		return err
	}
	keys := make([]tableauauth.SigningKey, 0, len(o.Keys))
	for _, k := range o.Keys {
		key, err := k.parse(repl)
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	if o.credential, err = tableauauth.NewOAuthTrust(issuer, audience, keys...); err != nil {
		return err
	}
	return app.(*App).issuers.publish(o.credential)
}

// Credential implements [CredentialModule].
func (o *OAuthTrust) Credential() tableauauth.Credential { return o.credential }

// parse reads the key that the placeholder names.
func (k SigningKey) parse(repl *caddy.Replacer) (tableauauth.SigningKey, error) {
	kid, err := resolve(repl, "key (its kid)", k.ID)
	if err != nil {
		return tableauauth.SigningKey{}, err
	}
	option := fmt.Sprintf("key %q", kid)
	pem, err := resolveSecret(repl, option, k.PEM)
	if err != nil {
		return tableauauth.SigningKey{}, err
	}
	return tableauauth.ParseSigningKey(kid, pem)
}

// UnmarshalCaddyfile sets up the credential from Caddyfile tokens. Syntax:
//
//	credentials oauth_trust {
//		issuer   <https_url>
//		audience tableau|tableau:<site_luid>
//		key      <kid> <pem>
//	}
//
// `key` may be given twice. The key in PEM is a placeholder: `{env.NAME}` or
// `{file./path}`.
func (o *OAuthTrust) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the kind
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch option := d.Val(); option {
		case "issuer":
			err = unmarshalOnce(d, &o.Issuer)
		case "audience":
			err = unmarshalOnce(d, &o.Audience)
		case "key":
			if len(o.Keys) == 2 {
				return d.Err("key is given more than twice: one key signs, and one stands before or after it")
			}
			var key SigningKey
			err = key.unmarshal(d)
			o.Keys = append(o.Keys, key)
		default:
			err = d.Errf("unknown option %q of credentials oauth_trust: there are issuer, audience and key", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unmarshal reads the arguments of key.
func (k *SigningKey) unmarshal(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&k.ID, &k.PEM) {
		return d.Err("key takes a kid and the private key: key <kid> {file./path/of/the/key.pem}")
	}
	return nil
}

// unmarshalOnce reads exactly one argument of an option that is given once.
func unmarshalOnce(d *caddyfile.Dispenser, to *string) error {
	if *to != "" {
		return d.Errf("%s is given twice", d.Val())
	}
	return unmarshalOne(d, to)
}

// Interface guards
var (
	_ CredentialModule      = (*OAuthTrust)(nil)
	_ caddy.Provisioner     = (*OAuthTrust)(nil)
	_ caddyfile.Unmarshaler = (*OAuthTrust)(nil)
)

// Package caddymodule is the Caddy side of this project: it stands between a
// request whose sender Caddy has verified and Tableau, and sends the request on
// as that person's Tableau user. It holds one file for each Caddy surface, and
// one for each step of a request's way:
//
//	admit.go      may it leave?           one canonical form of method, path and headers
//	identify.go   who is this?            Caddy's verified identity -> a Tableau user; fail closed
//	answer.go     is it for us?           sign-in, sign-out and switchSite are answered here
//	rulebook.go   may they do this?       the operation, by the operator's rules, and the scopes it needs
//	session.go    as whom?                the site, then a live session from the pool
//	forward.go    to Tableau and back     what a proxy takes out and adds; or reverse_proxy does that
//	transport.go  send and scrub          the token is put in on the last hop; one recovery
//	record.go     what happened           one record for each request, access-log fields, placeholders
//
// What Tableau is asked, and how sessions live, is in package tableauauth,
// which knows nothing of Caddy.
package caddymodule

// This file registers the modules and directives.

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	caddy.RegisterModule(App{})
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(Forward{})
	caddy.RegisterModule(Transport{})
	caddy.RegisterModule(DirectTrust{})
	caddy.RegisterModule(OAuthTrust{})
	caddy.RegisterModule(UnifiedAccess{})
	caddy.RegisterModule(PAT{})
	caddy.RegisterModule(Password{})
	caddy.RegisterModule(Issuer{})
	caddy.RegisterModule(TrailEncoder{})

	httpcaddyfile.RegisterGlobalOption("tableau", parseGlobal)
	httpcaddyfile.RegisterHandlerDirective("tableau_auth", parseAuth)
	httpcaddyfile.RegisterDirective("tableau_proxy", parseProxy)
	httpcaddyfile.RegisterHandlerDirective("tableau_issuer", parseIssuer)

	// tableau_auth comes before handle and route, so that one at the site's
	// level covers what is inside them. Were it placed before reverse_proxy,
	// those blocks would come first and pass it by.
	httpcaddyfile.RegisterDirectiveOrder("tableau_auth", httpcaddyfile.After, "forward_auth")
	httpcaddyfile.RegisterDirectiveOrder("tableau_proxy", httpcaddyfile.Before, "reverse_proxy")

	// Tableau fetches keys without credentials.
	httpcaddyfile.RegisterDirectiveOrder("tableau_issuer", httpcaddyfile.Before, "basic_auth")
}

package caddymodule

// This file reads the Caddyfile forms of the handler: tableau_auth, and
// tableau_proxy, which is short for it and the tableau_forward behind it.

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// idleConnections is how many connections to Tableau tableau_proxy keeps ready.
// reverse_proxy's 32 make a busier site close and dial them all the time.
const idleConnections = 512

// parseAuth sets up a [Handler]. See [Handler.UnmarshalCaddyfile].
func parseAuth(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	tableau_auth [<matcher>] <tableau_origin> {
//		site          <content_url>...
//		user          <template>
//		identity_headers trusted_proxies|any
//		user_map      <identity> <tableau_user>
//		user_map_file <path>
//		unmapped      deny|template
//		forbid_users  <tableau_user>...
//		credentials   <kind> { ... }
//		claims {
//			<name> <template>...
//		}
//		scopes        auto [by operation|resource|class]
//		scopes        <scope>...
//		scope_ceiling <scope>...
//		unknown_routes deny|allow|<scope>...
//		allow         [<method>...] <route>...
//		deny          [<method>...] <route>...
//		read_only
//		policy        <placeholder> <value>... {
//			<allow, deny, read_only>
//		}
//		policy        default
//		clients {
//			<name> <hash> [<identity>]
//		}
//		insecure_http
//		allow_addresses <address or range>...
//		transport     { <options of the http transport> }
//	}
//
// `user_map`, `forbid_users`, `site`, `scopes` but for `scopes auto`,
// `scope_ceiling`, `allow`, `deny`, `policy` and `allow_addresses` may be
// repeated; the others may not.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	_, err := unmarshalOptions(d, h, false)
	return err
}

// proxyOptions are the options that tableau_proxy has besides the handler's.
type proxyOptions struct{ replayBuffer int }

// parseProxy sets up the directive that most people need. Syntax:
//
//	tableau_proxy [<matcher>] <tableau_origin> {
//		<the options of tableau_auth>
//		replay_buffer <size>
//	}
func parseProxy(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	auth := new(Handler)
	options, err := unmarshalOptions(h.Dispenser, auth, true)
	if err != nil {
		return nil, err
	}
	forward, err := forwardFor(auth, options)
	if err != nil {
		return nil, h.WrapErr(err)
	}
	route := caddyhttp.Route{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(auth, "handler", "tableau_auth", nil),
		caddyconfig.JSONModuleObject(forward, "handler", "tableau_forward", nil),
	}}
	if matchers != nil {
		route.MatcherSetsRaw = []caddy.ModuleMap{matchers}
	}
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: route}}, nil
}

// forwardFor makes the second half: the tableau transport with the same options as
// the sign-ins, and with TLS if the origin is https.
func forwardFor(auth *Handler, options proxyOptions) (*Forward, error) {
	origin, err := tableauauth.ParseOrigin(auth.Origin)
	if err != nil {
		return nil, err
	}
	transport := &Transport{HTTPTransport: new(reverseproxy.HTTPTransport), ReplayBuffer: options.replayBuffer, AllowAddresses: auth.AllowAddresses}
	if auth.Transport != nil {
		settings := *auth.Transport
		transport.HTTPTransport = &settings
	}
	if origin.Scheme == "https" && transport.TLS == nil {
		transport.TLS = new(reverseproxy.TLSConfig)
	}
	if transport.KeepAlive == nil {
		transport.KeepAlive = &reverseproxy.KeepAlive{MaxIdleConnsPerHost: idleConnections}
	}
	return &Forward{TransportRaw: caddyconfig.JSONModuleObject(transport, "protocol", "tableau", nil)}, nil
}

// repeatable are the options that may be given more than once.
var repeatable = []string{"site", "user_map", "forbid_users", "scopes", "scope_ceiling", "allow", "deny", "policy", "allow_addresses"}

// unmarshalOptions reads the directive's origin and block into h, and what only
// tableau_proxy takes into the result.
func unmarshalOptions(d *caddyfile.Dispenser, h *Handler, proxy bool) (options proxyOptions, err error) {
	d.Next() // consume the directive name
	directive := d.Val()
	if !d.AllArgs(&h.Origin) {
		return options, d.Errf("%s takes one origin, such as https://10ax.online.tableau.com, and then a block of options", directive)
	}
	var seen []string
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if slices.Contains(seen, option) && !slices.Contains(repeatable, option) {
			return options, d.Errf("%s is given twice", option)
		}
		seen = append(seen, option)
		if option == "replay_buffer" && proxy {
			err = unmarshalReplayBuffer(d, &options.replayBuffer)
		} else {
			err = h.unmarshalOption(d, option)
		}
		if err != nil {
			return options, err
		}
	}
	return options, nil
}

func unmarshalReplayBuffer(d *caddyfile.Dispenser, n *int) (err error) {
	var size string
	if !d.AllArgs(&size) {
		return d.ArgErr()
	}
	if *n, err = parseSize(size); err != nil {
		return d.Errf("replay_buffer: %v", err)
	}
	return nil
}

// unmarshalOption reads one option of the handler.
func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "site":
		return unmarshalList(d, &h.Sites)
	case "identity_headers":
		return unmarshalOne(d, &h.IdentityHeaders)
	case "allow_addresses":
		return unmarshalList(d, &h.AllowAddresses)
	case "forbid_users":
		return unmarshalList(d, &h.ForbidUsers)
	case "scopes":
		return h.unmarshalScopes(d)
	case "scope_ceiling":
		return unmarshalList(d, &h.ScopeCeiling)
	case "unknown_routes":
		return unmarshalList(d, &h.UnknownRoutes)
	case "allow":
		return unmarshalRule(d, &h.Allow)
	case "deny":
		return unmarshalRule(d, &h.Deny)
	case "read_only":
		return h.unmarshalReadOnly(d)
	case "policy":
		return h.unmarshalPolicy(d)
	case "user":
		return unmarshalOne(d, &h.User)
	case "user_map":
		return h.unmarshalUser(d)
	case "user_map_file":
		return unmarshalOne(d, &h.UserMapFile)
	case "unmapped":
		return unmarshalOne(d, &h.Unmapped)
	case "credentials":
		return h.unmarshalCredentials(d)
	case "claims":
		return h.unmarshalClaims(d)
	case "clients":
		return h.unmarshalClients(d)
	case "insecure_http":
		h.InsecureHTTP = true
		if d.NextArg() {
			return d.ArgErr()
		}
		return nil
	case "transport":
		if d.CountRemainingArgs() > 0 {
			return d.Err("transport takes a block of options, and no name before it")
		}
		h.Transport = new(reverseproxy.HTTPTransport)
		return h.Transport.UnmarshalCaddyfile(d.NewFromNextSegment())
	default:
		return d.Errf("unknown option %q: the options are site, user, identity_headers, user_map, user_map_file, unmapped, forbid_users, credentials, claims, scopes, scope_ceiling, unknown_routes, allow, deny, read_only, policy, clients, insecure_http, allow_addresses, transport and, for tableau_proxy, replay_buffer", option)
	}
}

func (h *Handler) unmarshalUser(d *caddyfile.Dispenser) error {
	var identity, user string
	if !d.AllArgs(&identity, &user) {
		return d.Err("user_map takes an identity and a Tableau user")
	}
	if _, twice := h.UserMap[identity]; twice {
		return d.Errf("user_map: %q is there twice", identity)
	}
	if h.UserMap == nil {
		h.UserMap = make(map[string]string)
	}
	h.UserMap[identity] = user
	return nil
}

func (h *Handler) unmarshalCredentials(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("credentials takes a kind, such as direct_trust, and a block")
	}
	kind := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "tableau.credentials."+kind)
	if err != nil {
		return err
	}
	h.CredentialsRaw = caddyconfig.JSONModuleObject(module, "kind", kind, nil)
	return nil
}

func (h *Handler) unmarshalClients(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		client := Client{Name: d.Val()}
		args := d.RemainingArgs()
		if len(args) < 1 || len(args) > 2 {
			return d.Errf("clients: %s takes the hash of its secret and, if it is not its name, its identity", client.Name)
		}
		client.Hash = args[0]
		if len(args) == 2 {
			client.Identity = args[1]
		}
		h.Clients = append(h.Clients, client)
	}
	if len(h.Clients) == 0 {
		return d.Err("clients is empty: it takes a line for each client")
	}
	return nil
}

// parseGlobal sets up the [App] from the global option. Syntax:
//
//	tableau {
//		seal_key              <key> [<previous_key>]
//		sign_in_rate          <per_second>
//		sign_in_rate_per_user <per_minute>
//		max_sign_ins          <count>
//		sign_in_queue         <count>
//		sign_in_wait          <duration>
//		max_sessions          <count>
//		audit                 <file> { ... }
//		correlate             headers|user_agent...
//	}
//
// See [Audit] for the options of audit.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume the option name
	if existing != nil {
		return nil, d.Err("the global option tableau is given twice")
	}
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	app := new(App)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "seal_key":
			if app.SealKeys != nil {
				return nil, d.Err("seal_key is given twice: the key before goes behind the key, on the same line")
			}
			if err := unmarshalList(d, &app.SealKeys); err != nil {
				return nil, err
			}
		case "audit":
			if app.Audit != nil {
				return nil, d.Err("audit is given twice: there is one file")
			}
			audit, err := unmarshalAudit(d)
			if err != nil {
				return nil, err
			}
			app.Audit = audit
		case "correlate":
			if err := unmarshalList(d, &app.Correlate); err != nil {
				return nil, err
			}
		default:
			known, err := app.unmarshalLimit(d)
			if err != nil {
				return nil, err
			}
			if !known {
				return nil, d.Errf("unknown global option %q of tableau: there are seal_key, sign_in_rate, sign_in_rate_per_user, max_sign_ins, sign_in_queue, sign_in_wait, max_sessions, audit and correlate", option)
			}
		}
	}
	return httpcaddyfile.App{Name: "tableau", Value: caddyconfig.JSON(app, nil)}, nil
}

// unmarshalList reads at least one argument.
func unmarshalList(d *caddyfile.Dispenser, to *[]string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s is empty: it takes at least one value", option)
	}
	*to = append(*to, args...)
	return nil
}

// unmarshalOne reads exactly one argument.
func unmarshalOne(d *caddyfile.Dispenser, to *string) error {
	if !d.AllArgs(to) {
		return d.ArgErr()
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)

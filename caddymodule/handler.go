package caddymodule

// This file holds the handler: its options, and the way of a request through
// the steps that the other files hold.

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// Handler decides, for each request, who sends it, whether it may go to
// Tableau, and as which Tableau user. It must stand behind whatever verifies
// the sender (`basic_auth`, `forward_auth`, mutual TLS, ...) and in front of a
// `reverse_proxy` that uses the `tableau` transport, which is where the session
// is put into the request, or of `tableau_forward`, which does the same for
// less. The `tableau_proxy` directive sets up that one.
//
// A request whose sender cannot be named goes nowhere: an identity that is
// missing, unprintable, not in Unicode normalisation form C or over 255 bytes
// is refused.
//
// `POST /api/<version>/auth/signin`, `signout` and `switchSite` are answered
// here, so that clients which insist on signing in can do so with any
// credentials. The token that they get is worth nothing at Tableau, and nothing
// to anybody but them.
//
// Paths: `/api/**` is proxied, everything else is not Tableau's API and is
// answered with 404. In `/sites/-/` the hyphen stands for the first site, in
// `/users/-` for the Tableau user of the sender; `/sites/<content URL>/`
// chooses another of the configured sites. A request without a site in its
// path may choose one with the header `X-Tableau-Site`.
//
// What goes through are the operations of Tableau's APIs that are known, but
// for those that are dangerous to shared sessions, each in a session with the
// scopes that it needs. `allow`, `deny`, `read_only` and `policies` narrow that
// down. `caddy tableau scopes --config <file>` prints what a configuration lets
// through.
//
// Errors of this handler have the shape of Tableau's own, XML or JSON, with a
// code in the header `X-Tableau-Proxy-Error`.
//
// Placeholders, once the request has been admitted:
//
// Placeholder | Description
// ------------|------------
// `{http.tableau.user}` | The Tableau user the request is sent as
// `{http.tableau.site}` | The content URL of its site, empty for the Default site
// `{http.tableau.route}` | What it asks for, such as `/sites/{site}/workbooks`
// `{http.tableau.operation}` | The same by its name, such as `query_workbooks_for_site`; empty for a route that is not known
type Handler struct {
	// Where Tableau is: scheme, host and port, such as
	// `https://10ax.online.tableau.com`. Sessions go nowhere else.
	Origin string `json:"origin,omitempty"`

	// Content URLs of the sites that requests may choose; the first is used
	// where a request chooses none. `default` is the Default site.
	Sites []string `json:"sites,omitempty"`

	// The Tableau user name, with placeholders: `{http.auth.user.id}` or
	// `{http.auth.user.id}@corp.example`, for example. A constant is allowed,
	// for a listener that only one service can reach. Placeholders that the
	// client fills in (query, cookies, host, path, body) are refused; so is a
	// request in which one comes out empty. A request header must come once, as
	// one name, and from whom `identity_headers` says; behind `forward_auth`,
	// use what it was answered, such as `{http.reverse_proxy.header.Remote-User}`.
	User string `json:"user,omitempty"`

	// Tableau users by identity, which wins over `user`. The identity is
	// `{http.auth.user.id}` where an authentication handler has set it, and
	// what `user` comes out as otherwise. Compared byte for byte.
	UserMap map[string]string `json:"user_map,omitempty"`

	// A file with one `identity tableau_user` on each line, used like
	// `user_map`, and read again when it changes. Lines that begin with `#`
	// are comments.
	UserMapFile string `json:"user_map_file,omitempty"`

	// From whom a request header is believed that `user`, a claim or a policy
	// names: `trusted_proxies`, those of Caddy's server option of that name, or
	// `any`, for a listener that only the proxy can reach that sets the
	// header. Default: `trusted_proxies`.
	IdentityHeaders string `json:"identity_headers,omitempty"`

	// What happens to identities that are in neither map: `deny`, or
	// `template` to use `user` for them. Default: `deny` if there is a map.
	Unmapped string `json:"unmapped,omitempty"`

	// Tableau users that nobody may become, such as service and
	// administrator accounts. Compared without regard to case.
	ForbidUsers []string `json:"forbid_users,omitempty"`

	// How to sign in at Tableau.
	CredentialsRaw json.RawMessage `json:"credentials,omitempty" caddy:"namespace=tableau.credentials inline_key=kind"`

	// Extra claims of the JWTs that people are signed in with, by name: user
	// attributes for row-level security, and the claims of on-demand access.
	// Values hold placeholders, under the same rules as `user`. One value is
	// sent as a string, several as a list, and `https://tableau.com/groups`
	// always as a list. A request for which a value comes out empty is refused.
	// A client can set none of them. For credentials that are JWTs only.
	Claims map[string][]string `json:"claims,omitempty"`

	// The scopes that sessions are given: `auto` alone, or a list such as
	// `tableau:content:read` that is the same for every session. With `auto` a
	// session has what the operation needs that it is opened for, so that a
	// person has one session for each set of scopes. What needs a scope that is
	// not in the list is refused. Sessions of the credentials `pat` and
	// `password` know no scopes. Default: `auto`.
	Scopes []string `json:"scopes,omitempty"`

	// With `auto`, which operations share a session: those with the same scopes
	// (`operation`), those about the same resource (`resource`), such as
	// workbooks, or those of the same class (`class`): read, write, run, admin.
	// The fewer sessions, the more each may do. Default: `operation`.
	ScopesBy string `json:"scopes_by,omitempty"`

	// With `auto`, the only scopes that sessions may be given. `*` may stand for
	// all actions, as in `tableau:views:*`. Default: any.
	ScopeCeiling []string `json:"scope_ceiling,omitempty"`

	// What becomes of requests for which no operation is known: `deny`, `allow`
	// with the scopes in `scopes`, or the scopes of their sessions. Default:
	// `deny`.
	UnknownRoutes []string `json:"unknown_routes,omitempty"`

	Policy

	// Policies of groups of people. The first that is about a person holds,
	// beside the policy above. Who belongs to none is refused. Default: none,
	// so that the policy above is everybody's.
	Policies []GroupPolicy `json:"policies,omitempty"`

	// Tools that can present no identity to Caddy, and show who they are when
	// they sign in. Requests for which Caddy knows an identity are not
	// affected.
	Clients []Client `json:"clients,omitempty"`

	// Allows an `http://` origin, over which sessions travel in the clear.
	// For a lab on one machine only.
	InsecureHTTP bool `json:"insecure_http,omitempty"`

	// Options of `reverse_proxy`'s HTTP transport for the calls that begin and
	// end sessions. TLS is always verified.
	Transport *reverseproxy.HTTPTransport `json:"transport,omitempty"`

	// Addresses, or ranges of them, that Tableau's name may lead to although
	// they are loopback or link-local, or belong to a cloud's own services.
	// An origin that is itself an address, or localhost, needs none.
	// Default: none.
	AllowAddresses []string `json:"allow_addresses,omitempty"`

	app        *App
	origin     *url.URL
	connection *connection
	identities *identities
	clients    *clients // nil if there are none
	claims     *claims  // nil if there are none
	sites      []string // content URLs, "" for the Default site
	rules      *rulebook
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.tableau_auth",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the options and takes up the connection to Tableau. It
// makes no network call.
func (h *Handler) Provision(ctx caddy.Context) error {
	app, err := ctx.App("tableau")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	h.app.noteConfig(h)
	if err := h.provisionOptions(ctx); err != nil {
		return err
	}
	credential, err := h.loadCredential(ctx)
	if err != nil {
		return err
	}
	_, account := credential.(tableauauth.Account)
	if h.rules, err = newRulebook(h, credential.Kind(), account, h.app.logger); err != nil {
		return err
	}
	if h.claims, err = newClaims(h.Claims, credential, h.sources(), h.app.logger); err != nil {
		return err
	}
	variant, err := h.provisionTransport(ctx)
	if err != nil {
		return err
	}
	h.rules.version = newServerVersion(ctx, h.origin.String(), h.audited(), h.app.logger).get
	h.connection, err = h.app.connect(
		tableauauth.Connection{Origin: h.origin.String(), Credential: credential, Variant: variant},
		tableauauth.Client{Transport: h.audited()},
		h.sites,
	)
	return err
}

// provisionOptions checks everything that needs no other module.
func (h *Handler) provisionOptions(ctx caddy.Context) (err error) {
	if h.origin, err = checkOrigin(h.Origin, h.InsecureHTTP); err != nil {
		return err
	}
	if h.sites, err = siteURLs(h.Sites); err != nil {
		return err
	}
	if h.identities, err = newIdentities(h, h.app.logger); err != nil {
		return err
	}
	if len(h.Clients) > 0 && !h.identities.takesClients() {
		return errors.New("clients: the identity of a client is {http.auth.user.id}, of which neither user nor a user_map makes use")
	}
	h.clients, err = newClients(ctx, h.Clients)
	return err
}

// loadCredential loads the guest of tableau.credentials.
func (h *Handler) loadCredential(ctx caddy.Context) (tableauauth.Credential, error) {
	if h.CredentialsRaw == nil {
		return nil, errors.New("credentials: missing: say how to sign in at Tableau, such as credentials direct_trust { ... }")
	}
	guest, err := ctx.LoadModule(h, "CredentialsRaw")
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return guest.(CredentialModule).Credential(), nil
}

// provisionTransport sets up the transport for sign-ins, and returns what of it
// must not be shared with other connections.
func (h *Handler) provisionTransport(ctx caddy.Context) (variant string, err error) {
	settings, err := json.Marshal(struct {
		*reverseproxy.HTTPTransport
		AllowAddresses []string
	}{h.Transport, h.AllowAddresses})
	if err != nil {
		return "", err
	}
	rule, err := newAddressRule(h.AllowAddresses)
	if err != nil {
		return "", err
	}
	h.Transport, err = secured(h.Transport, h.origin.Scheme == "https")
	if err != nil {
		return "", err
	}
	if err := h.Transport.Provision(ctx); err != nil {
		return "", fmt.Errorf("transport: %w", err)
	}
	if err := guard(h.Transport, rule); err != nil {
		return "", fmt.Errorf("transport: %w", err)
	}
	if tls := h.Transport.Transport.TLSClientConfig; tls != nil && tls.RootCAs != nil && tls.RootCAs.Equal(x509.NewCertPool()) {
		return "", errors.New("transport: there is no certificate in what is to be trusted: check the file of tls_trust_pool")
	}
	return string(settings), nil
}

// Cleanup closes idle connections. The app releases the sessions.
func (h *Handler) Cleanup() error {
	if h.Transport == nil || h.Transport.Transport == nil {
		return nil
	}
	return h.Transport.Cleanup()
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	x := newExchange(r)
	r = x.attach(r)
	x.w, x.body = w, watchBody(r)
	x.observe(h.app, w, r)
	err := h.handle(w, r, x, next)
	x.body.linger(w)
	return err
}

// handle serves the request and sees to its records, which it has also if
// reverse_proxy gives an answer up half way: it panics then
// (http.ErrAbortHandler), and is let.
func (h *Handler) handle(w http.ResponseWriter, r *http.Request, x *exchange, next caddyhttp.Handler) (err error) {
	x.aborted = true
	defer func() {
		x.conclude(r.Context(), err)
		h.record(r, x)
	}()
	refused, err := h.serve(w, r, x, next)
	x.aborted = false
	if refused != nil {
		if x.route.Auth() == tableauapi.SignIn {
			refused = refused.atSignIn()
		}
		x.refused = refused
		x.body.hangUp(w)
		if r.ProtoMajor == 1 && !slices.Contains(methods, r.Method) {
			w.Header().Set("Connection", "close") // after CONNECT, others may read on differently
		}
		refused.write(w, r)
	}
	return err
}

// serve takes a request its way. It returns why it ended early, as an answer
// of our own or as an error of a later handler, or twice nil if Tableau's
// answer went to the client.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, x *exchange, next caddyhttp.Handler) (*refusal, error) {
	defer x.binding.Release()
	if refused := admitLine(r, x); refused != nil {
		return refused, nil
	}
	if refused := admitSize(r); refused != nil {
		return refused, nil
	}
	if refused := admitQuery(r); refused != nil {
		return refused, nil
	}
	if refused := admitBrowser(r); refused != nil {
		return refused, nil
	}
	if refused := h.identify(r, x); refused != nil {
		if x.route.Auth() != tableauapi.SignOut {
			return refused, nil
		}
		x.token = nil // not shown to be the sender's: there is nothing to sign out
	}
	if refused := h.claims.expand(r, x); refused != nil {
		return refused, nil
	}
	if x.route.Auth() != tableauapi.NotAuth {
		return h.answer(w, r, x), nil
	}
	if refused := h.rules.judge(r, x); refused != nil {
		return refused, nil
	}
	if refused := admitHeaders(r, x); refused != nil {
		return refused, nil
	}
	h.identities.removeHeaders(r)
	h.claims.removeHeaders(r)
	h.rules.groups.sources.removeHeaders(r)
	if err := x.sink.ready(); err != nil {
		return refuseAudit.with("", err), nil
	}
	if refused := h.open(r, x); refused != nil {
		return refused, nil
	}
	if refused := x.rewrite(r); refused != nil {
		return refused, nil
	}
	x.describe(r)
	refused, err := upstreamFailure(next.ServeHTTP(w, r))
	if refused != nil && x.body.malformed() {
		refused = refuseBody.with("", refused.cause)
	}
	return refused, err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)

package caddymodule

// This file holds the transport: the last hop, where the session is put into
// the request, and the first to see what Tableau answers.

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// Transport is reverse_proxy's HTTP transport for requests that
// `tableau_auth` has admitted; `tableau_forward`, which `tableau_proxy` stands
// for, sends by it too. It puts the session of the request into a copy of it, on
// the last hop, where a client's `Connection` header cannot take it out again and
// no log sees it. A request that `tableau_auth` has not admitted is not sent.
//
// If Tableau has ended the session, the transport gets a new one and sends the
// request once more, and the client notices nothing. A request that Tableau
// refuses to a live session, for want of a scope, is answered with 403 and the
// reason.
//
// It takes every option of the `http` transport. `compression` is off unless set:
// what the client accepts decides.
type Transport struct {
	*reverseproxy.HTTPTransport

	// How much of a request body is kept for sending it a second time, in
	// bytes. A larger body goes through, but cannot be sent again: its client
	// gets a 401 that says so. -1 keeps nothing. Default: `1048576`.
	ReplayBuffer int `json:"replay_buffer,omitempty"`

	// Addresses, or ranges of them, that Tableau's name may lead to although
	// they are loopback or link-local, or belong to a cloud's own services.
	// Default: none.
	AllowAddresses []string `json:"allow_addresses,omitempty"`

	core   *tableauauth.Transport
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.tableau",
		New: func() caddy.Module { return &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)} },
	}
}

// Provision sets up the transport.
func (t *Transport) Provision(ctx caddy.Context) error {
	if err := checkConnection(t.HTTPTransport); err != nil {
		return err
	}
	rule, err := newAddressRule(t.AllowAddresses)
	if err != nil {
		return err
	}
	if t.Compression == nil {
		// Or Go would ask for gzip where the client does not, and unpack it:
		// the answer would lose its length.
		t.Compression = new(bool)
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	if err := guard(t.HTTPTransport, rule); err != nil {
		return err
	}
	t.logger = ctx.Logger()
	t.core = &tableauauth.Transport{Base: &egress{next: t.HTTPTransport}, ReplayBuffer: t.ReplayBuffer}
	return nil
}

// Cleanup closes idle connections.
func (t *Transport) Cleanup() error {
	if t.HTTPTransport == nil || t.Transport == nil {
		return nil // not provisioned
	}
	return t.HTTPTransport.Cleanup()
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeFrom(req.Context())
	if x == nil {
		return t.unadmitted(req)
	}
	x.refused = nil // of an attempt before this one, if reverse_proxy tries again
	t.SetScheme(req)
	res, err := t.core.RoundTrip(req)
	if err != nil {
		refused := transportFailure(x, err)
		if refused == nil {
			return nil, err
		}
		x.refused = refused
		x.body.hangUp(x.w)
		return refused.response(req), nil
	}
	if res.StatusCode == http.StatusSwitchingProtocols && req.Header.Get("Upgrade") == "" {
		_ = res.Body.Close()
		return nil, errSwitched
	}
	x.body.hangUp(x.w)
	x.status = res.StatusCode
	if x.binding.Session != nil {
		forbidCaching(res.Header)
	}
	return res, nil
}

// forbidCaching keeps an answer that was made for one person out of caches on
// the way to others.
func forbidCaching(h http.Header) {
	h.Del("CDN-Cache-Control") // RFC 9213: some caches prefer these
	h.Del("Surrogate-Control")
	for _, directives := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(directives, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-store") {
				return
			}
		}
	}
	h.Set("Cache-Control", "private, no-store")
}

// unadmitted handles requests that have not come by tableau_auth. An active
// health check, which comes from no server, is sent as it is. Anything else is
// a configuration that leaves tableau_auth out.
func (t *Transport) unadmitted(req *http.Request) (*http.Response, error) {
	ctx := req.Context() // the server itself is in a health check's context, too
	if ctx.Value(http.LocalAddrContextKey) == nil && ctx.Value(caddyhttp.VarsCtxKey) == nil {
		return t.HTTPTransport.RoundTrip(req)
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	t.logger.Error("nothing was sent: put tableau_auth in front of this reverse_proxy, or use tableau_proxy",
		zap.String("method", req.Method), zap.Error(errNotAdmitted))
	return refuseInternal.with("", errNotAdmitted).response(req), nil
}

var (
	errSwitched    = errors.New("the answer switches protocols, which nobody asked for")
	errNotAdmitted = errors.New("the request reached the tableau transport without passing tableau_auth")
)

// transportFailure turns what the session engine decided into an answer, or
// returns nil for errors of the network, which are reverse_proxy's to handle.
func transportFailure(x *exchange, err error) *refusal {
	var (
		scope   *tableauauth.ScopeError
		ended   *tableauauth.EndedError
		signIn  *tableauauth.SignInError
		noSeat  *tableauauth.NoSeatError
		another *tableauauth.OriginError
		address *addressError
	)
	switch {
	case errors.Is(err, auditlog.ErrUnavailable):
		return refuseAudit.with("", err)
	case errors.As(err, &scope):
		return refuseScope.with(scopeDetail(x, scope), err)
	case errors.As(err, &ended):
		return refuseEnded.with("", err)
	case errors.As(err, &signIn):
		return signInFailure(signIn)
	case errors.As(err, &noSeat):
		return refuseNoSeat.with("", err)
	case errors.As(err, &address):
		return refuseAddress.with("", err)
	case errors.As(err, &another), errors.Is(err, tableauauth.ErrNoBinding), errors.Is(err, tableauauth.ErrOtherGrant):
		return refuseInternal.with("", err)
	case errors.Is(err, tableauauth.ErrPoolClosed):
		return refuseShutdown.with("", err)
	default:
		return nil
	}
}

// UnmarshalCaddyfile sets up the transport from Caddyfile tokens. Syntax:
//
//	transport tableau {
//		replay_buffer   <size>
//		allow_addresses <address or range>...
//		...               # and every option of the http transport
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	seen := false
	for d.Next() {
		for d.NextBlock(0) {
			if d.Nesting() != 1 {
				continue
			}
			switch d.Val() {
			case "replay_buffer":
				if seen {
					return d.Err("replay_buffer is given twice")
				}
				seen = true
				if err := unmarshalReplayBuffer(d, &t.ReplayBuffer); err != nil {
					return err
				}
				d.DeleteN(2)
			case "allow_addresses":
				before := len(t.AllowAddresses)
				if err := unmarshalList(d, &t.AllowAddresses); err != nil {
					return err
				}
				d.DeleteN(1 + len(t.AllowAddresses) - before)
			}
		}
	}
	d.Reset()
	return t.HTTPTransport.UnmarshalCaddyfile(d)
}

// maxReplayBuffer bounds replay_buffer, since every request under way may hold
// as much.
const maxReplayBuffer = 64 << 20

// parseSize reads a size such as 512KiB; off keeps nothing.
func parseSize(s string) (int, error) {
	if s == "off" {
		return -1, nil
	}
	n, err := humanize.ParseBytes(s)
	switch {
	case err != nil || n == 0:
		return 0, fmt.Errorf("%q is not a size such as 512KiB, and not off", s)
	case n > maxReplayBuffer:
		return 0, fmt.Errorf("%s is more than %s", s, humanize.IBytes(maxReplayBuffer))
	}
	return int(n), nil
}

// Interface guards. reverse_proxy probes a transport for the optional ones; the
// embedded HTTPTransport provides them, and must go on to.
var (
	_ http.RoundTripper                                = (*Transport)(nil)
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ caddyfile.Unmarshaler                            = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)

package caddymodule

// This file holds the handler behind tableau_auth in tableau_proxy: it sends a
// request to Tableau and hands the answer back, and costs less than reverse_proxy.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Forward sends requests that `tableau_auth` has admitted to Tableau, and its
// answers back. It is the second half of `tableau_proxy`.
//
// Towards clients and towards Tableau it does, header for header, what a
// `reverse_proxy` with the `tableau` transport and no other options does: the
// same hop-by-hop headers are removed, the same `Via` and `X-Forwarded-*` added,
// by the same trusted proxies; bodies are streamed in both directions, answers of
// unknown length and `text/event-stream` flushed as they come, interim answers
// (1xx) and trailers passed on; an answer that breaks off at Tableau breaks off
// at the client; errors have the same status. A test runs both on the same cases.
//
// It is cheaper, because it does nothing else. There is one upstream, the origin
// of `tableau_auth`, and there are no load balancing, health checks, retries,
// buffers, header operations or response handlers, and no entry in the admin
// API's `/reverse_proxy/upstreams`. Who wants these writes `tableau_auth` and
// `reverse_proxy`, which stays as good a way. It switches protocols for nobody:
// Tableau's API has no WebSockets, and `tableau_auth` removes what would ask for
// them, so that no connection outlives its configuration.
//
// Of the placeholders of `reverse_proxy` it keeps, by their names, those that are
// about the exchange: `{http.reverse_proxy.status_code}`, `status_text`,
// `header.*`, `duration`, `duration_ms`, `retries`, and `upstream.` `address`,
// `hostport`, `host`, `port`, `latency`, `latency_ms`, `duration`, `duration_ms`.
// They are worked out when they are asked for.
type Forward struct {
	// How requests are sent: the `tableau` transport. Required.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	transport http.RoundTripper
	logger    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Forward) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.tableau_forward",
		New: func() caddy.Module { return new(Forward) },
	}
}

// Provision loads the transport.
func (f *Forward) Provision(ctx caddy.Context) error {
	f.logger = ctx.Logger()
	if f.TransportRaw == nil {
		return errors.New(`transport: missing: it is {"protocol": "tableau"}, with options`)
	}
	guest, err := ctx.LoadModule(f, "TransportRaw")
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	transport, ok := guest.(*Transport)
	if !ok {
		return errors.New("transport: tableau_forward sends by the tableau transport only, which puts the session in: for another, use reverse_proxy")
	}
	f.transport = transport
	return nil
}

// A forwarding is a request under way to Tableau, and its answer.
type forwarding struct {
	interim
	out     *http.Request  // as it is sent, but for the session
	res     *http.Response // nil as long as there is none
	began   time.Time
	latency time.Duration // until the headers of the answer were there
	took    time.Duration // until all of it was passed on
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (f *Forward) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	p := &forwarding{began: time.Now()}
	p.w = w
	if x := exchangeFrom(r.Context()); x != nil {
		x.binding.Interim = p.pass
	}
	p.out = outgoing(r.WithContext(r.Context()), forwardTo(r))
	p.answerFor(r)
	defer func() { p.took = time.Since(p.began) }()

	res, err := f.transport.RoundTrip(p.out) //nolint:bodyclose // answer closes it
	p.latency = time.Since(p.began)
	p.end()
	if err != nil {
		f.log(p, zap.Error(err))
		return forwardError(w, err)
	}
	p.res = res
	f.log(p, zap.Int("status", res.StatusCode))
	f.answer(w, p)
	return nil
}

// forwardTo is the host and port of Tableau. A request that tableau_auth has not
// admitted has none, and the transport sends it nowhere.
func forwardTo(r *http.Request) string {
	x := exchangeFrom(r.Context())
	if x == nil || x.binding.Pool == nil {
		return ""
	}
	_, host, _ := strings.Cut(x.binding.Pool.Origin(), "://")
	return host
}

// statusClientGone is what access logs say of a client that left. It never gets
// to read it.
const statusClientGone = 499

// forwardError is what becomes of a request that got no answer: the error of
// reverse_proxy.
func forwardError(w http.ResponseWriter, err error) error {
	if errors.Is(err, context.Canceled) {
		w.WriteHeader(statusClientGone)
		return nil
	}
	status := http.StatusBadGateway
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // a timeout within another error is not that of the call
		status = http.StatusGatewayTimeout
	}
	if strings.Contains(err.Error(), "operation was canceled") { // of a dial, which net wraps in an error without a type
		status = statusClientGone
	}
	return caddyhttp.Error(status, err)
}

// log writes what reverse_proxy logs of a call at DEBUG, and costs nothing where
// that is off. The session is in neither of the messages: it is put in below, and
// removed again.
func (f *Forward) log(p *forwarding, result zap.Field) {
	c := f.logger.Check(zapcore.DebugLevel, "upstream roundtrip")
	if c == nil {
		return
	}
	fields := append(p.fields(), result)
	if p.res != nil {
		fields = append(fields, zap.Object("headers", caddyhttp.LoggableHTTPHeader{Header: p.res.Header, ShouldLogCredentials: logsCredentials(p.out)}))
	}
	c.Write(fields...)
}

// fields are what every message about p has.
func (p *forwarding) fields() []zap.Field {
	return []zap.Field{
		zap.String("upstream", p.out.URL.Host),
		zap.Duration("duration", p.latency),
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: p.out, ShouldLogCredentials: logsCredentials(p.out)}),
	}
}

// logsCredentials reports whether the operator has asked Caddy for credentials in
// logs (log_credentials).
func logsCredentials(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Logs != nil && server.Logs.ShouldLogCredentials
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Forward)(nil)
	_ caddyhttp.MiddlewareHandler = (*Forward)(nil)
)

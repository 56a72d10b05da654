package caddymodule

// This file is the one gate through which everything goes to Tableau: it
// records what is about to be sent, and sends nothing that it could not record.

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// An egress sends calls to Tableau, and records each before and after. It stands
// below everything that repeats a call: each attempt is a call of its own.
type egress struct {
	next http.RoundTripper
	// own says that the calls are the pool's, about sessions, and sink where
	// they are recorded. A client's request brings the sink of its handler along.
	own  bool
	sink *auditSink
}

// audited is the transport of the calls about sessions.
func (h *Handler) audited() http.RoundTripper {
	return &egress{next: h.Transport, own: true, sink: h.app.sink}
}

// RoundTrip implements http.RoundTripper.
func (e *egress) RoundTrip(req *http.Request) (*http.Response, error) {
	var x *exchange
	sink := e.sink
	if !e.own {
		x = exchangeFrom(req.Context())
		sink = x.sink
		req = x.correlate(req)
	}
	if sink == nil {
		return e.send(req, x)
	}
	c := newAuditedCall(sink, req, x)
	if late, err := sink.intent(req.Context(), eventIntent, c.intent(req)); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		if late {
			c.unsent()
		}
		return nil, fmt.Errorf("%w: %w", tableauauth.ErrNotSent, err)
	}
	res, err := e.send(req, x)
	if err != nil {
		c.failed(req, err)
		return nil, err
	}
	c.answered(req, res)
	return res, nil
}

// send sends req. Of a client's request x, it takes Tableau's own id out of the
// way of ours.
func (e *egress) send(req *http.Request, x *exchange) (*http.Response, error) {
	if x != nil {
		x.sent++
	}
	res, err := e.next.RoundTrip(req)
	if err == nil && x != nil {
		x.tableauRequestID = strings.Join(res.Header[headerRequestID], ", ")
		if x.correlates.headers {
			delete(res.Header, headerRequestID)
		}
	}
	return res, err
}

// What a call is, as records have it.
const (
	callRequest = "request"
	callSignIn  = "sign_in"
	callSignOut = "sign_out"
	callProbe   = "probe"
	callLookup  = "lookup"
)

// An auditedCall is one call under way.
type auditedCall struct {
	sink   *auditSink
	x      *exchange // nil if it is the pool's own
	began  time.Time
	common []slog.Attr // what both records have
}

func newAuditedCall(sink *auditSink, req *http.Request, x *exchange) *auditedCall {
	c := &auditedCall{sink: sink, x: x, began: time.Now()}
	id, method, path := slog.String("egress", egressID()), slog.String("method", req.Method), slog.String("path", req.URL.EscapedPath())
	if x == nil {
		c.common = []slog.Attr{id, slog.String("call", ownCall(req)), method, path}
		if cause := exchangeFrom(req.Context()); cause != nil {
			c.common = append(c.common, slog.String("for_request", cause.id))
		}
		return c
	}
	c.common = []slog.Attr{
		id, slog.String("call", callRequest), slog.String("request_id", x.id), slog.Int("attempt", x.sent+1),
		slog.String("identity", x.identity), slog.String("user", x.user), slog.String("site", x.site),
		method, path, slog.String("operation", x.operation()),
	}
	return c
}

// ownCall names a call of the pool by what it asks for.
func ownCall(req *http.Request) string {
	switch path := req.URL.Path; {
	case strings.HasSuffix(path, "/auth/signin"):
		return callSignIn
	case strings.HasSuffix(path, "/auth/signout"):
		return callSignOut
	case strings.HasSuffix(path, "/sessions/current"):
		return callProbe
	default:
		return callLookup
	}
}

// egressID joins the two records of a call.
func egressID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails, see crypto/rand
	return hex.EncodeToString(id[:])
}

// intent is the record before the call.
func (c *auditedCall) intent(req *http.Request) []slog.Attr {
	attrs := append(slices.Clone(c.common), slog.String("upstream", req.URL.Scheme+"://"+req.URL.Host))
	if c.x != nil {
		attrs = append(attrs, slog.String("route", c.x.template()))
		attrs = append(attrs, c.x.sender()...)
		attrs = append(attrs, c.x.decision()...)
	}
	attrs = append(attrs, queryFields(c.sink, req.URL)...)
	if req.ContentLength >= 0 {
		attrs = append(attrs, slog.Int64("req_bytes", req.ContentLength))
	}
	if c.x != nil {
		attrs = append(attrs, c.x.credential()...)
	}
	if print := c.sink.print(tokenPrint, req.Header.Get(headerAuth)); print != "" {
		attrs = append(attrs, slog.String("session_fp", print))
	}
	if c.x == nil && strings.HasSuffix(req.URL.Path, "/auth/signin") {
		attrs = append(attrs, proofFields(req)...)
	}
	return attrs
}

// credential is what a request has from the session that it is sent with.
func (x *exchange) credential() []slog.Attr {
	s := x.binding.Session
	if s == nil {
		return nil
	}
	attrs := []slog.Attr{
		slog.String("session", s.ID()), slog.String("jti", s.JTI()),
		slog.Int64("session_age_s", int64(time.Since(s.SignedInAt()).Seconds())),
		slog.Any("scopes", s.Grant().Scopes),
	}
	if as := s.ActsAs(); as != x.user {
		attrs = append(attrs, slog.String("acts_as", as))
	}
	return attrs
}

// queryFields are the names in a query, and a fingerprint of all of it: its
// values may be anything that people look for.
func queryFields(sink *auditSink, u *url.URL) []slog.Attr {
	if u.RawQuery == "" {
		return nil
	}
	attrs := []slog.Attr{slog.String("query_fp", sink.print(queryPrint, u.RawQuery))}
	if keys := slices.Sorted(maps.Keys(u.Query())); len(keys) > 0 {
		attrs = append(attrs, slog.Any("query_keys", keys))
	}
	return attrs
}

// failed is the record after a call that got no answer.
func (c *auditedCall) failed(req *http.Request, err error) {
	attrs := append(slices.Clone(c.common), slog.Int("status", 0), durationMillis("dur_ms", time.Since(c.began)))
	attrs = append(attrs, errorFields(req, err)...)
	if req.Context().Err() != nil && c.x != nil {
		attrs = append(attrs, slog.Bool("client_gone", true))
	}
	c.sink.note(eventOutcome, attrs...)
}

// unsent is the record after an intent that nobody waited for any more, and that
// may stand in the file: nothing was sent.
func (c *auditedCall) unsent() {
	c.sink.note(eventOutcome, append(slices.Clone(c.common), slog.Int("status", 0),
		durationMillis("dur_ms", time.Since(c.began)), slog.String("err_class", "not_sent"))...)
}

// sender is who of a request, besides what both records of a call have.
func (x *exchange) sender() []slog.Attr {
	return slices.DeleteFunc(x.who(x.request), func(a slog.Attr) bool {
		return a.Key == "request_id" || a.Key == "identity" || a.Key == "user"
	})
}

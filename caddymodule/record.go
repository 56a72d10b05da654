package caddymodule

// This file says what happened: one record for each request, and the fields
// that it adds to Caddy's access log.

import (
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// auditMessage is the message of every request's record.
const auditMessage = "request"

// How a request came by its session, as records have it.
const (
	sessionSignedIn = "signed in"
	sessionReused   = "session reused"
	sessionReplaced = "session replaced"
	sessionNone     = "no session"
	sessionLocal    = "answered here"
)

// record writes the request's record to the logger tableau.audit and gives the
// access log its fields.
func (h *Handler) record(r *http.Request, x *exchange) {
	x.count()
	x.audit(r)
	x.tellAccessLog(r)
	level := zapcore.InfoLevel
	if x.refused != nil && x.refused.status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	if c := h.app.audit.Check(level, auditMessage); c != nil {
		c.Write(x.auditFields(r)...)
	}
}

// tellAccessLog says what the access log should have besides its own, where there
// is one.
func (x *exchange) tellAccessLog(r *http.Request) {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server == nil || server.Logs == nil {
		return
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Field{Key: "tableau", Type: zapcore.InlineMarshalerType, Interface: accessFields{x}})
	}
}

// The accessFields of an exchange stand beside those of the access log.
type accessFields struct{ *exchange }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (x accessFields) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("tableau_user", x.user)
	enc.AddString("tableau_site", x.site)
	enc.AddString("tableau_route", x.template())
	enc.AddString("tableau_operation", x.operation())
	if x.refused != nil {
		enc.AddString("tableau_error", x.refused.code)
	}
	return nil
}

// auditFields are who did what, as whom, and how it ended. Nothing in them
// works at Tableau: the session goes by a random id.
func (x *exchange) auditFields(r *http.Request) []zap.Field {
	fields := []zap.Field{
		zap.String("identity", printable(x.identity)),
		zap.String("user", printable(x.user)),
		zap.String("site", x.site),
		zap.String("method", r.Method),
		zap.String("route", x.template()),
		zap.String("operation", x.operation()),
		zap.Int("status", x.outcome()),
		zap.String("how", x.how()),
		zap.Duration("took", time.Since(x.began)),
		zap.String("client_ip", clientIP(r)),
	}
	if x.aborted {
		fields = append(fields, zap.Bool("aborted", true))
	}
	if x.client.Name != "" {
		fields = append(fields, zap.String("client", x.client.Name))
	}
	if id := requestID(r); id != "" {
		fields = append(fields, zap.String("request_id", id))
	}
	if s := x.binding.Session; s != nil {
		if as := s.ActsAs(); as != x.user { // of an account, for everybody; "" if Tableau did not say
			fields = append(fields, zap.String("acts_as", as))
		}
		fields = append(fields, zap.String("session", s.ID()), zap.String("jti", s.JTI()))
		if scopes := s.Grant().Scopes; len(scopes) > 0 {
			fields = append(fields, zap.Strings("scopes", scopes))
		}
	}
	if x.refused != nil {
		fields = append(fields, zap.String("error", x.refused.code), zap.String("detail", x.refused.detail))
		if x.refused.cause != nil {
			fields = append(fields, zap.String("cause", x.refused.cause.Error()))
		}
	}
	return fields
}

// outcome is the status that the client got.
func (x *exchange) outcome() int {
	if x.refused != nil {
		return x.refused.status
	}
	return x.status
}

// how tells how the request came by its session.
func (x *exchange) how() string {
	switch {
	case x.binding.Session == nil && x.local:
		return sessionLocal
	case x.binding.Session == nil:
		return sessionNone
	case x.binding.Replaced:
		return sessionReplaced
	case x.signedIn:
		return sessionSignedIn
	default:
		return sessionReused
	}
}

// requestID is Caddy's own id of the request.
func requestID(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	return id
}

// printable caps a name that was not checked, so that a refused one cannot
// flood the log. Escaping is the encoder's.
func printable(name string) string {
	const most = 255
	if len(name) <= most {
		return name
	}
	return name[:most] + "…"
}

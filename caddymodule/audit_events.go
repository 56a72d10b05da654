package caddymodule

// This file names the events of the audit file, and writes those about requests
// that did not leave, and about sessions.

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// The events, besides those that the file itself writes (audit.*). docs/audit.md
// says what each means.
const (
	eventStart        = "process.start"
	eventShutdown     = "process.stop"
	eventConfigLoad   = "config.load"
	eventConfigReject = "config.reject"

	eventIntent  = "egress.intent"
	eventOutcome = "egress.outcome"

	eventIdentityReject = "identity.reject"
	eventPolicyDeny     = "policy.deny"
	eventRequestFail    = "request.fail"
	eventAuthIntercept  = "auth.intercept"

	eventSignIn    = "session.signin"
	eventSignOut   = "session.signout"
	eventRefresh   = "session.refresh"
	eventEvict     = "session.evict"
	eventRecovered = "session.recovered"
	eventFailover  = "credential.refused"
	eventTampering = "storage.tamper"
)

// Which event a refusal is, by its code. Those that are not here are
// eventPolicyDeny if they are the client's doing, and eventRequestFail otherwise.
var refusalEvents = map[string]string{
	refuseNoIdentity.code:    eventIdentityReject,
	refuseBadIdentity.code:   eventIdentityReject,
	refuseUntrusted.code:     eventIdentityReject,
	refuseUnmapped.code:      eventIdentityReject,
	refuseForbiddenUser.code: eventIdentityReject,
	refuseClaim.code:         eventIdentityReject,
	refuseClient.code:        eventIdentityReject,
	refuseThrottled.code:     eventIdentityReject,
	refuseToken.code:         eventIdentityReject,
	refuseEnded.code:         eventRequestFail,
	clientGone.code:          eventRequestFail,
}

// maxAgent bounds what is recorded of headers that only inform, in bytes.
const maxAgent = 256

// maxRule bounds what is recorded of a rule, in bytes: it may list any number of
// operations.
const maxRule = 256

// audit records a request that ended with an answer of our own. What Tableau has
// answered is recorded where it comes in.
func (x *exchange) audit(r *http.Request) {
	if x.sink == nil {
		return
	}
	event := x.ending()
	if event == "" {
		return
	}
	attrs := append(x.who(r), x.what(r)...)
	attrs = append(attrs, slog.Int("status", x.outcome()), slog.String("how", x.how()), durationMillis("dur_ms", time.Since(x.began)))
	if s := x.binding.Session; s != nil {
		attrs = append(attrs, slog.String("session", s.ID()), slog.String("jti", s.JTI()))
	}
	if print := x.sink.print(tokenPrint, r.Header.Get(headerAuth)); print != "" && x.sent == 0 {
		attrs = append(attrs, slog.String("client_token_fp", print))
	}
	if x.refused != nil {
		attrs = append(attrs, slog.String("error", x.refused.code))
		if x.refused.cause != nil {
			attrs = append(attrs, slog.String("cause", x.refused.cause.Error()))
		}
	}
	x.sink.note(event, attrs...)
}

// ending is the event of a request that ended with an answer of our own, or "".
func (x *exchange) ending() string {
	switch {
	case x.refused == nil && x.local:
		return eventAuthIntercept
	case x.refused == nil && x.sent > 0:
		return ""
	case x.refused == nil:
		return eventRequestFail // another handler's error
	}
	if event, ok := refusalEvents[x.refused.code]; ok {
		return event
	}
	if x.sent == 0 && x.refused.status < http.StatusInternalServerError {
		return eventPolicyDeny
	}
	return eventRequestFail
}

// who is the sender of a request.
func (x *exchange) who(r *http.Request) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("request_id", x.id),
		slog.String("identity", printable(x.identity)),
		slog.String("user", printable(x.user)),
		slog.String("client_ip", clientIP(r)),
	}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, auditlog.Clean(value, maxAgent)))
		}
	}
	if peer, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && peer != clientIP(r) {
		add("peer_ip", peer)
	}
	add("identity_src", x.identitySource)
	add("user_src", x.mappedBy)
	add("client", x.client.Name)
	add("tls_client_fp", certificatePrint(r))
	add("ua", x.agent)
	add("client_request_id", x.clientRequestID)
	add("traceparent", r.Header.Get("Traceparent"))
	return attrs
}

// certificatePrint is the SHA-256 of the client's certificate, or "".
func certificatePrint(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	digest := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return hex.EncodeToString(digest[:])
}

// what is what a request asks for, as the client has sent it.
func (x *exchange) what(r *http.Request) []slog.Attr {
	path := x.path
	if x.pathErr != nil {
		path = r.URL.EscapedPath()
	}
	return append([]slog.Attr{
		slog.String("site", x.site), slog.String("method", r.Method), slog.String("path", path),
		slog.String("route", x.template()), slog.String("operation", x.operation()),
	}, append(x.decision(), queryFields(x.sink, r.URL)...)...)
}

// decision is which rule let a request through, or did not. Who is not known, or
// has sent what has two meanings, did not come so far.
func (x *exchange) decision() (attrs []slog.Attr) {
	for _, a := range []slog.Attr{slog.String("rule", x.rule), slog.String("policy", x.policy)} {
		if a.Value.String() != "" {
			attrs = append(attrs, slog.String(a.Key, auditlog.Clean(a.Value.String(), maxRule)))
		}
	}
	return attrs
}

// durationMillis is a duration in milliseconds, as a number.
func durationMillis(name string, d time.Duration) slog.Attr {
	return slog.Float64(name, float64(d.Microseconds())/1000)
}

// auditSignIn records an attempt to sign in.
func auditSignIn(kind, origin string, e tableauauth.SignInEvent) {
	s := currentAudit.Load()
	if s == nil {
		return
	}
	attrs := append(grantFields(e.Grant), slog.String("upstream", origin), slog.String("kind", kind), slog.Bool("ok", e.Err == nil),
		slog.String("jti", e.JTI), slog.String("secret_id", e.SecretID), durationMillis("dur_ms", e.Took))
	if e.Session != nil {
		attrs = append(attrs, slog.String("session", e.Session.ID()), slog.String("acts_as", e.Session.ActsAs()))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("reason", e.Err.Reason.String()), slog.String("cause", e.Err.Error()))
	}
	s.note(eventSignIn, attrs...)
}

// auditSignOut records a sign-out.
func auditSignOut(origin string, e tableauauth.SignOutEvent) {
	s := currentAudit.Load()
	if s == nil {
		return
	}
	attrs := append(sessionEventFields(e.Session), slog.String("upstream", origin), slog.Bool("ok", e.Err == nil))
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	s.note(eventSignOut, attrs...)
}

// auditRecover records a session that Tableau had ended.
func auditRecover(origin string, e tableauauth.RecoverEvent) {
	s := currentAudit.Load()
	if s == nil {
		return
	}
	attrs := append(sessionEventFields(e.Dead), slog.String("upstream", origin), slog.String("result", recovery(e)))
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	s.note(eventRecovered, attrs...)
}

// auditRefresh records the renewal of a session in use.
func auditRefresh(origin string, e tableauauth.RefreshEvent) {
	s := currentAudit.Load()
	if s == nil {
		return
	}
	attrs := append(sessionEventFields(e.Session), slog.String("upstream", origin), slog.Bool("ok", e.Err == nil))
	if e.Fresh != nil {
		attrs = append(attrs, slog.String("successor", e.Fresh.ID()))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	s.note(eventRefresh, attrs...)
}

// auditEvict records a session that was given up.
func auditEvict(origin string, e tableauauth.EvictEvent) {
	if s := currentAudit.Load(); s != nil {
		s.note(eventEvict, append(sessionEventFields(e.Session), slog.String("upstream", origin), slog.String("reason", e.Reason))...)
	}
}

// errTampered is wrapped by errors about what was stored and is not as it was.
var errTampered = errors.New("it was damaged, or altered")

// auditTampering records that something stored is not as it was written, in the
// file of the configuration that is running.
func auditTampering(err error) {
	var altered *auditlog.TamperError
	if errors.Is(err, errTampered) || errors.As(err, &altered) {
		currentAudit.Load().note(eventTampering, slog.String("cause", err.Error()))
	}
}

// auditFailover records a secret that Tableau refused.
func auditFailover(origin string, e tableauauth.FailoverEvent) {
	currentAudit.Load().note(eventFailover, slog.String("upstream", origin), slog.String("kind", e.Kind),
		slog.String("secret_id", e.SecretID), slog.String("cause", e.Err.Error()))
}

func grantFields(g tableauauth.Grant) []slog.Attr {
	return []slog.Attr{slog.String("user", g.User), slog.String("site", g.Site), slog.Any("scopes", g.Scopes)}
}

func sessionEventFields(s *tableauauth.Session) []slog.Attr {
	return append(grantFields(s.Grant()), slog.String("session", s.ID()), slog.String("jti", s.JTI()),
		slog.Int64("session_age_s", int64(time.Since(s.SignedInAt()).Seconds())))
}

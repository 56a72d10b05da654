package caddymodule

// This file tells Caddy's metrics and events what happens to sessions.

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// The collectors live as long as the process, as the pools do; each
// configuration has a registry of its own. No label names a user or a path:
// their number has no bound.
var (
	metricSignIns = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "sign_ins_total",
		Help: "Sign-in attempts at Tableau, by the kind of credential and their result.",
	}, []string{"kind", "result"})
	metricSignInSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "sign_in_seconds",
		Help:    "How long sign-in attempts at Tableau took.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"kind"})
	metricRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "requests_total",
		Help: "Requests, by outcome: answered by Tableau, answered here, or the code of the refusal.",
	}, []string{"outcome"})
	metricReplaced = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "sessions_replaced_total",
		Help: "Sessions that Tableau had ended while they were in use, by whether the request was sent again.",
	}, []string{"result"})
	metricSecretsRefused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "secrets_refused_total",
		Help: "Times that Tableau refused one secret of a credential and another was tried.",
	}, []string{"kind"})
	metricClock = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "clock_offset_seconds",
		Help: "Tableau's clock minus ours, where the difference is more than some seconds.",
	}, []string{"origin"})
	metricSessions = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "sessions",
		Help: "Live sessions at Tableau.",
	}, countSessions)

	collectors = []prometheus.Collector{
		metricSignIns, metricSignInSeconds, metricRequests, metricReplaced,
		metricSecretsRefused, metricClock, metricSessions,
		metricAuditRecords, metricAuditSeconds, metricAuditRefused,
		metricAuditPending, metricAuditLag, metricAuditDegraded,
	}
)

// registerMetrics puts the collectors into a configuration's registry.
func registerMetrics(registry *prometheus.Registry) error {
	for _, c := range collectors {
		err := registry.Register(c)
		if already := (prometheus.AlreadyRegisteredError{}); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// countSessions counts the sessions in every pool.
func countSessions() float64 {
	n := 0
	pools.Range(func(_, value any) bool {
		n += value.(*pooled).Len()
		return true
	})
	return float64(n)
}

// requestOutcomes labels a request's outcome.
const (
	outcomeTableau = "tableau"
	outcomeLocal   = "local"
)

// count counts the request.
func (x *exchange) count() {
	switch {
	case x.refused != nil:
		metricRequests.WithLabelValues(x.refused.code).Inc()
	case x.local:
		metricRequests.WithLabelValues(outcomeLocal).Inc()
	default:
		metricRequests.WithLabelValues(outcomeTableau).Inc()
	}
}

// An emitter emits events of the running configuration, which is not the one
// that made the pools.
type emitter struct {
	ctx    caddy.Context
	events *caddyevents.App
}

// currentEmitter is the running configuration's.
var currentEmitter atomic.Pointer[emitter]

// emit emits an event, if there is anybody to hear it.
func emit(name string, data func() map[string]any) {
	e := currentEmitter.Load()
	if e == nil || e.events == nil || !e.events.ShouldEmit(name) {
		return
	}
	e.events.Emit(e.ctx, name, data())
}

// poolObserver reports what happens in the pool of a connection. No event holds
// anything that works at Tableau.
func poolObserver(c tableauauth.Connection) tableauauth.Observer {
	kind := c.Credential.Kind()
	return tableauauth.Observer{
		SignIn:  func(e tableauauth.SignInEvent) { reportSignIn(kind, c.Origin, e) },
		SignOut: func(e tableauauth.SignOutEvent) { auditSignOut(c.Origin, e) },
		Refresh: func(e tableauauth.RefreshEvent) { auditRefresh(c.Origin, e) },
		Evict:   func(e tableauauth.EvictEvent) { auditEvict(c.Origin, e) },
		Recover: func(e tableauauth.RecoverEvent) {
			metricReplaced.WithLabelValues(recovery(e)).Inc()
			auditRecover(c.Origin, e)
			emit("tableau_session_replaced", func() map[string]any {
				return map[string]any{"origin": c.Origin, "user": e.Dead.ActsAs(), "site": e.Dead.Grant().Site, "result": recovery(e)}
			})
		},
		Failover: func(e tableauauth.FailoverEvent) {
			metricSecretsRefused.WithLabelValues(e.Kind).Inc()
			auditFailover(c.Origin, e)
			emit("tableau_secret_refused", func() map[string]any {
				return map[string]any{"origin": c.Origin, "kind": e.Kind, "secret_id": e.SecretID, "error": e.Err.Error()}
			})
		},
		Clock: func(offset time.Duration) {
			metricClock.WithLabelValues(c.Origin).Set(offset.Seconds())
			emit("tableau_clock_offset", func() map[string]any {
				return map[string]any{"origin": c.Origin, "offset_seconds": offset.Seconds()}
			})
		},
	}
}

func reportSignIn(kind, origin string, e tableauauth.SignInEvent) {
	result := "ok"
	if e.Err != nil {
		result = e.Err.Reason.String()
		emit("tableau_sign_in_failed", func() map[string]any {
			return map[string]any{
				"origin": origin, "kind": kind, "user": e.Grant.User, "site": e.Grant.Site,
				"reason": result, "error": e.Err.Error(),
			}
		})
	}
	auditSignIn(kind, origin, e)
	metricSignIns.WithLabelValues(kind, result).Inc()
	metricSignInSeconds.WithLabelValues(kind).Observe(e.Took.Seconds())
}

// recovery names the outcome of a session that Tableau had ended.
func recovery(e tableauauth.RecoverEvent) string {
	switch {
	case e.Err != nil:
		return "failed"
	case e.Replayed:
		return "sent_again"
	default:
		return "not_sent_again"
	}
}

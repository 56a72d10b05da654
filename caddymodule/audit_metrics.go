package caddymodule

// This file holds the metrics of the audit file.

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// auditLost counts the records that were not taken by files that are closed
// now, or because a file was not open.
var auditLost atomic.Int64

var (
	metricAuditRecords = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "audit_records_total",
		Help: "Records that the audit file has taken, by event.",
	}, []string{"event"})
	metricAuditSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "audit_intent_seconds",
		Help:    "How long requests waited until the audit file had taken the record of what they were about to do.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5},
	})
	metricAuditRefused = prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: "audit_refused_total",
		Help: "Records that the audit file has not taken, or not in time.",
	}, func() float64 {
		return sumAudit(func(s auditlog.Stats) float64 { return float64(s.Refused) }) + float64(auditLost.Load())
	})
	metricAuditPending = auditGauge("audit_pending_records", "Records that are not on the disk yet.",
		func(s auditlog.Stats) float64 { return float64(s.Pending) })
	metricAuditLag = auditGauge("audit_lag_seconds", "How long the oldest record that is not on the disk yet has waited.",
		func(s auditlog.Stats) float64 { return s.Lag.Seconds() })
	metricAuditDegraded = auditGauge("audit_degraded", "1 while the audit file cannot be written, otherwise 0.",
		func(s auditlog.Stats) float64 {
			if s.Degraded != nil {
				return 1
			}
			return 0
		})
)

func auditGauge(name, help string, of func(auditlog.Stats) float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "tableau", Name: name, Help: help,
	}, func() float64 { return sumAudit(of) })
}

// sumAudit adds up a number of all files: there is more than one only while one
// configuration takes the place of another.
func sumAudit(of func(auditlog.Stats) float64) (sum float64) {
	auditFiles.Range(func(_, value any) bool {
		stats, _ := value.(*auditFile).stats()
		sum += of(stats)
		return true
	})
	return sum
}

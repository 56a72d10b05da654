package caddymodule

// This file measures what an audit file costs: requests through Caddy and the
// simulated Tableau, over 64 connections, in each mode and without.

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

const benchConnections = 64

// BenchmarkAudit reports for each mode how many requests there are for each one
// without an audit file ("x_off"). The disk under the temporary directory is
// part of what is measured: TMPDIR chooses it.
func BenchmarkAudit(b *testing.B) {
	off := 0.0 // seconds for a request
	for _, mode := range []auditlog.Mode{"", auditlog.Strict, auditlog.Bounded, auditlog.BestEffort} {
		name := string(mode)
		if mode == "" {
			name = "off"
		}
		b.Run(name, func(b *testing.B) {
			r := benchRig(b, mode)
			b.ResetTimer()
			r.hammer(b)
			b.StopTimer()
			each := b.Elapsed().Seconds() / float64(b.N)
			if mode == "" {
				off = each
			}
			b.ReportMetric(1/each, "requests/s")
			b.ReportMetric(off/each, "x_off")
			b.ReportMetric(float64(r.refused.Load()), "refused")
		})
	}
}

// A benchmarkRig counts requests that were refused for want of a record.
type benchmarkRig struct {
	*auditRig
	refused atomic.Int64
}

// benchRig is a rig without authentication, which would be most of the cost, and
// with a log that holds errors only.
func benchRig(b *testing.B, mode auditlog.Mode) *benchmarkRig {
	b.Helper()
	r := &benchmarkRig{auditRig: newAuditRig(b)}
	r.sessionsMayStay = true
	s := setup{before: "\theader X-Nobody yes", options: "\t\tsite finance\n\t\tuser alice"}
	if mode != "" {
		s = r.audited(s, "mode "+string(mode))
	}
	config, err := adapt(strings.Replace(r.caddyfile(s), "level DEBUG", "level ERROR", 1))
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	r.client.Transport = &http.Transport{MaxIdleConnsPerHost: benchConnections, DisableCompression: true}
	b.Cleanup(r.client.CloseIdleConnections)
	r.one(b) // signs in
	return r
}

// hammer makes b.N requests.
func (r *benchmarkRig) hammer(b *testing.B) {
	b.Helper()
	todo := make(chan struct{}, benchConnections)
	done := make(chan struct{})
	for range benchConnections {
		go func() {
			defer func() { done <- struct{}{} }()
			for range todo {
				r.one(b)
			}
		}()
	}
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	for range benchConnections {
		<-done
	}
}

func (r *benchmarkRig) one(b *testing.B) {
	res, err := r.client.Get("http://" + r.address + workbooks)
	if err != nil {
		b.Error(err)
		return
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	switch {
	case err == nil && res.StatusCode == http.StatusServiceUnavailable:
		r.refused.Add(1) // the disk took longer than the limit
	case err != nil || res.StatusCode != http.StatusOK:
		b.Errorf("status %d, %v", res.StatusCode, err)
	}
}

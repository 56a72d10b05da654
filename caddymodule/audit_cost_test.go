package caddymodule

// This file compares what an audit file costs in each mode with having none, in
// one run: the modes take turns, so that a machine that becomes slower meanwhile
// is slower for all.

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

var (
	auditCost   = flag.Bool("audit.cost", false, "measure what an audit file costs, for minutes and not for a moment")
	auditReport = flag.String("audit.report", "", "file to write the cost to")
)

// costModes are what is compared; the first is no audit file.
var costModes = []auditlog.Mode{"", auditlog.Strict, auditlog.Bounded, auditlog.BestEffort}

// A cost is what was measured in one turn.
type cost struct {
	rate     float64 // requests each second
	p50, p99 float64 // milliseconds
	refused  int     // for want of a record in time
}

// A costRun measures modes in turns.
type costRun struct {
	*auditRig
	turn   time.Duration
	rounds int
	costs  map[int]map[auditlog.Mode][]cost // by connections, in the order of the rounds
}

func TestAuditCost(t *testing.T) {
	r := &costRun{auditRig: newAuditRig(t), turn: 20 * time.Millisecond, rounds: 1, costs: map[int]map[auditlog.Mode][]cost{1: {}, benchConnections: {}}}
	r.sessionsMayStay = true
	r.client.Transport = &http.Transport{MaxIdleConnsPerHost: benchConnections, DisableCompression: true}
	defer r.client.CloseIdleConnections()
	dir := quickDir(t)
	if *auditCost {
		r.turn, r.rounds = 2*time.Second, 9
		dir = t.TempDir() // a disk
	}
	for round := range r.rounds {
		for i := range costModes {
			mode := costModes[(i+round)%len(costModes)] // none is always behind the same other
			r.path = filepath.Join(dir, "audit-"+string(mode)+".log")
			r.begin(t, mode)
			for connections, costs := range r.costs {
				costs[mode] = append(costs[mode], r.measure(t, connections))
			}
		}
	}
	text := r.report()
	t.Log("\n" + text)
	if *auditReport != "" {
		if err := os.WriteFile(*auditReport, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// begin loads the configuration for a mode and warms it up.
func (r *costRun) begin(t *testing.T, mode auditlog.Mode) {
	t.Helper()
	if r.loaded {
		r.address = r.fresh() // see try
	}
	s := setup{before: "\theader X-Nobody yes", options: "\t\tsite finance\n\t\tuser alice"}
	if mode != "" {
		s = r.audited(s, "mode "+string(mode))
	}
	config, err := adapt(strings.Replace(r.caddyfile(s), "level DEBUG", "level ERROR", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	r.loaded = true
	r.client.CloseIdleConnections() // to the configuration before
	measured := r.turn
	r.turn = measured / 4
	r.measure(t, benchConnections)
	r.turn = measured
}

// measure makes requests over so many connections for one turn.
func (r *costRun) measure(t *testing.T, connections int) (c cost) {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var clients sync.WaitGroup
	began := time.Now()
	for range connections {
		clients.Go(func() {
			var mine []time.Duration
			refused := 0
			for ok := true; ok && time.Since(began) < r.turn; {
				start := time.Now()
				var status int
				if status, ok = r.ask(t); status == http.StatusServiceUnavailable {
					refused++
					continue
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			took, c.refused = append(took, mine...), c.refused+refused
		})
	}
	clients.Wait()
	all := time.Since(began)
	if len(took) == 0 {
		t.Fatal("nothing was answered")
	}
	slices.Sort(took)
	c.rate = float64(len(took)) / all.Seconds()
	at := func(share int) float64 { return took[(len(took)-1)*share/100].Seconds() * 1000 }
	c.p50, c.p99 = at(50), at(99)
	return c
}

// ask makes one request, and reports its status and whether it was answered.
func (r *costRun) ask(t *testing.T) (int, bool) {
	res, err := r.client.Get("http://" + r.address + workbooks)
	if err != nil {
		t.Error(err)
		return 0, false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err != nil || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, %v", res.StatusCode, err)
		return res.StatusCode, false
	}
	return res.StatusCode, true
}

// A spread is the median of some numbers, the least and the greatest.
type spread struct{ low, mid, high float64 }

// spreadOf is the spread of what is measured in one mode and, in the same round,
// without an audit file.
func spreadOf(costs, off []cost, of func(c, off cost) float64) spread {
	var all []float64
	for i := range costs {
		all = append(all, of(costs[i], off[i]))
	}
	slices.Sort(all)
	return spread{all[0], all[len(all)/2], all[len(all)-1]}
}

func (s spread) text(digits int) string {
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, s.mid, digits, s.low, digits, s.high)
}

func (r *costRun) report() string {
	var b strings.Builder
	b.WriteString("# What an audit file costs\n\n")
	fmt.Fprintf(&b, "Requests for a list of workbooks through the proxy, in each mode and without an audit file, which take turns of\n")
	fmt.Fprintf(&b, "%v; ratios and differences are between turns of the same round, of which there were %d: the median, and the least\n", r.turn, r.rounds)
	fmt.Fprintf(&b, "and the greatest. Client, proxy and the simulated Tableau share one process, so that part of what is measured is\n")
	fmt.Fprintf(&b, "not the proxy's; identities cost nothing here.\n")
	for _, connections := range []int{1, benchConnections} {
		costs := r.costs[connections]
		off := costs[""]
		fmt.Fprintf(&b, "\n## Connections: %d\n\n", connections)
		b.WriteString("| Mode | Requests per second | Of those without | Added to the median latency, ms | Added to the 99th percentile, ms | Refused |\n|---|---:|---:|---:|---:|---:|\n")
		for _, mode := range costModes {
			name, refused := string(mode), 0
			if mode == "" {
				name = "none"
			}
			for _, c := range costs[mode] {
				refused += c.refused
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d |\n", name,
				spreadOf(costs[mode], off, func(c, _ cost) float64 { return c.rate }).text(0),
				spreadOf(costs[mode], off, func(c, off cost) float64 { return c.rate / off.rate }).text(2),
				spreadOf(costs[mode], off, func(c, off cost) float64 { return c.p50 - off.p50 }).text(2),
				spreadOf(costs[mode], off, func(c, off cost) float64 { return c.p99 - off.p99 }).text(2), refused)
		}
	}
	fmt.Fprintf(&b, "\nBuilt with %s, %s/%s; %d CPUs. The disk is that of the temporary directory, which TMPDIR chooses. To repeat it:\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	b.WriteString("    make audit-cost REPORT=docs/reports/audit-cost.md\n")
	return b.String()
}

package tableauauth

// This file counts what the simulated days held, and writes the report.

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// A simCount is something that is counted.
type simCount uint8

const (
	countRequests simCount = iota
	countSendings
	countAccepted
	countProbes
	countErrors
	countLeft
	countSure
	countSignIns
	countFailed
	countRenewals
	countSessions
	countKilled
	countFound
	countRevoked
	countLearned
	countSignOuts
	countChecks
	simCountsEnd
)

var simCountNames = [simCountsEnd]string{
	countRequests: "requests of clients",
	countSendings: "sendings of them to Tableau",
	countAccepted: "sendings that Tableau accepted",
	countProbes:   "probes (`GET sessions/current`)",
	countErrors:   "requests that failed, for a fault that concerned them or a scope that they lack",
	countLeft:     "requests whose client left before the answer",
	countSure:     "requests that were not to wait, because there was a session",
	countSignIns:  "sign-ins",
	countFailed:   "sign-ins that failed",
	countRenewals: "sign-ins that renewed a live session",
	countSessions: "sessions that Tableau began",
	countKilled:   "sessions that Tableau ended at once",
	countFound:    "sessions that were found dead by a request",
	countRevoked:  "sessions that were revoked",
	countLearned:  "limits of Tableau's that were learned",
	countSignOuts: "sign-outs",
	countChecks:   "checks of an invariant",
}

// simCounts is what happened in one day, or in many.
type simCounts struct {
	seeds, failures int
	n               [simCountsEnd]int
	steps           [len(simStepNames)]int
	began, met      [simFaultKinds]int // faults, and calls that met them
	inFlight        int                // the most sign-ins at once
}

// add adds the counts of another day.
func (c *simCounts) add(o *simCounts) {
	c.seeds += o.seeds
	c.failures += o.failures
	for i, n := range o.n {
		c.n[i] += n
	}
	for i, n := range o.steps {
		c.steps[i] += n
	}
	for i := range o.began {
		c.began[i] += o.began[i]
		c.met[i] += o.met[i]
	}
	c.inFlight = max(c.inFlight, o.inFlight)
}

// report returns the counts in Markdown.
func (c *simCounts) report(first uint64, cpu, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Simulation of the session engine\n\n")
	fmt.Fprintf(&b, "Written by `make simulation SEEDS=10000 REPORT=docs/reports/simulation.md`. What is simulated and checked is described at the top of `tableauauth/simulation_test.go`.\n")
	row := func(name string, value any) { fmt.Fprintf(&b, "| %s | %v |\n", name, value) }
	table := func(what string) { fmt.Fprintf(&b, "\n| %s | number |\n|---|---:|\n", what) }
	table("run")
	row("seeds", fmt.Sprintf("%d (%d to %d)", c.seeds, first, first+uint64(c.seeds)-1))
	row("simulated hours", c.seeds*int(simDay/time.Hour))
	row("**days with a violation**", fmt.Sprintf("**%d**", c.failures))
	row("Go", fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH))
	row("CPU time", cpu.Round(time.Second))
	row("time, on "+fmt.Sprint(runtime.GOMAXPROCS(0))+" processors", took.Round(time.Second))
	table("what happened")
	for i, name := range simCountNames {
		row(name, c.n[i])
	}
	row("most sign-ins of one pool in flight", c.inFlight)
	table("what was done to it")
	for i, name := range simStepNames[1:] {
		row(name, c.steps[i+1])
	}
	fmt.Fprintf(&b, "\n| fault | began | calls that met it |\n|---|---:|---:|\n")
	for i, name := range simFaultNames {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", name, c.began[i], c.met[i])
	}
	return b.String()
}

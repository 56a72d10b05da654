package tableauauth

// This file runs the simulation: whole days of a pool and a transport before a
// Tableau at which everything goes wrong that can, drawn from seeds.
//
// A day is 24 hours of simulated time (testing/synctest) with some hundreds of
// requests of some ten users, in busy and quiet phases: with bodies that can be
// sent twice and bodies that cannot, with clients that leave, with methods for
// which a scope is missing. Into it fall sign-ins that are refused, throttled,
// slow, hanging, cut, or lost on their way back; sessions that are killed or
// end by age or disuse; hanging and cut requests, probes and sign-outs; outages
// of sign-in as such; clocks that are set; configurations that are loaded anew,
// with the same credential or another; revocations. At the end everything is
// closed.
//
// Checked throughout (simulation_check_test.go):
//
//   - No request travels with the session of another grant or pool, none gets
//     another's answer.
//   - For a grant, at most one sign-in is in flight, none without need, none
//     after a permanent refusal within its memory, none before a Retry-After
//     has passed; in all, never more than the limit.
//   - No request fails, or is told that its session has ended, but for a fault
//     that concerns it. Which fault explains which error is in judgeError.
//   - No request waits for a sign-in while there is a session, renewals
//     included; none is answered later than its client's patience allows.
//   - A request is sent at most twice, the second time only after a 401 that
//     says that the session has ended; Tableau accepts it once, with its body
//     whole.
//   - Every session that Tableau began is signed out, or ended at Tableau, or
//     its sign-out failed and that was logged, or the answer to its sign-in was
//     lost. Sessions are ended in time, and none while it is in use.
//   - Within five seconds of the end of an outage, a new user can sign in.
//   - Close ends in time, and leaves no goroutine: a bubble cannot end while
//     there is one.
//
// What a seed determines: the plan of the day, and how long each call takes
// from its instant and grant. What it does not: the pool's jitter, by up to a
// tenth of the renewal age, and the order of goroutines that wake in the same
// instant, which the plan avoids. So a violation that does not come back at
// once comes back with -count:
//
//	go test ./tableauauth -run TestSimulation -simulation.first=17 -simulation.seeds=1 -count=20 -v

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeeds = flag.Int("simulation.seeds", 0, "how many days are simulated (default 500; with -race or -short fewer)")
	simFirst = flag.Uint64("simulation.first", 1, "the seed of the first day")
	simFile  = flag.String("simulation.report", "", "the file to write the report to")
)

// simTrace is how many lines of a failed day are shown.
const simTrace = 400

func TestSimulation(t *testing.T) {
	seeds := *simSeeds
	if seeds == 0 {
		seeds = simDefaultSeeds
		if testing.Short() {
			seeds = min(seeds, 50)
		}
	}
	began, cpu := time.Now(), cpuTime()
	var total simCounts
	var mu sync.Mutex
	var next atomic.Int64
	t.Run("days", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1) - 1; i < int64(seeds); i = next.Add(1) - 1 {
					seed := *simFirst + uint64(i)
					day := liveDay(t, seed)
					mu.Lock()
					total.add(&day.counts)
					mu.Unlock()
					if len(day.broken) > 0 {
						t.Error(day.failure())
					}
				}
			})
		}
	})
	t.Logf("%d days, %d requests, %d sign-ins, %d checks, %v of CPU time",
		total.seeds, total.n[countRequests], total.n[countSignIns], total.n[countChecks], cpuTime()-cpu)
	if *simFile != "" {
		if err := os.WriteFile(*simFile, []byte(total.report(*simFirst, cpuTime()-cpu, time.Since(began))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// liveDay simulates the day of seed in a bubble. A goroutine that is left over
// makes the bubble panic.
func liveDay(t *testing.T, seed uint64) (day *sim) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			day.failf("%v", r)
			day.counts.failures = 1
		}
	}()
	synctest.Test(t, func(*testing.T) {
		day = newSim(newSimPlan(seed))
		day.live()
	})
	return day
}

// failure describes a day with violations, and what led to the first of them.
func (s *sim) failure() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d (-simulation.first=%d -simulation.seeds=1): %s\n", s.plan.seed, s.plan.seed, strings.Join(s.broken, "\n\t"))
	settings, _, _ := strings.Cut(s.plan.String(), "\n")
	fmt.Fprintf(&b, "%s\n", settings)
	until := len(s.events)
	for i, e := range s.events {
		if e.what == "VIOLATION" {
			until = min(until, i+20)
			break
		}
	}
	for _, e := range s.events[max(0, until-simTrace):until] {
		fmt.Fprintf(&b, "\t%s\n", e)
	}
	return b.String()
}

// TestSimulationPlan: a plan depends on its seed and on nothing else, and no
// two of its steps fall together.
func TestSimulationPlan(t *testing.T) {
	for seed := range uint64(50) {
		plan, again := newSimPlan(seed), newSimPlan(seed)
		if plan.String() != again.String() {
			t.Fatalf("seed %d makes different plans", seed)
		}
		for i := range plan.steps {
			if i > 0 && plan.steps[i].at <= plan.steps[i-1].at {
				t.Fatalf("seed %d: steps %d and %d fall together", seed, i-1, i)
			}
		}
	}
}

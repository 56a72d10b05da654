package main

// This file measures processes by /proc: their processor time, their memory,
// and what else kept the machine busy meanwhile.

import (
	"fmt"
	"os"

	"github.com/prometheus/procfs"
)

// ticksPerSecond is the unit of /proc/<pid>/stat, USER_HZ, which is 100 on every
// Linux that Go runs on.
const ticksPerSecond = 100

// treeCPU is the processor time, in seconds, that processes and everything that
// descends from them have used.
func treeCPU(roots ...int) (float64, error) {
	ticks := 0.0
	err := walkTree(roots, func(p procfs.Proc, stat procfs.ProcStat) {
		ticks += float64(stat.UTime + stat.STime)
	})
	return ticks / ticksPerSecond, err
}

// treePSS is the memory of process trees in MiB, with pages that several
// processes share divided among them.
func treePSS(roots ...int) (float64, error) {
	var bytes uint64
	err := walkTree(roots, func(p procfs.Proc, _ procfs.ProcStat) {
		if rollup, err := p.ProcSMapsRollup(); err == nil { // one that has just ended has none
			bytes += rollup.Pss
		}
	})
	return float64(bytes) / (1 << 20), err
}

// walkTree visits roots and their descendants.
func walkTree(roots []int, visit func(procfs.Proc, procfs.ProcStat)) error {
	all, err := procfs.AllProcs()
	if err != nil {
		return fmt.Errorf("processes cannot be measured without /proc: %w", err)
	}
	wanted := make(map[int]bool, len(roots))
	for _, pid := range roots {
		wanted[pid] = true
	}
	stats := make(map[int]procfs.ProcStat, len(all))
	for _, p := range all {
		if stat, err := p.Stat(); err == nil {
			stats[p.PID] = stat
		}
	}
	// Parents need not come before their children.
	for found := true; found; {
		found = false
		for pid, stat := range stats {
			if wanted[stat.PPID] && !wanted[pid] {
				wanted[pid], found = true, true
			}
		}
	}
	for _, p := range all {
		if stat, ok := stats[p.PID]; ok && wanted[p.PID] {
			visit(p, stat)
		}
	}
	return nil
}

// A machineClock is what the processors of the machine have done since it was
// started, in seconds.
type machineClock struct {
	busy  float64
	steal float64 // what a hypervisor gave to others
	own   float64 // by this program and its descendants
}

func readMachine() (machineClock, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return machineClock{}, err
	}
	stat, err := fs.Stat()
	if err != nil {
		return machineClock{}, err
	}
	own := 0.0
	err = walkTree([]int{os.Getpid()}, func(p procfs.Proc, s procfs.ProcStat) {
		own += float64(s.UTime + s.STime)
		if p.PID == os.Getpid() {
			own += float64(s.CUTime + s.CSTime) // load generators that have ended
		}
	})
	total := stat.CPUTotal
	return machineClock{
		busy:  total.User + total.Nice + total.System + total.IRQ + total.SoftIRQ,
		steal: total.Steal,
		own:   own / ticksPerSecond,
	}, err
}

// disturbance is what happened between two readings beside the benchmark, in
// processors.
type disturbance struct{ steal, others float64 }

func (m machineClock) since(before machineClock, seconds float64) disturbance {
	return disturbance{
		steal:  (m.steal - before.steal) / seconds,
		others: max(0, (m.busy-before.busy)-(m.own-before.own)) / seconds,
	}
}

package main

// This file measures whole jobs: sign in, ten reads, sign out, by one program
// and by many at once, at Tableau directly and through the proxy.

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A jobRow is what one client took for so many jobs at once.
type jobRow struct {
	Client   string
	Parallel int
	Rounds   []jobRound
	Skipped  string // why nothing was measured, or ""
}

// A jobRound is the jobs done directly, through a proxy that has just started,
// and once more through the same proxy.
type jobRound struct{ Direct, Cold, Warm jobCost }

// A jobCost is what jobs took until the last of them was done, and what Tableau
// saw of them.
type jobCost struct {
	Seconds              float64
	SignIns, Connections int
}

func (r jobRound) coldRatio() float64 { return r.Cold.Seconds / r.Direct.Seconds }
func (r jobRound) warmRatio() float64 { return r.Warm.Seconds / r.Direct.Seconds }

// A jobClient is a program that does a job for each line of its input.
type jobClient struct {
	name    string
	command func(ctx context.Context, l *lab, source string) (name string, args []string, err error)
}

var (
	//go:embed scripts/job.py
	jobPython string
	//go:embed scripts/job.sh
	jobShell string
)

var jobClients = []jobClient{
	{"Tableau Server Client (Python)", pythonJob},
	{"curl", curlJob},
	{"Go", func(context.Context, *lab, string) (string, []string, error) {
		self, err := os.Executable()
		return self, []string{"job"}, err
	}},
}

// pythonJob needs the environment that the tests of the clients use.
func pythonJob(ctx context.Context, l *lab, source string) (string, []string, error) {
	script := filepath.Join(source, ".ci", "python-clients")
	if out, err := exec.CommandContext(ctx, "bash", script).CombinedOutput(); err != nil { //nolint:gosec // a script of this project
		return "", nil, &unavailable{fmt.Sprintf("%s: %v: %s", script, err, strings.TrimSpace(string(out)))}
	}
	python, err := filepath.Abs(filepath.Join(source, ".cache", "venv", "clients", "bin", "python"))
	if err != nil {
		return "", nil, err
	}
	path := filepath.Join(l.dir, "job.py")
	return python, []string{path}, os.WriteFile(path, []byte(jobPython), 0o600)
}

func curlJob(_ context.Context, l *lab, _ string) (string, []string, error) {
	if _, err := exec.LookPath("curl"); err != nil {
		return "", nil, &unavailable{"the Debian package curl is not installed"}
	}
	path := filepath.Join(l.dir, "job.sh")
	return "sh", []string{path}, os.WriteFile(path, []byte(jobShell), 0o600)
}

// measureJobs measures one job at a time and many, for every client.
func measureJobs(ctx context.Context, l *lab, o options, progress func(string, ...any)) ([]jobRow, error) {
	rounds := max(1, o.pairs/3)
	tableau, err := newJobTableau(l)
	if err != nil {
		return nil, err
	}
	defer tableau.Close()
	var rows []jobRow
	for _, client := range jobClients {
		progress("jobs: %s", client.name)
		workers, err := client.start(ctx, l, o)
		if cannot, ok := errors.AsType[*unavailable](err); ok {
			rows = append(rows, jobRow{Client: client.name, Skipped: cannot.reason})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("jobs: %s: %w", client.name, err)
		}
		measured, err := tableau.measure(l, client.name, workers, rounds)
		rows = append(rows, measured...)
		for _, w := range workers {
			w.end()
		}
		if err != nil {
			return rows, fmt.Errorf("jobs: %s: %w", client.name, err)
		}
	}
	return rows, nil
}

// measure does the jobs, first one and then all at once, so many rounds each.
func (t *jobTableau) measure(l *lab, client string, workers []*worker, rounds int) ([]jobRow, error) {
	var rows []jobRow
	for _, parallel := range slices.Compact([]int{1, len(workers)}) {
		row := jobRow{Client: client, Parallel: parallel}
		for range rounds {
			round, err := t.round(l, workers[:parallel])
			if err != nil {
				return rows, err
			}
			row.Rounds = append(row.Rounds, round)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// round does the jobs in all ways.
func (t *jobTableau) round(l *lab, workers []*worker) (r jobRound, err error) {
	if r.Direct, err = t.cost(workers, t.direct()); err != nil {
		return r, fmt.Errorf("directly: %w", err)
	}
	proxy, address, err := t.startProxy(l)
	if err != nil {
		return r, err
	}
	defer proxy.stop()
	for _, cost := range []*jobCost{&r.Cold, &r.Warm} {
		if *cost, err = t.cost(workers, t.through(address)); err != nil {
			return r, fmt.Errorf("through the proxy: %w\n%s", err, proxy.out)
		}
	}
	return r, nil
}

// cost has every worker do a job with the same line of input.
func (t *jobTableau) cost(workers []*worker, line string) (jobCost, error) {
	before := t.seen()
	errs := make([]error, len(workers))
	var all sync.WaitGroup
	began := time.Now()
	for i, w := range workers {
		all.Go(func() { errs[i] = w.job(line) })
	}
	all.Wait()
	seconds := time.Since(began).Seconds()
	after := t.seen()
	return jobCost{seconds, after.SignIns - before.SignIns, after.Connections - before.Connections}, errors.Join(errs...)
}

// A worker is one running client.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err tail
}

// start starts as many workers as jobs are to run in parallel, and waits until
// all are ready: starting a program is no part of its job.
func (c jobClient) start(ctx context.Context, l *lab, o options) (workers []*worker, err error) {
	name, args, err := c.command(ctx, l, o.source)
	if err != nil {
		return nil, err
	}
	for range o.jobs {
		w := &worker{cmd: exec.CommandContext(ctx, name, args...)} //nolint:gosec // one of jobClients
		w.cmd.Dir, w.cmd.Stderr = l.dir, &w.err
		if w.in, err = w.cmd.StdinPipe(); err != nil {
			return workers, err
		}
		out, err := w.cmd.StdoutPipe()
		if err != nil {
			return workers, err
		}
		w.out = bufio.NewScanner(out)
		if err := w.cmd.Start(); err != nil {
			return workers, err
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		if err := w.expect("ready"); err != nil {
			return workers, err
		}
	}
	return workers, nil
}

func (w *worker) job(line string) error {
	if _, err := fmt.Fprintln(w.in, line); err != nil {
		return err
	}
	return w.expect("done")
}

// expect reads one line.
func (w *worker) expect(word string) error {
	if w.out.Scan() && w.out.Text() == word {
		return nil
	}
	return fmt.Errorf("a job did not print %q: %w", word, errors.Join(w.out.Err(), errors.New(w.err.String())))
}

// end lets the worker end by itself.
func (w *worker) end() {
	_ = w.in.Close()
	_ = w.cmd.Wait() // how it ends does not matter any more
}

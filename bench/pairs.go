package main

// This file measures: slices of load, plain Caddy just before and just after
// each variant, since the speed of a machine drifts by more than what is looked
// for. Only ratios within such a pair mean anything.

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A slice is one stretch of load on one server.
type slice struct {
	Rate   float64 // requests per second
	CPU    float64 // seconds of the server's processes for 100,000 requests
	Beside float64 // the same of the service beside it
	disturbance
}

// A pair is a slice of a variant between two of plain.
type pair struct{ Before, With, After slice }

func (p pair) rate() float64 { return 2 * p.With.Rate / (p.Before.Rate + p.After.Rate) }
func (p pair) cpu() float64  { return 2 * p.With.CPU / (p.Before.CPU + p.After.CPU) }

// maxSteal is how much of a processor may be taken away from the machine during
// any slice of a pair.
const maxSteal = 0.15

func (p pair) disturbed() bool {
	return max(p.Before.steal, p.With.steal, p.After.steal) > maxSteal
}

// A row is what was measured of one variant.
type row struct {
	*variant
	Pairs     []pair
	Discarded int
	IdlePSS   float64 // MiB, before any session
	LoadPSS   float64 // MiB, at the end
	Skipped   string  // why nothing was measured, or ""
	Failed    error   // what ended the measurement early, or nil
}

func (r row) rate() spread { return over(r.Pairs, pair.rate) }
func (r row) cpu() spread  { return over(r.Pairs, pair.cpu) }

// A workload is what each slice consists of.
type workload struct {
	kind        string
	connections int
	users       int
	duration    time.Duration
}

// measure puts load on a server, and reads its processes before and after.
func (w workload) measure(ctx context.Context, s *server) (slice, error) {
	before, err := readSlice(s)
	if err != nil {
		return slice{}, err
	}
	plan := loadPlan{Address: s.address, Kind: w.kind, Connections: w.connections, Users: w.users, Duration: w.duration, Owner: s.owner}
	result, err := load(ctx, plan)
	if err != nil {
		return slice{}, err
	}
	after, err := readSlice(s)
	if err != nil {
		return slice{}, err
	}
	if result.Wrong > 0 || result.Requests == 0 {
		return slice{}, &loadError{s, result}
	}
	per := 100_000 / float64(result.Requests)
	return slice{
		Rate:        float64(result.Requests) / result.Seconds,
		CPU:         (after.main - before.main) * per,
		Beside:      (after.beside - before.beside) * per,
		disturbance: after.machine.since(before.machine, after.at.Sub(before.at).Seconds()),
	}, nil
}

// readings are the clocks of a server's processes and of the machine.
type readings struct {
	at           time.Time
	main, beside float64
	machine      machineClock
}

func readSlice(s *server) (r readings, err error) {
	r.at = time.Now()
	var errs [3]error
	if s.main != nil {
		r.main, errs[0] = treeCPU(s.main.pid())
	}
	if s.beside != nil {
		r.beside, errs[1] = treeCPU(s.beside.pid())
	}
	r.machine, errs[2] = readMachine()
	return r, errors.Join(errs[:]...)
}

// pairUp takes pairs of each server until each has enough, a round at a time.
// Pairs during which the machine was held up are replaced, up to as many again.
func pairUp(ctx context.Context, base *server, servers []*server, w workload, pairs int, progress func(string, ...any)) ([]row, error) {
	rows := make([]row, len(servers))
	for i, s := range servers {
		rows[i] = row{variant: s.variant, IdlePSS: s.idlePSS}
	}
	var before slice
	fresh := false // whether before has just been measured
	for round := 1; round <= 2*pairs; round++ {
		open := false
		for i, s := range servers {
			r := &rows[i]
			if len(r.Pairs) >= pairs || r.Failed != nil {
				continue
			}
			open = true
			p, err := w.pair(ctx, base, s, before, fresh)
			if fresh = err == nil; err != nil {
				if base.failed(err) || ctx.Err() != nil {
					return nil, err
				}
				r.Failed, r.Pairs = err, nil
				progress("%v", err)
				continue
			}
			before = p.After
			if p.disturbed() {
				r.Discarded++
			} else {
				r.Pairs = append(r.Pairs, p)
			}
		}
		if !open {
			break
		}
		progress("%s: round %d of %d", w.kind, round, pairs)
	}
	return rows, weigh(servers, rows)
}

// pair measures a server between two slices of plain Caddy, of which the one
// before may be that after the last pair.
func (w workload) pair(ctx context.Context, base, s *server, before slice, fresh bool) (p pair, err error) {
	p.Before = before
	if !fresh {
		if p.Before, err = w.measure(ctx, base); err != nil {
			return p, err
		}
	}
	if p.With, err = w.measure(ctx, s); err != nil {
		return p, err
	}
	p.After, err = w.measure(ctx, base)
	return p, err
}

// A loadError is a server that did not answer as it should.
type loadError struct {
	server *server
	result loadResult
}

func (e *loadError) Error() string {
	return fmt.Sprintf("%s: %d answers were right and %d wrong: %s", e.server.name, e.result.Requests, e.result.Wrong, e.result.Example)
}

// failed reports whether err is this server's failure.
func (s *server) failed(err error) bool {
	failure, ok := errors.AsType[*loadError](err)
	return !ok || failure.server == s
}

// weigh notes the memory of the servers.
func weigh(servers []*server, rows []row) (err error) {
	for i, s := range servers {
		if s.main == nil {
			continue
		}
		if rows[i].LoadPSS, err = treePSS(s.main.pid()); err != nil {
			return err
		}
	}
	return nil
}

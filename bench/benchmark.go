package main

// This file is the order of events.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// results are all that was measured.
type results struct {
	Options   options
	Machine   machine
	Base      slice // plain Caddy, the median of each number
	Requests  []row
	Downloads []row
	Uploads   []row
	Starts    starts
	Jobs      []jobRow
	Others    spread // processors that other programs took meanwhile
	Took      time.Duration
}

func benchmark(ctx context.Context, o options) (err error) {
	began := time.Now()
	progress := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	l, err := newLab(ctx, o.caddy, o.plain, o.users)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()

	r := &results{Options: o, Machine: describeMachine(ctx, o.caddy)}
	if err := r.measureLoad(ctx, l, progress); err != nil {
		return err
	}
	if !o.skips("starts") {
		progress("%d starts", o.starts)
		if r.Starts, err = measureStarts(l, o.starts); err != nil {
			return err
		}
	}
	if !o.skips("jobs") {
		if r.Jobs, err = measureJobs(ctx, l, o, progress); err != nil {
			return err
		}
	}
	r.Took = time.Since(began)
	fmt.Print(r.markdown())
	if o.report != "" {
		err = r.write(o.report)
	}
	return errors.Join(err, r.failures())
}

// failures are those of variants that did not answer as they should.
func (r *results) failures() error {
	var errs []error
	for _, rows := range [][]row{r.Requests, r.Downloads, r.Uploads} {
		for _, row := range rows {
			errs = append(errs, row.Failed)
		}
	}
	return errors.Join(errs...)
}

// measureLoad does everything that puts load on servers which stay up.
func (r *results) measureLoad(ctx context.Context, l *lab, progress func(string, ...any)) error {
	o := r.Options
	if o.skips("requests") && o.skips("bodies") && o.profile == "" {
		return nil
	}
	base, servers, skipped, err := startAll(l, o, progress)
	if err != nil {
		return err
	}
	if !o.skips("requests") {
		direct := &server{variant: &variant{name: nameDirect, what: "no proxy: the upstream alone"}, address: l.upstream}
		w := workload{kind: loadReads, connections: o.connections, users: o.users, duration: o.slice}
		if r.Requests, err = pairUp(ctx, base, append([]*server{direct}, servers...), w, o.pairs, progress); err != nil {
			return err
		}
		r.Base, r.Others = baseOf(r.Requests)
		r.Requests = append(r.Requests, skipped...)
	}
	if !o.skips("bodies") {
		with := slices.DeleteFunc(slices.Clone(servers), func(s *server) bool { return !s.bodies })
		w := workload{kind: loadDownloads, connections: bodyConnections, users: bodyUsers, duration: o.bodySlice}
		if r.Downloads, err = pairUp(ctx, base, with, w, o.pairs, progress); err != nil {
			return err
		}
		w.kind = loadUploads
		if r.Uploads, err = pairUp(ctx, base, with, w, o.pairs, progress); err != nil {
			return err
		}
	}
	if o.profile != "" {
		return profile(ctx, l, o, progress)
	}
	return nil
}

// Large bodies go over few connections.
const bodyConnections, bodyUsers = 8, 64

// startAll starts plain Caddy and the variants that are wanted and can be had.
func startAll(l *lab, o options, progress func(string, ...any)) (base *server, servers []*server, skipped []row, err error) {
	progress("starting %s", plain.name)
	if base, err = l.start(plain); err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", plain.name, err)
	}
	for _, v := range variants {
		if !o.wants(v.name) {
			continue
		}
		progress("starting %s", v.name)
		s, err := l.start(v)
		var cannot *unavailable
		switch {
		case errors.As(err, &cannot):
			progress("%s is left out: %s", v.name, cannot.reason)
			skipped = append(skipped, row{variant: v, Skipped: cannot.reason})
		case err != nil && v.name != nameOurs && l.ctx.Err() == nil:
			progress("%s has failed: %v", v.name, err)
			skipped = append(skipped, row{variant: v, Failed: fmt.Errorf("%s: %w", v.name, err)})
		case err != nil:
			return nil, nil, nil, fmt.Errorf("%s: %w", v.name, err)
		default:
			servers = append(servers, s)
		}
	}
	return base, servers, skipped, nil
}

// baseOf is the median of plain Caddy over all pairs, and what other programs
// took of the machine.
func baseOf(rows []row) (base slice, others spread) {
	var pairs []pair
	for _, r := range rows {
		pairs = append(pairs, r.Pairs...)
	}
	base.Rate = over(pairs, func(p pair) float64 { return p.After.Rate }).Median
	base.CPU = over(pairs, func(p pair) float64 { return p.After.CPU }).Median
	return base, over(pairs, func(p pair) float64 { return p.With.others })
}

func (o options) skips(part string) bool {
	return slices.Contains(strings.Split(o.skip, ","), part)
}

// wants reports whether a variant is to be measured. Names have commas.
func (o options) wants(name string) bool {
	return slices.ContainsFunc(strings.Split(o.only, ";"), func(part string) bool {
		if _, err := variantNamed(part); err == nil {
			return name == part
		}
		return strings.Contains(name, part)
	})
}

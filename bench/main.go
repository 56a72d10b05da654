// Command bench measures what this project costs beside plain Caddy and its
// peers, and what it saves a program that calls Tableau. Everything runs on
// loopback: the built binary, an upstream that stands for Tableau, peers as far
// as they are installed, and a load generator that checks every answer.
//
//	bench -caddy bin/caddy                         a few minutes, for a first look
//	bench -caddy bin/caddy -long -report docs/reports   the figures that are published
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// options are those of the command line.
type options struct {
	caddy       string
	plain       string
	source      string
	long        bool
	report      string
	profile     string
	profileOf   string
	only        string
	skip        string
	pairs       int
	slice       time.Duration
	bodySlice   time.Duration
	users       int
	connections int
	starts      int
	jobs        int
	limit       time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// run is the benchmark, or the part of it that args name.
func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if part, ok := parts[args[0]]; ok {
			return part(ctx, args[1:])
		}
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within %v (-limit)", o.limit))
	defer cancel()
	err = benchmark(ctx, o)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = errors.Join(cause, err)
	}
	return err
}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.caddy, "caddy", "bin/caddy", "the binary to measure")
	flags.StringVar(&o.plain, "plain", "", "the binary for what is Caddy alone, such as a release of it; by default the same")
	flags.StringVar(&o.source, "source", ".", "the root of the repository, for the scripts that install Python clients")
	flags.BoolVar(&o.long, "long", false, "the long form: 15 pairs of slices of 2 s, about 35 minutes")
	flags.StringVar(&o.report, "report", "", "write performance.md and performance.svg into this directory")
	flags.StringVar(&o.profile, "profile", "", "write CPU profiles of "+namePlain+" and "+nameOurs+" under load into this directory")
	flags.StringVar(&o.profileOf, "profile-of", loadReads, "the load of the profiles: "+loadReads+", "+loadDownloads+" or "+loadUploads)
	flags.StringVar(&o.only, "only", "", "measure only these variants, by name or a part of it (divided by semicolons)")
	flags.StringVar(&o.skip, "skip", "", "leave out: requests, bodies, starts, jobs (divided by commas)")
	flags.IntVar(&o.pairs, "pairs", 0, "pairs of each variant")
	flags.DurationVar(&o.slice, "slice", 0, "how long a slice is")
	flags.DurationVar(&o.bodySlice, "body-slice", 0, "how long a slice of large bodies is")
	flags.IntVar(&o.users, "users", 10_000, "how many users there are")
	flags.IntVar(&o.connections, "connections", 64, "how many connections the clients keep")
	flags.IntVar(&o.starts, "starts", 0, "how many starts are timed")
	flags.IntVar(&o.jobs, "jobs", 0, "how many jobs run in parallel")
	flags.DurationVar(&o.limit, "limit", 0, "give up after this time")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return o.withDefaults()
}

// withDefaults fills in what depends on the form.
func (o options) withDefaults() (options, error) {
	pairs, slice, starts, jobs, limit := 3, 400*time.Millisecond, 5, 20, 15*time.Minute
	if o.long {
		pairs, slice, starts, jobs, limit = 15, 2*time.Second, 15, 50, 3*time.Hour
	}
	if o.pairs == 0 {
		o.pairs = pairs
	}
	if o.slice == 0 {
		o.slice = slice
	}
	if o.bodySlice == 0 {
		o.bodySlice = o.slice
	}
	if o.starts == 0 {
		o.starts = starts
	}
	if o.jobs == 0 {
		o.jobs = jobs
	}
	if o.limit == 0 {
		o.limit = limit
	}
	if o.plain == "" {
		o.plain = o.caddy
	}
	for _, binary := range []*string{&o.caddy, &o.plain} {
		var err error
		if *binary, err = filepath.Abs(*binary); err != nil {
			return o, err
		}
		if _, err := os.Stat(*binary); err != nil {
			return o, fmt.Errorf("the binary to measure: %w (make build)", err)
		}
	}
	if o.pairs < 1 || o.users < o.connections || o.connections < 1 {
		return o, errors.New("there must be a pair, a connection, and as many users as connections")
	}
	return o, nil
}

// parts are what runs as a process of its own.
var parts = map[string]func(context.Context, []string) error{
	"load": func(ctx context.Context, _ []string) error { return runLoad(ctx, os.Stdin, os.Stdout) },
	"upstream": func(ctx context.Context, args []string) error {
		return serve(ctx, args[0], newUpstream())
	},
	"tokens": func(ctx context.Context, args []string) error {
		users, err := strconv.Atoi(args[0])
		return errors.Join(err, serve(ctx, args[1], newTokenService(users)))
	},
	"reverseproxy": func(ctx context.Context, args []string) error {
		users, err := strconv.Atoi(args[1])
		return errors.Join(err, serve(ctx, args[2], newReverseProxy(args[0], users)))
	},
	"job": runJob,
}

package main

// This file holds what came out of a run, and how it is printed.

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// skip is a test that was skipped, or a check outside the tests if it has no name.
type skip struct {
	testID
	reason string
}

func (s skip) String() string {
	return strings.TrimPrefix(s.testID.String()+": "+s.reason, ": ")
}

// results is what came out of a run.
type results struct {
	passed   int
	failures []string
	skips    []skip
}

// refuseSkips makes a failure of each skip that no allowance covers.
func (r *results) refuseSkips(allow []allowance) {
	var accepted []skip
	for _, s := range r.skips {
		covers := func(a allowance) bool { return a.covers(s) }
		if slices.ContainsFunc(allow, covers) {
			accepted = append(accepted, s)
			continue
		}
		r.failures = append(r.failures, "skipped, which is not allowed here: "+s.String())
	}
	r.skips = accepted
}

// print writes the skips, the failures and the closing line.
func (r *results) print(w io.Writer) {
	for _, s := range r.skips {
		fmt.Fprintln(w, "skipped:", s)
	}
	for _, f := range r.failures {
		fmt.Fprintln(w, "failed:", f)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", r.passed, len(r.failures), len(r.skips))
}

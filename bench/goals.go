package main

// This file holds what the project wants to reach, and compares.

import "fmt"

// A goal is a bound on one number.
type goal struct {
	what    string
	limit   float64
	atLeast bool // otherwise at most
	unit    string
	value   func(*results) (float64, bool) // false if it was not measured
}

var goals = []goal{
	{what: "processor time of a request, to plain Caddy's", limit: 0.80, value: cpuOf(nameOurs)},
	{what: "requests per second, to plain Caddy's", limit: 1.2, atLeast: true, value: rateOf(nameOurs)},
	{what: "processor time with bounded audit and metrics, to plain Caddy's", limit: 1.25, value: cpuOf(nameObserved)},
	{what: "requests per second, to those of forward_auth", limit: 2, atLeast: true, value: quotient(rateOf(nameOurs), rateOf(nameForwardAuth))},
	{what: "processor time of a request, to that of forward_auth", limit: 0.5, value: quotient(cpuOf(nameOurs), cpuOf(nameForwardAuth))},
	{what: "beyond: processor time of a request, to that of nginx + lua", limit: 1, value: quotient(cpuOf(nameOurs), cpuOf(nameLua))},
	{what: "beyond: requests per second, to those of nginx + lua", limit: 1, atLeast: true, value: quotient(rateOf(nameOurs), rateOf(nameLua))},
	{what: "10 MB down, rate to plain Caddy's", limit: 0.95, atLeast: true, value: bodyRate(func(r *results) []row { return r.Downloads })},
	{what: "10 MB up, rate to plain Caddy's", limit: 0.95, atLeast: true, value: bodyRate(func(r *results) []row { return r.Uploads })},
	{what: "start until the first answer, more than plain Caddy's", limit: 10, unit: " ms", value: func(r *results) (float64, bool) {
		return r.Starts.Over.Median, r.Starts.Over.N > 0
	}},
	{what: "a job of the Tableau Server Client, time to going direct", limit: 0.6, value: jobRatio(jobClients[0].name, false)},
	{what: "many of these jobs at once, time to going direct", limit: 0.6, value: jobRatio(jobClients[0].name, true)},
	{what: "sign-ins at Tableau for all of them, through a proxy that has just started", limit: 1, value: func(r *results) (float64, bool) {
		row, ok := r.jobs(jobClients[0].name, true)
		return over(row.Rounds, func(j jobRound) float64 { return float64(j.Cold.SignIns) }).Max, ok
	}},
}

// met tells whether a value is on the right side of the limit.
func (g goal) met(value float64) bool {
	if g.atLeast {
		return value >= g.limit
	}
	return value <= g.limit
}

// verdict is a goal's line in the report.
func (g goal) verdict(r *results) (limit, measured, verdict string) {
	word := "at most"
	if g.atLeast {
		word = "at least"
	}
	limit = fmt.Sprintf("%s %.4g%s", word, g.limit, g.unit)
	value, ok := g.value(r)
	switch {
	case !ok:
		return limit, "-", "not measured"
	case g.met(value):
		verdict = "reached"
	default:
		verdict = fmt.Sprintf("missed by %.2f%s", max(value-g.limit, g.limit-value), g.unit)
	}
	return limit, fmt.Sprintf("%.2f%s", value, g.unit), verdict
}

func find(rows []row, name string) (row, bool) {
	for _, r := range rows {
		if r.variant != nil && r.name == name && len(r.Pairs) > 0 {
			return r, true
		}
	}
	return row{}, false
}

func cpuOf(name string) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		found, ok := find(r.Requests, name)
		return found.cpu().Median, ok
	}
}

func rateOf(name string) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		found, ok := find(r.Requests, name)
		return found.rate().Median, ok
	}
}

func bodyRate(rows func(*results) []row) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		found, ok := find(rows(r), nameOurs)
		return found.rate().Median, ok
	}
}

func quotient(a, b func(*results) (float64, bool)) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		x, okX := a(r)
		y, okY := b(r)
		if !okX || !okY || y == 0 {
			return 0, false
		}
		return x / y, true
	}
}

// jobs finds the jobs of a client: one at a time, or all at once.
func (r *results) jobs(client string, atOnce bool) (jobRow, bool) {
	for _, row := range r.Jobs {
		if row.Client == client && len(row.Rounds) > 0 && (row.Parallel > 1) == atOnce {
			return row, true
		}
	}
	return jobRow{}, false
}

func jobRatio(client string, atOnce bool) func(*results) (float64, bool) {
	return func(r *results) (float64, bool) {
		row, ok := r.jobs(client, atOnce)
		return over(row.Rounds, jobRound.warmRatio).Median, ok
	}
}

package main

// This file writes the report.

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed report.md.tmpl
var reportText string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"ratio": func(s spread) string { return s.format("%.2f") },
	"ms":    func(s spread) string { return s.format("%.0f") },
	"join":  strings.Join,
}).Parse(reportText))

const (
	reportName  = "performance.md"
	pictureName = "performance.svg"
)

// markdown is the report.
func (r *results) markdown() string {
	var b strings.Builder
	if err := reportTemplate.Execute(&b, r); err != nil {
		return fmt.Sprintf("the report cannot be written: %v\n", err)
	}
	return b.String()
}

// write writes the report and its picture into a directory.
func (r *results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documentation, for everybody
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, reportName), []byte(r.markdown()), 0o644), //nolint:gosec // documentation, for everybody
		r.draw(filepath.Join(dir, pictureName)),
	)
}

// What follows is what the template asks for.

// Form names the form of the run.
func (r *results) Form() string {
	if r.Options.long {
		return "long"
	}
	return "short"
}

// Noisy reports whether the figures are a first look only.
func (r *results) Noisy() bool { return r.Options.pairs < 15 || r.Others.Median > 0.2 }

// Pairs, Slice, Users and Connections are the options that matter to readers.
func (r *results) Pairs() int       { return r.Options.pairs }
func (r *results) Slice() string    { return r.Options.slice.String() }
func (r *results) Users() int       { return r.Options.users }
func (r *results) Connections() int { return r.Options.connections }
func (r *results) Minutes() string  { return r.Took.Round(time.Second).String() }
func (r *results) MaxSteal() string { return fmt.Sprintf("%.2f", maxSteal) }

// Disturbed is how much of the machine other programs had.
func (r *results) Disturbed() string { return r.Others.format("%.2f") }

// BaseLine is what plain Caddy did.
func (r *results) BaseLine() string {
	return fmt.Sprintf("%.0f requests per second with %.1f s of processor time for 100,000", r.Base.Rate, r.Base.CPU)
}

// Goals are the lines of the table of goals.
func (r *results) Goals() (lines [][]string) {
	for _, g := range goals {
		limit, measured, verdict := g.verdict(r)
		lines = append(lines, []string{g.what, limit, measured, verdict})
	}
	return lines
}

// Name and What describe the variant of a row.
func (r row) Name() string { return r.name }
func (r row) What() string { return r.what }

// Rate and CPU are the ratios of a row.
func (r row) Rate() spread { return r.rate() }

// CPU is empty where there is no process of its own.
func (r row) CPU() spread {
	if r.name == nameDirect {
		return spread{}
	}
	return r.cpu()
}

// Service is what the service beside a variant took, as a ratio like CPU; "" if
// there is none.
func (r row) Service() string {
	s := over(r.Pairs, func(p pair) float64 { return 2 * p.With.Beside / (p.Before.CPU + p.After.CPU) })
	if s.Max == 0 {
		return ""
	}
	return s.format("%.2f")
}

// PSS is the memory of a row's processes.
func (r row) PSS() string {
	if r.LoadPSS == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f, %.0f", r.IdlePSS, r.LoadPSS)
}

// Count is the number of pairs, with those that were discarded.
func (r row) Count() string {
	if r.Discarded == 0 {
		return fmt.Sprint(len(r.Pairs))
	}
	return fmt.Sprintf("%d (%d discarded)", len(r.Pairs), r.Discarded)
}

// Direct, Cold and Warm are the columns of a row of jobs.
func (r jobRow) Direct() string { return r.column(func(j jobRound) jobCost { return j.Direct }) }
func (r jobRow) Cold() string   { return r.column(func(j jobRound) jobCost { return j.Cold }) }
func (r jobRow) Warm() string   { return r.column(func(j jobRound) jobCost { return j.Warm }) }

// ColdRatio and WarmRatio are to going direct.
func (r jobRow) ColdRatio() spread { return over(r.Rounds, jobRound.coldRatio) }
func (r jobRow) WarmRatio() spread { return over(r.Rounds, jobRound.warmRatio) }

// column is the time, the sign-ins and the connections, as medians.
func (r jobRow) column(side func(jobRound) jobCost) string {
	number := func(n func(jobCost) float64) float64 {
		return over(r.Rounds, func(j jobRound) float64 { return n(side(j)) }).Median
	}
	return fmt.Sprintf("%.2f s, %.0f, %.0f",
		number(func(c jobCost) float64 { return c.Seconds }),
		number(func(c jobCost) float64 { return float64(c.SignIns) }),
		number(func(c jobCost) float64 { return float64(c.Connections) }))
}

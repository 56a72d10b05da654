package main

// These tests check the arithmetic, and that the report says what was measured.

import (
	"bytes"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		readings []float64
		want     spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3, 1}},
		{[]float64{3, 1, 2}, spread{2, 1, 3, 3}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4, 4}},
	} {
		if got := spreadOf(test.readings); got != test.want {
			t.Errorf("%v: %v, want %v", test.readings, got, test.want)
		}
	}
	if got := spreadOf([]float64{1, 2, 3}).format("%.1f"); got != "2.0 [1.0...3.0]" {
		t.Error(got)
	}
}

func TestAPairIsComparedWithBothItsNeighbours(t *testing.T) {
	p := pair{Before: slice{Rate: 100, CPU: 10}, With: slice{Rate: 300, CPU: 6}, After: slice{Rate: 200, CPU: 20}}
	if p.rate() != 2 || p.cpu() != 0.4 {
		t.Errorf("rate %v and CPU %v, want 2 and 0.4", p.rate(), p.cpu())
	}
	if p.disturbed() {
		t.Error("disturbed by nothing")
	}
	p.After.steal = maxSteal * 2
	if !p.disturbed() {
		t.Error("steal after it does not count")
	}
}

func TestWants(t *testing.T) {
	for only, want := range map[string]int{
		"": len(variants), nameOurs: 1, "audit": 5, nameObserved: 1, nameLua + ";haproxy": 2, "nginx": 1, "ngin": 2, "nothing": 0,
	} {
		got := 0
		for _, v := range variants {
			if (options{only: only}).wants(v.name) {
				got++
			}
		}
		if got != want {
			t.Errorf("-only %q is %d variants, want %d", only, got, want)
		}
	}
}

// measured are results that reach some goals.
func measured(t *testing.T) *results {
	t.Helper()
	ours, err := variantNamed(nameOurs)
	if err != nil {
		t.Fatal(err)
	}
	direct := &variant{name: nameDirect, what: "no proxy"}
	of := func(v *variant, rate, cpu float64) row {
		return row{variant: v, IdlePSS: 10, LoadPSS: 20, Pairs: []pair{{
			slice{Rate: 1, CPU: 1}, slice{Rate: rate, CPU: cpu}, slice{Rate: 1, CPU: 1},
		}}}
	}
	return &results{
		Options:   options{pairs: 1},
		Base:      slice{Rate: 1, CPU: 1},
		Requests:  []row{of(direct, 5, 0), of(ours, 1.5, 0.9), {variant: variants[1], Skipped: "no such option"}, {variant: variants[2], Failed: errors.New("503")}},
		Downloads: []row{of(ours, 0.96, 1)}, Uploads: []row{of(ours, 0.5, 1)},
		Starts: starts{spreadOf([]float64{40}), spreadOf([]float64{45}), spreadOf([]float64{5})},
		Jobs: []jobRow{
			{Client: jobClients[0].name, Parallel: 1, Rounds: []jobRound{{jobCost{1, 1, 1}, jobCost{0.9, 1, 1}, jobCost{0.5, 0, 0}}}},
			{Client: jobClients[1].name, Skipped: "curl is missing"},
		},
	}
}

func TestReport(t *testing.T) {
	report := measured(t).markdown()
	for _, want := range []string{
		"| processor time of a request, to plain Caddy's | at most 0.8 | 0.90 | missed by 0.10 |",
		"| requests per second, to plain Caddy's | at least 1.2 | 1.50 | reached |",
		"| 10 MB up, rate to plain Caddy's | at least 0.95 | 0.50 | missed by 0.45 |",
		"| start until the first answer, more than plain Caddy's | at most 10 ms | 5.00 ms | reached |",
		"| a job of the Tableau Server Client, time to going direct | at most 0.6 | 0.50 | reached |",
		"| requests per second, to those of forward_auth | at least 2 | - | not measured |",
		"| direct | - | 5.00 [5.00...5.00] |",
		"| tableau_proxy | 0.90 [0.90...0.90] | 1.50 [1.50...1.50] | 10, 20 | 1 |",
		"not measured: no such option", "failed: not all answers were right", "not measured: curl is missing",
		"| tableau_proxy | 0.96 [0.96...0.96] | 1.00 [1.00...1.00] | 0.50 [0.50...0.50] |",
		"| Tableau Server Client (Python) | 1 | 1.00 s, 1, 1 | 0.90 s, 1, 1 | 0.90 [0.90...0.90] | 0.50 s, 0, 0 | 0.50 [0.50...0.50] |",
		"**The figures are a first look:**",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
}

func TestPicture(t *testing.T) {
	dir := t.TempDir()
	if err := measured(t).write(dir); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, pictureName))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", nameOurs, "requests per second"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("the picture does not hold %q", want)
		}
	}
}

// The benchmark measures the built binary, from outside: of the project it may
// know the simulator only.
func TestImports(t *testing.T) {
	const module = "github.com/caddy-tableau/caddy-tableau/"
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			path := strings.Trim(imported.Path.Value, `"`)
			if strings.HasPrefix(path, module) && path != module+"tableauauth/tableautest" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

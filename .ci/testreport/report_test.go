package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events of a run with one test of each outcome.
const mixed = `{"Action":"start","Package":"example.org/m/p"}
{"Action":"run","Package":"example.org/m/p","Test":"TestGood"}
{"Action":"output","Package":"example.org/m/p","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"pass","Package":"example.org/m/p","Test":"TestGood","Elapsed":0}
{"Action":"run","Package":"example.org/m/p","Test":"TestBad"}
{"Action":"fail","Package":"example.org/m/p","Test":"TestBad","Elapsed":0}
{"Action":"run","Package":"example.org/m/p","Test":"TestAway"}
{"Action":"output","Package":"example.org/m/p","Test":"TestAway","Output":"=== RUN   TestAway\n"}
{"Action":"output","Package":"example.org/m/p","Test":"TestAway","Output":"    p_test.go:9: needs a moon\n"}
{"Action":"output","Package":"example.org/m/p","Test":"TestAway","Output":"--- SKIP: TestAway (0.00s)\n"}
{"Action":"skip","Package":"example.org/m/p","Test":"TestAway","Elapsed":0}
{"Action":"fail","Package":"example.org/m/p","Elapsed":0}
{"Action":"skip","Package":"example.org/m/empty","Elapsed":0}
`

const passing = `{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"pass","Package":"p"}
`

const skipping = `{"Action":"run","Package":"example.org/m/p","Test":"TestAway"}
{"Action":"output","Package":"example.org/m/p","Test":"TestAway","Output":"    p_test.go:9: needs a moon\n"}
{"Action":"skip","Package":"example.org/m/p","Test":"TestAway"}
{"Action":"pass","Package":"example.org/m/p"}
`

func TestReport(t *testing.T) {
	tests := []struct {
		name    string
		events  string
		allowed string
		args    []string
		want    string
		ok      bool
	}{
		{
			name:   "each outcome",
			events: mixed,
			want: "skipped: example.org/m/p TestAway: p_test.go:9: needs a moon\n" +
				"failed: example.org/m/p TestBad\n" +
				"1 passed, 1 failed, 1 skipped\n",
		},
		{name: "all passed", events: passing, want: "1 passed, 0 failed, 0 skipped\n", ok: true},
		{name: "nothing ran", want: "failed: the test run: no test ran\n0 passed, 1 failed, 0 skipped\n"},
		{
			name:   "skip without a beginning",
			events: `{"Action":"skip","Package":"p","Test":"TestAway"}`,
			want:   "skipped: p TestAway: no reason given\n0 passed, 0 failed, 1 skipped\n",
			ok:     true,
		},
		{
			name:   "package that does not build",
			events: `{"Action":"build-fail","ImportPath":"p"}` + "\n" + `{"Action":"fail","Package":"p","FailedBuild":"p"}`,
			want:   "failed: p\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "test that never ended",
			events: `{"Action":"run","Package":"p","Test":"TestHung"}` + "\n" + `{"Action":"fail","Package":"p"}`,
			want:   "failed: p TestHung (did not end)\n0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "failed check",
			events: passing,
			args:   []string{"-failed", "make vet", "-failed", "make staticcheck"},
			want:   "failed: make vet\nfailed: make staticcheck\n1 passed, 2 failed, 0 skipped\n",
		},
		{
			name:   "runner failed without a failed test",
			events: passing,
			args:   []string{"-status", "2"},
			want:   "failed: the test run: exit status 2\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "runner failed with a failed check",
			events: passing,
			args:   []string{"-status", "1", "-failed", "make vet"},
			want:   "failed: make vet\n1 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "skip is no failure by default",
			events: skipping,
			want:   "skipped: example.org/m/p TestAway: p_test.go:9: needs a moon\n0 passed, 0 failed, 1 skipped\n",
			ok:     true,
		},
		{
			name:   "strict refuses a skip",
			events: skipping,
			args:   []string{"-strict"},
			want: "failed: skipped, which is not allowed here: example.org/m/p TestAway: p_test.go:9: needs a moon\n" +
				"0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:    "strict accepts an allowed skip",
			events:  skipping,
			allowed: "# why\n\nm/p TestAway no moon in CI\n",
			args:    []string{"-strict"},
			want:    "skipped: example.org/m/p TestAway: p_test.go:9: needs a moon\n0 passed, 0 failed, 1 skipped\n",
			ok:      true,
		},
		{
			name:    "allowance of another test",
			events:  skipping,
			allowed: "m/p TestElse why\nother/p TestAway why\nrg/m/p TestAway why\n",
			args:    []string{"-strict"},
			want: "failed: skipped, which is not allowed here: example.org/m/p TestAway: p_test.go:9: needs a moon\n" +
				"0 passed, 1 failed, 0 skipped\n",
		},
		{
			name:   "skipped check",
			events: passing,
			args:   []string{"-skipped", "race detector: no C compiler"},
			want:   "skipped: race detector: no C compiler\n1 passed, 0 failed, 1 skipped\n",
			ok:     true,
		},
		{
			name:   "strict refuses a skipped check",
			events: passing,
			args:   []string{"-skipped", "race detector: no C compiler", "-strict"},
			want:   "failed: skipped, which is not allowed here: race detector: no C compiler\n1 passed, 1 failed, 0 skipped\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			args := append(test.args, "-allowed", write(t, test.allowed), write(t, test.events))
			ok, err := run(args, &out)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if ok != test.ok {
				t.Errorf("ok = %v, want %v", ok, test.ok)
			}
		})
	}
}

func TestReportErrors(t *testing.T) {
	tests := []struct {
		name, events, allowed, want string
	}{
		{name: "events cut short", events: `{"Action":"ru`, want: "test event 1"},
		{name: "allowance without a reason", allowed: "m/p TestAway\n", want: ":1: want a package, a test and the reason"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			ok, err := run([]string{"-allowed", write(t, test.allowed), write(t, test.events)}, &out)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want one with %q", err, test.want)
			}
			if ok {
				t.Error("ok = true, want false")
			}
		})
	}
}

// write makes a file with the given content and returns its name.
func write(t *testing.T, content string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Clean(f.Name())
}

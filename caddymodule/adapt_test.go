package caddymodule

// This file checks what Caddyfiles become: each file of
// testdata/caddyfile_adapt holds a Caddyfile, a line of ten dashes, and the
// JSON that it adapts to or a part of the error, as in Caddy's own tests.

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The JSON of a fixture that is written anew has to be read before it is
// committed.
var update = flag.Bool("update", false, "write the JSON in testdata/caddyfile_adapt anew")

const fixtureSeparator = "\n----------\n"

func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile_adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			config, want, ok := strings.Cut(strings.ReplaceAll(string(content), "\r\n", "\n"), fixtureSeparator)
			if !ok {
				t.Fatal("there is no line of ten dashes")
			}
			if strings.HasPrefix(filepath.Base(file), "error_") {
				checkAdaptError(t, config, strings.TrimSpace(want))
				return
			}
			got := adaptIndented(t, config)
			if *update {
				writeFixture(t, file, config, got)
				return
			}
			if diff := cmp.Diff(strings.TrimSpace(want), got); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

func checkAdaptError(t *testing.T, config, want string) {
	t.Helper()
	got, err := adapt(config + "\n")
	switch {
	case want == "":
		t.Error("the fixture says nothing of the error")
	case err == nil:
		t.Errorf("there is no error, but %s", got)
	case !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want %q in it", err, want)
	case strings.Contains(err.Error(), "hunter2"):
		t.Errorf("the error %q repeats a password", err)
	}
}

func adaptIndented(t *testing.T, config string) string {
	t.Helper()
	adapted, err := adapt(config + "\n")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func writeFixture(t *testing.T, file, config, adapted string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(config+fixtureSeparator+adapted+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

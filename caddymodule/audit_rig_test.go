package caddymodule

// This file holds what the tests of the audit file share.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// An auditRig is a rig with an audit file.
type auditRig struct {
	*rig
	path string
}

// newAuditRig makes a rig whose configuration is not loaded yet.
func newAuditRig(t testing.TB) *auditRig {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // for the id of the instance
	r := &auditRig{path: filepath.Join(quickDir(t), "audit.log")}
	r.rig = newRig(t, tableautest.Options{EchoToken: true}) // which must not get into the file
	return r
}

// quickDir is a temporary directory, for a test in memory where that can be: a
// disk that is busy with something else refuses requests in the mode strict.
func quickDir(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if _, benchmark := t.(*testing.B); benchmark {
		return t.TempDir() // the disk is part of what is measured
	}
	if _, err := os.Stat(memory); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "caddy-tableau-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// audited is the setup s with the audit file, and options of it.
func (r *auditRig) audited(s setup, options ...string) setup {
	s.global += fmt.Sprintf("\ttableau {\n\t\taudit %s {\n\t\t\t%s\n\t\t}\n\t}\n", r.path, strings.Join(options, "\n\t\t\t"))
	return s
}

// startedAudit is an auditRig with its configuration loaded.
func startedAudit(t *testing.T, s setup, options ...string) *auditRig {
	t.Helper()
	r := newAuditRig(t)
	r.load(t, r.audited(s, options...))
	return r
}

// stop ends Caddy, so that the file is whole.
func (r *auditRig) stop(t testing.TB) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
}

// events are the records of some events, or of all.
func (r *auditRig) events(t *testing.T, names ...string) []map[string]any {
	t.Helper()
	return auditRecords(t, r.path, names...)
}

func auditRecords(t *testing.T, path string, names ...string) (found []map[string]any) {
	t.Helper()
	files, err := auditlog.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	for record, err := range auditlog.Records(t.Context(), files...) {
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > 0 && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+record.Event+" ") {
			continue
		}
		fields := make(map[string]any)
		if err := json.Unmarshal(record.Raw, &fields); err != nil {
			t.Fatal(err)
		}
		found = append(found, fields)
	}
	return found
}

// intact checks that the file verifies, and that no secret is in it.
func (r *auditRig) intact(t *testing.T) *auditlog.Report {
	t.Helper()
	report := verifyAudit(t, r.path)
	files, err := auditlog.Files(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r.noLeak(t, name, content)
		if bytes.Contains(content, []byte(testPassword)) {
			t.Errorf("%s holds a password", name)
		}
	}
	return report
}

func verifyAudit(t *testing.T, path string) *auditlog.Report {
	t.Helper()
	keys, err := auditlog.ReadVerifiers(auditlog.PublicKeyFile(path))
	if err != nil {
		t.Fatal(err)
	}
	files, err := auditlog.Files(path)
	if err != nil {
		t.Fatal(err)
	}
	report, err := auditlog.Verify(t.Context(), files, auditlog.VerifyOptions{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	return report
}

// one returns the only record that holds what is wanted.
func one(t *testing.T, records []map[string]any, want map[string]any) map[string]any {
	t.Helper()
	var found []map[string]any
	for _, record := range records {
		all := true
		for name, value := range want {
			all = all && fmt.Sprint(record[name]) == fmt.Sprint(value)
		}
		if all {
			found = append(found, record)
		}
	}
	if len(found) != 1 {
		text := lines(records)
		t.Fatalf("%d records have %v, want one, in\n%s", len(found), want, text[:min(len(text), 20_000)])
	}
	return found[0]
}

func lines(records []map[string]any) string {
	var b strings.Builder
	for _, record := range records {
		text, _ := json.Marshal(record)
		b.Write(append(text, '\n'))
	}
	return b.String()
}

// gauge is the value of a metric without labels.
func gauge(t *testing.T, metric prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(metric); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].Metric[0].GetGauge().GetValue() + families[0].Metric[0].GetCounter().GetValue()
}

package caddymodule

// This file checks the life of the audit file: over reloads, with other options,
// and with other keys.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

var (
	siteSessions = tableautest.SessionFilter{}
	hangingData  = tableautest.Fault{Match: tableautest.Match{Data: true}, Hang: true}
)

func TestAuditFileOverReloads(t *testing.T) {
	r := startedAudit(t, setup{})
	r.works(t, "at first", "alice")
	r.load(t, r.audited(setup{after: "\theader X-Reloaded yes"}))
	r.works(t, "after a reload", "alice")
	if n := len(r.events(t, eventShutdown)); n != 0 {
		t.Errorf("the file was ended %d times by a reload that keeps it", n)
	}
	r.load(t, r.audited(setup{}, "mode best_effort"))
	r.works(t, "in another mode", "alice")
	if err := r.try(r.audited(setup{options: "\t\tsite finance\n\t\tuser x\n\t\tunmapped deny"}, "mode bounded")); err == nil {
		t.Fatal("a bad option loads")
	}
	r.works(t, "after a reload that failed", "alice")
	r.load(t, setup{})
	r.works(t, "without an audit file", "alice")
	recorded := len(r.events(t))
	r.load(t, r.audited(setup{}))
	r.works(t, "with it again", "alice")
	r.stop(t)
	r.intact(t)

	var loads []string
	for _, e := range r.events(t, eventStart, eventConfigLoad, eventConfigReject, eventShutdown) {
		loads = append(loads, fmt.Sprint(e["event"], " ", e["mode"]))
	}
	want := []string{
		"process.start strict", "config.load strict", "config.load strict", "config.load best_effort", "config.reject bounded", "process.stop <nil>",
		"process.start strict", "config.load strict", "process.stop <nil>",
	}
	if got := strings.Join(loads, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the life of the file:\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if n := len(r.events(t)); n <= recorded {
		t.Errorf("%d records, and %d before it was taken up again", n, recorded)
	}
	configs := r.events(t, eventConfigLoad)
	if a, b, c := configs[0]["cfg_hash"], configs[1]["cfg_hash"], configs[2]["cfg_hash"]; a != b || b == c {
		t.Errorf("cfg_hash: %v, for the same %v, for another mode %v", a, b, c)
	}
}

// A configuration that fails when it is started has changed the mode for a
// moment: the one before gets its own back.
func TestAuditModeAfterAFailedStart(t *testing.T) {
	r := startedAudit(t, setup{})
	r.works(t, "at first", "alice")
	taken := "\n}\nhttp://" + strings.TrimPrefix(r.URL, "https://") + " {\n\trespond taken"
	if err := r.try(r.audited(setup{after: taken}, "mode best_effort")); err == nil {
		t.Fatal("it loads")
	}
	r.works(t, "after the failure", "alice")
	auditFiles.Range(func(_, value any) bool {
		if mode := value.(*auditFile).with.options.Mode; mode != auditlog.Strict {
			t.Errorf("the mode is %s", mode)
		}
		return true
	})
	r.stop(t)
	r.intact(t)
	r.covered(t)
}

// Checkpoints go to the log, so that they can be kept elsewhere: with the last
// one it shows that the end of the file was cut off.
func TestCheckpointsInTheLog(t *testing.T) {
	r := startedAudit(t, setup{}, "checkpoint_every 3")
	for range 3 {
		r.works(t, "now", "alice")
	}
	entry := await(t, "tableau.audit", map[string]any{"msg": "audit checkpoint"})
	r.stop(t)
	r.intact(t)
	kept := filepath.Join(t.TempDir(), "kept.log")
	if err := os.WriteFile(kept, logged.bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := auditKeys(r.path, "")
	if err != nil {
		t.Fatal(err)
	}
	held, err := heldCheckpoints(kept, keys)
	if err != nil {
		t.Fatal(err)
	}
	if len(held) < 2 || fmt.Sprint(entry["size"]) == "" {
		t.Fatalf("%d checkpoints in the log", len(held))
	}
	text, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.SplitAfter(string(text), "\n")
	if err := os.WriteFile(r.path, []byte(strings.Join(all[:5], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	v := auditVerification{path: r.path, held: kept}
	var out strings.Builder
	if err := v.run(t.Context(), &out, &out); err == nil || !strings.Contains(out.String(), "truncated") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// The key that was made is there after a restart, and is not in the log's
// directory.
func TestAuditKeyIsKept(t *testing.T) {
	r := startedAudit(t, setup{})
	r.works(t, "at first", "alice")
	fp := one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest})["query_fp"]
	r.stop(t)
	r.load(t, r.audited(setup{}))
	r.works(t, "after a restart", "alice")
	r.stop(t)
	r.intact(t)
	if fp != nil {
		t.Errorf("a fingerprint of no query: %v", fp)
	}
	keys, err := auditKeys(r.path, "")
	if err != nil || len(keys) != 1 {
		t.Errorf("%d keys beside the file (%v), want one", len(keys), err)
	}
	noKeyIn(t, filepath.Dir(r.path))
}

func noKeyIn(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if text, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || strings.Contains(string(text), "PRIVATE KEY") {
			t.Errorf("%s holds a private key (%v)", e.Name(), err)
		}
	}
}

// With another key the file goes on if the one before is named.
func TestAuditKeyChange(t *testing.T) {
	r := newAuditRig(t)
	dir := t.TempDir()
	var files, pubs []string
	for _, name := range []string{"first", "second"} {
		key, err := auditlog.GenerateKey(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := key.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, name+".pem"))
		pubs = append(pubs, filepath.Join(dir, name+".pub"))
		if err := os.WriteFile(files[len(files)-1], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AUDIT_KEY_FILE", files[1])
	r.load(t, r.audited(setup{}, "key "+files[0]))
	r.works(t, "with the first key", "alice")
	r.stop(t)
	r.loaded = false
	text, err := os.ReadFile(auditlog.PublicKeyFile(r.path))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pubs[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	err = r.try(r.audited(setup{}, "key {env.AUDIT_KEY_FILE}"))
	if err == nil || !strings.Contains(err.Error(), "previous_key") {
		t.Errorf("another key: %v", err)
	}
	r.load(t, r.audited(setup{}, "key {env.AUDIT_KEY_FILE}", "previous_key "+pubs[0]))
	r.works(t, "with the second key", "alice")
	r.stop(t)
	r.intact(t)
	noKeyIn(t, filepath.Dir(r.path))
}

// `caddy validate` sets a configuration up and lets go of it again, while the
// file is in use by the running one.
func TestValidateLeavesTheFileAlone(t *testing.T) {
	r := newAuditRig(t)
	adapted, err := adapt(r.caddyfile(r.audited(setup{})))
	if err != nil {
		t.Fatal(err)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(r.path)); err != nil || len(entries) > 0 {
		t.Errorf("there is %v (%v)", entries, err)
	}
}

func TestAuditOptionErrors(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.pem")
	if err := os.WriteFile(bad, []byte("-----BEGIN PRIVATE KEY-----\nc2VjcmV0LXBhcnQ=\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AUDIT_EMPTY", "")
	t.Setenv("AUDIT_HALF", "c2VjcmV0LXBhcnQ=")
	for want, a := range map[string]Audit{
		"name of the file is missing":   {File: " "},
		"mode":                          {File: "x", Mode: "lenient"},
		"set the environment variable":  {File: "x", Key: "{env.AUDIT_NOT_SET}"},
		"{env.AUDIT_EMPTY}":             {File: "x", Key: "{env.AUDIT_EMPTY}"},
		"a secret in the configuration": {File: "x", Key: "-----BEGIN PRIVATE KEY-----\nx"},
		"neither a key in PEM nor":      {File: "x", Key: "{env.AUDIT_HALF}"},
		"holds no PKCS#8 key":           {File: "x", Key: bad},
		"previous_key":                  {File: "x", PreviousKeys: []string{dir + "/none.pub"}},
		"the form <name>+<hash>+<key>":  {File: "x", PreviousKeys: []string{bad}},
		"must be more than 0":           {File: "x", CheckpointEvery: -1},
	} {
		_, err := a.check()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c2VjcmV0LXBhcnQ") && !strings.Contains(want, "form") {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
}

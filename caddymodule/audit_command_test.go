package caddymodule

// This file checks `caddy tableau audit`.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// recordedAudit is a file in which alice and bob have done some things.
func recordedAudit(t *testing.T) *auditRig {
	t.Helper()
	r := startedAudit(t, setup{options: "\t\tsite finance\n\t\tuser_map alice carol\n\t\tuser_map bob bob\n\t\tscopes tableau:content:read"})
	r.get(t, "alice", workbooks)
	r.get(t, "bob", api+"/sites/-/workbooks/00000000-0000-0000-0000-000000000000")
	r.get(t, "mallory", workbooks)
	r.stop(t)
	r.intact(t)
	return r
}

func TestAuditVerify(t *testing.T) {
	r := recordedAudit(t)
	run := func(v auditVerification) (string, error) {
		t.Helper()
		v.path = r.path
		var out bytes.Buffer
		err := v.run(t.Context(), &out, &out)
		return out.String(), err
	}
	text, err := run(auditVerification{})
	if err != nil || !strings.Contains(text, "as it was written") || !strings.Contains(text, "--pub names a copy") || !strings.Contains(text, "signed up to record") {
		t.Errorf("%v\n%s", err, text)
	}
	pub := filepath.Join(t.TempDir(), "trusted.pub")
	content, err := os.ReadFile(auditlog.PublicKeyFile(r.path))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pub, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err = run(auditVerification{pub: pub}); err != nil || strings.Contains(text, "--pub names a copy") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err = run(auditVerification{pub: r.path}); err == nil || errors.Is(err, errAltered) {
		t.Errorf("a file that holds no key: %v", err)
	}

	whole, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(whole, []byte(`"identity":"alice"`), []byte(`"identity":"bobby"`), 1)
	if err := os.WriteFile(r.path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	seq := one(t, r.events(t), map[string]any{"identity": "bobby"})["seq"]
	text, err = run(auditVerification{})
	if !errors.Is(err, errAltered) || !strings.Contains(text, "ALTERED") || !strings.Contains(text, fmt.Sprintf("changed: record %v", seq)) {
		t.Errorf("%v\n%s", err, text)
	}
	text, err = run(auditVerification{asJSON: true})
	var report struct {
		OK       bool
		Findings []struct {
			Kind  string
			First float64
		}
	}
	if jsonErr := json.Unmarshal([]byte(text), &report); !errors.Is(err, errAltered) || jsonErr != nil || report.OK ||
		len(report.Findings) == 0 || report.Findings[0].Kind != "changed" || report.Findings[0].First != seq {
		t.Errorf("%v, %v: %s", err, jsonErr, text)
	}
}

func TestAuditShow(t *testing.T) {
	r := recordedAudit(t)
	show := func(f auditFilter, asJSON bool) []string {
		t.Helper()
		var out bytes.Buffer
		if err := showAudit(t.Context(), r.path, f, asJSON, &out); err != nil {
			t.Fatal(err)
		}
		return strings.FieldsFunc(out.String(), func(c rune) bool { return c == '\n' })
	}
	has := func(lines []string, want ...string) bool {
		for _, line := range lines {
			all := true
			for _, w := range want {
				all = all && strings.Contains(line, w)
			}
			if all {
				return true
			}
		}
		return false
	}
	everything := show(auditFilter{}, false)
	if !has(everything, "request  alice as carol, site finance  query_workbooks_for_site GET /api/", "200") ||
		!has(everything, "policy.deny") && !has(everything, "identity.reject  mallory", "403  identity_not_mapped") {
		t.Errorf("shown:\n%s", strings.Join(everything, "\n"))
	}
	requestID := fmt.Sprint(one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest, "identity": "bob"})["request_id"])
	now := time.Now()
	for name, c := range map[string]struct {
		filter auditFilter
		want   int
		each   string
	}{
		"person":    {auditFilter{person: "alice"}, 1, "alice"},
		"user":      {auditFilter{user: "carol"}, 4, "carol"},                             // sign-in: call and event; request; sign-out
		"operation": {auditFilter{operation: "query_workbooks_for_site"}, 2, "workbooks"}, // mallory was refused
		"status":    {auditFilter{status: "404"}, 1, "404"},
		"class":     {auditFilter{status: "4xx"}, 2, " 40"},
		"event":     {auditFilter{event: eventIdentityReject}, 1, "mallory"},
		"request":   {auditFilter{request: requestID}, 1, "bob"},
		"two":       {auditFilter{person: "bob", status: "200"}, 0, ""},
		"since":     {auditFilter{since: now.Add(time.Hour)}, 0, ""},
		"until":     {auditFilter{until: now.Add(-time.Hour)}, 0, ""},
		"between":   {auditFilter{since: now.Add(-time.Hour), until: now.Add(time.Hour), person: "mallory"}, 1, "mallory"},
	} {
		got := show(c.filter, false)
		if len(got) != c.want {
			t.Errorf("%s: %d lines, want %d:\n%s", name, len(got), c.want, strings.Join(got, "\n"))
		}
		for _, line := range got {
			if !strings.Contains(line, c.each) {
				t.Errorf("%s: %q is not in %q", name, c.each, line)
			}
		}
	}
	for _, line := range show(auditFilter{person: "bob"}, true) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["identity"] != "bob" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// A call whose outcome was never recorded is shown: something may have happened.
func TestAuditShowsWhatHasNoOutcome(t *testing.T) {
	r := startedAudit(t, setup{})
	fault := r.AddFault(hangingData)
	go func() { _, _ = r.send(t.Context(), call{user: "alice", path: workbooks}) }()
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := showAudit(t.Context(), r.path, auditFilter{}, false, &out); err != nil {
		t.Fatal(err)
	}
	fault.Remove()
	if !strings.Contains(out.String(), "GET /api/") || !strings.Contains(out.String(), "no outcome was recorded") {
		t.Errorf("shown:\n%s", out.String())
	}
	if err := os.WriteFile(r.path+".000000000000", []byte("no record\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := showAudit(t.Context(), r.path, auditFilter{}, false, &out); err == nil || !strings.Contains(err.Error(), "1 lines are no records") {
		t.Errorf("a file that holds something else: %v", err)
	}
}

func TestAuditProve(t *testing.T) {
	r := recordedAudit(t)
	record := one(t, r.events(t), map[string]any{"event": eventOutcome, "identity": "alice"})
	var proof bytes.Buffer
	if err := proveAudit(t.Context(), r.path, fmt.Sprint(record["seq"]), "", "", &proof); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "proof.json")
	if err := os.WriteFile(file, proof.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	pub := auditlog.PublicKeyFile(r.path)
	var out bytes.Buffer
	if err := checkAuditProof(file, pub, &out); err != nil || !strings.Contains(out.String(), `"identity":"alice"`) {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := os.WriteFile(file, bytes.Replace(proof.Bytes(), []byte("alice"), []byte("bobby"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkAuditProof(file, pub, &out); err == nil {
		t.Error("a proof of another record is good")
	}
	if err := checkAuditProof(file, "", &out); err == nil || !strings.Contains(err.Error(), "--pub") {
		t.Errorf("without a key: %v", err)
	}
	for seq, want := range map[string]string{"x": "not the number", "1000000": "no such record"} {
		if err := proveAudit(t.Context(), r.path, seq, "", "", &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("record %s: %v, want %q", seq, err, want)
		}
	}
}

// The command line does what the functions do.
func TestAuditCommandLine(t *testing.T) {
	r := recordedAudit(t)
	for _, c := range []struct {
		args []string
		want string // of the error
	}{
		{[]string{"verify", r.path}, ""},
		{[]string{"verify", r.path, "--json"}, ""},
		{[]string{"verify", r.path + ".none"}, "--pub"},
		{[]string{"verify", r.path, "--checkpoint", r.path + ".pub"}, "checkpoint"},
		{[]string{"show", r.path, "--person", "alice", "--since", "1h"}, ""},
		{[]string{"show", r.path, "--status", "4x"}, "--status"},
		{[]string{"show", r.path, "--since", "yesterday"}, "--since"},
		{[]string{"prove", r.path, "3"}, ""},
		{[]string{"prove", r.path}, "the number of a record"},
		{[]string{"prove", "--check", r.path}, "--pub"},
	} {
		cmd := auditCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(c.args)
		err := execute(t, cmd)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

// execute runs a command, whose output nobody reads.
func execute(t *testing.T, cmd *cobra.Command) error {
	t.Helper()
	before := os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stdout = null
	defer func() { os.Stdout = before }()
	return cmd.Execute()
}

func TestProgress(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	print := printProgress(&out, func() time.Time { return now })
	for i := range int64(5) {
		now = now.Add(time.Second)
		print(i<<30, 10<<30)
	}
	if want := "10 % of 10 GiB\n30 % of 10 GiB\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

package caddymodule

// This file checks the fields that tell why a request went through or did not,
// and the events about sessions and storage.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// checkFields compares fields of a record; nil wants one to be left out.
func checkFields(t *testing.T, record, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if got := record[name]; fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%v of %v: %s is %v, want %v", record["event"], record["path"], name, got, value)
		}
	}
}

func TestAuditNamesTheRule(t *testing.T) {
	const options = "\t\tsite finance\n\t\tuser {http.auth.user.id}\n\t\tunknown_routes tableau:content:read\n" +
		"\t\tdeny DELETE /sites/*/workbooks/*\n\t\tpolicy {http.auth.user.id} alice {\n\t\t\tallow GET read\n\t\t}\n\t\tpolicy default {\n\t\t\tread_only\n\t\t}"
	r := startedAudit(t, setup{options: options})
	book := api + "/sites/-/workbooks/" + tableautest.WorkbookLUID(testSite, "Reports", "Finance Overview")
	for _, c := range []call{
		{user: "alice", path: workbooks},
		{user: "bob", path: workbooks},
		{user: "bob", path: api + "/serverinfo"},
		{user: "alice", path: api + "/sites/-/unheardof"},
		{user: "bob", path: api + "/sites/-/unheardof"},
		{user: "alice", method: "DELETE", path: book},
		{user: "alice", method: "PUT", path: book},
		{user: "bob", method: "PUT", path: book},
		{user: "alice", path: api + "/sites//x"},
	} {
		r.do(t, c)
	}
	r.stop(t)
	r.intact(t)
	r.covered(t)
	all := r.events(t)
	const ofAlice, ofOthers = "{http.auth.user.id} alice", "default"
	for _, c := range []struct{ record, want map[string]any }{
		{map[string]any{"event": eventIntent, "identity": "alice"}, map[string]any{"rule": "allow GET read", "policy": ofAlice}},
		{map[string]any{"event": eventIntent, "identity": "bob", "operation": "query_workbooks_for_site"}, map[string]any{"rule": "default", "policy": ofOthers}},
		{map[string]any{"event": eventIntent, "identity": "bob", "operation": "server_info"}, map[string]any{"rule": "always", "policy": nil}},
		{map[string]any{"event": eventIntent, "identity": "bob", "operation": ""}, map[string]any{"rule": "unknown_routes", "policy": ofOthers}},
		{map[string]any{"event": eventPolicyDeny, "identity": "alice", "route": "/sites/{site}/unheardof"}, map[string]any{"rule": "not in allow", "policy": ofAlice}},
		{map[string]any{"event": eventPolicyDeny, "identity": "alice", "method": "DELETE"}, map[string]any{"rule": "deny DELETE /sites/*/workbooks/*"}},
		{map[string]any{"event": eventPolicyDeny, "identity": "alice", "method": "PUT"}, map[string]any{"rule": "not in allow"}},
		{map[string]any{"event": eventPolicyDeny, "identity": "bob", "method": "PUT"}, map[string]any{"rule": "read_only"}},
		{map[string]any{"event": eventPolicyDeny, "error": "request_ambiguous"}, map[string]any{"rule": nil, "policy": nil, "identity_src": nil, "user_src": nil}},
	} {
		checkFields(t, one(t, all, c.record), c.want)
	}
}

// However many operations a rule lists, a record stays a record.
func TestAuditCutsARule(t *testing.T) {
	x := &exchange{observed: observed{rule: "allow " + strings.Repeat("publish_workbook ", 1000)}}
	attrs := x.decision()
	if len(attrs) != 1 || len(attrs[0].Value.String()) > maxRule {
		t.Errorf("got %v", attrs)
	}
}

func TestAuditNamesWhereTheUserComesFrom(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("bob alice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startedAudit(t, setup{options: "\t\tsite finance\n\t\tuser {http.auth.user.id}\n\t\tuser_map alice alice\n\t\tuser_map_file " + file + "\n\t\tunmapped template"})
	for _, user := range []string{"alice", "bob", "carol"} {
		r.get(t, user, workbooks)
	}
	r.stop(t)
	r.intact(t)
	for user, source := range map[string]string{"alice": "user_map", "bob": "user_map_file", "carol": "user"} {
		intent := one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest, "identity": user})
		checkFields(t, intent, map[string]any{"user_src": source, "identity_src": fromAuthentication})
	}
}

// Behind a proxy that is trusted there are two addresses.
func TestAuditOfAddresses(t *testing.T) {
	r := newAuditRig(t)
	r.load(t, r.audited(setup{global: trustsLoopback}))
	r.get(t, "alice", workbooks, "X-Forwarded-For", "192.0.2.7")
	r.get(t, "bob", workbooks)
	r.stop(t)
	checkFields(t, one(t, r.events(t), map[string]any{"event": eventIntent, "identity": "alice"}), map[string]any{"client_ip": "192.0.2.7", "peer_ip": "127.0.0.1"})
	checkFields(t, one(t, r.events(t), map[string]any{"event": eventIntent, "identity": "bob"}), map[string]any{"client_ip": "127.0.0.1", "peer_ip": nil})
}

func TestCertificatePrint(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, goodOrigin, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if got := certificatePrint(req); got != "" {
		t.Errorf("without TLS: %q", got)
	}
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte("certificate")}}}
	digest := sha256.Sum256([]byte("certificate"))
	if got, want := certificatePrint(req), hex.EncodeToString(digest[:]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A call that was made because of a request says of which.
func TestAuditJoinsProbesWithTheirRequest(t *testing.T) {
	r := startedAudit(t, setup{})
	r.get(t, "alice", workbooks)
	r.KillSessions(tableautest.SessionFilter{})
	r.get(t, "alice", workbooks)
	r.stop(t)
	r.covered(t)
	all := r.events(t)
	request := one(t, all, map[string]any{"event": eventIntent, "call": callRequest, "attempt": 2})
	for _, event := range []string{eventIntent, eventOutcome} {
		checkFields(t, one(t, all, map[string]any{"event": event, "call": callProbe}), map[string]any{"for_request": request["request_id"]})
	}
	var shown bytes.Buffer
	if err := showAudit(t.Context(), r.path, auditFilter{request: fmt.Sprint(request["request_id"])}, false, &shown); err != nil {
		t.Fatal(err)
	}
	if text := shown.String(); strings.Count(text, "\n") != 3 || !strings.Contains(text, "probe") {
		t.Errorf("of the request there is shown\n%s", text)
	}
	for _, record := range all { // a sign-in is for all who wait for it
		if record["call"] == callSignIn && record["for_request"] != nil {
			t.Errorf("for_request of a sign-in is %v", record["for_request"])
		}
	}
}

func TestAuditOfARenewalAndAnEviction(t *testing.T) {
	r := newAuditRig(t)
	r.load(t, r.audited(setup{}))
	var pool *tableauauth.Pool
	pools.Range(func(_, value any) bool { pool = value.(*pooled).Pool; return true })
	session, _, err := pool.Get(t.Context(), tableauauth.Grant{Site: testSite, User: "alice", Scopes: []string{"tableau:content:read"}})
	if err != nil {
		t.Fatal(err)
	}
	origin := pool.Origin()
	auditRefresh(origin, tableauauth.RefreshEvent{Session: session, Fresh: session})
	auditRefresh(origin, tableauauth.RefreshEvent{Session: session, Err: context.DeadlineExceeded})
	pool.Revoke(func(tableauauth.Grant) bool { return true })
	r.stop(t)
	r.intact(t)
	all := r.events(t)
	for _, want := range []map[string]any{
		{"event": eventRefresh, "ok": true, "successor": session.ID(), "cause": nil},
		{"event": eventRefresh, "ok": false, "successor": nil, "cause": context.DeadlineExceeded},
		{"event": eventEvict, "reason": tableauauth.EvictedRevoked},
	} {
		record := one(t, all, map[string]any{"event": want["event"], "ok": want["ok"]})
		checkFields(t, record, want)
		checkFields(t, record, map[string]any{"session": session.ID(), "jti": session.JTI(), "user": "alice", "site": testSite, "session_age_s": 0, "upstream": origin})
	}
}

// An intent that came to the disk too late is followed by an outcome that says
// that nothing was sent.
func TestAuditOfACallThatDidNotLeave(t *testing.T) {
	r := startedAudit(t, setup{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, goodOrigin+workbooks, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	sink := currentAudit.Load()
	c := newAuditedCall(sink, req, nil)
	if late, err := sink.intent(t.Context(), eventIntent, c.intent(req)); late || err != nil {
		t.Fatalf("late %t, error %v", late, err)
	}
	c.unsent()
	r.stop(t)
	r.covered(t)
	checkFields(t, one(t, r.events(t), map[string]any{"event": eventOutcome}), map[string]any{"status": 0, "err_class": "not_sent", "path": workbooks})
	for _, err := range []error{&auditlog.AppendError{Late: true}, fmt.Errorf("wrapped: %w", &auditlog.AppendError{Late: true})} {
		if !isLate(err) || isLate(auditlog.ErrUnavailable) {
			t.Errorf("%v is not late, or everything is", err)
		}
	}
}

// What is stored and has been altered is told where it is noticed.
func TestAuditOfTamperedStorage(t *testing.T) {
	t.Run("the keys of client tokens", func(t *testing.T) {
		r := newAuditRig(t)
		r.load(t, r.audited(clientSetup(t)))
		path := filepath.Join(r.storage, sealKeysPath)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`[{"key":"hunter2"}]`), 0o600); err != nil {
			t.Fatal(err)
		}
		r.clientSignIn(t, "alice", etlSecret)
		r.stop(t)
		r.intact(t)
		record := one(t, r.events(t), map[string]any{"event": eventTampering})
		if cause := fmt.Sprint(record["cause"]); !strings.Contains(cause, sealKeysPath) || strings.Contains(cause, "hunter2") {
			t.Errorf("cause is %s", cause)
		}
	})
	t.Run("another audit file", func(t *testing.T) {
		r := newAuditRig(t)
		first := r.path
		r.load(t, r.audited(setup{}))
		r.get(t, "alice", workbooks)
		r.path = filepath.Join(t.TempDir(), "second.log")
		r.load(t, r.audited(setup{}))
		text, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(first, bytes.ReplaceAll(text, []byte(`\ntime 20`), []byte(`\ntime 19`)), 0o600); err != nil {
			t.Fatal(err)
		}
		second := r.path
		r.path = first
		if err := r.try(r.audited(setup{})); err == nil {
			t.Error("a file that was altered is taken up")
		}
		r.path = second
		r.stop(t)
		one(t, r.events(t), map[string]any{"event": eventTampering})
	})
}

// Every event, and every field of a record, is in docs/audit.md.
func TestAuditDocumentationIsComplete(t *testing.T) {
	page, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("audit*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`slog\.\w+\("(\w+)"|add\("(\w+)"|durationMillis\("(\w+)"|^\tevent\w+\s+= "([a-z.]+)"`)
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for line := range strings.Lines(string(text)) {
			for _, match := range named.FindAllStringSubmatch(line, -1) {
				names = append(names, strings.Join(match[1:], ""))
			}
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 70 {
		t.Fatalf("only %q were found", names)
	}
	for _, name := range append(names, auditlog.EventFile, auditlog.EventCheckpoint, auditlog.EventDegraded, auditlog.EventRecovered, auditlog.EventDropped) {
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/audit.md does not name %s", name)
		}
	}
}

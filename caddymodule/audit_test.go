package caddymodule

// This file checks what the audit file records of requests and of what follows
// from them.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// egressKey is what a call and its intent have in common.
func egressKey(method, path string) string { return method + " " + path }

// covered checks that nothing reached Tableau without an intent, and that each
// intent has one outcome.
func (r *auditRig) covered(t *testing.T) {
	t.Helper()
	r.intended(t)
	open := map[string]int{}
	for _, e := range r.events(t, eventIntent) {
		open[fmt.Sprint(e["egress"])]++
	}
	for _, e := range r.events(t, eventOutcome) {
		open[fmt.Sprint(e["egress"])]--
	}
	for id, n := range open {
		if n != 0 {
			t.Errorf("call %s has %d intents more than outcomes", id, n)
		}
	}
}

// intended checks that nothing reached Tableau without an intent.
func (r *auditRig) intended(t *testing.T) {
	t.Helper()
	intents, jtis := map[string]int{}, map[string]bool{}
	for _, e := range r.events(t, eventIntent) {
		intents[egressKey(fmt.Sprint(e["method"]), fmt.Sprint(e["path"]))]++
		if e["call"] == callSignIn {
			jtis[fmt.Sprint(e["jti"])] = true
		}
	}
	for _, e := range r.Journal() {
		key := egressKey(e.Method, e.Path)
		if intents[key]--; intents[key] < 0 {
			t.Errorf("%s reached Tableau without an intent", key)
		}
		if e.JWT != nil && !jtis[e.JWT.JTI] {
			t.Errorf("the JWT %s reached Tableau without an intent", e.JWT.JTI)
		}
	}
}

func TestAuditOfARequest(t *testing.T) {
	r := startedAudit(t, setup{})
	header := headers("User-Agent", "curl/8", "X-Request-Id", "mine", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	a := r.do(t, call{user: "alice", path: workbooks + "?pageSize=3&filter=name:eq:Salaries", header: header})
	r.stop(t)
	r.intact(t)
	r.covered(t)

	all := r.events(t)
	signIn := one(t, all, map[string]any{"event": eventIntent, "call": callSignIn})
	intent := one(t, all, map[string]any{"event": eventIntent, "call": callRequest})
	outcome := one(t, all, map[string]any{"event": eventOutcome, "call": callRequest})
	began := one(t, all, map[string]any{"event": eventSignIn, "ok": true, "user": "alice"})
	entry := r.last(t)
	for _, want := range []struct {
		record map[string]any
		fields map[string]any
	}{
		{signIn, map[string]any{"method": "POST", "proof": "jwt", "sub": "alice", "site": testSite, "app_id": r.app.ClientID, "scopes": "[tableau:content:read]", "jti": began["jti"]}},
		{intent, map[string]any{
			"identity": "alice", "user": "alice", "site": testSite, "method": "GET", "path": entry.Path, "route": "/sites/{site}/workbooks",
			"operation": "query_workbooks_for_site", "upstream": r.URL, "attempt": 1, "client_ip": "127.0.0.1", "ua": "curl/8",
			"client_request_id": "mine", "traceparent": header.Get("Traceparent"), "query_keys": "[filter pageSize]", "req_bytes": 0,
			"session": began["session"], "jti": began["jti"], "scopes": "[tableau:content:read]",
		}},
		{outcome, map[string]any{"identity": "alice", "user": "alice", "status": 200, "resp_bytes": len(a.body), "egress": intent["egress"], "request_id": intent["request_id"], "truncated": nil}},
	} {
		for name, value := range want.fields {
			if got := fmt.Sprint(want.record[name]); got != fmt.Sprint(value) {
				t.Errorf("%v: %s is %s, want %v", want.record["event"], name, got, value)
			}
		}
	}
	for _, name := range []string{"session_fp", "query_fp"} {
		if fp, _ := intent[name].(string); len(fp) != 32 {
			t.Errorf("%s is %q, want 128 bits in hexadecimal", name, fp)
		}
	}
	if strings.Contains(lines(all), "Salaries") {
		t.Error("the value of a query is in the file")
	}
	logged := await(t, "tableau.audit", map[string]any{"identity": "alice", "status": 200})
	if logged["request_id"] != intent["request_id"] {
		t.Errorf("the log has the request id %v, the file %v", logged["request_id"], intent["request_id"])
	}
}

// The records come in the order of what they are about.
func TestIntentComesBefore(t *testing.T) {
	r := startedAudit(t, setup{})
	fault := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Hang: true})
	done := make(chan error, 1)
	go func() {
		_, err := r.send(t.Context(), call{user: "alice", path: workbooks})
		done <- err
	}()
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest}) // it is on the disk
	if n := len(r.events(t, eventOutcome)); n != 1 {
		t.Errorf("%d outcomes while the request is under way, want that of the sign-in", n)
	}
	fault.Remove()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.stop(t)
	r.covered(t)
}

// A session that Tableau has ended costs a probe, a sign-in and a second
// sending: each is recorded before it leaves.
func TestAuditOfARecovery(t *testing.T) {
	r := startedAudit(t, setup{})
	r.get(t, "alice", workbooks)
	r.KillSessions(tableautest.SessionFilter{})
	r.get(t, "alice", workbooks)
	r.stop(t)
	r.intact(t)
	r.covered(t)

	all := r.events(t)
	first := one(t, all, map[string]any{"event": eventOutcome, "call": callRequest, "attempt": 1, "status": 401})
	if first["tableau_code"] != tableauapi.CodeInvalidToken {
		t.Errorf("tableau_code is %v, want %s", first["tableau_code"], tableauapi.CodeInvalidToken)
	}
	again := one(t, all, map[string]any{"event": eventIntent, "call": callRequest, "attempt": 2})
	probe := one(t, all, map[string]any{"event": eventIntent, "call": callProbe})
	one(t, all, map[string]any{"event": eventRecovered, "result": "sent_again", "user": "alice"})
	before := one(t, all, map[string]any{"event": eventIntent, "call": callRequest, "egress": first["egress"]})
	if again["request_id"] != first["request_id"] {
		t.Error("the attempts have not the same request id")
	}
	if before["session_fp"] == again["session_fp"] || before["session_fp"] != probe["session_fp"] {
		t.Errorf("fingerprints: first %v, probe %v, second %v", before["session_fp"], probe["session_fp"], again["session_fp"])
	}
}

// What does not leave is recorded, too.
func TestAuditOfWhatStaysHere(t *testing.T) {
	r := startedAudit(t, setup{options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tscopes tableau:content:read\n\t\tdeny DELETE /sites/*/workbooks/*"})
	book := api + "/sites/-/workbooks/" + tableautest.WorkbookLUID(testSite, "Reports", "Finance Overview")
	signIn := call{user: "alice", method: "POST", path: api + "/auth/signin", body: `<tsRequest><credentials name="x" password="y"><site contentUrl=""/></credentials></tsRequest>`}
	r.do(t, signIn)
	r.do(t, call{user: "alice", method: "POST", path: api + "/auth/signout"})
	r.do(t, call{path: workbooks})
	r.do(t, call{user: "bob", path: workbooks})
	r.do(t, call{user: "alice", path: workbooks, header: headers("X-Tableau-Auth", "somebody-elses-token")})
	r.do(t, call{user: "alice", method: "DELETE", path: book})
	r.do(t, call{user: "alice", path: api + "/sites//x"})
	r.stop(t)
	r.intact(t)
	r.covered(t)

	all := r.events(t)
	for _, want := range []map[string]any{
		{"event": eventAuthIntercept, "operation": "sign_in", "status": 200, "identity": "alice", "user": "alice"},
		{"event": eventAuthIntercept, "operation": "sign_out", "status": 204},
		{"event": eventIdentityReject, "error": "identity_not_mapped", "identity": "bob", "status": 403},
		{"event": eventIdentityReject, "error": "token_invalid", "identity": "alice", "status": 401},
		{"event": eventPolicyDeny, "error": "operation_denied", "operation": "delete_workbook", "identity": "alice", "path": book},
		{"event": eventPolicyDeny, "error": "request_ambiguous", "path": api + "/sites//x"},
	} {
		record := one(t, all, want)
		if _, ok := record["client_token_fp"]; ok != (want["error"] == "token_invalid") {
			t.Errorf("%v: client_token_fp is %v", want, record["client_token_fp"])
		}
	}
}

// What keeps Tableau from answering is recorded as it was, and so is what the
// client got instead.
func TestAuditOfFailures(t *testing.T) {
	for name, c := range map[string]struct {
		fault   tableautest.Fault
		outcome map[string]any
		ending  map[string]any // nil if Tableau's answer went to the client
	}{
		"reset":     {tableautest.Fault{Cut: tableautest.CutAfterWork}, map[string]any{"status": 0, "err_class": "protocol"}, map[string]any{"error": "tableau_unreachable", "status": 502}},
		"cut":       {tableautest.Fault{Cut: tableautest.CutMidBody}, map[string]any{"status": 200, "truncated": true}, nil},
		"throttled": {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000"}}, map[string]any{"status": 429, "tableau_code": "429000"}, nil},
		"scope":     {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401002"}}, map[string]any{"status": 401, "tableau_code": "401002"}, map[string]any{"error": "scope_missing", "status": 403}},
	} {
		t.Run(name, func(t *testing.T) {
			r := startedAudit(t, setup{})
			r.get(t, "alice", api+"/sites/-/views")
			c.fault.Match = tableautest.Match{Data: true, Path: "/workbooks"}
			r.AddFault(c.fault)
			_, _ = r.send(t.Context(), call{user: "alice", path: workbooks}) // may be cut
			r.stop(t)
			r.intact(t)
			r.covered(t)
			c.outcome["event"], c.outcome["call"], c.outcome["operation"] = eventOutcome, callRequest, "query_workbooks_for_site"
			one(t, r.events(t), c.outcome)
			if c.ending == nil {
				if failed := r.events(t, eventRequestFail); len(failed) > 0 {
					t.Errorf("recorded as failed here: %v", failed)
				}
				return
			}
			c.ending["event"] = eventRequestFail
			one(t, r.events(t), c.ending)
		})
	}
}

func TestAuditOfAClientThatLeaves(t *testing.T) {
	r := startedAudit(t, setup{})
	r.get(t, "alice", api+"/sites/-/views")
	fault := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Hang: true})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.send(ctx, call{user: "alice", path: workbooks})
		done <- err
	}()
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-done; err == nil {
		t.Error("the client has left and got an answer")
	}
	await(t, "tableau.audit", map[string]any{"status": 499})
	fault.Remove()
	r.stop(t)
	r.covered(t)
	one(t, r.events(t), map[string]any{"event": eventOutcome, "err_class": "canceled", "client_gone": true})
	one(t, r.events(t), map[string]any{"event": eventRequestFail, "error": "client_gone"})
}

func TestAuditOfAFailedSignIn(t *testing.T) {
	r := startedAudit(t, setup{})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "401001", SubCode: 126}})
	if a := r.get(t, "alice", workbooks); a.code() != "sign_in_refused" {
		t.Fatalf("code %q", a.code())
	}
	r.stop(t)
	r.intact(t)
	r.covered(t)
	all := r.events(t)
	one(t, all, map[string]any{"event": eventSignIn, "ok": false, "reason": "refused", "user": "alice"})
	one(t, all, map[string]any{"event": eventOutcome, "call": callSignIn, "status": 401, "tableau_code": "401001"})
	one(t, all, map[string]any{"event": eventRequestFail, "error": "sign_in_refused", "identity": "alice", "status": 502})
}

// With accounts, whose sign-ins hold other things, nothing of them is recorded
// but names.
func TestAuditOfAPassword(t *testing.T) {
	const body = `<tsRequest><credentials name="svc" password="` + testPassword + `"><site contentUrl="finance"/></credentials></tsRequest>`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, goodOrigin+api+"/auth/signin", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(proofFields(req))
	for _, want := range []string{"password", "proof_name=svc", "site=finance"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, testPassword) {
		t.Errorf("the password is in %s", text)
	}
	req.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	if text := fmt.Sprint(proofFields(req)); !strings.Contains(text, "unreadable") {
		t.Errorf("a body that cannot be read: %s", text)
	}
}

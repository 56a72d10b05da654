package caddymodule

// This file checks what is recorded of each request.

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestRecords(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tuser_map carol carol\n\t\tforbid_users admin\n\t\tscopes tableau:content:read"})
	book := "/sites/-/workbooks/" + tableautest.WorkbookLUID(testSite, "Reports", "Finance Overview")
	steps := []struct {
		call call
		want map[string]any
	}{
		{call{user: "alice", path: workbooks}, map[string]any{"identity": "alice", "user": "alice", "site": "finance", "method": "GET", "route": "/sites/{site}/workbooks", "operation": "query_workbooks_for_site", "scopes": "[tableau:content:read]", "status": 200, "how": "signed in", "level": "info"}},
		{call{user: "alice", path: api + book}, map[string]any{"identity": "alice", "user": "alice", "site": "finance", "route": "/sites/{site}/workbooks/{workbook}", "status": 200, "how": "session reused"}},
		{call{user: "alice", method: "DELETE", path: api + book}, map[string]any{"identity": "alice", "method": "DELETE", "operation": "delete_workbook", "status": 403, "how": "no session", "error": "scope_missing"}},
		{call{user: "alice", path: api + "/sites/-/workbooks/00000000-0000-0000-0000-000000000000"}, map[string]any{"identity": "alice", "status": 404, "how": "session reused"}},
		{call{user: "alice", path: api + "/serverinfo"}, map[string]any{"identity": "alice", "site": "", "route": "/serverinfo", "status": 200, "how": "no session"}},
		{call{user: "bob", path: workbooks}, map[string]any{"identity": "bob", "user": "", "site": "", "status": 403, "how": "no session", "error": "identity_not_mapped", "level": "info"}},
		{call{user: "bob", path: "/"}, map[string]any{"route": "", "status": 404, "error": "not_an_api_path"}},
		{call{user: "alice", method: "PURGE", path: workbooks}, map[string]any{"method": "PURGE", "status": 405, "error": "method_not_allowed"}},
		{call{user: "alice", path: api + "/sites//x"}, map[string]any{"status": 400, "error": "request_ambiguous"}},
	}
	for _, step := range steps {
		logged.reset()
		a := r.do(t, step.call)
		entry := await(t, "tableau.audit", step.want)
		if got, want := entry["status"], float64(a.status); got != want {
			t.Errorf("%s: the record has the status %v, the client got %v", step.call.path, got, want)
		}
		if entry["client_ip"] != "127.0.0.1" || entry["request_id"] == "" {
			t.Errorf("%s: client_ip %v, request_id %v", step.call.path, entry["client_ip"], entry["request_id"])
		}
		if _, ok := entry["session"]; ok != (entry["how"] != "no session") {
			t.Errorf("%s: how is %q, session %v", step.call.path, entry["how"], entry["session"])
		}
		if n := strings.Count(string(logged.bytes()), `"logger":"tableau.audit"`); n != 1 {
			t.Errorf("%s: %d records", step.call.path, n)
		}
	}
}

// A record leads to Tableau's own: by the id of the JWT.
func TestRecordNamesTheJWT(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.get(t, "alice", workbooks)
	jti := await(t, "tableau.audit", map[string]any{"identity": "alice"})["jti"]
	for _, e := range r.Journal() {
		if e.JWT != nil && e.JWT.JTI == jti {
			return
		}
	}
	t.Errorf("Tableau has seen no JWT with the id %v", jti)
}

func TestRecordsOfFailuresAreErrors(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Refuse: &tableautest.Refusal{Code: "401001", SubCode: 126}})
	r.get(t, "alice", workbooks)
	entry := await(t, "tableau.audit", map[string]any{"level": "error", "error": "sign_in_refused", "status": 502})
	cause, _ := entry["cause"].(string)
	for _, want := range []string{"CONNECTED_APP_NOT_FOUND", "Settings > Connected Apps"} {
		if !strings.Contains(cause, want) {
			t.Errorf("the cause is %q, want %q in it", cause, want)
		}
	}
}

func TestAccessLogFields(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tscopes tableau:content:read"})
	r.get(t, "alice", workbooks)
	await(t, "http.log.access", map[string]any{
		"tableau_user": "alice", "tableau_site": "finance", "tableau_route": "/sites/{site}/workbooks", "tableau_operation": "query_workbooks_for_site", "tableau_error": nil, "status": 200, "user_id": "alice",
	})
	r.get(t, "bob", workbooks)
	await(t, "http.log.access", map[string]any{
		"tableau_user": "", "tableau_site": "", "tableau_route": "/sites/{site}/workbooks", "tableau_error": "identity_not_mapped", "status": 403,
	})
}

// Names that were not checked are cut, so that nobody can fill the disk.
func TestRecordsAreBounded(t *testing.T) {
	x := &exchange{identity: strings.Repeat("x", 64<<10)}
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range x.auditFields(httptest.NewRequest(http.MethodGet, "/", nil)) {
		f.AddTo(encoder)
	}
	if got := encoder.Fields["identity"].(string); len(got) > 300 {
		t.Errorf("the identity takes %d bytes", len(got))
	}
}

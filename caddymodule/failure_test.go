package caddymodule

// This file checks what clients are told when Tableau does not do what it
// should, and that sessions which Tableau ends are replaced unseen.

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestSignInFailures(t *testing.T) {
	tests := []struct {
		name       string
		fault      tableautest.Fault
		status     int
		code       string
		retryAfter string
		detail     string // a part of what the client reads
	}{
		{"unknown user", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401001", SubCode: 5}}, 502, "sign_in_refused", "", "Tableau knows no user of this name"},
		{"unknown app", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401001", SubCode: 126}}, 502, "sign_in_refused", "", "no enabled Connected App"},
		{"no sub-code", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401001"}}, 502, "sign_in_refused", "", "finds what to change in its log"},
		{"forbidden", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "403004"}}, 502, "sign_in_refused", "", "Tableau refused the sign-in"},
		{"redirect", tableautest.Fault{Redirect: "https://elsewhere.example/"}, 502, "sign_in_refused", "", "Tableau refused the sign-in"},
		{"session for another site", tableautest.Fault{AnswerSite: "marketing"}, 502, "sign_in_refused", "", "Tableau refused the sign-in"},
		{"throttled", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000"}}, 503, "sign_in_throttled", "5", "Try again later"},
		{"throttled for a while", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "17"}}, 503, "sign_in_throttled", "17", "Try again later"},
		{"unavailable", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "503000"}}, 502, "tableau_unreachable", "", "could not be reached"},
		{"web page", tableautest.Fault{Body: tableautest.HTMLBody}, 502, "tableau_unreachable", "", "no usable answer"},
		{"cut body", tableautest.Fault{Body: tableautest.TruncatedBody}, 502, "tableau_unreachable", "", "no usable answer"},
		{"cut connection", tableautest.Fault{Cut: tableautest.CutBeforeHeaders}, 502, "tableau_unreachable", "", "could not be reached"},
		{"hangs", tableautest.Fault{Hang: true}, 504, "tableau_timeout", "", "did not answer in time"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := setup{}
			if test.fault.Hang {
				s.transport = "response_header_timeout 100ms"
			}
			r := started(t, tableautest.Options{}, s)
			r.sessionsMayStay = true // that of the answer which did not fit
			test.fault.Match = tableautest.Match{SignIn: true}
			fault := r.AddFault(test.fault)
			a := r.get(t, "alice", workbooks)
			if a.status != test.status || a.code() != test.code || a.header.Get("Retry-After") != test.retryAfter {
				t.Errorf("status %d, code %q, Retry-After %q, want %d, %q, %q",
					a.status, a.code(), a.header.Get("Retry-After"), test.status, test.code, test.retryAfter)
			}
			if !strings.Contains(a.body, test.detail) {
				t.Errorf("the client reads %s, want %q in it", a.body, test.detail)
			}
			entry := await(t, "tableau.audit", map[string]any{"identity": "alice", "error": test.code, "how": sessionNone})
			if cause, _ := entry["cause"].(string); !strings.HasPrefix(cause, "sign-in at Tableau: ") {
				t.Errorf("the record's cause is %q", cause)
			}
			r.get(t, "alice", workbooks)
			if hits := fault.Hits(); hits != 1 {
				t.Errorf("%d sign-ins for two requests in a row, want 1", hits)
			}
			if n := len(r.data()); n != 0 {
				t.Errorf("%d requests went on", n)
			}
		})
	}
}

// What Tableau or the network says about one person's sign-in is nobody else's.
func TestSignInFailureIsOnePersons(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: "\t\tsite finance\n\t\tuser_map alice nobody-at-tableau\n\t\tuser_map bob bob\n\t\tscopes tableau:content:read"})
	if a := r.get(t, "alice", workbooks); a.code() != "sign_in_refused" {
		t.Errorf("alice: status %d, code %q", a.status, a.code())
	}
	if a := r.get(t, "bob", workbooks); a.status != 200 {
		t.Errorf("bob: status %d, code %q", a.status, a.code())
	}
}

func TestOriginDown(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.get(t, "alice", workbooks)
	r.sessionsMayStay = true
	r.HTTP.CloseClientConnections()
	r.HTTP.Close()
	for _, user := range []string{"alice", "bob"} { // with a session, and without
		a := r.get(t, user, workbooks)
		if a.status != 502 || a.code() != "tableau_unreachable" {
			t.Errorf("%s: status %d, code %q, want 502 tableau_unreachable", user, a.status, a.code())
		}
		if strings.Contains(a.body, r.HTTP.Listener.Addr().String()) {
			t.Errorf("%s is told where Tableau is: %s", user, a.body)
		}
	}
}

func TestDataFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fault  tableautest.Fault
		status int
		code   string
	}{
		"hangs":                 {tableautest.Fault{Hang: true}, 504, "tableau_timeout"},
		"cut":                   {tableautest.Fault{Cut: tableautest.CutBeforeHeaders}, 502, "tableau_unreachable"},
		"Tableau's own 500":     {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "500000"}}, 500, ""},
		"Tableau's own 429":     {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "3"}}, 429, ""},
		"Tableau's redirect":    {tableautest.Fault{Redirect: "https://elsewhere.example/"}, 302, ""},
		"permission missing":    {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "403004"}}, 403, ""},
		"a 401 of another kind": {tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401003"}}, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := started(t, tableautest.Options{}, setup{options: defaultOptions + " tableau:workbooks:delete", transport: "response_header_timeout 500ms"})
			r.get(t, "alice", workbooks)
			test.fault.Match = tableautest.Match{Data: true, Path: "/workbooks"}
			r.AddFault(test.fault)
			a := r.do(t, call{user: "alice", method: http.MethodDelete, path: workbooks + "/" + tableautest.WorkbookLUID(testSite, "Reports", "Finance Overview")})
			if a.status != test.status || a.code() != test.code {
				t.Errorf("status %d, code %q, want %d, %q: %s", a.status, a.code(), test.status, test.code, a.body)
			}
			if got := r.signIns(); got != 1 {
				t.Errorf("%d sign-ins, want 1", got)
			}
		})
	}
}

func TestDeadSessionIsReplacedUnseen(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for want := 1; want <= 3; want++ {
		if a := r.get(t, "alice", workbooks); a.status != 200 || !strings.Contains(a.body, tableautest.DraftsName("alice")) {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		if got := r.signIns(); got != want {
			t.Errorf("%d sign-ins, want %d", got, want)
		}
		r.KillSessions(tableautest.SessionFilter{})
	}
	await(t, "tableau.audit", map[string]any{"how": sessionReplaced, "status": 200, "user": "alice"})
}

func TestBodyThatCannotBeSentAgain(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: defaultOptions + "\n\t\treplay_buffer 1KiB"})
	upload := call{user: "alice", method: http.MethodPost, path: "/api/metadata/graphql", header: headers("Content-Type", jsonType)}
	upload.body = `{"query":"{ workbooks { name } }","padding":"` + strings.Repeat("x", 8<<10) + `"}`
	if a := r.do(t, upload); a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	r.KillSessions(tableautest.SessionFilter{})
	a := r.do(t, upload)
	if a.status != 401 || a.code() != "session_ended" || !strings.Contains(a.body, "send the request again") {
		t.Errorf("status %d, code %q, want 401 session_ended: %s", a.status, a.code(), a.body)
	}
	if a := r.do(t, upload); a.status != 200 {
		t.Errorf("sent again: status %d: %s", a.status, a.body)
	}
	upload.body = `{"query":"{ workbooks { name } }"}`
	r.KillSessions(tableautest.SessionFilter{})
	if a := r.do(t, upload); a.status != 200 {
		t.Errorf("a small body: status %d: %s", a.status, a.body)
	}
}

// A scope that Tableau does not give, although it was asked for: the client
// learns what the session has, and the session lives on.
func TestMissingScope(t *testing.T) {
	r := started(t, tableautest.Options{UnsupportedScopes: []string{"tableau:users:read"}}, setup{options: defaultOptions + " tableau:users:read"})
	r.get(t, "alice", workbooks)
	a := r.get(t, "alice", api+"/sites/-/users")
	if a.status != 403 || a.code() != "scope_missing" {
		t.Errorf("status %d, code %q, want 403 scope_missing", a.status, a.code())
	}
	for _, want := range []string{
		"Tableau refused get_users_on_site (GET /sites/{site}/users)", "It needs the scope tableau:users:read",
		"opened with the scopes tableau:content:read tableau:users:read",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the client reads %s, want %q in it", a.body, want)
		}
	}
	r.get(t, "alice", workbooks)
	if got := r.signIns(); got != 1 {
		t.Errorf("%d sign-ins, want 1", got)
	}
}

func TestClientThatLeaves(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.get(t, "alice", workbooks)
	for name, match := range map[string]tableautest.Match{
		"while Tableau works":   {Data: true, Path: "/workbooks"},
		"while it is signed in": {SignIn: true},
	} {
		t.Run(name, func(t *testing.T) {
			user := map[bool]string{true: "bob", false: "alice"}[match.SignIn]
			fault := r.AddFault(tableautest.Fault{Match: match, Hang: true})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				_, err := r.send(ctx, call{user: user, path: workbooks})
				done <- err
			}()
			if err := fault.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-done; err == nil {
				t.Error("there is an answer for a client that left")
			}
			await(t, "tableau.audit", map[string]any{"identity": user, "error": "client_gone", "status": 499})
			fault.Remove()
		})
	}
}

// Errors of the directives behind are theirs, and go to handle_errors. Our
// refusals do not.
func TestHandleErrors(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{
		before: r.basicAuth() + "\n\trequest_body {\n\t\tmax_size 10B\n\t}",
		after:  "\thandle_errors {\n\t\trespond \"handled {err.status_code}\"\n\t}",
	})
	// Caddy itself refuses a body that announces too large a size; this one does not.
	a := r.raw(t, "alice", "POST /api/metadata/graphql HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close",
		"", "c", `{"query":"{}`, "c", `............`, "0", "", "")
	if a.status != 413 || a.body != "handled 413" {
		t.Errorf("a body that is too large: status %d, %q, want 413 by handle_errors", a.status, a.body)
	}
	await(t, "tableau.audit", map[string]any{"status": 413, "identity": "alice"})

	if a := r.get(t, "", workbooks); a.status != 401 || a.body != "handled 401" {
		t.Errorf("basic_auth's refusal: status %d, %q, want 401 by handle_errors", a.status, a.body)
	}
	refused := map[string]string{"/": "not_an_api_path", api + "/sites/x/workbooks": "site_not_allowed", api + "/sites/-/users": "scope_missing"}
	for path, code := range refused {
		if a := r.get(t, "alice", path); a.code() != code || strings.Contains(a.body, "handled") {
			t.Errorf("%s: code %q, want %q: %s", path, a.code(), code, a.body)
		}
	}
	r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true, Path: "/workbooks"}, Cut: tableautest.CutBeforeHeaders})
	if a := r.do(t, call{user: "alice", path: workbooks}); a.code() != "tableau_unreachable" || strings.Contains(a.body, "handled") {
		t.Errorf("Tableau unreachable: code %q: %s", a.code(), a.body)
	}
}

func TestUpstreamFailure(t *testing.T) {
	if refused, err := upstreamFailure(nil); refused != nil || err != nil {
		t.Errorf("no error became %v, %v", refused, err)
	}
	plain := context.DeadlineExceeded
	if refused, err := upstreamFailure(plain); refused != nil || err != plain { //nolint:errorlint // the very error
		t.Errorf("an error without a status became %v, %v", refused, err)
	}
}

func TestRefusalAsAResponse(t *testing.T) {
	res := refuseShutdown.with("", nil).response(httptest.NewRequest(http.MethodGet, workbooks, nil))
	defer res.Body.Close()
	a, err := readAnswer(res)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != 503 || a.code() != "shutting_down" || a.header.Get("Retry-After") != "1" || int64(len(a.body)) != res.ContentLength {
		t.Errorf("status %d, code %q, Retry-After %q, %d of %d bytes", a.status, a.code(), a.header.Get("Retry-After"), len(a.body), res.ContentLength)
	}
}

package caddymodule

// This file checks the last hop: what a client cannot do to the request on its
// way, and that the transport sends nothing which tableau_auth has not admitted.

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestRawRequests(t *testing.T) {
	r := started(t, tableautest.Options{AcceptCookie: true}, setup{})
	get := "GET " + workbooks + " HTTP/1.1"
	tests := []struct {
		name   string
		lines  []string
		status int
		code   string
	}{
		{"Connection names the token", []string{get, "Connection: close, X-Tableau-Auth"}, 200, ""},
		{"in other case", []string{get, "Connection: close", "connection: x-tableau-auth"}, 200, ""},
		{"Connection names what authenticates", []string{get, "Connection: close, Authorization"}, 200, ""},
		{"alias with an underscore", []string{get, "X_Tableau_Auth: stolen", "Connection: close"}, 200, ""},
		{"alias with a dot", []string{get, "X.Tableau.Auth: stolen", "Connection: close"}, 200, ""},
		{"empty token", []string{get, "X-Tableau-Auth:", "Connection: close"}, 200, ""},
		{"foreign token", []string{get, "X-Tableau-Auth: stolen", "Connection: close"}, 401, "token_invalid"},
		{"cookie of a browser", []string{get, "Cookie: workgroup_session_id=stolen", "Connection: close"}, 200, ""},
		{"WebSocket", []string{get, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 200, ""},
		{"h2c", []string{get, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"}, 200, ""},
		{"method override", []string{get, "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "Connection: close"}, 200, ""},
		{"rewritten path", []string{get, "X-Original-URL: /api/3.24/auth/signin", "X-Rewrite-URL: /admin", "Connection: close"}, 200, ""},
		{"lower-case method", []string{"get " + workbooks + " HTTP/1.1", "Connection: close"}, 405, "method_not_allowed"},
		{"TRACE", []string{"TRACE " + workbooks + " HTTP/1.1", "Connection: close"}, 405, "method_not_allowed"},
		{"HTTP/1.0", []string{"GET " + workbooks + " HTTP/1.0"}, 200, ""},
	}
	foreign := []string{
		"Connection", "Upgrade", "Http2-Settings", "X_tableau_auth", "X.tableau.auth", "Cookie", "Authorization",
		"X-Http-Method-Override", "X-Http-Method", "X-Original-Url", "X-Rewrite-Url", "Te", "Trailer",
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(r.data())
			a := r.raw(t, "alice", append(test.lines, "", "")...)
			if a.status != test.status || a.code() != test.code {
				t.Fatalf("status %d, code %q, want %d, %q: %s", a.status, a.code(), test.status, test.code, a.body)
			}
			sent := r.data()[before:]
			if test.status != 200 {
				if len(sent) != 0 {
					t.Errorf("it reached Tableau: %s %s", sent[0].Method, sent[0].Path)
				}
				return
			}
			if len(sent) != 1 || sent[0].AuthTokens != 1 || sent[0].User != "alice" || sent[0].Method != http.MethodGet {
				t.Fatalf("Tableau saw %+v", sent)
			}
			for _, name := range foreign {
				if sent[0].Headers[name] > 0 {
					t.Errorf("Tableau saw the header %s", name)
				}
			}
		})
	}
}

// Trailers come after everything was judged. None goes on, announced or not.
func TestTrailersEndHere(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	body := []string{"", "22", `{"query":"{ workbooks { name } }"}`, "0"}
	head := []string{"POST /api/metadata/graphql HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close"}
	for name, announced := range map[string]string{
		"announced": "Trailer: X-Tableau-Auth, X_Tableau_Auth, X-Checksum", "not announced": "X-Nothing: 1",
	} {
		t.Run(name, func(t *testing.T) {
			lines := append(append([]string{}, head...), announced)
			lines = append(append(lines, body...), "X-Tableau-Auth: stolen", "X_Tableau_Auth: stolen", "X-Checksum: 1", "", "")
			if a := r.raw(t, "alice", lines...); a.status != 200 {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			e := r.last(t)
			if len(e.Trailers) != 0 || e.User != "alice" || e.BodyBytes != 34 {
				t.Errorf("Tableau saw the trailers %v, user %q, %d bytes", e.Trailers, e.User, e.BodyBytes)
			}
		})
	}
}

// proxyTo is the reverse_proxy half alone.
func (r *rig) proxyTo(origin, options string) string {
	return "\treverse_proxy " + origin + " {\n\t\ttransport tableau {\n\t\t\t" + r.trust() + "\n\t\t}\n" + options + "\n\t}"
}

// misdirected counts requests that reach a server which is not Tableau.
func misdirected(t *testing.T) (url string, hits *atomic.Int64) {
	t.Helper()
	hits = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(s.Close)
	return s.URL, hits
}

func TestTransportWithoutTableauAuth(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{handlers: r.proxyTo(r.URL, "")})
	a := r.do(t, call{user: "alice", method: http.MethodPost, path: workbooks, body: "x", header: headers("Accept", jsonType)})
	if a.status != 502 || a.code() != "misdirected" {
		t.Errorf("status %d, code %q, want 502 misdirected: %s", a.status, a.code(), a.body)
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
	await(t, "http.reverse_proxy.transport.tableau", map[string]any{"error": errNotAdmitted.Error()})
}

// Sessions go to the origin that they are for.
func TestTransportToAnotherOrigin(t *testing.T) {
	elsewhere, hits := misdirected(t)
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{handlers: "\ttableau_auth " + r.URL + r.block(setup{}) + "\n\treverse_proxy " + elsewhere + " {\n\t\ttransport tableau\n\t}"})
	a := r.get(t, "alice", workbooks)
	if a.status != 502 || a.code() != "misdirected" {
		t.Errorf("status %d, code %q, want 502 misdirected", a.status, a.code())
	}
	if hits.Load() != 0 {
		t.Error("the request was sent elsewhere")
	}
	entry := await(t, "tableau.audit", map[string]any{"error": "misdirected"})
	if cause, _ := entry["cause"].(string); !strings.Contains(cause, elsewhere) || !strings.Contains(cause, r.URL) {
		t.Errorf("the record's cause is %q, want both origins in it", cause)
	}
}

// The two halves on their own do what tableau_proxy does.
func TestTheHalvesTogether(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	auth := "\ttableau_auth " + r.URL + r.block(setup{})
	for name, handlers := range map[string]string{
		"beside each other": auth + "\n" + r.proxyTo(r.URL, ""),
		"within handle":     auth + "\n\thandle /api/* {\n" + r.proxyTo(r.URL, "") + "\n\t}",
		"within route":      "\troute {\n" + auth + "\n" + r.proxyTo(r.URL, "") + "\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			r.load(t, setup{handlers: handlers})
			r.KillSessions(tableautest.SessionFilter{}) // the retry has to work there, too
			a := r.get(t, "alice", workbooks)
			if a.status != 200 || !strings.Contains(a.body, tableautest.DraftsName("alice")) {
				t.Errorf("status %d, code %q: %s", a.status, a.code(), a.body)
			}
		})
	}
}

// With another transport no session is sent: the request is a stranger's.
func TestAnotherTransportSendsNoSession(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{handlers: "\ttableau_auth " + r.URL + r.block(setup{}) + "\n\treverse_proxy " + r.URL + " {\n\t\ttransport http {\n\t\t\t" + r.trust() + "\n\t\t}\n\t}"})
	if a := r.get(t, "alice", workbooks); a.status != 401 {
		t.Errorf("status %d, want Tableau's 401", a.status)
	}
	if e := r.last(t); e.AuthTokens != 0 {
		t.Error("Tableau saw a session")
	}
}

func TestHealthChecksGoThrough(t *testing.T) {
	checked := make(chan tableautest.Entry, 100)
	r := newRig(t, tableautest.Options{OnRequest: func(e tableautest.Entry) {
		if strings.HasSuffix(e.Path, "/serverinfo") {
			select {
			case checked <- e:
			default:
			}
		}
	}})
	r.load(t, setup{handlers: "\ttableau_auth " + r.URL + r.block(setup{}) + "\n" +
		r.proxyTo(r.URL, "\t\thealth_uri /api/3.24/serverinfo\n\t\thealth_interval 20ms")})
	var e tableautest.Entry
	select {
	case e = <-checked:
	case <-time.After(patience):
		t.Fatalf("no health check reached Tableau: %s", logged.bytes())
	}
	if e.Status != 200 || e.AuthTokens != 0 {
		t.Errorf("health check: status %d, %d X-Tableau-Auth", e.Status, e.AuthTokens)
	}
	if a := r.get(t, "alice", workbooks); a.status != 200 {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
	fault := r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "/serverinfo"}, Refuse: &tableautest.Refusal{Code: "503000"}})
	if err := fault.Wait(t.Context(), 2); err != nil { // the first has been judged when the second comes
		t.Fatal(err)
	}
	if a := r.get(t, "alice", workbooks); a.status != 502 || a.code() != "tableau_unreachable" {
		t.Errorf("unhealthy: status %d, code %q, want 502 tableau_unreachable", a.status, a.code())
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int{"off": -1, "1": 1, "512KiB": 512 << 10, "1MB": 1_000_000, "64MiB": 64 << 20} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "on", "64MiB1", "65MiB", "99999999999999999999", "1 potato"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is %d", s, got)
		}
	}
}

// The transport takes what the http transport takes, wherever its own option
// stands.
func TestTransportTakesTheOptionsOfHTTP(t *testing.T) {
	for _, block := range []string{
		"replay_buffer 2KiB\ndial_timeout 5s\ntls_server_name x",
		"dial_timeout 5s\nreplay_buffer 2KiB\ntls_server_name x",
		"dial_timeout 5s\ntls_server_name x\nreplay_buffer 2KiB",
	} {
		transport := &Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}
		if err := transport.UnmarshalCaddyfile(caddyfile.NewTestDispenser("tableau {\n" + block + "\n}")); err != nil {
			t.Fatal(err)
		}
		if transport.ReplayBuffer != 2<<10 || transport.DialTimeout == 0 || transport.TLS == nil || transport.TLS.ServerName != "x" {
			t.Errorf("%q became %+v, %+v", block, transport, transport.HTTPTransport)
		}
	}
}

// A module that failed to provision is cleaned up all the same.
func TestCleanupBeforeProvision(t *testing.T) {
	if err := new(Transport).Cleanup(); err != nil {
		t.Error(err)
	}
	if err := (&Transport{HTTPTransport: new(reverseproxy.HTTPTransport)}).Cleanup(); err != nil {
		t.Error(err)
	}
	if err := new(Handler).Cleanup(); err != nil {
		t.Error(err)
	}
	if err := (&Handler{Transport: new(reverseproxy.HTTPTransport)}).Cleanup(); err != nil {
		t.Error(err)
	}
	if err := new(App).Cleanup(); err != nil {
		t.Error(err)
	}
}

package caddymodule

// This file checks which request lines may leave, and which headers stay.

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// admitted judges a request line; path is as it stands on the wire.
func admitted(t *testing.T, method, path string) (*exchange, *refusal) {
	t.Helper()
	u, err := url.ParseRequestURI(path)
	if err != nil {
		t.Skipf("net/http refuses %q already: %v", path, err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Method, r.URL = method, u
	x := newExchange(r)
	return x, admitLine(r, x)
}

func TestMethods(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if _, refused := admitted(t, method, workbooks); refused != nil {
			t.Errorf("%s is refused: %s", method, refused.code)
		}
	}
	for _, method := range []string{"OPTIONS", "TRACE", "TRACK", "CONNECT", "PROPFIND", "FOO", "get", "Post", "GET ", "", "GE T"} {
		_, refused := admitted(t, method, workbooks)
		if refused == nil || refused.code != "method_not_allowed" || refused.status != 405 {
			t.Errorf("%q: %v, want method_not_allowed", method, refused)
		}
	}
}

func TestPaths(t *testing.T) {
	tests := []struct{ path, canonical, code string }{
		{"/api/3.24/sites/-/workbooks", "/api/3.24/sites/-/workbooks", ""},
		{"//api/3.24/sites/-/workbooks", "/api/3.24/sites/-/workbooks", ""},
		{"////api/3.24/serverInfo", "/api/3.24/serverInfo", ""},
		{"/api/3.24/sites/a%20b/workbooks", "/api/3.24/sites/a%20b/workbooks", ""},
		{"/api/metadata/graphql", "/api/metadata/graphql", ""},
		{"/relationship-service-war/graphql", "/relationship-service-war/graphql", ""},
		{"/api/-/pulse/definitions", "/api/-/pulse/definitions", ""},
		{"/api/-/pulse/definitions%3AbatchGet", "/api/-/pulse/definitions%3AbatchGet", ""},
		{"/api/v1/vizql-data-service/query-datasource", "/api/v1/vizql-data-service/query-datasource", ""},

		{"/", "", "not_an_api_path"},
		{"/api", "", "not_an_api_path"},
		{"/api/", "", "request_ambiguous"},
		{"/api/3.24", "", "not_an_api_path"},
		{"/api/exp/sites", "", "not_an_api_path"},
		{"/API/3.24/sites", "", "not_an_api_path"},
		{"/vizportal/api/web/v1/getSessionInfo", "", "not_an_api_path"},
		{"/t/finance/views/Overview", "", "not_an_api_path"},
		{"/trusted", "", "not_an_api_path"},
		{"/relationship-service-war/other", "", "not_an_api_path"},

		{"/api//3.24/sites", "", "request_ambiguous"},
		{"/api/3.24/sites/", "", "request_ambiguous"},
		{"/api/3.24/./sites", "", "request_ambiguous"},
		{"/api/3.24/sites/../sites", "", "request_ambiguous"},
		{"/api/3.24/sites/%2e%2e/sites", "", "request_ambiguous"},
		{"/api/3.24/sites/..%2fsites", "", "request_ambiguous"},
		{"/api/3.24/sites;a=b", "", "request_ambiguous"},
		{"/api/3.24/s%69tes", "", "request_ambiguous"},
		{"/%61pi/3.24/sites", "", "request_ambiguous"},
		{"/api%2f3.24/sites", "", "request_ambiguous"},
		{"/api/3.24/sites/%e2%80%ae/workbooks", "", "request_ambiguous"},
		{"/api/3.24/sites/%ff/workbooks", "", "request_ambiguous"},
		{"/api/3.24/sites/a%00b/workbooks", "", "request_ambiguous"},
		{"/api/3.24/" + strings.Repeat("a", 9<<10), "", "request_ambiguous"},
		{"/./api/3.24/sites", "", "not_an_api_path"},
	}
	for _, test := range tests {
		t.Run(test.path[:min(len(test.path), 60)], func(t *testing.T) {
			x, refused := admitted(t, http.MethodGet, test.path)
			code := ""
			if refused != nil {
				code = refused.code
			}
			if code != test.code {
				t.Fatalf("code %q, want %q", code, test.code)
			}
			if test.code == "" && x.path != test.canonical {
				t.Errorf("canonical path %q, want %q", x.path, test.canonical)
			}
		})
	}
}

// signInSpellings are ways in which somebody may write a path in the hope that
// this proxy takes it for something else than a sign-in, and Tableau for one.
// CALL stands for the call.
var signInSpellings = []string{
	"/api/3.24//auth/CALL", "/api/3.24/./auth/CALL", "/api/3.24/x/%2e%2e/auth/CALL", "/api/3.24/auth/%73CALL",
	"/api/3.24/auth%2fCALL", "/api/3.24/AUTH/CALL", "/API/3.24/auth/CALL", "/api/3.24/auth/x/../CALL",
	"/api/3.24/auth/./CALL", "/api/3.24/auth/CALL/", "/api/3.24/auth/CALL;a=b", "/api/3.24/auth;a=b/CALL",
	"/api/3.24/auth/CALL%00", "/api/3.24/auth/CALL%20", "/api/3.24/auth/CALL.", "/api/3.24/auth/CALL%3f",
	"/api/3.24/auth/CALL%23f", "/api/3.24/auth\\CALL", "/api/3.24/auth%5cCALL", "/api/3.24/%2561uth/CALL",
	"/api/3.24/auth/CALL%c4%b1", "/api/exp/3/auth/CALL", "/api/3.24/Auth/CALL", "/api/3.24/auth./CALL",
	"/api/3.24/auth%20/CALL", "/api/3.24/sites/-/auth/CALL", "/api/-/auth/CALL", "/api/metadata/auth/CALL",
}

// None of them is sent to Tableau, in whatever version and by whatever method.
func TestNoSpellingOfASignInLeaves(t *testing.T) {
	for _, spelling := range signInSpellings {
		for _, call := range []string{"signin", "signout", "switchSite", "SignIn"} {
			for _, version := range []string{"3.24", "3.1", "2.0"} {
				for _, method := range []string{http.MethodPost, http.MethodGet} {
					path := strings.NewReplacer("CALL", call, "3.24", version).Replace(spelling)
					r := httptest.NewRequest(http.MethodPost, "/", nil)
					u, err := url.ParseRequestURI(path)
					if err != nil {
						continue // net/http refuses it
					}
					r.Method, r.URL = method, u
					x := newExchange(r)
					if refused := admitLine(r, x); refused == nil && x.route.Auth() == tableauapi.NotAuth {
						t.Errorf("%s %s would be sent, as %s", method, path, x.path)
					}
				}
			}
		}
	}
}

func TestClearHeaders(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, workbooks, nil)
	kept := http.Header{
		"Accept":            {"application/json"},
		"Accept-Encoding":   {"gzip"},
		"Content-Type":      {"application/xml"},
		"Content-Length":    {"12"},
		"If-None-Match":     {`"x"`},
		"Range":             {"bytes=0-1"},
		"User-Agent":        {"test"},
		"X-Forwarded-For":   {"10.0.0.1"},
		"X-Forwarded-Host":  {"tableau.example"},
		"X-Forwarded-Proto": {"https"},
		"X-Request-Id":      {"1"},
		"Requestid":         {"1"},
		"X-Tableau":         {"of no meaning to Tableau"},
		"Traceparent":       {"00-1-2-01"},
	}
	removed := []string{
		"Authorization", "Cookie", "Forwarded", "Proxy-Authorization", "Proxy-Connection", "Proxy-Authenticate",
		"X-Tableau-Auth", "X-Tableau-Site", "X-Tableau-Anything", "X-Tableau-Proxy-Error",
		"X_tableau_auth", "X-Tableau_auth", "X.tableau.auth", "X Tableau Auth", "x-tableau-auth", "X_TABLEAU-AUTH",
		"X-Original-Url", "X-Original-Method", "X_original_url", "X-Rewrite-Url", "X.rewrite.url",
		"X-Http-Method", "X-Method-Override", "X_method_override",
		"X_forwarded_for", "X-Forwarded_for", "X.forwarded.host", "x-forwarded-proto",
		"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
		"authorization", "cookie", "COOKIE", "connection",
	}
	maps.Copy(r.Header, kept)
	for _, name := range removed {
		r.Header[name] = []string{"a", "b"}
	}
	r.Trailer = http.Header{"X-Tableau-Auth": nil}
	clearHeaders(r)
	if diff := cmp.Diff(kept, r.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if r.Trailer != nil {
		t.Errorf("trailers %v are still announced", r.Trailer)
	}
}

// X-HTTP-Method-Override and its relatives could make another method of one
// that was admitted.
func TestMethodOverridesAreRemoved(t *testing.T) {
	for _, name := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X_http_method_override"} {
		r := httptest.NewRequest(http.MethodPost, workbooks, nil)
		r.Header[name] = []string{http.MethodDelete}
		clearHeaders(r)
		if len(r.Header) != 0 {
			t.Errorf("%s stays: %v", name, r.Header)
		}
	}
}

func TestHeaderSiteOnce(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   string // "" for none
		code   string
	}{
		{nil, "", ""},
		{[]string{""}, "", ""},
		{[]string{"finance"}, "finance", ""},
		{[]string{"finance", "marketing"}, "", "request_ambiguous"},
		{[]string{"finance", "finance"}, "", "request_ambiguous"},
		{[]string{"", "marketing"}, "", "request_ambiguous"},
	} {
		r := httptest.NewRequest(http.MethodGet, workbooks, nil)
		if test.values != nil {
			r.Header[headerSite] = test.values
		}
		x := newExchange(r)
		code, got := "", ""
		if refused := admitHeaders(r, x); refused != nil {
			code = refused.code
		}
		if x.wantsSite != nil {
			got = *x.wantsSite
		}
		if code != test.code || got != test.want {
			t.Errorf("%q: site %q, code %q, want %q, %q", test.values, got, code, test.want, test.code)
		}
	}
}

// Every header that is cleared is cleared in every spelling.
func TestReservedIsSpelledNormally(t *testing.T) {
	for _, name := range reserved {
		if tableauauth.NormalHeaderName(name) != name {
			t.Errorf("%q is not in the spelling of NormalHeaderName, so it is never found", name)
		}
	}
	if isReserved("x-tableau") || isReserved("cookies") {
		t.Error("a name that is only like a reserved one is taken for it")
	}
}

func TestQueryHoldsNoSession(t *testing.T) {
	tests := map[string]bool{ // whether it is refused
		"":                                  false,
		"pageSize=100&filter=name:eq:token": false,
		"tokens=1&x-tableau-authority=2":    false,
		"X-Tableau-Auth=abc":                true,
		"a=b&x_tableau.auth=abc":            true,
		"a=b;:token=abc":                    true,
		"%3Atoken=abc":                      true,
		"%253Atoken":                        true,
		"?token":                            true,
		"client_session_id[]=abc":           true,
		"WorkGroup%5FSession_ID=abc":        true,
		"%zz:token=abc":                     false,
	}
	for query, refused := range tests {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		if got := admitQuery(r) != nil; got != refused {
			t.Errorf("%q: refused %t", query, got)
		}
	}
	r := started(t, tableautest.Options{}, setup{})
	if a := r.get(t, "alice", workbooks+"?%3Atoken=abc"); a.status != 400 || a.code() != "request_ambiguous" {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
}

func TestForwardedThatNobodyJudges(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{"For", "Host", "Proto", "User", "Uri", "Prefix", "Port", "Method", "Access-Token"} {
		h["X-Forwarded-"+name] = []string{"x"}
		h["x_forwarded."+name] = []string{"x"}
	}
	clearHeaders(&http.Request{Header: h})
	if diff := cmp.Diff(http.Header{"X-Forwarded-For": {"x"}, "X-Forwarded-Host": {"x"}, "X-Forwarded-Proto": {"x"}}, h); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMalformedBodies: a body that cannot be read is its sender's fault.
func TestMalformedBodies(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: defaultOptions + " tableau:projects:create"})
	for name, body := range map[string]string{
		"a size that is no number":   "zz\r\nabc\r\n0\r\n\r\n",
		"no end of a chunk":          "3\r\nabcdef\r\n0\r\n\r\n",
		"a trailer that is no field": "3\r\nabc\r\n0\r\nno field\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := r.raw(t, "alice", "POST "+api+"/sites/-/projects HTTP/1.1", "Content-Type: application/xml", "Transfer-Encoding: chunked", "", body)
			if a.status != 400 || a.code() != "body_malformed" {
				t.Errorf("status %d, code %q", a.status, a.code())
			}
		})
	}
}

// TestBodyLimit: Caddy's own request_body bounds what goes to Tableau.
func TestBodyLimit(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: defaultOptions + " tableau:projects:create", after: "\trequest_body {\n\t\tmax_size 10\n\t}"})
	a := r.do(t, call{user: "alice", method: http.MethodPost, path: api + "/sites/-/projects", body: strings.Repeat("x", 100)})
	if a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
}

func TestHeaderLimits(t *testing.T) {
	fields := func(n, size int) http.Header {
		h := make(http.Header)
		for i := range n {
			h.Add("X-"+strconv.Itoa(i%7), strings.Repeat("v", size))
		}
		return h
	}
	tests := []struct {
		name   string
		header http.Header
		admit  bool
	}{
		{"as many as there may be", fields(maxHeaders, 1), true},
		{"one more", fields(maxHeaders+1, 1), false},
		{"as large as it may be", fields(1, maxHeaderBytes-3), true},
		{"a byte more", fields(1, maxHeaderBytes-2), false},
		{"together too large", fields(16, maxHeaderBytes/16), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if refused := admitSize(&http.Request{Header: test.header}); (refused == nil) != test.admit {
				t.Errorf("refused: %+v", refused)
			}
		})
	}
	r := started(t, tableautest.Options{}, setup{})
	if a := r.do(t, call{user: "alice", path: workbooks, header: fields(maxHeaders+1, 1)}); a.status != 431 || a.code() != "headers_too_large" {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

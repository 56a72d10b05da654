package caddymodule

// This file checks tableau_forward by itself. That it does what reverse_proxy
// does is checked beside that one, in conformance_test.go.

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestForwardNeedsTheTransport(t *testing.T) {
	for _, test := range []struct{ config, want string }{
		{`{}`, "transport: missing"},
		{`{"transport": {"protocol": "http"}}`, "by the tableau transport only"},
		{`{"transport": {"protocol": "none"}}`, "transport: "},
	} {
		f := new(Forward)
		if err := json.Unmarshal([]byte(test.config), f); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		if err := f.Provision(ctx); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.config, err, test.want)
		}
		cancel()
	}
}

// Without tableau_auth nothing is sent.
func TestForwardWithoutTableauAuth(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	config, err := adapt(r.caddyfile(setup{}))
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		t.Fatal(err)
	}
	config, err = json.Marshal(withoutHandler(tree, "tableau_auth"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	if a := r.get(t, "alice", workbooks); a.status != 502 || a.code() != refuseInternal.code {
		t.Errorf("status %d, code %q, want 502 %s", a.status, a.code(), refuseInternal.code)
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

// withoutHandler takes a handler out of a configuration.
func withoutHandler(tree any, name string) any {
	switch node := tree.(type) {
	case map[string]any:
		for key, value := range node {
			node[key] = withoutHandler(value, name)
		}
	case []any:
		node = slices.DeleteFunc(node, func(e any) bool {
			module, ok := e.(map[string]any)
			return ok && module["handler"] == name
		})
		for i, value := range node {
			node[i] = withoutHandler(value, name)
		}
		return node
	}
	return tree
}

// A roundTripper is a transport of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// forwardedBy runs tableau_forward alone, on a transport of the test's.
func forwardedBy(transport roundTripper) (*httptest.ResponseRecorder, *caddy.Replacer, error) {
	w, repl := httptest.NewRecorder(), caddy.NewReplacer()
	r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, workbooks, nil), repl, w, nil)
	repl.Set("http.reverse_proxy.status_code", 200) // of forward_auth
	repl.Set("http.reverse_proxy.header.Remote-User", "alice")
	err := (&Forward{transport: transport, logger: zap.NewNop()}).ServeHTTP(w, r, nil)
	return w, repl, err
}

// What forward_auth has got for an answer is not Tableau's.
func TestForwardPlaceholdersAreOfTableau(t *testing.T) {
	_, repl, err := forwardedBy(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusNotFound, Status: "404 Not Found", Header: headers("X-One", "1"), Body: http.NoBody, Request: r}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for placeholder, want := range map[string]string{
		"{http.reverse_proxy.status_code}": "404", "{http.reverse_proxy.header.X-One}": "1", "{http.reverse_proxy.header.Remote-User}": "",
	} {
		if got := repl.ReplaceAll(placeholder, ""); got != want {
			t.Errorf("%s is %q, want %q", placeholder, got, want)
		}
	}
}

// Errors have the status that reverse_proxy gives them.
func TestForwardErrors(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
	}{
		{io.ErrUnexpectedEOF, 502},
		{&net.DNSError{IsTimeout: true}, 504},
		{&net.OpError{Op: "dial", Err: errors.New("operation was canceled")}, 499},
	} {
		_, _, err := forwardedBy(func(*http.Request) (*http.Response, error) { return nil, test.err })
		var failed caddyhttp.HandlerError
		if !errors.As(err, &failed) || failed.StatusCode != test.status || !errors.Is(err, test.err) {
			t.Errorf("%v became %v, want status %d", test.err, err, test.status)
		}
	}
	w, _, err := forwardedBy(func(*http.Request) (*http.Response, error) { return nil, context.Canceled })
	if err != nil || w.Code != statusClientGone {
		t.Errorf("a client that left: %v, status %d, want %d", err, w.Code, statusClientGone)
	}
}

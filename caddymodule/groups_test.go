package caddymodule

// This file checks the choice among policies where no server is needed.

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestChoosePolicy(t *testing.T) {
	readOnly := Policy{ReadOnly: true}
	g, err := newGroups([]GroupPolicy{
		{From: "{http.auth.user.groups}", Values: []string{"a", "b c"}, Policy: readOnly},
		{From: "{http.auth.user.role}", Values: []string{"d"}, Policy: readOnly},
		{From: policyDefault},
	}, sources{}, nopLogger)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, groups, role string
		want               int
		code               string
	}{
		{"first", "a", "d", 1, ""},
		{"first, of a list", "x, b c ,y", "", 1, ""},
		{"the second is not looked at", "a", "", 1, ""},
		{"second", "x", "d", 2, ""},
		{"default", "x", "y", 3, ""},
		{"first is blank", " ", "d", 0, "policy_unknown"},
		{"first is empty", "", "d", 0, "policy_unknown"},
		{"second is blank", "x", "\t", 0, "policy_unknown"},
		{"a placeholder in the value", "{http.auth.user.role}", "a", 3, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			repl := caddy.NewReplacer()
			repl.Set("http.auth.user.groups", test.groups)
			repl.Set("http.auth.user.role", test.role)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			got, refused := g.choose(r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)))
			code := ""
			if refused != nil {
				code = refused.code
			}
			if got != test.want || code != test.code {
				t.Errorf("got %d, %q, want %d, %q", got, code, test.want, test.code)
			}
		})
	}
	if _, refused := g.choose(httptest.NewRequest(http.MethodGet, "/", nil)); refused == nil {
		t.Error("a request without placeholders has a policy")
	}
}

// Without a certificate, Caddy's placeholders describe an empty one.
func TestPolicyOfACertificate(t *testing.T) {
	g, err := newGroups([]GroupPolicy{{From: "{http.request.tls.client.subject}", Values: []string{"x"}, Policy: Policy{ReadOnly: true}}}, sources{}, nopLogger)
	if err != nil {
		t.Fatal(err)
	}
	repl := caddy.NewReplacer()
	repl.Set("http.request.tls.client.subject", "x")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	_, refused := g.choose(r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)))
	if refused == nil || refused.code != "policy_unknown" {
		t.Errorf("got %+v, want policy_unknown", refused)
	}
}

package caddymodule

// This file checks that deciding about a request costs next to nothing.

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func judged(tb testing.TB) func() *exchange {
	tb.Helper()
	b, err := newRulebook(&Handler{Policy: Policy{Deny: rule("admin"), ReadOnly: true}}, "direct_trust", false, nopLogger)
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, workbooks, nil)
	x := newExchange(r)
	return func() *exchange {
		if refused := b.judge(r, x); refused != nil {
			tb.Fatal(refused.detail)
		}
		return x
	}
}

func TestJudgingDoesNotAllocate(t *testing.T) {
	judge := judged(t)
	if got := testing.AllocsPerRun(1000, func() { judge() }); got != 0 {
		t.Errorf("%g allocations for each request", got)
	}
	if x := judge(); len(x.scopes) != 1 || x.scopes[0] != "tableau:content:read" {
		t.Errorf("scopes %v", x.scopes)
	}
}

func BenchmarkJudge(b *testing.B) {
	judge := judged(b)
	b.ReportAllocs()
	for b.Loop() {
		judge()
	}
}

func BenchmarkNewExchange(b *testing.B) {
	r := httptest.NewRequest(http.MethodGet, workbooks, nil)
	b.ReportAllocs()
	for b.Loop() {
		newExchange(r)
	}
}

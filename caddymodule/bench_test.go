package caddymodule

// This file measures what the handler itself takes for a request, among many
// users who all have sessions: all of it, but for what comes after.

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	benchUsers    = 100_000
	benchRequests = 1_000 // of users that are far from each other
)

// BenchmarkHandler is a request of a user with a session. Caddy's id of the
// request, which it makes when it is first asked for, is there already.
func BenchmarkHandler(b *testing.B) {
	h := benchHandler(b)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	requests := make([]*http.Request, benchRequests)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%benchRequests == 0 {
			b.StopTimer()
			for n := range requests {
				requests[n] = benchRequest(benchUser(n * benchUsers / benchRequests))
				requestID(requests[n])
			}
			b.StartTimer()
		}
		if err := h.ServeHTTP(w, requests[i%benchRequests], next); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if w.Body.Len() > 0 {
		b.Fatalf("the handler has answered by itself: %s", w.Body)
	}
}

func benchUser(n int) string { return fmt.Sprintf("some.body.%07d@corp.example", n) }

// benchRequest is a request as it reaches the handler from an authentication
// handler.
func benchRequest(user string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, workbooks, nil)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "python-requests/2.32.5")
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, httptest.NewRecorder(), nil)
	repl.Set(authUserID, user)
	return r
}

// benchHandler is the handler of a Caddy that runs, whose users all have
// sessions with a Tableau that takes no time.
func benchHandler(b *testing.B) *Handler {
	b.Helper()
	r := newRig(b, tableautest.Options{})
	r.sessionsMayStay = true
	s := setup{
		global:  "\ttableau {\n\t\tsign_in_rate 1000000\n\t\tmax_sessions 200000\n\t}",
		options: "\t\tsite finance\n\t\tuser {http.auth.user.id}",
	}
	config, err := adapt(strings.Replace(r.caddyfile(s), "level DEBUG", "level ERROR", 1))
	if err != nil {
		b.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		b.Fatal(err)
	}
	app, err := caddy.ActiveContext().App("tableau")
	if err != nil {
		b.Fatal(err)
	}
	pool := app.(*App).connections[0].pool.Pool
	pool.UseClient(tableauauth.Client{Transport: instantTableau{}})
	for n := range benchUsers {
		if _, _, err := pool.Get(b.Context(), tableauauth.Grant{Site: testSite, User: benchUser(n), Scopes: []string{"tableau:content:read"}}); err != nil {
			b.Fatal(err)
		}
	}
	h := activeHandler()
	if h == nil {
		b.Fatal("there is no tableau_auth in the configuration that runs")
	}
	return h
}

// activeHandler finds the handler in the configuration that runs.
func activeHandler() *Handler {
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		return nil
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		if h := handlerIn(server.Routes); h != nil {
			return h
		}
	}
	return nil
}

func handlerIn(routes caddyhttp.RouteList) *Handler {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			switch handler := handler.(type) {
			case *Handler:
				return handler
			case *caddyhttp.Subroute:
				if h := handlerIn(handler.Routes); h != nil {
					return h
				}
			}
		}
	}
	return nil
}

// instantTableau signs everybody in at once.
type instantTableau struct{}

var instantAnswer = tableauapi.SignInAnswer{
	Token:  tableauapi.NewSecret("9f86d081884c7d659a2feaa0c55ad015|" + tableautest.SiteLUID(testSite)),
	SiteID: tableautest.SiteLUID(testSite), ContentURL: testSite, UserID: tableautest.SiteLUID(testSite),
}.Encode(tableauapi.XML)

// RoundTrip implements http.RoundTripper.
func (instantTableau) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/xml"}},
		Body: io.NopCloser(bytes.NewReader(instantAnswer)), Request: req,
	}, nil
}

// BenchmarkForms is a whole request through Caddy to a Tableau behind a socket,
// as Caddy's server begins it: by tableau_proxy, by tableau_auth and
// reverse_proxy, and by a reverse_proxy that knows nothing of Tableau.
func BenchmarkForms(b *testing.B) {
	up := newScriptedTableau(b, false, tls.Certificate{})
	up.play(func(c *scriptedCall) {
		c.answer("200 OK", "Content-Type: application/json", benchBody)
		c.keep = true
	})
	b.Setenv(testSecret, strings.Repeat("s", 44))
	for _, form := range []string{formForward, formClassic, "plain"} {
		b.Run(form, func(b *testing.B) {
			handlers := "\treverse_proxy " + up.origin
			if form != "plain" {
				handlers = stageHandlers(form, up.origin, "")
			}
			config, err := adapt(fmt.Sprintf(strings.Replace(stageGlobal, "DEBUG", "ERROR", 1), b.TempDir(), "") + "http://:0 {\n\tbind 127.0.0.1\n" + handlers + "\n}\n")
			if err != nil {
				b.Fatal(err)
			}
			if err := caddy.Load(config, true); err != nil {
				b.Fatal(err)
			}
			app, err := caddy.ActiveContext().App("http")
			if err != nil {
				b.Fatal(err)
			}
			server := app.(*caddyhttp.App).Servers["srv0"]
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, scriptedPath, nil)
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != http.StatusOK || w.Body.Len() != len(benchBody) {
					b.Fatalf("status %d: %s", w.Code, w.Body)
				}
			}
		})
	}
	if err := caddy.Stop(); err != nil {
		b.Error(err)
	}
}

// benchBody is the answer, of a kilobyte.
var benchBody = `{"workbooks":"` + strings.Repeat("x", 1<<10) + `"}`

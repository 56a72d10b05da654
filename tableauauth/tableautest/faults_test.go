// This file tests every fault, over sockets where it concerns connections.

package tableautest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultMatch(t *testing.T) {
	for _, test := range []struct {
		name  string
		match Match
		hits  bool
	}{
		{"all", Match{}, true},
		{"data", Match{Data: true}, true},
		{"sign-in", Match{SignIn: true}, false},
		{"method", Match{Method: "GET"}, true},
		{"other method", Match{Method: "POST"}, false},
		{"path", Match{Path: "/sessions/"}, true},
		{"other path", Match{Path: "/views"}, false},
		{"operation", Match{Operation: "get_current_server_session"}, true},
		{"other operation", Match{Operation: "query_jobs"}, false},
		{"user", Match{User: "alice"}, true},
		{"other user", Match{User: "bob"}, false},
		{"site", Match{Site: "default"}, true},
		{"other site", Match{Site: "finance"}, false},
		{"func", Match{Func: func(r *http.Request) bool { return r.Header.Get("X") == "" }}, true},
		{"other func", Match{Func: func(*http.Request) bool { return false }}, false},
	} {
		w := newWorld(t, Options{})
		token := w.issue("", "alice")
		fault := w.AddFault(Fault{Match: test.match, Refuse: &Refusal{Code: "503000"}})
		if got := w.as(token, "GET", current); test.hits != (got.status == 503) || test.hits != (fault.Hits() == 1) {
			t.Errorf("%s: got %d, %d hits", test.name, got.status, fault.Hits())
		}
	}
}

func TestFaultCountAndRemove(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("", "alice")
	w.AddFault(Fault{Count: 2, Refuse: &Refusal{Code: "429000", RetryAfter: "7"}})
	for i, want := range []int{429, 429, 200} {
		got := w.as(token, "GET", current)
		if got.status != want || (want == 429) != (got.header.Get("Retry-After") == "7") {
			t.Errorf("request %d: got %d, Retry-After %q", i, got.status, got.header.Get("Retry-After"))
		}
	}
	fault := w.AddFault(Fault{Refuse: &Refusal{Status: 500}})
	if got := w.as(token, "GET", current); got.status != 500 {
		t.Errorf("got %d", got.status)
	}
	fault.Remove()
	fault.Remove()
	w.wantAlive(token)
	w.AddFault(Fault{Refuse: &Refusal{Status: 500}})
	w.ClearFaults()
	w.wantAlive(token)
}

func TestSignInDownWhileDataWorks(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("", "alice")
	w.AddFault(Fault{Match: Match{SignIn: true}, Refuse: &Refusal{Code: "401001", SubCode: 126}})
	if got := w.signInPassword("alice", ""); got.code() != "401001" || !strings.Contains(got.body, "(126)") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	w.wantAlive(token)
	if n := w.SignIns(SignInFilter{Code: "401001", SubCode: 126}); n != 1 {
		t.Errorf("%d refused sign-ins counted", n)
	}
}

func TestKillSessionFault(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("", "alice")
	w.AddFault(Fault{Match: Match{User: "alice"}, Count: 1, KillSession: true})
	w.wantDead(token, "401002")
	if e := w.last(); e.Fault != "kill_session" {
		t.Errorf("journal: %q", e.Fault)
	}
}

func TestBadBodies(t *testing.T) {
	for _, test := range []struct {
		body  BadBody
		check func(reply) bool
	}{
		{HTMLBody, func(r reply) bool {
			return r.header.Get("Content-Type") == typeHTML && strings.Contains(r.body, "<html>")
		}},
		{EmptyBody, func(r reply) bool { return r.body == "" }},
		{WrongTypeBody, func(r reply) bool {
			return strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") && wellFormed(r.body) == nil
		}},
		{TruncatedBody, func(r reply) bool { return r.body != "" && wellFormed(r.body) != nil }},
		{HugeBody, func(r reply) bool { return len(r.body) >= 1<<20 }},
	} {
		for _, signIn := range []bool{true, false} {
			w := newWorld(t, Options{})
			token := w.issue("", "alice")
			w.AddFault(Fault{Body: test.body, HugeSize: 1 << 20})
			got := w.as(token, "GET", current)
			if signIn {
				got = w.signInPassword("alice", "")
			}
			if got.status != 200 || !test.check(got) {
				t.Errorf("%d, sign-in %v: %d %.200s", test.body, signIn, got.status, got.body)
			}
		}
	}
}

func TestRedirectFault(t *testing.T) {
	w := newWorld(t, Options{})
	w.AddFault(Fault{Match: Match{SignIn: true}, Count: 1, Redirect: "https://evil.example/x", RedirectStatus: 307})
	if got := w.signInPassword("alice", ""); got.status != 307 || got.header.Get("Location") != "https://evil.example/x" {
		t.Errorf("got %d %q", got.status, got.header.Get("Location"))
	}
	if n := len(w.Sessions()); n != 0 {
		t.Errorf("%d sessions began", n)
	}
}

func TestForeignAnswer(t *testing.T) {
	w := newWorld(t, Options{})
	w.AddFault(Fault{AnswerUser: "bob"})
	w.AddFault(Fault{AnswerSite: "marketing"})
	got := w.signInPassword("alice", "finance").credentials(t).Credentials
	if got.User.ID != UserLUID("marketing", "bob") || got.Site.ID != SiteLUID("marketing") {
		t.Errorf("got %+v", got)
	}
	if s := w.Sessions()[0]; s.User != "alice" || s.Site != "finance" {
		t.Errorf("the session itself is %+v", s)
	}
}

// In a bubble, latencies take no time and are exact.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Tableau: New(Options{}), t: t}
		token := w.issue("finance", "alice")
		w.AddFault(Fault{Match: Match{Data: true}, Delay: 2 * time.Second, MidBodyDelay: 3 * time.Second})
		start := time.Now()
		resp, err := w.RoundTripper().RoundTrip(w.get(sitePath("finance", "/workbooks"), token))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("headers after %v, want 2s", d)
		}
		body, err := io.ReadAll(resp.Body)
		if d := time.Since(start); err != nil || d != 5*time.Second || wellFormed(string(body)) != nil {
			t.Errorf("body after %v, want 5s; %v", d, err)
		}
	})
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Tableau: New(Options{}), t: t}
		token := w.issue("", "alice")
		fault := w.AddFault(Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := w.RoundTripper().RoundTrip(w.get(current, token).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if e := w.last(); !e.ClientGone || e.Fault != "hang" {
			t.Errorf("journal: %+v", e)
		}
		go func() {
			_ = fault.Wait(t.Context(), 2)
			fault.Remove()
		}()
		w.wantAlive(token)
	})
}

func (w *world) get(path string, token Secret) *http.Request {
	req := w.request("GET", path, nil)
	req.Header.Set("X-Tableau-Auth", token.Reveal())
	return req
}

func TestFaultWaitEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(Options{}).AddFault(Fault{}).Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCuts(t *testing.T) {
	for _, cut := range []Cut{CutBeforeHeaders, CutAfterWork, CutMidBody} {
		for name, start := range map[string]func(Options) *Server{"plain": NewServer, "TLS": NewTLSServer} {
			s := start(Options{})
			w := &world{Tableau: s.Tableau, t: t}
			token := w.issue("finance", "alice")
			s.AddFault(Fault{Cut: cut, Count: 1})
			req, err := http.NewRequest(http.MethodPost, s.URL+"/api/3.27/auth/signout", strings.NewReader("x"))
			if cut == CutMidBody {
				req, err = http.NewRequest(http.MethodGet, s.URL+sitePath("finance", "/workbooks"), nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Tableau-Auth", token.Reveal())
			resp, err := s.HTTP.Client().Do(req)
			if cut == CutMidBody {
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if err == nil {
				t.Errorf("%s, %d: no error", name, cut)
			}
			if name == "plain" && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d: %v is no reset", name, cut, err)
			}
			if live := s.Stats().LiveSessions; (cut == CutAfterWork) != (live == 0) {
				t.Errorf("%s, %d: %d sessions live", name, cut, live)
			}
			s.HTTP.Client().CloseIdleConnections()
			s.Close()
		}
	}
}

func TestCutsInMemory(t *testing.T) {
	for _, cut := range []Cut{CutBeforeHeaders, CutAfterWork, CutMidBody} {
		w := newWorld(t, Options{})
		req := w.get(sitePath("finance", "/workbooks"), w.issue("finance", "alice"))
		w.AddFault(Fault{Cut: cut})
		resp, err := w.RoundTripper().RoundTrip(req)
		if cut != CutMidBody {
			if !errors.Is(err, errReset) {
				t.Errorf("%d: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err == nil || len(body) == 0 {
			t.Errorf("mid-body: %d bytes, %v", len(body), err)
		}
		_ = resp.Body.Close()
	}
}

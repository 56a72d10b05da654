package main

// These tests show that the load generator finds wrong answers, and counts
// right ones once.

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// through puts load on a handler.
func through(t *testing.T, handler http.Handler, plan loadPlan) loadResult {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	plan.Address = server.Listener.Addr().String()
	result, err := plan.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestEveryUserAsksOnce(t *testing.T) {
	asked := make(chan string, 1000)
	upstream := newUpstream()
	got := through(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get(headerUser)
		upstream.ServeHTTP(w, r)
	}), loadPlan{Kind: loadEachUser, Connections: 7, Users: 100})
	if got.Requests != 100 || got.Wrong != 0 {
		t.Errorf("%d right and %d wrong (%s), want 100 and 0", got.Requests, got.Wrong, got.Example)
	}
	close(asked)
	users := make(map[string]bool)
	for user := range asked {
		users[user] = true
	}
	if len(users) != 100 {
		t.Errorf("%d users have asked, want 100", len(users))
	}
}

func TestLargeBodies(t *testing.T) {
	for _, kind := range []string{loadDownloads, loadUploads} {
		got := through(t, newUpstream(), loadPlan{Kind: kind, Connections: 2, Users: 2, Duration: 50 * time.Millisecond})
		if got.Requests == 0 || got.Wrong != 0 {
			t.Errorf("%s: %d right and %d wrong: %s", kind, got.Requests, got.Wrong, got.Example)
		}
	}
}

// A mixed-up owner must never go unnoticed.
func TestWrongAnswersAreCounted(t *testing.T) {
	upstream := newUpstream()
	for name, wrong := range map[string]http.HandlerFunc{
		`is for "u000001"`: func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set(headerUser, userName(1))
			upstream.ServeHTTP(w, r)
		},
		`is for "shared"`: func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set(headerToken, tokenOf(shared))
			upstream.ServeHTTP(w, r)
		},
		"status 503": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) },
		"4 bytes": func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, "text/plain", 4)
			_, _ = io.WriteString(w, "four")
		},
		"EOF": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		got := through(t, wrong, loadPlan{Kind: loadEachUser, Connections: 1, Users: 1})
		if got.Requests != 0 || got.Wrong != 1 || !strings.Contains(got.Example, name) {
			t.Errorf("%d right and %d wrong: %s, want one wrong: %s", got.Requests, got.Wrong, got.Example, name)
		}
	}
}

func TestOwnerOfAllAnswers(t *testing.T) {
	upstream := newUpstream()
	got := through(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(headerToken, tokenOf(shared))
		upstream.ServeHTTP(w, r)
	}), loadPlan{Kind: loadEachUser, Connections: 1, Users: 5, Owner: shared})
	if got.Requests != 5 || got.Wrong != 0 {
		t.Errorf("%d right and %d wrong: %s", got.Requests, got.Wrong, got.Example)
	}
}

// A server may close a kept connection; the request is then sent again.
func TestClosedConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 4<<10)
			n, _ := conn.Read(buffer)
			_, user, _ := strings.Cut(string(buffer[:n]), headerUser+": ")
			user, _, _ = strings.Cut(user, "\r\n")
			io.WriteString(conn, "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\nx-owner: "+user+"\r\n\r\n"+strings.Repeat("x", 1024))
			conn.Close()
		}
	}()
	plan := loadPlan{Address: listener.Addr().String(), Kind: loadEachUser, Connections: 1, Users: 10}
	got, err := plan.run(t.Context())
	if err != nil || got.Requests != 10 || got.Wrong != 0 {
		t.Errorf("%d right and %d wrong (%s), %v", got.Requests, got.Wrong, got.Example, err)
	}
}

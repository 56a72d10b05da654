package caddymodule

// This file checks when a server is asked for its version, and who waits for it.

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// asked is a serverVersion whose server takes a second for an answer.
func asked(t *testing.T, answer func(n int) (string, error)) (s *serverVersion, times *atomic.Int32) {
	t.Helper()
	times = new(atomic.Int32)
	return &serverVersion{ctx: t.Context(), logger: nopLogger, ask: func(ctx context.Context) (string, error) {
		n := int(times.Add(1))
		select {
		case <-time.After(time.Second):
			return answer(n)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}}, times
}

func TestServerVersionIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, times := asked(t, func(n int) (string, error) { return []string{"", "3.24", "3.27"}[n], nil })
		for range 10 {
			go s.get(t.Context())
		}
		began := time.Now()
		if got := s.get(t.Context()); got != "3.24" || times.Load() != 1 || time.Since(began) != time.Second {
			t.Errorf("got %q, asked %d times, waited %v", got, times.Load(), time.Since(began))
		}
		time.Sleep(versionLife)
		began = time.Now()
		if got := s.get(t.Context()); got != "3.24" || time.Since(began) != 0 {
			t.Errorf("after its life: got %q, waited %v, want the old one at once", got, time.Since(began))
		}
		time.Sleep(2 * time.Second)
		if got := s.get(t.Context()); got != "3.27" || times.Load() != 2 {
			t.Errorf("later: got %q, asked %d times", got, times.Load())
		}
		synctest.Wait()
	})
}

func TestServerVersionThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, times := asked(t, func(n int) (string, error) {
			if n == 3 {
				return "3.27", nil
			}
			return "", errors.New("no")
		})
		if got := s.get(t.Context()); got != "" {
			t.Errorf("got %q", got)
		}
		began := time.Now()
		if got := s.get(t.Context()); got != "" || times.Load() != 1 || time.Since(began) != 0 {
			t.Errorf("at once: got %q, asked %d times, waited %v", got, times.Load(), time.Since(began))
		}
		time.Sleep(versionRetry)
		s.get(t.Context())
		time.Sleep(versionRetry)
		if got := s.get(t.Context()); got != "3.27" || times.Load() != 3 {
			t.Errorf("later: got %q, asked %d times", got, times.Load())
		}
		time.Sleep(versionLife)
		s.get(t.Context())
		time.Sleep(2 * time.Second)
		if got := s.get(t.Context()); got != "3.27" {
			t.Errorf("after a failure: got %q, want what was known", got)
		}
	})
}

// Who leaves does not wait, and a configuration that ends asks no more.
func TestServerVersionAndContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := asked(t, func(int) (string, error) { return "3.27", nil })
		config, unload := context.WithCancel(t.Context())
		s.ctx = config
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		began := time.Now()
		if got := s.get(ctx); got != "" || time.Since(began) != time.Millisecond {
			t.Errorf("got %q, waited %v", got, time.Since(began))
		}
		unload()
		if got := s.get(t.Context()); got != "" || time.Since(began) != time.Millisecond {
			t.Errorf("unloaded: got %q, waited %v", got, time.Since(began))
		}
	})
}

func TestAskVersion(t *testing.T) {
	tests := map[string]struct {
		status     int
		body, want string
	}{
		"version":   {200, `<tsResponse xmlns="http://tableau.com/api"><serverInfo><restApiVersion>3.27</restApiVersion></serverInfo></tsResponse>`, "3.27"},
		"refused":   {503, "", ""},
		"no XML":    {200, "<html>", ""},
		"too large": {200, strings.Repeat(" ", maxServerInfo+1), ""},
		"cut":       {0, "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.status == 0 {
					panic(http.ErrAbortHandler)
				}
				if r.URL.Path != serverInfoPath || r.Header.Get("X-Tableau-Auth") != "" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			got, err := askVersion(t.Context(), server.URL, http.DefaultTransport)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
	if _, err := askVersion(t.Context(), ":", http.DefaultTransport); err == nil {
		t.Error("no origin: no error")
	}
}

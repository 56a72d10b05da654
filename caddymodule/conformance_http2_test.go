package caddymodule

// This file holds the scenes with a Tableau that speaks HTTP/2, as Tableau Cloud
// does, and what each form writes to the log and answers placeholders with.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestConformanceByHTTP2: Tableau speaks HTTP/2.
func TestConformanceByHTTP2(t *testing.T) {
	th := newTheatre(t, stageSetup{secure: true})
	for _, scene := range []struct {
		name   string
		method string
		body   string
		tell   func(w http.ResponseWriter, r *http.Request)
		status int
		broken bool
		want   string
	}{
		{name: "GET", method: "GET", status: 200, want: "2.0 Caddy", tell: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "body")
		}},
		{name: "POST", method: "POST", body: huge, status: 200, tell: func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}},
		{name: "HEAD", method: "HEAD", status: 200, tell: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "77") }},
		{name: "204", method: "DELETE", status: 204, tell: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{name: "interim answers", method: "GET", status: 200, want: "interim 103", tell: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			_, _ = io.WriteString(w, "body")
		}},
		{name: "trailers", method: "GET", status: 200, want: "X-Sum:[1]", tell: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(w, "body")
			_ = http.NewResponseController(w).Flush() // or it would have a length, and no trailers by HTTP/1.1
			w.Header().Set("X-Sum", "1")
		}},
		{name: "trailers, not announced", method: "GET", status: 200, want: "X-Sum:[1]", tell: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "body")
			_ = http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}},
		{name: "an answer that breaks off", method: "GET", status: 200, broken: true, tell: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "body")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{name: "no answer", method: "GET", status: 502, tell: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		th.play(t, scene.name, func(t *testing.T, s *stage) {
			s.script(func(c *scriptedCall) {
				c.w.Header().Set("Content-Type", "a/b")
				scene.tell(c.w, c.r)
			})
			a := s.do(s.request(t, scene.method, strings.NewReader(scene.body), nil))
			if a.Response == nil || a.StatusCode != scene.status || scene.broken != (a.err != nil) {
				t.Errorf("%+v, want status %d, broken off: %t", a, scene.status, scene.broken)
			}
			if notes := strings.Join(s.noted(), "\n"); !strings.Contains(notes, scene.want) {
				t.Errorf("%q is nowhere in\n%s", scene.want, notes)
			}
		})
	}
}

// TestConformanceOfTalking: over HTTP/2 all the way, both sides may speak at once.
func TestConformanceOfTalking(t *testing.T) {
	th := newTheatre(t, stageSetup{secure: true})
	th.play(t, "echo", func(t *testing.T, s *stage) {
		if s.version != 2 {
			return
		}
		s.script(func(c *scriptedCall) {
			w := http.NewResponseController(c.w)
			_ = w.Flush()
			part := make([]byte, 5)
			for {
				if _, err := io.ReadFull(c.r.Body, part); err != nil {
					s.saw("end of the request: %t", errors.Is(err, io.EOF))
					return
				}
				_, _ = c.w.Write(part)
				_ = w.Flush()
			}
		})
		r, w := io.Pipe()
		a := s.open(s.request(t, http.MethodPost, r, nil))
		if a.Response == nil {
			t.Fatal(a.err)
		}
		for _, text := range []string{"first", "other", "third"} {
			_, _ = io.WriteString(w, text)
			part := make([]byte, 5)
			if _, err := io.ReadFull(a.Body, part); err != nil || string(part) != text {
				t.Fatalf("%s, %v, want %s", part, err, text)
			}
		}
		w.Close()
		s.finish(&a)
	})
}

// TestConformanceOfPlaceholders: what access logs and header directives ask
// reverse_proxy for, tableau_forward knows too.
func TestConformanceOfPlaceholders(t *testing.T) {
	const prefix = "http.reverse_proxy."
	same := []string{"status_code", "status_text", "header.Content-Type", "header.X-None", "upstream.address", "upstream.hostport", "upstream.host", "upstream.port", "retries"}
	timed := []string{"duration", "duration_ms", "upstream.latency", "upstream.latency_ms", "upstream.duration", "upstream.duration_ms"}
	fields := ""
	for _, name := range slices.Concat(same, timed) {
		fields += "\tlog_append " + name + " {" + prefix + name + "}\n"
	}
	th := newTheatre(t, stageSetup{transport: fresh.transport, site: "\tlog\n" + fields})
	for _, d := range th.doors {
		if d.version != 1 {
			continue
		}
		t.Run(d.form, func(t *testing.T) {
			logged.reset()
			s := &stage{door: d, up: th.up}
			s.script(func(c *scriptedCall) { c.answer("200 OK", "Content-Type: a/b", "ab") })
			if a := s.do(s.request(t, http.MethodGet, nil, nil)); a.Response == nil {
				t.Fatal(a.err)
			}
			_, host, _ := strings.Cut(th.up.origin, "//")
			ip, port, _ := strings.Cut(host, ":")
			entry := await(t, "http.log.access", map[string]any{
				"status_code": 200, "status_text": "200 OK", "header.Content-Type": "a/b", "header.X-None": nil, "retries": 0,
				"upstream.address": "tcp/" + host, "upstream.hostport": host, "upstream.host": ip, "upstream.port": port,
			})
			for _, name := range timed {
				if n, ok := entry[name].(float64); !ok || n <= 0 {
					t.Errorf("%s is %v", name, entry[name])
				}
			}
			logger := "http.handlers.tableau_forward"
			if d.form == formClassic {
				logger = "http.handlers.reverse_proxy"
			}
			call := await(t, logger, map[string]any{"msg": "upstream roundtrip", "status": 200, "upstream": host})
			for _, name := range []string{"duration", "request", "headers"} {
				if call[name] == nil {
					t.Errorf("the message about the call has no %s", name)
				}
			}
		})
	}
}

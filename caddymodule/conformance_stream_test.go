package caddymodule

// This file holds the scenes in which the order of things matters: what is on its
// way must arrive before the other side goes on, and who leaves is missed. All
// waiting is for each other, and none for a time.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestConformanceOfFlushing: each part of an answer reaches the client before
// Tableau sends the next.
func TestConformanceOfFlushing(t *testing.T) {
	th := newTheatre(t, fresh)
	for name, head := range map[string][]string{
		"chunks":                            {chunked},
		"events":                            {"Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked"},
		"events with a length":              {"Content-Type: text/event-stream", "Content-Length: 15"},
		"until the end of the connection":   {"Content-Type: a/b", "Connection: close"},
		"marked as incremental":             {"Content-Type: a/b", "Incremental: ?1", "Content-Length: 15"},
		"events of a type in other letters": {"Content-Type: Text/Event-Stream", "Content-Length: 15"},
	} {
		th.play(t, name, func(t *testing.T, s *stage) {
			next := make(chan struct{})
			part := func(c *scriptedCall, text string) {
				<-next
				if strings.Contains(strings.Join(head, ""), "chunked") {
					c.chunk(text)
				} else {
					c.text(text)
				}
			}
			s.script(func(c *scriptedCall) {
				c.send(append([]string{ok}, append(head, "")...)...)
				for _, text := range []string{"first", "other", "third"} {
					part(c, text)
				}
				if <-next; strings.Contains(strings.Join(head, ""), "chunked") {
					c.chunk("")
				}
			})
			a := s.open(s.request(t, http.MethodGet, nil, nil)) // the headers come alone
			if a.Response == nil {
				t.Fatal(a.err)
			}
			for range 3 {
				next <- struct{}{}
				text := make([]byte, 5)
				if _, err := io.ReadFull(a.Body, text); err != nil {
					t.Fatal(err)
				}
				s.got("part %s", text)
			}
			next <- struct{}{}
			s.finish(&a)
		})
	}
}

// TestConformanceOfUploads: what a client sends reaches Tableau before the client
// goes on.
func TestConformanceOfUploads(t *testing.T) {
	th := newTheatre(t, fresh)
	th.play(t, "in parts", func(t *testing.T, s *stage) {
		arrived := make(chan struct{})
		s.script(func(c *scriptedCall) {
			for range 3 {
				text := make([]byte, len("5\r\nfirst\r\n"))
				_, _ = io.ReadFull(c.reader, text)
				s.saw("part %q", text)
				arrived <- struct{}{}
			}
			_, _ = c.reader.ReadString('\n')
			c.answer("200 OK", "Content-Type: a/b", "done")
		})
		r, w := io.Pipe()
		go func() {
			for _, text := range []string{"first", "other", "third"} {
				_, _ = io.WriteString(w, text)
				<-arrived
			}
			w.Close()
		}()
		if a := s.do(s.request(t, http.MethodPost, r, nil)); a.body != "done" {
			t.Errorf("body %q, %v", a.body, a.err)
		}
	})
	th.play(t, "that are answered before they end", func(t *testing.T, s *stage) {
		answered := make(chan struct{})
		s.script(func(c *scriptedCall) {
			_, _ = io.ReadFull(c.reader, make([]byte, 4))
			c.answer("413 Content Too Large", "Content-Type: a/b", "enough")
			<-answered
		})
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, "half")
			<-answered
			w.Close()
		}()
		a := s.open(s.request(t, http.MethodPost, r, nil))
		if a.Response == nil || a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("%+v", a)
		}
		close(answered)
		s.finish(&a)
	})
	th.play(t, "whose chunks are none", func(t *testing.T, s *stage) {
		if s.version != 1 {
			return
		}
		arrived := make(chan struct{})
		s.script(func(c *scriptedCall) {
			_, _ = io.ReadFull(c.reader, make([]byte, len("3\r\nabc\r\n")))
			close(arrived)
			_ = c.gone()
		})
		conn := s.dial(t)
		_, _ = io.WriteString(conn, "POST "+scriptedPath+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		<-arrived
		_, _ = io.WriteString(conn, "zz\r\n")
		if got := s.readRaw(t, conn); !strings.Contains(got, refuseBody.code) {
			t.Errorf("the answer is\n%s", got)
		}
	})
}

// TestConformanceOfLeave: a client that asks for leave to send its body
// (Expect: 100-continue) has it from Tableau. By HTTP/2, net/http gives it.
func TestConformanceOfLeave(t *testing.T) {
	th := newTheatre(t, stageSetup{transport: "keepalive off\nexpect_continue_timeout 1m"})
	th.play(t, "leave", func(t *testing.T, s *stage) {
		s.script(func(c *scriptedCall) {
			c.send("HTTP/1.1 100 Continue", "")
			body, _ := c.body()
			s.saw("body %q", body)
			c.answer("200 OK", "Content-Type: a/b", "done")
		})
		if a := s.do(s.request(t, http.MethodPut, strings.NewReader("a body"), headers("Expect", "100-continue"))); a.body != "done" || !s.leave.Load() {
			t.Errorf("body %q, %v, told to send it: %t", a.body, a.err, s.leave.Load())
		}
	})
	th.play(t, "no leave", func(t *testing.T, s *stage) {
		s.script(func(c *scriptedCall) {
			c.answer("403 Forbidden", "Content-Type: a/b\r\nConnection: close", "no") // or net/http would send the body all the same
		})
		if a := s.do(s.request(t, http.MethodPut, strings.NewReader("a body"), headers("Expect", "100-continue"))); a.Response == nil || a.StatusCode != http.StatusForbidden || s.leave.Load() && s.version == 1 {
			t.Errorf("%+v", a)
		}
	})
}

// TestConformanceOfLeaving: that a client has left does not stay unknown at
// Tableau: the call ends there.
func TestConformanceOfLeaving(t *testing.T) {
	th := newTheatre(t, fresh)
	th.play(t, "before the answer", func(t *testing.T, s *stage) {
		arrived, ended := make(chan struct{}), make(chan error, 1)
		s.script(func(c *scriptedCall) {
			close(arrived)
			ended <- c.gone()
		})
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-arrived
			leave()
		}()
		if a := s.do(s.request(t, http.MethodGet, nil, nil).WithContext(ctx)); a.Response != nil {
			t.Fatalf("status %d", a.StatusCode)
		}
		if err := <-ended; err != nil {
			t.Errorf("Tableau was not told: %v", err)
		}
	})
	th.play(t, "within the answer", func(t *testing.T, s *stage) {
		ended := make(chan error, 1)
		s.script(func(c *scriptedCall) {
			c.send(ok, chunked, "")
			c.chunk("first")
			ended <- c.gone()
		})
		ctx, leave := context.WithCancel(t.Context())
		a := s.open(s.request(t, http.MethodGet, nil, nil).WithContext(ctx))
		if a.Response == nil {
			t.Fatal(a.err)
		}
		if _, err := io.ReadFull(a.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		leave()
		a.Body.Close()
		if err := <-ended; err != nil {
			t.Errorf("Tableau was not told: %v", err)
		}
	})
	th.play(t, "within the upload", func(t *testing.T, s *stage) {
		ended := make(chan error, 1)
		half := make(chan struct{})
		s.script(func(c *scriptedCall) {
			_, _ = io.ReadFull(c.reader, make([]byte, 4))
			close(half)
			ended <- c.gone()
		})
		ctx, leave := context.WithCancel(t.Context())
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, "half")
			<-half
			leave()
			_ = w.CloseWithError(context.Canceled)
		}()
		if a := s.do(s.request(t, http.MethodPost, r, nil).WithContext(ctx)); a.Response != nil {
			t.Fatalf("status %d", a.StatusCode)
		}
		if err := <-ended; err != nil {
			t.Errorf("Tableau was not told: %v", err)
		}
	})
}

// TestConformanceOfFailures: what cannot be reached, or takes too long.
func TestConformanceOfFailures(t *testing.T) {
	th := newTheatre(t, stageSetup{transport: "keepalive off\nresponse_header_timeout 100ms"})
	th.play(t, "no answer in time", func(t *testing.T, s *stage) {
		s.script(func(c *scriptedCall) { _ = c.gone() })
		if a := s.do(s.request(t, http.MethodGet, nil, nil)); a.Response == nil || a.StatusCode != http.StatusGatewayTimeout || a.Header.Get(headerProxyError) != refuseTimeout.code {
			t.Errorf("%+v", a)
		}
	})
	th.up.Close()
	th.play(t, "nobody listens", func(t *testing.T, s *stage) {
		if a := s.do(s.request(t, http.MethodGet, nil, nil)); a.Response == nil || a.StatusCode != http.StatusBadGateway || a.Header.Get(headerProxyError) != refuseUnreachable.code {
			t.Errorf("%+v", a)
		}
	})
}

// TestConformanceOfMany: a hundred requests at once, over connections that are
// used again, each with the answer to its own.
func TestConformanceOfMany(t *testing.T) {
	th := newTheatre(t, stageSetup{})
	th.play(t, "echo", func(t *testing.T, s *stage) {
		s.up.play(func(c *scriptedCall) {
			body, _ := c.body()
			c.answer("200 OK", "Content-Type: a/b", c.header("X-Number")+" "+body)
			c.keep = true
		})
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				for m := range 5 {
					number := fmt.Sprintf("%d.%d", n, m)
					text := strings.Repeat(number, 1+n*m)
					req := s.request(t, http.MethodPatch, strings.NewReader(text), headers("X-Number", number))
					res, err := s.door.client.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || string(body) != number+" "+text {
						t.Errorf("request %s: status %d, %v, %s", number, res.StatusCode, err, shortened(string(body)))
					}
				}
			})
		}
		all.Wait()
	})
}

// TestConformanceOfReload: an answer under way outlives the configuration that it
// came by.
func TestConformanceOfReload(t *testing.T) {
	for _, form := range []string{formForward, formClassic} {
		t.Run(form, func(t *testing.T) {
			th := newTheatre(t, fresh)
			for _, d := range th.doors {
				if d.form != form || d.version != 1 {
					continue
				}
				s := &stage{door: d, up: th.up}
				reloading := make(chan struct{})
				s.script(func(c *scriptedCall) {
					c.send(ok, chunked, "")
					c.chunk("before ")
					<-reloading
					c.chunk("after")
					c.chunk("")
				})
				a := s.open(s.request(t, http.MethodGet, nil, nil))
				if a.Response == nil {
					t.Fatal(a.err)
				}
				done := make(chan error, 1)
				go func() { done <- caddy.Load(th.config(), true) }()
				await(t, "http", map[string]any{"msg": "servers shutting down; grace period initiated"})
				close(reloading)
				s.finish(&a)
				if a.body != "before after" || a.err != nil {
					t.Errorf("body %q, %v", a.body, a.err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

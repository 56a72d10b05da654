// This file fuzzes the whole handler and the readers of untrusted text.

package tableautest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzServeHTTP: no request makes the server panic or answer 5xx.
func FuzzServeHTTP(f *testing.F) {
	for _, o := range Operations() {
		f.Add(o.Method, o.Example, o.ExampleType, "application/json", []byte(o.ExampleBody), true)
	}
	f.Add("POST", "/api/3.27/auth/signin", "", "", []byte(`{"credentials":{"jwt":"eyJhbGciOiJIUzI1NiJ9.e30.x"}}`), false)
	server := New(Options{Cloud: false, LenientPaths: true, JournalSize: 10, KeepBytes: 1 << 16})
	token, err := server.IssueSession(exampleSite, "admin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, contentType, accept string, body []byte, signedIn bool) {
		req, err := http.NewRequest(method, "http://tableau.test", strings.NewReader(string(body)))
		if err != nil {
			return
		}
		u, err := req.URL.Parse(path)
		if err != nil {
			return
		}
		req.URL = u
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Accept", accept)
		if signedIn {
			req.Header.Set(headerAuth, token.Reveal())
		}
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, req)
		if rec.Code >= 500 {
			t.Errorf("status %d", rec.Code)
		}
		if rec.Header().Get("Content-Type") == typeXML {
			if err := wellFormed(rec.Body.String()); err != nil {
				t.Errorf("not well-formed: %v", err)
			}
		}
		if server.Stats().LiveSessions == 0 { // the fuzzer signed it out
			if token, err = server.IssueSession(exampleSite, "admin"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzJWT: only the JWT that the secret signed opens a session.
func FuzzJWT(f *testing.F) {
	server := New(Options{JournalSize: -1})
	f.Add("eyJhbGciOiJIUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJ4IiwiYXVkIjoidGFibGVhdSJ9.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, raw string) {
		req := httptest.NewRequest(http.MethodPost, "/api/3.27/auth/signin", strings.NewReader(string(mustJSON(
			map[string]any{"credentials": map[string]any{"jwt": raw, "site": map[string]string{"contentUrl": "finance"}}}))))
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, req)
		if rec.Code != 401 && rec.Code != 400 {
			t.Errorf("status %d", rec.Code)
		}
	})
}

// FuzzJWK: no key set makes the reader panic.
func FuzzJWK(f *testing.F) {
	f.Add("RSA", "", "AQAB", "AQAB", "", "")
	f.Add("EC", "P-256", "", "", strings.Repeat("A", 43), strings.Repeat("A", 43))
	f.Fuzz(func(_ *testing.T, kty, crv, n, e, x, y string) {
		_, _ = jwk{KeyType: kty, Curve: crv, N: n, E: e, X: x, Y: y}.public()
	})
}

// TestJTIMemory is a property the fuzzers do not reach: an ID is new again
// only when its JWT has expired.
func TestJTIMemory(t *testing.T) {
	m, now := newJTIMemory(), time.Unix(1000, 0)
	if !m.first("a", now.Add(time.Minute), now) || m.first("a", now.Add(time.Minute), now.Add(59*time.Second)) {
		t.Error("an ID passed twice")
	}
	if !m.first("a", now.Add(time.Hour), now.Add(time.Minute)) {
		t.Error("an ID was remembered beyond its JWT's life")
	}
}

package tableauauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestRelocated(t *testing.T) {
	origin, err := url.Parse("https://tableau.example")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ to, want string }{
		{"https://tableau.example/api/3.24/sites/x/jobs/1?a=b&c=%2F#part", "/api/3.24/sites/x/jobs/1?a=b&c=%2F#part"},
		{"https://tableau.example:443/api", "/api"},
		{"HTTPS://Tableau.Example/api", "/api"},
		{"//tableau.example/api", "/api"},
		{"https://tableau.example", "/"},
		{"https://tableau.example//evil.example/x", "/evil.example/x"},
		{"https://tableau.example/a%2Fb", "/a%2Fb"},
		{"https://user:password@tableau.example/api", "/api"},
		{"https://tableau.example?", "/?"},
		// Not there: the client gets what Tableau said.
		{"https://elsewhere.example/api", "https://elsewhere.example/api"},
		{"https://tableau.example:8443/api", "https://tableau.example:8443/api"},
		{"http://tableau.example/api", "http://tableau.example/api"},
		{"/api/3.24/x", "/api/3.24/x"},
		{"x", "x"},
		{"mailto:admin@tableau.example", "mailto:admin@tableau.example"},
		{"https://tableau.example/%zz", "https://tableau.example/%zz"},
	}
	for _, test := range tests {
		if got := relocated(test.to, origin); got != test.want {
			t.Errorf("%s: got %s, want %s", test.to, got, test.want)
		}
	}
}

// TestWayBack: what points to Tableau points here, which pages may read the
// answer is not Tableau's to say, and cookies stay with us.
func TestWayBack(t *testing.T) {
	res := &http.Response{StatusCode: http.StatusFound, Header: http.Header{
		"Location":                         {testOrigin + "/api/3.24/serverinfo"},
		"Content-Location":                 {testOrigin + "/api"},
		"Access-Control-Allow-Origin":      {"*"},
		"Access-Control-Allow-Credentials": {"true"},
		"Set-Cookie":                       {"workgroup_session_id=x"},
		"X-Other":                          {"stays"},
	}, Body: http.NoBody}
	origin, err := url.Parse(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	scrub(res, nil, origin)
	if len(res.Header) != 3 || res.Header.Get("Location") != "/api/3.24/serverinfo" || res.Header.Get("Content-Location") != "/api" || res.Header.Get("X-Other") != "stays" {
		t.Errorf("left: %v", res.Header)
	}
}

// TestInterimAnswersAreScrubbed: 103 Early Hints and their like go to the client
// as they come, so they are looked at as they come.
func TestInterimAnswersAreScrubbed(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Tableau-Auth", r.Header.Get("X-Tableau-Auth"))
		w.Header().Set("Set-Cookie", "workgroup_session_id="+r.Header.Get("X-Tableau-Auth"))
		w.Header().Set("X-Debug", "got "+r.Header.Get("X-Tableau-Auth"))
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		clear(w.Header())
	}))
	defer upstream.Close()
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	heard := 0
	listening := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		heard++
		if code != http.StatusEarlyHints || len(h) != 1 || h.Get("Link") == "" || strings.Contains(h.Get("X-Debug"), s.token.Reveal()) {
			t.Errorf("%d with %d headers", code, len(h)) // not what they are: they may hold the token
		}
		return nil
	}})
	toUpstream := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		req.URL.Scheme, req.URL.Host = "http", upstream.Listener.Addr().String()
		return http.DefaultTransport.RoundTrip(req)
	})
	req, _ := r.request(t, s, http.MethodGet, workbooks, "")
	req = req.WithContext(NewContext(listening, BindingFrom(req.Context())))
	if _, _, err := roundTrip(t, &Transport{Base: toUpstream}, req); err != nil {
		t.Fatal(err)
	}
	if heard != 1 {
		t.Errorf("%d interim answers were heard, want 1", heard)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestErrorsDoNotRepeatTheToken: neither an error of Tableau's, nor one of the
// transport below, nor its panic, tells the session.
func TestErrorsDoNotRepeatTheToken(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	token := s.token.Reveal()
	send := func(base roundTripFunc) (*http.Response, string, error) {
		req, _ := r.request(t, s, http.MethodGet, workbooks, "")
		return roundTrip(t, &Transport{Base: base}, req)
	}

	long := strings.Repeat("x", 2*maxAnswer)
	res, body, err := send(answering(400, "no session "+token+" here; "+long).RoundTrip)
	if err != nil || res.StatusCode != http.StatusBadRequest || strings.Contains(body, token) {
		t.Fatalf("an error of Tableau's: %v, or it repeats the token", err)
	}
	if want := "no session " + strings.Repeat("*", len(token)) + " here; " + long; body != want {
		t.Errorf("an error of Tableau's: %d bytes, want %d, with stars in the place of the token", len(body), len(want))
	}
	if _, body, err := send(answering(200, "mine: "+token).RoundTrip); err != nil || !strings.Contains(body, token) {
		t.Errorf("data are looked into: %v", err)
	}

	if _, _, err := send(func(req *http.Request) (*http.Response, error) { return nil, fmt.Errorf("cannot send %v", req.Header) }); !errors.Is(err, errWithheld) {
		t.Error("an error of the transport is not withheld")
	}
	if _, _, err := send(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an error that tells nothing: %v", err)
	}
	if _, _, err := send(func(req *http.Request) (*http.Response, error) { panic(req.Header) }); !errors.Is(err, errPanicked) {
		t.Error("a panic of the transport is not caught")
	}
	defer func() {
		if v, ok := recover().(error); !ok || !errors.Is(v, http.ErrAbortHandler) {
			t.Errorf("http.ErrAbortHandler became %v", v)
		}
	}()
	_, _, err = send(func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) })
	t.Errorf("http.ErrAbortHandler became an answer: %v", err)
}

// TestMaskedBody: wherever the token stands in an error, and however the error
// comes, stars are in its place, nothing else is touched, and nothing waits that
// need not.
func TestMaskedBody(t *testing.T) {
	const token = "aab|aabc"
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{token, "a", "aab", "aab|", "x", "aab|aab", strings.Repeat("y", 5000)})).Draw(t, "parts")
		text := strings.Join(parts, "")
		var source io.Reader = strings.NewReader(text)
		source = rapid.SampledFrom([]func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r }}).Draw(t, "reader")(source)
		ends := rapid.SampledFrom([]error{io.EOF, io.ErrUnexpectedEOF}).Draw(t, "end")
		if !errors.Is(ends, io.EOF) {
			source = io.MultiReader(source, iotest.ErrReader(ends))
		}
		got, err := io.ReadAll(&maskedBody{ReadCloser: io.NopCloser(source), token: []byte(token)})
		if want := strings.ReplaceAll(text, token, strings.Repeat("*", len(token))); string(got) != want {
			t.Fatalf("%q became %q, want %q", text, got, want)
		}
		if (err == nil) != errors.Is(ends, io.EOF) || err != nil && !errors.Is(err, ends) {
			t.Fatalf("ended with %v, want %v", err, ends)
		}
	})
	slow, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "wait aab") }()
	buffer := make([]byte, 100)
	n, err := (&maskedBody{ReadCloser: slow, token: []byte(token)}).Read(buffer)
	if string(buffer[:n]) != "wait " || err != nil {
		t.Errorf("at once comes %q, %v", buffer[:n], err)
	}
}

// TestOurCallsHoldNothingOfTheRequest: what listens to the client's request hears
// nothing of the probe that it makes necessary.
func TestOurCallsHoldNothingOfTheRequest(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	r.pool.UseClient(Client{Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if httptrace.ContextClientTrace(req.Context()) != nil || req.Context().Value(http.ServerContextKey) != nil {
			t.Errorf("%s is heard by who listens to the request that made it necessary", req.URL.Path)
		}
		return r.base.RoundTrip(req)
	})})
	r.KillSessions(tableautest.SessionFilter{})
	req, b := r.request(t, s, http.MethodGet, workbooks, "")
	ctx := context.WithValue(req.Context(), http.ServerContextKey, new(http.Server))
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{})
	if _, _, err := roundTrip(t, &Transport{Base: r.base}, req.WithContext(ctx)); err != nil || !b.Replaced {
		t.Errorf("replaced %t, error %v", b.Replaced, err)
	}
}

package caddymodule

// The tests of this file are attacks by the shape of a request or of an answer.

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// wrap puts a handler around the simulator, before it is first called.
func (r *rig) wrap(around func(http.ResponseWriter, *http.Request, http.Handler)) {
	inner := r.HTTP.Config.Handler
	r.HTTP.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { around(w, req, inner) })
}

// TestTrailersBehindABuffer: where something has read the whole body before the
// last hop, its trailers are known by then. They end here all the same.
func TestTrailersBehindABuffer(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{handlers: "\ttableau_auth " + r.URL + r.block(setup{}) + "\n" + r.proxyTo(r.URL, "\t\trequest_buffers 64KiB")})
	for name, announced := range map[string]string{"announced": "Trailer: X-Tableau-Auth, X-Checksum", "not announced": "X-Nothing: 1"} {
		t.Run(name, func(t *testing.T) {
			a := r.raw(t, "alice", "POST /api/metadata/graphql HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close", announced,
				"", "22", `{"query":"{ workbooks { name } }"}`, "0", "X-Tableau-Auth: stolen", "X_Tableau_Auth: stolen", "X-Checksum: 1", "", "")
			e := r.last(t)
			if a.status != 200 || len(e.Trailers) != 0 || e.User != "alice" || e.AuthTokens != 1 || e.BodyBytes != 34 {
				t.Errorf("status %d; Tableau saw the trailers %v, %d X-Tableau-Auth, %d bytes", a.status, e.Trailers, e.AuthTokens, e.BodyBytes)
			}
		})
	}
}

// TestTokensOfTheClient: however many the client sends, and however long they
// are, Tableau sees none of them.
func TestTokensOfTheClient(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	stolen := tableautest.SiteLUID(testSite)
	for _, test := range []struct {
		name   string
		values []string
		status int
		code   string
	}{
		{"none", nil, 200, ""},
		{"an empty one", []string{""}, 200, ""},
		{"one", []string{"stolen|" + stolen + "|" + stolen}, 401, "token_invalid"},
		{"two", []string{"", "stolen"}, 400, "request_ambiguous"},
		{"a hundred", strings.Split(strings.Repeat("stolen,", 100), ",")[:100], 400, "request_ambiguous"},
		{"a long one", []string{strings.Repeat("s", 10<<10)}, 401, "token_invalid"},
		{"one that is too long for Caddy", []string{strings.Repeat("s", 100<<10)}, 431, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(r.data())
			a := r.do(t, call{user: "alice", path: workbooks, header: http.Header{headerAuth: test.values}})
			if a.status != test.status || a.code() != test.code {
				t.Errorf("status %d, code %q, want %d, %q", a.status, a.code(), test.status, test.code)
			}
			for _, e := range r.data()[before:] {
				if test.status != 200 || e.AuthTokens != 1 || e.User != "alice" {
					t.Errorf("Tableau saw %d X-Tableau-Auth, of %q", e.AuthTokens, e.User)
				}
			}
		})
	}
}

// TestRedirectsAreNotFollowed: what Tableau redirects goes to the client, which
// has no session, and nothing goes to where it points.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere, hits := misdirected(t)
	r := started(t, tableautest.Options{}, setup{})
	r.get(t, "alice", workbooks)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{elsewhere + "/x", "//" + strings.TrimPrefix(elsewhere, "http://") + "/x", strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)} {
			for _, match := range []tableautest.Match{{Data: true}, {SignIn: true}} {
				fault := r.AddFault(tableautest.Fault{Match: match, Redirect: to, RedirectStatus: status})
				user := map[bool]string{true: "bob", false: "alice"}[match.SignIn]
				a := r.get(t, user, workbooks)
				if !match.SignIn && (a.status != status || a.header.Get("Location") != to) {
					t.Errorf("%d to %s: status %d, Location %q", status, to, a.status, a.header.Get("Location"))
				}
				if match.SignIn && a.code() != "sign_in_refused" {
					t.Errorf("%d of a sign-in: status %d, code %q", status, a.status, a.code())
				}
				fault.Remove()
			}
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests went to where Tableau pointed", n)
	}
}

// TestNoCacheKeepsAnAnswer: whatever Tableau says about caching, an answer that
// was made for one person is kept for nobody; and so are the proxy's own.
func TestNoCacheKeepsAnAnswer(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	var said atomic.Pointer[http.Header]
	r.wrap(func(w http.ResponseWriter, req *http.Request, inner http.Handler) {
		if h := said.Load(); h != nil {
			maps.Copy(w.Header(), *h)
		}
		inner.ServeHTTP(w, req)
	})
	r.load(t, setup{})
	for _, h := range []http.Header{
		{},
		{"Cache-Control": {"public, max-age=3600"}, "Expires": {"Thu, 01 Jan 2099 00:00:00 GMT"}},
		{"Cache-Control": {"s-maxage=60", "immutable"}, "Vary": {"Accept"}, "Etag": {`"1"`}},
		{"Cache-Control": {"private"}},
		{"Cache-Control": {"no-cache"}, "Age": {"100"}},
		{"Cache-Control": {"no-store, max-age=0"}},
	} {
		said.Store(&h)
		a := r.get(t, "alice", workbooks)
		if got := strings.Join(a.header["Cache-Control"], ","); a.status != 200 || !strings.Contains(got, "no-store") || strings.Contains(got, "public") {
			t.Errorf("%v became %q", h, got)
		}
	}
	for _, a := range []answer{r.get(t, "alice", "/web"), r.get(t, "alice", workbooks, headerAuth, "stolen"), r.do(t, call{user: "alice", method: http.MethodPost, path: api + "/auth/signout"})} {
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("an answer of our own with status %d has Cache-Control %q", a.status, got)
		}
	}
}

// TestCompressedBodiesAreNotUnpacked: a body that is small on the wire and huge
// unpacked is as small on its way through.
func TestCompressedBodiesAreNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(z, zeros{}, 64<<20); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	r := newRig(t, tableautest.Options{})
	var got atomic.Int64
	var refuse atomic.Bool
	r.wrap(func(w http.ResponseWriter, req *http.Request, inner http.Handler) {
		if req.URL.Path != "/api/metadata/graphql" {
			inner.ServeHTTP(w, req)
			return
		}
		n, _ := io.Copy(io.Discard, req.Body)
		got.Store(n)
		w.Header().Set("Content-Encoding", "gzip")
		if refuse.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write(bomb.Bytes())
	})
	r.load(t, setup{})
	for _, status := range []int{200, 401} { // into a 401 the transport looks
		refuse.Store(status == 401)
		a := r.do(t, call{
			user: "alice", method: http.MethodPost, path: "/api/metadata/graphql", body: bomb.String(),
			header: headers("Content-Encoding", "gzip", "Accept-Encoding", "gzip", "Content-Type", jsonType),
		})
		if a.status != status || a.body != bomb.String() || got.Load() != int64(bomb.Len()) {
			t.Errorf("status %d, %d bytes came back and %d went, want %d, %d both ways", a.status, len(a.body), got.Load(), status, bomb.Len())
		}
	}
}

// zeros are zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestUnfinishedRequestsHoldNothing: connections that never finish their headers
// keep nobody else waiting, and cost no sign-in.
func TestUnfinishedRequestsHoldNothing(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for i := range 200 {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Slow-%d: ", workbooks, r.address, i); err != nil {
			t.Fatal(err)
		}
	}
	if a := r.get(t, "alice", workbooks); a.status != 200 {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
	if n := r.signIns(); n != 1 || len(r.data()) != 1 {
		t.Errorf("%d sign-ins and %d requests, want 1 of each", n, len(r.data()))
	}
}

// TestAbortedAnswersAreRecorded: an answer that breaks off has been an answer,
// and its request is in the records like any other.
func TestAbortedAnswersAreRecorded(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	r.get(t, "alice", workbooks)
	r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Cut: tableautest.CutMidBody, Count: 1})
	if a, err := r.send(t.Context(), call{user: "bob", path: workbooks}); err == nil {
		t.Fatalf("the answer did not break off: status %d", a.status)
	}
	await(t, "tableau.audit", map[string]any{"identity": "bob", "route": "/sites/{site}/workbooks", "status": 200})
}

// TestWhatCaddyNeverPassesOn: a path that has no canonical form, a request without
// placeholders and other things that Caddy never passes on are refused too.
func TestWhatCaddyNeverPassesOn(t *testing.T) {
	if got := pathReason(io.ErrUnexpectedEOF); got != "it is malformed" {
		t.Errorf("an error of another kind is explained with %q", got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, workbooks, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := newExchange(r)
	if refused := new(Handler).identify(r, x); refused == nil || refused.code != "identity_missing" {
		t.Errorf("a request without placeholders: %+v", refused)
	}
	x.describe(r) // and there is nothing to set
}

// TestTwoSitesInHeaders: of two sites, neither is chosen.
func TestTwoSitesInHeaders(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	a := r.get(t, "alice", workbooks, headerSite, "finance", headerSite, "marketing")
	if a.status != http.StatusBadRequest || a.code() != "request_ambiguous" || len(r.Journal()) != 0 {
		t.Errorf("status %d, code %q, and Tableau saw %d requests", a.status, a.code(), len(r.Journal()))
	}
}

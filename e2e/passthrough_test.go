// These tests show that what is not the proxy's business passes unchanged.

package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestRangesPassThrough(t *testing.T) {
	const size = mebibyte
	r := newRig(t, setup{tableau: tableautest.Options{
		Workbooks: []tableautest.Workbook{{Site: site, Name: "Ranged", Owner: "alice", Size: size}},
	}})
	luid := tableautest.WorkbookLUID(site, "Default", "Ranged")
	want := content(t, luid, size)
	path := sitePath("workbooks", luid, "content")
	for _, c := range []*client{r.plain(), r.h2()} {
		a := c.get("alice", path, "Range", "bytes=1000-1999").expect(r, http.StatusPartialContent)
		if got := a.header.Get("Content-Range"); got != "bytes 1000-1999/"+strconv.Itoa(size) {
			t.Errorf("%s: Content-Range %q", c.name, got)
		}
		if !bytes.Equal(a.body, want[1000:2000]) {
			t.Errorf("%s: the range has other bytes", c.name)
		}
		if a := c.get("alice", path, "Range", "bytes=-10").expect(r, http.StatusPartialContent); !bytes.Equal(a.body, want[size-10:]) {
			t.Errorf("%s: the last ten bytes differ", c.name)
		}
		c.get("alice", path, "Range", "bytes=9999999-").expect(r, http.StatusRequestedRangeNotSatisfiable)
		expectParts(t, c.get("alice", path, "Range", "bytes=0-9,500-519").expect(r, http.StatusPartialContent), want[:10], want[500:520])
		modified := a.header.Get("Last-Modified")
		c.get("alice", path, "If-Modified-Since", modified).expect(r, http.StatusNotModified)
	}
}

// expectParts reads an answer with several ranges.
func expectParts(t *testing.T, a answer, want ...[]byte) {
	t.Helper()
	_, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for i := range want {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, want[i]) {
			t.Errorf("part %d differs (%v)", i, err)
		}
	}
}

func TestCompressionIsBetweenClientAndTableau(t *testing.T) {
	r := newRig(t, setup{tableau: tableautest.Options{Compress: true}})
	for _, c := range []*client{r.plain(), r.h2()} {
		plain := c.get("alice", workbooks, "Accept-Encoding", "identity").expect(r, http.StatusOK)
		if coding := plain.header.Get("Content-Encoding"); coding != "" {
			t.Errorf("%s: Content-Encoding %q for a client that accepts none", c.name, coding)
		}
		packed := c.get("alice", workbooks, "Accept-Encoding", "gzip, br;q=0.5").expect(r, http.StatusOK)
		if coding := packed.header.Get("Content-Encoding"); coding != "gzip" {
			t.Fatalf("%s: Content-Encoding %q for a client that accepts gzip", c.name, coding)
		}
		if packed.length != int64(len(packed.body)) || len(packed.body) >= len(plain.body) {
			t.Errorf("%s: %d bytes compressed, announced as %d, %d plain", c.name, len(packed.body), packed.length, len(plain.body))
		}
		reader, err := gzip.NewReader(bytes.NewReader(packed.body))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(plain.body), string(unpacked)); diff != "" {
			t.Errorf("%s: unpacked, the answer is another (-plain +unpacked):\n%s", c.name, diff)
		}
	}
}

// A client that says nothing of compression gets what Tableau sends to such a
// client, with its length.
func TestNoAcceptEncodingIsAddedOnTheWay(t *testing.T) {
	r := newRig(t, setup{tableau: tableautest.Options{Compress: true}})
	for _, c := range []*client{r.plain(), r.h2()} {
		r.ResetJournal()
		a := c.get("alice", workbooks).expect(r, http.StatusOK)
		if a.length != int64(len(a.body)) {
			t.Errorf("%s: the answer has %d bytes, announced as %d", c.name, len(a.body), a.length)
		}
		if n := r.waitEntries(queryWorkbooks, 1)[0].Headers["Accept-Encoding"]; n != 0 {
			t.Errorf("%s: Tableau was told an Accept-Encoding that the client did not send", c.name)
		}
	}
}

func TestHEADAndNoContentPassThrough(t *testing.T) {
	r := newRig(t, setup{wrap: answerHEAD})
	for _, c := range []*client{r.plain(), r.h2()} {
		luid := tableautest.WorkbookLUID(site, "Reports", "Quarterly Close")
		path := sitePath("workbooks", luid, "content")
		whole := c.get("alice", path).expect(r, http.StatusOK)
		head := c.do(c.request(http.MethodHead, "alice", path, nil)).expect(r, http.StatusOK)
		if len(head.body) != 0 || head.length != int64(len(whole.body)) {
			t.Errorf("%s: HEAD has a body of %d bytes, announced as %d, GET has %d", c.name, len(head.body), head.length, len(whole.body))
		}
		publish := bytes.NewReader(publication("Short-lived", []byte("PK")))
		c.do(c.request(http.MethodPost, "alice", sitePath("workbooks"), publish, "Content-Type", multipartType)).expect(r, http.StatusCreated)
		gone := c.do(c.request(http.MethodDelete, "alice", sitePath("workbooks", tableautest.WorkbookLUID(site, "Default", "Short-lived")), nil))
		if gone.expect(r, http.StatusNoContent); len(gone.body) != 0 {
			t.Errorf("%s: 204 with a body", c.name)
		}
	}
}

// answerHEAD answers HEAD as GET without the body, as web servers do.
func answerHEAD(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodHead {
			req.Method = http.MethodGet
			w = bodyless{w}
		}
		next.ServeHTTP(w, req)
	})
}

// A bodyless writer sends headers only.
type bodyless struct{ http.ResponseWriter }

func (bodyless) Write(p []byte) (int, error) { return len(p), nil }

func TestLargeHeadersPassBothWays(t *testing.T) {
	// Of a client's headers Caddy takes 16 KiB, of an upstream's far more.
	const sent, back = 12 << 10, 60 << 10
	large := strings.Repeat("x", back)
	var mu sync.Mutex
	got := ""
	r := newRig(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if value := req.Header.Get("X-Large"); value != "" {
				mu.Lock()
				got = value
				mu.Unlock()
			}
			w.Header().Set("X-Large-Too", large)
			next.ServeHTTP(w, req)
		})
	}})
	for _, c := range []*client{r.plain(), r.h2()} {
		a := c.get("alice", workbooks, "X-Large", large[:sent]).expect(r, http.StatusOK)
		mu.Lock()
		if got != large[:sent] {
			t.Errorf("%s: of %d bytes %d reached Tableau", c.name, sent, len(got))
		}
		got = ""
		mu.Unlock()
		if got := a.header.Get("X-Large-Too"); got != large {
			t.Errorf("%s: of %d bytes %d came back", c.name, back, len(got))
		}
	}
}

func TestPathsAndQueriesArriveByteForByte(t *testing.T) {
	r := newRig(t, setup{})
	luid := tableautest.SiteLUID(site)
	for _, want := range []struct{ sent, path, query string }{
		{sent: "/api/-/pulse/definitions%3AbatchGet?definition_ids=1,2", path: "/api/-/pulse/definitions%3AbatchGet", query: "definition_ids=1,2"},
		{sent: "/api/-/pulse/definitions:batchGet?definition_ids=", path: "/api/-/pulse/definitions:batchGet", query: "definition_ids="},
		{
			sent: workbooks + "?filter=name:eq:Sales%20%26%20Co,createdAt:gt:2026-01-01T00:00:00Z&sort=name:asc&pageSize=1",
			path: "/api/3.24/sites/" + luid + "/workbooks", query: "filter=name:eq:Sales%20%26%20Co,createdAt:gt:2026-01-01T00:00:00Z&sort=name:asc&pageSize=1",
		},
		{sent: workbooks + "?a=%2F&b=+&c=%c3%a9&&=&d=a;b&e=%zz&a=again&f=/../%2e%2e", path: "/api/3.24/sites/" + luid + "/workbooks", query: "a=%2F&b=+&c=%c3%a9&&=&d=a;b&e=%zz&a=again&f=/../%2e%2e"},
		{sent: "/" + workbooks, path: "/api/3.24/sites/" + luid + "/workbooks"},
		{sent: sitePath("workbooks") + "/a%20b", path: "/api/3.24/sites/" + luid + "/workbooks/a%20b"},
		{sent: sitePath("workbooks") + "/caf%c3%a9:(x)!*'@", path: "/api/3.24/sites/" + luid + "/workbooks/caf%c3%a9:(x)!*'@"},
		{sent: api + "/serverInfo", path: api + "/serverInfo"},
	} {
		t.Run(want.sent, func(t *testing.T) {
			r.ResetJournal()
			r.raw(http.MethodGet, "GET "+want.sent+" HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n"+authorization("alice")+"\r\n")
			var got []string
			eventually(t, "the request in the journal", func() bool {
				got = nil
				for _, e := range r.Journal() {
					if e.Operation != "sign_in" {
						got = append(got, e.Path+"?"+e.Query)
					}
				}
				return len(got) > 0
			})
			if diff := cmp.Diff([]string{want.path + "?" + want.query}, got); diff != "" {
				t.Errorf("Tableau got another path or query (-want +got):\n%s", diff)
			}
		})
	}
}

// The host that a client names is Caddy's affair: Tableau is called by its own.
func TestTableauIsCalledByItsOwnName(t *testing.T) {
	r := newRig(t, setup{})
	r.raw(http.MethodGet, "GET "+workbooks+" HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"+authorization("alice")+"\r\n").expect(r, http.StatusOK)
	want := strings.TrimPrefix(r.URL, "https://")
	for _, e := range append(r.waitEntries(queryWorkbooks, 1), r.entries("sign_in")...) {
		if e.Host != want {
			t.Errorf("%s went to Host %s, want %s", e.Operation, e.Host, want)
		}
	}
}

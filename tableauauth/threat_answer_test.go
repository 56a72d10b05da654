package tableauauth

// The tests of this file are attacks by what comes back, and by what cannot be
// sent: answers that are huge or broken, bodies that are gone, sign-ins beyond
// their limits.

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// zipped is n zeros behind text, compressed.
func zipped(t *testing.T, text string, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(z, zeros{}, n); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zeros are zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestBombsInAnswers: of an answer that is looked into, no more is unpacked than
// an answer of Tableau's has.
func TestBombsInAnswers(t *testing.T) {
	bomb := zipped(t, "", 32<<20)
	plain, ok := decoded(bomb, "GZIP")
	if !ok || len(plain) != maxAnswer {
		t.Errorf("%d bytes were unpacked of a 401, want %d", len(plain), maxAnswer)
	}
	for name, body := range map[string][]byte{"no gzip": []byte("<tsResponse/>"), "broken gzip": bomb[:len(bomb)/2][:20], "empty": nil} {
		if _, ok := decoded(body, "gzip"); ok {
			t.Errorf("%s was unpacked", name)
		}
	}

	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	}))
	defer upstream.Close()
	client := &Client{Origin: upstream.URL, Transport: &http.Transport{}} // which unpacks by itself
	defer client.Transport.(*http.Transport).CloseIdleConnections()
	res, err := client.call(t.Context(), http.MethodPost, "/api/3.24/auth/signin", tableauapi.Secret{}, []byte("x"))
	if err != nil || res.body != nil {
		t.Errorf("%d bytes were kept of the answer to a sign-in, %v", len(res.body), err)
	}
}

// TestBrokenRejectionGoesOn: a 401 that says it is compressed and is not cannot be
// read, so the session is asked after, and the client gets what Tableau sent.
func TestBrokenRejectionGoesOn(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	toData := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		h := http.Header{"Content-Encoding": {"gzip"}}
		return &http.Response{StatusCode: http.StatusUnauthorized, Header: h, Body: io.NopCloser(strings.NewReader("not gzip")), Request: req}, nil
	})
	req, b := r.request(t, s, http.MethodGet, workbooks, "")
	res, content, err := roundTrip(t, &Transport{Base: toData}, req)
	if err != nil || res.StatusCode != http.StatusUnauthorized || content != "not gzip" || b.Session != s {
		t.Errorf("%v, %v: %q with %v", res, err, content, b.Session)
	}
}

// TestUsualTransport: without a Base requests go out by the usual transport, and
// under the same rules.
func TestUsualTransport(t *testing.T) {
	tableau := tableautest.New(tableautest.Options{})
	upstream := httptest.NewServer(tableau)
	defer upstream.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	app := (&rig{Tableau: tableau}).directTrust(t, tableau.ConnectedApp(testSite).Secrets...)
	pool, err := NewPool(Connection{Origin: upstream.URL, Credential: app}, PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close(t.Context())
	s, _, err := pool.Get(t.Context(), grant("alice"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := NewContext(t.Context(), &Binding{Pool: pool, Session: s})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, upstream.URL+"/api/metadata/graphql", strings.NewReader(`{"query":"{ workbooks { name } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	tableau.KillSessions(tableautest.SessionFilter{})
	var ended *EndedError
	if _, _, err := roundTrip(t, &Transport{ReplayBuffer: -1}, req); err != nil && !errors.As(err, &ended) {
		t.Errorf("%v, want a probe before the body, or the end of the session", err)
	}
	elsewhere, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:1/api/3.24/sites", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = roundTrip(t, new(Transport), elsewhere)
	if wrong := new(OriginError); !errors.As(err, &wrong) || !strings.Contains(err.Error(), upstream.URL) || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("got %v, want an error with both origins", err)
	}
}

// TestBodyThatIsGone: a body whose beginning was not kept is not sent again by
// anybody, be it net/http on a new connection.
func TestBodyThatIsGone(t *testing.T) {
	k, src := kept(4, strings.NewReader("12345678"))
	first, err := k.rewound()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := first.Read(make([]byte, 4)); n != 4 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	again, err := k.rewound()
	if err != nil {
		t.Fatalf("after as much as is kept: %v", err)
	}
	if content, err := io.ReadAll(again); string(content) != "12345678" || err != nil {
		t.Errorf("the second attempt got %q, %v", content, err)
	}
	if _, err := k.rewound(); !errors.Is(err, errBodyGone) {
		t.Errorf("after more than is kept: %v", err)
	}
	_ = again.Close()
	k.settle()
	if src.closed != 1 {
		t.Errorf("the body was closed %d times", src.closed)
	}
	var none *keptBody
	if none.attempt() != nil || !none.again() {
		t.Error("no body cannot be sent again")
	}
}

// TestGateWithNoRoom: what would wait for the rate waits in the queue, or, where
// that is full, not at all; and who has left the queue does not leave it twice.
func TestGateWithNoRoom(t *testing.T) {
	now := time.Now()
	limits := SignInLimits{Rate: 0.1, Queue: 1, Wait: time.Hour}
	g := newGate(limits)
	g.use(limits) // changes nothing: who waits is not forgotten
	for i := range limits.withDefaults().burst() {
		if delay, refused := g.reserve(Key{byte(i)}, now); delay != 0 || refused != nil {
			t.Fatalf("sign-in %d: %v, %v", i, delay, refused)
		}
	}
	if delay, refused := g.reserve(Key{100}, now); delay == 0 || refused != nil {
		t.Errorf("the one that waits: %v, %v", delay, refused)
	}
	_, refused := g.reserve(Key{101}, now)
	if refused == nil || refused.Reason != Limited || refused.RetryAfter < time.Second || !strings.Contains(refused.Error(), "1 sign-ins are waiting") {
		t.Errorf("the one beyond the queue: %v", refused)
	}
	if g.giveUp(make(chan struct{})) {
		t.Error("somebody left a queue that they were not in")
	}
}

// TestLargeBodyWithoutASession: a body that can be sent only once does not leave
// when its session is dead and no other is to be had; where nobody knows, it does.
func TestLargeBodyWithoutASession(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault tableautest.Match
		dead  bool
		sent  int
	}{
		{"dead, and signing in is refused", tableautest.Match{SignIn: true}, true, 0},
		{"the probe says nothing", tableautest.Match{Operation: "get_current_server_session"}, false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tableautest.Options{}, PoolOptions{})
				s := r.session(t, "alice")
				if test.dead {
					r.KillSessions(tableautest.SessionFilter{})
				}
				time.Sleep(quietLimit)
				r.AddFault(tableautest.Fault{Match: test.fault, Refuse: &tableautest.Refusal{Code: "503000"}})
				r.ResetJournal()
				req, _ := r.request(t, s, http.MethodPost, "", strings.Repeat("x", 2000))
				req.URL.Path = "/api/metadata/graphql"
				_, _, err := roundTrip(t, &Transport{Base: r.base, ReplayBuffer: 100}, req)
				if failed := failedWith(Unavailable, []error{err}) == 1; failed != test.dead {
					t.Errorf("got %v", err)
				}
				if n := len(r.entries("metadata_graphql")); n != test.sent {
					t.Errorf("the body was sent %d times, want %d", n, test.sent)
				}
				r.ClearFaults()
			})
		})
	}
	if (&EndedError{}).Error() == "" {
		t.Error("the end of a session is not explained")
	}
}

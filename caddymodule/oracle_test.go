package caddymodule

// This file holds the cross-user oracle: many users ask at once, through the
// whole of Caddy, their requests are cancelled at any byte and their sessions
// end; and nobody gets a byte of another's. The oracle of package tableauauth
// does the same without Caddy, for longer.

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

var oracleTime = flag.Duration("oracle.time", 0, "how long the cross-user oracle runs (default 15s in CI and under make, else 3s)")

const (
	oracleUsers  = 200
	oracleReplay = 4 << 10
	headerUser   = "X-Oracle-User" // which Tableau does not get
	headerNonce  = "X-Oracle-Nonce"
)

// TestCrossUserOracle: no request gets anything of another's.
func TestCrossUserOracle(t *testing.T) {
	length := *oracleTime
	switch {
	case length > 0:
	case !testing.Short() && (os.Getenv("CI") == "true" || os.Getenv("MAKELEVEL") != ""):
		length = 15 * time.Second
	default:
		length = 3 * time.Second
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	o := newOracle(t)
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	var all sync.WaitGroup
	for i, rt := range o.transports() {
		for j := range 12 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(100*i+j)))
				users := rand.NewZipf(random, 1.1, 4, oracleUsers-1)
				for n := 0; ctx.Err() == nil; n++ {
					o.request(rt, random, draw(random, int(users.Uint64()), fmt.Sprintf("%d.%d.%d", i, j, n)))
				}
			})
		}
	}
	all.Go(func() { o.killer(ctx, rand.New(rand.NewPCG(seed, 1000))) })
	all.Wait()
	o.judge(t)
}

// An oracleRig is a rig whose Tableau answers with what it knows of each request.
type oracleRig struct {
	*rig
	t                                  *testing.T
	signIns                            atomic.Int64
	h1, h2, left, killed, ended, twice atomic.Int64
}

func newOracle(t *testing.T) *oracleRig {
	o := &oracleRig{t: t, rig: newRig(t, tableautest.Options{AcceptUser: func(string) bool { return true }})}
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(o.tableau))
	upstream.EnableHTTP2 = true
	upstream.StartTLS() // with the certificate that every httptest.Server has
	t.Cleanup(upstream.Close)
	o.URL = upstream.URL
	config := o.caddyfile(setup{
		global: "\tservers {\n\t\tprotocols h1 h2c\n\t}",
		before: "\theader X-Before yes",
		options: fmt.Sprintf("\t\tsite finance\n\t\tuser {http.request.header.%s}\n\t\tidentity_headers any\n\t\tscopes tableau:content:read tableau:workbooks:create\n\t\treplay_buffer %dKiB",
			headerUser, oracleReplay>>10),
	})
	adapted, err := adapt(strings.Replace(config, "level DEBUG", "level ERROR", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	// Before the upstream server ends, since it is asked to sign out.
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// transports returns one for HTTP/1.1 and one for HTTP/2.
func (o *oracleRig) transports() []http.RoundTripper {
	var both []http.RoundTripper
	for i := range 2 {
		rt := &http.Transport{Protocols: new(http.Protocols), MaxIdleConnsPerHost: 32, DisableCompression: true}
		rt.Protocols.SetHTTP1(i == 0)
		rt.Protocols.SetUnencryptedHTTP2(i == 1)
		o.t.Cleanup(rt.CloseIdleConnections)
		both = append(both, rt)
	}
	return both
}

// A wish is one request: whose, which, and what the client is going to do.
type wish struct {
	user, nonce  string
	sends, wants int // lines
	hold         string
	leaves       string
}

// draw decides what is asked for, and whether the client leaves: 30 in 100 do.
func draw(random *rand.Rand, user int, nonce string) wish {
	lines := func() int {
		if random.IntN(100) == 0 {
			return 1000
		}
		return 1 + random.IntN(20)
	}
	w := wish{user: fmt.Sprintf("user%03d", user), nonce: nonce, wants: lines()}
	switch roll := random.IntN(10); roll {
	case 0, 1, 2:
		w.leaves = []string{"body", "wait", "answer"}[roll]
	}
	if w.leaves == "body" || random.IntN(10) < 4 {
		w.sends = lines()
	}
	if random.IntN(2) == 0 {
		w.hold = w.leaves
	}
	return w
}

// content is n lines that each carry the user and the nonce of the request.
func content(user, nonce string, n int) []byte {
	return bytes.Repeat([]byte(user+" "+nonce+"\n"), n)
}

var errLeaves = errors.New("the client leaves")

// build makes the request.
func (o *oracleRig) build(ctx context.Context, random *rand.Rand, w wish) *http.Request {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if w.sends > 0 {
		whole := content(w.user, w.nonce, w.sends)
		method, body = http.MethodPost, bytes.NewReader(whole)
		if w.leaves == "body" {
			body = io.MultiReader(bytes.NewReader(whole[:random.IntN(len(whole))]), failing{})
		}
	}
	url := fmt.Sprintf("http://%s%s?o=%s,%s,%d,%d,%s", o.address, workbooks, w.user, w.nonce, w.sends, w.wants, w.hold)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		panic(err)
	}
	req.Header.Set(headerUser, w.user)
	req.Header.Set(headerNonce, w.nonce)
	return req
}

// failing is a body whose client leaves.
type failing struct{}

// Read implements io.Reader.
func (failing) Read([]byte) (int, error) { return 0, errLeaves }

// request makes a request and checks every byte that comes back.
func (o *oracleRig) request(rt http.RoundTripper, random *rand.Rand, w wish) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	if w.leaves == "wait" {
		defer time.AfterFunc(rand.N(5*time.Millisecond), leave).Stop()
	}
	res, err := rt.RoundTrip(o.build(ctx, random, w))
	if err != nil {
		o.gone(w, err)
		return
	}
	defer res.Body.Close()
	want := content(w.user, w.nonce, w.wants)
	if res.StatusCode != http.StatusOK {
		o.refused(res, w)
		return
	}
	if got := res.Header.Get("X-Oracle"); got != w.user+" "+w.nonce {
		o.t.Errorf("%v: the head of another answer: %q", w, got)
	}
	body := io.Reader(res.Body)
	if w.leaves == "answer" {
		body = io.LimitReader(body, 1+random.Int64N(int64(len(want)+1)/2))
	}
	got, err := io.ReadAll(body)
	switch {
	case !bytes.HasPrefix(want, got):
		o.t.Errorf("%v: another's answer: %.200q", w, got)
	case w.leaves == "answer":
		o.left.Add(1)
	case err != nil:
		o.gone(w, err)
		return
	case len(got) != len(want):
		o.t.Errorf("%v: %d of %d bytes", w, len(got), len(want))
	}
	if res.ProtoMajor == 2 {
		o.h2.Add(1)
	} else {
		o.h1.Add(1)
	}
}

// gone counts a request without an answer, which the client must have left.
func (o *oracleRig) gone(w wish, err error) {
	o.left.Add(1)
	if w.leaves == "body" || w.leaves == "wait" && errors.Is(err, context.Canceled) {
		return
	}
	o.t.Errorf("%v: %v", w, err)
}

// refused counts requests whose session was ended twice, or whose body was not
// kept.
func (o *oracleRig) refused(res *http.Response, w wish) {
	a, _ := readAnswer(res)
	switch {
	case w.leaves == "body":
		o.left.Add(1)
	case a.status == http.StatusUnauthorized && a.code() == "":
		o.twice.Add(1)
	case a.status == http.StatusUnauthorized && a.code() == refuseEnded.code && len(content(w.user, w.nonce, w.sends)) > oracleReplay:
		o.ended.Add(1)
	default:
		o.t.Errorf("%v: status %d, code %q: %s", w, a.status, a.code(), a.body)
	}
}

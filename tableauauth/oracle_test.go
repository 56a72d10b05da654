package tableauauth

// This file holds the cross-user oracle: many users, whose requests run through
// the whole chain at once, are cancelled at any byte, and find their sessions
// ended; and not one byte of an answer may be another's.
//
//	go test -race -run TestCrossUserOracle ./tableauauth
//	go test -run TestCrossUserOracle -timeout 2h ./tableauauth -args \
//		-oracle.answers=10000000 -oracle.report=docs/reports/oracle.md

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

var (
	oracleTime    = flag.Duration("oracle.time", 0, "how long the cross-user oracle runs (default 60s in CI and under make, else 5s)")
	oracleAnswers = flag.Int64("oracle.answers", 0, "run the cross-user oracle until so many answers are checked")
	oracleUsers   = flag.Int("oracle.users", 10_000, "users of the cross-user oracle")
	oracleSeed    = flag.Uint64("oracle.seed", 0, "seed of the cross-user oracle (default: by the time)")
	oracleReport  = flag.String("oracle.report", "", "write the counts of the cross-user oracle to this Markdown file")
)

const (
	// oracleReplay is smaller than the largest bodies.
	oracleReplay = 32 << 10

	oracleClientsH1, oracleClientsH2 = 6, 96
	oracleConnectionsH2              = 4

	headerRefused = "X-Oracle-Refused"
	refusedEnded  = "ended"
)

// TestCrossUserOracle: no request gets anything of another's, whatever happens
// around it.
func TestCrossUserOracle(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	seed := *oracleSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-oracle.seed=%d", seed)
	o := newOracle(t, seed)
	began := time.Now()
	o.run(t, oracleLength())
	o.took = time.Since(began)
	o.end(t)
	o.judge(t)
	if *oracleReport != "" {
		o.report(t, *oracleReport)
	}
}

// oracleLength is how long the oracle runs, if it is not a number of answers
// that ends it.
func oracleLength() time.Duration {
	switch {
	case *oracleAnswers > 0:
		return 24 * time.Hour
	case *oracleTime > 0:
		return *oracleTime
	case !testing.Short() && (os.Getenv("CI") == "true" || os.Getenv("MAKELEVEL") != ""):
		return time.Minute
	default:
		return 5 * time.Second
	}
}

// An oracle is clients, the chain, and a Tableau.
type oracle struct {
	seed    uint64
	tableau *oracleTableau
	pool    *Pool
	proxy   *httptest.Server
	clients []*oracleClient
	seen    []atomic.Bool
	faults  faultLog // as the clients see them

	answers            atomic.Int64
	replayed, recovers atomic.Int64
	signIns            atomic.Int64 // as the pool counts them
	refusedSignIns     atomic.Int64
	took               time.Duration
	total              oracleCounts
	close              []func()
}

func newOracle(t *testing.T, seed uint64) *oracle {
	o := &oracle{seed: seed, tableau: newOracleTableau(*oracleUsers), seen: make([]atomic.Bool, *oracleUsers)}
	identity, roots := oracleIdentity(t)
	upstream := serve(o.tableau, identity)
	o.close = append(o.close, upstream.Close)
	h1, h2 := transports(roots)
	o.close = append(o.close, h1.CloseIdleConnections, h2.CloseIdleConnections)

	app, err := NewDirectTrust(oracleClientID, ConnectedAppSecret{ID: "oracle-secret", Value: tableauapi.NewSecret(oracleSecret)})
	if err != nil {
		t.Fatal(err)
	}
	o.pool, err = NewPool(Connection{Origin: upstream.URL, Credential: app}, PoolOptions{
		Client: Client{Transport: h2},
		// So many sessions end that the defaults would refuse to follow.
		Limits:     SignInLimits{Rate: 1e6, PerGrant: 1e6, InFlight: 256, Queue: 100_000, Wait: time.Minute},
		RenewAfter: 20 * time.Second, // so that renewals happen, too
		Observer: Observer{
			SignIn: func(e SignInEvent) {
				if e.Err != nil {
					o.refusedSignIns.Add(1)
				}
				o.signIns.Add(1)
			},
			Recover: func(e RecoverEvent) {
				o.recovers.Add(1)
				if e.Replayed {
					o.replayed.Add(1)
				}
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.proxy = serve(o.front(upstream.URL, h1, h2), identity)
	o.addClients(roots)
	return o
}

// front is the chain as a program has it: who asks, as whom, and the reverse
// proxy with the transport.
func (o *oracle) front(origin string, h1, h2 http.RoundTripper) http.Handler {
	target, _ := url.Parse(origin)
	var proxies [2]*httputil.ReverseProxy
	for i, base := range []http.RoundTripper{h1, h2} {
		proxies[i] = &httputil.ReverseProxy{
			Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport:    &Transport{Base: base, ReplayBuffer: oracleReplay},
			BufferPool:   &oracleBuffers{},
			ErrorHandler: oracleRefuse,
			ErrorLog:     quiet,
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := Binding{Pool: o.pool}
		defer b.Release()
		if _, err := b.Acquire(r.Context(), grant(r.Header.Get(headerOracleUser))); err != nil {
			oracleRefuse(w, r, err)
			return
		}
		over := 1
		if asked, ok := parseWish(r.URL.RawQuery); ok && asked.overH1() {
			over = 0
		}
		proxies[over].ServeHTTP(w, r.WithContext(NewContext(r.Context(), &b)))
	})
}

// oracleRefuse answers for the chain.
func oracleRefuse(w http.ResponseWriter, _ *http.Request, err error) {
	if _, ended := errors.AsType[*EndedError](err); ended {
		w.Header().Set(headerRefused, refusedEnded)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set(headerRefused, "failed")
	http.Error(w, err.Error(), http.StatusBadGateway)
}

// quiet drops what servers and proxies say of clients that have gone.
var quiet = log.New(discard{}, "", 0)

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// oracleBuffers lends buffers from one request to the next, as the product does.
type oracleBuffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *oracleBuffers) Get() []byte {
	if v, ok := b.pool.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, 8<<10)
}

// Put implements httputil.BufferPool.
func (b *oracleBuffers) Put(v []byte) { b.pool.Put(&v) }

// addClients makes the clients, of which many share a connection.
func (o *oracle) addClients(roots *x509.CertPool) {
	host := o.proxy.Listener.Addr().String()
	add := func(rt *http.Transport, n int) {
		h2 := rt.Protocols.HTTP2()
		o.close = append(o.close, rt.CloseIdleConnections)
		for range n {
			id := uint64(len(o.clients) + 1)
			random := rand.New(rand.NewPCG(o.seed, id))
			o.clients = append(o.clients, &oracleClient{
				transport: rt, h2: h2, host: host, random: random, id: id, seen: o.seen, faults: &o.faults,
				users: rand.NewZipf(random, 1.1, 4, uint64(len(o.seen)-1)),
			})
		}
	}
	h1, _ := transports(roots)
	add(h1, oracleClientsH1)
	for range oracleConnectionsH2 {
		_, h2 := transports(roots)
		add(h2, oracleClientsH2/oracleConnectionsH2)
	}
}

// run makes requests, and ends sessions, until the time is over or enough
// answers are checked.
func (o *oracle) run(t *testing.T, length time.Duration) {
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var all sync.WaitGroup
	for _, c := range o.clients {
		all.Go(func() {
			for before := int64(0); ctx.Err() == nil; before = c.counts.Answers {
				c.request()
				if n := o.answers.Add(c.counts.Answers - before); *oracleAnswers > 0 && n >= *oracleAnswers {
					stop()
				}
			}
		})
	}
	all.Go(func() { o.killer(ctx, t) })
	all.Wait()
}

// killer ends sessions every second: those of the users who ask most and some
// of the others; and now and then all of them. Once a minute it says how far the
// oracle has come.
func (o *oracle) killer(ctx context.Context, t *testing.T) {
	random := rand.New(rand.NewPCG(o.seed, 0))
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for second := 1; ; second++ {
		select {
		case <-ticker.C:
			if second%60 == 0 {
				t.Logf("%d answers", o.answers.Load())
			}
			all := random.IntN(20) == 0
			o.tableau.kill(func(user uint32) bool { return all || user < 10 || random.IntN(20) == 0 })
		case <-ctx.Done():
			return
		}
	}
}

// end closes everything.
func (o *oracle) end(t *testing.T) {
	o.proxy.CloseClientConnections()
	o.proxy.Close()
	if ended, left := o.pool.Close(context.Background()); left > 0 {
		t.Errorf("%d sessions were signed out, %d could not be", ended, left)
	}
	for _, end := range slices.Backward(o.close) {
		end()
	}
	for _, c := range o.clients {
		o.total.add(c.counts)
	}
}

// judge says what was wrong.
func (o *oracle) judge(t *testing.T) {
	for who, faults := range map[string]*faultLog{"a client": &o.faults, "Tableau": &o.tableau.faults} {
		n, first := faults.list()
		for _, what := range first {
			t.Errorf("seen by %s: %s", who, what)
		}
		if n > 0 {
			t.Errorf("seen by %s: %d faults", who, n)
		}
	}
	c := o.total
	if n := o.tableau.stuck.Load(); n > 0 {
		t.Errorf("Tableau was not told that the client of %d requests had gone", n)
	}
	if n := o.tableau.live.Load(); n != 0 {
		t.Errorf("%d sessions were forgotten", n)
	}
	if n := o.refusedSignIns.Load(); n > 0 {
		t.Errorf("%d sign-ins failed", n)
	}
	for what, n := range map[string]int64{
		"answers over HTTP/1.1": c.H1, "answers over HTTP/2": c.H2, "answers to requests with a body": c.Posts,
		"cancellations while sending": c.LeftBody, "cancellations while waiting": c.LeftWait, "cancellations while reading": c.LeftAnswer,
		"ended sessions": o.tableau.killed.Load(), "replays": o.replayed.Load(),
	} {
		if n == 0 {
			t.Errorf("no %s: the oracle has seen nothing", what)
		}
	}
	t.Logf("%d answers checked, %.0f a second; %+v", c.Answers, float64(c.Answers)/o.took.Seconds(), c)
	t.Logf("%d killed, %d sign-ins, %d recoveries, %d replays", o.tableau.killed.Load(), o.signIns.Load(), o.recovers.Load(), o.replayed.Load())
}

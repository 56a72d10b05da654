package tableauauth

// This file lives a planned day: it sends the requests, starts the faults,
// loads configurations anew, and closes everything at the end.

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A sim is a day under way. Everything in it is guarded by mu, but for what
// only the day's own goroutine uses.
type sim struct {
	plan  *simPlan
	start time.Time

	mu       sync.Mutex
	names    map[string]int // of grants
	sessions map[string]*simSession
	all      []*simSession
	byJTI    map[string]*simSession
	byID     map[string]*simSession // by the pool's name of it
	jtis     map[string]bool
	secrets  map[string]bool // IDs
	faults   []*simFault     // that have begun
	offset   time.Duration   // Tableau's clock minus ours
	movedAt  time.Time       // when it was last set

	pools  []*simPool
	pool   *simPool // that new requests go to
	asking map[*simAsk]struct{}
	bodies []*simBody
	gone   sync.WaitGroup // requests and closing pools

	renewedAt []time.Duration // the sessions of a herd
	lastLook  time.Time       // for forgotten sessions

	events []simEvent
	broken []string
	counts simCounts
}

// A simPool is a pool with what is known of it from outside.
type simPool struct {
	*Pool
	n         int
	transport *Transport
	gen       int
	genSince  time.Time
	keys      map[int]*simKey
	flying    int
	fullAt    time.Time    // when no other sign-in had room, last
	flights   []*simFlight // that have ended, in this order
	asking    sync.WaitGroup
	ageSafe   time.Duration // as learned, or 0
	idleSafe  time.Duration
	closing   time.Time // or zero
	closeBy   time.Time
	closed    bool
}

// A simKey is what is known of one grant in one pool.
type simKey struct {
	flights []*simFlight
	held    *simSession // the newest whose sign-in succeeded
	since   time.Time
	used    time.Time // last asked for
}

func (p *simPool) key(grant int) *simKey {
	k := p.keys[grant]
	if k == nil {
		k = &simKey{}
		p.keys[grant] = k
	}
	return k
}

type simAskKey struct{}

// A simAsk is a client's request under way.
type simAsk struct {
	*simRequest
	pool      *simPool
	transport *Transport
	ctx       context.Context
	body      *simBody
	slow      time.Duration // before each piece of the body

	began    time.Time
	sure     bool // a session is known to be there
	flags    simFlags
	sends    []*simSend
	probes   int
	accepted int
	hidden   bool // a 200 hid that the session had ended

	binding  *Binding
	signedIn bool
	got      time.Time // when Acquire returned, or zero
	gave     int       // the status of the answer
	owner    string
	err      error
}

type simFlags uint8

const (
	simHung simFlags = 1 << iota
	simCut
	simFault500
	simProbeUnknown
)

func (a *simAsk) flag(s *sim, f simFlags) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.flags |= f
}

func (s *sim) now() time.Duration { return time.Since(s.start) }

// newSim returns the day of a plan. It has to be made in the bubble of synctest
// that it lives in.
func newSim(plan *simPlan) *sim {
	s := &sim{
		plan: plan, start: time.Now(), names: map[string]int{}, sessions: map[string]*simSession{}, byJTI: map[string]*simSession{},
		byID: map[string]*simSession{}, jtis: map[string]bool{}, secrets: map[string]bool{}, asking: map[*simAsk]struct{}{},
	}
	for i, g := range plan.grants {
		s.names[simGrantName(g)] = i
	}
	s.counts.seeds = 1
	return s
}

// live lives the day.
func (s *sim) live() {
	s.pool = s.newPool()
	for i := range s.plan.steps {
		time.Sleep(s.plan.steps[i].at - s.now())
		s.check()
		s.step(&s.plan.steps[i])
	}
	time.Sleep(simDay - s.now())
	s.finish()
	if len(s.broken) > 0 {
		s.counts.failures = 1
	}
}

// newPool opens a pool with a secret that no pool had before.
func (s *sim) newPool() *simPool {
	p := &simPool{n: len(s.pools), keys: map[int]*simKey{}}
	id := fmt.Sprintf("secret-%d", p.n)
	s.mu.Lock()
	s.secrets[id] = true
	s.mu.Unlock()
	app, err := NewDirectTrust(simClientID, ConnectedAppSecret{ID: id, Value: tableauapi.NewSecret(simSecretValue(id))})
	if err != nil {
		panic(err)
	}
	opts := PoolOptions{
		RenewAfter: s.plan.renewAfter, IdleAfter: s.plan.idleAfter, Logger: slog.New(&simLog{s, p}),
		Client:   Client{Transport: &simWire{s, p, 0}},
		Observer: Observer{SignIn: func(e SignInEvent) { s.signedIn(p, e) }},
	}
	s.plan.tune(&opts)
	p.Pool, err = NewPool(Connection{Origin: "https://tableau.example", Credential: app}, opts)
	if err != nil {
		panic(err)
	}
	p.transport = &Transport{Base: &simWire{s, p, 0}, ReplayBuffer: simBuffer}
	s.pools = append(s.pools, p)
	return p
}

func simSecretValue(id string) string { return "the value of the secret with the ID " + id }

func (s *sim) step(step *simStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.steps[step.kind]++
	if step.kind != stepRequest {
		s.note(simStepNames[step.kind], s.pool.n, -1, -1, step.detail())
	}
	switch step.kind {
	case stepRequest:
		s.send(step.req)
	case stepFault:
		s.faults = append(s.faults, step.flt)
		s.counts.began[step.flt.kind]++
	case stepKill:
		s.kill(step.on)
	case stepClock:
		s.offset, s.movedAt = step.by, time.Now()
	case stepReload:
		s.reload()
	case stepTakeover:
		s.takeover()
	case stepRevoke:
		s.revoke(step.on)
	}
}

func (step *simStep) detail() string {
	switch step.kind {
	case stepRequest:
		return fmt.Sprintf("%+v", *step.req)
	case stepFault:
		return fmt.Sprintf("%s for %s until %v (slow %v, Retry-After %d)", step.flt.name(), step.flt.on, step.flt.until, step.flt.slow, step.flt.asks)
	case stepKill, stepRevoke:
		return step.on.String()
	case stepClock:
		return step.by.String()
	default:
		return ""
	}
}

func (s *sim) kill(on simTarget) {
	for _, t := range s.all {
		if s.expire(t); t.ended.IsZero() && on.covers(t.grant, s.plan.grants[t.grant]) {
			t.ended, t.how = time.Now(), "kill"
			s.counts.n[countKilled]++
		}
	}
}

// reload gives the pool another client, as a configuration does whose
// connection is the same.
func (s *sim) reload() {
	p := s.pool
	p.gen++
	p.genSince = time.Now()
	wire := &simWire{s, p, p.gen}
	p.transport = &Transport{Base: wire, ReplayBuffer: simBuffer}
	s.mu.Unlock()
	p.UseClient(Client{Transport: wire})
	s.mu.Lock()
}

// takeover opens a pool with another credential. The one before is closed when
// its requests are done, or after a grace period, and its secret deleted.
func (s *sim) takeover() {
	old := s.pool
	s.mu.Unlock()
	s.pool = s.newPool()
	s.mu.Lock()
	s.gone.Go(func() {
		done := make(chan struct{})
		go func() {
			old.asking.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
		}
		s.close(old, 45*time.Second)
		s.mu.Lock()
		delete(s.secrets, fmt.Sprintf("secret-%d", old.n))
		s.mu.Unlock()
		<-done
	})
}

func (s *sim) close(p *simPool, within time.Duration) {
	s.mu.Lock()
	p.closing, p.closeBy = time.Now(), time.Now().Add(within)
	s.note("close", p.n, -1, -1, "")
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	ended, left := p.Close(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.closed = true
	s.note("closed", p.n, -1, -1, fmt.Sprintf("%d sessions ended, %d left, took %v", ended, left, time.Since(p.closing)))
	s.closedPool(p, left, within)
}

// send sends a client's request, from a goroutine of its own.
func (s *sim) send(r *simRequest) {
	a := &simAsk{simRequest: r, pool: s.pool, transport: s.pool.transport, began: time.Now()}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), simAskKey{}, a), r.patience)
	a.ctx = ctx
	if r.cancel > 0 {
		time.AfterFunc(r.cancel, cancel)
	}
	if r.size > 0 {
		a.body = &simBody{id: r.id, size: r.size}
		if r.stream {
			a.slow = s.delay(callData, -4-r.id)
		}
		s.bodies = append(s.bodies, a.body)
	}
	s.asking[a] = struct{}{}
	s.counts.n[countRequests]++
	s.starting(a)
	s.gone.Add(1)
	a.pool.asking.Add(1)
	go func() {
		defer s.gone.Done()
		defer a.pool.asking.Done()
		defer cancel()
		a.err = s.perform(a)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.asking, a)
		s.answered(a)
	}()
}

// perform does what a proxy's handler does with a request.
func (s *sim) perform(a *simAsk) error {
	grant := s.plan.grants[a.grant]
	a.binding = &Binding{Pool: a.pool.Pool}
	defer a.binding.Release()
	var err error
	a.signedIn, err = a.binding.Acquire(a.ctx, grant)
	s.acquired(a)
	if err != nil {
		if a.body != nil {
			a.body.Close()
		}
		return err
	}
	req, err := a.request(a.binding.Session.SiteID())
	if err != nil {
		return err
	}
	res, err := a.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	a.gave = res.StatusCode
	answer, err := io.ReadAll(res.Body)
	a.owner = string(answer)
	return err
}

func (a *simAsk) request(site string) (*http.Request, error) {
	var body io.Reader
	if a.body != nil {
		body = a.body
	}
	url := "https://tableau.example/api/3.24/sites/" + site + "/workbooks"
	if a.metadata {
		url = "https://tableau.example/api/metadata/graphql"
	}
	req, err := http.NewRequestWithContext(NewContext(a.ctx, a.binding), a.method, url, body)
	if err == nil && a.body != nil && !a.stream {
		req.ContentLength = int64(a.size)
	} else if err == nil && a.body != nil {
		req.ContentLength = -1
	}
	return req, err
}

// signedIn is the pool's observer.
func (s *sim) signedIn(p *simPool, e SignInEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Session == nil {
		return
	}
	t := s.byJTI[e.JTI]
	if t == nil {
		s.failf("the pool %d has a session that Tableau did not begin", p.n)
		return
	}
	t.lost, t.good = false, time.Now()
	s.byID[e.Session.ID()] = t
	k := p.key(t.grant)
	k.held, k.since, k.used = t, time.Now(), time.Now()
}

// A simLog listens to what a pool says: which sessions it could not end, and
// which limits of Tableau's it has learned.
type simLog struct {
	*sim
	pool *simPool
}

// Enabled implements slog.Handler.
func (*simLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (l *simLog) Handle(_ context.Context, r slog.Record) error {
	var limit string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "session":
			l.notSignedOut(a.Value.Resolve().Group())
		case "limit":
			limit = a.Value.String()
		case "safe":
			l.learned(limit, a.Value.Duration())
		}
		return true
	})
	return nil
}

func (l *simLog) notSignedOut(session []slog.Attr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range session {
		if t := l.byID[a.Value.String()]; a.Key == "id" && t != nil {
			t.logged = true
		}
	}
}

func (l *simLog) learned(limit string, safe time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.n[countLearned]++
	l.note("learned", l.pool.n, -1, -1, limit+" "+safe.String())
	if limit == "idleness" {
		l.pool.idleSafe = safe
	} else {
		l.pool.ageSafe = safe
	}
}

// WithAttrs implements slog.Handler.
func (l *simLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *simLog) WithGroup(string) slog.Handler { return l }

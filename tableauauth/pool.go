package tableauauth

// This file keeps the live sessions of one connection: which request gets
// which, and when a sign-in runs.

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A Connection is where to sign in, and with what.
type Connection struct {
	// Origin is Tableau's scheme and authority; requests with a session go
	// there and nowhere else.
	Origin string
	// Credential proves who signs in.
	Credential Credential
	// Variant digests whatever else must not share sessions with other
	// connections, such as TLS settings. It may be "".
	Variant string
}

// Fingerprint identifies the connection: sessions are shared between pools
// and kept over a reload exactly if it is equal.
func (c Connection) Fingerprint() [sha256.Size]byte {
	credential := c.Credential.Fingerprint()
	return digest(c.Origin, c.Credential.Kind(), string(credential[:]), c.Variant)
}

// PoolOptions are the settings of a [Pool]. The zero value is ready to use.
type PoolOptions struct {
	// Client makes the calls about sessions. Its Origin is the connection's.
	Client Client

	// RenewAfter is the age from which a session in use is renewed in the
	// background, shortened at random by up to a tenth so that sessions that
	// began together do not end together. Default: 100 minutes, since Tableau
	// Cloud ends sessions after 120.
	RenewAfter time.Duration

	// IdleAfter is how long a session may be unused before it is signed out.
	// Default: 1 hour.
	IdleAfter time.Duration

	// SeatWait is how long a request waits for a session to become free, where
	// the credential is [Seated] and others use all it can have. Default: 30
	// seconds.
	SeatWait time.Duration

	// Logger gets the full text of what goes wrong. If nil, nothing is logged.
	Logger *slog.Logger

	// Observer is told what happens.
	Observer Observer
}

const (
	defaultRenewAfter = 100 * time.Minute
	defaultIdleAfter  = time.Hour

	// sweepEvery is how often idle and replaced sessions are looked for.
	sweepEvery = time.Minute

	// retireAfter is how long a renewed session is kept alive for requests
	// that were already sent with it.
	retireAfter = 10 * time.Minute

	// How long a refusal is remembered for its key: somebody who retries in a
	// loop must not make us knock at Tableau each time, and somebody who has
	// mended the cause must not wait long.
	rememberPermanent = 15 * time.Second
	rememberPassing   = 2 * time.Second

	// maxBarren is how many sessions in a row may be replaced without one
	// answer from Tableau that accepted them. More, and something accepts
	// sign-ins but no requests: signing in again cannot help.
	maxBarren = 3

	shards = 64
)

// ErrPoolClosed is returned for sessions that are asked for after Close.
var ErrPoolClosed = errors.New("the session pool is closed")

// A Pool holds the live sessions of one connection. Requests with the same
// grant share a session; at most one sign-in runs for a grant at any time,
// however many requests wait for it; no session is ever given to another
// grant. (Of an [Account], grants that differ in what means nothing to it are
// one.) It starts one goroutine, which ends with Close.
type Pool struct {
	conn    Connection
	origin  *url.URL
	print   [sha256.Size]byte
	opts    PoolOptions
	client  atomic.Pointer[Client]
	clock   *clock
	shards  [shards]shard
	siteIDs sync.Map // content URL as configured -> LUID, as far as seen

	account      Account    // the credential, if it is one
	impersonates bool       // and whether it does
	guard        Guarded    // the credential, if it is one
	userIDs      knownUsers // name -> LUID
	owners       knownUsers // LUID -> name

	seating     *seating // nil if the credential is not Seated; what follows then goes unused
	seats       []*seat
	seatsClosed bool // guarded by the seating's lock

	ctx     context.Context // sign-ins run on it, not on a request's
	cancel  context.CancelFunc
	flying  sync.WaitGroup // sign-ins under way
	sweeper sync.WaitGroup
	closing chan struct{} // closed by Close
	once    sync.Once

	retiredMu sync.Mutex
	retired   []retiredSession
}

// A shard is a part of the pool under its own lock.
type shard struct {
	mu       sync.RWMutex
	closed   bool
	sessions map[Key]*Session
	flights  map[Key]*flight
	refusals map[Key]refusal
}

// A flight is one sign-in under way, with everybody who waits for it.
type flight struct {
	key     Key
	grant   Grant
	barren  int
	done    chan struct{} // closed when session and err are set
	session *Session
	err     error
	landed  bool // there was no need to sign in
}

type refusal struct {
	err   *SignInError
	until time.Time
}

type retiredSession struct {
	session *Session
	at      time.Time
}

// NewPool returns a pool for c. Close must be called to end its sessions.
func NewPool(c Connection, opts PoolOptions) (*Pool, error) {
	if c.Origin == "" || c.Credential == nil {
		return nil, errors.New("a session pool needs an origin and a credential")
	}
	if opts.RenewAfter <= 0 {
		opts.RenewAfter = defaultRenewAfter
	}
	if opts.IdleAfter <= 0 {
		opts.IdleAfter = defaultIdleAfter
	}
	if opts.SeatWait <= 0 {
		opts.SeatWait = defaultSeatWait
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	origin, err := ParseOrigin(c.Origin)
	if err != nil {
		return nil, err
	}
	p := &Pool{
		conn: c, origin: origin, print: c.Fingerprint(), opts: opts, closing: make(chan struct{}),
		clock: &clock{logger: opts.Logger, observer: opts.Observer},
	}
	p.UseClient(opts.Client)
	for i := range p.shards {
		p.shards[i].sessions = make(map[Key]*Session)
		p.shards[i].flights = make(map[Key]*flight)
		p.shards[i].refusals = make(map[Key]refusal)
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.guard, _ = c.Credential.(Guarded)
	if p.account, _ = c.Credential.(Account); p.account != nil {
		p.impersonates = p.account.Impersonates()
	}
	p.takeSeats()
	p.sweeper.Go(p.sweepUntilClosed)
	return p, nil
}

// UseClient makes the pool use c for its calls from now on, with the
// connection's origin. A program that reloads its configuration calls it with
// the new transport.
func (p *Pool) UseClient(c Client) {
	c.Origin, c.clock = p.conn.Origin, p.clock
	p.client.Store(&c)
}

// Origin returns the only origin to which the pool's sessions may be sent.
func (p *Pool) Origin() string { return p.conn.Origin }

// Len returns the number of live sessions, without those that a newer one has
// replaced.
func (p *Pool) Len() int {
	n := 0
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.RLock()
		n += len(sh.sessions)
		sh.mu.RUnlock()
	}
	if p.seating != nil {
		n += p.seating.count(p)
	}
	return n
}

// narrow returns what of g makes a session of the credential another one.
func (p *Pool) narrow(g Grant) Grant {
	if p.account == nil {
		return g
	}
	narrow := Grant{Site: g.Site}
	if p.impersonates {
		narrow.User = g.User
	}
	return narrow
}

// SiteID returns the LUID of the site with this content URL, if a sign-in to
// it has been seen.
func (p *Pool) SiteID(contentURL string) (luid string, ok bool) {
	v, ok := p.siteIDs.Load(contentURL)
	if !ok {
		return "", false
	}
	return v.(string), true
}

// Get returns the live session for g, signing in if there is none. signedIn
// tells whether the caller waited for a sign-in. The sign-in itself does not
// end with ctx: others may wait for it too.
//
// A session of a [Seated] credential may be ended for somebody else's sake as
// soon as Get has returned: use [Binding.Acquire] to send a request with it.
//
// The error is a *SignInError, a *NoSeatError, ctx's error, or [ErrPoolClosed].
func (p *Pool) Get(ctx context.Context, g Grant) (s *Session, signedIn bool, err error) {
	if p.account != nil {
		g = p.narrow(g)
	}
	if p.seating != nil {
		if s, signedIn, err = p.sit(ctx, g, nil); err == nil {
			p.seating.release(s)
		}
		return s, signedIn, err
	}
	key := g.key(p.print)
	sh := p.shard(key)
	now := time.Now()

	sh.mu.RLock()
	s = sh.sessions[key]
	sh.mu.RUnlock()
	if s != nil && s.key == key {
		s.used(now.UnixNano())
		if now.UnixNano() >= s.renewAt {
			p.renew(sh, key, g, now)
		}
		return s, false, nil
	}

	f, err := p.join(sh, key, g, nil)
	if err != nil {
		return nil, false, err
	}
	return f.wait(ctx)
}

// Replace returns a session other than dead, which Tableau no longer accepts.
// However many requests find the same session dead, one sign-in replaces it;
// a request that comes later with the same dead session gets the new one.
func (p *Pool) Replace(ctx context.Context, dead *Session) (*Session, error) {
	if dead.lease != nil {
		return (&Binding{Pool: p, Session: dead}).replaceSeated(ctx)
	}
	sh := p.shard(dead.key)
	f, err := p.join(sh, dead.key, dead.grant, dead)
	if err != nil {
		return nil, err
	}
	s, _, err := f.wait(ctx)
	return s, err
}

// successor returns the session that has taken the place of dead, or nil.
func (p *Pool) successor(dead *Session) *Session {
	if dead.lease != nil {
		return p.seating.successor(dead)
	}
	sh := p.shard(dead.key)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if s := sh.sessions[dead.key]; s != dead {
		return s
	}
	return nil
}

// join returns the flight to wait for: a finished one if there is a session
// other than dead by now, the one under way, or a new one.
func (p *Pool) join(sh *shard, key Key, g Grant, dead *Session) (*flight, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return nil, ErrPoolClosed
	}
	if s := sh.sessions[key]; s != nil && s != dead {
		return landed(s), nil
	}
	delete(sh.sessions, key)
	if f := sh.flights[key]; f != nil {
		return f, nil
	}
	now := time.Now()
	if r, ok := sh.refusals[key]; ok && now.Before(r.until) {
		return nil, r.err
	}
	barren := dead.barrenLine()
	if barren >= maxBarren {
		refused := &SignInError{Reason: Barren}
		sh.refusals[key] = refusal{err: refused, until: now.Add(rememberPermanent)}
		return nil, refused
	}
	return p.launch(sh, key, g, barren), nil
}

// renew starts a sign-in in the background if none runs and none was refused
// just now. Whoever asked goes on with the session there is.
func (p *Pool) renew(sh *shard, key Key, g Grant, now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed || sh.flights[key] != nil || now.Before(sh.refusals[key].until) {
		return
	}
	p.launch(sh, key, g, 0)
}

// launch starts a sign-in. The shard's lock is held.
func (p *Pool) launch(sh *shard, key Key, g Grant, barren int) *flight {
	f := &flight{key: key, grant: g, barren: barren, done: make(chan struct{})}
	sh.flights[key] = f
	p.flying.Go(func() { p.fly(sh, f) })
	return f
}

// fly runs one sign-in to its end and publishes the outcome.
func (p *Pool) fly(sh *shard, f *flight) {
	s, err := p.signIn(f.key, f.grant, noSeat)

	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.flights, f.key)
	f.session, f.err = s, err
	defer close(f.done)

	if s == nil {
		p.remember(sh, f.key, err)
		return
	}
	delete(sh.refusals, f.key)
	s.barren = f.barren
	if old := sh.sessions[f.key]; old != nil {
		p.retire(old)
	}
	// A closed pool keeps it too: Close waits for flights, then signs out.
	sh.sessions[f.key] = s
}

// remember notes a failed sign-in.
func (p *Pool) remember(sh *shard, key Key, err error) {
	if r, ok := p.refusalOf(err); ok {
		sh.refusals[key] = r
	}
}

// refusalOf returns what is to be remembered of a failed sign-in: nothing, if
// it failed because we are closing.
func (p *Pool) refusalOf(err error) (refusal, bool) {
	var failure *SignInError
	if !errors.As(err, &failure) || p.ctx.Err() != nil {
		return refusal{}, false
	}
	keep := rememberPassing
	if failure.Permanent() {
		keep = rememberPermanent
	}
	return refusal{err: failure, until: time.Now().Add(max(keep, failure.RetryAfter))}, true
}

// wait waits for the flight or for ctx, whichever ends first.
func (f *flight) wait(ctx context.Context) (s *Session, signedIn bool, err error) {
	select {
	case <-f.done:
		if f.err != nil {
			return nil, true, f.err
		}
		f.session.used(time.Now().UnixNano())
		return f.session, !f.landed, nil
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// landed is a flight that is over already: s was there.
func landed(s *Session) *flight { return &flight{done: closedChan, session: s, landed: true} }

func (p *Pool) shard(k Key) *shard { return &p.shards[k[0]%shards] }

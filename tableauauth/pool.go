package tableauauth

// This file holds the pool of the live sessions of one connection, and what it
// can be told.

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash/maphash"
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

	// MaxSessions bounds the live sessions. One more, and another that was not
	// used for long is taken out and signed out some minutes later.
	// Default: 100 000.
	MaxSessions int

	// Limits bound the sign-ins.
	Limits SignInLimits

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

	defaultMaxSessions = 100_000

	// How long a refusal is remembered for its key: somebody who retries in a
	// loop must not make us knock at Tableau each time, and somebody who has
	// mended the cause must not wait long.
	rememberPermanent = 15 * time.Second
	rememberPassing   = 2 * time.Second

	// maxBarren is how many sessions in a row may be replaced without one
	// answer from Tableau that accepted them. More, and something accepts
	// sign-ins but no requests: signing in again cannot help. Where sessions are
	// ended every second, three in a row do happen to end before their first
	// answer (docs/reports/oracle.md); six do not.
	maxBarren = 6

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
	began   time.Time
	opts    PoolOptions
	client  atomic.Pointer[Client]
	clock   *clock
	gate    *gate
	life    lifespan
	seed    maphash.Seed
	shards  [shards]shard
	live    atomic.Int64 // sessions in the shards
	room    atomic.Int64 // for so many
	siteIDs sync.Map     // content URL as configured -> LUID, as far as seen
	common  commonTerms

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
	retired retirement
}

// A shard is a part of the pool under its own lock. Sessions are found by a
// hash of their grant, and are asked whose they are: should two grants ever
// have the same, the session of one takes the place of the other's. What has
// to be exact goes by the digest.
type shard struct {
	mu       sync.RWMutex
	closed   bool
	sessions map[uint64]*Session
	flights  map[Key]*flight
	refusals map[Key]refusal
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
		conn: c, origin: origin, print: c.Fingerprint(), began: time.Now(), opts: opts, closing: make(chan struct{}),
		clock: &clock{logger: opts.Logger, observer: opts.Observer},
		gate:  newGate(opts.Limits), seed: maphash.MakeSeed(),
	}
	p.life.age.name, p.life.idle.name = "lifetime", "idleness"
	p.UseClient(opts.Client)
	p.UseMaxSessions(opts.MaxSessions)
	for i := range p.shards {
		p.shards[i].sessions = make(map[uint64]*Session)
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

// UseLimits makes the pool keep to l from now on. A program that reloads its
// configuration calls it with the new limits.
func (p *Pool) UseLimits(l SignInLimits) { p.gate.use(l) }

// UseMaxSessions bounds the live sessions from now on, 0 being the default. If
// there are more, each that begins takes the place of two.
func (p *Pool) UseMaxSessions(n int) {
	if n <= 0 {
		n = defaultMaxSessions
	}
	p.room.Store(int64(n))
}

// Origin returns the only origin to which the pool's sessions may be sent.
func (p *Pool) Origin() string { return p.conn.Origin }

// Len returns the number of live sessions, without those that a newer one has
// replaced.
func (p *Pool) Len() int {
	n := int(p.live.Load())
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

package caddymodule

// This file holds the app: what the handlers of a configuration share, and
// what outlives it.

import (
	"context"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// App holds what every `tableau_auth` and `tableau_proxy` of a configuration
// shares: the pools of sessions at Tableau. Handlers with the same origin,
// credential and TLS settings share their sessions, and a reload that changes
// none of these keeps them.
type App struct {
	// The key that the tokens of clients are sealed with, as a placeholder
	// such as `{env.TABLEAU_SEAL_KEY}`, and, behind it, the one before, whose
	// tokens are still accepted. At least 16 random characters; the same on
	// every replica. Default: a key made at the first start, kept in Caddy's
	// storage, and replaced every 30 days.
	SealKeys []string `json:"seal_keys,omitempty"`

	// How many sign-ins at Tableau may begin each second, with each credential;
	// after a quiet time, twice as many at once. What is due later than
	// `sign_in_wait` is answered with 503 and `Retry-After`. Default: `50`.
	SignInRate float64 `json:"sign_in_rate,omitempty"`

	// How many sign-ins may begin each minute for one session: a user, on a
	// site, with its scopes. It takes something that ends the user's sessions
	// all the time to reach it. Default: `30`.
	SignInRatePerUser float64 `json:"sign_in_rate_per_user,omitempty"`

	// How many sign-ins may be under way at once, with each credential. A third
	// of them is kept for trying whether a Tableau that has stopped answering
	// has recovered; with fewer than 30, that may be found out up to 30 seconds
	// late. Default: `32`.
	MaxSignIns int `json:"max_sign_ins,omitempty"`

	// How many sign-ins may wait for their turn. Default: `1000`.
	SignInQueue int `json:"sign_in_queue,omitempty"`

	// How long a sign-in may wait for its turn. Default: `10s`.
	SignInWait caddy.Duration `json:"sign_in_wait,omitempty"`

	// How many sessions are kept, of each credential. One more, and another that
	// was not used for long is given up and, some minutes later, signed out. A
	// session takes 300 bytes of memory. Default: `100000`.
	MaxSessions int `json:"max_sessions,omitempty"`

	// A file that records everything that goes to Tableau, and shows whether it
	// was altered. Default: none; requests are recorded by Caddy's logger
	// `tableau.audit` only.
	Audit *Audit `json:"audit,omitempty"`

	// How requests are named to Tableau, so that its records can be joined with
	// ours: `headers` sends the id of each request as `X-Request-Id`, to Tableau
	// and, with the answer, to the client; `user_agent` adds it to the
	// `User-Agent`. Default: neither.
	Correlate []string `json:"correlate,omitempty"`

	logger      *zap.Logger
	audit       *zap.Logger // tableau.audit: the records of requests
	sink        *auditSink  // the audit file, or nil
	correlates  correlations
	digests     [][]byte // of the configurations of handlers
	slogger     *slog.Logger
	keys        *sealKeeper
	emitter     emitter
	connections []*connection
	issuers     issuers // what tableau_issuer publishes
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tableau",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up the app.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	a.audit = a.logger.Named("audit")
	a.slogger = ctx.Slogger()
	if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if err := a.findEvents(ctx); err != nil {
		return err
	}
	if err := a.checkLimits(); err != nil {
		return err
	}
	if err := a.provisionAudit(ctx); err != nil {
		return err
	}
	configured, err := configuredSealer(a.SealKeys)
	storage := ctx.Storage()
	a.keys = new(sealKeeper)
	a.keys.load = func(now time.Time) (*tableauauth.Sealer, error) {
		if configured != nil {
			return configured, nil
		}
		return storedSealer(storage, now, a.logger)
	}
	return err
}

// findEvents takes up Caddy's events.
func (a *App) findEvents(ctx caddy.Context) error {
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	a.emitter = emitter{ctx: ctx, events: events.(*caddyevents.App)}
	return nil
}

// sealToken seals a client token for a Tableau origin.
func (a *App) sealToken(t tableauauth.ClientToken, origin string) (tableauapi.Secret, error) {
	sealer, err := a.keys.get(time.Now(), sealKeysLook)
	if err != nil {
		return tableauapi.Secret{}, err
	}
	return sealer.Seal(t, origin)
}

// openToken opens what sealToken has sealed.
func (a *App) openToken(token, origin string) (tableauauth.ClientToken, error) {
	return a.keys.open(token, origin, time.Now())
}

// Start makes the pools use this configuration's transports, loggers and events. Until
// then those of the configuration before are at work, which matters when this
// one turns out not to load.
func (a *App) Start() error {
	if err := a.issuers.check(); err != nil {
		return err
	}
	if err := a.sink.start(a); err != nil {
		return err
	}
	currentEmitter.Store(&a.emitter)
	for _, c := range a.connections {
		c.takeOver(a)
	}
	return nil
}

// Stop does nothing: sessions end when no configuration uses them any more.
func (a *App) Stop() error { return nil }

// Cleanup releases the pools. One that no configuration uses signs its
// sessions out; one that is still used gives up those of the sites that are
// used no more.
func (a *App) Cleanup() error {
	for _, c := range a.connections {
		c.pool.leave(c)
		if _, err := pools.Delete(c.key); err != nil {
			return err
		}
	}
	a.connections = nil
	return a.releaseAudit() // when the sign-outs are recorded
}

// pools holds the session pools across configurations, by the fingerprint of
// their connection.
var pools = caddy.NewUsagePool()

// signOutGrace bounds the sign-outs when a pool is no longer used.
const signOutGrace = 10 * time.Second

// A connection is one handler's use of a pool.
type connection struct {
	key    string
	pool   *pooled
	client tableauauth.Client
	sites  []string // content URLs
}

// A pooled is a session pool as Caddy's usage pool keeps it.
type pooled struct {
	*tableauauth.Pool
	log *currentLog

	mu   sync.Mutex
	uses map[*connection]struct{}
}

// enter notes that c uses the pool.
func (p *pooled) enter(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses[c] = struct{}{}
}

// leave notes that c uses the pool no more, and gives up the sessions of the
// sites that nobody else uses.
func (p *pooled) leave(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.uses, c)
	if len(p.uses) == 0 {
		return // Destruct ends them all
	}
	used := make(map[string]bool)
	for other := range p.uses {
		for _, site := range other.sites {
			used[site] = true
		}
	}
	p.Revoke(func(g tableauauth.Grant) bool { return !used[g.Site] })
}

// Destruct implements caddy.Destructor: it signs every session out.
func (p *pooled) Destruct() error {
	ctx, cancel := context.WithTimeout(context.Background(), signOutGrace)
	defer cancel()
	ended, left := p.Close(ctx)
	if ended+left == 0 {
		return nil
	}
	caddy.Log().Named("tableau").Info("signed out at Tableau",
		zap.String("origin", p.Origin()), zap.Int("sessions", ended), zap.Int("left_to_expire", left))
	return nil
}

// connect returns the use of the pool for c, for sites. The app releases it.
func (a *App) connect(c tableauauth.Connection, client tableauauth.Client, sites []string) (*connection, error) {
	print := c.Fingerprint()
	key := hex.EncodeToString(print[:])
	value, _, err := pools.LoadOrNew(key, func() (caddy.Destructor, error) {
		log := new(currentLog)
		log.use(a.slogger)
		pool, err := tableauauth.NewPool(c, tableauauth.PoolOptions{
			Client: client, MaxSessions: a.MaxSessions, Limits: a.limits(), Logger: slog.New(log), Observer: poolObserver(c),
		})
		if err != nil {
			return nil, err
		}
		return &pooled{Pool: pool, log: log, uses: make(map[*connection]struct{})}, nil
	})
	if err != nil {
		return nil, err
	}
	conn := &connection{key: key, pool: value.(*pooled), client: client, sites: sites}
	conn.pool.enter(conn)
	a.connections = append(a.connections, conn)
	return conn, nil
}

// takeOver makes the pool use the transport, the limits and the logger of the
// configuration of a.
func (c *connection) takeOver(a *App) {
	c.pool.UseClient(c.client)
	c.pool.UseLimits(a.limits())
	c.pool.UseMaxSessions(a.MaxSessions)
	c.pool.log.use(a.slogger)
}

// A currentLog hands records to the logger of the running configuration: a
// pool outlives the configuration that made it, and that one's log files.
type currentLog struct{ handler atomic.Pointer[slog.Handler] }

func (l *currentLog) use(logger *slog.Logger) {
	h := logger.Handler()
	l.handler.Store(&h)
}

// Enabled implements slog.Handler.
func (l *currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.handler.Load()).Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *currentLog) Handle(ctx context.Context, r slog.Record) error {
	return (*l.handler.Load()).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *currentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return (*l.handler.Load()).WithAttrs(attrs)
}

// WithGroup implements slog.Handler.
func (l *currentLog) WithGroup(name string) slog.Handler {
	return (*l.handler.Load()).WithGroup(name)
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ caddy.Destructor   = (*pooled)(nil)
	_ slog.Handler       = (*currentLog)(nil)
)

package tableauauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A patRig is a simulated Tableau with a pool that signs in by the personal
// access tokens of its administrator.
type patRig struct {
	*tableautest.Tableau
	pats  []tableautest.PAT
	watch *seatWatch
	pool  *Pool
}

func newPATRig(t testing.TB, tokens int, impersonate bool, opts tableautest.Options, pool PoolOptions) *patRig {
	t.Helper()
	opts.PATImpersonation = true
	opts.PATs = nil
	for i := range tokens {
		opts.PATs = append(opts.PATs, tableautest.PAT{
			Name: fmt.Sprintf("proxy-%d", i+1), Secret: tableautest.Secret(fmt.Sprintf("secret of token number %d", i+1)), User: "admin",
		})
	}
	r := &patRig{Tableau: tableautest.New(opts), pats: opts.PATs}
	r.watch = &seatWatch{base: r.RoundTripper(), tableau: r.Tableau, held: make(map[string]int)}
	r.pool = r.newPool(t, impersonate, pool)
	return r
}

// newPool makes a pool on the rig's tokens.
func (r *patRig) newPool(t testing.TB, impersonate bool, opts PoolOptions) *Pool {
	t.Helper()
	if opts.Client.Transport == nil {
		opts.Client.Transport = r.watch
	}
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: ourPAT(t, impersonate, r.pats...)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close(context.Background()) })
	return pool
}

func ourPAT(t testing.TB, impersonate bool, pats ...tableautest.PAT) *PAT {
	t.Helper()
	var tokens []PersonalAccessToken
	for _, p := range pats {
		tokens = append(tokens, PersonalAccessToken{Name: p.Name, Secret: tableauapi.NewSecret(p.Secret.Reveal())})
	}
	c, err := NewPAT(impersonate, tokens...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// acquire gets a session of user on a site, which must be had.
func (r *patRig) acquire(t testing.TB, site, user string) *Binding {
	t.Helper()
	b := &Binding{Pool: r.pool}
	if _, err := b.Acquire(t.Context(), Grant{Site: site, User: user}); err != nil {
		t.Fatal(err)
	}
	return b
}

// get makes a request as b says and returns the status and the body.
func (r *patRig) get(ctx context.Context, b *Binding, path string) (int, string, error) {
	url := testAPI + strings.ReplaceAll(path, "{site}", b.Session.SiteID())
	req, err := http.NewRequestWithContext(NewContext(ctx, b), http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := (&Transport{Base: r.watch}).RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// A seatWatch is a transport to the simulated Tableau that notes what the
// promise of one session a token forbids.
type seatWatch struct {
	base    http.RoundTripper
	tableau *tableautest.Tableau

	mu     sync.Mutex
	held   map[string]int // tokens of sessions that requests hold
	broken []string
}

func (w *seatWatch) hold(s *Session, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[s.token.Reveal()] += n
}

// RoundTrip implements http.RoundTripper.
func (w *seatWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case strings.HasSuffix(req.URL.Path, "/auth/signout"):
		w.mu.Lock()
		if w.held[req.Header.Get(headerAuth)] > 0 {
			w.broken = append(w.broken, "a session was signed out that a request holds")
		}
		w.mu.Unlock()
	case strings.HasSuffix(req.URL.Path, "/auth/signin"):
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		if err := w.signIn(body); err != nil {
			return nil, err
		}
	}
	return w.base.RoundTrip(req)
}

// signIn notes a sign-in with a token that has a session.
func (w *seatWatch) signIn(body []byte) error {
	presented, err := tableauapi.DecodeCredentials(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.tableau.Sessions() {
		if s.Kind == tableautest.KindPAT && s.Credential == presented.TokenName {
			w.broken = append(w.broken, "a sign-in with "+s.Credential+" while it had session "+s.ID+" of "+s.User)
		}
	}
	return nil
}

// check reports what was noted.
func (w *seatWatch) check(t interface{ Errorf(string, ...any) }) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range w.broken {
		t.Errorf("%s", what)
	}
	if n := w.tableau.Stats().Ended[tableautest.EndPATReuse]; n != 0 {
		t.Errorf("%d sessions were ended by another sign-in with their token", n)
	}
}

// TestPATPromise: whatever fifty clients do, and whenever sessions die, no
// personal access token ever has two sessions by our doing, no session that a
// request uses is ended for the sake of another, and every client gets an
// answer.
//
// It fails when the lease is taken out: let (*seat).free ignore holds, or let
// (*claim).give or (*seating).claim leave holds as they are, and within the first
// schedules sessions are signed out that a request holds, or clients see theirs
// die again and again. Let free ignore busy, or leave out the sign-out in
// (*seating).fly, and sessions are ended by another sign-in with their token.
func TestPATPromise(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		schedule := drawSchedule(rt)
		var problems []string
		synctest.Test(t, func(t *testing.T) { problems = schedule.run(t) })
		for _, p := range problems {
			rt.Errorf("%s", p)
		}
	})
}

// A patSchedule is what happens in one run of TestPATPromise.
type patSchedule struct {
	impersonate bool
	slow        map[string]time.Duration // by operation
	clients     []patClient
	deaths      []patDeath
}

type patClient struct {
	starts   time.Duration
	user     string
	site     string
	holds    time.Duration // between its two requests
	patience time.Duration // until it leaves, or 0
	// unlucky: so much dies that signing in again may be given up.
	unlucky bool
}

type patDeath struct {
	at    time.Duration
	token string // "" are all
}

func drawSchedule(rt *rapid.T) patSchedule {
	ms := func(most int, name string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(rt, name)) * time.Millisecond
	}
	s := patSchedule{impersonate: rapid.Bool().Draw(rt, "impersonate"), slow: map[string]time.Duration{
		"sign_in": ms(300, "sign-in takes"), "sign_out": ms(100, "sign-out takes"),
		"get_users_on_site": ms(100, "look-up takes"), "get_current_server_session": ms(100, "request takes"),
	}}
	for range 50 {
		c := patClient{
			starts: ms(3000, "starts"),
			user:   rapid.SampledFrom([]string{"alice", "bob", "carol", "admin"}).Draw(rt, "user"),
			site:   rapid.SampledFrom([]string{"finance", "finance", "marketing"}).Draw(rt, "site"),
			holds:  ms(400, "holds"),
		}
		if rapid.IntRange(0, 4).Draw(rt, "impatient") == 0 {
			c.patience = ms(800, "patience")
		}
		s.clients = append(s.clients, c)
	}
	deaths := rapid.IntRange(0, 12).Draw(rt, "deaths")
	for i := range s.clients {
		s.clients[i].unlucky = deaths >= min(maxLookUps, maxBarren)
	}
	for range deaths {
		s.deaths = append(s.deaths, patDeath{
			at: ms(4000, "dies"), token: rapid.SampledFrom([]string{"proxy-1", "proxy-2", "proxy-3", ""}).Draw(rt, "token"),
		})
	}
	return s
}

// run plays the schedule and returns what went wrong.
func (s patSchedule) run(t *testing.T) (problems []string) {
	r := newPATRig(t, 3, s.impersonate, tableautest.Options{}, PoolOptions{})
	for _, operation := range []string{"sign_in", "sign_out", "get_users_on_site", "get_current_server_session"} {
		r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: operation}, Delay: s.slow[operation]})
	}
	var mu sync.Mutex
	problem := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		problems = append(problems, fmt.Sprintf(format, args...))
	}
	var all sync.WaitGroup
	for _, c := range s.clients {
		all.Go(func() {
			if err := c.run(t.Context(), r, s.impersonate); err != nil {
				problem("%+v: %v", c, err)
			}
		})
	}
	for _, d := range s.deaths {
		all.Go(func() {
			time.Sleep(d.at)
			r.KillSessions(tableautest.SessionFilter{Kind: tableautest.KindPAT, Credential: d.token})
		})
	}
	all.Wait()
	r.pool.Close(t.Context())
	r.watch.check(reporter(problem))
	if left := r.Sessions(); len(left) > 0 {
		problem("left alive: %v", left)
	}
	return problems
}

type reporter func(string, ...any)

func (r reporter) Errorf(format string, args ...any) { r(format, args...) }

// run makes two requests with one session, with time in between.
func (c patClient) run(ctx context.Context, r *patRig, impersonate bool) error {
	time.Sleep(c.starts)
	if c.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	b := &Binding{Pool: r.pool}
	defer b.Release()
	if _, err := b.Acquire(ctx, Grant{Site: c.site, User: c.user}); err != nil {
		return c.excused(ctx, err)
	}
	for i := range 2 {
		s := b.Session
		r.watch.hold(s, 1)
		if i == 1 {
			time.Sleep(c.holds)
		}
		err := c.request(ctx, r, b, impersonate)
		r.watch.hold(s, -1)
		if err != nil {
			return c.excused(ctx, err)
		}
	}
	return nil
}

// request makes one request and checks as whom Tableau took it.
func (c patClient) request(ctx context.Context, r *patRig, b *Binding, impersonate bool) error {
	status, body, err := r.get(ctx, b, "/sessions/current")
	if err != nil {
		return err
	}
	want := "admin"
	if impersonate {
		want = c.user
	}
	if status != http.StatusOK || !strings.Contains(body, `name="`+want+`"`) || !strings.Contains(body, `contentUrl="`+c.site+`"`) {
		// A session may die again when the request has just been sent anew.
		if status == http.StatusUnauthorized {
			return nil
		}
		return fmt.Errorf("status %d, %s", status, body)
	}
	return nil
}

// excused lets clients leave that were to leave, and takes it for an answer that
// Tableau ends every session at once.
func (c patClient) excused(ctx context.Context, err error) error {
	var refused *SignInError
	switch {
	case c.patience > 0 && ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return nil
	case c.unlucky && errors.As(err, &refused) && (refused.Reason == Unavailable || refused.Reason == Barren):
		return nil
	default:
		return err
	}
}

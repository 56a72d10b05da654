package tableauauth

// This file is the Tableau of the simulation: one function call instead of a
// server, so that a day takes milliseconds. It is strict about JWTs, tokens,
// scopes and bodies, and it keeps what the checks look into.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// simStatusDataSource is a 401 that is not about the session: 401003.
const simStatusDataSource = 401003

const simClientID = "00000000-0000-4000-8000-000000000001"

var errSimCut = errors.New("connection reset by the simulation")

type simCall uint8

const (
	callSignIn simCall = iota
	callSignOut
	callProbe
	callData
)

// A simSession is a session that Tableau has begun.
type simSession struct {
	n      int
	token  string
	grant  int
	pool   *simPool
	began  time.Time
	used   time.Time // last accepted request
	asked  time.Time // last given to a request by the pool
	good   time.Time // last accepted request of which an answer arrived; the sign-in counts
	ended  time.Time // or zero
	how    string    // it ended
	denied time.Time // first refusal of the token, or zero

	lost     bool      // the answer to the sign-in did not arrive
	failed   bool      // a sign-out did not arrive
	logged   bool      // and the pool said so
	dropped  bool      // the pool may have given it up for a reason that the plan gave
	revoked  time.Time // or zero
	accepted bool      // a request was accepted
}

// A simWire is the way from one pool, or its transport, to Tableau. Each
// configuration has its own.
type simWire struct {
	*sim
	pool *simPool
	gen  int // of the pool's configurations
}

// RoundTrip implements http.RoundTripper.
func (w *simWire) RoundTrip(req *http.Request) (*http.Response, error) {
	path := req.URL.Path
	switch {
	case req.Host != "" && req.Host != "tableau.example" || req.URL.Host != "tableau.example":
		w.failf("a call to the host %q", req.URL.Host)
		return nil, errSimCut
	case strings.HasSuffix(path, "/auth/signin"):
		return w.signIn(req)
	case strings.HasSuffix(path, "/auth/signout"):
		return w.signOut(req)
	case strings.HasSuffix(path, "/sessions/current"):
		return w.probe(req)
	default:
		return w.data(req)
	}
}

// clientCall checks that a call about sessions comes from a pool that is open,
// through its newest configuration.
func (w *simWire) clientCall(what string) {
	if w.gen != w.pool.gen && time.Now().After(w.pool.genSince) {
		w.fail(what + " through a transport that was replaced")
	}
	if w.pool.closed {
		w.fail(what + " by a pool whose Close has returned")
	}
}

// takes lets a while pass, or ctx end.
func (*sim) takes(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// delay draws how long a part of a call takes, from the seed and the instant.
func (s *sim) delay(call simCall, who int) time.Duration {
	x := s.plan.seed<<32 ^ uint64(call)<<60 ^ uint64(who)<<44 ^ uint64(s.now())
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return time.Millisecond + time.Duration(x%uint64(s.plan.slowest))
}

// fault returns the fault that a call meets now, or nil. The lock is held.
func (s *sim) fault(call simCall, grant int) *simFault {
	now := s.now()
	for _, f := range slices.Backward(s.faults) {
		if f.kind.of() == call && now < f.until && f.on.covers(grant, s.plan.grants[grant]) {
			s.counts.met[f.kind]++
			return f
		}
	}
	return nil
}

func (w *simWire) answer(status int, body []byte, header ...string) *http.Response {
	h := http.Header{"Date": {time.Now().Add(w.offset).UTC().Format(http.TimeFormat)}, "Content-Type": {"application/xml"}}
	for i := 0; i < len(header); i += 2 {
		h[header[i]] = []string{header[i+1]}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), ProtoMajor: 1, ProtoMinor: 1}
}

func (w *simWire) refuse(code, detail string, header ...string) *http.Response {
	e := tableauapi.Error{Code: code, Summary: "Refused", Detail: detail}
	return w.answer(e.Status(), e.Encode(tableauapi.XML), header...)
}

// alive returns the live session of token, or nil and the session that there
// was. The lock is held.
func (s *sim) alive(token string) (live, dead *simSession) {
	t := s.sessions[token]
	if t == nil {
		return nil, nil
	}
	s.expire(t)
	if !t.ended.IsZero() {
		return nil, t
	}
	return t, nil
}

// expire ends t if its time has come.
func (s *sim) expire(t *simSession) {
	now := time.Now()
	switch idle, limit := t.used.Add(s.plan.tableauIdle), t.began.Add(s.plan.tableauCap); {
	case !t.ended.IsZero():
	case s.plan.tableauCap > 0 && !now.Before(limit) && !idle.Before(limit):
		t.ended, t.how = limit, "cap"
	case !now.Before(idle):
		t.ended, t.how = idle, "idle"
	}
}

// A simFlight is one sign-in call.
type simFlight struct {
	ctx       context.Context
	began     time.Time
	ended     time.Time // or zero
	reason    Reason    // of the failure, or 0
	permanent bool
	asks      time.Duration // Retry-After
	cancelled bool
	faulty    bool // something was wrong with it
}

func (w *simWire) signIn(req *http.Request) (res *http.Response, err error) {
	ctx := req.Context()
	body, _ := io.ReadAll(req.Body)
	_ = req.Body.Close()
	grant, claims, refusal := w.proof(body, ctx)

	w.mu.Lock()
	f := &simFlight{ctx: ctx, began: time.Now()}
	k := w.pool.key(grant)
	w.departing(k, grant)
	k.flights = append(k.flights, f)
	w.pool.flying++
	w.needed(w.pool, k, grant)
	w.counts.inFlight = max(w.counts.inFlight, w.pool.flying)
	w.counts.n[countSignIns]++
	fault := w.fault(callSignIn, grant)
	f.faulty = fault != nil
	w.note("sign-in begins", w.pool.n, grant, -1, fault.name())
	w.mu.Unlock()

	var began *simSession
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.landed(f, grant, began, err)
	}()
	if err := w.takes(ctx, w.delay(callSignIn, grant)+fault.extra()); err != nil {
		return nil, err
	}
	switch {
	case fault.is(faultSignInHang):
		<-ctx.Done()
		return nil, ctx.Err()
	case fault.is(faultSignInCut):
		return nil, errSimCut
	}

	w.mu.Lock()
	if refusal == "" {
		refusal = w.judgeClaims(claims)
	}
	res = w.signInAnswer(fault, refusal, f)
	if res == nil {
		began = w.begin(grant, claims["jti"].(string), w.pool)
		res = w.answer(200, began.signInAnswer(w.plan.grants[grant]))
	}
	w.mu.Unlock()

	if err := w.takes(ctx, w.delay(callSignIn, -2-grant)); err != nil {
		return nil, err
	}
	if fault.is(faultSignInLost) {
		return nil, errSimCut
	}
	res.Header.Set("Date", time.Now().Add(w.offset).UTC().Format(http.TimeFormat))
	return res, nil
}

// proof reads a sign-in body as Tableau does, but for what depends on the time.
func (w *simWire) proof(body []byte, ctx context.Context) (grant int, claims jwt.MapClaims, refusal string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clientCall("a sign-in")
	if ctx.Value(simAskKey{}) != nil {
		w.fail("a sign-in on the context of a request")
	}
	c, err := tableauapi.DecodeCredentials(body)
	if err != nil {
		w.failf("a sign-in body that cannot be read: %v", err)
		return 0, nil, "(16)"
	}
	claims = jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"HS256"})).ParseWithClaims(c.JWT.Reveal(), claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if !w.secrets[kid] {
			return nil, errors.New("unknown secret")
		}
		return []byte(simSecretValue(kid)), nil
	})
	if err != nil || !token.Valid {
		w.failf("a JWT that is not signed with a secret of the app: %v", err)
		return 0, nil, "(127)"
	}
	g := Grant{Site: c.Site, User: claims["sub"].(string)}
	for _, scope := range claims["scp"].([]any) {
		g.Scopes = append(g.Scopes, scope.(string))
	}
	grant, ok := w.names[simGrantName(g)]
	if !ok {
		w.failf("a sign-in as %s, for whom nobody asked", simGrantName(g))
		return 0, claims, "(16)"
	}
	jti := claims["jti"].(string)
	if w.jtis[jti] {
		w.failf("the jti %q was used twice", jti)
		refusal = "(10091)"
	}
	w.jtis[jti] = true
	return grant, claims, refusal
}

// judgeClaims returns why Tableau refuses the times in the claims, or "".
func (w *simWire) judgeClaims(claims jwt.MapClaims) string {
	if claims == nil {
		return "(16)"
	}
	now := time.Now().Add(w.offset)
	exp, _ := claims.GetExpirationTime()
	nbf, _ := claims.GetNotBefore()
	switch {
	case exp == nil || nbf == nil || !now.Before(exp.Time) || now.Before(nbf.Time.Add(-time.Second)):
		return "(10084)"
	case exp.Sub(now) > 10*time.Minute:
		return "(16)"
	default:
		return ""
	}
}

// signInAnswer returns the refusal of a sign-in, or nil if there is none.
func (w *simWire) signInAnswer(fault *simFault, refusal string, f *simFlight) *http.Response {
	var retry []string
	if fault != nil && fault.asks > 0 {
		retry = []string{"Retry-After", strconv.Itoa(fault.asks)}
	}
	switch {
	case fault.is(faultUserUnknown):
		f.reason, f.permanent = Refused, true
		return w.refuse("401001", "Error signing in to Tableau (16)")
	case fault.is(faultThrottled):
		f.reason, f.asks = Throttled, time.Duration(fault.asks)*time.Second
		return w.refuse("429000", "Too many requests", retry...)
	case fault.is(faultSignIn500):
		f.reason, f.asks = Unavailable, time.Duration(fault.asks)*time.Second
		return w.refuse("503000", "Unavailable", retry...)
	case fault.is(faultSignInHTML):
		f.reason = Nonsense
		return w.answer(200, []byte("<html><body>Sign in to the portal</body></html>"))
	case refusal != "":
		f.reason, f.permanent = Refused, true
		f.faulty = f.faulty || w.offset.Abs() > MaxClockOffset
		return w.refuse("401001", "Error signing in to Tableau "+refusal)
	default:
		return nil
	}
}

// begin makes a session. The lock is held.
func (s *sim) begin(grant int, jti string, p *simPool) *simSession {
	now := time.Now()
	n := len(s.all)
	t := &simSession{n: n, grant: grant, pool: p, began: now, used: now, good: now, lost: true}
	t.token = fmt.Sprintf("sim%dtoken%d|secret%d|%s", s.plan.seed, n, n*7919, simLUID(s.plan.grants[grant].Site))
	s.all = append(s.all, t)
	s.sessions[t.token] = t
	s.byJTI[jti] = t
	s.counts.n[countSessions]++
	return t
}

func (t *simSession) signInAnswer(g Grant) []byte {
	return tableauapi.SignInAnswer{
		Token: tableauapi.NewSecret(t.token), SiteID: simLUID(g.Site), UserID: simLUID("user " + g.User), ContentURL: g.Site,
	}.Encode(tableauapi.XML)
}

// simLUID makes a LUID of a name.
func simLUID(name string) string {
	d := digest(name)
	return fmt.Sprintf("%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
}

// known returns the session whose token a call about sessions carries.
func (w *simWire) known(req *http.Request, what string) *simSession {
	w.clientCall(what)
	values := req.Header[headerAuth]
	if len(values) != 1 {
		w.failf("%s with %d tokens", what, len(values))
		return nil
	}
	t := w.sessions[values[0]]
	if t == nil {
		w.fail(what + " with a token that Tableau never gave")
	}
	return t
}

func (w *simWire) signOut(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	w.mu.Lock()
	t := w.known(req, "a sign-out")
	if t == nil {
		w.mu.Unlock()
		return nil, errSimCut
	}
	w.signingOut(t)
	fault := w.fault(callSignOut, t.grant)
	w.counts.n[countSignOuts]++
	w.note("sign-out", w.pool.n, t.grant, -1, fault.name())
	w.mu.Unlock()

	err := w.takes(ctx, w.delay(callSignOut, t.n))
	if err == nil && fault.is(faultSignOutHang) {
		<-ctx.Done()
		err = ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch live, _ := w.alive(t.token); {
	case err != nil || fault.is(faultSignOutCut):
		t.failed = true
		return nil, cmpErr(err, errSimCut)
	case fault.is(faultSignOut503):
		t.failed = true
		return w.refuse("503000", "Unavailable"), nil
	case live == nil:
		return w.refuse("401002", "Invalid authentication credentials"), nil
	default:
		t.ended, t.how = time.Now(), "sign-out"
		return w.answer(204, nil), nil
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (w *simWire) probe(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	a, _ := ctx.Value(simAskKey{}).(*simAsk)
	w.mu.Lock()
	t := w.probed(req)
	if t == nil || a == nil {
		w.fail("a probe for no request")
		w.mu.Unlock()
		return nil, errSimCut
	}
	fault := w.fault(callProbe, t.grant)
	w.counts.n[countProbes]++
	a.probes++
	w.note("probe", w.pool.n, t.grant, a.id, fault.name())
	w.mu.Unlock()

	err := w.takes(ctx, w.delay(callProbe, a.id))
	if err == nil && fault.is(faultProbeHang) {
		a.flag(w.sim, simProbeUnknown|simHung)
		<-ctx.Done()
		err = ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	live, _ := w.alive(t.token)
	if err != nil || fault != nil {
		a.flags |= simProbeUnknown
		t.dropped = true // a session that may be dead is replaced, unless it is young
	}
	switch {
	case err != nil || fault.is(faultProbeCut):
		return nil, cmpErr(err, errSimCut)
	case fault.is(faultProbe500):
		return w.refuse("500000", "Internal Server Error"), nil
	case live == nil:
		w.deny(t)
		return w.refuse("401002", "Invalid authentication credentials"), nil
	default:
		t.used, t.good = time.Now(), time.Now()
		t.accepted = true
		return w.answer(200, []byte(`<tsResponse xmlns="http://tableau.com/api"><session/></tsResponse>`)), nil
	}
}

// probed is known for a probe, which may come from a request that outlives its
// pool.
func (w *simWire) probed(req *http.Request) *simSession {
	if w.pool.closed {
		return w.sessions[req.Header.Get(headerAuth)]
	}
	return w.known(req, "a probe")
}

// deny notes that Tableau has refused t's token.
func (w *simWire) deny(t *simSession) {
	if t.denied.IsZero() {
		t.denied = time.Now()
		w.counts.n[countFound]++
		w.overdueRenewal(t)
	}
}

// is reports whether there is a fault, of this kind.
func (f *simFault) is(k simFaultKind) bool { return f != nil && f.kind == k }

func (f *simFault) name() string {
	if f == nil {
		return ""
	}
	return simFaultNames[f.kind]
}

// extra is how much longer a sign-in takes.
func (f *simFault) extra() time.Duration {
	if f.is(faultSignInSlow) {
		return f.slow
	}
	return 0
}

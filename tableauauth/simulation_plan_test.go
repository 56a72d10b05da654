package tableauauth

// This file draws a simulated day from a seed: who asks for what when, and what
// goes wrong. The plan is a pure function of the seed, and no two of its steps
// fall into the same instant.

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	simDay    = 24 * time.Hour
	simCalm   = 107 * time.Minute // in which a herd is watched, and nothing goes wrong
	simHerd   = 8                 // users who arrive together
	simBuffer = 1024              // the replay buffer, in bytes
)

// A simPlan is one day.
type simPlan struct {
	seed   uint64
	grants []Grant

	renewAfter, idleAfter time.Duration // of the pool
	tableauIdle           time.Duration // after which Tableau ends an unused session
	tableauCap            time.Duration // age at which Tableau ends a session, or 0
	maxSessions           int           // of the pool; 0: the default
	limits                simLimits
	slowest               time.Duration // of a call that nothing is wrong with

	herd  bool
	crew  int // how many of the grants are anybody's; the others play a part of their own
	steps []simStep
}

// simLimits are the pool's limits on sign-ins; zero values are its defaults.
type simLimits struct {
	inFlight int
	perGrant float64
}

// A simStep is something that happens at an instant of the day.
type simStep struct {
	at   time.Duration
	kind simStepKind
	req  *simRequest
	flt  *simFault
	on   simTarget     // of a kill or a revocation
	by   time.Duration // of a clock jump
}

type simStepKind uint8

const (
	stepRequest  simStepKind = iota
	stepFault                // a fault begins
	stepKill                 // Tableau ends sessions
	stepClock                // Tableau's clock is set
	stepReload               // the configuration is loaded again, with the same credential
	stepTakeover             // and with another one
	stepRevoke
)

var simStepNames = [...]string{"request", "fault", "kill", "clock", "reload", "takeover", "revoke"}

// A simTarget is whom something concerns: a grant, a site, or everybody.
type simTarget struct {
	grant int // -1: any
	site  string
	all   bool
}

func (t simTarget) covers(i int, g Grant) bool {
	return t.all || t.grant == i || t.grant < 0 && t.site == g.Site
}

func (t simTarget) String() string {
	switch {
	case t.all:
		return "everybody"
	case t.grant >= 0:
		return fmt.Sprintf("grant %d", t.grant)
	default:
		return fmt.Sprintf("site %q", t.site)
	}
}

// A simFault is something that is wrong from its step on, for a time.
type simFault struct {
	kind   simFaultKind
	on     simTarget
	until  time.Duration // of the day
	slow   time.Duration // how long a slow call takes
	asks   int           // Retry-After in seconds, or 0
	outage bool          // of sign-in as such: followed by a check of the recovery
}

type simFaultKind uint8

const (
	faultUserUnknown simFaultKind = iota // a permanent refusal
	faultThrottled                       // 429
	faultSignIn500
	faultSignInHTML
	faultSignInCut  // before Tableau has read it
	faultSignInLost // Tableau began a session, its answer did not arrive
	faultSignInHang
	faultSignInSlow
	faultData500
	faultDataCut
	faultDataHang
	faultProbe500
	faultProbeCut
	faultProbeHang
	faultSignOut503
	faultSignOutCut
	faultSignOutHang
	simFaultKinds
)

var simFaultNames = [simFaultKinds]string{
	"user unknown", "sign-in throttled", "sign-in 503", "sign-in HTML", "sign-in cut", "sign-in answer lost", "sign-in hang", "sign-in slow",
	"data 500", "data cut", "data hang", "probe 500", "probe cut", "probe hang", "sign-out 503", "sign-out cut", "sign-out hang",
}

func (k simFaultKind) of() simCall {
	switch {
	case k <= faultSignInSlow:
		return callSignIn
	case k <= faultDataHang:
		return callData
	case k <= faultProbeHang:
		return callProbe
	default:
		return callSignOut
	}
}

// A simRequest is a client's request, as planned.
type simRequest struct {
	id       int
	grant    int
	method   string
	scope    string // that Tableau asks for
	status   int    // that Tableau gives to a session that may
	size     int    // of the body
	stream   bool   // the size is not announced, and the body comes slowly
	metadata bool   // to the Metadata API, where a 200 may hide that the session has ended
	patience time.Duration
	cancel   time.Duration // after which the client leaves, or 0
	witness  time.Duration // start of the recovery that the request is a witness of, or 0
}

// simScopes are the sets that grants are made of; the second has what writing takes.
var simScopes = [][]string{
	{"tableau:content:read"},
	{"tableau:content:read", "tableau:datasources:create"},
	{"tableau:jobs:read"},
}

// A simDraw makes a plan.
type simDraw struct {
	*rand.Rand
	*simPlan
}

// newSimPlan returns the day of seed.
func newSimPlan(seed uint64) *simPlan {
	d := simDraw{rand.New(rand.NewPCG(seed, 0x7461626c656175)), &simPlan{seed: seed}}
	d.settings()
	d.people()
	d.herd = d.one(8) && d.maxSessions == 0
	if d.herd {
		d.drawHerd()
	}
	d.steady()
	d.scenes()
	d.background()
	d.order()
	return d.simPlan
}

func (d simDraw) one(in int) bool { return d.IntN(in) == 0 }

// between draws a duration, to the nanosecond: two that are equal are unlikely.
func (d simDraw) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.Int64N(int64(high-low)+1))
}

func simPick[T any](d simDraw, of ...T) T { return of[d.IntN(len(of))] }

func (d simDraw) settings() {
	d.renewAfter = simPick(d, 0, 0, 0, 20*time.Minute, 40*time.Minute)
	d.idleAfter = simPick(d, 0, 0, 0, 30*time.Minute, 2*time.Hour)
	d.tableauIdle = simPick(d, 240*time.Minute, 240*time.Minute, 240*time.Minute, 90*time.Minute, 20*time.Minute)
	d.tableauCap = simPick(d, 0, 0, 120*time.Minute, 120*time.Minute, 50*time.Minute)
	d.slowest = d.between(50*time.Millisecond, 400*time.Millisecond)
	if d.one(4) {
		d.maxSessions = 4 + d.IntN(6)
	}
	if d.one(5) {
		d.limits = simLimits{inFlight: 6 + d.IntN(6), perGrant: 12}
	}
}

// people draws the grants. Some differ in a letter's case, in where the site's
// name ends, or in the scopes only: each has to have its own session.
func (d simDraw) people() {
	sites := []string{"finance", "", "sales"}[:1+d.IntN(3)]
	names := []string{"alice", "Alice", "bob", "a\u00e4", "carol@corp.example"}
	users := 6 + d.IntN(10)
	for i := range users {
		name := fmt.Sprintf("user%d", i)
		if i < len(names) {
			name = names[i]
		}
		for range 1 + d.IntN(2) {
			g := Grant{Site: simPick(d, sites...), User: name, Scopes: simPick(d, simScopes...)}
			if !slices.ContainsFunc(d.grants, func(o Grant) bool { return simGrantName(o) == simGrantName(g) }) {
				d.grants = append(d.grants, g)
			}
		}
	}
	d.crew = len(d.grants)
}

// extra adds a grant that nobody else has.
func (d simDraw) extra(what string) int {
	d.grants = append(d.grants, Grant{Site: d.grants[0].Site, User: fmt.Sprintf("%s%d", what, len(d.grants)), Scopes: simScopes[0]})
	return len(d.grants) - 1
}

func simGrantName(g Grant) string { return fmt.Sprintf("%q %q %q", g.Site, g.User, g.Scopes) }

func (d simDraw) add(s simStep) { d.steps = append(d.steps, s) }

// ask adds a plain request and returns it.
func (d simDraw) ask(at time.Duration, grant int) *simRequest {
	r := &simRequest{
		grant: grant, method: "GET", scope: d.grants[grant].Scopes[0], status: 200,
		patience: d.between(100*time.Second, 200*time.Second),
	}
	d.add(simStep{at: at, kind: stepRequest, req: r})
	return r
}

// vary makes a request an unusual one.
func (d simDraw) vary(r *simRequest) {
	switch d.IntN(12) {
	case 0, 1:
		d.body(r, 1+d.IntN(simBuffer), false)
	case 2:
		d.body(r, simBuffer+1+d.IntN(2*simBuffer), false)
	case 3:
		d.body(r, 1+d.IntN(3*simBuffer), true)
	case 4:
		r.scope = "tableau:users:delete" // which nobody has
	case 5:
		r.status = simPick(d, 403, 404, 500, simStatusDataSource)
	case 6, 7:
		r.cancel = d.between(1, 2*d.slowest)
	case 8:
		d.body(r, 1+d.IntN(300), false)
		r.metadata = true
	}
}

func (d simDraw) body(r *simRequest, size int, stream bool) {
	r.method, r.size, r.stream = "POST", size, stream
}

// burst adds n requests of a grant from at on, for a while.
func (d simDraw) burst(at time.Duration, grant, n int, within time.Duration) {
	for range n {
		d.vary(d.ask(at+d.between(0, within), grant))
	}
}

// drawHerd lets users arrive together and stay at work until after their
// sessions were renewed.
func (d simDraw) drawHerd() {
	d.renewAfter, d.tableauCap, d.tableauIdle = 0, 120*time.Minute, 240*time.Minute
	d.limits = simLimits{}
	for range simHerd {
		g := d.extra("herd")
		for _, at := range []time.Duration{time.Minute, 25 * time.Minute, 45 * time.Minute, 65 * time.Minute} {
			d.ask(at+d.between(0, 50*time.Millisecond), g)
		}
		for at := 88 * time.Minute; at < simCalm-time.Minute; at += time.Minute {
			d.ask(at+d.between(0, time.Second), g)
		}
	}
}

// begin is when things may go wrong.
func (d simDraw) begin() time.Duration {
	if d.herd {
		return simCalm
	}
	return time.Second
}

// steady lets a few grants be in use for hours.
func (d simDraw) steady() {
	for range 1 + d.IntN(2) {
		grant := d.someGrant()
		at := d.between(0, 16*time.Hour)
		until := at + d.between(2*time.Hour, 6*time.Hour)
		for ; at < until; at += d.between(time.Minute, 9*time.Minute) {
			r := d.ask(at, grant)
			if d.one(5) {
				d.vary(r)
			}
		}
	}
}

// background adds single requests, in phases: some hours are busy and some are
// without a request.
func (d simDraw) background() {
	for hour := range 24 {
		n := simPick(d, 0, 0, 0, 2, 5, 12)
		for range n {
			at := time.Duration(hour)*time.Hour + d.between(0, time.Hour)
			d.vary(d.ask(at, d.someGrant()))
		}
	}
}

// scenes adds what goes wrong, each with requests that it concerns.
func (d simDraw) scenes() {
	all := []func(time.Duration){
		d.deaths, d.deaths, d.refusal, d.refusal, d.signInTrouble, d.signInTrouble, d.leaving,
		d.dataTrouble, d.probeTrouble, d.signOutTrouble, d.outage, d.outage, d.rush, d.clock, d.clock, d.reload, d.takeover, d.revoke, d.crowd,
	}
	for range 10 + d.IntN(14) {
		scene := all[d.IntN(len(all))]
		scene(d.between(d.begin(), simDay-20*time.Minute))
	}
}

func (d simDraw) someGrant() int { return d.IntN(d.crew) }

func (d simDraw) target(grant int) simTarget {
	switch d.IntN(4) {
	case 0:
		return simTarget{grant: -1, all: true}
	case 1:
		return simTarget{grant: -1, site: d.grants[grant].Site}
	default:
		return simTarget{grant: grant}
	}
}

func (d simDraw) kill(at time.Duration, on simTarget) { d.add(simStep{at: at, kind: stepKill, on: on}) }

func (d simDraw) fault(at time.Duration, f simFault) {
	d.add(simStep{at: at, kind: stepFault, flt: &f})
}

// deaths ends sessions that are in use, now and then while requests are on
// their way.
func (d simDraw) deaths(at time.Duration) {
	g := d.someGrant()
	d.burst(at-2*time.Second, g, 1, time.Second)
	for range 1 + d.IntN(2) {
		d.kill(at, d.target(g))
		d.burst(at+d.between(-d.slowest, time.Minute), g, 2+d.IntN(8), d.slowest)
		at += d.between(0, 3*time.Minute)
	}
}

// refusal takes a user away for a while.
func (d simDraw) refusal(at time.Duration) {
	g := d.someGrant()
	until := at + d.between(time.Second, 50*time.Second)
	d.fault(at, simFault{kind: faultUserUnknown, on: simTarget{grant: g}, until: until})
	d.kill(at+1, simTarget{grant: g})
	for t := at + time.Second; t < until+20*time.Second; t += d.between(time.Second, 9*time.Second) {
		d.burst(t, g, 1+d.IntN(2), d.slowest)
		d.ask(t+d.slowest, d.someGrant()) // others are not concerned
	}
}

// signInTrouble gives a grant's sign-ins one of the passing faults.
func (d simDraw) signInTrouble(at time.Duration) {
	g := d.someGrant()
	f := simFault{
		kind: faultThrottled + simFaultKind(d.IntN(int(faultSignInSlow-faultThrottled)+1)), on: simTarget{grant: g},
		until: at + d.between(time.Second, 40*time.Second), slow: d.between(time.Second, 25*time.Second),
	}
	if f.kind == faultThrottled || f.kind == faultSignIn500 && d.one(2) {
		f.asks = 1 + d.IntN(90)
	}
	if d.one(3) {
		f.on = d.target(g)
	}
	d.fault(at, f)
	if d.one(2) {
		d.kill(at+1, simTarget{grant: g})
	}
	for t := at; t < f.until+10*time.Second; t += d.between(time.Second, 12*time.Second) {
		d.burst(t, g, 1+d.IntN(3), d.slowest)
	}
}

// leaving lets waiters leave a slow sign-in, the first one among them.
func (d simDraw) leaving(at time.Duration) {
	g := d.someGrant()
	d.fault(at, simFault{kind: faultSignInSlow, on: simTarget{grant: g}, until: at + 5*time.Second, slow: d.between(time.Second, 20*time.Second)})
	d.kill(at+1, simTarget{grant: g})
	for i := range 2 + d.IntN(6) {
		r := d.ask(at+time.Second+time.Duration(i)*d.between(1, 100*time.Millisecond), g)
		if i == 0 || d.one(2) {
			r.cancel = d.between(1, 3*time.Second)
		}
	}
	for t := at + 4*time.Second; t < at+20*time.Second; t += d.between(3*time.Second, 8*time.Second) { // others sign in meanwhile
		other := d.someGrant()
		d.kill(t-1, simTarget{grant: other})
		d.ask(t, other)
	}
	if d.one(4) { // nobody waits for it any more when the pool is closed
		d.add(simStep{at: at + d.between(3*time.Second, 6*time.Second), kind: stepTakeover})
	}
}

// rush lets everybody sign in at once, which takes its time.
func (d simDraw) rush(at time.Duration) {
	all := simTarget{grant: -1, all: true}
	d.fault(at, simFault{kind: faultSignInSlow, on: all, until: at + 5*time.Second, slow: d.between(time.Second, 8*time.Second)})
	d.kill(at+1, all)
	for grant := range d.crew {
		d.ask(at+time.Second+d.between(0, time.Second), grant)
	}
}

func (d simDraw) dataTrouble(at time.Duration) {
	g := d.someGrant()
	kind := simPick(d, faultData500, faultDataCut, faultDataHang)
	f := simFault{kind: kind, on: simTarget{grant: g}, until: at + d.between(time.Second, 10*time.Second)}
	d.fault(at, f)
	d.burst(at, g, 3, 5*time.Second)
}

// probeTrouble takes away what tells a dead session from a missing scope.
func (d simDraw) probeTrouble(at time.Duration) {
	g := d.someGrant()
	kind := simPick(d, faultProbe500, faultProbeCut, faultProbeHang)
	d.fault(at, simFault{kind: kind, on: simTarget{grant: g}, until: at + d.between(time.Second, 20*time.Second)})
	if d.one(2) {
		d.kill(at+1, simTarget{grant: g})
	}
	d.burst(at, g, 3, 5*time.Second)
	if d.one(2) {
		d.ask(at+d.between(0, 5*time.Second), g).scope = "tableau:users:delete"
	}
}

// signOutTrouble lets sign-outs fail for as long as a few sweeps take.
func (d simDraw) signOutTrouble(at time.Duration) {
	kind := simPick(d, faultSignOut503, faultSignOutCut, faultSignOutHang)
	d.fault(at, simFault{kind: kind, on: simTarget{grant: -1, all: true}, until: at + d.between(time.Minute, 15*time.Minute)})
}

// outage takes sign-in away from everybody, and watches how it comes back.
func (d simDraw) outage(at time.Duration) {
	kind := simPick(d, faultSignIn500, faultSignInCut, faultSignInHang, faultSignInHang, faultSignInHTML)
	until := min(at+d.between(20*time.Second, 8*time.Minute), simDay-2*time.Minute)
	d.fault(at, simFault{kind: kind, on: simTarget{grant: -1, all: true}, until: until, outage: true})
	if kind == faultSignInHang || d.one(2) { // as when Tableau is restarted
		d.kill(at+1, simTarget{grant: -1, all: true})
	}
	for t := at; t < until; t += d.between(time.Second, 2*time.Second+(until-t)/6) { // the denser, the nearer the end is
		d.burst(t, d.someGrant(), 1+d.IntN(2), d.slowest)
	}
	witness := d.extra("witness")
	for i := range 6 { // the last one when nobody may be refused any more
		r := d.ask(until+time.Duration(i)*time.Second+d.between(1, 100*time.Millisecond), witness)
		r.witness = until
	}
}

// clock sets Tableau's clock: by little, by as much as is corrected, or by more.
func (d simDraw) clock(at time.Duration) {
	by := simPick(d, 0, d.between(0, 10*time.Second), d.between(20*time.Second, 9*time.Minute), d.between(20*time.Second, 9*time.Minute))
	if d.one(4) {
		by = d.between(15*time.Minute, 3*time.Hour)
		d.add(simStep{at: at + d.between(time.Minute, 15*time.Minute), kind: stepClock, by: d.between(0, 9*time.Minute)})
	}
	if d.one(2) {
		by = -by
	}
	d.add(simStep{at: at, kind: stepClock, by: by})
	for range 3 {
		g := d.someGrant()
		if d.one(2) {
			d.kill(at+d.between(0, time.Minute), simTarget{grant: g})
		}
		d.burst(at+d.between(0, time.Minute), g, 2, d.slowest)
	}
}

func (d simDraw) reload(at time.Duration) {
	d.add(simStep{at: at, kind: stepReload})
	d.crowd(at - d.between(0, time.Second))
}

func (d simDraw) takeover(at time.Duration) {
	d.add(simStep{at: at, kind: stepTakeover})
	d.crowd(at - d.between(0, time.Second))
	d.crowd(at + d.between(0, 40*time.Second))
}

func (d simDraw) revoke(at time.Duration) {
	d.crowd(at - d.between(0, time.Second))
	d.add(simStep{at: at, kind: stepRevoke, on: d.target(d.someGrant())})
	d.crowd(at + d.between(0, time.Minute))
}

// crowd lets many grants ask within a second.
func (d simDraw) crowd(at time.Duration) {
	for range 3 + d.IntN(10) {
		d.burst(at+d.between(0, time.Second), d.someGrant(), 1+d.IntN(3), time.Second)
	}
}

// order sorts the steps, and moves those that fall together or outside the day.
func (d simDraw) order() {
	for i := range d.steps {
		d.steps[i].at = min(max(d.steps[i].at, 0), simDay-time.Minute)
	}
	slices.SortStableFunc(d.steps, func(a, b simStep) int { return cmp.Compare(a.at, b.at) })
	var last time.Duration
	for i := range d.steps {
		last = max(last+1, d.steps[i].at)
		d.steps[i].at = last
		if r := d.steps[i].req; r != nil {
			r.id = i
		}
	}
}

// String describes the plan in full.
func (p *simPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "renew after %v, idle after %v, at most %d sessions, limits %+v; Tableau: idle %v, cap %v, calls up to %v\n",
		p.renewLimit(), p.idleLimit(), p.maxSessions, p.limits, p.tableauIdle, p.tableauCap, p.slowest)
	for i, g := range p.grants {
		fmt.Fprintf(&b, "\tgrant %d: %s\n", i, simGrantName(g))
	}
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\t%v %s\n", s.at, s.detail())
	}
	return b.String()
}

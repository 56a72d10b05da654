// This file makes the handler and serves requests.

package tableautest

import (
	"maps"
	"net/http"
	"sync/atomic"
	"time"
)

// Tableau is a simulated Tableau: an http.Handler. Its methods may be called
// at any time and from any goroutine.
type Tableau struct {
	opts     Options
	accounts *registry
	sessions *sessions
	content  *content
	journal  *journal
	faults   *faults
	issuers  *issuers
	jtis     *jtiMemory
	vault    *vault

	clockOffset atomic.Int64
	requests    atomic.Int64
	signingIn   atomic.Int64
	signInPeak  atomic.Int64
}

// New makes a Tableau. It panics if Options contradict themselves, such as a
// Connected App with three secrets or for an unknown site.
func New(opts Options) *Tableau {
	opts = opts.withDefaults()
	t := &Tableau{
		opts:     opts,
		accounts: newRegistry(opts),
		sessions: newSessions(opts.IdleLimit, opts.LifetimeLimit),
		journal:  newJournal(opts.JournalSize),
		faults:   &faults{},
		issuers:  newIssuers(),
		jtis:     newJTIMemory(),
		vault:    newVault(),
	}
	if err := t.accounts.check(); err != nil {
		panic("tableautest: " + err.Error())
	}
	t.content = newContent(t.accounts, opts.Workbooks)
	t.accounts.lockAway(t.vault)
	return t
}

// ServeHTTP answers one request as Tableau would.
func (t *Tableau) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := t.newExchange(w, r)
	defer x.finish()
	x.serve()
}

// now is the time by the server's own clock, without offset.
func (t *Tableau) now() time.Time { return t.opts.Now() }

// clock is the time that the server believes it is.
func (t *Tableau) clock() time.Time { return t.now().Add(time.Duration(t.clockOffset.Load())) }

// SetClockOffset makes the server's clock wrong by d, in its Date header and
// when it checks JWTs. Sessions do not notice.
func (t *Tableau) SetClockOffset(d time.Duration) { t.clockOffset.Store(int64(d)) }

// Sessions lists the live sessions, oldest first.
func (t *Tableau) Sessions() []SessionInfo { return t.sessions.list(t.now()) }

// KillSessions ends the live sessions that match and returns their number.
func (t *Tableau) KillSessions(f SessionFilter) int {
	return t.sessions.endWhere(EndKilled, f.matches)
}

// Stats are counts since New, which [Tableau.ResetJournal] leaves alone.
type Stats struct {
	// Requests are all that were served.
	Requests int64
	// SignInsInFlight are being worked on; MaxSignInsInFlight was the most.
	SignInsInFlight, MaxSignInsInFlight int64
	// LiveSessions now, and the most that there were.
	LiveSessions, MaxLiveSessions int
	// Ended counts ended sessions by reason; see [EndIdle] and its neighbours.
	Ended map[string]int
}

// Stats returns the counts.
func (t *Tableau) Stats() Stats {
	ss := t.sessions
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ended := make(map[string]int, len(ss.ended))
	maps.Copy(ended, ss.ended)
	return Stats{
		Requests:           t.requests.Load(),
		SignInsInFlight:    t.signingIn.Load(),
		MaxSignInsInFlight: t.signInPeak.Load(),
		LiveSessions:       len(ss.byToken),
		MaxLiveSessions:    ss.peak,
		Ended:              ended,
	}
}

// Leaks returns the names of all secrets and session tokens, live or past,
// whose value or a long part of it occurs in b, and never a value. It is meant
// for searching logs, answers and files after a test. The last 100 000 tokens
// and JWTs are remembered.
func (t *Tableau) Leaks(b []byte) []string { return t.vault.find(b) }

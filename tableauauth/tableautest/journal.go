// This file keeps the journal: what was asked, by whom, and how it ended.

package tableautest

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Entry is one request as the server saw it. It holds no token, no secret
// and no header value beyond the harmless ones named here.
type Entry struct {
	// Seq numbers the entries from 1 in the order in which requests ended.
	Seq int64
	// Time is when the request came, by [Options].Now.
	Time time.Time
	// Took is how long it was worked on, by the same clock.
	Took time.Duration

	Method string
	// Path is the escaped path as it was received.
	Path string
	// Query is the raw query as it was received.
	Query string
	Proto string

	// Operation is the name of the recognised operation, or empty.
	Operation string
	// Site is the content URL of the session's site.
	Site string
	// User is the name of the user that the request acted as.
	User string
	// Kind is the kind of credential of the session.
	Kind Kind
	// SessionID names the session in this process; it is not the token. For a
	// sign-in it is the new session. Empty without a live session.
	SessionID string
	// Scopes are those of the session.
	Scopes []string
	// JWT describes the JWT of a sign-in, accepted or refused, so far as it
	// could be read.
	JWT *JWTInfo

	Status int
	// Code is Tableau's error code, such as "401002", or empty.
	Code string
	// SubCode is the number in brackets at the end of a refused sign-in.
	SubCode int
	// Reason says why a request was refused, which Tableau would not say.
	Reason string
	// Fault names the effects of faults that were applied.
	Fault string

	// Headers counts the values of every header received, by canonical name.
	Headers map[string]int
	// Host, UserAgent, Accept and ContentType are the header values.
	Host, UserAgent, Accept, ContentType string
	// AuthTokens is the number of X-Tableau-Auth headers.
	AuthTokens int
	// Authorization and Cookie tell whether such a header was there.
	Authorization, Cookie bool
	// Trailers are the names of the request's trailers.
	Trailers []string
	// BodyBytes were received, ResponseBytes sent.
	BodyBytes, ResponseBytes int64
	// ClientGone tells that the client left before the answer was complete.
	ClientGone bool
}

// JWTInfo is what a JWT of a sign-in said. None of it is secret.
type JWTInfo struct {
	Alg, KeyID, Issuer, Subject, JTI string
	// Audience is the audience as JSON.
	Audience                      string
	IssuedAt, NotBefore, ExpireAt time.Time
	// Claims are the others, such as user attributes.
	Claims map[string]any
}

// SignInFilter selects sign-ins to count. Empty fields match all; the site
// "default" is the one with the empty content URL.
type SignInFilter struct {
	User, Site string
	Kind       Kind
	// Code selects refused sign-ins by error code. Empty: accepted ones only.
	Code string
	// SubCode selects refused sign-ins by sub-code.
	SubCode int
}

// Journal returns a copy of the entries, oldest first.
func (t *Tableau) Journal() []Entry { return t.journal.entries() }

// SignIns counts sign-ins, also those that the journal has dropped.
func (t *Tableau) SignIns(f SignInFilter) int { return t.journal.signIns(f) }

// ResetJournal empties the journal and sets the counts to zero.
func (t *Tableau) ResetJournal() { t.journal.reset() }

// maxTallies bounds the memory for counts of sign-ins.
const maxTallies = 1 << 20

// journal is a ring of entries and the counts that outlive it.
type journal struct {
	mu      sync.Mutex
	size    int
	ring    []Entry
	next    int
	seq     int64
	tallies map[SignInFilter]int
}

func newJournal(size int) *journal {
	return &journal{size: max(size, 0), tallies: map[SignInFilter]int{}}
}

// add numbers and stores an entry, and returns it.
func (j *journal) add(e Entry) Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e.Seq = j.seq
	if e.Operation == opSignIn {
		j.tally(e)
	}
	if j.size == 0 {
		return e
	}
	if len(j.ring) < j.size {
		j.ring = append(j.ring, e)
	} else {
		j.ring[j.next] = e
	}
	j.next = (j.next + 1) % j.size
	return e
}

func (j *journal) tally(e Entry) {
	key := SignInFilter{User: e.User, Site: e.Site, Kind: e.Kind, Code: e.Code, SubCode: e.SubCode}
	if e.Status != 200 && key.Code == "" {
		key.Code = "none"
	}
	if _, ok := j.tallies[key]; !ok && len(j.tallies) >= maxTallies {
		key.User = ""
	}
	j.tallies[key]++
}

func (j *journal) signIns(f SignInFilter) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for key, count := range j.tallies {
		if f.matches(key) {
			n += count
		}
	}
	return n
}

func (f SignInFilter) matches(key SignInFilter) bool {
	refused := f.Code != "" || f.SubCode != 0
	return (f.User == "" || f.User == key.User) &&
		(f.Site == "" || sameSite(f.Site, key.Site)) &&
		(f.Kind == "" || f.Kind == key.Kind) &&
		(f.SubCode == 0 || f.SubCode == key.SubCode) &&
		(f.Code == "" || f.Code == key.Code) &&
		refused == (key.Code != "")
}

func (j *journal) entries() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Entry, 0, len(j.ring))
	if len(j.ring) == j.size {
		out = append(out, j.ring[j.next:]...)
		out = append(out, j.ring[:j.next]...)
	} else {
		out = append(out, j.ring...)
	}
	for i := range out {
		out[i] = out[i].clone()
	}
	return out
}

// clone copies what the entry refers to, so that callers may change it.
func (e Entry) clone() Entry {
	e.Headers = maps.Clone(e.Headers)
	e.Scopes = slices.Clone(e.Scopes)
	e.Trailers = slices.Clone(e.Trailers)
	if e.JWT != nil {
		info := *e.JWT
		info.Claims = maps.Clone(info.Claims)
		e.JWT = &info
	}
	return e
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring, j.next = nil, 0
	clear(j.tallies)
}

// This file keeps the sessions: how they begin, are used and end.

package tableautest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Why a session ended; the keys of [Stats].Ended.
const (
	EndIdle       = "idle"
	EndLifetime   = "lifetime"
	EndSignOut    = "sign_out"
	EndSwitchSite = "switch_site"
	EndPATReuse   = "pat_reuse"
	EndKilled     = "killed"
	EndDeleted    = "deleted"
	EndRevoked    = "revoked"
)

// SessionInfo describes a live session without its token.
type SessionInfo struct {
	// ID is the public identifier, which the journal uses too.
	ID         string
	Site, User string
	Kind       Kind
	Scopes     []string
	SignedInAt time.Time
	LastUsed   time.Time
	// Credential names what it was signed in with: a secret ID, key ID or
	// PAT name. Empty for a password.
	Credential string
	// Claims are the JWT's claims beyond the registered ones.
	Claims map[string]any
}

// SessionFilter selects sessions. Empty fields match all; the site "default"
// is the one with the empty content URL.
type SessionFilter struct {
	ID, Site, User string
	Kind           Kind
	// Credential is a secret ID, key ID or PAT name.
	Credential string
}

// session is one live session. Fields above lastUsed do not change.
type session struct {
	id, token  string
	site, user string
	kind       Kind
	credential string
	clientID   string
	scopes     []string
	claims     map[string]any
	signedInAt time.Time
	lastUsed   time.Time
}

func (f SessionFilter) matches(s *session) bool {
	return (f.ID == "" || f.ID == s.id) &&
		(f.Site == "" || sameSite(f.Site, s.site)) &&
		(f.User == "" || f.User == s.user) &&
		(f.Kind == "" || f.Kind == s.kind) &&
		(f.Credential == "" || f.Credential == s.credential)
}

// maxTimedOut bounds the memory of tokens that have timed out.
const maxTimedOut = 10_000

// sessions are all that live.
type sessions struct {
	idle, life time.Duration

	mu        sync.Mutex
	byToken   map[string]*session
	byPAT     map[string]*session
	timedOut  map[string]bool
	ended     map[string]int
	serial    int
	peak      int
	lastSweep time.Time
}

func newSessions(idle, life time.Duration) *sessions {
	return &sessions{
		idle: idle, life: life,
		byToken: map[string]*session{}, byPAT: map[string]*session{},
		timedOut: map[string]bool{}, ended: map[string]int{},
	}
}

// begin completes and stores a session, ending an earlier one of its PAT.
func (ss *sessions) begin(s *session, now time.Time) {
	s.token = newToken(s.site)
	s.signedInAt, s.lastUsed = now, now
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.sweep(now)
	ss.serial++
	s.id = fmt.Sprintf("s%d", ss.serial)
	if s.kind == KindPAT {
		if earlier := ss.byPAT[s.credential]; earlier != nil {
			ss.remove(earlier, EndPATReuse)
		}
		ss.byPAT[s.credential] = s
	}
	ss.byToken[s.token] = s
	ss.peak = max(ss.peak, len(ss.byToken))
}

// newToken makes a token in Tableau's shape: 22 characters, 32 characters and
// the site's LUID, separated by bars.
func newToken(site string) string {
	var raw [40]byte
	_, _ = rand.Read(raw[:]) // never fails
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	return text[:22] + "|" + text[22:54] + "|" + SiteLUID(site)
}

// sweep ends what has timed out, now and then. The lock is held.
func (ss *sessions) sweep(now time.Time) {
	if now.Sub(ss.lastSweep) < ss.idle/8 {
		return
	}
	ss.lastSweep = now
	for _, s := range ss.byToken {
		ss.expire(s, now)
	}
}

// expire ends a session that has timed out. The lock is held.
func (ss *sessions) expire(s *session, now time.Time) bool {
	reason := ""
	switch {
	case now.Sub(s.lastUsed) > ss.idle:
		reason = EndIdle
	case ss.life > 0 && now.Sub(s.signedInAt) > ss.life:
		reason = EndLifetime
	default:
		return false
	}
	ss.remove(s, reason)
	if len(ss.timedOut) >= maxTimedOut {
		clear(ss.timedOut)
	}
	ss.timedOut[s.token] = true
	return true
}

// remove ends a session. The lock is held.
func (ss *sessions) remove(s *session, reason string) {
	delete(ss.byToken, s.token)
	if ss.byPAT[s.credential] == s {
		delete(ss.byPAT, s.credential)
	}
	ss.ended[reason]++
}

// peek finds a live session without using it.
func (ss *sessions) peek(token string, now time.Time) *session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byToken[token]
	if s == nil || ss.expire(s, now) {
		return nil
	}
	return s
}

// use finds a live session and extends its idle time. Without one, timedOut
// tells whether the token is known to have timed out.
func (ss *sessions) use(token string, now time.Time) (s *session, timedOut bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s = ss.byToken[token]
	if s == nil || ss.expire(s, now) {
		return nil, ss.timedOut[token]
	}
	s.lastUsed = now
	return s, false
}

// end ends one session, if it still lives.
func (ss *sessions) end(s *session, reason string) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.byToken[s.token] != s {
		return false
	}
	ss.remove(s, reason)
	return true
}

// endWhere ends the sessions that match and counts them.
func (ss *sessions) endWhere(reason string, match func(*session) bool) (n int) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.byToken {
		if match(s) {
			ss.remove(s, reason)
			n++
		}
	}
	return n
}

// list returns the live sessions, oldest first.
func (ss *sessions) list(now time.Time) []SessionInfo {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	var out []SessionInfo
	for _, s := range ss.byToken {
		if !ss.expire(s, now) {
			out = append(out, s.info())
		}
	}
	slices.SortFunc(out, func(a, b SessionInfo) int {
		if c := a.SignedInAt.Compare(b.SignedInAt); c != 0 {
			return c
		}
		return compareIDs(a.ID, b.ID)
	})
	return out
}

// compareIDs orders s9 before s10.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	if a < b {
		return -1
	}
	return 1
}

func (s *session) info() SessionInfo {
	return SessionInfo{
		ID: s.id, Site: s.site, User: s.user, Kind: s.kind, Scopes: slices.Clone(s.scopes),
		SignedInAt: s.signedInAt, LastUsed: s.lastUsed, Credential: s.credential, Claims: s.claims,
	}
}

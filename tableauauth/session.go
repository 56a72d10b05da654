package tableauauth

// This file holds a live session: Tableau's token, and what it is known to be
// for. There may be a million of them, so it is kept small.

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A Session is one live session at Tableau. It is shared by every request with
// the same grant, and prints without its token.
type Session struct {
	token  tableauapi.Secret
	terms  *terms
	user   string    // the grant's
	userID uuid.UUID // the user's LUID, unless it is in rare
	id     uuid.UUID // the jti of the JWT that began it, or drawn at random
	rare   *rare     // what most sessions do not have, or nil

	signedIn   time.Duration // since the pool's beginning
	renewAfter millis        // from then on a use starts a renewal
	lastUsed   atomic.Uint32 // millis
	lastGood   atomic.Uint32 // millis; Tableau's last answer that accepted the token, 0 if there is none
	barren     uint8         // how many sessions before this one were replaced without such an answer
	fromJWT    bool          // id is a jti
}

// terms are what a session has in common with others.
type terms struct {
	began      time.Time // the pool's; what is measured from it goes on when the clock of the machine is set
	site       string    // the grant's
	scopes     []string  // the grant's
	siteID     string
	contentURL string
	apiVersion string // of the sign-in, which later calls about the session use too
}

// A rare is what few sessions have.
type rare struct {
	claims []Claim // the grant's
	actsAs string  // user name, where it is not the grant's
	userID string  // of a form that Tableau does not give today
	lease  *lease  // of a session that has a seat, see Seated
}

// millis is a time in milliseconds after a sign-in. After 49 days it stands.
type millis = uint32

// newSession makes the session of answer, which must fit what was asked for.
func (p *Pool) newSession(g Grant, proof Proof, answer tableauapi.SignInAnswer, now time.Time) (*Session, error) {
	if err := fits(g, proof, answer); err != nil {
		return nil, &SignInError{Reason: Misfit, Status: http.StatusOK, Err: err}
	}
	s := &Session{
		token:    answer.Token,
		terms:    p.terms(g, proof, answer),
		user:     strings.Clone(g.User), // which may be a part of something large
		signedIn: now.Sub(p.began),
	}
	if len(g.Claims) > 0 {
		s.rarely().claims = g.Claims
	}
	var usual bool
	if s.userID, usual = compact(answer.UserID); !usual {
		s.rarely().userID = answer.UserID
	}
	if s.id, s.fromJWT = compact(proof.JTI); !s.fromJWT {
		_, _ = rand.Read(s.id[:]) // never fails, see crypto/rand
	}
	return s, nil
}

// compact returns the bytes of an id in the canonical form of UUIDs (RFC 9562,
// section 4), which Tableau's LUIDs have too.
func compact(id string) (uuid.UUID, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.String() != id {
		return uuid.UUID{}, false
	}
	return u, true
}

// fits reports why answer is not the session for g that p asked for, or nil. A
// mixed-up or malicious answer must not become somebody's session.
func fits(g Grant, p Proof, answer tableauapi.SignInAnswer) error {
	if id := p.Credentials.ImpersonateUserID; id != "" && !strings.EqualFold(answer.UserID, id) {
		return errors.New("asked for a session of one user, Tableau answered with another's")
	}
	if !strings.EqualFold(answer.ContentURL, g.Site) {
		return fmt.Errorf("asked for the site %q, Tableau answered with %q", g.Site, answer.ContentURL)
	}
	// Newer tokens name their site in the third of three parts.
	parts := strings.Split(answer.Token.Reveal(), "|")
	if len(parts) == 3 && !strings.EqualFold(parts[2], answer.SiteID) {
		return errors.New("the token in Tableau's answer is for another site than the answer says")
	}
	return nil
}

// isFor reports whether s is the session of g. It is asked whenever a session
// is found, so that whatever goes wrong in finding gives nobody another's.
func (s *Session) isFor(g Grant) bool {
	return s.user == g.User && s.terms.site == g.Site && slices.Equal(s.terms.scopes, g.Scopes) &&
		slices.EqualFunc(s.claims(), g.Claims, Claim.equal)
}

// ID names the session in logs. It says nothing about the token.
func (s *Session) ID() string { return hex.EncodeToString(s.id[:8]) }

// Grant returns what the session is for. Its lists must not be changed.
func (s *Session) Grant() Grant {
	return Grant{Site: s.terms.site, User: s.user, Scopes: s.terms.scopes, Claims: s.claims()}
}

// SiteID returns the LUID of the session's site.
func (s *Session) SiteID() string { return s.terms.siteID }

// UserID returns the LUID of the session's user.
func (s *Session) UserID() string {
	if s.rare != nil && s.rare.userID != "" {
		return s.rare.userID
	}
	return s.userID.String()
}

// ActsAs returns the name of the user whose rights the session has: the grant's
// user or, where an [Account] signs in as itself, that account's. It is "" if
// Tableau did not say.
func (s *Session) ActsAs() string {
	if s.rare != nil && s.rare.actsAs != "" {
		return s.rare.actsAs
	}
	return s.user
}

// ContentURL returns the site's content URL as Tableau spells it.
func (s *Session) ContentURL() string { return s.terms.contentURL }

// JTI returns the id of the JWT that began the session, or "".
func (s *Session) JTI() string {
	if !s.fromJWT {
		return ""
	}
	return s.id.String()
}

// SignedInAt returns when the session began.
func (s *Session) SignedInAt() time.Time { return s.terms.began.Add(s.signedIn) }

// rarely returns the place for what few sessions have. It is used before the
// session is shared only.
func (s *Session) rarely() *rare {
	if s.rare == nil {
		s.rare = new(rare)
	}
	return s.rare
}

func (s *Session) claims() []Claim {
	if s.rare == nil {
		return nil
	}
	return s.rare.claims
}

// lease returns what the session has if a seat was taken for it, or nil.
func (s *Session) lease() *lease {
	if s.rare == nil {
		return nil
	}
	return s.rare.lease
}

// age returns how long ago the session began, in milliseconds, at least 1.
func (s *Session) age(now time.Time) millis {
	ms := (now.Sub(s.terms.began) - s.signedIn).Milliseconds()
	return millis(min(max(ms, 1), math.MaxUint32))
}

// grain is how exact the times of a session are. Finer, and each of many
// requests at once would write to the same memory.
const grain millis = 1000

// used notes a use.
func (s *Session) used(now time.Time) { note(&s.lastUsed, s.age(now)) }

// accepted notes that Tableau has just answered a request with this token.
func (s *Session) accepted(now time.Time) { note(&s.lastGood, s.age(now)) }

func note(last *atomic.Uint32, age millis) {
	if was := last.Load(); was == 0 || age >= was+grain {
		last.Store(age)
	}
}

// lastUsedAt returns when the session was last used.
func (s *Session) lastUsedAt() time.Time {
	return s.SignedInAt().Add(time.Duration(s.lastUsed.Load()) * time.Millisecond)
}

// idleFor returns for how long the session has not been used.
func (s *Session) idleFor(now time.Time) time.Duration {
	return (time.Duration(s.age(now)) - time.Duration(s.lastUsed.Load())) * time.Millisecond
}

// quietFor returns for how long Tableau has not confirmed the session.
func (s *Session) quietFor(now time.Time) time.Duration {
	return (time.Duration(s.age(now)) - time.Duration(s.lastGood.Load())) * time.Millisecond
}

// barrenLine returns how many sessions in a row, up to and including s, Tableau
// has never accepted after the sign-in.
func (s *Session) barrenLine() uint8 {
	if s == nil || s.lastGood.Load() != 0 {
		return 0
	}
	return s.barren + 1
}

// String describes the session without its token.
func (s *Session) String() string {
	return fmt.Sprintf("session %s of %q on site %q", s.ID(), s.ActsAs(), s.terms.site)
}

// Format keeps %#v and the like from walking into the fields.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue describes the session to log/slog without its token.
func (s *Session) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", s.ID()),
		slog.String("user", s.ActsAs()),
		slog.String("site", s.terms.site),
	)
}

package tableauauth

// This file holds a live session: Tableau's token, and what it is known to be
// for.

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A Session is one live session at Tableau. It is shared by every request with
// the same grant, and prints without its token.
type Session struct {
	key        Key
	token      tableauapi.Secret
	grant      Grant
	siteID     string
	userID     string
	contentURL string
	id         [8]byte
	jti        string
	apiVersion string // of the sign-in, which later calls about the session use too
	actsAs     string // user name, or "" if it is not known
	lease      *lease // of a session that has a seat, see Seated

	signedIn int64        // Unix nanoseconds
	renewAt  int64        // Unix nanoseconds; from then on a use starts a renewal
	lastUsed atomic.Int64 // Unix nanoseconds
	lastGood atomic.Int64 // Unix nanoseconds of Tableau's last answer that accepted the token
	barren   int          // how many sessions before this one were replaced without such an answer
}

// newSession makes the session of answer, which must fit what was asked for.
func newSession(key Key, g Grant, p Proof, answer tableauapi.SignInAnswer, now time.Time) (*Session, error) {
	if err := fits(g, p, answer); err != nil {
		return nil, &SignInError{Reason: Misfit, Status: http.StatusOK, Err: err}
	}
	s := &Session{
		key:        key,
		token:      answer.Token,
		grant:      g,
		siteID:     answer.SiteID,
		userID:     answer.UserID,
		contentURL: answer.ContentURL,
		jti:        p.JTI,
		apiVersion: p.APIVersion,
		actsAs:     g.User,
		signedIn:   now.UnixNano(),
	}
	_, _ = rand.Read(s.id[:]) // never fails, see crypto/rand
	s.lastUsed.Store(s.signedIn)
	s.lastGood.Store(s.signedIn)
	return s, nil
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

// ID names the session in logs. It was drawn at random and says nothing about
// the token.
func (s *Session) ID() string { return hex.EncodeToString(s.id[:]) }

// Grant returns what the session is for. Its Scopes must not be changed.
func (s *Session) Grant() Grant { return s.grant }

// SiteID returns the LUID of the session's site.
func (s *Session) SiteID() string { return s.siteID }

// UserID returns the LUID of the session's user.
func (s *Session) UserID() string { return s.userID }

// ActsAs returns the name of the user whose rights the session has: the grant's
// user or, where an [Account] signs in as itself, that account's. It is "" if
// Tableau did not say.
func (s *Session) ActsAs() string { return s.actsAs }

// ContentURL returns the site's content URL as Tableau spells it.
func (s *Session) ContentURL() string { return s.contentURL }

// JTI returns the id of the JWT that began the session, or "".
func (s *Session) JTI() string { return s.jti }

// SignedInAt returns when the session began.
func (s *Session) SignedInAt() time.Time { return time.Unix(0, s.signedIn) }

// used notes a use at now.
func (s *Session) used(now int64) { s.lastUsed.Store(now) }

// accepted notes that Tableau has just answered a request with this token. It is
// later than the sign-in, even if the clock says otherwise.
func (s *Session) accepted(now time.Time) { s.lastGood.Store(max(now.UnixNano(), s.signedIn+1)) }

// barrenLine returns how many sessions in a row, up to and including s, Tableau
// has never accepted after the sign-in.
func (s *Session) barrenLine() int {
	if s == nil || s.lastGood.Load() != s.signedIn {
		return 0
	}
	return s.barren + 1
}

// quietFor returns for how long Tableau has not confirmed the session.
func (s *Session) quietFor(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - s.lastGood.Load())
}

// String describes the session without its token.
func (s *Session) String() string {
	return fmt.Sprintf("session %s of %q on site %q", s.ID(), s.actsAs, s.grant.Site)
}

// Format keeps %#v and the like from walking into the fields.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue describes the session to log/slog without its token.
func (s *Session) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", s.ID()),
		slog.String("user", s.actsAs),
		slog.String("site", s.grant.Site),
	)
}

package tableauauth

// This file is how a program learns what the package does: for metrics, events
// and tests.

import "time"

// An Observer is told what happens. Its functions may be nil; they are called
// from many goroutines, and whatever waits for the event waits for them too,
// so they must be quick.
type Observer struct {
	// SignIn is called after each sign-in attempt.
	SignIn func(SignInEvent)
	// SignOut is called after each sign-out at Tableau.
	SignOut func(SignOutEvent)
	// Refresh is called when a session in use was to be renewed before its end,
	// and that has succeeded or failed.
	Refresh func(RefreshEvent)
	// Evict is called when a session is given up that may live, and that no
	// other replaces. Its sign-out follows: at once, or when the requests that
	// have it are done.
	Evict func(EvictEvent)
	// Recover is called when Tableau has ended a session that was in use, and
	// another has taken its place or could not be had.
	Recover func(RecoverEvent)
	// Clock is called when the difference between Tableau's clock and ours has
	// changed by more than some seconds, with Tableau's minus ours.
	Clock func(offset time.Duration)
	// Failover is called when Tableau has refused one secret of a credential,
	// and another is tried.
	Failover func(FailoverEvent)
}

// A SignInEvent is one sign-in attempt.
type SignInEvent struct {
	Grant    Grant
	JTI      string
	SecretID string
	Session  *Session     // nil if it failed
	Err      *SignInError // nil if it succeeded
	Took     time.Duration
}

// A SignOutEvent is one sign-out.
type SignOutEvent struct {
	Session *Session
	Err     error
}

// A RefreshEvent is the renewal of a session in use.
type RefreshEvent struct {
	Session *Session // that was due
	Fresh   *Session // that takes its place, or nil
	Err     error    // why there is none: Session goes on
}

// An EvictEvent is a session that was given up.
type EvictEvent struct {
	Session *Session
	Reason  string // one of the following
}

// Why a session is given up.
const (
	// EvictedIdle: it was unused for longer than [PoolOptions.IdleAfter], or than
	// Tableau was seen to let sessions be.
	EvictedIdle = "idle"
	// EvictedLapsed: when it was wanted, Tableau had not heard of it for longer
	// than it was seen to let sessions be.
	EvictedLapsed = "lapsed"
	// EvictedForRoom: there are more than [PoolOptions.MaxSessions].
	EvictedForRoom = "max_sessions"
	// EvictedForSeat: its seat went to somebody else, see [Seated].
	EvictedForSeat = "seat"
	// EvictedRevoked: [Pool.Revoke] was called for it.
	EvictedRevoked = "revoked"
)

// A RecoverEvent is a session that Tableau ended before we did.
type RecoverEvent struct {
	Dead     *Session
	Replayed bool  // the request was sent again
	Err      error // why there is no new session, or nil
}

// A FailoverEvent is a secret, or a personal access token, that Tableau did not
// accept.
type FailoverEvent struct {
	Kind     string // of the credential
	SecretID string // of the secret that was refused, or the token's name
	Err      *SignInError
}

func (o Observer) clock(offset time.Duration) {
	if o.Clock != nil {
		o.Clock(offset)
	}
}

func (o Observer) failover(e FailoverEvent) {
	if o.Failover != nil {
		o.Failover(e)
	}
}

func (o Observer) signIn(e SignInEvent) {
	if o.SignIn != nil {
		o.SignIn(e)
	}
}

func (o Observer) signOut(e SignOutEvent) {
	if o.SignOut != nil {
		o.SignOut(e)
	}
}

func (o Observer) refresh(e RefreshEvent) {
	if o.Refresh != nil {
		o.Refresh(e)
	}
}

// evict tells of each of the sessions; it takes no other lock.
func (o Observer) evict(reason string, sessions ...*Session) {
	if o.Evict == nil {
		return
	}
	for _, s := range sessions {
		o.Evict(EvictEvent{Session: s, Reason: reason})
	}
}

func (o Observer) recovered(e RecoverEvent) {
	if o.Recover != nil {
		o.Recover(e)
	}
}

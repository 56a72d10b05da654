package tableauauth

// This file classifies the ways in which a sign-in can fail, since what
// happens next depends on it: who is told what, and when it is tried again.

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A Reason is why a sign-in failed.
type Reason int

// The reasons, each with what it means for a repeated attempt.
const (
	// Refused: Tableau said no (401 or another 4xx). Somebody has to change
	// something, unless the sub-code says otherwise.
	Refused Reason = iota + 1
	// Throttled: Tableau wants fewer requests (429), see RetryAfter.
	Throttled
	// Unavailable: Tableau answered with a 5xx.
	Unavailable
	// Unreachable: no connection, or it broke (DNS, TCP, TLS).
	Unreachable
	// TimedOut: no answer within the client's time limit.
	TimedOut
	// Redirected: the origin sends sign-ins elsewhere. They are never
	// followed, because the credential would go along.
	Redirected
	// Nonsense: the answer is not Tableau's (an HTML page, a cut body).
	Nonsense
	// Misfit: the answer is a session for something else than was asked for.
	Misfit
	// Unsigned: the credential could not make a proof.
	Unsigned
	// Barren: Tableau accepts the sign-ins, but not one request with the
	// sessions that come of them.
	Barren
	// Withheld: the credential was not presented, since Tableau has refused it
	// before and counts refusals.
	Withheld
	// Limited: our own limits on sign-ins kept it back, see [SignInLimits] and
	// RetryAfter.
	Limited
)

var reasonNames = [...]string{
	Refused:     "refused",
	Throttled:   "throttled",
	Unavailable: "unavailable",
	Unreachable: "unreachable",
	TimedOut:    "timed_out",
	Redirected:  "redirected",
	Nonsense:    "nonsense",
	Misfit:      "misfit",
	Unsigned:    "unsigned",
	Barren:      "barren",
	Withheld:    "withheld",
	Limited:     "limited",
}

// String returns the reason's name as logs and metrics have it.
func (r Reason) String() string {
	if r < 1 || int(r) >= len(reasonNames) {
		return "unknown"
	}
	return reasonNames[r]
}

// A SignInError is a sign-in that failed. Its text is for the operator's log:
// it says what Tableau answered, what that means and what to change. It never
// holds a secret, a JWT or a token, even where Tableau's answer repeated one.
type SignInError struct {
	Reason     Reason
	Status     int               // HTTP status of the answer, or 0
	Tableau    *tableauapi.Error // Tableau's error body, or nil
	RetryAfter time.Duration     // what Tableau asked for, or our limits do, or 0
	Err        error             // the cause below, or nil

	ours bool // nothing was sent: it costs nothing to find it out again
}

// Error returns the failure in full, in one line.
func (e *SignInError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sign-in at Tableau: %s", e.Reason)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.Tableau != nil {
		fmt.Fprintf(&b, ": %s", e.Tableau)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", e.Err)
	}
	if code, ok := e.subCode(); ok {
		fmt.Fprintf(&b, ": %s", code.Name())
	}
	if meaning, fix := e.Explain(); meaning != "" {
		fmt.Fprintf(&b, ": %s; %s", meaning, fix)
	}
	return b.String()
}

// subCode returns why Tableau refused, if it said so.
func (e *SignInError) subCode() (tableauapi.SubCode, bool) {
	if e.Tableau == nil {
		return 0, false
	}
	return e.Tableau.SubCode()
}

// Unwrap returns the cause below.
func (e *SignInError) Unwrap() error { return e.Err }

// Explain says what Tableau's sub-code means and where to change it, or "" if
// there is none that is known.
func (e *SignInError) Explain() (meaning, fix string) {
	code, ok := e.subCode()
	if !ok {
		return "", ""
	}
	return code.Explain()
}

// Permanent reports whether trying again cannot help until somebody has
// changed something.
func (e *SignInError) Permanent() bool {
	switch e.Reason {
	case Redirected, Misfit, Unsigned, Barren, Withheld:
		return true
	case Refused:
		code, ok := e.subCode()
		return !ok || code.Permanent()
	case Throttled, Unavailable, Unreachable, TimedOut, Nonsense, Limited:
	}
	return false
}

// blamesAccount reports whether the account of another owner, or another of its
// tokens, may be accepted where this one was refused. Tableau tells a token
// that has ended, a site that the owner is no user of, and impersonation that
// is not allowed apart neither from each other nor from anything else.
func (e *SignInError) blamesAccount() bool { return e.Reason == Refused && e.Tableau != nil }

// blamesSecret reports whether another secret of the same Connected App may be
// accepted where this one was refused: Tableau did not know it, or did not
// accept what it signed. Tableau does not document the sub-code of a wrong
// signature, so every code about the token as such counts, and so does none.
func (e *SignInError) blamesSecret() bool {
	if e.Reason != Refused || e.Tableau == nil || e.Tableau.Code != tableauapi.CodeSignInFailed {
		return false
	}
	code, ok := e.subCode()
	if !ok {
		return true
	}
	switch code {
	case tableauapi.SubCodeConnectedAppSecretNotFound,
		tableauapi.SubCodeBadJWT,
		tableauapi.SubCodeJWTParseError,
		tableauapi.SubCodeCouldNotFetchJWTKeys:
		return true
	default:
		return false
	}
}

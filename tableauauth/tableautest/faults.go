// This file describes the faults that can be asked of the server.

package tableautest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Match selects requests. Every field that is set must match; the zero value
// matches every request.
type Match struct {
	// SignIn matches sign-ins only, Data everything else.
	SignIn, Data bool
	// Method is the HTTP method.
	Method string
	// Path is a part of the escaped path.
	Path string
	// Operation is the operation's name.
	Operation string
	// User and Site are those of the request's live session. (A sign-in has none.)
	User, Site string
	// Func, if set, decides last. It must not read the body.
	Func func(*http.Request) bool
}

// Fault is something that goes wrong for the requests that match. Set the
// effects wanted; where several apply at once, delays add up and the first
// fault that makes an answer wins.
type Fault struct {
	Match Match
	// Count is how many requests it hits; 0 means until it is removed.
	Count int

	// Delay is waited before anything is answered, MidBodyDelay when half of
	// the body has been sent.
	Delay, MidBodyDelay time.Duration
	// KillSession ends the request's session before it is looked at.
	KillSession bool
	// Hang gives no answer until the client leaves or the fault is removed.
	Hang bool
	// Cut resets the connection.
	Cut Cut
	// Refuse answers with an error in Tableau's shape.
	Refuse *Refusal
	// Redirect answers with this Location and RedirectStatus (default 302).
	Redirect       string
	RedirectStatus int
	// Body spoils the answer's body.
	Body BadBody
	// HugeSize is the size of a HugeBody. Default 1 GiB.
	HugeSize int64
	// AnswerUser and AnswerSite make a successful sign-in claim to be for
	// this user, or site (content URL), instead of the one asked for.
	AnswerUser, AnswerSite string
}

// Refusal is an error answer. Code's first three digits are the status.
type Refusal struct {
	// Code such as "429000". An empty code or one that is not six digits
	// needs Status.
	Code   string
	Status int
	// SubCode, if not 0, is put in brackets behind Detail.
	SubCode         int
	Summary, Detail string
	// RetryAfter is the value of the Retry-After header, if any.
	RetryAfter string
}

// Cut is when a connection is reset.
type Cut int

// When a connection is reset.
const (
	NoCut Cut = iota
	// CutBeforeHeaders resets it instead of answering; the request has not
	// been carried out.
	CutBeforeHeaders
	// CutAfterWork resets it instead of answering; the request has been
	// carried out.
	CutAfterWork
	// CutMidBody resets it when half of the body has been sent.
	CutMidBody
)

// BadBody is a way to spoil an answer's body.
type BadBody int

// Ways to spoil an answer's body.
const (
	GoodBody BadBody = iota
	// HTMLBody is a web page with status 200, as captive portals and load
	// balancers give.
	HTMLBody
	// EmptyBody has status 200 and nothing in it.
	EmptyBody
	// WrongTypeBody is the right body, labelled text/plain.
	WrongTypeBody
	// TruncatedBody ends half way, though the HTTP message is complete.
	TruncatedBody
	// HugeBody begins well and never seems to end.
	HugeBody
)

// ActiveFault is a fault in force.
type ActiveFault struct {
	fault   Fault
	owner   *faults
	hits    int
	changed chan struct{} // closed and replaced at each hit
	removed chan struct{} // closed at removal
}

// AddFault puts a fault into force, behind those already there.
func (t *Tableau) AddFault(f Fault) *ActiveFault { return t.faults.add(f) }

// ClearFaults removes all faults. Requests that hang are let go.
func (t *Tableau) ClearFaults() { t.faults.clear() }

// Remove takes the fault out of force. Requests that hang are let go.
func (a *ActiveFault) Remove() { a.owner.remove(a) }

// Hits tells how many requests the fault has hit.
func (a *ActiveFault) Hits() int {
	a.owner.mu.Lock()
	defer a.owner.mu.Unlock()
	return a.hits
}

// Wait returns when the fault has hit n requests, or with the context's error.
func (a *ActiveFault) Wait(ctx context.Context, n int) error {
	for {
		a.owner.mu.Lock()
		hits, changed := a.hits, a.changed
		a.owner.mu.Unlock()
		if hits >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// faults are those in force.
type faults struct {
	mu     sync.Mutex
	active []*ActiveFault
}

func (f *faults) add(fault Fault) *ActiveFault {
	a := &ActiveFault{fault: fault, owner: f, changed: make(chan struct{}), removed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, a)
	return a
}

func (f *faults) remove(a *ActiveFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, b := range f.active {
		if a == b {
			f.active = append(f.active[:i:i], f.active[i+1:]...)
		}
	}
	a.release()
}

// release lets hanging requests go; the owner's lock is held.
func (a *ActiveFault) release() {
	select {
	case <-a.removed:
	default:
		close(a.removed)
	}
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.active {
		a.release()
	}
	f.active = nil
}

// hit returns the faults that match a request, and counts them.
func (f *faults) hit(x *exchange) []*ActiveFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*ActiveFault
	for _, a := range f.active {
		if a.spent() || !a.fault.Match.matches(x) {
			continue
		}
		a.hits++
		close(a.changed)
		a.changed = make(chan struct{})
		out = append(out, a)
	}
	return out
}

func (a *ActiveFault) spent() bool { return a.fault.Count > 0 && a.hits >= a.fault.Count }

func (m Match) matches(x *exchange) bool {
	signIn := x.entry.Operation == opSignIn
	switch {
	case m.SignIn && !signIn, m.Data && signIn:
	case m.Method != "" && m.Method != x.r.Method:
	case m.Path != "" && !strings.Contains(x.r.URL.EscapedPath(), m.Path):
	case m.Operation != "" && m.Operation != x.entry.Operation:
	case (m.User != "" || m.Site != "") && !m.matchesSession(x.session):
	case m.Func != nil && !m.Func(x.r):
	default:
		return true
	}
	return false
}

func (m Match) matchesSession(s *session) bool {
	return s != nil && (m.User == "" || m.User == s.user) && (m.Site == "" || sameSite(m.Site, s.site))
}

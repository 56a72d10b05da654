package tableauauth

// This file sends requests as a session: the last hop, where the token is put
// in, and the first to see that Tableau no longer accepts it.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// quietLimit is how long Tableau may not have confirmed a session before
	// a body that cannot be sent twice is preceded by a probe.
	quietLimit = time.Minute

	// youngSession is the age under which a rejected session whose probe said
	// nothing is not replaced: more likely the method is refused.
	youngSession = time.Minute
)

// A Binding says as whom the request in a context is to be sent. The Transport
// updates it while the request is under way; nobody else uses it then.
type Binding struct {
	// Pool is where Session came from, and where its successor will.
	Pool *Pool
	// Session is the session to send with. If nil, the request goes to
	// Pool.Origin() without any credential.
	Session *Session
	// Replaced is set when Tableau had ended the session and the request went
	// on with another.
	Replaced bool
	// Interim, if set, is called with each interim answer (1xx), without what
	// would hand the session on, besides the hook of httptrace in the request's
	// context. The calls are those of httptrace's Got1xxResponse.
	Interim func(code int, header textproto.MIMEHeader) error

	held     bool  // Session was lent by Acquire
	acquired bool  // Session came by Acquire,
	grant    Grant // for this
}

// ErrOtherGrant is returned for a request that was about to leave with the
// session of another grant than its own. It was not sent.
var ErrOtherGrant = errors.New("the session is of another grant than the request's: nothing was sent")

type bindingKey struct{}

// NewContext returns a copy of ctx for a request that is to be sent as b says.
func NewContext(ctx context.Context, b *Binding) context.Context {
	return context.WithValue(ctx, bindingKey{}, b)
}

// BindingFrom returns the binding in ctx, or nil.
func BindingFrom(ctx context.Context) *Binding {
	b, _ := ctx.Value(bindingKey{}).(*Binding)
	return b
}

// ErrNoBinding is returned for a request whose context says nothing about a
// session: it is not sent.
var ErrNoBinding = errors.New("the request has no session and none was declared unnecessary")

// An OriginError is a request that was about to leave for somewhere else than
// the origin of its session. It was not sent.
type OriginError struct{ Want, Got string }

// Error implements error.
func (e *OriginError) Error() string {
	return fmt.Sprintf("the session is for %s, the request would have gone to %s: nothing was sent", e.Want, e.Got)
}

// A ScopeError is a request that Tableau refused although the session lives:
// the session's scopes do not cover the method, or the method accepts no JWT
// session. Tableau answers both like an ended session (401002).
type ScopeError struct {
	Session *Session
	Tableau *tableauapi.Error
}

// Error implements error.
func (e *ScopeError) Error() string {
	return fmt.Sprintf("Tableau refused the method to a live session with the scopes %s", strings.Join(e.Session.terms.scopes, " "))
}

// An EndedError is a request whose session Tableau had ended, and whose body
// was too large to be kept for a second sending. There is a new session, so
// the client may try again.
type EndedError struct{ Session *Session }

// Error implements error.
func (e *EndedError) Error() string {
	return "Tableau ended the session, and the request body was too large to be kept for sending it again"
}

// A Transport is an http.RoundTripper that sends a request as the session in
// its context (see [NewContext]): it puts exactly one X-Tableau-Auth on a copy
// of the request, removes every other credential, and sends it to the
// session's origin or not at all. If Tableau has ended the session, it gets a
// new one and sends the request once more.
//
// Besides the errors of Base, RoundTrip returns [ErrNoBinding], [ErrOtherGrant],
// *[OriginError], *[ScopeError], *[EndedError] and, if no new session could be had,
// *[SignInError] or *[NoSeatError].
type Transport struct {
	// Base sends the request. If nil, http.DefaultTransport is used.
	Base http.RoundTripper
	// ReplayBuffer is how much of a request body is kept for the second
	// sending, in bytes. Default: [DefaultReplayBuffer]; -1 keeps nothing.
	ReplayBuffer int
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	b := BindingFrom(req.Context())
	body := keepBody(req, t.replayBuffer())
	defer body.settle()
	if b == nil {
		return nil, ErrNoBinding
	}
	if err := checkOrigin(req, b.Pool.origin); err != nil {
		return nil, err
	}
	if b.acquired && b.Session != nil && !b.Session.isFor(b.grant) {
		return nil, ErrOtherGrant
	}
	if err := t.assure(req, b, body); err != nil {
		return nil, err
	}
	res, err := t.send(req, b, body)
	if err != nil || b.Session == nil {
		return res, err
	}
	said, v := judge(res)
	if v != rejected {
		b.confirmed(req, v)
		return res, nil
	}
	return t.recover(req, b, body, res, said)
}

// assure makes sure that the session lives before a body is sent that can be
// sent only once, or a request whose answer may hide that it does not, unless
// Tableau has confirmed it lately.
func (t *Transport) assure(req *http.Request, b *Binding, body *keptBody) error {
	if b.Session == nil || body.sure(req.ContentLength) && !hidesEnd(req) || b.Session.quietFor(time.Now()) < quietLimit {
		return nil
	}
	switch b.Pool.client.Load().probe(req.Context(), b.Session) {
	case alive:
		b.Pool.survived(b.Session, time.Now())
		return nil
	case dead:
		b.Pool.died(b.Session, time.Now())
		return b.replace(req.Context(), true, false)
	default:
		return nil
	}
}

// hidesEnd reports whether the answer to req may be 200 although the session
// has ended: the Metadata API is known to answer with a warning that its store
// is still being filled (issue 9 of tableau/metadata-api-samples), which it says
// to live sessions too.
func hidesEnd(req *http.Request) bool {
	return strings.HasPrefix(req.URL.Path, "/api/metadata/") || strings.HasPrefix(req.URL.Path, "/relationship-service-war/")
}

// recover finds out what a rejection means and makes the best of it.
func (t *Transport) recover(req *http.Request, b *Binding, body *keptBody, res *http.Response, said *tableauapi.Error) (*http.Response, error) {
	ctx := req.Context()
	certain := true
	if b.Pool.successor(b.Session) == nil { // if there is one, the session is known to be dead
		switch state := b.Pool.client.Load().probe(ctx, b.Session); {
		case state == alive && said != nil:
			_ = res.Body.Close()
			b.Pool.survived(b.Session, time.Now())
			return nil, &ScopeError{Session: b.Session, Tableau: said}
		case state == alive,
			// A session that may live is not ended on a guess, and on a seat
			// the next sign-in would end it for everybody.
			state == unknown && (b.Session.lease() != nil || time.Since(b.Session.SignedInAt()) < youngSession):
			return res, nil
		case state == dead:
			b.Pool.died(b.Session, time.Now())
		default:
			certain = false
		}
	}
	if err := ctx.Err(); err != nil {
		_ = res.Body.Close()
		return nil, context.Cause(ctx)
	}

	_ = res.Body.Close()
	again := body.again()
	if err := b.replace(ctx, certain, again); err != nil {
		return nil, err
	}
	if !again {
		return nil, &EndedError{Session: b.Session}
	}
	res, err := t.send(req, b, body)
	if err != nil {
		return nil, err
	}
	// A second rejection goes to the client as it is. Were it looked into, a
	// request could cost any number of calls.
	_, v := judge(res)
	b.confirmed(req, v)
	return res, nil
}

// confirmed notes that Tableau has accepted the session, if the answer tells.
func (b *Binding) confirmed(req *http.Request, v verdict) {
	if v == accepted && !hidesEnd(req) {
		b.Pool.survived(b.Session, time.Now())
	}
}

// replace puts a new session in the place of the dead one.
func (b *Binding) replace(ctx context.Context, certain, replay bool) error {
	dead := b.Session
	fresh, err := b.successor(ctx, certain)
	b.Pool.opts.Observer.recovered(RecoverEvent{Dead: dead, Replayed: replay && err == nil, Err: err})
	if err != nil {
		return err
	}
	b.Session, b.Replaced = fresh, true
	return nil
}

func (b *Binding) successor(ctx context.Context, certain bool) (*Session, error) {
	if b.Session.lease() != nil {
		return b.replaceSeated(ctx)
	}
	return b.Pool.replace(ctx, b.Session, certain)
}

// send sends a copy of req as b says, and clears what comes back of
// credentials. The host is the configured origin's, whatever the client named.
func (t *Transport) send(req *http.Request, b *Binding, body *keptBody) (*http.Response, error) {
	out := req.WithContext(listenInterim(req.Context(), b))
	address := *req.URL
	out.URL, out.Host = &address, b.Pool.origin.Host
	out.Header, out.Trailer = maps.Clone(req.Header), nil // whole headers come and go here, their values stay as they are
	removeCredentials(out.Header)
	if body != nil {
		out.Body = body.attempt()
		out.GetBody = body.rewound // for a connection that Tableau closed while it was idle
	}
	if b.Session != nil {
		out.Header[headerAuth] = []string{b.Session.token.Reveal()}
	}
	res, err := passOn(t.base(), out)
	if err != nil {
		return nil, withoutSession(err, b.Session)
	}
	scrub(res, b.Session, b.Pool.origin)
	return res, nil
}

var (
	errPanicked = errors.New("the transport below panicked; what it said is withheld, since it may hold the session")
	errWithheld = errors.New("the request failed; the reason is withheld, since it repeats the session")
)

// passOn sends req. A panic of what a guest has put in below must not print
// the request, which holds the session by now.
func passOn(base http.RoundTripper, req *http.Request) (res *http.Response, err error) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler:
			panic(v)
		default:
			res, err = nil, errPanicked
		}
	}()
	return base.RoundTrip(req)
}

// withoutSession returns err, or another if it repeats the token of s.
func withoutSession(err error, s *Session) error {
	if s != nil && strings.Contains(err.Error(), s.token.Reveal()) {
		return errWithheld
	}
	return err
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

func (t *Transport) replayBuffer() int {
	switch {
	case t.ReplayBuffer == 0:
		return DefaultReplayBuffer
	case t.ReplayBuffer < 0:
		return 0
	default:
		return t.ReplayBuffer
	}
}

package tableauauth

// This file speaks the calls that begin, check and end a session.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// DefaultSignInTimeout bounds one call about a session, from dialling to
	// the last byte of the answer.
	DefaultSignInTimeout = 30 * time.Second

	// maxAnswer is how much of an answer is read, in bytes. A sign-in answer
	// has less than one KiB.
	maxAnswer = 64 << 10

	// maxRetryAfter bounds what Retry-After may ask of us.
	maxRetryAfter = 10 * time.Minute

	headerAuth = "X-Tableau-Auth"
)

// A Client makes the calls about sessions at one Tableau origin. It follows no
// redirect: a credential goes to the configured origin or nowhere.
type Client struct {
	// Origin is the scheme and authority of Tableau, such as
	// "https://10ax.online.tableau.com".
	Origin string
	// Transport sends the requests. If nil, http.DefaultTransport is used.
	Transport http.RoundTripper
	// Timeout bounds one call. Default: [DefaultSignInTimeout].
	Timeout time.Duration
	// UserAgent is sent with each call. Default: "caddy-tableau".
	UserAgent string

	clock *clock // the pool's
}

// signIn presents p and returns Tableau's answer, or a *SignInError.
func (c *Client) signIn(ctx context.Context, p Proof) (tableauapi.SignInAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()

	path := "/api/" + p.APIVersion + "/auth/signin"
	res, err := c.call(ctx, http.MethodPost, path, tableauapi.Secret{}, p.Credentials.Encode(tableauapi.XML))
	if err != nil {
		return tableauapi.SignInAnswer{}, networkError(ctx, withhold(err, p.secrets()...))
	}
	if res.status != http.StatusOK {
		return tableauapi.SignInAnswer{}, refusedBy(res, p)
	}
	answer, err := tableauapi.DecodeSignInAnswer(res.body)
	if err != nil {
		return tableauapi.SignInAnswer{}, &SignInError{Reason: Nonsense, Status: res.status, Err: err}
	}
	return answer, nil
}

// signOut ends s at Tableau. A session that is already dead is no
// error: it is what was wanted.
func (c *Client) signOut(ctx context.Context, s *Session) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()

	res, err := c.call(ctx, http.MethodPost, "/api/"+s.terms.apiVersion+"/auth/signout", s.token, nil)
	if err != nil {
		return fmt.Errorf("sign-out at Tableau: %w", err)
	}
	if res.status/100 == 2 || res.endsSession() {
		return nil
	}
	return fmt.Errorf("sign-out at Tableau: HTTP %d", res.status)
}

// liveness is the outcome of a probe.
type liveness int

const (
	unknown liveness = iota // Tableau gave no usable answer
	alive
	dead
)

// probe asks whether s lives. GET sessions/current needs no
// scope, so for a JWT session it tells a dead session from a missing scope,
// which Tableau answers alike (401002). Tableau Cloud is known to answer 500
// here for on-demand-access users: that says nothing.
func (c *Client) probe(ctx context.Context, s *Session) liveness {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()

	res, err := c.call(ctx, http.MethodGet, "/api/"+s.terms.apiVersion+"/sessions/current", s.token, nil)
	switch {
	case err != nil:
		return unknown
	case res.status == http.StatusOK:
		return alive
	case res.endsSession():
		return dead
	default:
		return unknown
	}
}

// A reply is an answer to a call, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte // nil if it was longer than maxAnswer
}

// call sends one request and reads its answer, at most maxAnswer bytes of it.
// Its error does not repeat the token; what the body presents is the caller's to
// look for.
func (c *Client) call(ctx context.Context, method, path string, token tableauapi.Secret, body []byte) (reply, error) {
	r, err := c.exchange(ctx, method, path, token, body)
	return r, withhold(err, token)
}

func (c *Client) exchange(ctx context.Context, method, path string, token tableauapi.Secret, body []byte) (reply, error) {
	req, err := http.NewRequestWithContext(bare{ctx}, method, c.Origin+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Accept", "application/xml")
	req.Header.Set("User-Agent", c.userAgent())
	if len(body) > 0 {
		req.Header.Set("Content-Type", tableauapi.XML.ContentType())
	}
	if !token.IsZero() {
		req.Header.Set(headerAuth, token.Reveal())
	}
	sent := time.Now()
	res, err := passOn(c.transport(), req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	if c.clock != nil {
		c.clock.observe(res.Header.Get("Date"), sent, time.Now())
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return reply{}, err
	}
	if len(answer) > maxAnswer {
		answer = nil // nothing that Tableau says about a session is this long
	}
	return reply{res.StatusCode, res.Header, answer}, nil
}

// A bare context is another one without what net/http and its packages have put
// there: our own calls are no part of the request that makes them necessary, and
// whoever listens to that by httptrace must not hear of them. reverse_proxy does
// listen, and passes interim answers on to the client.
type bare struct{ context.Context }

// Value implements context.Context.
func (b bare) Value(key any) any {
	t := reflect.TypeOf(key)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t != nil && strings.HasPrefix(t.PkgPath(), "net/http") {
		return nil
	}
	return b.Context.Value(key)
}

func (c *Client) transport() http.RoundTripper {
	if c.Transport != nil {
		return c.Transport
	}
	return http.DefaultTransport
}

func (c *Client) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return DefaultSignInTimeout
}

func (c *Client) userAgent() string {
	if c.UserAgent != "" {
		return c.UserAgent
	}
	return "caddy-tableau"
}

// ErrNotSent is wrapped by the errors of a [Client.Transport] that has sent
// nothing, for a reason of its own: they say nothing about Tableau.
var ErrNotSent = errors.New("nothing was sent")

// networkError classifies a call that brought no answer.
func networkError(ctx context.Context, err error) *SignInError {
	if errors.Is(err, ErrNotSent) {
		return &SignInError{Reason: Unreachable, Err: err, ours: true}
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &SignInError{Reason: TimedOut, Err: err}
	}
	return &SignInError{Reason: Unreachable, Err: err}
}

// refusedBy classifies an answer other than 200 to the proof p.
func refusedBy(res reply, p Proof) *SignInError {
	e := &SignInError{Status: res.status}
	if said, ok := tableauapi.DecodeError(res.body); ok {
		e.Tableau = withoutEcho(said, p)
	}
	switch {
	case res.status/100 == 3:
		e.Reason = Redirected
		e.Err = redirectError(res)
	case res.status == http.StatusTooManyRequests:
		e.Reason = Throttled
		e.RetryAfter = retryAfter(res.header.Get("Retry-After"), time.Now())
	case res.status/100 == 5:
		e.Reason = Unavailable
		e.RetryAfter = retryAfter(res.header.Get("Retry-After"), time.Now())
	case e.Tableau == nil:
		e.Reason = Nonsense
		e.Err = errors.New("the answer is not Tableau's: is the origin Tableau itself, and not a portal in front of it?")
	default:
		e.Reason = Refused
	}
	return e
}

// redirectError names where a redirect points, by its origin only.
func redirectError(res reply) error {
	to, err := url.Parse(res.header.Get("Location"))
	if err != nil || to.Host == "" {
		return errors.New("sign-ins are redirected by Tableau; they are not followed")
	}
	return fmt.Errorf("sign-ins are redirected by Tableau to %q; they are not followed: if that is your Tableau, make it the origin", to.Scheme+"://"+to.Host)
}

// retryAfter reads a Retry-After value (RFC 9110, section 10.2.3): seconds or
// a date. Anything else is 0.
func retryAfter(value string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// endsSession reports whether the answer says that the session is not, or no
// longer, valid. Other 401s are about something else: 401001 a sign-in, 401003
// a data source's own credential.
func (r reply) endsSession() bool {
	if r.status != http.StatusUnauthorized {
		return false
	}
	said, ok := tableauapi.DecodeError(r.body)
	return ok && endedCode(said.Code)
}

// endedCode reports whether Tableau says by code that a session has ended.
func endedCode(code string) bool {
	return code == tableauapi.CodeInvalidToken || code == tableauapi.CodeNotSignedIn
}

// withoutEcho returns said with everything that p presented taken out, in case
// Tableau repeats it to explain what is wrong with it.
func withoutEcho(said *tableauapi.Error, p Proof) *tableauapi.Error {
	clean := *said
	for _, s := range []tableauapi.Secret{p.Credentials.JWT, p.Credentials.Password, p.Credentials.TokenSecret} {
		if s.IsZero() {
			continue
		}
		// A JWT may be repeated in part: its signature, or its payload.
		for _, part := range append(strings.Split(s.Reveal(), "."), s.Reveal()) {
			if len(part) < 8 {
				continue
			}
			clean.Summary = strings.ReplaceAll(clean.Summary, part, "[redacted]")
			clean.Detail = strings.ReplaceAll(clean.Detail, part, "[redacted]")
		}
	}
	return &clean
}

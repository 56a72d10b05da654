// This file takes one request from its arrival to its journal entry.

package tableautest

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exchange is one request and its answer.
type exchange struct {
	t        *Tableau
	received *http.Request // as it came; net/http writes trailers into it
	r        *http.Request // the same, with a counting body
	w        *responseWriter
	body     *countingBody
	op       *operation
	params   map[string]string
	version  apiVersion
	session  *session
	site     Site
	user     User
	entry    Entry
	effects  effects
	jsonBody bool
}

// answer is what a handler wants to be sent. One of nodes, raw and content
// is set, or none for an empty body.
type answer struct {
	status      int
	header      http.Header
	nodes       []*node
	raw         []byte
	content     io.ReadSeeker
	modified    time.Time
	contentType string
}

func (t *Tableau) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{t: t, received: r, entry: describe(r, t.now())}
	x.body = &countingBody{ReadCloser: http.NoBody}
	if r.Body != nil {
		x.body.ReadCloser = r.Body
	}
	x.r = r.WithContext(r.Context())
	x.r.Body = x.body
	x.w = &responseWriter{ResponseWriter: w, x: x}
	t.requests.Add(1)
	return x
}

// describe fills in what can be said about a request before it is worked on.
func describe(r *http.Request, now time.Time) Entry {
	e := Entry{
		Time: now, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Proto: r.Proto,
		Headers: make(map[string]int, len(r.Header)), Host: r.Host,
		UserAgent: r.Header.Get("User-Agent"), Accept: r.Header.Get("Accept"), ContentType: r.Header.Get("Content-Type"),
	}
	for name, values := range r.Header {
		e.Headers[name] = len(values)
	}
	e.AuthTokens = e.Headers[headerAuth]
	e.Authorization = e.Headers["Authorization"] > 0
	e.Cookie = e.Headers["Cookie"] > 0
	return e
}

const headerAuth = "X-Tableau-Auth"

// serve finds the operation, lets faults have their way, and answers.
func (x *exchange) serve() {
	routeErr := x.route()
	if x.op != nil {
		x.entry.Operation = x.op.Name
	}
	x.lookUpSession()
	x.effects = x.collectEffects()
	if x.effects.before() {
		return
	}
	if routeErr != nil {
		x.send(x.refuse(routeErr))
		return
	}
	x.send(x.effects.spoil(x.answer()))
}

// answer authenticates and calls the operation's handler.
func (x *exchange) answer() answer {
	if !x.op.Unauthenticated {
		if err := x.authenticate(); err != nil {
			return x.refuse(err)
		}
	}
	a, err := x.op.handle(x)
	if err != nil {
		return x.refuse(err)
	}
	return a
}

// refuse makes an error's answer and notes it in the journal.
func (x *exchange) refuse(e *apiError) answer {
	x.entry.Code, x.entry.SubCode, x.entry.Reason = e.code, e.subCode, e.reason
	style := styleREST
	if x.op != nil {
		style = x.op.style
	}
	if style == styleGraphQL && e.status == http.StatusUnauthorized {
		if a, ok := x.graphQLRefusal(); ok {
			return a
		}
	}
	a := answer{status: e.status, header: e.header}
	a.contentType, a.raw = e.encode(style, x.wantsJSON(), x.t.clock())
	if e.code == codeSignInFailed && x.t.opts.SignInErrorHeaders {
		a.header = signInErrorHeaders(e)
	}
	if e.code == codeVersionNotFound && x.t.opts.Undocumented.HTMLForBadVersion {
		a.contentType, a.raw = typeHTML, []byte("<html><body><h1>404 Not Found</h1></body></html>")
	}
	return a
}

// signInErrorHeaders are those that Tableau's services add. Their names have
// underscores, and are set as Tableau writes them.
func signInErrorHeaders(e *apiError) http.Header {
	return http.Header{
		"tableau_error_source": {"Client"},
		"tableau_status_code":  {strconv.Itoa(e.subCode)},
		"tableau_error_code":   {"0x3F8E8553"},
		"tableau_service_name": {"vizportal"},
	}
}

// send writes the answer.
func (x *exchange) send(a answer) {
	x.drain()
	header := x.w.Header()
	maps.Copy(header, a.header)
	if x.session != nil && a.status < http.StatusBadRequest {
		x.setSessionHeaders(header)
	}
	if a.nodes != nil {
		a.contentType, a.raw = encode(x.wantsJSON(), a.nodes...)
	}
	if a.contentType != "" {
		header.Set("Content-Type", a.contentType)
	}
	if a.content != nil && a.status == http.StatusOK {
		http.ServeContent(x.w, x.r, "", a.modified, a.content)
		return
	}
	x.writeRaw(a.status, a.raw)
}

func (x *exchange) setSessionHeaders(header http.Header) {
	if !x.t.opts.NoCookies {
		header.Add("Set-Cookie", sessionCookie+"="+x.session.token+"; Path=/; Secure; HttpOnly; SameSite=Lax")
	}
	if x.t.opts.EchoToken {
		header.Set(headerAuth, x.session.token)
	}
}

const sessionCookie = "workgroup_session_id"

// writeRaw sends a body that is in memory, compressed where that is wanted.
func (x *exchange) writeRaw(status int, body []byte) {
	if x.t.opts.Compress && len(body) > 256 && strings.Contains(x.r.Header.Get("Accept-Encoding"), "gzip") {
		body = compress(body)
		x.w.Header().Set("Content-Encoding", "gzip")
		x.w.Header().Add("Vary", "Accept-Encoding")
	}
	if status != http.StatusNoContent {
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	x.w.WriteHeader(status)
	if len(body) > 0 && status != http.StatusNoContent {
		_, _ = x.w.Write(body)
	}
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// maxDrain is how much of a body that nobody wanted is read nevertheless, to
// see its trailers; net/http's server does the same to keep a connection.
const maxDrain = 256 << 10

func (x *exchange) drain() {
	if x.r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, x.body, maxDrain)
}

// finish writes the journal entry, also when a fault aborts the handler.
func (x *exchange) finish() {
	e := &x.entry
	e.Took = x.t.now().Sub(e.Time)
	e.Status = x.w.status
	e.ResponseBytes = x.w.written
	e.BodyBytes = x.body.count.Load()
	e.ClientGone = x.w.failed || x.r.Context().Err() != nil
	for name := range x.received.Trailer {
		e.Trailers = append(e.Trailers, name)
	}
	if s := x.session; s != nil {
		e.Site, e.User, e.Kind, e.SessionID, e.Scopes = s.site, s.user, s.kind, s.id, s.scopes
	}
	entry := x.t.journal.add(*e)
	if x.t.opts.OnRequest != nil {
		x.t.opts.OnRequest(entry.clone())
	}
}

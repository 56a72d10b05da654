// This file carries out faults.

package tableautest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// effects are what the faults that hit one request do to it.
type effects struct {
	x      *exchange
	faults []*ActiveFault
}

// collectEffects asks which faults hit the request, and notes their names.
func (x *exchange) collectEffects() effects {
	e := effects{x: x, faults: x.t.faults.hit(x)}
	var names []string
	for _, a := range e.faults {
		names = append(names, a.fault.names()...)
	}
	x.entry.Fault = strings.Join(names, ",")
	return e
}

// names lists a fault's effects for the journal.
func (f Fault) names() (names []string) {
	for _, effect := range []struct {
		on   bool
		name string
	}{
		{f.Delay > 0, "delay"},
		{f.MidBodyDelay > 0, "mid_body_delay"},
		{f.KillSession, "kill_session"},
		{f.Hang, "hang"},
		{f.Cut != NoCut, "cut"},
		{f.Refuse != nil, "refuse"},
		{f.Redirect != "", "redirect"},
		{f.Body != GoodBody, "bad_body"},
		{f.AnswerUser != "" || f.AnswerSite != "", "foreign_answer"},
	} {
		if effect.on {
			names = append(names, effect.name)
		}
	}
	return names
}

// before does what comes before the work. It reports whether that was all.
func (e effects) before() (done bool) {
	for _, a := range e.faults {
		if a.fault.KillSession {
			e.killSession()
		}
		e.sleep(a.fault.Delay)
		if a.fault.Hang {
			e.hang(a)
		}
	}
	for _, a := range e.faults {
		if e.replace(a.fault) {
			return true
		}
	}
	return false
}

// replace answers, or cuts, in the place of the handler.
func (e effects) replace(f Fault) bool {
	x := e.x
	switch {
	case f.Cut == CutBeforeHeaders:
		x.drain()
		e.reset()
	case f.Refuse != nil:
		x.send(x.refuse(f.Refuse.error()))
	case f.Redirect != "":
		setDefault(&f.RedirectStatus, http.StatusFound)
		x.send(answer{status: f.RedirectStatus, header: http.Header{"Location": {f.Redirect}}})
	case f.Body == HTMLBody:
		page := "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
		x.send(answer{status: http.StatusOK, contentType: typeHTML, raw: []byte(page)})
	case f.Body == EmptyBody:
		x.send(answer{status: http.StatusOK})
	case f.Body == HugeBody:
		setDefault(&f.HugeSize, 1<<30)
		e.sendHuge(f.HugeSize)
	default:
		return false
	}
	return true
}

func (r *Refusal) error() *apiError {
	e := &apiError{status: r.Status, code: r.Code, subCode: r.SubCode, summary: r.Summary, detail: r.Detail, header: http.Header{}}
	if e.status == 0 {
		e.status = http.StatusServiceUnavailable
		if len(r.Code) == 6 {
			if n, err := strconv.Atoi(r.Code[:3]); err == nil && n >= 200 && n <= 599 {
				e.status = n
			}
		}
	}
	setDefault(&e.summary, http.StatusText(e.status))
	setDefault(&e.detail, e.summary)
	if r.SubCode != 0 {
		e.detail = fmt.Sprintf("%s (%d)", e.detail, r.SubCode)
	}
	if r.RetryAfter != "" {
		e.header.Set("Retry-After", r.RetryAfter)
	}
	e.reason = "fault"
	return e
}

func (e effects) killSession() {
	if e.x.session != nil {
		e.x.t.sessions.end(e.x.session, EndKilled)
		e.x.session = nil
	}
}

// sleep waits, unless the client leaves.
func (e effects) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.x.r.Context().Done():
	}
}

// hang waits for the client to leave, or for the fault to be removed. The
// body is read first, because net/http notices a client's leaving only then.
func (e effects) hang(a *ActiveFault) {
	e.x.drain()
	select {
	case <-a.removed:
	case <-e.x.r.Context().Done():
	}
}

// spoil changes an answer that the handler has made.
func (e effects) spoil(a answer) answer {
	for _, active := range e.faults {
		switch {
		case active.fault.Cut == CutAfterWork:
			e.reset()
		case active.fault.Body == WrongTypeBody:
			a = e.flatten(a)
			a.contentType = "text/plain;charset=utf-8"
		case active.fault.Body == TruncatedBody:
			a = e.flatten(a)
			a.raw = a.raw[:len(a.raw)/2]
		}
	}
	return a
}

// flatten encodes an answer now, so that its bytes can be changed.
func (e effects) flatten(a answer) answer {
	if a.nodes != nil {
		a.contentType, a.raw = encode(e.x.wantsJSON(), a.nodes...)
		a.nodes = nil
	}
	if a.content != nil {
		a.raw, _ = io.ReadAll(io.LimitReader(a.content, 1<<20))
		a.content = nil
	}
	return a
}

// sendHuge sends what begins like an answer and goes on for ever.
func (e effects) sendHuge(size int64) {
	w := e.x.w
	w.Header().Set("Content-Type", typeXML)
	w.WriteHeader(http.StatusOK)
	_, err := w.Write([]byte(openResponse + "<credentials token=\""))
	for block := bytes.Repeat([]byte("A"), 32<<10); err == nil && w.written < size; {
		_, err = w.Write(block)
	}
}

// midBody tells whether something is to happen in the middle of the body.
func (e effects) midBody() bool {
	for _, a := range e.faults {
		if a.fault.MidBodyDelay > 0 || a.fault.Cut == CutMidBody {
			return true
		}
	}
	return false
}

// strike does what is to happen in the middle of the body.
func (e effects) strike() {
	for _, a := range e.faults {
		e.sleep(a.fault.MidBodyDelay)
		if a.fault.Cut == CutMidBody {
			e.reset()
		}
	}
}

// foreign returns whom and where a sign-in's answer shall pretend to be.
func (e effects) foreign(site, user string) (string, string) {
	for _, a := range e.faults {
		if a.fault.AnswerSite != "" {
			site = a.fault.AnswerSite
		}
		if a.fault.AnswerUser != "" {
			user = a.fault.AnswerUser
		}
	}
	return site, user
}

// errReset is what the in-memory round tripper reports for a reset.
var errReset = errors.New("tableautest: connection reset by the server")

// reset ends the connection with a TCP reset where there is one, and the
// stream with an error otherwise. It does not return.
func (e effects) reset() {
	if conn, _, err := http.NewResponseController(e.x.w.ResponseWriter).Hijack(); err == nil {
		linger(conn)
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// linger makes closing a TCP connection send RST instead of FIN.
func linger(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}

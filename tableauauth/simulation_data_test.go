package tableauauth

// This file is the part of the simulated Tableau that answers the requests of
// clients, and the bodies that they send.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A simSend is one sending of a client's request.
type simSend struct {
	session *simSession
	at      time.Time
	good    time.Time // of the session, before
	status  int       // of the answer, or 0
	ended   bool      // the answer was a 401 that says that the session has ended
}

// data answers a client's request: with the name of the owner of the token.
func (w *simWire) data(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	a, _ := ctx.Value(simAskKey{}).(*simAsk)
	if a == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fail("a request without a client")
		return nil, errSimCut
	}
	w.mu.Lock()
	send, fault := w.arriving(a, req)
	w.mu.Unlock()
	early := a.size > 0 && w.delay(callData, -1-a.id)%3 == 0 // Tableau refuses before it has read the body
	if err := w.takes(ctx, w.delay(callData, a.id)); err != nil {
		closeBody(req)
		return nil, err
	}
	if fault.is(faultDataHang) {
		a.flag(w.sim, simHung)
		<-ctx.Done()
		closeBody(req)
		return nil, ctx.Err()
	}
	if early {
		if live := w.accepts(send); !live && !a.metadata {
			go readOn(req)
			return w.deliver(ctx, a, send, nil)
		}
	}
	whole, err := a.takeBody(ctx, w.sim, req)
	closeBody(req)
	if err != nil {
		return nil, err
	}
	if fault.is(faultDataCut) {
		a.flag(w.sim, simCut)
		if w.delay(callData, -2-a.id)%2 == 0 {
			return nil, errSimCut
		}
	}
	return w.deliver(ctx, a, send, &whole)
}

// arriving takes down a sending and checks whose token it carries.
func (w *simWire) arriving(a *simAsk, req *http.Request) (*simSend, *simFault) {
	values := req.Header[headerAuth]
	send := &simSend{at: time.Now()}
	a.sends = append(a.sends, send)
	w.counts.n[countSendings]++
	if len(values) != 1 {
		w.failf("request %d was sent with %d tokens", a.id, len(values))
		return send, nil
	}
	send.session = w.sessions[values[0]]
	w.sending(a, send)
	fault := w.fault(callData, a.grant)
	if fault.is(faultData500) {
		a.flags |= simFault500
	}
	w.note("sending", w.pool.n, a.grant, a.id, fault.name())
	return send, fault
}

func (w *simWire) accepts(send *simSend) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	live, _ := w.alive(send.token())
	return live != nil
}

func (s *simSend) token() string {
	if s.session == nil {
		return ""
	}
	return s.session.token
}

// deliver decides on the answer, lets it travel, and hands it over. whole is
// whether the body came as the client sent it, or nil if it was not read.
func (w *simWire) deliver(ctx context.Context, a *simAsk, send *simSend, whole *bool) (*http.Response, error) {
	w.mu.Lock()
	res := w.decide(a, send, whole)
	w.mu.Unlock()
	if err := w.takes(ctx, w.delay(callData, -3-a.id)); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	send.status = res.StatusCode
	if send.session != nil && !send.ended && !a.metadata {
		send.session.good = time.Now()
	}
	if a.flags&simCut != 0 {
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader("<half"), cutReader{}))
	}
	return res, nil
}

type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, errSimCut }

func (w *simWire) decide(a *simAsk, send *simSend, whole *bool) *http.Response {
	live, dead := w.alive(send.token())
	if live == nil && a.metadata {
		a.hidden = true
		return w.answer(200, []byte(`{"data":{},"extensions":{"severity":"WARNING"}}`))
	}
	if live == nil {
		if dead != nil {
			w.deny(dead)
		}
		send.ended = true
		return w.refuse([]string{"401000", "401002"}[a.id%2], "Invalid authentication credentials")
	}
	live.used, live.accepted = time.Now(), true
	if !slices.Contains(w.plan.grants[live.grant].Scopes, a.scope) {
		send.ended = true
		return w.refuse("401002", "Invalid authentication credentials")
	}
	if whole == nil || !*whole {
		w.failf("request %d: Tableau accepted a body that is not what the client sent", a.id)
	}
	a.accepted++
	w.counts.n[countAccepted]++
	switch {
	case a.flags&simFault500 != 0:
		return w.refuse("500000", "Internal Server Error")
	case a.status == simStatusDataSource:
		return w.refuse("401003", "The data source wants a password")
	case a.status != 200:
		return w.refuse(fmt.Sprint(a.status, "000"), "No")
	default:
		return w.answer(200, []byte(simGrantName(w.plan.grants[live.grant])))
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// readOn is a transport that goes on reading a body after an early answer.
func readOn(req *http.Request) {
	var some [200]byte
	_, _ = req.Body.Read(some[:])
	closeBody(req)
}

// takeBody reads what the client sends, and tells whether it is all of it.
func (a *simAsk) takeBody(ctx context.Context, s *sim, req *http.Request) (whole bool, err error) {
	if req.Body == nil {
		return a.size == 0, nil
	}
	var buf [700]byte
	n, right := 0, true
	for {
		// Not in the client's Read: the pool's copy of a body is locked while it
		// waits for one, and a bubble's time stands still while a lock is waited for.
		if err := s.takes(ctx, a.slow); err != nil {
			return false, err
		}
		k, err := req.Body.Read(buf[:])
		for _, b := range buf[:k] {
			right = right && b == simByte(a.id, n)
			n++
		}
		switch {
		case errors.Is(err, io.EOF):
			return right && n == a.size, ctx.Err()
		case err != nil:
			return false, err
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
	}
}

func simByte(id, i int) byte { return byte(id*31 + i*7 + i>>8) }

// A simBody is what a client sends.
type simBody struct {
	id, off, size int
	closed        atomic.Int32
}

// Read implements io.Reader.
func (b *simBody) Read(p []byte) (int, error) {
	if b.closed.Load() > 0 {
		return 0, errors.New("the client's body was read after it was closed")
	}
	if b.off == b.size {
		return 0, io.EOF
	}
	n := min(len(p), b.size-b.off, 300)
	for i := range n {
		p[i] = simByte(b.id, b.off+i)
	}
	b.off += n
	return n, nil
}

// Close implements io.Closer.
func (b *simBody) Close() error {
	b.closed.Add(1)
	return nil
}

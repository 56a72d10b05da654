package caddymodule

// The tests of this file reach the refusals that a request meets only where
// something else has gone wrong before: they are the last line.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// TestRefusalsOfTheLastHop: whatever keeps the last hop from sending is an answer
// of ours, and no error of the network's.
func TestRefusalsOfTheLastHop(t *testing.T) {
	for code, err := range map[string]error{
		"session_ended":     &tableauauth.EndedError{},
		"no_free_token":     &tableauauth.NoSeatError{},
		"shutting_down":     tableauauth.ErrPoolClosed,
		"misdirected":       tableauauth.ErrOtherGrant,
		"sign_in_refused":   &tableauauth.SignInError{Reason: tableauauth.Refused},
		"audit_unavailable": auditlog.ErrUnavailable,
		"":                  errors.New("connection reset by peer"),
	} {
		for _, err := range []error{err, fmt.Errorf("round trip: %w", err)} {
			got := ""
			if refused := transportFailure(new(exchange), err); refused != nil {
				got = refused.code
			}
			if got != code {
				t.Errorf("%v: code %q, want %q", err, got, code)
			}
		}
	}
	for _, err := range []error{&tableauauth.OriginError{}, tableauauth.ErrNoBinding} {
		if refused := transportFailure(new(exchange), err); refused == nil || refused.code != "misdirected" {
			t.Errorf("%v: %+v", err, refused)
		}
	}
}

// TestRefusalsWithoutASession: whatever keeps a request from getting a session, or
// an answer, is an answer of ours.
func TestRefusalsWithoutASession(t *testing.T) {
	for code, err := range map[string]error{
		"shutting_down":     fmt.Errorf("waiting: %w", tableauauth.ErrPoolClosed),
		"no_free_token":     &tableauauth.NoSeatError{},
		"audit_unavailable": &tableauauth.SignInError{Reason: tableauauth.Unreachable, Err: auditlog.ErrUnavailable},
		"client_gone":       context.Canceled,
	} {
		if refused := sessionFailure(err); refused.code != code {
			t.Errorf("%v: code %q, want %q", err, refused.code, code)
		}
	}
	if status := failedWith(errors.New("of another handler")); status != 0 {
		t.Errorf("an error without a status has the status %d", status)
	}
	if refused, err := upstreamFailure(caddyhttp.Error(499, context.Canceled)); err != nil || refused == nil || refused.code != "client_gone" {
		t.Errorf("499 is %+v, %v", refused, err)
	}
}

// TestTransportThatCannotBeSetUp: the half for requests does not load with options
// that cannot be met, just like the other.
func TestTransportThatCannotBeSetUp(t *testing.T) {
	none := t.TempDir() + "/none.pem"
	err := validate(t, ":0 {\n\treverse_proxy "+goodOrigin+" {\n\t\ttransport tableau {\n\t\t\ttls_trust_pool file "+none+"\n\t\t}\n\t}\n}\n")
	if err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("error %v, want %s in it", err, none)
	}
}

// TestSiteByItsName: a query that says the segment behind sites is a name does not
// go out with the LUID that takes its place; the rest of it does.
func TestSiteByItsName(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: "\t\tsite finance\n\t\tuser {http.auth.user.id}\n\t\tscopes auto"})
	for sent, want := range map[string]string{
		"finance?key=contentUrl":                   "",
		"finance?key=name&includeUsage=true":       "includeUsage=true",
		"-?a=b&key=contentUrl&keys=1&key=x&c=%26d": "a=b&keys=1&c=%26d",
		tableautest.SiteLUID(testSite) + "?key=id": "key=id", // it was one before
	} {
		a := r.get(t, "alice", api+"/sites/"+sent)
		e := r.last(t)
		if a.status != 200 || e.Query != want || !strings.HasSuffix(e.Path, "/sites/"+tableautest.SiteLUID(testSite)) {
			t.Errorf("%s: status %d, code %q; Tableau saw %s?%s, want the query %s", sent, a.status, a.code(), e.Path, e.Query, want)
		}
	}
}

// A mute response cannot be flushed.
type mute struct{ headerOnly }

// A timed response takes a deadline, as one on a connection does.
type timed struct{ *httptest.ResponseRecorder }

func (timed) SetReadDeadline(time.Time) error { return nil }

// TestLingering: after an early answer, what is read of the body has an end, and
// an error is one.
func TestLingering(t *testing.T) {
	if n, err := (headerOnly{}).Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, test := range []struct {
		name string
		body io.Reader
		w    http.ResponseWriter
		read int64
	}{
		{"to its end", strings.NewReader("abcdef"), timed{httptest.NewRecorder()}, 6},
		{"to an error", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errors.New("reset"))), timed{httptest.NewRecorder()}, 3},
		{"not at all, where nothing can be sent before", strings.NewReader("abcdef"), mute{}, 0},
		{"not at all, where it could take for ever", strings.NewReader("abcdef"), httptest.NewRecorder(), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, workbooks, test.body)
			r.ContentLength = 1000
			b := watchBody(r)
			if err := r.Body.Close(); err != nil { // as a transport does that has got its answer
				t.Fatal(err)
			}
			if n, err := r.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("after Close, Read returns %d, %v", n, err)
			}
			b.hangUp(test.w)
			b.linger(test.w)
			if got := b.read.Load(); got != test.read {
				t.Errorf("%d bytes were read, want %d", got, test.read)
			}
		})
	}
}

// TestAnswerIsNotLostWithTheRest: a client that sends on after an early answer,
// which the transport has long closed the body for, is not cut off while it does.
// One that stops is let go.
func TestAnswerIsNotLostWithTheRest(t *testing.T) {
	const length = 16 << 20 // more than sockets hold
	served := make(chan struct{}, 2)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := watchBody(r)
		_ = r.Body.Close()
		b.hangUp(w)
		w.WriteHeader(http.StatusUnauthorized)
		b.linger(w)
		served <- struct{}{}
	}))
	defer s.Close()
	for _, sent := range []int{length, length / 2} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Write(make([]byte, sent)); err != nil {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%v, %v", res, err)
		}
		<-served
	}
}

// TestTokenWithoutKeys: where the keys cannot be had, no token opens.
func TestTokenWithoutKeys(t *testing.T) {
	k := &sealKeeper{load: func(time.Time) (*tableauauth.Sealer, error) { return nil, errors.New("down") }}
	if token, err := k.open("any", "https://tableau.example", time.Now()); err == nil || token.Identity != "" {
		t.Errorf("%+v, %v", token, err)
	}
}

// TestGuessThatLeaves: who leaves while waiting for the comparison of a secret is
// neither signed in nor counted.
func TestGuessThatLeaves(t *testing.T) {
	caddyCtx, stop := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer stop()
	cs, err := newClients(caddyCtx, []Client{{Name: "etl", Hash: testHash()}})
	if err != nil {
		t.Fatal(err)
	}
	cs.verifying <- struct{}{} // somebody else's
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, api+"/auth/signin", nil)
	client, refused := cs.signIn(r, tableauapi.Credentials{Name: "etl", Password: tableauapi.NewSecret(testPassword)})
	if refused == nil || refused.code != "client_gone" || client.Name != "" {
		t.Errorf("%+v, %+v", client, refused)
	}
	if n := len(cs.throttle.guessers); n != 0 {
		t.Errorf("%d guessers are counted", n)
	}
}

// These tests show that no session outlives the proxy.

package e2e

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// expectSignedOut checks that every session that was begun was signed out.
func (r *rig) expectSignedOut(begun int) {
	r.t.Helper()
	if code := r.proxy.exitCode(); code != 0 {
		r.t.Errorf("exit code %d, want 0", code)
	}
	if left := r.Sessions(); len(left) != 0 {
		r.t.Errorf("%d sessions are left at Tableau: %+v", len(left), left)
	}
	r.expectSignIns(begun)
	ended := map[string]bool{}
	for _, e := range r.waitEntries("sign_out", begun) {
		if e.Status != http.StatusNoContent {
			r.t.Errorf("a sign-out was answered with %d: %s", e.Status, e.Reason)
		}
		ended[e.SessionID] = true
	}
	if len(ended) != begun {
		r.t.Errorf("%d sessions were signed out, want %d", len(ended), begun)
	}
}

// wait waits until a fault has hit n requests.
func (r *rig) wait(f *tableautest.ActiveFault, n int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := f.Wait(ctx, n); err != nil {
		r.t.Fatalf("%d requests of %d have come to the fault: %v", f.Hits(), n, err)
	}
}

// later sends a request and gives the answer when it comes.
func (c *client) later(req *http.Request) <-chan result {
	done := make(chan result, 1)
	go func() {
		a, err := c.try(req)
		done <- result{a, err}
	}()
	return done
}

// A result is what became of a request.
type result struct {
	answer
	err error
}

// await waits for an answer that must come.
func (r *rig) await(results <-chan result) answer {
	r.t.Helper()
	select {
	case got := <-results:
		if got.err != nil {
			r.t.Fatal(got.err)
		}
		return got.answer
	case <-time.After(patience):
		r.t.Fatalf("no answer within %v", patience)
		return answer{}
	}
}

func TestStoppingSignsOutAllSessions(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			r := newRig(t, setup{sites: "finance"})
			for _, user := range []string{"alice", "bob"} {
				r.h2().get(user, workbooks).expect(r, http.StatusOK)
			}
			r.proxy.signal(signal)
			r.expectSignedOut(2)
		})
	}
}

func TestStoppingLetsARequestInFlightFinishBeforeItSignsOut(t *testing.T) {
	for _, choose := range []func(*rig) *client{(*rig).plain, (*rig).h2} {
		r := newRig(t, setup{})
		c := choose(r)
		t.Run(c.name, func(t *testing.T) {
			c.get("alice", workbooks).expect(r, http.StatusOK)
			hang := r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, Count: 1, Hang: true})
			inFlight := c.later(c.request(http.MethodGet, "alice", workbooks, nil))
			r.wait(hang, 1)
			r.proxy.signal(syscall.SIGTERM)
			r.proxy.waitFor(r.proxy.stderr, "shutting down apps")
			if n := len(r.Sessions()); n != 1 {
				t.Errorf("%d sessions while a request is in flight, want 1", n)
			}
			hang.Remove()
			if a := r.await(inFlight).expect(r, http.StatusOK); !strings.Contains(string(a.body), tableautest.DraftsName("alice")) {
				t.Error("the answer is not alice's")
			}
			r.expectSignedOut(1)
		})
	}
}

// The one who asked for a sign-in may have left: its session must not stay.
func TestStoppingDuringASignInSignsOutWhatItBegins(t *testing.T) {
	g := newGate()
	r := newRig(t, setup{wrap: g.wrap})
	ctx, leave := context.WithCancel(t.Context())
	c := r.plain()
	gone := c.later(c.request(http.MethodGet, "alice", workbooks, nil).WithContext(ctx))
	g.await(t)
	leave()
	<-gone
	r.proxy.signal(syscall.SIGTERM)
	r.proxy.waitFor(r.proxy.stderr, "shutting down apps")
	select {
	case <-r.proxy.ended:
		t.Error("the proxy ended while a sign-in was under way")
	case <-time.After(2 * time.Second): // it would have ended long ago
	}
	g.open()
	r.expectSignedOut(1)
}

// A gate holds sign-ins on their way to Tableau. (A fault that hangs eats their
// bodies.)
type gate struct {
	arrived chan struct{}
	opened  chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{arrived: make(chan struct{}, 100), opened: make(chan struct{})} }

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/auth/signin") {
			g.arrived <- struct{}{}
			select {
			case <-g.opened:
			case <-req.Context().Done():
			}
		}
		next.ServeHTTP(w, req)
	})
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// await waits for a sign-in to arrive, and sees to it that the gate is open at
// the end of the test.
func (g *gate) await(t *testing.T) {
	t.Helper()
	t.Cleanup(g.open)
	select {
	case <-g.arrived:
	case <-time.After(patience):
		t.Fatalf("no sign-in within %v", patience)
	}
}

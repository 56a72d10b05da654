package caddymodule

// This file checks by what a request can be found in the records of those that
// it passes.

import (
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestCorrelate(t *testing.T) {
	for ways, want := range map[string]struct{ header, agent bool }{
		"":                   {},
		"headers":            {header: true},
		"user_agent":         {agent: true},
		"headers user_agent": {header: true, agent: true},
	} {
		t.Run(ways, func(t *testing.T) {
			s := setup{}
			if ways != "" {
				s.global = "\ttableau {\n\t\tcorrelate " + ways + "\n\t}\n"
			}
			r := started(t, tableautest.Options{}, s)
			a := r.get(t, "alice", workbooks, "User-Agent", "curl/8")
			id, _ := await(t, "tableau.audit", map[string]any{"identity": "alice"})["request_id"].(string)
			entry := r.last(t)
			if got := a.header.Get(headerRequestID); (got == id) != want.header {
				t.Errorf("the client got the id %q of %q", got, id)
			}
			if n := entry.Headers[headerRequestID]; (n == 1) != want.header {
				t.Errorf("Tableau got %d ids", n)
			}
			if got := entry.UserAgent; got != "curl/8" != want.agent || want.agent && got != "curl/8 caddy-tableau ("+id+")" {
				t.Errorf("Tableau got the User-Agent %q", got)
			}
		})
	}
}

// What a client sends as its id is recorded; what Tableau gets is ours, and
// refused requests have one, too.
func TestCorrelateWithTheClientsID(t *testing.T) {
	r := newAuditRig(t)
	s := r.audited(setup{})
	s.global = strings.Replace(s.global, "audit ", "correlate headers\n\t\taudit ", 1)
	r.load(t, s)
	a := r.get(t, "alice", workbooks, headerRequestID, "mine")
	refused := r.get(t, "alice", "/x", headerRequestID, "mine")
	r.stop(t)
	r.covered(t)
	intent := one(t, r.events(t), map[string]any{"event": eventIntent, "call": callRequest, "client_request_id": "mine"})
	if got := a.header.Get(headerRequestID); got != intent["request_id"] {
		t.Errorf("the client got %q, the file has %v", got, intent["request_id"])
	}
	denied := one(t, r.events(t), map[string]any{"event": eventPolicyDeny, "client_request_id": "mine"})
	if got := refused.header.Values(headerRequestID); len(got) != 1 || got[0] != denied["request_id"] {
		t.Errorf("the refusal has %q, the file %v", got, denied["request_id"])
	}
	if n := r.last(t).Headers[headerRequestID]; n != 1 {
		t.Errorf("Tableau got %d ids", n)
	}
}

func TestCorrelateErrors(t *testing.T) {
	if _, err := checkCorrelate([]string{"headers", "cookies"}); err == nil || !strings.Contains(err.Error(), "user_agent") {
		t.Errorf("%v", err)
	}
}

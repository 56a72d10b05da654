// These tests show that everybody reaches Tableau as themselves, and nobody
// else does.

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// entries are the journal's entries of an operation.
func (r *rig) entries(operation string) []tableautest.Entry {
	var found []tableautest.Entry
	for _, e := range r.Journal() {
		if e.Operation == operation {
			found = append(found, e)
		}
	}
	return found
}

// waitEntries waits until the journal has n entries of an operation: an entry
// is written when its request is over, which may be after the answer has come.
func (r *rig) waitEntries(operation string, n int) []tableautest.Entry {
	r.t.Helper()
	var found []tableautest.Entry
	eventually(r.t, fmt.Sprintf("%d entries of %s in the journal", n, operation), func() bool {
		found = r.entries(operation)
		return len(found) >= n
	})
	return found
}

// signIns is how many sign-ins were accepted so far.
func (r *rig) signIns() int { return r.SignIns(tableautest.SignInFilter{}) }

func (r *rig) expectSignIns(want int) {
	r.t.Helper()
	if got := r.signIns(); got != want {
		r.t.Errorf("%d sign-ins at Tableau, want %d", got, want)
	}
}

const queryWorkbooks = "query_workbooks_for_site"

func TestTwoUsersOf20RequestsEachSignInOnceAndGetTheirOwnAnswers(t *testing.T) {
	for _, choose := range []func(*rig) *client{(*rig).plain, (*rig).h1, (*rig).h2} {
		r := newRig(t, setup{})
		c := choose(r)
		t.Run(c.name, func(t *testing.T) {
			const each = 20
			var all sync.WaitGroup
			for range each {
				for user, other := range map[string]string{"alice": "bob", "bob": "alice"} {
					all.Go(func() { expectOwn(t, c, user, other) })
				}
			}
			all.Wait()
			r.expectSignIns(2)
			r.expectOwnSessions(r.waitEntries(queryWorkbooks, 2*each), each)
		})
	}
}

// expectOwn reads user's workbooks. Everybody sees one that nobody else does.
func expectOwn(t *testing.T, c *client, user, other string) {
	t.Helper()
	a, err := c.try(c.request(http.MethodGet, user, workbooks, nil))
	switch text := string(a.body); {
	case err != nil:
		t.Error(err)
	case a.status != http.StatusOK:
		t.Errorf("status %d: %s", a.status, text)
	case !strings.Contains(text, tableautest.DraftsName(user)):
		t.Errorf("%s does not see their own workbook", user)
	case strings.Contains(text, tableautest.DraftsName(other)):
		t.Errorf("%s sees the workbook of %s", user, other)
	}
}

// expectOwnSessions checks in Tableau's journal that every request ran in the
// one session of its user, which a JWT for that user began.
func (r *rig) expectOwnSessions(requests []tableautest.Entry, each int) {
	r.t.Helper()
	sessions := map[string]string{}
	for _, e := range r.entries("sign_in") {
		if e.JWT == nil || e.JWT.Subject != e.User {
			r.t.Errorf("the sign-in of %s was not by a JWT for %[1]s", e.User)
		}
		sessions[e.User] = e.SessionID
	}
	counts := map[string]int{}
	for _, e := range requests {
		counts[e.User]++
		if e.SessionID == "" || e.SessionID != sessions[e.User] {
			r.t.Errorf("a request of %s ran in session %q, want %q", e.User, e.SessionID, sessions[e.User])
		}
	}
	if len(counts) != 2 || counts["alice"] != each || counts["bob"] != each {
		r.t.Errorf("requests by user: %v, want %d each of alice and bob", counts, each)
	}
}

func TestAllListenersShareTheSessions(t *testing.T) {
	r := newRig(t, setup{})
	for _, c := range []*client{r.plain(), r.h1(), r.h2()} {
		c.get("alice", workbooks).expect(r, http.StatusOK)
	}
	r.expectSignIns(1)
}

// withoutClientTokens keeps out of the access log what clients put into headers
// that look like Tableau's: Caddy logs a request as it came, before any module
// sees it, and hides only Authorization and Cookie.
const withoutClientTokens = `format filter {
			wrap json
			request>headers>X-Tableau-Auth delete
			request>headers>X_tableau_auth delete
			request>headers>X.tableau.auth delete
			request>headers>X-Tableau_auth delete
		}`

// A session of Tableau's that somebody brings along is not used: neither the
// token of another person, nor their cookie.
func TestATokenThatAClientBringsIsNotUsed(t *testing.T) {
	r := newRig(t, setup{tableau: tableautest.Options{AcceptCookie: true}, access: withoutClientTokens})
	stolen, err := r.IssueSession(site, "admin")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Tableau-Auth", "X_Tableau_Auth", "X.Tableau.Auth", "x-tableau_auth"} {
		r.plain().get("alice", workbooks, name, stolen.Reveal())
		r.h2().get("alice", workbooks, name, stolen.Reveal())
	}
	r.plain().get("alice", workbooks, "Cookie", "workgroup_session_id="+stolen.Reveal()).expect(r, http.StatusOK)
	for _, e := range r.Journal() {
		if e.User == "admin" {
			t.Errorf("%s %s was carried out as admin", e.Method, e.Path)
		}
	}
}

func TestSitesAndUsersGoByNameAndHyphen(t *testing.T) {
	r := newRig(t, setup{sites: "finance marketing", tableau: tableautest.Options{ConnectedApps: []tableautest.ConnectedApp{
		{ClientID: "one-app", Name: "one", Site: "finance", Secrets: []tableautest.AppSecret{{ID: "s1", Value: "0123456789abcdef0123456789abcdef"}}},
	}}})
	c := r.plain()
	c.get("alice", api+"/sites/-/users/-/workbooks").expect(r, http.StatusOK)
	c.get("alice", api+"/sites/finance/workbooks").expect(r, http.StatusOK)
	c.get("alice", api+"/sites/"+tableautest.SiteLUID("finance")+"/workbooks").expect(r, http.StatusOK)
	luid := tableautest.SiteLUID("finance")
	want := []string{
		"/api/3.24/sites/" + luid + "/users/" + tableautest.UserLUID("finance", "alice") + "/workbooks",
		"/api/3.24/sites/" + luid + "/workbooks",
		"/api/3.24/sites/" + luid + "/workbooks",
	}
	entries := append(r.waitEntries("query_workbooks_for_user", 1), r.waitEntries(queryWorkbooks, 2)...)
	for i, e := range entries {
		if e.Path != want[i] {
			t.Errorf("Tableau got %s, want %s", e.Path, want[i])
		}
	}
	c.get("alice", api+"/sites/engineering/workbooks").expect(r, http.StatusForbidden)
	c.get("alice", api+"/sites/"+tableautest.SiteLUID("engineering")+"/workbooks")
	r.expectSignIns(1)
}

package caddymodule

// This file takes every operation that the simulated Tableau serves through the
// proxy, with the scopes that the proxy chooses, and with one too few.

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// groupings are the ways to choose scopes, and how many sessions the operations
// of the simulator take with each: those of alice and those of an administrator.
var groupings = map[string]int{"operation": 27, "resource": 21, "class": 9}

// allDangers lets everything through, what is dangerous by its name.
func allDangers() string {
	line := "\n\t\tallow /**"
	for op := range tableauapi.Operations() {
		if op.Danger != tableauapi.Harmless && !isAuthCall(op) {
			line += " " + op.Name
		}
	}
	return line
}

const twoUsers = "\t\tsite finance\n\t\tuser_map alice alice\n\t\tuser_map bob admin"

// who sends the example of an operation.
func who(o tableautest.Operation) string {
	if o.ExampleUser == "admin" {
		return "bob"
	}
	return "alice"
}

// inOrder are the operations that the simulator serves: those that delete come
// last, and the one that deletes the proxy's own secret at the very end.
func inOrder() []tableautest.Operation {
	all := tableautest.Operations()
	slices.SortStableFunc(all, func(a, b tableautest.Operation) int { return rank(a) - rank(b) })
	return all
}

func rank(o tableautest.Operation) int {
	switch {
	case o.Name == "delete_connected_app_secret":
		return 2
	case o.Method == http.MethodDelete:
		return 1
	case o.Name == "publish_workbook", o.Name == "publish_data_source": // which do not overwrite
		return -1
	default:
		return 0
	}
}

// example is the request of an operation, with what it needs to exist first.
func (r *rig) example(t *testing.T, o tableautest.Operation) call {
	t.Helper()
	replace := []string{"{client}", r.app.ClientID, "{secret}", r.app.Secrets[0].ID, "{pat}", "alice-pat", "{password}", "x"}
	switch {
	case strings.Contains(o.Example, "{upload}"):
		var u struct {
			FileUpload struct{ UploadSessionID string } `json:"fileUpload"`
		}
		a := r.do(t, call{user: "alice", method: http.MethodPost, path: api + "/sites/-/fileUploads", header: headers("Accept", jsonType)})
		if err := json.Unmarshal([]byte(a.body), &u); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
		replace = append(replace, "{upload}", u.FileUpload.UploadSessionID)
	case strings.Contains(o.Example, "{job}"):
		a := r.do(t, call{user: "alice", method: http.MethodPost, path: workbooks + "/" + tableautest.WorkbookLUID(testSite, "Reports", "Finance Overview") + "/refresh"})
		_, rest, _ := strings.Cut(a.body, `<job id="`)
		replace = append(replace, "{job}", rest[:36])
	case strings.Contains(o.Example, "{session}"):
		if _, err := r.IssueSession(testSite, "alice"); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Sessions() {
			if s.Kind == tableautest.KindPassword {
				replace = append(replace, "{session}", s.ID)
			}
		}
	}
	fill := strings.NewReplacer(replace...)
	return call{user: who(o), method: o.Method, path: fill.Replace(o.Example), body: fill.Replace(o.ExampleBody), header: headers("Content-Type", o.ExampleType)}
}

// An outcome is how a request for an operation ends.
type outcome struct {
	status int // 0: any that is no error
	code   string
}

// expected is how the operation ends if the policy lets it through.
func expected(o tableautest.Operation) outcome {
	switch {
	case o.Name == "sign_in", o.Name == "sign_out":
		return outcome{}
	case o.Name == "switch_site":
		return outcome{403, "site_not_allowed"} // there is one site
	case strings.Contains(o.Template, "/auth/"):
		return outcome{403, "auth_call_refused"}
	case !o.AcceptsJWT:
		return outcome{403, "jwt_not_accepted"}
	default:
		return outcome{}
	}
}

func (want outcome) of(a answer) bool {
	if want.status == 0 {
		return a.status < 300 && a.code() == ""
	}
	return a.status == want.status && a.code() == want.code
}

func TestScopesAuto(t *testing.T) {
	for grouping, sessions := range groupings {
		t.Run(grouping, func(t *testing.T) {
			r := started(t, tableautest.Options{}, setup{options: twoUsers + "\n\t\tscopes auto by " + grouping + allDangers()})
			for _, o := range inOrder() {
				if a := r.do(t, r.example(t, o)); !expected(o).of(a) {
					t.Errorf("%s: status %d, code %q, want %+v: %s", o.Name, a.status, a.code(), expected(o), a.body)
				}
			}
			if got := r.signIns(); got != sessions {
				t.Errorf("%d sign-ins, want %d: change docs/clients.md too", got, sessions)
			}
			r.checkPrivilege(t, grouping)
		})
	}
}

// checkPrivilege holds every session to what its grouping allows: by operation,
// no scope that the operation does not need.
func (r *rig) checkPrivilege(t *testing.T, grouping string) {
	t.Helper()
	for _, e := range r.Journal() {
		if e.JWT == nil {
			continue
		}
		needed := 0
		for op := range tableauapi.Operations() {
			if slices.Equal(op.Scopes, slices.Sorted(slices.Values(e.Scopes))) {
				needed++
			}
		}
		if grouping == "operation" && needed == 0 {
			t.Errorf("a session has %v, which no operation needs", e.Scopes)
		}
	}
}

// The same with one scope left out of the ceiling: refused here, before anybody
// signs in, with what is lacking.
func TestOneScopeBeyondTheCeiling(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	for _, o := range inOrder() {
		if expected(o) != (outcome{}) {
			continue
		}
		for _, scope := range o.Scopes {
			t.Run(o.Name, func(t *testing.T) {
				r.load(t, setup{options: twoUsers + "\n\t\tscope_ceiling tableau:other:read " + ceilingWithout(scope) + allDangers()})
				c := r.example(t, withoutPlaceholders(o))
				r.wants(t, r.do(t, c), o, scope, "add "+scope+" to scope_ceiling")
				if scope == "tableau:sites:read" {
					return // the list has tableau:content:read, so Tableau is asked
				}
				r.load(t, setup{options: twoUsers + "\n\t\tscopes tableau:other:read " + ceilingWithout(scope) + allDangers()})
				r.wants(t, r.do(t, c), o, scope, "add "+scope+" to scopes")
			})
		}
	}
	if got := r.signIns(); got != 0 {
		t.Errorf("%d sign-ins for requests that must not leave", got)
	}
}

// TestContentReadIsForSitesToo: where Tableau's pages differ, Tableau decides, and
// what it says is explained.
func TestContentReadIsForSitesToo(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	a := r.get(t, "alice", api+"/sites/-")
	if a.status != 403 || a.code() != "scope_missing" || !strings.Contains(a.body, "Tableau refused query_site") {
		t.Errorf("status %d, code %q: %s", a.status, a.code(), a.body)
	}
	if n := r.signIns(); n != 1 {
		t.Errorf("%d sign-ins, want 1: the simulator goes by the reference", n)
	}
}

// ceilingWithout are all scopes but one.
func ceilingWithout(scope string) string {
	all := map[string]bool{}
	for _, o := range tableautest.Operations() {
		for _, s := range o.Scopes {
			all[s] = true
		}
	}
	delete(all, scope)
	var list []string
	for s := range all {
		list = append(list, s)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// withoutPlaceholders is an operation whose example needs nothing to exist.
func withoutPlaceholders(o tableautest.Operation) tableautest.Operation {
	o.Example = strings.NewReplacer("{upload}", "1", "{job}", "1", "{session}", "1").Replace(o.Example)
	return o
}

func (r *rig) wants(t *testing.T, a answer, o tableautest.Operation, parts ...string) {
	t.Helper()
	if a.status != http.StatusForbidden || a.code() != "scope_missing" {
		t.Errorf("%s: status %d, code %q, want 403 scope_missing: %s", o.Name, a.status, a.code(), a.body)
	}
	for _, part := range append(parts, o.Name) {
		if !strings.Contains(a.body, part) {
			t.Errorf("%s: the client reads %s, want %q in it", o.Name, a.body, part)
		}
	}
}

// And with one that Tableau does not give: refused by Tableau, explained here.
func TestOneScopeThatTableauDoesNotGive(t *testing.T) {
	for _, o := range inOrder() {
		if expected(o) != (outcome{}) {
			continue
		}
		for _, scope := range o.Scopes {
			t.Run(o.Name, func(t *testing.T) {
				r := started(t, tableautest.Options{UnsupportedScopes: []string{scope}}, setup{options: twoUsers + allDangers()})
				a := r.do(t, r.example(t, withoutPlaceholders(o)))
				r.wants(t, a, o, scope, "Tableau refused")
				if got := r.signIns(); got != 1 {
					t.Errorf("%d sign-ins, want 1", got)
				}
			})
		}
	}
}

func TestCovers(t *testing.T) {
	for has, needs := range map[string]map[string]bool{
		"tableau:workbooks:read": {"tableau:workbooks:read": true, "tableau:workbooks:reader": false, "tableau:workbooks:create": false},
		"tableau:workbooks:*":    {"tableau:workbooks:read": true, "tableau:workbooks:*": true, "tableau:workbook_tags:update": false, "tableau:workbooks_too:read": false},
		"tableau:*:*":            {"tableau:workbooks:read": true},
		"tableau:content:read":   {"tableau:content:*": false, "tableau:*:*": false},
	} {
		for scope, want := range needs {
			if got := covers(has, scope); got != want {
				t.Errorf("%s covers %s: %t, want %t", has, scope, got, want)
			}
		}
	}
}

// What needs no scope gets a session that can do little.
func TestSessionsForNoOperation(t *testing.T) {
	for options, want := range map[string][]string{
		"":                                     {"tableau:content:read"},
		"scopes auto":                          {"tableau:content:read"},
		"scopes auto by resource":              {"tableau:content:read"},
		"scope_ceiling tableau:jobs:read":      {"tableau:jobs:read"},
		"scope_ceiling tableau:content:*":      {"tableau:content:read"},
		"scopes tableau:jobs:read tableau:b:c": {"tableau:b:c", "tableau:jobs:read"},
	} {
		t.Run(options, func(t *testing.T) {
			r := started(t, tableautest.Options{}, setup{options: twoUsers + "\n\t\t" + options})
			r.do(t, call{user: "alice", method: http.MethodPost, path: api + "/auth/signin", body: "<tsRequest><credentials name='a' password='b'><site contentUrl='finance'/></credentials></tsRequest>"})
			r.get(t, "alice", api+"/sessions/current")
			var got [][]string
			for _, e := range r.Journal() {
				if e.JWT != nil {
					got = append(got, e.Scopes)
				}
			}
			if len(got) != 1 || !slices.Equal(got[0], want) {
				t.Errorf("sessions with %v, want one with %v", got, want)
			}
		})
	}
}

// A server gets no scopes that are newer than it is. How new it is, is asked
// once.
func TestScopesThatTheServerKnows(t *testing.T) {
	for version, want := range map[string]bool{"3.24": false, "3.27": true} {
		r := started(t, tableautest.Options{RESTVersion: version}, setup{options: twoUsers + "\n\t\tscopes auto by class"})
		for range 3 {
			if a := r.get(t, "alice", workbooks); a.status != http.StatusOK {
				t.Fatalf("%s: status %d: %s", version, a.status, a.body)
			}
		}
		asked := 0
		for _, e := range r.Journal() {
			if e.Path == serverInfoPath {
				asked++
			}
			if e.JWT != nil && slices.Contains(e.Scopes, newScope(t)) != want {
				t.Errorf("a server of version %s is asked for %s: %t", version, newScope(t), !want)
			}
		}
		if asked != 1 || r.signIns() != 1 {
			t.Errorf("%s: asked %d times for the version, %d sign-ins, want one each", version, asked, r.signIns())
		}
	}
}

// newScope is a scope of the class read that came after 3.24.
func newScope(t *testing.T) string {
	t.Helper()
	op, ok := tableauapi.OperationByName("query_workbooks_for_site")
	if !ok {
		t.Fatal("no such operation")
	}
	for _, scope := range op.ScopesFor(tableauapi.ByClass, "3.27") {
		if !slices.Contains(op.ScopesFor(tableauapi.ByClass, "3.24"), scope) {
			return scope
		}
	}
	t.Fatal("there is none")
	return ""
}

// A server that does not tell its version is taken to be old, and requests do
// not wait for it again and again.
func TestServerThatDoesNotTellItsVersion(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "server_info"}, Refuse: &tableautest.Refusal{Code: "500000"}})
	r.load(t, setup{options: twoUsers + "\n\t\tscopes auto by class"})
	for range 3 {
		if a := r.get(t, "alice", workbooks); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	asked := 0
	for _, e := range r.Journal() {
		if e.Path == serverInfoPath {
			asked++
		}
		if e.JWT != nil && slices.Contains(e.Scopes, newScope(t)) {
			t.Errorf("a server of unknown version is asked for %s", newScope(t))
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	await(t, "tableau", map[string]any{"level": "warn", "msg": "the version of Tableau's REST API is not known, so sessions may get fewer scopes than their group has"})
}

// Sessions of accounts know no scopes, but rules hold for them too.
func TestRulesOfAccounts(t *testing.T) {
	b, err := newRulebook(&Handler{Scopes: []string{"tableau:jobs:read"}, Policy: Policy{Deny: []Rule{{Routes: []string{"write"}}}}}, "pat", true, nopLogger)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]ground{
		"list_personal_access_tokens": granted, "get_users_on_site": granted, "publish_workbook": denied, "update_user": dangerous, "list_registered_eas": granted,
	} {
		op, _ := tableauapi.OperationByName(name)
		if v := b.edition(context.Background()).verdicts[0][op]; v.ground != want || v.scopes != nil {
			t.Errorf("%s: ground %d with the scopes %v, want %d without", name, v.ground, v.scopes, want)
		}
	}
}

package caddymodule

// This file checks what rules let through: each kind of refusal by a request,
// and the whole of the catalog by the verdicts.

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

var nopLogger = zap.NewNop()

func rule(words ...string) []Rule {
	var r Rule
	for _, word := range words {
		if isMethod(word) {
			r.Methods = append(r.Methods, word)
		} else {
			r.Routes = append(r.Routes, word)
		}
	}
	return []Rule{r}
}

// verdicts are those of a handler for everybody.
func verdicts(t *testing.T, h *Handler, kind string) map[*tableauapi.Operation]*verdict {
	t.Helper()
	b, err := newRulebook(h, kind, kind == "pat", nopLogger)
	if err != nil {
		t.Fatal(err)
	}
	return b.edition(context.Background()).verdicts[0]
}

func TestPolicy(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		want   map[string]ground
	}{
		{"none", Policy{}, map[string]ground{
			"query_workbooks_for_site": granted, "publish_workbook": granted, "update_user": dangerous, "get_connected_app_secret": dangerous,
			"list_personal_access_tokens": noJWT, "list_registered_eas": noJWT, "server_info": granted, "get_current_server_session": granted,
			"sign_in": answered, "sign_out": answered, "switch_site": answered, "revoke_administrator_personal_access_tokens": authCall,
		}},
		{"allow by name", Policy{Allow: rule("query_workbooks_for_site")}, map[string]ground{
			"query_workbooks_for_site": granted, "get_workbook": denied, "update_user": denied, "server_info": granted, "get_current_server_session": granted,
		}},
		{"allow by class", Policy{Allow: rule("read", "run")}, map[string]ground{
			"get_workbook": granted, "update_workbook_now": granted, "publish_workbook": denied, "list_connected_apps": denied, "metadata_graphql": granted,
		}},
		{"allow by template", Policy{Allow: rule("/sites/*/views/**")}, map[string]ground{
			"get_view": granted, "query_view_image": granted, "query_views_for_site": granted, "get_workbook": denied,
		}},
		{"allow by template and method", Policy{Allow: rule("GET", "/sites/*/workbooks/**")}, map[string]ground{
			"get_workbook": granted, "query_workbooks_for_site": granted, "publish_workbook": denied, "delete_workbook": denied,
		}},
		{"a template does not name what is dangerous", Policy{Allow: rule("/**")}, map[string]ground{
			"update_user": dangerous, "publish_workbook": granted,
		}},
		{"a class does not either", Policy{Allow: rule("admin")}, map[string]ground{"update_user": dangerous, "list_connected_apps": granted}},
		{"a name does", Policy{Allow: rule("/**", "update_user")}, map[string]ground{"update_user": granted, "remove_user_from_site": dangerous}},
		{"with its method", Policy{Allow: rule("PUT", "/**", "update_user")}, map[string]ground{"update_user": granted, "get_workbook": denied}},
		{"deny wins", Policy{Allow: rule("/**", "update_user"), Deny: rule("update_user")}, map[string]ground{"update_user": denied}},
		{"deny by class", Policy{Deny: rule("admin")}, map[string]ground{"list_connected_apps": denied, "get_workbook": granted}},
		{"deny by method", Policy{Deny: rule("DELETE", "/**")}, map[string]ground{"delete_workbook": denied, "get_workbook": granted}},
		{"deny serverinfo", Policy{Deny: rule("server_info")}, map[string]ground{"server_info": denied}},
		{"read only", Policy{ReadOnly: true}, map[string]ground{
			"get_workbook": granted, "metadata_graphql": granted, "vds_query_datasource": granted, "batch_list_metrics_many": granted, "publish_workbook": denied,
			"update_workbook_now": denied, "get_users_on_site": granted, "delete_workbook": denied, "download_workbook_encrypted_keychain": dangerous,
		}},
		{"read only wins", Policy{ReadOnly: true, Allow: rule("publish_workbook")}, map[string]ground{"publish_workbook": denied}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := verdicts(t, &Handler{Policy: test.policy}, "direct_trust")
			for name, want := range test.want {
				op, ok := tableauapi.OperationByName(name)
				if !ok {
					t.Fatalf("there is no %s", name)
				}
				if v := got[op]; v.ground != want {
					t.Errorf("%s: ground %d by %q, want %d", name, v.ground, v.rule, want)
				}
			}
		})
	}
}

// For every operation: what is dangerous does not pass without its name, what
// changes something does not pass read_only, and what passes has scopes if it
// needs any.
func TestVerdictsOfAllOperations(t *testing.T) {
	for _, kind := range []string{"direct_trust", "oauth_trust", "unified_access", "pat"} {
		plain, readOnly := verdicts(t, &Handler{Policy: Policy{Allow: rule("/**")}}, kind), verdicts(t, &Handler{Policy: Policy{ReadOnly: true}}, kind)
		for op := range tableauapi.Operations() {
			v := plain[op]
			if v.ground == granted && op.Danger != tableauapi.Harmless {
				t.Errorf("%s: %s passes, which is dangerous", kind, op)
			}
			if op.Mutates && readOnly[op].ground == granted {
				t.Errorf("%s: %s passes read_only", kind, op)
			}
			if v.ground != granted || op.JWT == tableauapi.JWTNotNeeded {
				continue
			}
			if (len(v.scopes) == 0) != (kind == "pat") {
				t.Errorf("%s: %s passes with the scopes %v", kind, op, v.scopes)
			}
			for _, scope := range op.Scopes {
				if kind != "pat" && !slices.Contains(v.scopes, scope) {
					t.Errorf("%s: %s passes without %s", kind, op, scope)
				}
			}
			if kind != "pat" && (op.JWT == tableauapi.JWTRefused || op.JWT == tableauapi.JWTUnifiedAccess && kind != "unified_access") {
				t.Errorf("%s: %s passes, which accepts no such session", kind, op)
			}
		}
	}
}

// What does not pass is refused with something to read.
func TestRefusalOfEveryVerdict(t *testing.T) {
	b, err := newRulebook(&Handler{ScopeCeiling: []string{"tableau:content:read"}, Policy: Policy{Deny: rule("write")}}, "direct_trust", false, nopLogger)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[ground]bool{}
	for _, v := range b.edition(context.Background()).verdicts[0] {
		seen[v.ground] = true
		refused := b.judges[0].refusal(v)
		if (refused == nil) != (v.ground == granted) || refused != nil && (refused.detail == "" || refused.status != http.StatusForbidden) {
			t.Errorf("%s: ground %d is refused with %+v", v.op, v.ground, refused)
		}
	}
	if len(seen) != len(decisions) {
		t.Errorf("only %v were seen", seen)
	}
}

// Every refusal, by a request; none of them leaves, and none signs in.
func TestRefusedOperations(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	user := "/sites/-/users/" + tableautest.UserLUID(testSite, "bob")
	book := "/sites/-/workbooks/00000000-0000-0000-0000-000000000000"
	tests := []struct {
		name, options, method, path string
		status                      int
		code, detail                string
	}{
		{"unknown", "", "GET", "/sites/-/novelties", 404, "operation_unknown", "unknown_routes"},
		{"unknown, in capitals", "", "GET", "/Sites/-/workbooks", 404, "operation_unknown", "case of letters"},
		{"another method", "", "PATCH", "/sites/-/workbooks", 405, "method_not_allowed", "This path is known with GET, HEAD, POST."},
		{"dangerous", "", "PUT", user, 403, "operation_dangerous", "To let it through: allow /** update_user"},
		{"dangerous, with allow", "allow admin", "DELETE", user, 403, "operation_dangerous", "To let it through: allow remove_user_from_site"},
		{"a secret", "", "POST", book + "/retrieveKeychain", 403, "operation_dangerous", "download_workbook_encrypted_keychain (POST /sites/{site}/workbooks/{workbook}/retrieveKeychain)"},
		{"not in allow", "allow read", "DELETE", book, 403, "operation_denied", "does not let delete_workbook (DELETE /sites/{site}/workbooks/{workbook}) through (not in allow)"},
		{"denied", "deny DELETE /sites/*/workbooks/**", "DELETE", book, 403, "operation_denied", "(deny DELETE /sites/*/workbooks/**)"},
		{"read only", "read_only", "DELETE", book, 403, "operation_denied", "(read_only)"},
		{"no JWT", "", "GET", "/sites/-/users/-/personal-access-tokens", 403, "jwt_not_accepted", "credentials direct_trust. It would work with credentials pat or password"},
		{"unified access only", "", "GET", "/sites/-/connected-apps/external-authorization-servers", 403, "jwt_not_accepted", "credentials unified_access, pat or password"},
		{"scope", "scopes tableau:jobs:read", "GET", "/sites/-/workbooks", 403, "scope_missing", "needs the scope tableau:content:read. The session may have the scope tableau:jobs:read: the operator of this proxy would have to add tableau:content:read to scopes"},
		{"two scopes", "scope_ceiling tableau:workbooks:create", "POST", "/sites/-/workbooks?uploadSessionId=1", 403, "scope_missing", "needs the scopes tableau:file_uploads:create tableau:workbooks:create"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.load(t, setup{options: twoUsers + "\n\t\t" + test.options})
			a := r.do(t, call{user: "alice", method: test.method, path: api + test.path})
			if a.status != test.status || a.code() != test.code || !strings.Contains(a.body, test.detail) {
				t.Errorf("status %d, code %q: %s, want %d, %q, %q", a.status, a.code(), a.body, test.status, test.code, test.detail)
			}
			if allow := a.header.Get("Allow"); (allow != "") != (test.status == 405) {
				t.Errorf("Allow %q", allow)
			}
		})
	}
	if got := len(r.Journal()); got != 0 {
		t.Errorf("%d requests reached Tableau", got)
	}
}

// What no operation is known for goes through if the operator says so, but not
// past the rules, nor in another spelling of what is known.
func TestUnknownRoutes(t *testing.T) {
	tests := []struct {
		name, options, method, path string
		status                      int
		code                        string
	}{
		{"open", "unknown_routes tableau:jobs:read", "GET", "/sites/-/novelties", 404, ""},
		{"open with fixed scopes", "scopes tableau:jobs:read\n\t\tunknown_routes allow", "POST", "/sites/-/novelties", 404, ""},
		{"closed", "unknown_routes deny", "GET", "/sites/-/novelties", 404, "operation_unknown"},
		{"another method of a path that is known", "unknown_routes tableau:jobs:read", "PATCH", "/sites/-/workbooks", 405, "method_not_allowed"},
		{"another spelling", "unknown_routes tableau:jobs:read", "DELETE", "/Sites/-/Users/-", 404, "operation_unknown"},
		{"another spelling of sessions", "unknown_routes tableau:jobs:read", "DELETE", "/Sessions/1", 404, "operation_unknown"},
		{"read only, and read", "unknown_routes tableau:jobs:read\n\t\tread_only", "HEAD", "/sites/-/novelties", 404, ""},
		{"read only, and written", "unknown_routes tableau:jobs:read\n\t\tread_only", "POST", "/sites/-/novelties", 403, "operation_denied"},
		{"denied by template", "unknown_routes tableau:jobs:read\n\t\tdeny /sites/*/views/**", "GET", "/sites/-/views/1/novelties", 403, "operation_denied"},
		{"denied by template and method", "unknown_routes tableau:jobs:read\n\t\tdeny GET /sites/*/views/**", "HEAD", "/sites/-/views/1/novelties", 403, "operation_denied"},
		{"another method is denied", "unknown_routes tableau:jobs:read\n\t\tdeny PUT /sites/*/views/**", "GET", "/sites/-/views/1/novelties", 404, ""},
		{"a group with a list", "unknown_routes tableau:jobs:read\n\t\tpolicy {http.auth.user.id} alice {\n\t\t\tallow read\n\t\t}", "GET", "/sites/-/novelties", 403, "operation_denied"},
	}
	r := newRig(t, tableautest.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.load(t, setup{options: twoUsers + "\n\t\t" + test.options})
			before := len(r.data())
			a := r.do(t, call{user: "alice", method: test.method, path: api + test.path})
			if a.status != test.status || a.code() != test.code {
				t.Errorf("status %d, code %q, want %d, %q: %s", a.status, a.code(), test.status, test.code, a.body)
			}
			if got, want := len(r.data())-before, map[bool]int{true: 1}[test.code == ""]; got != want {
				t.Errorf("%d requests reached Tableau, want %d", got, want)
			}
		})
	}
	for _, e := range r.Journal() {
		if e.JWT != nil && !slices.Equal(e.Scopes, []string{"tableau:jobs:read"}) {
			t.Errorf("a session has the scopes %v", e.Scopes)
		}
	}
}

// Tableau's refusal of what is not known is explained as far as it can be.
func TestUnknownRouteThatTableauRefuses(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: twoUsers + "\n\t\tunknown_routes tableau:jobs:read"})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{Path: "novelties"}, Refuse: &tableautest.Refusal{Code: tableauapi.CodeInvalidToken}})
	a := r.get(t, "alice", api+"/sites/-/novelties")
	for _, want := range []string{"does not know the operation. Route: /sites/{site}/novelties. The session has the scope tableau:jobs:read: see unknown_routes"} {
		if a.code() != "scope_missing" || !strings.Contains(a.body, want) {
			t.Errorf("status %d, code %q: %s, want %q in it", a.status, a.code(), a.body, want)
		}
	}
}

// A group's policy is found by what is verified of a person, the first that
// fits; what is empty or not there is refused.
func TestPoliciesOfGroups(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	const policies = `
		policy {http.request.header.Groups} interns {
			allow query_workbooks_for_site
		}
		policy {http.request.header.Groups} analysts "Domain Users" {
			read_only
		}
		policy {http.request.header.Groups} admins {
			allow /** update_user
		}`
	r.load(t, setup{global: trustsLoopback, options: twoUsers + "\n\t\tdeny query_projects" + policies})
	tests := []struct {
		name   string
		groups []string
		method string
		path   string
		code   string
	}{
		{"one group", []string{"interns"}, "GET", "/workbooks", ""},
		{"not allowed to it", []string{"interns"}, "GET", "/views", "operation_denied"},
		{"another group", []string{"analysts"}, "GET", "/views", ""},
		{"a name with a space", []string{"Domain Users"}, "GET", "/views", ""},
		{"a part of a name", []string{"Users"}, "GET", "/views", "policy_unknown"},
		{"read only", []string{"analysts"}, "POST", "/fileUploads", "operation_denied"},
		{"a list", []string{"sales, admins"}, "GET", "/views", ""},
		{"the first that fits", []string{"admins,interns"}, "GET", "/views", "operation_denied"},
		{"what is denied to all", []string{"admins"}, "GET", "/projects", "operation_denied"},
		{"what is allowed by name to one", []string{"analysts"}, "PUT", "/users/-", "operation_denied"},
		{"no such group", []string{"sales"}, "GET", "/workbooks", "policy_unknown"},
		{"in other letters", []string{"Interns"}, "GET", "/workbooks", "policy_unknown"},
		{"empty", []string{""}, "GET", "/workbooks", "policy_unknown"},
		{"blank", []string{" "}, "GET", "/workbooks", "policy_unknown"},
		{"missing", nil, "GET", "/workbooks", "policy_unknown"},
		{"twice", []string{"interns", "admins"}, "GET", "/workbooks", "request_ambiguous"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := r.do(t, call{user: "alice", method: test.method, path: api + "/sites/-" + test.path, header: http.Header{"Groups": test.groups}})
			if a.code() != test.code || test.code == "" && a.status != http.StatusOK {
				t.Errorf("status %d, code %q, want %q: %s", a.status, a.code(), test.code, a.body)
			}
		})
	}
	if a := r.get(t, "alice", api+"/serverinfo"); a.status != http.StatusOK {
		t.Errorf("serverinfo: status %d, code %q", a.status, a.code())
	}
	for _, e := range r.Journal() {
		if e.Headers["Groups"] > 0 {
			t.Error("Tableau is told the groups")
		}
	}
	await(t, "tableau.audit", map[string]any{"error": "policy_unknown", "cause": "no policy is about this person, and there is no policy default"})

	r.load(t, setup{global: trustsLoopback, options: twoUsers + policies + "\n\t\tpolicy default"})
	for groups, want := range map[string]string{"sales": "", "": "policy_unknown", " ": "policy_unknown", "interns": "operation_denied"} {
		if a := r.get(t, "alice", api+"/sites/-/views", "Groups", groups); a.code() != want {
			t.Errorf("%q: code %q, want %q", groups, a.code(), want)
		}
	}
}

func TestPolicyRefusesToLoad(t *testing.T) {
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	base := goodSite + goodUser + goodCredentials
	for options, want := range map[string]string{
		"allow query_workbook\n":                                         `allow: "query_workbook" is no operation, class or template; did you mean`,
		"deny reed\n":                                                    `did you mean "read"?`,
		"deny /sites/*/novelties\n":                                      "no operation has a path like",
		"allow POST get_workbook\n":                                      "allow: get_workbook has no operation with the method POST",
		"allow HEAD get_workbook\n":                                      `"HEAD" is no method that rules are about`,
		"allow PURGE get_workbook\n":                                     `"PURGE" is no method that rules are about`,
		"allow sign_in\n":                                                "sign_in is a call under /auth/",
		"allow revoke_administrator_personal_access_tokens\n":            "is a call under /auth/",
		"scopes auto by person\n":                                        "it is by operation, by resource or by class",
		"scopes tableau:a:b\nscopes auto\n":                              "scopes: auto stands alone",
		"scopes auto\nscopes tableau:a:b\n":                              "scopes: auto chooses the scopes itself",
		"scopes tableau:a:b\nscope_ceiling tableau:a:b\n":                "the list in scopes is a ceiling already",
		"scope_ceiling content\n":                                        "scope_ceiling: \"content\" is not of the form",
		"unknown_routes perhaps\n":                                       "unknown_routes: \"perhaps\" is not of the form",
		"unknown_routes allow\n":                                         "unknown_routes: with scopes auto nobody knows what they need",
		"unknown_routes tableau:a:b\nallow read\n":                       "which no unknown route is",
		"unknown_routes tableau:a:b\nscope_ceiling tableau:a:c\n":        "tableau:a:b is more than scopes or scope_ceiling allow",
		"unknown_routes tableau:a:b\nscopes tableau:a:c\n":               "tableau:a:b is more than scopes or scope_ceiling allow",
		"policy alice bob {\nread_only\n}\n":                             "policy alice: it begins with a placeholder",
		"policy {query.group} a {\nread_only\n}\n":                       "policy: {http.request.uri.query.group} is chosen by the client, who could choose among the policies",
		"policy {http.tableau.user} a {\nread_only\n}\n":                 "it is not known yet when the policy is chosen",
		"policy {http.auth.user.id} a {\n}\n":                            "policy {http.auth.user.id} a: it has no allow, deny or read_only",
		"policy {http.auth.user.id} \"\" {\nread_only\n}\n":              "it has no value, or an empty one",
		"policy {http.auth.user.id} a {\nallow reed\n}\n":                "policy {http.auth.user.id} a: allow: \"reed\"",
		"policy default a {\nread_only\n}\n":                             "policy default: it takes no values",
		"policy default\npolicy {http.auth.user.id} a {\nread_only\n}\n": "policy default: it must come last",
		"policy default\npolicy default\n":                               "policy default: it must come last",
	} {
		err := provision(t, goodOrigin, base+options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", options, err, want)
		}
	}
}

// What JSON can say and a Caddyfile cannot.
func TestPolicyInJSONRefusesToLoad(t *testing.T) {
	for want, h := range map[string]*Handler{
		"it groups what scopes auto chooses": {Scopes: []string{"tableau:a:b"}, ScopesBy: "class"},
		"auto chooses the scopes itself":     {Scopes: []string{"auto", "tableau:a:b"}},
		"it names no operation":              {Policy: Policy{Allow: []Rule{{Methods: []string{"GET"}}}}},
		"policy : it begins with":            {Policies: []GroupPolicy{{Values: []string{"a"}}}},
	} {
		if _, err := newRulebook(h, "direct_trust", false, nopLogger); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

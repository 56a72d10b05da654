package caddymodule

// This file takes requests the whole way: a client, a real Caddy, a simulated
// Tableau.

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const jsonType = "application/json"

func TestEachReachesTableauAsThemselves(t *testing.T) {
	r := started(t, tableautest.Options{EchoToken: true}, setup{})
	for range 5 {
		for user, other := range map[string]string{"alice": "bob", "bob": "alice"} {
			a := r.get(t, user, workbooks)
			if a.status != http.StatusOK {
				t.Fatalf("%s: status %d: %s", user, a.status, a.body)
			}
			if !strings.Contains(a.body, tableautest.DraftsName(user)) || strings.Contains(a.body, tableautest.DraftsName(other)) {
				t.Errorf("%s got the workbooks of somebody else: %s", user, a.body)
			}
			if e := r.last(t); e.User != user || e.AuthTokens != 1 || e.Host != strings.TrimPrefix(r.URL, "https://") {
				t.Errorf("%s: Tableau saw the user %q, %d X-Tableau-Auth, Host %q", user, e.User, e.AuthTokens, e.Host)
			}
			if got := a.header.Get("Cache-Control"); got != "private, no-store" {
				t.Errorf("Cache-Control %q, want private, no-store", got)
			}
		}
	}
	if got := r.signIns(); got != 2 {
		t.Errorf("%d sign-ins for 2 users", got)
	}
}

func TestNobodyGoesNowhere(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{before: "\t# nobody is asked"})
	for _, path := range []string{workbooks, api + "/serverinfo", api + "/sites", "/api/metadata/graphql"} {
		if a := r.get(t, "", path); a.status != 401 || a.code() != "identity_missing" {
			t.Errorf("%s: status %d, code %q, want 401 identity_missing", path, a.status, a.code())
		}
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

// twoSites puts a second site next to the first. A Connected App belongs to one
// site, so it is a second simulator, which knows the same app.
func twoSites(t *testing.T, r *rig) *tableautest.Tableau {
	t.Helper()
	app := r.app
	app.Site = "marketing"
	second := tableautest.New(tableautest.Options{ConnectedApps: []tableautest.ConnectedApp{app}})
	first := r.HTTP.Config.Handler
	r.HTTP.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		forSecond := strings.HasSuffix(req.Header.Get("X-Tableau-Auth"), tableautest.SiteLUID("marketing")) ||
			strings.HasSuffix(req.URL.Path, "/auth/signin") && bytes.Contains(body, []byte(`contentUrl="marketing"`))
		if forSecond {
			second.ServeHTTP(w, req)
			return
		}
		first.ServeHTTP(w, req)
	})
	return second
}

func TestSites(t *testing.T) {
	finance, marketing := tableautest.SiteLUID("finance"), tableautest.SiteLUID("marketing")
	r := newRig(t, tableautest.Options{})
	twoSites(t, r)
	r.load(t, setup{options: "\t\tsite finance marketing\n\t\tuser {http.auth.user.id}\n\t\tscopes tableau:content:read tableau:users:read"})
	tests := []struct {
		name, path, header string
		site               string // whose answer it is, or
		status             int
		code               string
	}{
		{"hyphen", "/sites/-/workbooks", "", "Finance", 200, ""},
		{"content URL", "/sites/finance/workbooks", "", "Finance", 200, ""},
		{"content URL in other case", "/sites/FINANCE/workbooks", "", "Finance", 200, ""},
		{"LUID", "/sites/" + finance + "/workbooks", "", "Finance", 200, ""},
		{"LUID in other case", "/sites/" + strings.ToUpper(finance) + "/workbooks", "", "Finance", 200, ""},
		{"another site", "/sites/marketing/workbooks", "", "Marketing", 200, ""},
		{"LUID of another site", "/sites/" + marketing + "/workbooks", "", "Marketing", 200, ""},
		{"header", "/sites/-/workbooks", "marketing", "Marketing", 200, ""},
		{"header in other case", "/sites/-/workbooks", "MarketING", "Marketing", 200, ""},
		{"header and path agree", "/sites/marketing/workbooks", "marketing", "Marketing", 200, ""},
		{"header and LUID agree", "/sites/" + marketing + "/workbooks", "marketing", "Marketing", 200, ""},
		{"slashes in front", "//sites", "", "", 404, "not_an_api_path"},
		{"header and path conflict", "/sites/finance/workbooks", "marketing", "", 400, "request_ambiguous"},
		{"header and LUID conflict", "/sites/" + finance + "/workbooks", "marketing", "", 400, "request_ambiguous"},
		{"header names a site that is not ours", "/sites/-/workbooks", "default", "", 403, "site_not_allowed"},
		{"site that is not ours", "/sites/engineering/workbooks", "", "", 403, "site_not_allowed"},
		{"Default site, which is not ours", "/sites/default/workbooks", "", "", 403, "site_not_allowed"},
		{"LUID of a site that is not ours", "/sites/" + tableautest.SiteLUID("") + "/workbooks", "", "", 403, "site_not_allowed"},
		{"LUID of no site", "/sites/00000000-0000-0000-0000-000000000000/workbooks", "", "", 403, "site_not_allowed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var h []string
			if test.header != "" {
				h = []string{"X-Tableau-Site", test.header}
			}
			path := api + test.path
			if strings.HasPrefix(test.path, "//") {
				path = test.path
			}
			a := r.get(t, "alice", path, h...)
			if a.status != test.status || a.code() != test.code {
				t.Fatalf("status %d, code %q, want %d, %q: %s", a.status, a.code(), test.status, test.code, a.body)
			}
			if test.site != "" && !strings.Contains(a.body, test.site+" Overview") {
				t.Errorf("the answer is not that of %s: %s", test.site, a.body)
			}
		})
	}
	if got := r.signIns(); got != 1 {
		t.Errorf("%d sign-ins to finance, want 1", got)
	}
}

// A LUID that nobody has seen yet is found by signing in, at most once a site.
func TestUnknownLUIDCostsOneSignIn(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	second := twoSites(t, r)
	r.load(t, setup{options: "\t\tsite finance marketing\n\t\tuser {http.auth.user.id}\n\t\tscopes tableau:content:read"})
	for range 3 {
		if a := r.get(t, "alice", api+"/sites/"+tableautest.SiteLUID("elsewhere")+"/workbooks"); a.code() != "site_not_allowed" {
			t.Fatalf("status %d, code %q", a.status, a.code())
		}
	}
	if a := r.get(t, "bob", api+"/sites/"+tableautest.SiteLUID("elsewhere")+"/workbooks"); a.code() != "site_not_allowed" {
		t.Fatalf("status %d, code %q", a.status, a.code())
	}
	if first, other := r.signIns(), second.SignIns(tableautest.SignInFilter{}); first != 1 || other != 1 {
		t.Errorf("%d and %d sign-ins, want one each", first, other)
	}
	if n := len(r.data()); n != 0 {
		t.Errorf("%d requests went on", n)
	}
}

func TestUserHyphen(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	luid := tableautest.UserLUID(testSite, "bob")
	r.get(t, "bob", api+"/sites/-/users/-/workbooks")
	want := api + "/sites/" + tableautest.SiteLUID(testSite) + "/users/" + luid + "/workbooks"
	if got := r.last(t).Path; got != want {
		t.Errorf("Tableau saw %s, want %s", got, want)
	}
	r.get(t, "alice", "//api/3.24/sites/FINANCE/users/"+luid+"/workbooks?fields=_all_&x=%2F")
	e := r.last(t)
	if want := api + "/sites/" + tableautest.SiteLUID(testSite) + "/users/" + luid + "/workbooks"; e.Path != want || e.Query != "fields=_all_&x=%2F" {
		t.Errorf("Tableau saw %s?%s, want %s with the query as it was", e.Path, e.Query, want)
	}
}

func TestServerInfoNeedsNoSession(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for _, path := range []string{"/serverinfo", "/serverInfo"} {
		if a := r.get(t, "alice", api+path); a.status != 200 || !strings.Contains(a.body, "restApiVersion") {
			t.Errorf("%s: status %d: %s", path, a.status, a.body)
		}
		if e := r.last(t); e.AuthTokens != 0 {
			t.Errorf("%s: Tableau saw a session", path)
		}
	}
	if got := r.signIns(); got != 0 {
		t.Errorf("%d sign-ins", got)
	}
}

// Other APIs than REST, and methods that send something.
func TestOtherAPIs(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: defaultOptions + " tableau:viz_data_service:read tableau:insight_definitions_metrics:read"})
	for _, op := range tableautest.Operations() {
		switch op.Name {
		case "metadata_graphql", "vds_query_datasource", "list_metric_definitions", "batch_list_metric_definitions_few", "get_metric_definition", "get_content_search_results":
		default:
			continue
		}
		a := r.do(t, call{user: "alice", method: op.Method, path: op.Example, body: op.ExampleBody, header: headers("Content-Type", jsonType)})
		if a.status != 200 {
			t.Errorf("%s: status %d: %s", op.Name, a.status, a.body)
		}
		if e := r.last(t); e.Operation != op.Name || e.User != "alice" {
			t.Errorf("%s: Tableau saw %q as %q", op.Name, e.Operation, e.User)
		}
	}
	if got := r.signIns(); got != 1 {
		t.Errorf("%d sign-ins, want 1", got)
	}
}

func TestHead(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for path, want := range map[string]struct {
		status int
		code   string
	}{
		api + "/sites/other/workbooks": {403, "site_not_allowed"},
		"/":                            {404, "not_an_api_path"},
	} {
		a := r.do(t, call{user: "alice", method: http.MethodHead, path: path})
		if a.status != want.status || a.code() != want.code || a.body != "" || a.header.Get("Content-Length") == "" {
			t.Errorf("%s: status %d, code %q, body %q, Content-Length %q", path, a.status, a.code(), a.body, a.header.Get("Content-Length"))
		}
	}
	r.do(t, call{user: "alice", method: http.MethodHead, path: workbooks})
	if e := r.last(t); e.Method != http.MethodHead || e.User != "alice" {
		t.Errorf("Tableau saw %s of %q", e.Method, e.User)
	}
}

// Every error of our own can be read by Tableau's clients, in the format that
// they ask for.
func TestErrorsHaveTableausShape(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tuser_map carol nobody-at-tableau\n\t\tscopes tableau:content:read"})
	tests := []struct {
		name    string
		call    call
		status  int
		code    string
		tableau string
	}{
		{"not mapped", call{user: "mallory", path: workbooks}, 403, "identity_not_mapped", tableauapi.CodeForbidden},
		{"method", call{user: "alice", method: "OPTIONS", path: workbooks}, 405, "method_not_allowed", tableauapi.CodeMethodNotAllowed},
		{"no API", call{user: "alice", path: "/views/x"}, 404, "not_an_api_path", tableauapi.CodePathNotFound},
		{"ambiguous", call{user: "alice", path: api + "/sites//workbooks"}, 400, "request_ambiguous", tableauapi.CodeBadRequest},
		{"site", call{user: "alice", path: api + "/sites/x/workbooks"}, 403, "site_not_allowed", tableauapi.CodeForbidden},
		{"scope", call{user: "alice", path: api + "/sites/-/users"}, 403, "scope_missing", tableauapi.CodeForbidden},
		{"call under auth", call{user: "alice", method: "DELETE", path: api + "/auth/serverAdminAccessTokens"}, 403, "auth_call_refused", tableauapi.CodeForbidden},
		{"sign-in refused", call{user: "carol", path: workbooks}, 502, "sign_in_refused", tableauapi.CodeBadGateway},
	}
	formats := []struct {
		name   string
		header []string
		want   tableauapi.Format
	}{
		{"nothing asked for", nil, tableauapi.XML},
		{"anything", []string{"Accept", "*/*"}, tableauapi.XML},
		{"XML", []string{"Accept", "application/xml"}, tableauapi.XML},
		{"JSON", []string{"Accept", jsonType}, tableauapi.JSON},
		{"XML, but JSON sent", []string{"Accept", "application/xml", "Content-Type", jsonType}, tableauapi.XML},
		{"JSON sent", []string{"Content-Type", jsonType}, tableauapi.JSON},
	}
	for _, test := range tests {
		for _, format := range formats {
			t.Run(test.name+", "+format.name, func(t *testing.T) {
				test.call.header = headers(format.header...)
				a := r.do(t, test.call)
				checkError(t, a, test.status, test.code, test.tableau, format.want)
			})
		}
	}
	if got := r.get(t, "alice", workbooks); got.code() != "" {
		t.Errorf("Tableau's own answer has the code %q", got.code())
	}
}

func checkError(t *testing.T, a answer, status int, code, tableau string, format tableauapi.Format) {
	t.Helper()
	if a.status != status || a.code() != code {
		t.Errorf("status %d, code %q, want %d, %q", a.status, a.code(), status, code)
	}
	if got := a.header.Get("Content-Type"); got != format.ContentType() {
		t.Errorf("Content-Type %q, want %q", got, format.ContentType())
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", got)
	}
	isJSON := strings.HasPrefix(a.body, "{")
	if isJSON != (format == tableauapi.JSON) {
		t.Errorf("the body is in the wrong format: %s", a.body)
	}
	said, ok := tableauapi.DecodeError([]byte(a.body))
	if !ok {
		t.Fatalf("not an error of Tableau's: %s", a.body)
	}
	if said.Code != tableau || said.Summary == "" || said.Detail == "" {
		t.Errorf("error %+v, want the code %s with a summary and a detail", said, tableau)
	}
}

// The APIs that know only JSON get their errors in JSON.
func TestErrorsOfJSONOnlyAPIs(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{options: "\t\tsite finance\n\t\tuser_map bob bob\n\t\tscopes tableau:content:read"})
	for _, path := range []string{"/api/metadata/graphql", "/relationship-service-war/graphql", "/api/-/pulse/definitions", "/api/v1/vizql-data-service/query-datasource"} {
		checkError(t, r.get(t, "alice", path), 403, "identity_not_mapped", tableauapi.CodeForbidden, tableauapi.JSON)
		checkError(t, r.get(t, "alice", path, "Accept", "*/*"), 403, "identity_not_mapped", tableauapi.CodeForbidden, tableauapi.JSON)
	}
}

func TestAllowHeader(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	a := r.do(t, call{user: "alice", method: "OPTIONS", path: workbooks})
	if got, want := a.header.Get("Allow"), "GET, HEAD, POST"; got != want {
		t.Errorf("Allow %q, want %q", got, want)
	}
}

// Placeholders are there for the directives behind, and tell nothing that works
// at Tableau.
func TestPlaceholders(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{
		handlers: "\tvars before x\n\ttableau_auth " + r.URL + r.block(setup{options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tscopes tableau:content:read"}),
		after:    "\trespond \"{http.tableau.user}|{http.tableau.site}|{http.tableau.route}|{http.tableau.operation}|{http.auth.user.id}\"",
	})
	a := r.get(t, "alice", api+"/sites/-/workbooks/"+tableautest.WorkbookLUID(testSite, "Reports", "Finance Overview")+"/views")
	if want := "alice|finance|/sites/{site}/workbooks/{workbook}/views|query_views_for_workbook|alice"; a.body != want {
		t.Errorf("placeholders %q, want %q", a.body, want)
	}
}

// Directives that come after see the request as it will be sent, and none of
// what authenticated the client.
func TestWhatFollowsSeesNoCredential(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	r.load(t, setup{
		handlers: "\ttableau_auth " + r.URL + r.block(setup{}),
		after:    "\trespond \"{path}|{header.Authorization}|{header.Cookie}|{header.X-Tableau-Auth}|{header.X-Tableau-Site}|\"",
	})
	a := r.get(t, "alice", workbooks, "Cookie", "workgroup_session_id=stolen", "X-Tableau-Site", "finance", "X-Tableau-Auth", "")
	if want := api + "/sites/" + tableautest.SiteLUID(testSite) + "/workbooks|||||"; a.body != want {
		t.Errorf("what follows sees %q, want %q", a.body, want)
	}
}

package tableauapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// operation is for tests that name one which is there.
func operation(t testing.TB, name string) *Operation {
	t.Helper()
	op, ok := OperationByName(name)
	if !ok {
		t.Fatalf("no operation %s", name)
	}
	return op
}

// What people rely on, spelled out.
func TestSomeOperations(t *testing.T) {
	type row struct {
		Method, Template, Query, Resource string
		Class                             Class
		Mutates                           bool
		Scopes                            []string
		MinVersion                        string
		JWT                               JWT
		Danger                            Danger
	}
	site := "/api/{version}/sites/{site}"
	for name, want := range map[string]row{
		"query_workbooks_for_site":    {"GET", site + "/workbooks", "", "workbooks", ClassRead, false, []string{"tableau:content:read"}, "2.0", JWTAccepted, ""},
		"publish_workbook":            {"POST", site + "/workbooks", "", "workbooks", ClassWrite, true, []string{"tableau:workbooks:create"}, "2.0", JWTAccepted, ""},
		"publish_workbook_chunked":    {"POST", site + "/workbooks", "uploadSessionId", "workbooks", ClassWrite, true, []string{"tableau:file_uploads:create", "tableau:workbooks:create"}, "2.0", JWTAccepted, ""},
		"run_extract_refresh_task":    {"POST", site + "/tasks/extractRefreshes/{task}/runNow", "", "tasks", ClassRun, true, []string{"tableau:tasks:run"}, "2.6", JWTAccepted, ""},
		"get_labels":                  {"POST", site + "/labels", "", "labels", ClassRead, false, []string{"tableau:labels:read"}, "", JWTAccepted, ""},
		"add_user_to_site":            {"POST", site + "/users", "", "users", ClassAdmin, true, []string{"tableau:users:create"}, "2.0", JWTAccepted, ""},
		"list_personal_access_tokens": {"GET", site + "/users/{user}/personal-access-tokens", "", "auth", ClassAdmin, false, []string{}, "3.21", JWTRefused, ""},
		"get_connected_app_secret":    {"GET", site + "/(connected-apps/direct-trust|connected-applications)/{client}/secrets/{secret}", "", "connected_apps", ClassAdmin, false, []string{}, "3.14", JWTRefused, ReturnsSecret},
		"delete_server_session":       {"DELETE", "/api/{version}/sessions/{session}", "", "sessions", ClassAdmin, true, []string{"tableau:sessions:delete"}, "3.9", JWTAccepted, EndsSessions},
		"register_eas":                {"POST", site + "/connected-apps/external-authorization-servers", "", "connected_apps", ClassAdmin, true, []string{"tableau:external_authorization_servers:create"}, "3.16", JWTUnifiedAccess, ChangesIdentity},
		"sign_out":                    {"POST", "/api/{version}/auth/signout", "", "auth", ClassRead, true, []string{}, "2.0", JWTAccepted, BreaksSession},
		"server_info":                 {"GET", "/api/{version}/serverinfo", "", "server", ClassRead, false, []string{}, "2.4", JWTNotNeeded, ""},
		"metadata_graphql":            {"POST", "/(api/metadata|relationship-service-war)/graphql", "", "metadata", ClassRead, false, []string{"tableau:content:read"}, "3.5", JWTAccepted, ""},
		"vds_query_datasource":        {"POST", "/api/v1/vizql-data-service/query-datasource", "", "vizql_data_service", ClassRead, false, []string{"tableau:viz_data_service:read"}, "3.25", JWTAccepted, ""},
	} {
		op := operation(t, name)
		got := row{op.Method, op.Template, op.Query, op.Resource, op.Class, op.Mutates, op.Scopes, op.MinVersion, op.JWT, op.Danger}
		if diff := cmp.Diff(want, got); diff != "" || op.Name != name {
			t.Errorf("%s (-want +got):\n%s", op.Name, diff)
		}
	}
}

func TestAliases(t *testing.T) {
	for alias, want := range map[string]string{
		"get_view_by_path":                    "query_views_for_site",
		"add_flow_to_favorites":               "add_to_favorites",
		"create_openid_connect_configuration": "update_openid_connect_configuration",
	} {
		if got := operation(t, alias).Name; got != want {
			t.Errorf("%s: got %s, want %s", alias, got, want)
		}
	}
	if _, ok := OperationByName("sites"); ok {
		t.Error("a resource is taken for an operation")
	}
}

func TestOperationPrintsItsName(t *testing.T) {
	if got := fmt.Sprintf("%v", operation(t, "get_view")); got != "get_view" {
		t.Errorf("got %s", got)
	}
}

func TestOperationsCanBeLeft(t *testing.T) {
	count := 0
	for range Operations() {
		if count++; count == 3 {
			break
		}
	}
	if count != 3 {
		t.Errorf("%d operations", count)
	}
}

// The rules that the data keeps to beyond what can be read at all.
func TestCatalogIsConsistent(t *testing.T) {
	last, seen, count := "", map[string]bool{}, 0
	for op := range Operations() {
		count++
		if op.Resource != last && seen[op.Resource] {
			t.Errorf("%s: %s stands in two places", op.Name, op.Resource)
		}
		last, seen[op.Resource] = op.Resource, true
		if op.JWT == JWTRefused && op.Note == "" {
			t.Errorf("%s accepts no JWT, and nothing says why that is thought", op.Name)
		}
		if op.Mutates && op.Class == ClassRead && op.Resource != "auth" {
			t.Errorf("%s changes something, as %s", op.Name, op.Class)
		}
		if !op.Mutates && op.Class != ClassRead && op.Class != ClassAdmin {
			t.Errorf("%s changes nothing, as %s", op.Name, op.Class)
		}
		if op.Method != http.MethodGet && op.Method != http.MethodPost && !op.Mutates {
			t.Errorf("%s: %s that changes nothing", op.Name, op.Method)
		}
		if op.Method == http.MethodGet && op.Mutates && op.Name != "test_a_webhook" {
			t.Errorf("%s: GET that changes something", op.Name)
		}
		for _, text := range []string{op.Reason, op.Note} {
			if text != "" && !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "`|") {
				t.Errorf("%s: %q is no sentence", op.Name, text)
			}
		}
	}
	if count < 480 {
		t.Errorf("only %d operations", count)
	}
}

// What breaks or opens the sessions of others must never lose its mark.
func TestDangers(t *testing.T) {
	count := map[Danger]int{}
	for op := range Operations() {
		count[op.Danger]++
		for _, word := range []string{"/auth/", "/secrets", "Keychain", "keychain", "SavedCreds", "apiToken", "oidc-configuration"} {
			if strings.Contains(op.Template, word) && op.Danger == Harmless {
				t.Errorf("%s is harmless", op.Name)
			}
		}
		inApps := op.Resource == "connected_apps" || op.Resource == "identity_pools" || op.Resource == "scim"
		if inApps && op.Mutates && op.Danger == Harmless {
			t.Errorf("%s is harmless", op.Name)
		}
		_, r, ok := exampleRoute(op)
		if !ok || (r.Auth() != NotAuth) != strings.Contains(op.Template, "/auth/") {
			t.Errorf("%s: as a route its auth call is %d", op.Name, r.Auth())
		}
	}
	for _, danger := range []Danger{BreaksSession, EndsSessions, ReturnsSecret, ChangesIdentity} {
		if count[danger] == 0 {
			t.Errorf("nothing is marked %s", danger)
		}
	}
}

// exampleRoute is the route of the first example of an operation.
func exampleRoute(op *Operation) (path string, r Route, ok bool) {
	path = example(op.paths[0], func(string) string { return luid })
	r, ok = ParseRoute(path)
	return path, r, ok
}

// example fills the parameters of a path.
func example(path []string, fill func(parameter string) string) string {
	var b strings.Builder
	for _, segment := range path {
		if segment == "{version}" {
			segment = "3.27"
		} else if strings.HasPrefix(segment, "{") {
			segment = fill(strings.Trim(segment, "{}"))
		}
		b.WriteString("/" + segment)
	}
	return b.String()
}

// good is a row that parses; bad rows differ from it in one column.
var good = []string{"get_thing", "", "GET", "/api/{version}/things/{thing}", "", "things", "read", "no", "tableau:things:read", "3.5", "", "yes", "", "", "reference", ""}

func rowWith(column int, value string) string {
	row := slices.Clone(good)
	row[column] = value
	return strings.Join(row, "\t")
}

func TestParseCatalogErrors(t *testing.T) {
	other := rowWith(0, "other")
	for want, row := range map[string]string{
		"15 columns, want 16":                    strings.Join(good[:15], "\t"),
		`"Get", "things": not names`:             rowWith(0, "Get"),
		`"get_thing", "a b": not names`:          rowWith(5, "a b"),
		`"HEAD" is no method`:                    rowWith(2, "HEAD"),
		`"/api//things" is no path`:              rowWith(3, "/api//things"),
		`"/api/(a|b" is no path`:                 rowWith(3, "/api/(a|b"),
		`"/api/b/" is no path`:                   rowWith(3, "/api/(a|b/)"),
		`"/api" is no path`:                      rowWith(3, "/api"),
		`"watch" is no class`:                    rowWith(6, "watch"),
		`"maybe" where it says whether`:          rowWith(7, "maybe"),
		`"tableau:things" is no scope`:           rowWith(8, "tableau:things"),
		"scopes are not in order":                rowWith(8, "tableau:b:read,tableau:a:read"),
		`"3" is no version`:                      rowWith(9, "3"),
		`"2025.3.1" is no version`:               rowWith(10, "2025.3.1"),
		`"sometimes" is not known in column jwt`: rowWith(11, "sometimes"),
		"scopes where no JWT is of use":          rowWith(11, "no"),
		`"bites" is no danger`:                   rowWith(12, "bites"),
		"a danger has a reason":                  rowWith(12, "returns-secret"),
		"a reason a danger":                      rowWith(13, "It does."),
		"no source":                              rowWith(14, ""),
		"get_thing is there twice":               strings.Replace(rowWith(1, "more get_thing"), "get_thing", "other", 1),
		"get_thing and other are the same":       other,
		"get_thing and third are the same":       strings.Replace(rowWith(3, "/api/{version}/(things|x)/{name}"), "get_thing", "third", 1),
	} {
		c, err := parseCatalog("# a comment\n" + strings.Join(good, "\t") + "\n" + row + "\n")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line 3: ") || c != nil {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestMustPanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "tableauapi: catalog.tsv: line 1: 1 columns, want 16" {
			t.Errorf("got %s", got)
		}
	}()
	must(parseCatalog("x"))
}

func TestSpellings(t *testing.T) {
	for template, want := range map[string][]string{
		"/a/b":           {"/a/b"},
		"/a/(b|c)":       {"/a/b", "/a/c"},
		"/a(|/b)/(c|d)":  {"/a/c", "/a/b/c", "/a/d", "/a/b/d"},
		"/(a|b)(x|y|z)":  {"/ax", "/bx", "/ay", "/by", "/az", "/bz"},
		"/a/(b|c":        {"/a/(b|c"},
		"(/api/m|/r)/gq": {"/api/m/gq", "/r/gq"},
	} {
		if diff := cmp.Diff(want, spellings(template)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", template, diff)
		}
	}
}

// An operator who allows one spelling allows the operation: its spellings must
// be about the same thing.
func TestSpellingsAreOfOneResource(t *testing.T) {
	same := map[string]string{"connected-applications": "connected-apps", "dataqualitycertification": "dataqualitycertifications", "lens": "lenses"}
	for op := range Operations() {
		first := map[string]bool{}
		for _, path := range op.paths {
			if len(path) < 5 || path[2] != "sites" {
				continue
			}
			word := strings.ToLower(path[4])
			if other := same[word]; other != "" {
				word = other
			}
			first[word] = true
		}
		if len(first) > 1 {
			t.Errorf("%s is about %q", op.Name, slices.Sorted(maps.Keys(first)))
		}
	}
}

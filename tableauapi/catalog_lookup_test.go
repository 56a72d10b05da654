package tableauapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLookup(t *testing.T) {
	const site = "/api/3.24/sites/-"
	for request, want := range map[string]string{
		"GET " + site + "/workbooks":                                                          "query_workbooks_for_site",
		"HEAD " + site + "/workbooks":                                                         "query_workbooks_for_site",
		"GET /api/3.24/sites/fin%20ance/workbooks":                                            "query_workbooks_for_site",
		"GET /api/3.24/sites/" + luid + "/workbooks":                                          "query_workbooks_for_site",
		"GET /api/3.24/sites/workbooks/workbooks":                                             "query_workbooks_for_site",
		"GET /api/3.24/sites/auth/views":                                                      "query_views_for_site",
		"GET /api/3.24/sites":                                                                 "query_sites",
		"GET /api/3.24/sites/finance?key=contentUrl":                                          "query_site",
		"GET " + site + "/users/-":                                                            "query_user_on_site",
		"GET " + site + "/users/bob%40x.org/groups":                                           "get_groups_for_a_user",
		"POST " + site + "/users/import":                                                      "import_users_to_site_from_csv",
		"PUT " + site + "/users/" + luid:                                                      "update_user",
		"POST " + site + "/workbooks?overwrite=true":                                          "publish_workbook",
		"POST " + site + "/workbooks?uploadSessionId=7720:1&workbookType=twbx":                "publish_workbook_chunked",
		"POST " + site + "/workbooks?workbookType=twbx&uploadSessionId":                       "publish_workbook_chunked",
		"POST " + site + "/workbooks?%75pload%53essionId=1":                                   "publish_workbook_chunked",
		"POST " + site + "/workbooks?uploadSessionIds=1&xuploadSessionId=2&uploadSession=3&%": "publish_workbook",
		"POST " + site + "/flows?a=uploadSessionId":                                           "publish_flow",
		"GET " + site + "/flows/runs":                                                         "get_flow_runs",
		"GET " + site + "/flows/" + luid:                                                      "query_flow",
		"PUT " + site + "/favorites/" + luid:                                                  "add_to_favorites",
		"DELETE " + site + "/workbooks/" + luid + "/tags/auth":                                "delete_tag_from_workbook",
		"DELETE " + site + "/views/1/permissions/users/2/Read/Allow":                          "delete_view_permission",
		"DELETE " + site + "/views/1/permissions/groupSets/2/Read/Allow":                      "delete_view_permission",
		"GET " + site + "/projects/1/default-permissions/datasources":                         "list_default_permissions",
		"GET " + site + "/virtualConnections":                                                 "list_virtual_connections",
		"GET " + site + "/virtualconnections":                                                 "list_virtual_connections",
		"PUT " + site + "/fileuploads/1?sequenceID=2":                                         "append_to_file_upload",
		"PATCH " + site + "/datasources/1/connections/2/data?uploadSessionId=3":               "update_data_in_hyper_connection",
		"PUT " + site + "/tags:batchCreate":                                                   "batch_add_tags",
		"PUT " + site + "/tags%3AbatchCreate":                                                 "batch_add_tags",
		"DELETE " + site + "/connected-applications/1/secrets/2":                              "delete_connected_app_secret",
		"GET " + site + "/recommendations?type=view":                                          "get_recommendations_for_views",
		"DELETE " + site + "/recommendations/dismissals?type=view&id=1":                       "unhide_a_recommendation_for_a_view",
		"GET " + site + "/site-oidc-configuration/1":                                          "get_openid_connect_configuration",
		"GET /api/2.4/serverInfo":                                                             "server_info",
		"GET /api/3.24/sites/serverInfo/workbooks":                                            "query_workbooks_for_site",
		"GET /api/3.24/SERVERINFO":                                                            "server_info",
		"GET /api/3.24/sessions/current":                                                      "get_current_server_session",
		"DELETE /api/3.24/sessions/" + luid:                                                   "delete_server_session",
		"POST /api/3.24/auth/switchSite":                                                      "switch_site",
		"POST /api/metadata/graphql":                                                          "metadata_graphql",
		"POST /relationship-service-war/graphql":                                              "metadata_graphql",
		"POST /api/v1/vizql-data-service/read-metadata":                                       "vds_read_metadata",
		"GET /api/-/pulse/definitions:batchGet":                                               "batch_list_metric_definitions_few",
		"POST /api/-/pulse/definitions%3AbatchGet":                                            "batch_list_metric_definitions_many",
		"POST /api/-/pulse/definitions%3abatchGet":                                            "batch_list_metric_definitions_many",
		"POST /api/-/pulse/insights/ban":                                                      "generate_current_metric_value_insight_bundle",
		"GET /api/-/search?terms=x":                                                           "get_content_search_results",
		"GET /api/-/content/usage-stats/workbooks/" + luid:                                    "get_usage_statistics_for_content_item",
	} {
		method, target, _ := strings.Cut(request, " ")
		path, query, _ := strings.Cut(target, "?")
		canonical, err := CanonicalPath(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		op, ok := Lookup(method, canonical, query)
		if !ok {
			t.Errorf("%s is not known", request)
		} else if op.Name != want {
			t.Errorf("%s: got %s, want %s", request, op.Name, want)
		}
	}
}

// These are near to what is known, and another thing.
func TestLookupKnowsNothingElse(t *testing.T) {
	const site = "/api/3.24/sites/-"
	for _, path := range []string{
		"", "/", "/api", "/api/3.24", "/api/-", "/api/3.24/", "api/3.24/sites", "//api/3.24/sites", "/api/3.24/sites/", "/api/3.24//sites",
		"/api/x/sites", "/api/3/sites", "/api/exp/sites/-/customviews", "/api/-/sites", "/api/v1/sites", "/API/3.24/sites",
		"/api/3.24/Sites", site + "/Workbooks", site + "/workbooks/1/content/x", site + "/workbooks/1/contents", site + "/workbook",
		site + "/users/import/groups", site + "/flows/runs/1/2", site + "/tags:batchcreate", site + "/tags%3AbatchCreate%20",
		site + "/workbooks//content", site + "/workbooks/", site + "/serverinfo", "/api/3.24/serverinfo/x", "/serverinfo",
		"/api/-/pulse/definitions%3abatchget", "/api/-/pulse/insights/other", "/api/-/pulse/definitions/1/metrics/2",
		"/api/metadata", "/api/metadata/graphql/x", "/relationship-service-war/metadata", "/relationship-service-war",
		"/api/v1/vizql-data-service/query", "/vizportal/api/web/v1/login",
	} {
		if got := Methods(path); got != nil {
			t.Errorf("%s is known with %q", path, got)
		}
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if op, ok := Lookup(method, path, ""); ok {
				t.Errorf("%s %s is taken for %s", method, path, op.Name)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	for path, want := range map[string][]string{
		"/api/3.24/sites/-/workbooks":           {"GET", "HEAD", "POST"},
		"/api/3.24/sites/-/workbooks/1":         {"DELETE", "GET", "HEAD", "PUT"},
		"/api/3.24/sessions/current":            {"GET", "HEAD"},
		"/api/3.24/sessions/x":                  {"DELETE"},
		"/api/3.24/auth/signin":                 {"POST"},
		"/api/-/pulse/definitions%3AbatchGet":   {"GET", "HEAD", "POST"},
		"/api/3.24/sites/-/users/delete":        {"POST"},
		"/api/3.24/sites/-/tasks/runFlow/1":     {"GET", "HEAD"},
		"/api/3.24/sites/-/datasources/1/data":  {"PATCH"},
		"/api/3.24/sites/-/dataQualityWarnings": nil,
	} {
		if diff := cmp.Diff(want, Methods(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	for _, request := range []string{"DELETE /api/3.24/sessions/current", "POST /api/3.24/serverinfo", "get /api/3.24/sites", " /api/3.24/sites", "OPTIONS /api/3.24/sites"} {
		method, path, _ := strings.Cut(request, " ")
		if op, ok := Lookup(method, path, ""); ok {
			t.Errorf("%s is taken for %s", request, op.Name)
		}
	}
}

// A value that somebody chose must not be taken for a word of Tableau's.
func TestNamesHaveNoWordsBeside(t *testing.T) {
	names := []string{"{site}", "{tag_name}", "{pat_name}", "{label_value_name}", "{label_category_name}"}
	for op := range Operations() {
		for _, path := range op.paths {
			place := &catalog().root
			for i, segment := range path {
				if slices.Contains(names, segment) && len(place.words) > 0 {
					t.Errorf("%s: words stand beside %s", op.Name, segment)
				}
				if i == 2 && segment == "sites" && len(path) > 3 && path[3] != "{site}" {
					t.Errorf("%s has %s where its site should be", op.Name, path[3])
				}
				place = place.places(segment)[0]
			}
		}
	}
}

// slowLookup is Lookup told in another way: of all paths, those go on that have
// the next segment as a word, or else those that have a parameter there.
func slowLookup(method, path, rawQuery string) []*Operation {
	type candidate struct {
		op   *Operation
		path []string
	}
	var all []candidate
	for op := range Operations() {
		for _, p := range op.paths {
			all = append(all, candidate{op, p})
		}
	}
	segments := strings.Split(path, "/")
	if segments[0] != "" {
		return nil
	}
	for i, segment := range segments[1:] {
		word := strings.NewReplacer("%3A", ":", "%3a", ":").Replace(segment)
		if i == 2 && strings.ToLower(word) == "serverinfo" && isVersion(segments[2]) {
			word = "serverinfo"
		}
		var words, parameters []candidate
		for _, c := range all {
			switch {
			case i >= len(c.path):
			case c.path[i] == word && (strings.Contains(word, ":") || word == segment || word == "serverinfo"):
				words = append(words, c)
			case c.path[i] == "{version}" && !isVersion(segment):
			case c.path[i][0] == '{' && segment != "":
				parameters = append(parameters, c)
			}
		}
		if all = words; words == nil {
			all = parameters
		}
	}
	if method == "HEAD" {
		method = "GET"
	}
	all = slices.DeleteFunc(all, func(c candidate) bool { return len(c.path) != len(segments)-1 || c.op.Method != method })
	var found []*Operation
	with := "&" + rawQuery
	for _, c := range all {
		chunked := strings.Contains(with, "&uploadSessionId=") || strings.HasSuffix(with, "&uploadSessionId")
		twin := slices.ContainsFunc(all, func(o candidate) bool { return o.op.Query != "" })
		if !twin || (c.op.Query != "") == chunked {
			found = append(found, c.op)
		}
	}
	return found
}

// Every operation is recognised by each spelling of its path, whatever stands
// in it, and no path is that of two.
func TestEveryOperationIsRecognised(t *testing.T) {
	for op := range Operations() {
		for _, path := range op.paths {
			for _, value := range []string{luid, "-", "finance", "a%20b", "7720:170fe6b1c1c7422dadff20f944d58a52-1:0"} {
				request := example(path, func(string) string { return value })
				canonical, err := CanonicalPath(request)
				if err != nil || canonical != request {
					t.Fatalf("%s: %s is not canonical: %v", op.Name, request, err)
				}
				query := ""
				if op.Query != "" {
					query = op.Query + "=1"
				}
				got, ok := Lookup(op.Method, request, query)
				if !ok || got != op {
					t.Errorf("%s %s: got %v, want %s", op.Method, request, got, op.Name)
				}
				if found := slowLookup(op.Method, request, query); len(found) != 1 || found[0] != op {
					t.Errorf("%s %s has %d operations", op.Method, request, len(found))
				}
				if !slices.Contains(Methods(request), op.Method) {
					t.Errorf("%s is not among the methods of %s", op.Method, request)
				}
				r, ok := ParseRoute(request)
				if site, inSite := r.Site(); !ok || inSite != strings.Contains(op.Template, "/sites/{site}") || inSite && site == "" {
					t.Errorf("%s: ParseRoute reads %s as a path of site %q", op.Name, request, site)
				}
			}
		}
	}
}

// vocabulary is every word of the catalog's paths, with others like them.
func vocabulary() []string {
	words := []string{"", "-", "3.24", "3.x", luid, "serverInfo", "Sites", "definitions%3AbatchGet", "tags%3abatchCreate", "a%20b", "x", "%zz"}
	for op := range Operations() {
		for _, path := range op.paths {
			for _, segment := range path {
				if segment[0] != '{' {
					words = append(words, segment)
				}
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// No request means two operations, and Lookup finds the one that it means. The
// paths are those of templates, of which some segments are exchanged.
func TestNoPathMatchesTwoOperations(t *testing.T) {
	all := slices.Collect(Operations())
	words := vocabulary()
	rapid.Check(t, func(t *rapid.T) {
		op := rapid.SampledFrom(all).Draw(t, "operation")
		path := slices.Clone(rapid.SampledFrom(op.paths).Draw(t, "path"))
		for i, segment := range path {
			if segment[0] == '{' || rapid.IntRange(0, 9).Draw(t, "exchange") == 0 {
				path[i] = rapid.SampledFrom(words).Draw(t, "segment")
			}
		}
		if path[0] == "api" && rapid.Bool().Draw(t, "versioned") {
			path[1] = "3.24"
		}
		method := rapid.SampledFrom([]string{op.Method, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}).Draw(t, "method")
		query := rapid.SampledFrom([]string{"", "uploadSessionId=1", "a=b&uploadSessionId=1", "uploadSession=1"}).Draw(t, "query")
		checkLookup(t, method, "/"+strings.Join(path, "/"), query)
	})
}

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Fatalf(format string, args ...any)
}

// checkLookup holds Lookup against slowLookup.
func checkLookup(t failer, method, path, query string) {
	want := slowLookup(method, path, query)
	if len(want) > 1 {
		t.Fatalf("%s %s is both %s and %s", method, path, want[0].Name, want[1].Name)
	}
	got, ok := Lookup(method, path, query)
	if ok != (len(want) == 1) || ok && got != want[0] {
		t.Fatalf("%s %s?%s: got %v, %t, want %v", method, path, query, got, ok, want)
	}
	if ok && !slices.Contains(Methods(path), method) {
		t.Fatalf("%s is not among the methods of %s", method, path)
	}
}

// FuzzCatalogLookup holds Lookup against slowLookup, and against what
// [ParseRoute] makes of the path.
func FuzzCatalogLookup(f *testing.F) {
	for op := range Operations() {
		f.Add(op.Method, example(op.paths[0], func(string) string { return luid }), op.Query)
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		if !strings.ContainsAny(query, "%") { // slowLookup does not decode
			checkLookup(t, method, path, query)
		}
		op, ok := Lookup(method, path, query)
		if !ok {
			return
		}
		canonical, err := CanonicalPath(path)
		if err != nil {
			return
		}
		r, ok := ParseRoute(canonical)
		if !ok || (r.Auth() != NotAuth) != strings.Contains(op.Template, "/auth/") || r.ServerInfo() != (op.Name == "server_info") {
			t.Fatalf("%s %s is %s, but another route", method, path, op.Name)
		}
		if sent := r.With(luid, luid); sent != path {
			if again, _ := Lookup(method, sent, query); again != op {
				t.Fatalf("%s becomes %s, and another operation", path, sent)
			}
		}
	})
}

func TestLookupDoesNotAllocate(t *testing.T) {
	for _, path := range benchPaths {
		n := testing.AllocsPerRun(100, func() {
			method := Methods(path)[0]
			op, ok := Lookup(method, path, "a=b&c=d")
			if !ok || op.ScopesFor(ByClass, "3.24") == nil {
				t.Fatal(path)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

// catalogRequests are requests as clients send them, from short to long.
var catalogRequests = []struct{ name, method, path string }{
	{"workbooks", "GET", "/api/3.24/sites/" + luid + "/workbooks"},
	{"view_data", "GET", "/api/3.24/sites/" + luid + "/views/" + luid + "/data"},
	{"pulse", "POST", "/api/-/pulse/definitions%3AbatchGet"},
	{"vds", "POST", "/api/v1/vizql-data-service/query-datasource"},
	{"permission", "DELETE", "/api/3.24/sites/" + luid + "/projects/" + luid + "/default-permissions/workbooks/groups/" + luid + "/Read/Allow"},
	{"unknown", "GET", "/api/3.24/sites/" + luid + "/workbooks/" + luid + "/nothing"},
}

func BenchmarkLookup(b *testing.B) {
	catalog() // read already
	for _, r := range catalogRequests {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := Lookup(r.method, r.path, "pageSize=100"); ok == (r.name == "unknown") {
					b.Fatal(r.path)
				}
			}
		})
	}
}

// Reading the table, which happens once.
func BenchmarkParseCatalog(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseCatalog(catalogData); err != nil {
			b.Fatal(err)
		}
	}
}

// A loop over all templates, which takes the first that fits.
func BenchmarkLookupByLoop(b *testing.B) {
	type entry struct {
		method string
		path   []string
	}
	var entries []entry
	for op := range Operations() {
		for _, path := range op.paths {
			entries = append(entries, entry{op.Method, path})
		}
	}
	find := func(method, path string) bool {
		segments := strings.Split(plainColon(path[1:]), "/")
		return slices.ContainsFunc(entries, func(e entry) bool {
			return e.method == method && slices.EqualFunc(e.path, segments, func(want, got string) bool { return want == got || want[0] == '{' })
		})
	}
	for _, r := range catalogRequests {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if find(r.method, r.path) == (r.name == "unknown") {
					b.Fatal(r.path)
				}
			}
		})
	}
}

// net/http's multiplexer, which has no two patterns of which neither is the
// narrower one: such a path is left out.
func BenchmarkLookupByServeMux(b *testing.B) {
	mux := http.NewServeMux()
	left := 0
	handle := func(pattern string) {
		defer func() {
			if recover() != nil {
				left++
			}
		}()
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	for op := range Operations() {
		for _, path := range op.paths {
			if op.Query == "" {
				handle(op.Method + " /" + strings.Join(path, "/"))
			}
		}
	}
	for _, r := range catalogRequests {
		b.Run(r.name, func(b *testing.B) {
			request, err := http.NewRequest(r.method, "http://tableau.example"+r.path, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, pattern := mux.Handler(request); (pattern != "") == (r.name == "unknown") {
					b.Fatal(r.path, pattern)
				}
			}
			b.ReportMetric(float64(left), "patterns-left-out")
		})
	}
}

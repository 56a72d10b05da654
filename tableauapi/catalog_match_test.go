package tableauapi

import (
	"slices"
	"strings"
	"testing"
)

func matchNames(t *testing.T, pattern string) []string {
	t.Helper()
	matched, err := MatchOperations(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, op := range matched {
		names = append(names, op.Name)
	}
	return names
}

func TestMatchOperations(t *testing.T) {
	for pattern, want := range map[string]string{
		"publish_workbook":                             "publish_workbook",
		"get_view_by_path":                             "query_views_for_site",
		"/sites/*/fileUploads/**":                      "append_to_file_upload initiate_file_upload",
		"/sites/{site}/fileUploads/**":                 "append_to_file_upload initiate_file_upload",
		"/sites/{x}/fileUploads/*":                     "append_to_file_upload",
		"/api/{version}/sites/*/fileUploads":           "initiate_file_upload",
		"/api/*/sites/*/fileUploads":                   "initiate_file_upload",
		"/sites/*/workbooks":                           "publish_workbook publish_workbook_chunked query_workbooks_for_site",
		"/serverinfo":                                  "server_info",
		"/api/-/search":                                "get_content_search_results",
		"/api/-/pulse/definitions:batchGet":            "batch_list_metric_definitions_few batch_list_metric_definitions_many",
		"/api/metadata/**":                             "metadata_graphql metadata_backfill_status metadata_eventing_status",
		"/relationship-service-war/graphql":            "metadata_graphql",
		"/sites/*/virtualConnections":                  "list_virtual_connections publish_virtual_connection",
		"/sites/*/lens/*/permissions":                  "list_ask_data_lens_permissions",
		"/sites/*/flows/runs/**":                       "cancel_flow_run get_flow_run get_flow_runs",
		"/sites/*/flows/*/run":                         "run_flow_now",
		"/sites/*/jobs/{job}":                          "cancel_job query_job",
		"/sites/*/webhooks/*/test":                     "test_a_webhook",
		"/sites/{site}/tags:(batchDelete|BatchDelete)": "batch_delete_tags batch_delete_tags_by_delete",
	} {
		if got := strings.Join(matchNames(t, pattern), " "); got != want {
			t.Errorf("%s:\n got %s\nwant %s", pattern, got, want)
		}
	}
}

func TestMatchMany(t *testing.T) {
	views := matchNames(t, "/sites/*/views/**")
	for _, name := range []string{"query_views_for_site", "get_view", "query_view_image", "delete_view_permission"} {
		if !slices.Contains(views, name) {
			t.Errorf("/sites/*/views/** does not mean %s", name)
		}
	}
	if slices.Contains(views, "get_custom_view") || slices.Contains(views, "query_view_preview_image") {
		t.Error("/sites/*/views/** means other resources")
	}
	if users := matchNames(t, "/sites/*/users/{user}"); slices.Contains(users, "import_users_to_site_from_csv") {
		t.Error("a parameter means a word")
	}
	if users := matchNames(t, "/sites/*/users/*"); !slices.Contains(users, "import_users_to_site_from_csv") {
		t.Error("* does not mean a word")
	}
	all := len(slices.Collect(Operations()))
	if got := len(matchNames(t, "/**")); got != all {
		t.Errorf("/** means %d of %d", got, all)
	}
	sum := 0
	for _, class := range []Class{ClassRead, ClassWrite, ClassRun, ClassAdmin} {
		matched, err := MatchOperations(string(class))
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range matched {
			if op.Class != class {
				t.Errorf("%s means %s", class, op.Name)
			}
		}
		sum += len(matched)
	}
	if sum != all {
		t.Errorf("the classes have %d operations of %d", sum, all)
	}
}

// Every operation can be named as the page docs/scopes.md shows it.
func TestEveryOperationCanBeMatched(t *testing.T) {
	for op := range Operations() {
		for _, pattern := range append([]string{op.Name, op.Template, op.ShortTemplate()}, op.Aliases...) {
			matched, err := MatchOperations(pattern)
			if err != nil || !slices.Contains(matched, op) {
				t.Errorf("%s does not mean %s: %v", pattern, op.Name, err)
			}
		}
	}
}

func TestMatchOperationsErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                             `"" is no operation, class or template`,
		"publish_workbok":              `did you mean "publish_workbook"?`,
		"raed":                         `did you mean "read"?`,
		"get_view_by_paths":            `did you mean "get_view_by_path"?`,
		"sites/*/views":                `"sites/*/views" is no operation, class or template`,
		"what_could_that_possibly_be?": `is no operation, class or template`,
		"/sites/finance/views":         "write * for what names a site",
		"/sites/*/**/views":            "has ** before its end",
		"/sites/*/nothing":             "no operation has a path like",
		"/":                            "no operation has a path like",
		"/sites/*/views/":              "no operation has a path like",
		"/api/3.24/sites/*/views":      "begin behind the version",
		"//sites":                      "no operation has a path like",
	} {
		matched, err := MatchOperations(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %d operations, %v, want %s", pattern, len(matched), err, want)
		}
	}
	if _, err := MatchOperations("what_could_that_possibly_be?"); strings.Contains(err.Error(), "did you mean") {
		t.Errorf("guessed: %v", err)
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"read", "raed", 2}, {"flaw", "lawn", 2},
	} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%q, %q: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

package tableauapi

// This file checks what paths that no operation has could be taken for.

import "testing"

func TestPathMatches(t *testing.T) {
	tests := []struct {
		template, path string
		want           bool
	}{
		{"/sites/*/views/**", "/api/3.27/sites/x/views/y/novelty", true},
		{"/sites/*/views/**", "/api/3.27/sites/x/views", true},
		{"/sites/{site}/views/*", "/api/3.27/sites/x/views/y", true},
		{"/sites/*/views/*", "/api/3.27/sites/x/views/y/z", false},
		{"/sites/*/views/*", "/api/3.27/sites/x/views", false},
		{"/sites/*/views/**", "/api/3.27/Sites/x/VIEWS/y", true},
		{"/sites/*/views/**", "/api/3.27/sites/x/views%20/y", true},
		{"/sites/*/views/**", "/api/3.27/sites/x/workbooks/y", false},
		{"/api/-/pulse/**", "/api/-/pulse/novelty", true},
		{"/pulse/**", "/api/-/pulse/novelty", true},
		{"/api/-/pulse/**", "/api/-/search", false},
		{"/api/{version}/sites/*/views/**", "/api/3.27/sites/x/views/y", true},
		{"/**", "/api/3.27/novelty", true},
		{"/sites", "/api/3.27", false},
	}
	for _, test := range tests {
		if got := PathMatches(test.template, test.path); got != test.want {
			t.Errorf("%s covers %s: %t, want %t", test.template, test.path, got, test.want)
		}
	}
}

func TestResembles(t *testing.T) {
	tests := map[string]string{
		"/api/3.27/Sites/x/users/y":              "query_user_on_site",
		"/api/3.27/sites/x/USERS/y":              "query_user_on_site",
		"/api/3.27/sites/x/users./y":             "query_user_on_site",
		"/api/3.27/sites/x/%20users/y":           "query_user_on_site",
		"/api/3.27/Sessions/abc":                 "delete_server_session",
		"/api/metadata/GraphQL":                  "metadata_graphql",
		"/api/-/Search":                          "get_content_search_results",
		"/api/3.27/sites/x/workbooks/y/novelty":  "",
		"/api/3.27/novelty":                      "",
		"/api/-/pulse/novelty/of/them":           "",
		"/api/v1/vizql-data-service/novelty":     "",
		"/api/3.27/sites/x/workbooks/y/z/novely": "",
	}
	for path, want := range tests {
		op, ok := Resembles(path)
		if ok != (want != "") || ok && op.Template != mustOperation(t, want).Template {
			t.Errorf("%s: %v, want %q", path, op, want)
		}
	}
}

// Whatever is in other letters than an operation's is taken for one.
func TestResemblesEveryOperation(t *testing.T) {
	for op := range Operations() {
		for _, words := range op.paths {
			path := ""
			for _, word := range words {
				if word[0] != '{' && word != "api" {
					word += "."
				}
				path += "/" + word
			}
			if _, ok := Resembles(path); !ok {
				t.Errorf("%s: %s is taken for nothing", op.Name, path)
			}
		}
	}
}

func mustOperation(t *testing.T, name string) *Operation {
	t.Helper()
	op, ok := OperationByName(name)
	if !ok {
		t.Fatalf("there is no operation %s", name)
	}
	return op
}

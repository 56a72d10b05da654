package caddymodule

// This file checks what `caddy tableau scopes` prints.

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// columns are runs of spaces, whose width is the table's business.
var columns = regexp.MustCompile(` {2,}`)

func TestScopesOfARequest(t *testing.T) {
	var out bytes.Buffer
	if err := runScopes([]string{"get", "/sites/-/workbooks"}, "", "", false, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"operation: query_workbooks_for_site\n", "request: GET /sites/{site}/workbooks\n", "class: read\n", "changes something: no\n",
		"scopes: tableau:content:read\n", "sessions from JWTs: accepted\n",
	} {
		if got := columns.ReplaceAllString(out.String(), ": "); !strings.Contains(got, want) {
			t.Errorf("it prints %s, want %q in it", got, want)
		}
	}

	tests := []struct{ method, path, want string }{
		{"POST", "/api/3.24/sites/-/workbooks?uploadSessionId=1", "scopes: tableau:file_uploads:create tableau:workbooks:create"},
		{"HEAD", "/api/3.24/sites/-/workbooks", "operation: query_workbooks_for_site"},
		{"POST", "/api/metadata/graphql", "operation: metadata_graphql"},
		{"GET", "/api/-/pulse/definitions%3AbatchGet", "operation: batch_list_metric_definitions_few"},
		{"PUT", "/sites/-/users/-", "danger: ends-sessions: "},
		{"GET", "/sites/-/users/-/personal-access-tokens", "sessions from JWTs: refused: it takes credentials pat or password"},
		{"GET", "/serverinfo", "sessions from JWTs: no session is needed"},
	}
	for _, test := range tests {
		out.Reset()
		err := runScopes([]string{test.method, test.path}, "", "", false, &out)
		if got := columns.ReplaceAllString(out.String(), ": "); err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s %s: %v: %s, want %q in it", test.method, test.path, err, got, test.want)
		}
	}
}

func TestScopesOfNoRequest(t *testing.T) {
	for want, args := range map[string][]string{
		"this path is known with GET, HEAD, POST": {"PATCH", "/sites/-/workbooks"},
		"it looks like /sites/{site}/workbooks":   {"GET", "/Sites/-/workbooks"},
		"that is known has this path":             {"GET", "/sites/-/novelties"},
		"the path has an empty segment":           {"GET", "/sites//workbooks"},
		"is no path such as /sites/-/workbooks":   {"GET", "workbooks"},
		"it takes a method and a path":            {"GET"},
	} {
		var out bytes.Buffer
		if err := runScopes(args, "", "", false, &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%v: error %v, want %q in it, and nothing printed: %s", args, err, want, &out)
		}
	}
	if err := runScopes([]string{"GET", "/sites"}, "Caddyfile", "", false, &bytes.Buffer{}); err == nil {
		t.Error("a request and a configuration at once: no error")
	}
}

const reported = `tableau.corp.example {
	tableau_proxy https://tableau.corp.example {
		site finance marketing
		user {http.auth.user.id}
		credentials direct_trust {
			client_id id
			secret one {env.NOT_SET}
		}
		scopes auto by resource
		scope_ceiling tableau:content:read tableau:workbooks:*
		deny query_projects
		policy {http.auth.user.groups} admins owners {
			allow /** update_user
		}
		policy default {
			deny server_info
			read_only
		}
	}
}
reports.corp.example {
	tableau_proxy https://tableau.corp.example {
		site default
		user svc-reports
		credentials pat {
			token one {env.NOT_SET}
		}
		unknown_routes allow
	}
}
`

// report prints the table of a configuration, which needs no secret.
func report(t *testing.T, config string, asJSON bool) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := runScopes(nil, file, "caddyfile", asJSON, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestScopesOfAConfiguration(t *testing.T) {
	text := report(t, reported, false)
	if again := report(t, reported, false); again != text {
		t.Error("it prints something else the second time")
	}
	tables := strings.Split(text, "handler ")[1:]
	if len(tables) != 3 {
		t.Fatalf("%d tables, want one for each policy and handler:\n%s", len(tables), text)
	}
	for i, wants := range [][]string{
		{
			"holds for: {http.auth.user.groups} admins owners\n", "scopes: auto by resource, at most tableau:content:read tableau:workbooks:*\n", "sites: finance marketing\n",
			"\nrefused: deny query_projects: query_projects: GET: /sites/{site}/projects: -\n",
			"\nallowed: allow /** update_user: get_workbook: GET: /sites/{site}/workbooks/{workbook}: tableau:content:read tableau:workbooks:create",
			"\nrefused: scope_ceiling: update_user: PUT: /sites/{site}/users/{user}: -\n",
			"\nrefused: ends-sessions: remove_user_from_site: DELETE: /sites/{site}/users/{user}: -\n",
			"\nanswered: answered by the proxy: sign_in: POST: /auth/signin: -\n",
			"\nrefused: credentials direct_trust: list_personal_access_tokens: GET: ",
		},
		{
			"holds for: default\n", "\nrefused: read_only: publish_workbook: POST: /sites/{site}/workbooks: -\n",
			"\nallowed: default: get_workbook: GET: /sites/{site}/workbooks/{workbook}: tableau:content:read tableau:workbooks:create",
			"\nallowed: always: server_info: GET: /serverinfo: -\n",
		},
		{
			"holds for: everybody\n", "credentials: pat\n", "unknown routes: allowed\n", "scopes: none: the rights of the account\n",
			"\nallowed: default: list_personal_access_tokens: GET: /sites/{site}/users/{user}/personal-access-tokens: -\n",
		},
	} {
		got := columns.ReplaceAllString(tables[i], ": ")
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("table %d has not %q:\n%s", i, want, got)
			}
		}
	}
}

// The JSON says the same, with every operation in the order of the catalog.
func TestScopesOfAConfigurationInJSON(t *testing.T) {
	var reports []handlerReport
	if err := json.Unmarshal([]byte(report(t, reported, true)), &reports); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for op := range tableauapi.Operations() {
		want = append(want, op.Name)
	}
	if len(reports) != 2 || len(reports[0].Policies) != 2 || len(reports[1].Policies) != 1 {
		t.Fatalf("%d handlers", len(reports))
	}
	for _, o := range reports[0].Policies[1].Operations {
		got = append(got, o.Operation)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-catalog +report):\n%s", diff)
	}
	if r := reports[0]; !strings.HasPrefix(r.Where, "/apps/http/servers/srv0/routes/") || r.Credentials != "direct_trust" || r.UnknownRoutes != "refused" {
		t.Errorf("the handler is %+v", r)
	}
}

func TestScopesOfWhatIsNoConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string {
		path := filepath.Join(dir, "Caddyfile")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	proxy := ":0 {\ntableau_proxy https://tableau.corp.example {\n%\n}\n}\n"
	for content, want := range map[string]string{
		":0 {\nrespond hello\n}\n":                              "there is no tableau_auth or tableau_proxy in this configuration",
		strings.ReplaceAll(proxy, "%", "allow reed"):            `allow: "reed" is no operation`,
		strings.ReplaceAll(proxy, "%", "scopes auto by person"): "it is by operation, by resource or by class",
		strings.ReplaceAll(proxy, "%", "allow"):                 "allow takes",
	} {
		var out bytes.Buffer
		if err := runScopes(nil, file(content), "caddyfile", false, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", content, err, want)
		}
	}
}

// What is said of scopes, for each way to choose them.
func TestScopesInWords(t *testing.T) {
	for options, want := range map[string][]string{
		"":                       {"scopes: auto by operation\n", "unknown routes: refused\n"},
		"scopes auto by class\n": {"scopes: auto by class\n"},
		"scopes tableau:jobs:read tableau:content:read\nunknown_routes allow\n": {
			"scopes: tableau:content:read tableau:jobs:read\n", "unknown routes: allowed with tableau:content:read tableau:jobs:read\n",
		},
		"scope_ceiling tableau:jobs:read\nunknown_routes tableau:jobs:read\n": {"scopes: auto by operation, at most tableau:jobs:read\n", "unknown routes: allowed with tableau:jobs:read\n"},
	} {
		text := report(t, ":0 {\n\ttableau_auth https://tableau.corp.example {\n"+options+"\n\t}\n}\n", false)
		for _, part := range want {
			if !strings.Contains(columns.ReplaceAllString(text, ": "), part) {
				t.Errorf("%q: %q is not in %s", options, part, strings.SplitN(text, "DECISION", 2)[0])
			}
		}
	}
}

// A name in the configuration cannot add lines to the table.
func TestReportIsNotForged(t *testing.T) {
	text := report(t, strings.Replace(reported, "owners", "\"owners\nallowed  default  delete_site\"", 1), false)
	if strings.Contains(text, "\nallowed  default  delete_site\n") {
		t.Error("a value of a policy is a line of the table")
	}
}

package tableauapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScopesFor(t *testing.T) {
	for _, test := range []struct {
		operation string
		grouping  Grouping
		version   string
		want      string
	}{
		{"query_workbooks_for_site", ByOperation, "3.27", "content:read"},
		{"publish_workbook", ByOperation, "3.27", "workbooks:create"},
		{"publish_workbook_chunked", ByOperation, "3.27", "file_uploads:create workbooks:create"},
		{"query_jobs", ByResource, "3.27", "jobs:read jobs:update"},
		{"query_jobs", ByResource, "3.24", "jobs:read jobs:update"}, // its own scope is asked for in any case
		{"cancel_job", ByResource, "3.25", "jobs:read jobs:update"},
		{"cancel_job", ByResource, "3.24", "jobs:update"},
		{"cancel_job", ByResource, "", "jobs:update"},
		{"cancel_job", ByResource, "2025.1", "jobs:update"},
		{"vds_read_metadata", ByResource, "3.25", "viz_data_service:read"},
		{"query_view_image", ByResource, "2.5", "content:read view_tags:delete view_tags:update views:download"},
		{"query_view_image", ByResource, "3.27", "content:read view_tags:delete view_tags:update views:delete views:download"},
		{"get_current_server_session", ByOperation, "3.27", ""},
		{"get_current_server_session", ByResource, "3.27", ""},
		{"get_connected_app_secret", ByOperation, "3.27", ""},
		{"get_connected_app_secret", ByClass, "3.27", ""}, // accepts no JWT
		{"server_info", ByClass, "3.27", ""},              // needs no session
		// The group has no scope that only a danger needs; the danger has its own.
		{"get_connected_app", ByResource, "3.27", "connected_apps_direct_trust:read"},
		{"delete_connected_app_secret", ByResource, "3.27", "connected_app_direct_trust_secrets:delete connected_apps_direct_trust:read"},
		// Nor one that a Connected App's session is of no use for.
		{"list_registered_eas", ByResource, "3.27", "connected_apps_direct_trust:read external_authorization_servers:read"},
		{"run_flow_now", ByClass, "3.27", "flow_runs:update flow_tasks:run flows:run jobs:update linked_tasks:run tasks:run webhooks:test"},
		{"run_flow_now", ByClass, "3.14", "flow_tasks:run flows:run jobs:update tasks:run webhooks:test"},
		{"run_flow_now", ByClass, "3.1", "flows:run jobs:update tasks:run"},
		{"run_flow_now", 99, "3.27", "flows:run"},
	} {
		got := strings.ReplaceAll(strings.Join(operation(t, test.operation).ScopesFor(test.grouping, test.version), " "), "tableau:", "")
		if got != test.want {
			t.Errorf("%s by %v at %s:\n got %s\nwant %s", test.operation, test.grouping, test.version, got, test.want)
		}
	}
}

// Whatever the grouping and the version: the operation's own scopes are there,
// in order, once, and a newer version has no fewer.
func TestScopesForEveryOperation(t *testing.T) {
	for op := range Operations() {
		for _, grouping := range []Grouping{ByOperation, ByResource, ByClass} {
			var before []string
			for _, version := range []string{"", "2.3", "3.9", "3.15", "3.24", "3.25", "3.27", "3.99", "10.0"} {
				got := op.ScopesFor(grouping, version)
				if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
					t.Errorf("%s by %v: %q is not in order", op.Name, grouping, got)
				}
				if !op.usesJWT() && len(got) > 0 {
					t.Errorf("%s by %v: %q are of no use", op.Name, grouping, got)
				}
				for _, scope := range slices.Concat(op.Scopes, before) {
					if !slices.Contains(got, scope) {
						t.Errorf("%s by %v at %s lacks %s", op.Name, grouping, version, scope)
					}
				}
				before = got
				if cap(got) != len(got) {
					t.Fatalf("%s by %v: appending to what is shared would change it", op.Name, grouping)
				}
			}
		}
	}
}

// Which scopes only dangers need is told here from the table alone.
func TestGroupsHoldNoDanger(t *testing.T) {
	harmless := map[string]bool{}
	for op := range Operations() {
		if op.Danger == Harmless && op.JWT == JWTAccepted {
			for _, scope := range op.Scopes {
				harmless[scope] = true
			}
		}
	}
	for op := range Operations() {
		for _, scope := range slices.Concat(op.ScopesFor(ByClass, "3.99"), op.ScopesFor(ByResource, "3.99")) {
			if !harmless[scope] && !slices.Contains(op.Scopes, scope) {
				t.Errorf("%s is given %s", op.Name, scope)
			}
		}
	}
}

func TestGroupsOfOneClassAreOneSession(t *testing.T) {
	a := operation(t, "query_workbooks_for_site").ScopesFor(ByClass, "3.27")
	b := operation(t, "query_view_image").ScopesFor(ByClass, "3.27")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("two reads:\n%s", diff)
	}
}

func TestGroupings(t *testing.T) {
	for name, want := range map[string]Grouping{"operation": ByOperation, "resource": ByResource, "class": ByClass} {
		if got, ok := ParseGrouping(name); got != want || !ok || got.String() != name {
			t.Errorf("%s: got %v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "unknown", "Class"} {
		if got, ok := ParseGrouping(name); ok {
			t.Errorf("%q is taken for %v", name, got)
		}
	}
	if got := Grouping(99).String(); got != "unknown" {
		t.Errorf("got %s", got)
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	versions := []string{"", "2.0", "2.8", "3.0", "3.1", "3.9", "3.10", "3.27", "3.999", "4.0", "10.0"}
	for i := range versions[1:] {
		if parseVersion(versions[i]) >= parseVersion(versions[i+1]) {
			t.Errorf("%q is not before %q", versions[i], versions[i+1])
		}
	}
}

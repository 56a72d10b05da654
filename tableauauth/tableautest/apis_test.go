// This file tests the Metadata API, the VizQL Data Service and Pulse.

package tableautest

import (
	"encoding/json"
	"strings"
	"testing"
)

func (w *world) post(token Secret, path, body string) reply {
	w.t.Helper()
	return w.call("POST", path, body, "X-Tableau-Auth", token.Reveal(), "Content-Type", "application/json")
}

func graphQLBody(query string) string { return string(mustJSON(map[string]string{"query": query})) }

func TestGraphQL(t *testing.T) {
	w := newWorld(t, Options{})
	for user, want := range map[string]string{
		"bob":   `{"data":{"workbooks":[{"name":"Finance Overview"},{"name":"Pipeline"},{"name":"Drafts of bob"}]}}`,
		"alice": `{"data":{"workbooks":[{"name":"Finance Overview"},{"name":"Quarterly Close"},{"name":"Drafts of alice"}]}}`,
	} {
		if got := w.post(w.issue("finance", user), "/api/metadata/graphql", graphQLBody("{ workbooks { name } }")); got.body != want {
			t.Errorf("%s: %d %s", user, got.status, got.body)
		}
	}
	got := w.post(w.issue("finance", "bob"), "/api/metadata/graphql",
		graphQLBody("query Q($a: Int) { publishedDatasources(filter: {a: 1}) { name owner { username } site { name } } # all\n}"))
	if want := `{"data":{"publishedDatasources":[{"name":"Finance Orders","owner":{"username":"bob"},"site":{"name":"Finance"}}]}}`; got.body != want {
		t.Errorf("got %s", got.body)
	}
}

func TestGraphQLErrors(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("finance", "alice")
	for _, query := range []string{
		"{", "{ nothing { name } }", "{ workbooks { nothing } }", "{ workbooks }", "x", "{ workbooks { name } } }",
		"{{", "{ workbooks { sheets } }", strings.Repeat("{a", 50) + strings.Repeat("}", 50),
	} {
		got := w.post(token, "/api/metadata/graphql", graphQLBody(query))
		var answer struct {
			Data   any
			Errors []struct{ Message string }
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != 200 || len(answer.Errors) == 0 {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if got := w.post(token, "/api/metadata/graphql", "{}"); got.status != 400 {
		t.Errorf("no query: %d", got.status)
	}
}

func TestGraphQLDeadSession(t *testing.T) {
	for choice, want := range map[GraphQLRefusal]string{
		GraphQLError: `"code":"401002"`, GraphQLPlain401: `"error":"Unauthorized"`, GraphQLWarning: "BACKFILL_RUNNING",
	} {
		w := newWorld(t, Options{Undocumented: Undocumented{GraphQL: choice}})
		got := w.post("dead|token|x", "/api/metadata/graphql", graphQLBody("{ workbooks { name } }"))
		if !strings.Contains(got.body, want) || (choice == GraphQLWarning) != (got.status == 200) {
			t.Errorf("%d: %d %s", choice, got.status, got.body)
		}
		if e := w.last(); e.Code != "401002" {
			t.Errorf("%d: the journal says %q", choice, e.Code)
		}
	}
}

func vdsBody(source string) string {
	return `{"datasource":{"datasourceLuid":"` + source + `"},"query":{"fields":[{"fieldCaption":"Sales","function":"SUM"},{"fieldCaption":"Seen By"}]}}`
}

func TestVDS(t *testing.T) {
	w := newWorld(t, Options{})
	orders, payroll := DatasourceLUID("finance", "Reports", "Finance Orders"), DatasourceLUID("finance", "Reports", "Payroll")
	bob := w.issue("finance", "bob")
	got := w.post(bob, "/api/v1/vizql-data-service/query-datasource", vdsBody(orders))
	var answer struct{ Data []map[string]any }
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Data) != 5 || answer.Data[0]["Seen By"] != "bob" || answer.Data[0]["SUM(Sales)"] == nil {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, test := range []struct{ body, want string }{
		{vdsBody(payroll), "404004"},
		{"{", "400000"},
		{`{"datasource":{"datasourceLuid":"` + orders + `"}}`, "400000"},
		{strings.Replace(vdsBody(orders), "Seen By", "Salary", 1), "400000"},
	} {
		got := w.post(bob, "/api/v1/vizql-data-service/query-datasource", test.body)
		if !strings.Contains(got.body, `"errorCode":"`+test.want+`"`) {
			t.Errorf("%s: %d %s", test.body, got.status, got.body)
		}
	}
}

func TestVDSScope(t *testing.T) {
	for _, accepts := range []bool{false, true} {
		w := newWorld(t, Options{Undocumented: Undocumented{ContentReadForVDS: accepts}})
		got := w.post(w.issue("finance", "bob", scopeContent), "/api/v1/vizql-data-service/query-datasource", vdsBody(DatasourceLUID("finance", "Reports", "Finance Orders")))
		if accepts != (got.status == 200) {
			t.Errorf("accepts %v: %d %s", accepts, got.status, got.body)
		}
	}
}

func TestPulse(t *testing.T) {
	w := newWorld(t, Options{})
	orders := DefinitionLUID(DatasourceLUID("finance", "Reports", "Finance Orders"))
	payroll := DefinitionLUID(DatasourceLUID("finance", "Reports", "Payroll"))
	for _, colon := range []string{":", "%3A", "%3a"} {
		path := "/api/-/pulse/definitions" + colon + "batchGet?definition_ids=" + orders + "," + payroll
		got := w.as(w.issue("finance", "bob"), "GET", path)
		if !strings.Contains(got.body, orders) || strings.Contains(got.body, payroll) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if e := w.last(); !strings.Contains(e.Path, "definitions"+colon+"batchGet") {
			t.Errorf("the journal has %s", e.Path)
		}
	}
	if got := w.as(w.issue("finance", "alice", scopeContent), "GET", "/api/-/pulse/definitions"); got.body != `{"code":"401002","message":"`+detailInvalidToken+`"}` {
		t.Errorf("without scope: %d %s", got.status, got.body)
	}
}

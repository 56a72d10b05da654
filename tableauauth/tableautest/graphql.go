// This file serves the Metadata API: a few root fields, with a small GraphQL
// reader.

package tableautest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

// field is a selected field and what is selected in it.
type field struct {
	name string
	sub  []field
}

func (x *exchange) graphQL() (answer, *apiError) {
	body, err := x.readBody()
	if err != nil {
		return answer{}, err
	}
	var req struct {
		Query string `json:"query"`
	}
	if json.Unmarshal(body, &req) != nil || req.Query == "" {
		return answer{}, badRequest(detailMalformed).because("no query")
	}
	fields, parseErr := parseGraphQL(req.Query)
	if parseErr != nil {
		return graphQLErrors("InvalidSyntax: " + parseErr.Error()), nil
	}
	data := map[string]any{}
	for _, f := range fields {
		rows, known := x.metadata(f.name)
		if !known {
			return graphQLErrors(undefined(f.name, "Query")), nil
		}
		picked, pickErr := pick(rows, f)
		if pickErr != nil {
			return graphQLErrors(pickErr.Error()), nil
		}
		data[f.name] = picked
	}
	return raw(typeJSON, mustJSON(map[string]any{"data": data})), nil
}

func undefined(field, parent string) string {
	return fmt.Sprintf("Validation error of type FieldUndefined: Field '%s' in type '%s' is undefined", field, parent)
}

// graphQLErrors is the Metadata API's answer to a bad query: status 200.
func graphQLErrors(message string) answer {
	return raw(typeJSON, mustJSON(map[string]any{
		"data":   nil,
		"errors": []any{map[string]any{"message": message, "path": []any{}, "extensions": map[string]any{"classification": "ValidationError"}}},
	}))
}

// graphQLRefusal is how a dead or insufficient session is reported, where it
// is not by the REST API's error.
func (x *exchange) graphQLRefusal() (answer, bool) {
	switch x.t.opts.Undocumented.GraphQL {
	case GraphQLPlain401:
		body := map[string]any{"timestamp": timestamp(x.t.clock()), "status": 401, "error": "Unauthorized", "path": x.r.URL.Path}
		return answer{status: http.StatusUnauthorized, contentType: typeJSON, raw: mustJSON(body)}, true
	case GraphQLWarning:
		return raw(typeJSON, mustJSON(map[string]any{
			"data": map[string]any{},
			"errors": []any{map[string]any{
				"message":    "Still creating the Metadata API store. Query results might be incomplete.",
				"extensions": map[string]any{"severity": "WARNING", "code": "BACKFILL_RUNNING"},
			}},
		})), true
	case GraphQLError:
	}
	return answer{}, false
}

// metadata returns the rows of a root field.
func (x *exchange) metadata(name string) (rows []map[string]any, known bool) {
	site := map[string]any{"name": x.site.Name, "luid": SiteLUID(x.site.ContentURL)}
	switch name {
	case "workbooks":
		for _, i := range x.books() {
			rows = append(rows, i.metadata(site))
		}
	case "publishedDatasources", "datasources":
		for _, i := range x.datasources() {
			rows = append(rows, i.metadata(site))
		}
	case "tableauSites":
		rows = append(rows, site)
	default:
		return nil, false
	}
	return rows, true
}

func (i *item) metadata(site map[string]any) map[string]any {
	var sheets []map[string]any
	for _, v := range viewsOf(i) {
		sheets = append(sheets, map[string]any{"name": v.name, "luid": v.luid(), "id": luid("metadata", v.luid())})
	}
	return map[string]any{
		"id": luid("metadata", i.luid), "luid": i.luid, "name": i.name, "projectName": i.project, "site": site,
		"owner":  map[string]any{"username": i.owner, "luid": UserLUID(i.site, i.owner)},
		"sheets": sheets,
	}
}

// pick keeps the selected fields of rows.
func pick(rows []map[string]any, f field) ([]any, error) {
	if len(f.sub) == 0 {
		return nil, fmt.Errorf("%s of type SubSelectionRequired: %s", "Validation error", f.name) // the wording of GraphQL servers
	}
	out := []any{}
	for _, row := range rows {
		picked, err := pickOne(row, f)
		if err != nil {
			return nil, err
		}
		out = append(out, picked)
	}
	return out, nil
}

func pickOne(row map[string]any, f field) (map[string]any, error) {
	picked := map[string]any{}
	for _, sub := range f.sub {
		value, known := row[sub.name]
		if !known {
			return nil, errors.New(undefined(sub.name, f.name))
		}
		var err error
		switch v := value.(type) {
		case map[string]any:
			value, err = pickOne(v, sub)
		case []map[string]any:
			value, err = pick(v, sub)
		}
		if err != nil {
			return nil, err
		}
		picked[sub.name] = value
	}
	return picked, nil
}

var (
	graphQLToken  = regexp.MustCompile(`[{}]|[_A-Za-z][_0-9A-Za-z]*`)
	graphQLIgnore = regexp.MustCompile(`#[^\n]*|\([^()]*\)`) // comments and arguments
)

// maxGraphQLDepth bounds nested selections.
const maxGraphQLDepth = 10

// parseGraphQL reads a query without fragments and aliases. Arguments are
// ignored.
func parseGraphQL(query string) ([]field, error) {
	tokens := graphQLToken.FindAllString(graphQLIgnore.ReplaceAllString(query, ""), -1)
	for len(tokens) > 0 && tokens[0] != "{" {
		tokens = tokens[1:] // "query Name"
	}
	fields, rest, err := parseSelection(tokens, 0)
	if err == nil && len(rest) > 0 {
		err = errors.New("text behind the query")
	}
	return fields, err
}

// parseSelection reads "{ a b { c } }".
func parseSelection(tokens []string, depth int) ([]field, []string, error) {
	if len(tokens) == 0 || depth > maxGraphQLDepth {
		return nil, nil, errors.New("no selection, or too deep")
	}
	tokens = tokens[1:]
	var fields []field
	for len(tokens) > 0 {
		switch token := tokens[0]; {
		case token == "}":
			return fields, tokens[1:], nil
		case token == "{" && len(fields) > 0:
			sub, rest, err := parseSelection(tokens, depth+1)
			if err != nil {
				return nil, nil, err
			}
			fields[len(fields)-1].sub, tokens = sub, rest
		case token == "{":
			return nil, nil, errors.New("selection without a field")
		default:
			fields, tokens = append(fields, field{name: token}), tokens[1:]
		}
	}
	return nil, nil, errors.New("a brace is not closed")
}

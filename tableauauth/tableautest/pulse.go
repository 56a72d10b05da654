// This file serves Tableau Pulse and content search.

package tableautest

import "strings"

// DefinitionLUID returns the LUID of the Pulse metric definition that belongs
// to a data source.
func DefinitionLUID(datasourceLUID string) string { return luid("definition", datasourceLUID) }

func definition(source *item) map[string]any {
	return map[string]any{
		"metadata":      map[string]any{"id": DefinitionLUID(source.luid), "name": "Sales of " + source.name, "schema_version": "1"},
		"specification": map[string]any{"datasource": map[string]any{"id": source.luid}},
	}
}

// definitions are those of the data sources that the user sees, by ID.
func (x *exchange) definitions() []map[string]any {
	var out []map[string]any
	for _, source := range x.datasources() {
		out = append(out, definition(source))
	}
	return out
}

func definitionID(d map[string]any) string {
	metadata, _ := d["metadata"].(map[string]any)
	id, _ := metadata["id"].(string)
	return id
}

func (x *exchange) pulseDefinitions() (answer, *apiError) {
	return raw(typeJSON, mustJSON(map[string]any{"definitions": x.definitions(), "total_available": len(x.definitions())})), nil
}

func (x *exchange) pulseBatch() (answer, *apiError) {
	found := []map[string]any{}
	for id := range strings.SplitSeq(x.r.URL.Query().Get("definition_ids"), ",") {
		for _, d := range x.definitions() {
			if definitionID(d) == id {
				found = append(found, d)
			}
		}
	}
	return raw(typeJSON, mustJSON(map[string]any{"definitions": found})), nil
}

func (x *exchange) pulseDefinition() (answer, *apiError) {
	for _, d := range x.definitions() {
		if definitionID(d) == x.params["definition"] {
			return raw(typeJSON, mustJSON(map[string]any{"definition": d})), nil
		}
	}
	return answer{}, notFound(codeObjectNotFound, "Definition")
}

func (x *exchange) pulseSubscriptions() (answer, *apiError) {
	return raw(typeJSON, mustJSON(map[string]any{"subscriptions": []any{map[string]any{
		"id":       luid("subscription", x.site.ContentURL, x.user.Name),
		"follower": map[string]any{"user_id": UserLUID(x.site.ContentURL, x.user.Name)},
	}}})), nil
}

// searchContent finds workbooks and data sources by a part of their name.
func (x *exchange) searchContent() (answer, *apiError) {
	terms := strings.ToLower(x.r.URL.Query().Get("terms"))
	items := []any{}
	for _, i := range append(x.books(), x.datasources()...) {
		if strings.Contains(strings.ToLower(i.name), terms) {
			items = append(items, map[string]any{"uri": "urn:" + i.luid, "content": map[string]any{
				"type": string(i.kind), "luid": i.luid, "title": i.name, "ownerName": i.owner,
			}})
		}
	}
	return raw(typeJSON, mustJSON(map[string]any{"hits": map[string]any{"total": len(items), "items": items}})), nil
}

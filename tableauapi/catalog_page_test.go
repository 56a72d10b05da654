package tableauapi

// This file writes docs/scopes.md:
//
//	go test ./tableauapi -run TestScopesPage -update

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/scopes.md")

// TestScopesPage holds docs/scopes.md against the catalog.
func TestScopesPage(t *testing.T) {
	page, want := filepath.Join("..", "docs", "scopes.md"), scopesPage()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/scopes.md is not what tableauapi/catalog.tsv says: run go test ./tableauapi -run TestScopesPage -update")
	}
}

const pageHead = `# Operations and scopes

What this project knows of Tableau's APIs: %d operations in %d groups. The page is made from
` + "`tableauapi/catalog.tsv`" + `, which also has the source of each row; do not edit it by hand.

- **Path**: for the REST API it begins behind the version, so that ` + "`/sites/{site}/workbooks`" + ` is
  ` + "`/api/3.27/sites/.../workbooks`" + `. ` + "`{name}`" + ` stands for one segment, ` + "`(a|b)`" + ` for either spelling; a
  question mark is before a query parameter that makes the request another operation.
- **Class**: ` + "`read`, `write`, `run`" + ` (starts or stops work that takes the server's time) or ` + "`admin`" + `
  (people, settings, and who may do what). A star marks what changes something at Tableau.
- **Scopes**: what a session that was opened with a JWT must have, all of them. They are an upper bound:
  the user's own permissions at Tableau apply too. A dash is none: any session will do.
- **Since**: the version of the REST API that brought the operation, and behind a slash the one that
  accepts JWTs for it, as far as they are known.
- **JWT**: ` + "`yes`" + `; ` + "`uat`" + `, only sessions of a unified access token; ` + "`no`" + `, only sessions of a personal access
  token or a password; ` + "`open`" + `, no session is needed.

A [dangerous](#dangerous-operations) operation does not fit sessions that are shared. It is marked with an
exclamation mark.

The proxy lets these operations through and no others, each in a session with its scopes:
[configuration.md](configuration.md#scopes) says how that is changed. ` + "`" + `caddy tableau scopes <method> <path>` + "`" + ` prints
what is known of a request, and ` + "`" + `caddy tableau scopes --config <file>` + "`" + ` what a configuration does with each operation.

`

// scopesPage is the page.
func scopesPage() string {
	var b strings.Builder
	resources := resourcesInOrder()
	count := 0
	for range Operations() {
		count++
	}
	fmt.Fprintf(&b, pageHead, count, len(resources))
	for _, resource := range resources {
		fmt.Fprintf(&b, "- [%s](#%s)\n", title(resource), strings.ReplaceAll(strings.ToLower(title(resource)), " ", "-"))
	}
	for _, resource := range resources {
		fmt.Fprintf(&b, "\n## %s\n\n| Operation | Method | Path | Class | Scopes | Since | JWT | Note |\n|---|---|---|---|---|---|---|---|\n", title(resource))
		for op := range Operations() {
			if op.Resource == resource {
				b.WriteString(pageRow(op))
			}
		}
	}
	b.WriteString("\n## Dangerous operations\n\n| Operation | Danger | Reason |\n|---|---|---|\n")
	for op := range Operations() {
		if op.Danger != Harmless {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", op.Name, op.Danger, op.Reason)
		}
	}
	return b.String()
}

func resourcesInOrder() []string {
	var all []string
	for op := range Operations() {
		if len(all) == 0 || all[len(all)-1] != op.Resource {
			all = append(all, op.Resource)
		}
	}
	return all
}

// title turns "data_alerts" into "Data alerts".
func title(resource string) string {
	switch resource {
	case "auth":
		return "Sign-in and tokens"
	case "datasources":
		return "Data sources"
	case "oidc":
		return "OpenID Connect"
	case "scim":
		return "SCIM"
	case "vizql_data_service":
		return "VizQL Data Service"
	}
	return strings.ToUpper(resource[:1]) + strings.ReplaceAll(resource[1:], "_", " ")
}

func pageRow(op *Operation) string {
	path, class, since, note := op.ShortTemplate(), string(op.Class), op.MinVersion, op.Note
	if op.Query != "" {
		path += "?" + op.Query
	}
	if op.Mutates {
		class += " \\*"
	}
	if op.JWTSince != "" {
		since += " / " + op.JWTSince
	}
	if len(op.Aliases) > 0 {
		note = strings.TrimSpace("Also " + codes(op.Aliases) + ". " + note)
	}
	name := codes([]string{op.Name})
	if op.Danger != Harmless {
		name += " **!**"
	}
	scopes := codes(op.Scopes)
	if scopes == "" {
		scopes = "-"
	}
	return fmt.Sprintf("| %s | %s | `%s` | %s | %s | %s | %s | %s |\n",
		name, op.Method, strings.ReplaceAll(path, "|", `\|`), class, scopes, since, op.JWT, note)
}

// codes are words in the type of code.
func codes(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}

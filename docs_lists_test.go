// The tests of this file hold the lists of the documentation against the source:
// options, error codes, sub-codes, log fields, and every file, test and make target
// that is named.

package caddytableau_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestErrorCodesAreListed compares docs/errors.md with the answers that
// caddymodule/errors.go can give: code, status and Tableau's code.
func TestErrorCodesAreListed(t *testing.T) {
	constants := stringConstants(t, "tableauapi/errors.go")
	var want, got []string
	for _, literal := range literals(t, "caddymodule/errors.go", "refusal") {
		tableau := literal["tableau"]
		if value, ok := constants[tableau]; ok {
			tableau = value
		}
		want = append(want, strings.Join([]string{literal["code"], literal["status"], tableau}, " "))
	}
	if len(want) < 15 {
		t.Fatalf("only %d refusals were found in caddymodule/errors.go", len(want))
	}
	for _, row := range tableRows(readFile(t, "docs/errors.md")) {
		if code := codeSpans(row[0]); len(code) == 1 {
			got = append(got, strings.Join([]string{code[0], row[1], row[2]}, " "))
		}
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("-caddymodule/errors.go +docs/errors.md:\n%s", diff)
	}
}

// TestSubCodesAreListed compares docs/errors.md with what tableauapi/subcodes.go
// explains.
func TestSubCodesAreListed(t *testing.T) {
	numbers := stringConstants(t, "tableauapi/subcodes.go")
	var want, got []string
	for name, entry := range keyedLiterals(t, "tableauapi/subcodes.go", "subCodes") {
		again := "15 s"
		if entry["passing"] == "true" {
			again = "2 s"
		}
		want = append(want, strings.Join([]string{numbers[name], entry["name"], entry["meaning"], entry["fix"], again}, " | "))
	}
	for _, row := range tableRows(readFile(t, "docs/errors.md")) {
		if _, err := strconv.Atoi(row[0]); err == nil {
			got = append(got, strings.ReplaceAll(strings.Join(row, " | "), "`", ""))
		}
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("-tableauapi/subcodes.go +docs/errors.md:\n%s", diff)
	}
}

// TestOptionsAreListed: docs/configuration.md and the README list the options that
// the Caddyfile has, and no other.
func TestOptionsAreListed(t *testing.T) {
	var want []string
	for _, file := range []string{"caddymodule/caddyfile.go", "caddymodule/credentials.go", "caddymodule/limits.go"} {
		want = append(want, optionsOf(t, file)...)
	}
	slices.Sort(want)
	if want = slices.Compact(want); len(want) < 14 {
		t.Fatalf("only %q were found", want)
	}

	var documented []string
	for table := range strings.SplitSeq(readFile(t, "docs/configuration.md"), "\n\n") {
		if !strings.HasPrefix(table, "| Option |") {
			continue
		}
		for _, row := range tableRows(table) {
			if name := codeSpans(row[0])[0]; name != "<tableau_origin>" {
				documented = append(documented, name)
			}
		}
	}
	if diff := cmp.Diff(want, sorted(documented)); diff != "" {
		t.Errorf("-caddymodule +docs/configuration.md:\n%s", diff)
	}

	readme := readFile(t, "README.md")
	var bullets []string
	for _, match := range regexp.MustCompile("(?m)^ *- `(\\w+)`:").FindAllStringSubmatch(readme, -1) {
		bullets = append(bullets, match[1])
	}
	for _, option := range want {
		if !slices.Contains(bullets, option) {
			t.Errorf("README.md does not list %s", option)
		}
	}
	for _, bullet := range bullets {
		if !slices.Contains(want, bullet) {
			t.Errorf("README.md lists %s, which does not exist", bullet)
		}
	}
}

// Every JSON field of a module is in docs/configuration.md.
func TestJSONFieldsAreListed(t *testing.T) {
	page := readFile(t, "docs/configuration.md")
	tag := regexp.MustCompile(`(?m)^\t[A-Z]\w* .*json:"(\w+),`)
	for _, file := range glob(t, "caddymodule/*.go") {
		for _, match := range tag.FindAllStringSubmatch(readFile(t, file), -1) {
			if !strings.Contains(page, "`"+match[1]+"`") {
				t.Errorf("docs/configuration.md does not name the field %s of %s", match[1], file)
			}
		}
	}
}

// Every placeholder that must not name the user is in docs/configuration.md.
func TestRefusedPlaceholdersAreListed(t *testing.T) {
	page := readFile(t, "docs/configuration.md")
	list := regexp.MustCompile(`(?s)clientChosen = \[\]string\{(.*?)\n\}`).FindString(readFile(t, "caddymodule/identify.go"))
	names := regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list, -1)
	if len(names) < 10 {
		t.Fatalf("only %q were found", names)
	}
	for _, name := range names {
		if !strings.Contains(page, "`"+name[1]+"`") {
			t.Errorf("docs/configuration.md does not name %s", name[1])
		}
	}
}

// Every field of the logs and every placeholder is in both places that list them.
func TestLogFieldsAndPlaceholdersAreListed(t *testing.T) {
	names := append(submatches(t, "caddymodule/record.go", `zap\.\w+\("(\w+)"`), submatches(t, "caddymodule/exchange.go", `repl\.Set\("([\w.]+)"`)...)
	if len(names) < 15 {
		t.Fatalf("only %q were found", names)
	}
	readme, page := readFile(t, "README.md"), readFile(t, "docs/configuration.md")
	for _, name := range names {
		placeholder := strings.Contains(name, ".")
		if placeholder {
			name = "{" + name + "}"
		}
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("README.md does not name %s", name)
		}
		if !placeholder && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/configuration.md does not name %s", name)
		}
	}
}

// What the documentation names is there: files, directories, links, tests, targets.
func TestWhatIsNamedExists(t *testing.T) {
	inTree := regexp.MustCompile(`^(?:(?:cmd|caddymodule|tableauapi|tableauauth|auditlog|e2e|docs|examples|\.ci)(?:/[\w.-]+)*/?|[\w/.-]+\.(?:go|md|svg))$`)
	tests := testNames(t)
	targets := submatches(t, "Makefile", `(?m)^([a-z-]+):.*##`)
	for _, file := range append(documents(t), "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md") {
		text := readFile(t, file)
		for _, span := range codeSpans(withoutFences(text)) {
			target, isMake := strings.CutPrefix(span, "make ")
			switch {
			case inTree.MatchString(span) && !exists(span):
				t.Errorf("%s names %s, which does not exist", file, span)
			case regexp.MustCompile(`^(?:Test|Fuzz)[A-Z]\w+$`).MatchString(span) && !slices.Contains(tests, span):
				t.Errorf("%s names the test %s, which does not exist", file, span)
			case isMake && !slices.Contains(targets, target):
				t.Errorf("%s: make has no target %s", file, target)
			}
		}
		for _, match := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(withoutFences(text), -1) {
			if link := match[1]; !strings.Contains(link, "://") {
				checkLink(t, file, link)
			}
		}
	}
}

// checkLink follows a link to a file of the tree, and to a heading in it.
func checkLink(t *testing.T, from, link string) {
	t.Helper()
	name, anchor, _ := strings.Cut(link, "#")
	target := path.Join(path.Dir(from), name)
	if name == "" {
		target = from
	}
	if !exists(target) {
		t.Errorf("%s links to %s, which does not exist", from, link)
		return
	}
	if anchor == "" {
		return
	}
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(withoutFences(readFile(t, target)), -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(match[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return
		}
	}
	t.Errorf("%s links to %s: there is no such heading", from, link)
}

func exists(name string) bool {
	_, err := os.Stat(filepath.FromSlash(name))
	return err == nil
}

// testNames are the tests and fuzz targets of the module.
func testNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, file := range textFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			names = append(names, submatches(t, file, `(?m)^func ((?:Test|Fuzz)\w+)\(`)...)
		}
	}
	return names
}

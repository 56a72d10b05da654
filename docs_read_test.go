// This file reads, for the tests of the documentation, Markdown pages (fences, code
// spans, tables) and Go source (options, literals, constants).

package caddytableau_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// documents are README.md and the pages in docs.
func documents(t *testing.T) []string {
	t.Helper()
	return append([]string{"README.md"}, glob(t, "docs/*.md")...)
}

// A fence is a fenced block of a Markdown text.
type fence struct{ info, body string }

var fencePattern = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

func fences(text string) []fence {
	var all []fence
	for _, match := range fencePattern.FindAllStringSubmatch(text, -1) {
		all = append(all, fence{match[1], match[2]})
	}
	return all
}

func withoutFences(text string) string { return fencePattern.ReplaceAllString(text, "") }

// codeSpans is what stands between backquotes.
func codeSpans(text string) []string {
	var spans []string
	for _, match := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
		spans = append(spans, match[1])
	}
	return spans
}

// tableRows are the rows of Markdown tables, without their heads.
func tableRows(text string) [][]string {
	var rows [][]string
	below := false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case strings.HasPrefix(line, "|---"):
			below = true
		case !strings.HasPrefix(line, "|"):
			below = false
		case below:
			cells := strings.Split(strings.Trim(line, "|"), " | ")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func submatches(t *testing.T, file, pattern string) []string {
	t.Helper()
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(readFile(t, file), -1) {
		found = append(found, match[1])
	}
	return found
}

// optionsOf are the names that a file compares options with.
func optionsOf(t *testing.T, file string) []string {
	t.Helper()
	var names []string
	add := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			names = append(names, valueOf(literal))
		}
	}
	ast.Inspect(parseFile(t, file), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CaseClause:
			for _, e := range n.List {
				add(e)
			}
		case *ast.BinaryExpr:
			if name, ok := n.X.(*ast.Ident); ok && name.Name == "option" && n.Op == token.EQL {
				add(n.Y)
			}
		}
		return true
	})
	return names
}

// literals are the fields of each composite literal of a type in a file.
func literals(t *testing.T, file, typeName string) []map[string]string {
	t.Helper()
	var all []map[string]string
	ast.Inspect(parseFile(t, file), func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if name, ok := literal.Type.(*ast.Ident); ok && name.Name == typeName {
			all = append(all, fieldsOf(literal))
		}
		return true
	})
	return all
}

// keyedLiterals are the values of a map variable in a file, by their keys.
func keyedLiterals(t *testing.T, file, variable string) map[string]map[string]string {
	t.Helper()
	all := make(map[string]map[string]string)
	ast.Inspect(parseFile(t, file), func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != variable {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			pair := e.(*ast.KeyValueExpr)
			all[valueOf(pair.Key)] = fieldsOf(pair.Value.(*ast.CompositeLit))
		}
		return false
	})
	return all
}

func fieldsOf(literal *ast.CompositeLit) map[string]string {
	fields := make(map[string]string)
	for _, e := range literal.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			fields[valueOf(pair.Key)] = valueOf(pair.Value)
		}
	}
	return fields
}

// stringConstants are the constants of a file as text.
func stringConstants(t *testing.T, file string) map[string]string {
	t.Helper()
	constants := make(map[string]string)
	ast.Inspect(parseFile(t, file), func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			constants[spec.Names[0].Name] = valueOf(spec.Values[0])
		}
		return true
	})
	return constants
}

// valueOf is a literal's value, or a name.
func valueOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return text
		}
		return e.Value
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	default:
		return ""
	}
}

func parseFile(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(name), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// sorted is a sorted copy.
func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

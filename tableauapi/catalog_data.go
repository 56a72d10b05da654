package tableauapi

// This file reads catalog.tsv. Whatever is wrong in it is an error that names
// the line, found by the tests of this package.

import (
	"cmp"
	_ "embed" // for catalog.tsv
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed catalog.tsv
var catalogData string

// catalogColumns are the columns of catalog.tsv, which explains them.
const catalogColumns = "operation also method template query resource class changes scopes since jwt_since jwt danger reason source note"

// A catalogTable is the data, made ready.
type catalogTable struct {
	operations []*Operation
	names      map[string]*Operation
	root       node
}

// catalog returns the table, read when it is first asked for.
var catalog = sync.OnceValue(func() *catalogTable { return must(parseCatalog(catalogData)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic("tableauapi: catalog.tsv: " + err.Error())
	}
	return v
}

// parseCatalog reads a table and checks it.
func parseCatalog(data string) (*catalogTable, error) {
	c := &catalogTable{names: map[string]*Operation{}}
	header := strings.ReplaceAll(catalogColumns, " ", "\t")
	number := 0
	for line := range strings.Lines(data) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if line == header || strings.HasPrefix(line, "#") {
			continue
		}
		op, err := parseOperation(strings.Split(line, "\t"))
		if err == nil {
			err = c.add(op)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	c.groupScopes()
	return c, nil
}

// parseOperation reads a row.
func parseOperation(row []string) (*Operation, error) {
	if want := strings.Count(catalogColumns, " ") + 1; len(row) != want {
		return nil, fmt.Errorf("%d columns, want %d", len(row), want)
	}
	op := &Operation{
		Name: row[0], Aliases: strings.Fields(row[1]), Method: row[2], Template: row[3], Query: row[4],
		Resource: row[5], Class: Class(row[6]), Mutates: row[7] == "yes",
		Scopes:     strings.FieldsFunc(row[8], func(r rune) bool { return r == ',' }),
		MinVersion: row[9], JWTSince: row[10], JWT: JWT(row[11]),
		Danger: Danger(row[12]), Reason: row[13], Source: row[14], Note: row[15],
	}
	op.Scopes = slices.Clip(op.Scopes)
	if row[7] != "yes" && row[7] != "no" {
		return nil, fmt.Errorf("%q where it says whether it changes something", row[7])
	}
	for _, spelling := range spellings(op.Template) {
		op.paths = append(op.paths, strings.Split(strings.TrimPrefix(spelling, "/"), "/"))
	}
	return op, op.check()
}

var (
	catalogName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	catalogPath  = regexp.MustCompile(`^(/([A-Za-z0-9_:-]+|\{[a-z_]+\})){2,}$`)
	catalogScope = regexp.MustCompile(`^tableau:[a-z_]+:([a-z_]+|\*)$`)
)

// check says what cannot be right about an operation.
func (op *Operation) check() error {
	switch {
	case !catalogName.MatchString(op.Name) || !catalogName.MatchString(op.Resource):
		return fmt.Errorf("%q, %q: not names", op.Name, op.Resource)
	case !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, op.Method):
		return fmt.Errorf("%q is no method", op.Method)
	case !slices.Contains([]Class{ClassRead, ClassWrite, ClassRun, ClassAdmin}, op.Class):
		return fmt.Errorf("%q is no class", op.Class)
	case !slices.Contains([]JWT{JWTRefused, JWTUnifiedAccess, JWTAccepted, JWTNotNeeded}, op.JWT):
		return fmt.Errorf("%q is not known in column jwt", op.JWT)
	case !slices.Contains([]Danger{Harmless, BreaksSession, EndsSessions, ReturnsSecret, ChangesIdentity}, op.Danger):
		return fmt.Errorf("%q is no danger", op.Danger)
	case (op.Danger == Harmless) != (op.Reason == ""):
		return errors.New("a danger has a reason, and a reason a danger")
	case len(op.Scopes) > 0 && (op.JWT == JWTRefused || op.JWT == JWTNotNeeded):
		return errors.New("scopes where no JWT is of use")
	case op.Source == "":
		return errors.New("no source")
	}
	return cmp.Or(op.checkPaths(), op.checkScopes(), checkVersion(op.MinVersion), checkVersion(op.JWTSince))
}

func (op *Operation) checkPaths() error {
	for _, spelling := range spellings(op.Template) {
		if !catalogPath.MatchString(spelling) {
			return fmt.Errorf("%q is no path", spelling)
		}
	}
	return nil
}

func (op *Operation) checkScopes() error {
	for i, scope := range op.Scopes {
		if !catalogScope.MatchString(scope) {
			return fmt.Errorf("%q is no scope", scope)
		}
		if i > 0 && op.Scopes[i-1] >= scope {
			return errors.New("scopes are not in order")
		}
	}
	return nil
}

func checkVersion(s string) error {
	if s != "" && !isVersion(s) {
		return fmt.Errorf("%q is no version", s)
	}
	return nil
}

// add takes an operation into the table.
func (c *catalogTable) add(op *Operation) error {
	for _, name := range slices.Concat([]string{op.Name}, op.Aliases) {
		if c.names[name] != nil {
			return fmt.Errorf("%s is there twice", name)
		}
		c.names[name] = op
	}
	c.operations = append(c.operations, op)
	for _, path := range op.paths {
		if err := c.root.add(path, op); err != nil {
			return err
		}
	}
	return nil
}

// spellings returns the paths that a template stands for: one for each way to
// choose among its (a|b).
func spellings(template string) []string {
	before, rest, ok := strings.Cut(template, "(")
	choices, after, closed := strings.Cut(rest, ")")
	if !ok || !closed {
		return []string{template}
	}
	var all []string
	for _, tail := range spellings(after) {
		for choice := range strings.SplitSeq(choices, "|") {
			all = append(all, before+choice+tail)
		}
	}
	return all
}

package tableauapi

// This file reads the patterns by which operators allow and deny operations.

import (
	"fmt"
	"slices"
	"strings"
)

// MatchOperations returns the operations that a pattern means, which is one of
//
//   - the name of an operation, such as "publish_workbook",
//   - a class: "read", "write", "run" or "admin",
//   - a template, such as "/sites/*/views/**", in which * is any one segment,
//     {anything} one parameter, and ** at the end any number of segments, or
//     none. For the REST API it begins behind the version; the whole path will
//     do as well.
//
// A template means operations and not paths: one that names a site or a user
// means nothing. An operation whose template has several spellings is meant by
// any of them, and as a whole. A pattern that means nothing is an error.
func MatchOperations(pattern string) ([]*Operation, error) {
	if strings.HasPrefix(pattern, "/") {
		return matchTemplate(pattern)
	}
	if op, ok := OperationByName(pattern); ok {
		return []*Operation{op}, nil
	}
	var all []*Operation
	for op := range Operations() {
		if string(op.Class) == pattern {
			all = append(all, op)
		}
	}
	if all == nil {
		return nil, fmt.Errorf("%q is no operation, class or template%s", pattern, suggestion(pattern))
	}
	return all, nil
}

func matchTemplate(pattern string) ([]*Operation, error) {
	segments := strings.Split(pattern[1:], "/")
	if stars := slices.Index(segments, "**"); stars >= 0 && stars < len(segments)-1 {
		return nil, fmt.Errorf("the template %q has ** before its end", pattern)
	}
	var all []*Operation
	for op := range Operations() {
		if op.matches(pattern, segments) {
			all = append(all, op)
		}
	}
	if all == nil {
		return nil, fmt.Errorf("no operation has a path like %q: write * for what names a site, a user or an object, and begin behind the version of the REST API", pattern)
	}
	return all, nil
}

// matches reports whether a template, also given in segments, means op.
func (op *Operation) matches(pattern string, segments []string) bool {
	if pattern == op.Template || pattern == op.ShortTemplate() {
		return true
	}
	return slices.ContainsFunc(op.paths, func(path []string) bool {
		return matchSegments(segments, path) || path[1] == "{version}" && matchSegments(segments, path[2:])
	})
}

// matchSegments compares a pattern with a path of a template.
func matchSegments(pattern, path []string) bool {
	for i, want := range pattern {
		if want == "**" {
			return true
		}
		if i == len(path) || !matchSegment(want, path[i]) {
			return false
		}
	}
	return len(pattern) == len(path)
}

func matchSegment(want, segment string) bool {
	if want == "*" || want == segment {
		return true
	}
	return strings.HasPrefix(segment, "{") && strings.HasPrefix(want, "{") && strings.HasSuffix(want, "}")
}

// ShortTemplate returns the template as [Route.Template] writes paths: for the
// REST API it begins behind the version.
func (op *Operation) ShortTemplate() string {
	return strings.TrimPrefix(op.Template, "/api/{version}")
}

// suggestion returns the name that was probably meant, in words, or "".
func suggestion(name string) string {
	best, distance := "", len(name)/4+2
	for op := range Operations() {
		for _, candidate := range slices.Concat([]string{op.Name, string(op.Class)}, op.Aliases) {
			if d := editDistance(name, candidate); d < distance {
				best, distance = candidate, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is how many letters have to be put in, taken out or changed to
// make one word of the other (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

package tableauapi

// This file judges paths that no operation has, for proxies that let some of
// them through: what was refused under its own name must not pass in another
// spelling. Here a word counts in every way in which a lenient server could
// read it, so these functions are for refusing and not for allowing.

import "strings"

// PathMatches reports whether a template as [MatchOperations] takes it covers
// a path that [CanonicalPath] has returned.
func PathMatches(template, path string) bool {
	want, segments := split(template), split(path)
	return covers(want, segments) || segments[0] == "api" && len(segments) > 2 && covers(want, segments[2:])
}

// Resembles returns an operation that a lenient server could take a path for
// that no operation has, such as one in other letters.
func Resembles(path string) (*Operation, bool) {
	segments := split(path)
	for op := range Operations() {
		for _, words := range op.paths {
			if covers(words, segments) {
				return op, true
			}
		}
	}
	return nil, false
}

func split(path string) []string { return strings.Split(strings.TrimPrefix(path, "/"), "/") }

// covers compares the segments of a template with those of a path.
func covers(template, path []string) bool {
	for i, want := range template {
		if want == "**" {
			return true
		}
		if i == len(path) || !(want == "*" || strings.HasPrefix(want, "{") || sameWord(path[i], want)) {
			return false
		}
	}
	return len(template) == len(path)
}

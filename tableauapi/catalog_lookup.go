package tableauapi

// This file finds the operation of a request. The paths of all operations make
// a tree of segments, in which a word always wins over a parameter.

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A node is a place in the tree.
type node struct {
	words      map[string]*node
	parameter  *node
	version    bool         // the parameter is the version of the REST API
	operations []*Operation // those with a Query first
	methods    []string
}

// Lookup returns the operation of a request, by its method, its path as
// [CanonicalPath] has returned it, and its query as it came. HEAD is GET
// without a body. "-", content URLs and other names stand where LUIDs do.
//
// Words are compared as they are, down to the case of their letters, save that
// serverinfo has any case, as in [Route.ServerInfo], and that a colon may be
// escaped, as clients of Pulse do. Where a word of Tableau's and a parameter
// can both stand, the word is meant: DELETE sessions/current is no operation,
// although DELETE sessions/{session} is one.
func Lookup(method, path, rawQuery string) (*Operation, bool) {
	place := catalog().root.find(path)
	if place == nil {
		return nil, false
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, op := range place.operations {
		if op.Method == method && (op.Query == "" || hasParameter(rawQuery, op.Query)) {
			return op, true
		}
	}
	return nil, false
}

// Methods returns the methods that the path is known with, in alphabetical
// order, for the Allow header of a 405. There are none if no operation has the
// path. The slice must not be changed.
func Methods(path string) []string {
	place := catalog().root.find(path)
	if place == nil {
		return nil
	}
	return place.methods
}

// find returns the place of a path, or nil.
func (n *node) find(path string) *node {
	for n != nil {
		if path == "" || path[0] != '/' {
			return nil
		}
		segment, more := path[1:], false
		if end := strings.IndexByte(segment, '/'); end >= 0 {
			segment, path, more = segment[:end], segment[end:], true
		}
		if n = n.next(segment); !more {
			return n
		}
	}
	return nil
}

// next returns the place that a segment leads to, or nil.
func (n *node) next(segment string) *node {
	place := n.words[segment]
	if place == nil && strings.EqualFold(segment, serverInfo) {
		place = n.words[serverInfo] // of the REST API only; a site may have this name
	}
	if place != nil || segment == "" || n.version && !isVersion(segment) {
		return place
	}
	return n.parameter
}

const serverInfo = "serverinfo"

// add puts an operation at the end of a path. Two operations that one request
// could mean are an error.
func (n *node) add(path []string, op *Operation) error {
	if len(path) > 0 {
		for _, place := range n.places(path[0]) {
			if err := place.add(path[1:], op); err != nil {
				return err
			}
		}
		return nil
	}
	for _, other := range n.operations {
		if other.Method == op.Method && other.Query == op.Query {
			return fmt.Errorf("%s and %s are the same request", other.Name, op.Name)
		}
	}
	n.operations = append(n.operations, op)
	slices.SortStableFunc(n.operations, func(a, b *Operation) int { return strings.Compare(b.Query, a.Query) })
	n.methods = append(n.methods, op.Method)
	if op.Method == http.MethodGet {
		n.methods = append(n.methods, http.MethodHead)
	}
	slices.Sort(n.methods)
	n.methods = slices.Compact(n.methods)
	return nil
}

// places returns the places that a segment of a template leads to, made if
// need be: one for each spelling of a colon.
func (n *node) places(segment string) []*node {
	if strings.HasPrefix(segment, "{") {
		if n.parameter == nil {
			n.parameter = &node{}
		}
		n.version = n.version || segment == "{version}"
		return []*node{n.parameter}
	}
	if n.words == nil {
		n.words = map[string]*node{}
	}
	var places []*node
	for _, word := range slices.Compact([]string{segment, strings.ReplaceAll(segment, ":", "%3A"), strings.ReplaceAll(segment, ":", "%3a")}) {
		if n.words[word] == nil {
			n.words[word] = &node{}
		}
		places = append(places, n.words[word])
	}
	return places
}

// hasParameter reports whether a query has a parameter, in any spelling.
func hasParameter(rawQuery, name string) bool {
	for more := rawQuery != ""; more; {
		var parameter string
		parameter, rawQuery, more = strings.Cut(rawQuery, "&")
		key, _, _ := strings.Cut(parameter, "=")
		if decodesTo(key, name) {
			return true
		}
	}
	return false
}

// decodesTo reports whether escaped is name, of which some characters may be
// escaped.
func decodesTo(escaped, name string) bool {
	for i := range len(name) {
		if escaped == "" {
			return false
		}
		c, width := escaped[0], 1
		if plain, ok := unescape(escaped); ok {
			c, width = plain, 3
		}
		if c != name[i] {
			return false
		}
		escaped = escaped[width:]
	}
	return escaped == ""
}

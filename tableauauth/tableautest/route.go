// This file finds the operation of a request by method and path.

package tableautest

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// splitPath cuts an escaped path into its segments. The leading slash makes
// none; empty segments stay, so that //api is not /api.
func splitPath(p string) []string { return strings.Split(strings.TrimPrefix(p, "/"), "/") }

// route sets the operation and its parameters, or says why there is none.
func (x *exchange) route() *apiError {
	segments := x.segments()
	allowed := map[string]bool{}
	for i := range operationTable {
		op := &operationTable[i]
		params, ok := op.match(segments, x.t.opts.LenientPaths)
		if !ok {
			continue
		}
		if op.Method != x.r.Method {
			allowed[op.Method] = true
			continue
		}
		if op.Query == "" || x.r.URL.Query().Has(op.Query) {
			x.op, x.params = op, params
			return x.checkAvailable()
		}
	}
	if len(allowed) > 0 {
		return methodNotAllowed(allowed)
	}
	return fail(codePathNotFound, summaryNotFound, "The path is not known.")
}

func methodNotAllowed(allowed map[string]bool) *apiError {
	var methods []string
	for m := range allowed {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	e := fail(codeMethodNotAllowed, summaryNotAllowed, "Allowed: "+strings.Join(methods, ", ")+".")
	e.header = http.Header{"Allow": {strings.Join(methods, ", ")}}
	return e
}

// checkAvailable refuses unknown API versions and operations of the other product.
func (x *exchange) checkAvailable() *apiError {
	if text, ok := x.params["version"]; ok {
		version, ok := parseVersion(text)
		newest, _ := parseVersion(x.t.opts.RESTVersion)
		if !ok || newest.less(version) {
			return fail(codeVersionNotFound, summaryNotFound, "The API version is not known.")
		}
		x.version = version
	}
	if (x.op.CloudOnly && !x.t.opts.Cloud) || (x.op.ServerOnly && x.t.opts.Cloud) {
		return fail(codePathNotFound, summaryNotFound, "The path is not known.").because("not in this product")
	}
	return nil
}

// segments are the decoded segments of the path.
func (x *exchange) segments() []string {
	if x.t.opts.LenientPaths {
		return lenientSegments(x.r.URL.EscapedPath())
	}
	segments := splitPath(x.r.URL.EscapedPath())
	for i, s := range segments {
		if decoded, err := url.PathUnescape(s); err == nil {
			segments[i] = decoded
		}
	}
	return segments
}

// lenientSegments reads a path as old servlet containers do: parameters are
// cut off, then escapes are decoded, then dots and double slashes resolved.
func lenientSegments(escaped string) []string {
	parts := strings.Split(escaped, "/")
	for i, s := range parts {
		s, _, _ = strings.Cut(s, ";")
		if decoded, err := url.PathUnescape(s); err == nil {
			s = decoded
		}
		parts[i] = s
	}
	joined := strings.ReplaceAll(strings.Join(parts, "/"), `\`, "/")
	return splitPath(path.Clean("/" + joined))
}

// match compares segments with the template. Fixed segments are compared
// exactly, except that serverinfo is also spelled serverInfo by clients.
func (o *operation) match(segments []string, fold bool) (map[string]string, bool) {
	if len(segments) != len(o.segments) {
		return nil, false
	}
	var params map[string]string
	for i, want := range o.segments {
		got := segments[i]
		if name, ok := parameter(want); ok {
			if got == "" || (name == "version" && !strings.Contains(got, ".")) {
				return nil, false
			}
			if params == nil {
				params = make(map[string]string, 4)
			}
			params[name] = got
			continue
		}
		if got != want && (!fold && o.Name != opServerInfo || !strings.EqualFold(got, want)) {
			return nil, false
		}
	}
	return params, true
}

func parameter(segment string) (name string, ok bool) {
	if !strings.HasPrefix(segment, "{") {
		return "", false
	}
	return segment[1 : len(segment)-1], true
}

// apiVersion is the version in a path, such as 3.27.
type apiVersion struct{ major, minor int }

func parseVersion(text string) (apiVersion, bool) {
	major, minor, _ := strings.Cut(text, ".")
	a, errA := strconv.ParseUint(major, 10, 16)
	b, errB := strconv.ParseUint(minor, 10, 16)
	return apiVersion{int(a), int(b)}, errA == nil && errB == nil
}

func (v apiVersion) less(w apiVersion) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

package tableauapi

// The fuzz target of this file is the recognition of routes, held against a
// reading of the path segment by segment.

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzParseRoute puts paths together from segments, so that most of them get
// beyond the prefix, and reads them once more in the plainest way.
func FuzzParseRoute(f *testing.F) {
	for _, seed := range []string{
		"3.24 auth signin", "3.24 Auth signin", "3.24 auth. signin", "3.24 sites - users - auth", "3.24 sites auth tags auth", "3.24 exp auth",
		"- pulse definitions:batchGet", "metadata graphql", "v1 vizql-data-service read-metadata", "3.24 serverInfo", "3.24 sessions current", "3.24 sites %20auth auth signin",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, words string) {
		segments := strings.Split(words, " ")
		path := "/api/" + strings.Join(segments, "/")
		canonical, err := CanonicalPath(path)
		if err != nil {
			return
		}
		r, ok := ParseRoute(canonical)
		if !ok {
			return
		}
		if got := r.With("", ""); got != canonical {
			t.Fatalf("%q without a site or a user becomes %q", canonical, got)
		}
		rest := strings.Split(canonical, "/")[3:]
		checkSegments(t, canonical, r, rest)
		checkAuth(t, canonical, r, rest)
	})
}

// checkSegments reads the site and the user of a path of the REST API.
func checkSegments(t *testing.T, path string, r Route, rest []string) {
	t.Helper()
	site, hasSite := r.Site()
	user, hasUser := r.User()
	inSites := r.API() == REST && len(rest) > 1 && lenient(rest[0]) == "sites"
	if hasSite != inSites || inSites && site != plain(rest[1]) {
		t.Fatalf("%q: site %q, %t", path, site, hasSite)
	}
	inUsers := inSites && len(rest) > 3 && lenient(rest[2]) == "users"
	if hasUser != inUsers || inUsers && user != plain(rest[3]) {
		t.Fatalf("%q: user %q, %t", path, user, hasUser)
	}
}

// checkAuth holds that a path that any server could take for a call about
// sessions is one, and that only the plain spelling is answered.
func checkAuth(t *testing.T, path string, r Route, rest []string) {
	t.Helper()
	if r.API() == REST && lenient(rest[0]) == "auth" && r.Auth() == NotAuth {
		t.Fatalf("%q is let through", path)
	}
	want := map[string]AuthCall{"auth/signin": SignIn, "auth/signout": SignOut, "auth/switchSite": SwitchSite}[strings.Join(rest, "/")]
	answered := r.Auth() == SignIn || r.Auth() == SignOut || r.Auth() == SwitchSite
	if r.API() == REST && answered != (want != NotAuth) || answered && r.Auth() != want {
		t.Fatalf("%q is the call %d, want %d", path, r.Auth(), want)
	}
}

// lenient is a segment as a server reads it that decodes, folds case and trims.
func lenient(segment string) string { return strings.ToLower(strings.Trim(plain(segment), " .")) }

func plain(segment string) string {
	if s, err := url.PathUnescape(segment); err == nil {
		return s
	}
	return segment
}

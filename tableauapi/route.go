package tableauapi

// This file tells which API a path belongs to, and finds in it what a session
// is about: the site, the user, and the calls that would make or end one.

import (
	"net/url"
	"strings"
)

// An API is one of Tableau's programming interfaces.
type API int

// The APIs, by where their paths begin.
const (
	Unknown          API = iota
	REST                 // /api/{version}/...
	Platform             // /api/-/...: Pulse, search, collections and others
	Metadata             // /api/metadata/..., and the older /relationship-service-war/graphql
	VizQLDataService     // /api/v1/vizql-data-service/...
)

// String returns the API's name for logs and metrics.
func (a API) String() string {
	switch a {
	case REST:
		return "rest"
	case Platform:
		return "platform"
	case Metadata:
		return "metadata"
	case VizQLDataService:
		return "vizql_data_service"
	default:
		return "unknown"
	}
}

// An AuthCall is what a call has to do with signing in and out.
type AuthCall int

// The calls about sessions. OtherAuth is everything else under auth, in any
// spelling: the calls that revoke tokens, and those that a server more lenient
// than this package could take for a sign-in.
const (
	NotAuth AuthCall = iota
	SignIn
	SignOut
	SwitchSite
	OtherAuth
)

// A span is where a segment stands in the path. The zero span is none.
type span struct{ start, end int }

// A Route is what a canonical path says. The zero Route is that of no API.
type Route struct {
	path    string
	api     API
	rest    int // where the segments begin that come after the API's own
	version span
	site    span
	user    span
	auth    AuthCall
}

const (
	apiPrefix      = "/api/"
	metadataAlias  = "/relationship-service-war/graphql"
	vizqlPrefix    = "/api/v1/vizql-data-service/"
	platformPrefix = "/api/-/"
	metadataPrefix = "/api/metadata/"
)

// ParseRoute reads a path that [CanonicalPath] has returned. It reports false
// for what belongs to no API, such as Tableau's web pages.
func ParseRoute(canonical string) (Route, bool) {
	r := Route{path: canonical}
	switch {
	case canonical == metadataAlias:
		r.api, r.rest = Metadata, len("/relationship-service-war/")
	case !strings.HasPrefix(canonical, apiPrefix):
		return Route{}, false
	case beginsWith(canonical, vizqlPrefix):
		r.api, r.rest = VizQLDataService, len(vizqlPrefix)
	case beginsWith(canonical, platformPrefix):
		r.api, r.rest = Platform, len(platformPrefix)
	case beginsWith(canonical, metadataPrefix):
		r.api, r.rest = Metadata, len(metadataPrefix)
	default:
		end := strings.IndexByte(canonical[len(apiPrefix):], '/') + len(apiPrefix)
		if end < len(apiPrefix) || end+1 == len(canonical) || !isVersion(canonical[len(apiPrefix):end]) {
			return Route{}, false
		}
		r.api, r.rest, r.version = REST, end+1, span{len(apiPrefix), end}
		r.findSiteAndUser()
	}
	r.auth = r.findAuth()
	return r, true
}

// beginsWith reports whether something follows prefix in path.
func beginsWith(path, prefix string) bool {
	return len(path) > len(prefix) && strings.HasPrefix(path, prefix)
}

// next returns the segment that begins at start, and where the one behind it
// begins; that is beyond the path if there is none.
func (r *Route) next(start int) (s span, after int) {
	if start >= len(r.path) {
		return span{}, start
	}
	end := strings.IndexByte(r.path[start:], '/')
	if end < 0 {
		return span{start, len(r.path)}, len(r.path) + 1
	}
	return span{start, start + end}, start + end + 1
}

func (r *Route) at(s span) string { return r.path[s.start:s.end] }

// findSiteAndUser looks for sites/{site}/users/{user}. The two words count in
// any case of letters: if Tableau takes "Sites" for "sites", so must we.
func (r *Route) findSiteAndUser() {
	word, after := r.next(r.rest)
	if !sameWord(r.at(word), "sites") {
		return
	}
	r.site, after = r.next(after)
	word, after = r.next(after)
	if sameWord(r.at(word), "users") {
		r.user, _ = r.next(after)
	}
}

// findAuth looks for a segment "auth" where it is no site's, user's or tag's
// name.
func (r *Route) findAuth() AuthCall {
	before := ""
	for s, after := r.next(r.rest); s != (span{}); s, after = r.next(after) {
		segment := r.at(s)
		if sameWord(segment, "auth") && s != r.site && !namesFollow(before) {
			return r.authCall(s, after)
		}
		if before = segment; s == r.site {
			before = "" // a site called "tags" is not what tags follow
		}
	}
	return NotAuth
}

func (r *Route) authCall(auth span, after int) AuthCall {
	call, end := r.next(after)
	if r.api != REST || auth.start != r.rest || r.at(auth) != "auth" || end <= len(r.path) {
		return OtherAuth
	}
	switch r.at(call) {
	case "signin":
		return SignIn
	case "signout":
		return SignOut
	case "switchSite":
		return SwitchSite
	default:
		return OtherAuth
	}
}

// sameWord reports whether a lenient server could take the segment for word:
// whatever the case of letters, and with spaces or dots at its ends. No other
// escape of a canonical path could stand for a part of the word.
func sameWord(segment, word string) bool {
	for {
		trimmed := strings.Trim(segment, ".")
		trimmed = strings.TrimSuffix(strings.TrimPrefix(trimmed, "%20"), "%20")
		if trimmed == segment {
			return strings.EqualFold(segment, word)
		}
		segment = trimmed
	}
}

// decoded returns a segment without its escapes.
func decoded(segment string) string {
	plain, err := url.PathUnescape(segment)
	if err != nil {
		return segment // not of a canonical path
	}
	return plain
}

// isVersion reports whether s is a version of the REST API, such as "3.24".
func isVersion(s string) bool {
	major, minor, ok := strings.Cut(s, ".")
	return ok && isShortNumber(major) && isShortNumber(minor)
}

func isShortNumber(s string) bool {
	return len(s) >= 1 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// IsLUID reports whether s has the form of a locally unique identifier, which
// is how Tableau names sites, users and content: 8-4-4-4-12 hexadecimal digits.
func IsLUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if hexDigit(s[i]) == 16 {
				return false
			}
		}
	}
	return true
}

// API returns the API that the path belongs to.
func (r Route) API() API { return r.api }

// Version returns the version of the REST API, such as "3.24", and "" for
// other APIs.
func (r Route) Version() string { return r.at(r.version) }

// Site returns the decoded segment behind "sites" of a path of the REST API:
// "-", a content URL or a LUID. It reports false if there is none, as in the
// path that lists sites.
func (r Route) Site() (segment string, ok bool) {
	return decoded(r.at(r.site)), r.site != span{}
}

// User returns the decoded segment behind "users" of a path within a site:
// "-", a LUID, or the name of a call such as "import".
func (r Route) User() (segment string, ok bool) {
	return decoded(r.at(r.user)), r.user != span{}
}

// With returns the path with siteLUID in the place of its site, and userLUID
// in the place of a user "-". An empty LUID changes nothing. Both must be LUIDs
// (see [IsLUID]), so that the path stays canonical.
func (r Route) With(siteLUID, userLUID string) string {
	path := r.path
	if userLUID != "" && r.at(r.user) == "-" {
		path = path[:r.user.start] + userLUID + path[r.user.end:]
	}
	if siteLUID != "" && r.site != (span{}) {
		path = path[:r.site.start] + siteLUID + path[r.site.end:]
	}
	return path
}

// Auth returns what the call has to do with signing in and out.
func (r Route) Auth() AuthCall { return r.auth }

// ServerInfo reports whether the path is that of serverinfo, in any case of
// letters: the Tableau Server Client writes serverInfo. It needs no session.
func (r Route) ServerInfo() bool {
	return r.api == REST && strings.EqualFold(r.path[r.rest:], "serverinfo")
}

// CurrentSession reports whether the path is that of the session itself, which
// every session may read.
func (r Route) CurrentSession() bool {
	return r.api == REST && r.path[r.rest:] == "sessions/current"
}

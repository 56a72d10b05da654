package tableauapi

// This file turns paths into templates, so that logs and metrics see the call
// and not whom it is about.

import "strings"

// maxTemplateSegments bounds a template; no call of Tableau's has so many.
const maxTemplateSegments = 16

// Template returns the path for logs and metrics: with {site}, {user}, {id} and
// {name} in the place of what names a site, a user, an object by its ID or
// anything by its name. For the REST API it begins behind the version, as in
// "/sites/{site}/workbooks/{id}/content"; for the others it is the whole path.
// What remains are words of letters, but without a list of all calls it cannot
// be told whether they are Tableau's.
func (r Route) Template() string {
	if r.api == Unknown {
		return ""
	}
	start := r.rest - 1
	var b strings.Builder
	if r.api != REST {
		b.WriteString(r.path[:start])
	}
	before := ""
	count := 0
	for s, after := r.next(r.rest); s != (span{}); s, after = r.next(after) {
		if count++; count > maxTemplateSegments {
			b.WriteString("/...")
			break
		}
		segment := r.at(s)
		b.WriteByte('/')
		switch {
		case s == r.site:
			b.WriteString("{site}")
		case s == r.user && !userCalls[segment]:
			b.WriteString("{user}")
		default:
			b.WriteString(templateSegment(before, segment))
		}
		if before = segment; s == r.site {
			before = ""
		}
	}
	return b.String()
}

// userCalls are the calls that stand where a user's ID does.
var userCalls = map[string]bool{"import": true, "delete": true, "identityPool": true}

// namesFollow reports whether what comes behind the segment is a name that
// somebody chose.
func namesFollow(segment string) bool {
	switch segment {
	case "tags", "tag", "personal-access-tokens", "labelValues", "labelCategories":
		return true
	default:
		return false
	}
}

func templateSegment(before, segment string) string {
	word := plainColon(segment)
	switch {
	case namesFollow(before):
		return "{name}"
	case before == "fileUploads":
		return "{id}" // such as 7720:170fe6b1c1c7422dadff20f944d58a52-1:0
	case isWord(word):
		return word
	case strings.ContainsAny(segment, "0123456789") && strings.IndexByte(segment, '%') < 0:
		return "{id}"
	default:
		return "{name}"
	}
}

// plainColon spells an escaped colon as itself: clients of Pulse send both.
func plainColon(segment string) string {
	if strings.IndexByte(segment, '%') < 0 {
		return segment
	}
	return strings.NewReplacer("%3A", ":", "%3a", ":").Replace(segment)
}

// isWord reports whether a segment looks like one of the words of which
// Tableau's paths are made: letters, with hyphens, underscores and colons
// between them, or a version such as v1.
func isWord(s string) bool {
	if s == "v1" || s == "v2" {
		return true
	}
	if len(s) > 40 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && s[i] != '-' && s[i] != '_' && s[i] != ':' {
			return false
		}
	}
	return true
}

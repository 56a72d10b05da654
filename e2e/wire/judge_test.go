// This file is the judge: what has to hold of every request that Tableau got
// and of every answer that a client got. It shares no code with the proxy, lest
// both make the same mistake.

package wire

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// normal is the name of a header as a lenient server could read it.
func normal(name string) string {
	return strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// neverSent are headers that must not reach Tableau in any spelling. A name that
// ends in "-" stands for all that begin so.
var neverSent = []string{
	"authorization", "cookie", "proxy-", "x-tableau-", "forwarded", "x-forwarded-", "x-original-", "x-rewrite-",
	"x-http-method", "x-http-method-", "x-method-override", "x-remote-user",
	"connection", "keep-alive", "te", "trailer", "upgrade", "http2-settings",
}

// ours are the headers among those that the proxy itself sets, once each, and
// in this spelling only.
var ours = []string{"X-Tableau-Auth", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// A book is what is known of the messages that were sent, by their marks.
type book struct {
	proxy    *proxy
	messages map[string]*message
	tokens   [][]byte
}

// own are the calls that the proxy makes on its own account.
var own = regexp.MustCompile(`^(POST /api/[\d.]+/auth/sign(in|out)|GET /api/[\d.]+/(sessions/current|serverinfo)|DELETE /api/[\d.]+/sessions/[\w-]+) HTTP/1\.1$`)

// judgeSeen says what is wrong with a request that reached Tableau.
func (b *book) judgeSeen(s *seen) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	m := b.messages[s.id()]
	if m == nil && own.MatchString(s.line) && len(s.values(normal(headerID))) == 0 {
		return nil
	}
	if m == nil {
		say("Tableau got a request that nobody sent: %q", s.line)
		return faults
	}
	if s.fault != "" && m.want != whatever {
		say("what Tableau got of it is broken: %s", s.fault)
	}
	if !lineForm.MatchString(s.line) {
		say("its request line is %q", s.line)
	}
	if hosts := s.values("host"); len(hosts) != 1 || hosts[0] != b.proxy.address() {
		say("Tableau was called by the names %q", hosts)
	}
	if len(s.trailers) > 0 {
		say("Tableau got its trailers %q", s.trailers)
	}
	faults = append(faults, b.judgeToken(s, m)...)
	faults = append(faults, judgeFields(s, m)...)
	faults = append(faults, judgePath(s, m)...)
	if m.raw == "" && s.fault == "" && s.body != m.body {
		say("its body has become %d bytes from %d", len(s.body), len(m.body))
	}
	if m.want == refused {
		say("Tableau got it, and it should have been refused")
	}
	return faults
}

var lineForm = regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE) /[!-~]* HTTP/1\.1$`)

// judgeToken looks for exactly one session, and that of the sender. The version
// of the server needs none.
func (b *book) judgeToken(s *seen, m *message) (faults []string) {
	tokens := s.values("x-tableau-auth")
	if isServerInfo(s.path()) {
		if len(tokens) > 0 {
			faults = append(faults, "a session was sent where none is needed")
		}
		return faults
	}
	if len(tokens) != 1 {
		return append(faults, fmt.Sprintf("%d sessions were sent", len(tokens)))
	}
	if owner := b.proxy.owner(tokens[0]); owner != m.sender() || owner == "" {
		faults = append(faults, fmt.Sprintf("the session of %q was sent for %q", owner, m.sender()))
	}
	return faults
}

func isServerInfo(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	return strings.HasSuffix(strings.ToLower(path), "/serverinfo")
}

// judgeFields looks at all headers.
func judgeFields(s *seen, m *message) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	count := make(map[string]int)
	for _, f := range s.fields {
		count[f.name]++
		plain := normal(f.name)
		reserved := slices.ContainsFunc(neverSent, func(name string) bool {
			return plain == name || strings.HasSuffix(name, "-") && strings.HasPrefix(plain, name)
		})
		switch {
		case !isToken(f.name):
			say("Tableau got a header with the name %q", f.name)
		case reserved && !slices.Contains(ours, f.name):
			say("Tableau got the header %s", f.name)
		}
		if f.name == "X-Forwarded-For" && f.value != "127.0.0.1" {
			say("X-Forwarded-For is %q", f.value)
		}
		if f.name != folded && holdsSecret(f.name+f.value) {
			say("Tableau got a credential of the client in the header %s", f.name)
		}
	}
	for _, name := range ours {
		if count[name] > 1 {
			say("Tableau got %d of %s", count[name], name)
		}
	}
	if holdsSecret(s.line) {
		say("Tableau got a credential of the client in the query")
	}
	if len(s.values("transfer-encoding")) > 0 && len(s.values("content-length")) > 0 {
		say("Tableau got two framings")
	}
	if m.body == "" && m.raw == "" && s.body != "" {
		say("Tableau got a body that was not sent")
	}
	return faults
}

// holdsSecret finds what clients must not get through, in the usual disguises.
func holdsSecret(text string) bool {
	for range 3 {
		if strings.Contains(strings.ToLower(text), secret) || strings.Contains(text, password) ||
			strings.Contains(text, authorization("alice")[6:]) || strings.Contains(text, authorization("bob")[6:]) {
			return true
		}
		text = unescape(text)
	}
	return false
}

// isToken tells whether a header's name is one (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// judgePath compares the path with the one that was sent, but for the site and
// the user, and looks for everything in it that could be read in two ways.
func judgePath(s *seen, m *message) (faults []string) {
	if m.raw == "" && s.path() != rewritten(withoutHost.ReplaceAllString(m.target, ""), m.sender()) {
		faults = append(faults, fmt.Sprintf("the path %q has become %q", m.target, s.path()))
	}
	path, _, _ := strings.Cut(s.path(), "?")
	plain := path
	for range 3 {
		plain = unescape(plain)
	}
	if strings.ContainsAny(plain, "\\;#?\x00\r\n\t") || strings.Contains(plain, "//") || strings.HasSuffix(plain, "/") ||
		strings.Contains(plain+"/", "/./") || strings.Contains(plain+"/", "/../") {
		faults = append(faults, fmt.Sprintf("the path %q can be read in two ways", path))
	}
	if authInPath.MatchString(strings.ToLower(plain)) {
		faults = append(faults, fmt.Sprintf("the path %q is one about sessions", path))
	}
	return faults
}

// withoutHost takes scheme and host out of a target in absolute form, which name
// the proxy and not the place to go.
var withoutHost = regexp.MustCompile(`^(?i)[a-z]+://[^/?#]*`)

var authInPath = regexp.MustCompile(`^/api/[^/]*/(exp/)?[. ]*auth[. ]*(/|$)`)

// rewritten is the path that Tableau has to get for a target: the same bytes,
// with LUIDs in the place of the default site and of the sender.
func rewritten(target, user string) string {
	path, query, hasQuery := strings.Cut(target, "?")
	if trimmed := strings.TrimLeft(path, "/"); strings.HasPrefix(trimmed, "api/") {
		path = "/" + trimmed
	}
	parts := strings.Split(path, "/")
	if len(parts) > 4 && parts[1] == "api" && strings.Contains(parts[2], ".") && strings.EqualFold(parts[3], "sites") {
		if content := unescape(parts[4]); parts[4] == "-" || content == site || content == "marketing" {
			if content = unescape(parts[4]); content == "-" {
				content = site
			}
			parts[4] = tableautest.SiteLUID(content)
			if len(parts) > 6 && strings.EqualFold(parts[5], "users") && parts[6] == "-" {
				parts[6] = tableautest.UserLUID(content, user)
			}
		}
	}
	if path = strings.Join(parts, "/"); hasQuery {
		path += "?" + query
	}
	return path
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// judgeAnswer says what is wrong with an answer.
func (b *book) judgeAnswer(id string, m *message, a *answer) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if slices.ContainsFunc(b.tokens, func(token []byte) bool { return bytes.Contains(a.raw, token) }) {
		say("its answer holds a session")
	}
	if tokenLine.Match(a.raw) {
		say("its answer has a cookie or X-Tableau-Auth")
	}
	switch by := a.outcome(); {
	case by == passed && a.get(headerID) != id:
		say("its answer is that of another request")
	case by == passed && a.get("X-Wire-Owner") != m.sender() && !isServerInfo(m.target):
		say("its answer was made for %q, not for %q", a.get("X-Wire-Owner"), m.sender())
	case by == passed && a.get("X-Wire-Owner") != "" && !strings.Contains(a.get("Cache-Control"), "no-store"):
		say("its answer may be cached: %q", a.get("Cache-Control"))
	case by == refusedByUs && m.method != "HEAD" && a.ended == "" && !errorBody.MatchString(a.body):
		say("its refusal has not the shape of Tableau's: %.100q", a.body)
	case a.status == 500:
		say("its answer is 500")
	case m.want == passes && by != passed:
		say("it should have gone through, but: %s", a.describe())
	}
	return faults
}

var (
	tokenLine = regexp.MustCompile(`(?im)^(set-cookie2?|x-tableau-auth)[ \t]*:`)
	errorBody = regexp.MustCompile(`(?s)<tsResponse.*<error code="\d+|\{.*"(code|errorCode)"\s*:`)
)

// An outcome is who has ended a request, and how.
type outcome string

// The outcomes.
const (
	passed        outcome = "answered by Tableau"
	refusedByUs   outcome = "refused by the proxy"
	answeredHere  outcome = "answered by the proxy"
	refusedBefore outcome = "refused by Caddy or net/http"
	unanswered    outcome = "closed or reset without an answer"
)

// outcome tells by the answer.
func (a *answer) outcome() outcome {
	switch {
	case a.status == 0:
		return unanswered
	case a.get("X-Tableau-Proxy-Error") != "":
		return refusedByUs
	case a.get(headerID) != "":
		return passed
	case a.get("X-Wire-Request") == "", a.status == 401 && a.get("Www-Authenticate") != "":
		return refusedBefore
	default:
		return answeredHere
	}
}

// describe is the outcome with its particulars.
func (a *answer) describe() string {
	switch a.outcome() {
	case refusedByUs:
		return fmt.Sprintf("%s: %d %s", refusedByUs, a.status, a.get("X-Tableau-Proxy-Error"))
	case unanswered:
		return fmt.Sprintf("%s: %s", unanswered, a.ended)
	default:
		return fmt.Sprintf("%s: %d", a.outcome(), a.status)
	}
}

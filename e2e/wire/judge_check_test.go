// These tests show that the judge finds what it is there to find.

package wire

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// Tokens of the two people, as the books have them.
const (
	aliceToken = "alice-alice-alice-alice|aaaa|0a0b0c0d"
	bobToken   = "bob-bob-bob-bob-bob-bob|bbbb|0a0b0c0d"
)

// upstreamPath is what workbooks has to become.
var upstreamPath = strings.Replace(workbooks, "/-/", "/"+tableautest.SiteLUID(site)+"/", 1)

// flawless is a request of alice as it should reach Tableau, and the book in
// which it stands.
func flawless(t *testing.T) (book, *seen) {
	t.Helper()
	up := newUpstream(t, tableautest.Options{}, false)
	up.owners[aliceToken], up.owners[bobToken] = "alice", "bob"
	id := mark(1)
	m := &message{class: "a class", user: "alice", method: "GET", target: workbooks, host: "proxy.example", want: passes}
	b := book{proxy: &proxy{upstream: up}, messages: map[string]*message{id: m}, tokens: [][]byte{[]byte(aliceToken), []byte(bobToken)}}
	return b, &seen{line: "GET " + upstreamPath + " HTTP/1.1", fields: []field{
		{"Host", up.address()}, {headerID, id}, {"X-Tableau-Auth", aliceToken}, {"X-Forwarded-For", "127.0.0.1"}, {"Accept", "*/*"},
	}}
}

func TestTheJudgeFindsWhatIsWrongWithARequest(t *testing.T) {
	add := func(name, value string) func(*seen) {
		return func(s *seen) { s.fields = append(s.fields, field{name, value}) }
	}
	change := func(from, to string) func(*seen) {
		return func(s *seen) {
			s.line = strings.Replace(s.line, from, to, 1)
			for i := range s.fields {
				s.fields[i].value = strings.Replace(s.fields[i].value, from, to, 1)
			}
		}
	}
	for name, spoil := range map[string]func(*seen){
		"two sessions":                    add("X-Tableau-Auth", aliceToken),
		"another in another spelling":     add("x_tableau.auth", "x"),
		"no session":                      change(aliceToken, ""),
		"that of another":                 change(aliceToken, bobToken),
		"one that Tableau never gave":     change(aliceToken, "x|y|z"),
		"a cookie":                        add("Cookie", "x"),
		"a password":                      add("X-Other", authorization("bob")),
		"a header with two readings":      add("proxy_authorization", "x"),
		"who one is":                      add("X.Remote.User", "bob"),
		"a name with a space":             add("X Other", "x"),
		"Connection":                      add("Connection", "close"),
		"TE":                              add("TE", "trailers"),
		"an address that somebody claims": add("X-Forwarded-For", "10.0.0.1"),
		"a secret in the query":           change(" HTTP/1.1", "?x=hostile%2Dsecret HTTP/1.1"),
		"another host":                    add("Host", "evil.example"),
		"another path":                    change("/workbooks", "/workbook%73"),
		"a path about sessions":           change(upstreamPath, api+"/auth/signin"),
		"another method":                  change("GET", "TRACE"),
		"another version":                 change("HTTP/1.1", "HTTP/1.0"),
		"a request that nobody sent":      change(mark(1), mark(2)),
		"a trailer":                       func(s *seen) { s.trailers = []field{{"X-Other", "x"}} },
		"a body that nobody sent":         func(s *seen) { s.body = "x" },
		"one that breaks off":             func(s *seen) { s.fault = "cut" },
	} {
		t.Run(name, func(t *testing.T) {
			b, s := flawless(t)
			if faults := b.judgeSeen(s); len(faults) != 0 {
				t.Fatalf("before: %q", faults)
			}
			spoil(s)
			if faults := b.judgeSeen(s); len(faults) == 0 {
				t.Error("nothing was found")
			}
		})
	}
}

func TestTheJudgeFindsWhatIsWrongWithAnAnswer(t *testing.T) {
	for name, spoil := range map[string]func(*answer){
		"a session in the body":     func(a *answer) { a.raw = []byte("x" + bobToken + "x") },
		"a cookie":                  func(a *answer) { a.raw = []byte("HTTP/1.1 200 OK\r\nset-cookie : a=b\r\n\r\n") },
		"a token of whatever kind":  func(a *answer) { a.raw = []byte("x-tableau-auth: x\r\n") },
		"the answer of another":     func(a *answer) { a.header.Set(headerID, mark(2)) },
		"one made for another":      func(a *answer) { a.header.Set("X-Wire-Owner", "bob") },
		"one that may be cached":    func(a *answer) { a.header.Del("Cache-Control") },
		"one of net/http":           func(a *answer) { a.header = http.Header{}; a.status = 400 },
		"a refusal without a shape": func(a *answer) { a.header.Set("X-Tableau-Proxy-Error", "x"); a.status = 403 },
		"a failure of the proxy":    func(a *answer) { a.header.Del(headerID); a.status = 500 },
		"none":                      func(a *answer) { *a = answer{ended: "closed"} },
	} {
		t.Run(name, func(t *testing.T) {
			b, s := flawless(t)
			a := &answer{status: 200, raw: []byte("HTTP/1.1 200 OK\r\n\r\n"), header: http.Header{
				headerID: {s.id()}, "X-Wire-Owner": {"alice"}, "X-Wire-Request": {"1"}, "Cache-Control": {"private, no-store"},
			}}
			m := b.messages[s.id()]
			if faults := b.judgeAnswer(s.id(), m, a); len(faults) != 0 {
				t.Fatalf("before: %q", faults)
			}
			spoil(a)
			if faults := b.judgeAnswer(s.id(), m, a); len(faults) == 0 {
				t.Error("nothing was found")
			}
		})
	}
}

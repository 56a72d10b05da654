// These tests show what of a client's headers reaches Tableau, and what of
// Tableau's reaches the client.

package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// credentialLike are headers that a lenient server could take for a credential
// or for somebody's name, as a client may spell them.
var credentialLike = []string{
	"X_Tableau_Auth", "x.tableau.auth", "X-Tableau_Auth", "X_TABLEAU-AUTH", "X.Tableau_Auth",
	"Cookie", "Proxy-Authorization", "proxy_authorization", "Proxy.Authorization",
	"X-Tableau-User", "X-Tableau-Anything", "Forwarded", "X-Original-URL", "X-Rewrite-URL",
	"X-HTTP-Method-Override", "X-Method-Override", "X_Forwarded_For", "X.Forwarded.Host",
}

// normal is a header name as a lenient server reads it.
func normal(name string) string {
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
}

// expectOnlyOurToken checks what Tableau saw of a request.
func expectOnlyOurToken(t *testing.T, e tableautest.Entry) {
	t.Helper()
	if e.AuthTokens != 1 {
		t.Errorf("Tableau saw %d X-Tableau-Auth, want 1", e.AuthTokens)
	}
	if e.Authorization || e.Cookie {
		t.Errorf("Tableau saw the client's Authorization (%v) or Cookie (%v)", e.Authorization, e.Cookie)
	}
	for name, count := range e.Headers {
		switch plain := normal(name); {
		case name == "X-Tableau-Auth", name == "X-Forwarded-For", name == "X-Forwarded-Host", name == "X-Forwarded-Proto":
		case slices.ContainsFunc(credentialLike, func(l string) bool { return normal(l) == plain }), plain == "authorization":
			t.Errorf("Tableau saw %d of the client's %s", count, name)
		}
	}
	if len(e.Trailers) != 0 {
		t.Errorf("Tableau saw the client's trailers %v", e.Trailers)
	}
}

func TestUpstreamSeesOneTokenAndNoCredentialOfTheClient(t *testing.T) {
	r := newRig(t, setup{})
	for _, c := range []*client{r.plain(), r.h2()} {
		t.Run(c.name, func(t *testing.T) {
			r.ResetJournal()
			req := c.request(http.MethodGet, "alice", workbooks, nil)
			for _, name := range credentialLike {
				req.Header[name] = []string{"one", "two"}
			}
			c.do(req).expect(r, http.StatusOK)
			expectOnlyOurToken(t, r.waitEntries(queryWorkbooks, 1)[0])
		})
	}
}

// A header that Connection names is hop-by-hop: a proxy has to take it out, and
// this is how a client could take out what the proxy has put in.
func TestConnectionHeaderDoesNotStripTheToken(t *testing.T) {
	r := newRig(t, setup{})
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	for _, lines := range []string{
		"Connection: X-Tableau-Auth\r\n",
		"connection: x-tableau-auth\r\n",
		"CONNECTION: X-TABLEAU-AUTH\r\n",
		"Connection: close, X-Tableau-Auth\r\n",
		"Connection: X-Tableau-Auth,x-tableau-auth , close\r\n",
		"Connection: keep-alive\r\nConnection: X-Tableau-Auth\r\nconnection: x-tableau-auth\r\n",
		"Connection: \tX-Tableau-Auth\t\r\n",
		"Connection: Host, Authorization, X-Tableau-Auth, Accept\r\n",
		"Connection: upgrade, X-Tableau-Auth\r\nUpgrade: websocket\r\n",
		"Proxy-Connection: X-Tableau-Auth\r\nKeep-Alive: X-Tableau-Auth\r\nTE: trailers, X-Tableau-Auth\r\n",
	} {
		t.Run(strings.ReplaceAll(lines, "\r\n", "|"), func(t *testing.T) {
			r.ResetJournal()
			r.raw(http.MethodGet, "GET "+workbooks+" HTTP/1.1\r\nHost: proxy\r\n"+authorization("alice")+lines+"\r\n").expect(r, http.StatusOK)
			entries := r.waitEntries(queryWorkbooks, 1)
			expectOnlyOurToken(t, entries[0])
			if len(entries) != 1 || entries[0].User != "alice" || r.signIns() != 0 {
				t.Errorf("%d requests and %d sign-ins for one answer to alice", len(entries), r.signIns())
			}
		})
	}
}

const graphQL = "/api/metadata/graphql"

func TestTrailersOfTheClientDoNotReachUpstream(t *testing.T) {
	r := newRig(t, setup{})
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	const query = `{"query":"{ workbooks { name } }"}`
	head := "POST " + graphQL + " HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Type: application/json\r\n" + authorization("alice")
	body := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n", len(query), query)
	trailers := "X-Tableau-Auth: stolen\r\nAuthorization: Basic YTpi\r\nX-Other: yes\r\n\r\n"
	for name, text := range map[string]string{
		"announced":     head + "Trailer: X-Tableau-Auth, X-Other\r\n" + body + trailers,
		"not announced": head + body + trailers,
	} {
		t.Run("HTTP/1.1, "+name, func(t *testing.T) {
			r.ResetJournal()
			r.raw(http.MethodPost, text).expect(r, http.StatusOK)
			expectOnlyOurToken(t, r.waitEntries("metadata_graphql", 1)[0])
		})
	}
	t.Run("HTTP/2", func(t *testing.T) {
		r.ResetJournal()
		c := r.h2()
		req := c.request(http.MethodPost, "alice", graphQL, io.NopCloser(strings.NewReader(query)), "Content-Type", "application/json")
		req.Trailer = http.Header{"X-Tableau-Auth": {"stolen"}, "X-Other": {"yes"}}
		c.do(req).expect(r, http.StatusOK)
		expectOnlyOurToken(t, r.waitEntries("metadata_graphql", 1)[0])
	})
}

// echoTrailers ends every answer with trailers that hand out the session.
func echoTrailers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token := req.Header.Get("X-Tableau-Auth")
		w.Header().Set("Trailer", "X-Tableau-Auth")
		next.ServeHTTP(w, req)
		if token == "" {
			return
		}
		w.Header().Set("X-Tableau-Auth", token)
		w.Header().Set(http.TrailerPrefix+"Set-Cookie", "workgroup_session_id="+token)
		w.Header().Set(http.TrailerPrefix+"X-Debug", token)
		w.Header().Set(http.TrailerPrefix+"X-Checksum", "harmless")
	})
}

// All tests of this package look at every answer for a token or a cookie of
// Tableau's, which their simulator has in every answer of its own. In this one
// they are not the session's, and the simulator is asked without the proxy too.
func TestClientSeesNeitherCookieNorTokenOfTableau(t *testing.T) {
	r := newRig(t, setup{wrap: otherCookies})
	want := r.directHeaders(t)
	for _, c := range []*client{r.plain(), r.h1(), r.h2()} {
		a := c.get("alice", workbooks).expect(r, http.StatusOK)
		for _, name := range want {
			private := name == "X-Tableau-Auth" || name == "Set-Cookie"
			if got := a.header.Get(name) != ""; got == private {
				t.Errorf("%s: header %s is there: %v", c.name, name, got)
			}
		}
	}
}

// directHeaders are the names of the headers in the simulator's answers.
func (r *rig) directHeaders(t *testing.T) []string {
	t.Helper()
	token, err := r.IssueSession(site, "alice", "tableau:content:read")
	if err != nil {
		t.Fatal(err)
	}
	url := r.URL + "/api/3.24/sites/" + tableautest.SiteLUID(site) + "/workbooks"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Tableau-Auth", token.Reveal())
	res, err := r.HTTP.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.Header.Get("X-Tableau-Auth") == "" || res.Header.Get("Set-Cookie") == "" {
		t.Fatal("the simulator does not hand out what the proxy is to remove")
	}
	return slices.Sorted(maps.Keys(res.Header))
}

// otherCookies puts cookies with nothing of the session in them, and a token
// that is not the session's, in the place of the simulator's.
func otherCookies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(&cookieWriter{w}, req)
	})
}

type cookieWriter struct{ http.ResponseWriter }

func (w *cookieWriter) WriteHeader(status int) {
	w.Header()["Set-Cookie"] = []string{"XSRF-TOKEN=0123456789; Path=/", "tableau_locale=en; Path=/"}
	w.Header()["X-Tableau-Auth"] = []string{"another"}
	w.ResponseWriter.WriteHeader(status)
}

func (w *cookieWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTrailersOfTableauHandOutNoSession(t *testing.T) {
	for name, trust := range map[string]string{"from HTTP/2": "", "from HTTP/1.1": "versions 1.1"} {
		t.Run(name, func(t *testing.T) {
			// Compressed or not, an answer needs an unknown length to have trailers.
			r := newRig(t, setup{wrap: withoutLength(echoTrailers), trust: trust})
			for _, c := range []*client{r.plain(), r.h2()} {
				a := c.get("alice", workbooks).expect(r, http.StatusOK)
				if got := a.trailer.Get("X-Checksum"); got != "harmless" {
					t.Errorf("%s: the trailer X-Checksum is %q: trailers do not pass at all", c.name, got)
				}
			}
		})
	}
}

// withoutLength makes the simulator's answers chunked.
func withoutLength(wrap wrapper) wrapper {
	return func(next http.Handler) http.Handler {
		return wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(&lengthless{w}, req)
		}))
	}
}

// A lengthless writer takes out the Content-Length.
type lengthless struct{ http.ResponseWriter }

func (w *lengthless) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
	_ = http.NewResponseController(w.ResponseWriter).Flush() // or net/http counts a short body itself
}

func (w *lengthless) Unwrap() http.ResponseWriter { return w.ResponseWriter }

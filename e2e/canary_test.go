// This test goes where secrets are likeliest to slip out, with every log at
// DEBUG. What the proxy says and writes is searched at its end, as it is in all
// tests of this package.

package e2e

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// echoing repeats to the proxy what it has presented: a JWT in the answer to a
// sign-in of a user whose name begins with "echo", and the session in headers
// of every other answer.
func echoing(next http.Handler) http.Handler {
	jwt := regexp.MustCompile(`jwt="([^"]+)"`)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if token := req.Header.Get("X-Tableau-Auth"); token != "" {
			w.Header().Set("X-Debug-Token", token)
			w.Header().Set("X-Debug-Request", "X-Tableau-Auth: "+token+"; path="+req.URL.Path)
			next.ServeHTTP(w, req)
			return
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
		if err != nil {
			return
		}
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		found := jwt.FindSubmatch(body)
		if found == nil || !strings.Contains(payloadOf(string(found[1])), `"sub":"echo`) {
			next.ServeHTTP(w, req)
			return
		}
		next.ServeHTTP(httptest.NewRecorder(), req) // so that the simulator knows the JWT
		w.Header().Set("Content-Type", "application/xml;charset=utf-8")
		w.Header().Set("X-Debug", string(found[1]))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, echo(string(found[1]), string(body)))
	})
}

// echo is a refusal that repeats a JWT and the request that it came in.
func echo(jwt, body string) string {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;").Replace(body)
	return `<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns="http://tableau.com/api"><error code="401001">` +
		"<summary>Signin Error " + url.QueryEscape(jwt) + "</summary><detail>Cannot read " + jwt + " in " + escaped + " (10082)</detail></error></tsResponse>"
}

// payloadOf is the middle of a JWT, decoded.
func payloadOf(jwt string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(payload)
}

// signInFaults are ways for a sign-in to go wrong, each with a user of its own,
// because a refusal is remembered for a while.
var signInFaults = map[string]tableautest.Fault{
	"html":       {Body: tableautest.HTMLBody},
	"empty":      {Body: tableautest.EmptyBody},
	"truncated":  {Body: tableautest.TruncatedBody},
	"huge":       {Body: tableautest.HugeBody, HugeSize: 4 * mebibyte},
	"type":       {Body: tableautest.WrongTypeBody},
	"redirect":   {Redirect: "https://joe:password@elsewhere.example/signin?jwt=x"},
	"throttled":  {Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "1"}},
	"broken":     {Refuse: &tableautest.Refusal{Code: "500000"}},
	"cut":        {Cut: tableautest.CutBeforeHeaders},
	"cut after":  {Cut: tableautest.CutAfterWork},
	"cut within": {Cut: tableautest.CutMidBody},
	"wrong user": {AnswerUser: "bob"},
	"wrong site": {AnswerSite: "marketing"},
}

// dataFaults are ways for a request to go wrong.
var dataFaults = map[string]tableautest.Fault{
	"html":       {Body: tableautest.HTMLBody},
	"truncated":  {Body: tableautest.TruncatedBody},
	"cut":        {Cut: tableautest.CutBeforeHeaders},
	"cut within": {Cut: tableautest.CutMidBody},
	"killed":     {KillSession: true, Count: 1},
	"refused":    {Refuse: &tableautest.Refusal{Code: "401002"}},
	"redirect":   {Redirect: "https://elsewhere.example/"},
}

func TestNoSecretInLogsFilesAdminAPIAndAnswers(t *testing.T) {
	nobody := noIdentity
	r := newRig(t, setup{
		identity: &nobody, users: headerUsers, wrap: echoing, global: "servers {\n\t\tlog_credentials\n\t}",
		tableau: tableautest.Options{SignInErrorHeaders: true, AcceptUser: func(string) bool { return true }},
	})
	clients := []*client{r.plain(), r.h2()}
	for i, name := range sortedKeys(signInFaults) {
		fault := signInFaults[name]
		fault.Match.SignIn = true
		active := r.AddFault(fault)
		_, _ = clients[i%2].try(clients[i%2].request(http.MethodGet, "", workbooks, nil, remoteUser, "user "+name))
		active.Remove()
		// Were it not for this, the next would not be sent: too many in a row fail.
		clients[i%2].get("", workbooks, remoteUser, "between "+name).expect(r, http.StatusOK)
	}
	for i, c := range clients {
		for _, accept := range []string{"application/xml", "application/json"} {
			_, _ = c.try(c.request(http.MethodGet, "", workbooks, nil, remoteUser, []string{"echo one", "echo two"}[i], "Accept", accept))
		}
		c.get("", workbooks, remoteUser, "alice").expect(r, http.StatusOK)
	}
	for i, name := range sortedKeys(dataFaults) {
		fault := dataFaults[name]
		fault.Match.Data = true
		active := r.AddFault(fault)
		_, _ = clients[i%2].try(clients[i%2].request(http.MethodGet, "", workbooks, nil, remoteUser, "alice"))
		active.Remove()
	}
	clients[0].get("", "/api/3.24/sites/-/users", remoteUser, "alice")
	r.adapt(t)
	r.collectAdmin()

	// A stack dump shows what a panic would.
	r.proxy.signal(syscall.SIGABRT)
	r.proxy.exitCode()
	if !strings.Contains(r.proxy.stderr.String(), "goroutine ") {
		t.Error("no stack dump in the output")
	}
	r.expectEvidence(t)
}

func sortedKeys(faults map[string]tableautest.Fault) []string {
	names := make([]string, 0, len(faults))
	for name := range faults {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// adapt keeps what the commands print that show a configuration.
func (r *rig) adapt(t *testing.T) {
	t.Helper()
	path := r.conf.write(t)
	for _, command := range []string{"adapt", "validate"} {
		done := runCaddy(t, r.conf.Dir, r.env(), command, "--config", path, "--adapter", "caddyfile")
		if done.code != 0 {
			t.Errorf("caddy %s: exit code %d", command, done.code)
		}
		r.kept.add("caddy "+command, []byte(done.stdout+done.stderr))
	}
}

// expectEvidence checks that the search has something to find secrets in: that
// each log holds what it is about, and that planted secrets are found.
func (r *rig) expectEvidence(t *testing.T) {
	t.Helper()
	r.collectFiles()
	for name, holds := range map[string]string{
		"stderr":                               `"level":"debug"`,
		"file access.log":                      `"X-Remote-User":["alice"]`,
		"file audit.log":                       "sign_in_refused",
		"file config/caddy/autosave.json":      "{env." + secretVariable + "}",
		"admin /config/":                       "{env." + secretVariable + "}",
		"admin /debug/pprof/goroutine?debug=2": "goroutine ",
		"caddy adapt":                          "{env." + secretVariable + "}",
		"an answer with status 200":            "Drafts of alice",
		"an answer with status 502":            "Bad Gateway",
	} {
		if !r.kept.has(name, holds) {
			t.Errorf("the search does not see %s with %q in it", name, holds)
		}
	}
	token, err := r.IssueSession(site, "alice")
	if err != nil {
		t.Fatal(err)
	}
	secret := r.app.Secrets[0].Value.Reveal()
	for name, planted := range map[string]string{
		"a token": token.Reveal(), "half a token": strings.Split(token.Reveal(), "|")[1], "an escaped token": url.QueryEscape(token.Reveal()),
		"a secret": secret, "an escaped secret": url.QueryEscape(secret), "an encoded secret": base64.StdEncoding.EncodeToString([]byte(secret)),
		"a password": clientPassword,
	} {
		if len(r.kept.leaks([]byte("some text "+planted+" and more"))) == 0 {
			t.Errorf("the search does not find %s", name)
		}
	}
}

// has tells whether a piece of this name holds a text.
func (e *evidence) has(name, text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.pieces, func(p piece) bool {
		return p.name == name && strings.Contains(string(p.content), text)
	})
}

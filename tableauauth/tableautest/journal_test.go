// This file tests the journal, the search for leaks, and that the package
// stays independent.

package tableautest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestJournalEntry(t *testing.T) {
	var seen []Entry
	w := newWorld(t, Options{OnRequest: func(e Entry) { seen = append(seen, e) }})
	token := w.issue("finance", "alice", scopeContent)
	w.call("GET", sitePath("finance", "/workbooks?pageSize=1"), "", "X-Tableau-Auth", token.Reveal(), "Accept", "text/xml",
		"X-Two", "a", "X-Two", "b", "Authorization", "Basic secret-value", "Cookie", "a=secret-value")
	e := w.last()
	if e.User != "alice" || e.Site != "finance" || e.Operation != "query_workbooks_for_site" || e.Status != 200 || e.Seq != 1 ||
		e.SessionID != w.Sessions()[0].ID || !slices.Equal(e.Scopes, []string{scopeContent}) || e.Headers["X-Two"] != 2 ||
		e.AuthTokens != 1 || !e.Authorization || !e.Cookie || e.Accept != "text/xml" || e.Query != "pageSize=1" || e.ResponseBytes == 0 ||
		!e.Time.Equal(w.clock.Now()) || e.ClientGone {
		t.Errorf("journal: %+v", e)
	}
	text, err := json.Marshal(e)
	if err != nil || strings.Contains(string(text), "secret-value") || len(w.Leaks(text)) > 0 {
		t.Errorf("the entry holds a secret: %v", err)
	}
	if len(seen) != 1 || seen[0].Seq != 1 {
		t.Errorf("OnRequest saw %d entries", len(seen))
	}
	e.Headers["X-Two"], e.Scopes[0] = 9, "changed"
	if again := w.last(); again.Headers["X-Two"] != 2 || again.Scopes[0] != scopeContent {
		t.Error("the journal's copy can be changed from outside")
	}
}

func TestJournalIsBounded(t *testing.T) {
	w := newWorld(t, Options{JournalSize: 3})
	for i := range 5 {
		w.call("GET", fmt.Sprintf("/%d", i), "")
	}
	var paths []string
	for _, e := range w.Journal() {
		paths = append(paths, e.Path)
	}
	if !slices.Equal(paths, []string{"/2", "/3", "/4"}) {
		t.Errorf("got %v", paths)
	}
	w.ResetJournal()
	w.call("GET", "/5", "")
	if e := w.last(); len(w.Journal()) != 1 || e.Seq != 6 {
		t.Errorf("after reset: %+v", w.Journal())
	}
}

func TestTrailersOverTheWire(t *testing.T) {
	for name, announcement := range map[string]string{"announced": "Trailer: X-Tableau-Auth\r\n", "not announced": ""} {
		s := NewServer(Options{})
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+current+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"+announcement+
			"\r\n1\r\nx\r\n0\r\nX-Tableau-Auth: T\r\n\r\n")
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		s.Close() // waits for the entry
		e := s.Journal()[0]
		if !slices.Equal(e.Trailers, []string{"X-Tableau-Auth"}) || e.BodyBytes != 1 || e.Code != "401000" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestLeaks(t *testing.T) {
	w := newWorld(t, Options{})
	jwt := w.directTrust("finance", "alice", scopeContent).sign(t)
	token := w.signInJWT(jwt, "finance").token(t).Reveal()
	id := w.Sessions()[0].ID
	w.KillSessions(SessionFilter{})
	app := w.ConnectedApp("finance")
	secret := app.Secrets[0].Value.Reveal()
	sessionName, secretName := "token of session "+id+" of alice", "secret "+app.Secrets[0].ID+" of connected app "+app.ClientID
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", strings.Repeat("harmless ", 1000) + UserLUID("", "alice"), nil},
		{"token", "x" + token + "y", []string{sessionName}},
		{"token, escaped", url.QueryEscape(token), []string{sessionName}},
		{"token, first part", token[:22], []string{sessionName}},
		{"token, second part", token[23:55], []string{sessionName}},
		{"JWT", jwt, []string{"JWT"}},
		{"secret", secret, []string{secretName}},
		{"secret, base64", base64.StdEncoding.EncodeToString([]byte(secret)), []string{secretName}},
		{"password", `"` + w.password("bob") + `"`, []string{"password of bob"}},
		{"PAT", w.PATs("bob")[0].Secret.Reveal(), []string{"secret of PAT bob-pat"}},
		{"two", token + secret, []string{secretName, sessionName}},
	} {
		if got := w.Leaks([]byte(test.text)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestVaultIsBounded(t *testing.T) {
	v := newVault()
	for i := range maxParts + 10 {
		v.keepPart(fmt.Sprintf("%032d", i), "x")
	}
	if len(v.parts) != maxParts || len(v.order) != maxParts {
		t.Errorf("%d and %d parts", len(v.parts), len(v.order))
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := AppSecret{ID: "id", Value: "hidden value"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s.Value)
	text, _ := json.Marshal(s)
	all := fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s.Value, s.Value, s.Value) + log.String() + string(text)
	if strings.Contains(all, "hidden") || strings.Contains(all, fmt.Sprintf("%x", "hidden value")) {
		t.Error("a secret was printed: " + all)
	}
}

func TestStats(t *testing.T) {
	w := newWorld(t, Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { w.signInPassword("alice", "") })
	}
	wg.Wait()
	w.KillSessions(SessionFilter{})
	s := w.Stats()
	if s.Requests != 8 || s.MaxLiveSessions != 8 || s.LiveSessions != 0 || s.Ended[EndKilled] != 8 ||
		s.SignInsInFlight != 0 || s.MaxSignInsInFlight < 1 || s.MaxSignInsInFlight > 8 {
		t.Errorf("%+v", s)
	}
}

func TestNewRefusesContradictions(t *testing.T) {
	for name, opts := range map[string]Options{
		"app of unknown site": {ConnectedApps: []ConnectedApp{{ClientID: "x", Site: "none"}}},
		"three secrets":       {ConnectedApps: []ConnectedApp{{ClientID: "x", Site: "finance", Secrets: make([]AppSecret, 3)}}},
		"Default on Cloud":    {Cloud: true, Sites: []Site{{}}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			New(opts)
		}()
	}
}

// The simulator must not share code with what it tests, and programs that
// link it must not get package testing.
func TestIndependence(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		own := strings.Contains(dep, "caddy-tableau") && !strings.HasSuffix(dep, "/tableautest")
		if own || strings.Contains(dep, "caddyserver") || dep == "testing" || strings.HasPrefix(dep, "testing/") {
			t.Errorf("imports %s", dep)
		}
	}
}

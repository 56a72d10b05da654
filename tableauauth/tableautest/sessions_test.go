// This file tests how sessions live and end.

package tableautest

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestIdleLimit(t *testing.T) {
	for _, test := range []struct {
		opts  Options
		site  string
		limit time.Duration
	}{{Options{}, "", 240 * time.Minute}, {Options{Cloud: true}, "finance", 120 * time.Minute}, {Options{IdleLimit: time.Minute}, "", time.Minute}} {
		w := newWorld(t, test.opts)
		user := w.Users()[0].Name
		token := w.issue(test.site, user)
		for range 3 { // use extends it
			w.clock.advance(test.limit)
			w.wantAlive(token)
		}
		w.clock.advance(test.limit + time.Second)
		w.wantDead(token, "401002")
		if n := w.Stats().Ended[EndIdle]; n != 1 {
			t.Errorf("%d sessions ended idle, want 1", n)
		}
	}
}

func TestLifetimeLimit(t *testing.T) {
	w := newWorld(t, Options{LifetimeLimit: time.Hour})
	token := w.issue("", "alice")
	for range 6 {
		w.clock.advance(10 * time.Minute)
		w.wantAlive(token)
	}
	w.clock.advance(time.Second)
	w.wantDead(token, "401002")
	if n := w.Stats().Ended[EndLifetime]; n != 1 {
		t.Errorf("%d sessions ended by their lifetime, want 1", n)
	}
}

func TestExpiredCode(t *testing.T) {
	w := newWorld(t, Options{Undocumented: Undocumented{ExpiredCode: "401000"}})
	token := w.issue("", "alice")
	w.clock.advance(241 * time.Minute)
	w.wantDead(token, "401000")
	w.wantDead(token, "401000")
	w.wantDead("never|was|a token", "401002")
}

func TestSweepEndsIdleSessions(t *testing.T) {
	w := newWorld(t, Options{})
	w.issue("", "alice")
	w.clock.advance(241 * time.Minute)
	w.issue("", "bob")
	if n := w.Stats().LiveSessions; n != 1 {
		t.Errorf("%d live sessions, want 1", n)
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t, Options{})
	token, other := w.issue("", "alice"), w.issue("", "alice")
	got := w.as(token, "POST", "/api/3.27/auth/signout")
	if got.status != 204 || got.body != "" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	if e := w.last(); e.User != "alice" || e.Operation != "sign_out" {
		t.Errorf("journal: %+v", e)
	}
	w.wantDead(token, "401002")
	w.wantAlive(other)
	if got := w.as(token, "POST", "/api/3.27/auth/signout"); got.code() != "401002" {
		t.Errorf("second sign-out: %d %s", got.status, got.code())
	}
}

func TestNoCredentials(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.call("GET", current, ""); got.code() != "401000" {
		t.Errorf("none: got %d %s", got.status, got.code())
	}
	if got := w.call("GET", current, "", "X-Tableau-Auth", ""); got.code() != "401002" {
		t.Errorf("empty: got %d %s", got.status, got.code())
	}
	token := w.issue("", "alice").Reveal()
	for _, value := range []string{" " + strings.ToUpper(token), token + "x", token[:len(token)-1], token + "," + token, strings.Split(token, "|")[0]} {
		if got := w.call("GET", current, "", "X-Tableau-Auth", value); got.code() != "401002" {
			t.Errorf("altered token: got %d %s", got.status, got.code())
		}
	}
	for _, header := range []string{"Authorization", "Cookie"} {
		value := map[string]string{"Authorization": "Bearer " + token, "Cookie": "workgroup_session_id=" + token}[header]
		if got := w.call("GET", current, "", header, value); got.code() != "401000" {
			t.Errorf("%s: got %d %s", header, got.status, got.code())
		}
	}
	if e := w.last(); !e.Cookie || e.Authorization || e.AuthTokens != 0 {
		t.Errorf("journal: %+v", e)
	}
}

func TestTwoTokensAreRefused(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("", "alice").Reveal()
	got := w.call("GET", current, "", "X-Tableau-Auth", token, "x-tableau-auth", token)
	if got.code() != "400000" || w.last().AuthTokens != 2 {
		t.Errorf("got %d %s, %d tokens", got.status, got.code(), w.last().AuthTokens)
	}
}

func TestAcceptCookie(t *testing.T) {
	w := newWorld(t, Options{AcceptCookie: true})
	token := w.issue("", "alice").Reveal()
	if got := w.call("GET", current, "", "Cookie", "workgroup_session_id="+token); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}

func TestCookieAndEcho(t *testing.T) {
	w := newWorld(t, Options{EchoToken: true})
	token := w.issue("", "alice")
	got := w.as(token, "GET", current)
	if got.header.Get("X-Tableau-Auth") != token.Reveal() || !strings.Contains(got.header.Get("Set-Cookie"), token.Reveal()) {
		t.Error("the token should be in header and cookie")
	}
	w = newWorld(t, Options{NoCookies: true})
	got = w.as(w.issue("", "alice"), "GET", current)
	if got.header.Get("X-Tableau-Auth") != "" || got.header.Get("Set-Cookie") != "" {
		t.Error("neither header nor cookie was asked for")
	}
}

func switchTo(w *world, token Secret, site string) reply {
	return w.call("POST", "/api/3.27/auth/switchSite", `<tsRequest><site contentUrl="`+site+`"/></tsRequest>`, "X-Tableau-Auth", token.Reveal())
}

func TestSwitchSite(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("finance", "alice")
	if got := switchTo(w, token, "Finance"); got.code() != "403070" {
		t.Errorf("same site: %d %s", got.status, got.code())
	}
	if got := switchTo(w, token, "nowhere"); got.code() != "401003" {
		t.Errorf("unknown site: %d %s", got.status, got.code())
	}
	w.wantAlive(token)
	got := switchTo(w, token, "marketing")
	next := got.token(t)
	if got.credentials(t).Credentials.Site.ID != SiteLUID("marketing") || next == token {
		t.Errorf("got %d", got.status)
	}
	w.wantDead(token, "401002")
	w.wantAlive(next)
	if got := w.as(next, "GET", sitePath("marketing", "/workbooks")); got.status != 200 {
		t.Errorf("on the new site: %d", got.status)
	}
}

func TestSwitchSiteKeepsPATRule(t *testing.T) {
	w := newWorld(t, Options{})
	next := switchTo(w, w.signInPAT("alice", "finance").token(t), "marketing").token(t)
	w.signInPAT("alice", "finance")
	w.wantDead(next, "401002")
}

func TestSwitchSiteWithJWT(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		w := newWorld(t, Options{Undocumented: Undocumented{RefuseJWTSwitchSite: refuse}})
		if got := switchTo(w, w.issue("finance", "alice", scopeContent), "marketing"); got.code() != "401002" {
			t.Errorf("without the scope: %d", got.status)
		}
		got := switchTo(w, w.issue("finance", "alice", "tableau:sites:switch"), "marketing")
		if refuse != (got.code() == "401002") {
			t.Errorf("refuse %v: %d %s", refuse, got.status, got.code())
		}
	}
}

func TestDeleteSession(t *testing.T) {
	w := newWorld(t, Options{})
	alice, bob, admin := w.issue("", "alice"), w.issue("", "bob"), w.issue("", "admin")
	id := w.Sessions()[0].ID
	if got := w.as(bob, "DELETE", "/api/3.27/sessions/"+id); got.status != 404 {
		t.Errorf("another's session: %d", got.status)
	}
	w.wantAlive(alice)
	if got := w.as(admin, "DELETE", "/api/3.27/sessions/"+id); got.status != 204 {
		t.Errorf("as administrator: %d", got.status)
	}
	w.wantDead(alice, "401002")
}

func TestCurrentSession(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("finance", "alice", "tableau:jobs:read")
	got := w.call("GET", current, "", "X-Tableau-Auth", token.Reveal(), "Accept", "application/json")
	want := `{"session":{"site":{"id":"` + SiteLUID("finance") + `","name":"Finance","contentUrl":"finance"},"user":{"id":"` +
		UserLUID("finance", "alice") + `","name":"alice","siteRole":"Creator"}}}`
	if got.body != want {
		t.Errorf("got %s", got.body)
	}
}

func TestKillAndList(t *testing.T) {
	w := newWorld(t, Options{})
	alice, bob := w.issue("", "alice"), w.issue("finance", "bob", scopeContent)
	infos := w.Sessions()
	if len(infos) != 2 || infos[1].User != "bob" || infos[1].Kind != KindDirectTrust || infos[1].Site != "finance" || len(infos[1].Scopes) != 1 {
		t.Fatalf("sessions: %+v", infos)
	}
	if n := w.KillSessions(SessionFilter{Site: "default"}); n != 1 {
		t.Errorf("%d killed, want 1", n)
	}
	w.wantDead(alice, "401002")
	w.wantAlive(bob)
	if n := w.KillSessions(SessionFilter{}); n != 1 {
		t.Errorf("%d killed, want 1", n)
	}
	w.wantDead(bob, "401002")
}

func TestWithdrawnCredentials(t *testing.T) {
	for _, ends := range []bool{false, true} {
		for name, withdraw := range map[string]func(*world, ConnectedApp) error{
			"secret deleted": func(w *world, a ConnectedApp) error { return w.DeleteSecret(a.ClientID, a.Secrets[0].ID) },
			"app disabled":   func(w *world, a ConnectedApp) error { return w.EnableApp(a.ClientID, false) },
		} {
			w := newWorld(t, Options{Undocumented: Undocumented{RevokeEndsSessions: ends}})
			token := w.signInJWT(w.directTrust("finance", "alice", scopeContent).sign(t), "finance").token(t)
			if err := withdraw(w, w.ConnectedApp("finance")); err != nil {
				t.Fatal(err)
			}
			if got := w.as(token, "GET", current).status; ends != (got == 401) {
				t.Errorf("%s, ends %v: got %d", name, ends, got)
			}
		}
	}
}

func TestRemovedUserCannotGoOn(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.issue("", "alice")
	w.RemoveUser("alice")
	w.wantDead(token, "401002")
}

func TestRotationLimits(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.ConnectedApp("finance").ClientID
	second, err := w.AddSecret(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddSecret(id); !errors.Is(err, ErrSecretLimit) {
		t.Errorf("third secret: %v", err)
	}
	if err := w.DeleteSecret(id, second.ID); err != nil {
		t.Error(err)
	}
	if err := w.DeleteSecret(id, second.ID); err == nil {
		t.Error("a secret was deleted twice")
	}
	if _, err := w.AddSecret("nobody"); err == nil {
		t.Error("an unknown app got a secret")
	}
}

// This file tests sign-in by password and PAT, impersonation, and the wire
// forms of sign-in.

package tableautest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPassword(t *testing.T) {
	w := newWorld(t, Options{})
	got := w.signInPassword("alice", "marketing").credentials(t).Credentials
	if got.User.ID != UserLUID("marketing", "alice") || got.Site.ID != SiteLUID("marketing") {
		t.Errorf("signed in as %+v", got)
	}
	if got := w.signIn(`name="ALICE" password="`+w.password("alice")+`"`, "MARKETING"); got.status != 200 {
		t.Errorf("user names and content URLs are compared without case, got %d", got.status)
	}
	for _, attrs := range []string{`name="alice" password="wrong"`, `name="nobody" password="x"`, `name="alice"`, `name="alice" password=""`} {
		if got := w.signIn(attrs, ""); got.code() != "401001" {
			t.Errorf("%s: got %d %s", attrs, got.status, got.code())
		}
	}
}

func TestPasswordLockout(t *testing.T) {
	w := newWorld(t, Options{LockoutAfter: 2})
	for range 2 {
		w.signIn(`name="alice" password="wrong"`, "")
	}
	if got := w.signInPassword("alice", ""); got.code() != "401001" || !strings.Contains(w.last().Reason, "locked") {
		t.Errorf("got %d, %s", got.status, w.last().Reason)
	}
	if got := w.signInPassword("bob", ""); got.status != 200 {
		t.Errorf("bob: got %d", got.status)
	}
}

func TestUserWithoutPassword(t *testing.T) {
	w := newWorld(t, Options{Users: []User{{Name: "saml"}}})
	if got := w.signIn(`name="saml" password=""`, ""); got.code() != "401001" {
		t.Errorf("got %d", got.status)
	}
}

func TestSiteMembership(t *testing.T) {
	w := newWorld(t, Options{Users: []User{{Name: "eve", Password: "eve's password", Sites: []string{"finance"}}}})
	if got := w.signInPassword("eve", "marketing"); got.code() != "401001" {
		t.Errorf("marketing: got %d", got.status)
	}
	if got := w.signInPassword("eve", "finance"); got.status != 200 {
		t.Errorf("finance: got %d", got.status)
	}
}

func TestUnknownSite(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.signInPassword("alice", "nowhere"); got.code() != "401001" {
		t.Errorf("got %d %s", got.status, got.code())
	}
}

func TestCloud(t *testing.T) {
	w := newWorld(t, Options{Cloud: true})
	if got := w.signInPassword("alice@example.com", "finance"); got.code() != "401001" {
		t.Errorf("password: got %d", got.status)
	}
	if got := w.signInPAT("alice@example.com", ""); got.code() != "401001" {
		t.Errorf("site without content URL: got %d", got.status)
	}
	token := w.signInPAT("admin@example.com", "finance").token(t)
	if got := w.as(token, "GET", "/api/3.27/sites"); got.code() != "403069" {
		t.Errorf("listing sites: got %d %s", got.status, got.code())
	}
}

func TestPATHasOneSession(t *testing.T) {
	w := newWorld(t, Options{})
	first := w.signInPAT("alice", "finance").token(t)
	other := w.signInPAT("bob", "finance").token(t)
	w.wantAlive(first)
	second := w.signInPAT("alice", "marketing").token(t)
	w.wantDead(first, "401002")
	w.wantAlive(second)
	w.wantAlive(other)
	if got := w.Stats().Ended[EndPATReuse]; got != 1 {
		t.Errorf("%d sessions ended by PAT reuse, want 1", got)
	}
}

func TestPasswordSessionsCoexist(t *testing.T) {
	w := newWorld(t, Options{})
	first := w.signInPassword("alice", "").token(t)
	w.signInPassword("alice", "")
	w.wantAlive(first)
}

func TestPATEnds(t *testing.T) {
	pat := PAT{Name: "p", Secret: "the secret of the PAT", User: "alice"}
	for _, test := range []struct {
		name string
		pat  PAT
		do   func(*world)
	}{
		{"expired", PAT{Name: "p", Secret: pat.Secret, User: "alice", Expires: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}, func(*world) {}},
		{"not used", pat, func(w *world) { w.clock.advance(15*24*time.Hour + time.Second) }},
		{"revoked", pat, func(w *world) { _ = w.RevokePAT("p") }},
		{"owner removed", pat, func(w *world) { w.RemoveUser("alice") }},
		{"secret changed", pat, func(w *world) { w.AddPAT(PAT{Name: "p", Secret: "another", User: "alice"}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{PATs: []PAT{test.pat}})
			test.do(w)
			got := w.signIn(`personalAccessTokenName="p" personalAccessTokenSecret="`+pat.Secret.Reveal()+`"`, "")
			wantRefused(t, w, got, 0)
		})
	}
}

func TestRevokePATEndsSession(t *testing.T) {
	w := newWorld(t, Options{})
	token := w.signInPAT("alice", "").token(t)
	if err := w.RevokePAT("alice-pat"); err != nil {
		t.Fatal(err)
	}
	w.wantDead(token, "401002")
}

func TestImpersonation(t *testing.T) {
	for _, test := range []struct {
		name, by string
		opts     Options
		pat      bool
		target   string
		want     string // user, or "" for a refusal
	}{
		{"admin by password", "admin", Options{}, false, UserLUID("", "bob"), "bob"},
		{"not an admin", "alice", Options{}, false, UserLUID("", "bob"), ""},
		{"unknown target", "admin", Options{}, false, UserLUID("finance", "bob"), ""},
		{"by name", "admin", Options{}, false, "bob", ""},
		{"PAT, not enabled", "admin", Options{}, true, UserLUID("", "bob"), ""},
		{"PAT, enabled", "admin", Options{PATImpersonation: true}, true, UserLUID("", "bob"), "bob"},
		{"PAT, not an admin", "alice", Options{PATImpersonation: true}, true, UserLUID("", "bob"), ""},
		{"empty user ID", "alice", Options{}, false, "", "alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.opts)
			attrs := fmt.Sprintf(`name=%q password=%q`, test.by, w.password(test.by))
			if test.pat {
				p := w.PATs(test.by)[0]
				attrs = fmt.Sprintf(`personalAccessTokenName=%q personalAccessTokenSecret=%q`, p.Name, p.Secret.Reveal())
			}
			got := w.call("POST", "/api/3.27/auth/signin",
				`<tsRequest><credentials `+attrs+`><site contentUrl=""/><user id="`+test.target+`"/></credentials></tsRequest>`)
			if test.want == "" {
				wantRefused(t, w, got, 0)
			} else if got.credentials(t).Credentials.User.ID != UserLUID("", test.want) || w.last().User != test.want {
				t.Errorf("got %d as %q", got.status, w.last().User)
			}
		})
	}
}

func TestImpersonationNotOnCloud(t *testing.T) {
	w := newWorld(t, Options{Cloud: true, PATImpersonation: true})
	p := w.PATs("admin@example.com")[0]
	got := w.call("POST", "/api/3.27/auth/signin", fmt.Sprintf(
		`{"credentials":{"personalAccessTokenName":%q,"personalAccessTokenSecret":%q,"site":{"contentUrl":"finance"},"user":{"id":%q}}}`,
		p.Name, p.Secret.Reveal(), UserLUID("finance", "bob@example.com")), "Accept", "application/xml")
	wantRefused(t, w, got, 0)
}

func TestSignInForms(t *testing.T) {
	w := newWorld(t, Options{})
	pw := w.password("alice")
	xmlBody := `<tsRequest><credentials name="alice" password="` + pw + `"><site contentUrl="finance"/></credentials></tsRequest>`
	jsonBody := `{"credentials":{"name":"alice","password":"` + pw + `","site":{"contentUrl":"finance"},"user":{"id":null},"isUat":false}}`
	for _, test := range []struct {
		name, body string
		headers    []string
		want       string
	}{
		{"XML, no headers", xmlBody, nil, typeXML},
		{"XML, any", xmlBody, []string{"Accept", "*/*"}, typeXML},
		{"XML, JSON wanted", xmlBody, []string{"Accept", "application/json"}, typeJSON},
		{"XML, labelled JSON", xmlBody, []string{"Content-Type", "application/json"}, typeXML},
		{"XML with declaration, namespace and space", " \n<?xml version='1.0'?>" + strings.Replace(xmlBody, "<tsRequest>", `<tsRequest xmlns="http://tableau.com/api">`, 1), nil, typeXML},
		{"JSON, JSON wanted", jsonBody, []string{"Accept", "application/json"}, typeJSON},
		{"JSON, JSON among others", jsonBody, []string{"Accept", "application/json, text/plain, */*"}, typeJSON},
		{"JSON, XML wanted", jsonBody, []string{"Accept", "application/xml"}, typeXML},
		{"JSON, any", jsonBody, []string{"Accept", "*/*"}, typeJSON},
		{"JSON, nothing", jsonBody, nil, typeJSON},
		{"stale token", xmlBody, []string{"X-Tableau-Auth", "a|b|c", "X-Tableau-Auth", "d"}, typeXML},
		{"isUat as any string", strings.Replace(xmlBody, "name=", `isUat="marketing" name=`, 1), nil, typeXML},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.call("POST", "/api/3.27/auth/signin", test.body, test.headers...)
			if got.status != 200 || got.header.Get("Content-Type") != test.want {
				t.Fatalf("got %d %s", got.status, got.header.Get("Content-Type"))
			}
			got.credentials(t)
			if test.want == typeXML && !strings.HasPrefix(got.body, "<?xml") {
				t.Error("no XML declaration")
			}
			if cookie := got.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "workgroup_session_id=") {
				t.Error("no workgroup_session_id cookie")
			}
		})
	}
	w.opts.Undocumented.XMLForJSONBody = true
	if got := w.call("POST", "/api/3.27/auth/signin", jsonBody); got.header.Get("Content-Type") != typeXML {
		t.Errorf("XMLForJSONBody: got %s", got.header.Get("Content-Type"))
	}
}

func TestSignInWithoutSiteElement(t *testing.T) {
	w := newWorld(t, Options{})
	got := w.call("POST", "/api/3.27/auth/signin", `<tsRequest><credentials name="alice" password="`+w.password("alice")+`"><site/></credentials></tsRequest>`)
	if got.credentials(t).Credentials.Site.ContentURL != "" {
		t.Error("a site without contentUrl is the Default site")
	}
}

func TestBadSignInBodies(t *testing.T) {
	w := newWorld(t, Options{})
	for _, body := range []string{
		"", " ", "x", "{", "[]", `{"credentials":7}`, `{}`, "<tsRequest/>", "<credentials/>", "<tsRequest><credentials",
		`<!DOCTYPE a [<!ENTITY b "c">]><tsRequest><credentials name="alice" password="&b;"/></tsRequest>`,
		`<!DOCTYPE a><tsRequest><credentials name="alice" password="` + w.password("alice") + `"/></tsRequest>`,
		`<tsRequest><credentials/></tsRequest>`, `<tsRequest><credentials name="a" password="b" jwt="c"/></tsRequest>`,
		`<tsRequest><credentials name="a" password="b"/></tsRequest><tsRequest>`, "\xff\xfe<\x00",
	} {
		if got := w.call("POST", "/api/3.27/auth/signin", body); got.status != 400 {
			t.Errorf("%q: got %d %s, want 400", body, got.status, got.code())
		}
	}
	if got := w.call("POST", "/api/3.27/auth/signin", strings.Repeat(" ", maxPayload+1)); got.status != 413 {
		t.Errorf("too large: got %d, want 413", got.status)
	}
}

func TestEstimate(t *testing.T) {
	for _, all := range []bool{false, true} {
		w := newWorld(t, Options{Undocumented: Undocumented{EstimateForAll: all}})
		if got := w.signInPAT("alice", "").credentials(t).Credentials.Estimate; got != "365:00:00" {
			t.Errorf("PAT: %q, want 365:00:00", got)
		}
		if got := w.signInPassword("alice", "").credentials(t).Credentials.Estimate; all != (got == "0:04:00") {
			t.Errorf("password, for all %v: %q", all, got)
		}
	}
}

func TestServerInfo(t *testing.T) {
	w := newWorld(t, Options{})
	for _, path := range []string{"/api/2.4/serverInfo", "/api/3.27/serverinfo", "/api/3.24/SERVERINFO"} {
		got := w.call("GET", path, "")
		if got.status != 200 || !strings.Contains(got.body, "<restApiVersion>3.27</restApiVersion>") {
			t.Errorf("%s: got %d %s", path, got.status, got.body)
		}
	}
	got := w.call("GET", "/api/3.24/serverinfo", "", "Accept", "application/json")
	if want := `{"serverInfo":{"productVersion":{"value":"2025.3.0","build":"2025.3.0.1"},"restApiVersion":"3.27"}}`; got.body != want {
		t.Errorf("JSON: got %s", got.body)
	}
	if got := w.call("GET", "/api/2.3/serverinfo", ""); got.code() != "404003" {
		t.Errorf("2.3: got %d %s", got.status, got.code())
	}
}

func TestBadVersion(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.call("GET", "/api/3.28/serverinfo", ""); got.code() != "404001" {
		t.Errorf("got %d %s", got.status, got.code())
	}
	w.opts.Undocumented.HTMLForBadVersion = true
	if got := w.call("GET", "/api/3.28/serverinfo", ""); got.status != 404 || got.header.Get("Content-Type") != typeHTML {
		t.Errorf("got %d %s", got.status, got.header.Get("Content-Type"))
	}
}

func TestSignInAtOldVersions(t *testing.T) {
	w, i := unified(t, nil)
	pat := w.PATs("alice@example.com")[0]
	for _, test := range []struct{ version, attrs string }{
		{"3.5", `personalAccessTokenName="` + pat.Name + `" personalAccessTokenSecret="` + pat.Secret.Reveal() + `"`},
		{"3.15", `jwt="` + w.directTrust("finance", "alice@example.com", scopeContent).sign(t) + `"`},
		{"3.26", `isUat="true" jwt="` + w.uat(i).sign(t) + `"`},
	} {
		body := `<tsRequest><credentials ` + test.attrs + `><site contentUrl="finance"/></credentials></tsRequest>`
		w.opts.Undocumented.OldVersionsRefuse = true
		wantRefused(t, w, w.call("POST", "/api/"+test.version+"/auth/signin", body), 0)
		w.opts.Undocumented.OldVersionsRefuse = false
		if got := w.call("POST", "/api/"+test.version+"/auth/signin", body); got.status != 200 {
			t.Errorf("%s: got %d (%s)", test.version, got.status, w.last().Reason)
		}
		w.KillSessions(SessionFilter{})
	}
}

func TestSignInCounts(t *testing.T) {
	w := newWorld(t, Options{JournalSize: -1})
	w.signInPassword("alice", "finance")
	w.signInPassword("alice", "finance")
	w.signInPAT("bob", "marketing")
	w.signIn(`name="alice" password="x"`, "finance")
	for _, test := range []struct {
		filter SignInFilter
		want   int
	}{
		{SignInFilter{}, 3},
		{SignInFilter{User: "alice"}, 2},
		{SignInFilter{Site: "marketing"}, 1},
		{SignInFilter{Kind: KindPAT}, 1},
		{SignInFilter{Code: "401001"}, 1},
		{SignInFilter{User: "bob", Site: "finance"}, 0},
	} {
		if got := w.SignIns(test.filter); got != test.want {
			t.Errorf("%+v: %d, want %d", test.filter, got, test.want)
		}
	}
	w.ResetJournal()
	if got := w.SignIns(SignInFilter{}); got != 0 {
		t.Errorf("after reset: %d", got)
	}
}

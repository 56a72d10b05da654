package caddymodule

// This file checks the calls that the proxy answers itself: sign-in, sign-out
// and switchSite, as Tableau's clients send them, and the token that they give.

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	signInPath  = api + "/auth/signin"
	signOutPath = api + "/auth/signout"
	switchPath  = api + "/auth/switchSite"

	bothSites = "\t\tsite finance marketing\n\t\tuser {http.auth.user.id}\n\t\tscopes tableau:content:read"
)

// xmlSignIn is a sign-in with a password that nobody looks at.
func xmlSignIn(site string) string {
	return `<tsRequest><credentials name="any" password="nobodys-secret"><site contentUrl="` + site + `"/></credentials></tsRequest>`
}

// jsonSignIn is a sign-in with a token that nobody looks at.
func jsonSignIn(site string) string {
	return `{"credentials":{"personalAccessTokenName":"any","personalAccessTokenSecret":"nobodys-secret","site":{"contentUrl":"` + site + `"}}}`
}

// A given is what a client reads out of the answer to a sign-in.
type given struct {
	XMLName     xml.Name `xml:"http://tableau.com/api tsResponse" json:"-"`
	Credentials struct {
		Token string `xml:"token,attr" json:"token"`
		Site  struct {
			ID         string  `xml:"id,attr" json:"id"`
			ContentURL *string `xml:"contentUrl,attr" json:"contentUrl"`
		} `xml:"site" json:"site"`
		User struct {
			ID string `xml:"id,attr" json:"id"`
		} `xml:"user" json:"user"`
	} `xml:"credentials" json:"credentials"`
}

// read reads the answer to a sign-in, which must be good, as strictly as the
// strictest client.
func read(t *testing.T, a answer, format tableauapi.Format) given {
	t.Helper()
	var g given
	var err error
	if format == tableauapi.JSON {
		err = json.Unmarshal([]byte(a.body), &g)
	} else if err = xml.Unmarshal([]byte(a.body), &g); !strings.HasPrefix(a.body, "<?xml ") {
		t.Errorf("the body does not begin with an XML declaration: %.40s", a.body)
	}
	if a.status != http.StatusOK || err != nil || g.Credentials.Site.ContentURL == nil {
		t.Fatalf("status %d, %v: %s", a.status, err, a.body)
	}
	if got := a.header.Get("Content-Type"); got != format.ContentType() {
		t.Errorf("Content-Type %q, want %q", got, format.ContentType())
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", got)
	}
	return g
}

// signIn makes a sign-in of user, which must be good, and returns its token.
func (r *rig) signIn(t *testing.T, user, site string) string {
	t.Helper()
	return read(t, r.post(t, user, signInPath, xmlSignIn(site)), tableauapi.XML).Credentials.Token
}

func (r *rig) post(t *testing.T, user, path, body string, header ...string) answer {
	t.Helper()
	return r.do(t, call{user: user, method: http.MethodPost, path: path, body: body, header: headers(header...)})
}

// reload loads another configuration, at another address: Caddy closes the old
// listener when it has returned, and could reset a connection to it.
func (r *rig) reload(t *testing.T, s setup) {
	t.Helper()
	r.address = freeAddress(t)
	r.load(t, s)
}

// with asks for the workbooks of the default site, with a token.
func (r *rig) with(t *testing.T, user, token string) answer {
	t.Helper()
	return r.get(t, user, workbooks, headerAuth, token)
}

func expectStatus(t *testing.T, what string, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.code() != code {
		t.Errorf("%s: status %d, code %q, want %d, %q: %s", what, a.status, a.code(), status, code, a.body)
	}
}

func TestSignInIsAnsweredWithRealIDsAndATokenOfOurs(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for _, test := range []struct {
		format tableauapi.Format
		body   string
	}{{tableauapi.XML, xmlSignIn("finance")}, {tableauapi.JSON, jsonSignIn("finance")}} {
		c := read(t, r.post(t, "alice", signInPath, test.body), test.format).Credentials
		if c.Site.ID != tableautest.SiteLUID(testSite) || *c.Site.ContentURL != testSite || c.User.ID != tableautest.UserLUID(testSite, "alice") {
			t.Errorf("site %q (%q), user %q", c.Site.ID, *c.Site.ContentURL, c.User.ID)
		}
		if parts := strings.Split(c.Token, "|"); len(parts) != 3 || len(parts[0]) != 22 || parts[2] != c.Site.ID {
			t.Errorf("the token has %d parts and does not end with the site's LUID", len(parts))
		}
		expectStatus(t, "with the token", r.with(t, "alice", c.Token), http.StatusOK, "")
	}
}

func TestTokenIsWorthNothingAtTableau(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	req, err := http.NewRequest(http.MethodGet, r.URL+api+"/sessions/current", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(headerAuth, r.signIn(t, "alice", "finance"))
	res, err := r.HTTP.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("Tableau answers the token with %s", res.Status)
	}
}

// What public clients are known to send, quirks and all.
func TestSignInTakesWhatClientsSend(t *testing.T) {
	const plain, anything = signInPath, "*/*"
	jwt := func(more, site string) string {
		return `<tsRequest><credentials jwt="e30.e30.c2ln" ` + more + `>` + site + `</credentials></tsRequest>`
	}
	site := `<site contentUrl="finance" />`
	tests := []struct {
		name, path, body string
		header           []string
		want             tableauapi.Format
	}{
		{"password, no Content-Type", plain, xmlSignIn("finance"), []string{"Accept", anything}, tableauapi.XML},
		{"PAT in XML", plain, `<tsRequest><credentials personalAccessTokenName="n" personalAccessTokenSecret="s">` + site + `</credentials></tsRequest>`, nil, tableauapi.XML},
		{"XML declaration and namespace", plain, "<?xml version='1.0' encoding='UTF-8'?>\n" + strings.Replace(xmlSignIn("finance"), "<tsRequest", `<tsRequest xmlns="http://tableau.com/api"`, 1), nil, tableauapi.XML},
		{"JWT with isUat false", plain, jwt(`isUat="false"`, site), nil, tableauapi.XML},
		{"JWT with isUat true", plain, jwt(`isUat="true"`, site), nil, tableauapi.XML},
		{"JWT with the site as isUat", plain, jwt(`isUat="finance"`, `<site contentUrl="" />`), nil, tableauapi.XML},
		{"no contentUrl", plain, jwt("", "<site />"), nil, tableauapi.XML},
		{"no site", plain, jwt("", ""), nil, tableauapi.XML},
		{"site in other case", plain, xmlSignIn("FINance"), nil, tableauapi.XML},
		{"a user to impersonate", plain, jwt("", site+`<user id="`+tableautest.UserLUID(testSite, "bob")+`"/>`), nil, tableauapi.XML},
		{"JSON PAT with user ID null", plain, `{"credentials":{"personalAccessTokenName":"n","personalAccessTokenSecret":"s","site":{"contentUrl":"finance"},"user":{"id":null}}}`, []string{"Accept", "application/json"}, tableauapi.JSON},
		{"JSON with isUat", plain, `{"credentials":{"jwt":"e30.e30.c2ln","isUat":false,"site":{"contentUrl":"finance"}}}`, nil, tableauapi.JSON},
		{"XML labelled as JSON", plain, xmlSignIn("finance"), []string{"Content-Type", "application/json", "Accept", anything}, tableauapi.XML},
		{"JSON labelled as XML", plain, jsonSignIn("finance"), []string{"Content-Type", "text/xml", "Accept", anything}, tableauapi.JSON},
		{"XML, JSON wanted", plain, xmlSignIn("finance"), []string{"Accept", "application/json, text/plain, */*"}, tableauapi.JSON},
		{"JSON, XML wanted", plain, jsonSignIn("finance"), []string{"Accept", "application/xml"}, tableauapi.XML},
		{"two slashes before api", "/" + plain, xmlSignIn("finance"), nil, tableauapi.XML},
		{"an old version", "/api/2.4/auth/signin", xmlSignIn("finance"), nil, tableauapi.XML},
		{"white space before the body", plain, "\r\n\t " + xmlSignIn("finance"), nil, tableauapi.XML},
		{"a token of nobody's", plain, xmlSignIn("finance"), []string{headerAuth, "stale|stale|stale"}, tableauapi.XML},
		{"two tokens", plain, xmlSignIn("finance"), []string{headerAuth, "stale", headerAuth, "staler"}, tableauapi.XML},
	}
	r := started(t, tableautest.Options{}, setup{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := read(t, r.post(t, "alice", test.path, test.body, test.header...), test.want).Credentials
			if c.Site.ID != tableautest.SiteLUID(testSite) || c.User.ID != tableautest.UserLUID(testSite, "alice") {
				t.Errorf("site %q, user %q", c.Site.ID, c.User.ID)
			}
			expectStatus(t, "with the token", r.with(t, "alice", c.Token), http.StatusOK, "")
		})
	}
	if got := r.signIns(); got != 1 {
		t.Errorf("%d sign-ins at Tableau, want 1", got)
	}
}

func TestSignInAgainWithAnyOldTokenWorks(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	bobs, ended := r.signIn(t, "bob", "finance"), r.signIn(t, "alice", "finance")
	r.post(t, "alice", signOutPath, "", headerAuth, ended)
	for name, stale := range map[string]string{"another's": bobs, "one that was signed out": ended, "none": ""} {
		token := read(t, r.post(t, "alice", signInPath, xmlSignIn("finance"), headerAuth, stale), tableauapi.XML).Credentials.Token
		if token == ended || token == bobs {
			t.Errorf("%s: it got an old token", name)
		}
		expectStatus(t, name, r.with(t, "alice", token), http.StatusOK, "")
	}
}

func TestMalformedSignInIsRefusedHere(t *testing.T) {
	deep := strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)
	tests := []struct {
		name, body string
		want       tableauapi.Format
	}{
		{"empty", "", tableauapi.XML},
		{"text", "sign me in", tableauapi.XML},
		{"cut XML", xmlSignIn("finance")[:60], tableauapi.XML},
		{"cut JSON", jsonSignIn("finance")[:60], tableauapi.JSON},
		{"1 MiB", strings.Replace(xmlSignIn("finance"), "nobodys-secret", strings.Repeat("x", 1<<20), 1), tableauapi.XML},
		{"3 MiB, which is more than connections hold", strings.Replace(xmlSignIn("finance"), "nobodys-secret", strings.Repeat("x", 3<<20), 1), tableauapi.XML},
		{"nested deeply", "<tsRequest>" + deep + "</tsRequest>", tableauapi.XML},
		{"DTD", "<!DOCTYPE tsRequest>" + xmlSignIn("finance"), tableauapi.XML},
		{"entity", `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + strings.Replace(xmlSignIn("finance"), "any", "&e;", 1), tableauapi.XML},
		{"undeclared entity", strings.Replace(xmlSignIn("finance"), "any", "&e;", 1), tableauapi.XML},
		{"an attribute twice", strings.Replace(xmlSignIn("finance"), "name=", `name="x" name=`, 1), tableauapi.XML},
		{"a name twice", strings.Replace(jsonSignIn("finance"), `{"personal`, `{"jwt":"a","jwt":"b","personal`, 1), tableauapi.JSON},
		{"not UTF-8", strings.Replace(xmlSignIn("finance"), "any", "\xff\xfe", 1), tableauapi.XML},
		{"credentials are a list", `{"credentials":[]}`, tableauapi.JSON},
		{"a number for a name", `{"credentials":{"name":1,"password":"x"}}`, tableauapi.JSON},
		{"two kinds", strings.Replace(xmlSignIn("finance"), "name=", `jwt="a" name=`, 1), tableauapi.XML},
		{"no kind", `<tsRequest><credentials><site contentUrl=""/></credentials></tsRequest>`, tableauapi.XML},
		{"another root", strings.ReplaceAll(xmlSignIn("finance"), "tsRequest", "tsResponse"), tableauapi.XML},
		{"two documents", jsonSignIn("finance") + jsonSignIn("finance"), tableauapi.JSON},
	}
	r := started(t, tableautest.Options{}, setup{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := r.post(t, "alice", signInPath, test.body)
			checkError(t, a, http.StatusBadRequest, "sign_in_malformed", tableauapi.CodeBadRequest, test.want)
			if strings.Contains(a.body, "nobodys") {
				t.Error("the answer repeats the password")
			}
		})
	}
	checkError(t, r.post(t, "alice", switchPath, "<tsRequest/>"), http.StatusBadRequest, "sign_in_malformed", tableauapi.CodeBadRequest, tableauapi.XML)
	checkError(t, r.post(t, "alice", switchPath, `{"site":"finance"}`), http.StatusBadRequest, "sign_in_malformed", tableauapi.CodeBadRequest, tableauapi.JSON)
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

func TestAuthCallsAreMadeByPost(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for _, path := range []string{signInPath, signOutPath, switchPath} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			a := r.do(t, call{user: "alice", method: method, path: path, body: xmlSignIn("finance")})
			if expectStatus(t, method+" "+path, a, http.StatusMethodNotAllowed, "method_not_allowed"); a.header.Get("Allow") != "POST" {
				t.Errorf("%s %s: Allow %q, want POST", method, path, a.header.Get("Allow"))
			}
		}
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

func TestSignOutAlwaysSucceeds(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	mine, bobs := r.signIn(t, "alice", "finance"), r.signIn(t, "bob", "finance")
	tests := []struct {
		name, user string
		header     []string
	}{
		{"without a token", "alice", nil},
		{"with an empty token", "alice", []string{headerAuth, ""}},
		{"with a foreign token", "alice", []string{headerAuth, "a|b|" + tableautest.SiteLUID(testSite)}},
		{"with two tokens", "alice", []string{headerAuth, mine, headerAuth, mine}},
		{"with another's token", "alice", []string{headerAuth, bobs}},
		{"as TSC does", "alice", []string{headerAuth, mine, "Content-Type", "text/xml"}},
		{"a second time", "alice", []string{headerAuth, mine}},
	}
	for _, test := range tests {
		a := r.post(t, test.user, signOutPath, "", test.header...)
		if a.status != http.StatusNoContent || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, Cache-Control %q, body %q", test.name, a.status, a.header.Get("Cache-Control"), a.body)
		}
	}
	expectStatus(t, "with the token that was signed out", r.with(t, "alice", mine), http.StatusUnauthorized, "token_invalid")
	expectStatus(t, "with the one that only its owner can sign out", r.with(t, "bob", bobs), http.StatusOK, "")
	if n := r.signOuts(); n != 0 {
		t.Errorf("%d sign-outs reached Tableau", n)
	}
}

// A client that signs out has often dropped its own credentials already.
func TestSignOutWithoutAnIdentityEndsNothing(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{before: "\t@known header Authorization *\n\tbasic_auth @known {\n\t\talice " + testHash() + "\n\t}"})
	token := r.signIn(t, "alice", "finance")
	if a := r.post(t, "", signOutPath, "", headerAuth, token); a.status != http.StatusNoContent {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	expectStatus(t, "afterwards", r.with(t, "alice", token), http.StatusOK, "")
}

func TestTokenOfAnotherIdentityIsRefusedAndLogged(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	token := r.signIn(t, "alice", "finance")
	before := len(r.data())
	a := r.with(t, "bob", token)
	checkError(t, a, http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
	if strings.Contains(a.body, "alice") {
		t.Errorf("the answer tells whose token it is: %s", a.body)
	}
	entry := await(t, "tableau.audit", map[string]any{"msg": "token of another identity", "level": "warn", "identity": "bob", "token_of": "alice"})
	if entry["client_ip"] != "127.0.0.1" {
		t.Errorf("the log says it came from %v", entry["client_ip"])
	}
	if n := len(r.data()); n != before {
		t.Error("the request went on to Tableau")
	}
	expectStatus(t, "its owner", r.with(t, "alice", token), http.StatusOK, "")
}

func TestForeignTokensAreAnEndedSession(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for _, token := range []string{"x", "a|b|" + tableautest.SiteLUID(testSite), strings.Repeat("A", 4000)} {
		checkError(t, r.with(t, "alice", token), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
	}
	expectStatus(t, "two tokens", r.get(t, "alice", workbooks, headerAuth, "", headerAuth, ""), http.StatusBadRequest, "request_ambiguous")
	expectStatus(t, "an empty token", r.with(t, "alice", ""), http.StatusOK, "")
}

func TestSignOutEndsOneTokenAndNoSession(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	first, second := r.signIn(t, "alice", "finance"), r.signIn(t, "alice", "finance")
	expectStatus(t, "before", r.with(t, "alice", first), http.StatusOK, "")
	r.post(t, "alice", signOutPath, "", headerAuth, first)
	checkError(t, r.with(t, "alice", first), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
	expectStatus(t, "the other token", r.with(t, "alice", second), http.StatusOK, "")
	expectStatus(t, "no token", r.get(t, "alice", workbooks), http.StatusOK, "")
	r.reload(t, setup{global: "\tgrace_period 9s"})
	expectStatus(t, "the first after a reload", r.with(t, "alice", first), http.StatusUnauthorized, "token_invalid")
	if r.signIns() != 1 || r.signOuts() != 0 {
		t.Errorf("%d sign-ins and %d sign-outs at Tableau, want 1 and 0", r.signIns(), r.signOuts())
	}
}

func TestManyClientsOfAUserShareOneSignIn(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				var body given
				a, err := r.send(t.Context(), call{user: "alice", method: http.MethodPost, path: signInPath, body: xmlSignIn("finance")})
				if err != nil || xml.Unmarshal([]byte(a.body), &body) != nil {
					t.Errorf("sign-in: %v %d %s", err, a.status, a.body)
					return
				}
				token := headers(headerAuth, body.Credentials.Token)
				if a, err := r.send(t.Context(), call{user: "alice", path: workbooks, header: token}); err != nil || a.status != http.StatusOK {
					t.Errorf("workbooks: %v %d %s", err, a.status, a.body)
				}
				if a, err := r.send(t.Context(), call{user: "alice", method: http.MethodPost, path: signOutPath, header: token}); err != nil || a.status != http.StatusNoContent {
					t.Errorf("sign-out: %v %d %s", err, a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
	if r.signIns() != 1 || r.signOuts() != 0 {
		t.Errorf("%d sign-ins and %d sign-outs at Tableau, want 1 and 0", r.signIns(), r.signOuts())
	}
}

func TestTokenOutlivesReloadAndRestart(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	token := r.signIn(t, "alice", "finance")
	r.reload(t, setup{global: "\tservers {\n\t\tmax_header_size 64KB\n\t}"})
	expectStatus(t, "after a reload", r.with(t, "alice", token), http.StatusOK, "")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	r.reload(t, setup{})
	expectStatus(t, "after a restart", r.with(t, "alice", token), http.StatusOK, "")
	if err := os.RemoveAll(r.storage + "/tableau"); err != nil {
		t.Fatal(err)
	}
	r.reload(t, setup{global: "\tservers {\n\t\tmax_header_size 64KB\n\t}"})
	checkError(t, r.with(t, "alice", token), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
}

func TestTokenTellsTheSite(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	second := twoSites(t, r)
	r.load(t, setup{options: bothSites})
	token := r.signIn(t, "alice", "marketing")
	for _, test := range []struct {
		name, site string
		answer     answer
	}{
		{"the hyphen, with a token", "Marketing", r.with(t, "alice", token)},
		{"the hyphen, without one", "Finance", r.get(t, "alice", workbooks)},
		{"a site in the path", "Finance", r.get(t, "alice", api+"/sites/finance/workbooks", headerAuth, token)},
		{"a site in the header", "Finance", r.get(t, "alice", workbooks, headerAuth, token, "X-Tableau-Site", "finance")},
	} {
		if !strings.Contains(test.answer.body, test.site+" Overview") {
			t.Errorf("%s: the answer is not that of %s: %s", test.name, test.site, test.answer.body)
		}
	}
	second.ResetJournal()
	expectStatus(t, "Metadata", r.post(t, "alice", "/api/metadata/graphql", `{"query":"{ workbooks { name } }"}`, headerAuth, token), http.StatusOK, "")
	if journal := second.Journal(); len(journal) != 1 || journal[0].Path != "/api/metadata/graphql" {
		t.Errorf("the token's site got %d requests, want the one to the Metadata API", len(journal))
	}
	r.reload(t, setup{})
	checkError(t, r.with(t, "alice", token), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
}

func TestSwitchSiteGivesAnotherTokenAndEndsTheOld(t *testing.T) {
	for _, test := range []struct {
		format tableauapi.Format
		body   string
	}{
		{tableauapi.XML, `<tsRequest><site contentUrl="Marketing"/></tsRequest>`},
		{tableauapi.JSON, `{"site":{"contentUrl":"marketing"}}`},
	} {
		r := newRig(t, tableautest.Options{})
		twoSites(t, r)
		r.load(t, setup{options: bothSites})
		old, bystander := r.signIn(t, "alice", "finance"), r.signIn(t, "alice", "finance")
		c := read(t, r.post(t, "alice", switchPath, test.body, headerAuth, old), test.format).Credentials
		if c.Token == old || c.Site.ID != tableautest.SiteLUID("marketing") || c.User.ID != tableautest.UserLUID("marketing", "alice") {
			t.Errorf("the old token again: %t; site %q, user %q", c.Token == old, c.Site.ID, c.User.ID)
		}
		if a := r.with(t, "alice", c.Token); !strings.Contains(a.body, "Marketing Overview") {
			t.Errorf("with the new token: %s", a.body)
		}
		checkError(t, r.with(t, "alice", old), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
		expectStatus(t, "another token of the old site", r.with(t, "alice", bystander), http.StatusOK, "")
		if r.signOuts() != 0 {
			t.Error("a session was signed out at Tableau")
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSwitchSiteRefusals(t *testing.T) {
	r := newRig(t, tableautest.Options{})
	twoSites(t, r)
	r.load(t, setup{options: bothSites})
	token := r.signIn(t, "alice", "finance")
	to := func(site string) string { return `<tsRequest><site contentUrl="` + site + `"/></tsRequest>` }
	checkError(t, r.post(t, "alice", switchPath, to("FINANCE"), headerAuth, token), http.StatusForbidden, "site_unchanged", tableauapi.CodeAlreadyOnSite, tableauapi.XML)
	checkError(t, r.post(t, "alice", switchPath, to("engineering"), headerAuth, token), http.StatusForbidden, "site_not_allowed", tableauapi.CodeForbidden, tableauapi.XML)
	checkError(t, r.post(t, "bob", switchPath, to("marketing"), headerAuth, token), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
	checkError(t, r.post(t, "alice", switchPath, to("marketing"), headerAuth, "a|b|c"), http.StatusUnauthorized, "token_invalid", tableauapi.CodeInvalidToken, tableauapi.XML)
	expectStatus(t, "the token after refused switches", r.with(t, "alice", token), http.StatusOK, "")
	read(t, r.post(t, "alice", switchPath, to("marketing")), tableauapi.XML) // the identity alone will do
}

// Whatever keeps a client from signing in is, to it, a failed sign-in.
func TestRefusedSignInHasTheShapeOfTableaus(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{
		before:  "\t@known header Authorization *\n\tbasic_auth @known {\n\t\talice " + testHash() + "\n\t\tmallory " + testHash() + "\n\t}",
		options: "\t\tsite finance\n\t\tuser_map alice alice\n\t\tscopes tableau:content:read",
	})
	for _, test := range []struct{ name, user, site, code string }{
		{"a site that is not allowed", "alice", "marketing", "site_not_allowed"},
		{"the Default site by its name, which is not allowed", "alice", "default", "site_not_allowed"},
		{"an identity that is not mapped", "mallory", "finance", "identity_not_mapped"},
		{"no identity", "", "finance", "identity_missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkError(t, r.post(t, test.user, signInPath, xmlSignIn(test.site)), http.StatusUnauthorized, test.code, tableauapi.CodeSignInFailed, tableauapi.XML)
			checkError(t, r.post(t, test.user, signInPath, jsonSignIn(test.site)), http.StatusUnauthorized, test.code, tableauapi.CodeSignInFailed, tableauapi.JSON)
		})
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

func TestTroubleAtTableauSurfacesAtSignIn(t *testing.T) {
	tests := []struct {
		name   string
		fault  tableautest.Fault
		status int
		code   string
		error  string
		detail string
	}{
		{"unknown user", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401001", SubCode: 5}}, 502, "sign_in_refused", tableauapi.CodeBadGateway, "Tableau knows no user of this name"},
		{"throttled", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "17"}}, 503, "sign_in_throttled", tableauapi.CodeServiceUnavailable, "Try again later"},
		{"web page", tableautest.Fault{Body: tableautest.HTMLBody}, 502, "tableau_unreachable", tableauapi.CodeBadGateway, "no usable answer"},
		{"cut connection", tableautest.Fault{Cut: tableautest.CutBeforeHeaders}, 502, "tableau_unreachable", tableauapi.CodeBadGateway, "could not be reached"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := started(t, tableautest.Options{}, setup{})
			r.sessionsMayStay = true // that of an answer that was spoiled
			test.fault.Match = tableautest.Match{SignIn: true}
			r.AddFault(test.fault)
			for format, body := range map[tableauapi.Format]string{tableauapi.XML: xmlSignIn("finance"), tableauapi.JSON: jsonSignIn("finance")} {
				a := r.post(t, "alice", signInPath, body)
				checkError(t, a, test.status, test.code, test.error, format)
				if !strings.Contains(a.body, test.detail) {
					t.Errorf("the client reads %s, want %q in it", a.body, test.detail)
				}
			}
		})
	}
}

// The access log repeats what the client sent, as it does for every header; no
// other entry may hold a token.
func TestLogsHoldNoTokenOfOurs(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	token := r.signIn(t, "alice", "finance")
	r.with(t, "alice", token)
	r.with(t, "bob", token)
	r.post(t, "alice", signOutPath, "", headerAuth, token)
	await(t, "tableau.audit", map[string]any{"msg": auditMessage, "status": http.StatusNoContent})
	middle := strings.Split(token, "|")[1]
	for line := range strings.Lines(string(logged.bytes())) {
		if strings.Contains(line, middle) && !strings.Contains(line, `"logger":"http.log.access`) {
			t.Error("an entry holds the token: " + strings.ReplaceAll(line, middle, "..."))
		}
	}
}

// A sign-in whose body is announced and never comes is given up with the client.
func TestSignInWithoutItsBody(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	body, w := io.Pipe()
	w.CloseWithError(io.ErrUnexpectedEOF)
	req, err := http.NewRequest(http.MethodPost, "http://"+r.address+signInPath, body)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("alice", testPassword)
	if res, err := r.client.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("the client, who is gone, has an answer: %s", res.Status)
	}
	await(t, "tableau.audit", map[string]any{"error": "sign_in_malformed"})
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

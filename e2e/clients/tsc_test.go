// The tests of this file run the Tableau Server Client, the Python library that
// most scripts for Tableau are written with.

package clients

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// whoami is what tsc_signin.py prints.
type whoami struct {
	Site, User, Version, Name string
	Workbooks                 []string
}

// whoever is on the site finance.
func whoever(user string) whoami {
	w := whoami{
		Site: tableautest.SiteLUID(site), User: tableautest.UserLUID(site, user), Name: user, Version: "3.27",
		Workbooks: []string{"Finance Overview", "Pipeline", tableautest.DraftsName("bob")},
	}
	if user == "alice" {
		w.Workbooks = []string{tableautest.DraftsName("alice"), "Finance Overview", "Quarterly Close"}
	}
	slices.Sort(w.Workbooks)
	return w
}

// Every way that the library has to sign in, and every way to be known to the
// proxy, ends in one and the same session.
func TestTSCSignsIn(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	dummy := []string{"NAME=nobody", "SECRET=dummy", "BASIC=alice:" + password}
	tests := map[string]struct {
		base string
		env  []string
	}{
		"the secret of a tool as password":           {r.https, r.as(r.https, etl)},
		"the secret of a tool as PAT":                {r.https, append(r.as(r.https, etl), "KIND=pat")},
		"without TLS":                                {r.http, append(r.as(r.http, etl), "KIND=pat")},
		"a slash at the end of the address":          {r.https + "/", append(r.as(r.https, etl), "KIND=pat")},
		"basic authentication, a dummy password":     {r.basic, dummy},
		"basic authentication, a dummy PAT":          {r.basic, append(dummy, "KIND=pat")},
		"basic authentication, a dummy JWT":          {r.basic, append(dummy, "KIND=jwt")},
		"basic authentication, a dummy UAT":          {r.basic, append(dummy, "KIND=uat")},
		"the LUID of somebody to become":             {r.https, append(r.as(r.https, etl), "IMPERSONATE="+tableautest.UserLUID(site, "bob"))},
		"a dummy and the LUID of somebody to become": {r.basic, append(dummy, "IMPERSONATE="+tableautest.UserLUID(site, "bob"))},
		"basic authentication, no site":              {r.basic, append(dummy, "SITE=")},
		"basic authentication, the site in capitals": {r.basic, append(dummy, "SITE=FINANCE")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := decode[whoami](t, r.run(t, append(tt.env, "PROXY="+tt.base), py, script("tsc_signin.py")))
			if want := whoever("alice"); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	r.expectSignIns(1)

	got := decode[whoami](t, r.run(t, r.as(r.https, reports), py, script("tsc_signin.py")))
	if want := whoever("bob"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("another tool: got %+v, want %+v", got, want)
	}
	r.expectSignIns(2)
}

// What the library makes of a refused sign-in is an error that says what to do.
func TestTSCIsToldWhyItCannotSignIn(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	tests := map[string]struct {
		env  []string
		want string
	}{
		"a wrong secret":       {[]string{"PROXY=" + r.https, "NAME=etl", "SECRET=wrong"}, "name or the secret is wrong"},
		"an unknown name":      {[]string{"PROXY=" + r.https, "NAME=nobody", "SECRET=wrong"}, "name or the secret is wrong"},
		"a secret of somebody": {[]string{"PROXY=" + r.https, "NAME=etl", "SECRET=" + reports.secret}, "name or the secret is wrong"},
		"a JWT alone":          {append(r.as(r.https, etl), "KIND=jwt"), "A JWT says nothing to this proxy"},
		"another site":         {append(r.as(r.https, etl), "SITE=marketing"), "not among those of this proxy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := decode[struct{ Code, Summary, Detail string }](t, r.run(t, tt.env, py, script("tsc_refused.py")))
			if got.Code != "401001" || got.Summary != "Signin Error" || !strings.Contains(got.Detail, tt.want) {
				t.Errorf("got %+v, want 401001 and %q", got, tt.want)
			}
		})
	}
	r.expectSignIns(0)
}

func TestTSCSwitchesSites(t *testing.T) {
	py := python(t, "clients")
	r, other := newRigOfTwoSites(t)
	type visit struct {
		Site, User string
		Workbooks  []string
	}
	got := decode[[]visit](t, r.run(t, r.as(r.https, etl), py, script("tsc_switch_site.py")))
	if len(got) != 3 {
		t.Fatalf("got %d visits", len(got))
	}
	for i, content := range []string{site, otherSite, site} {
		if got[i].Site != tableautest.SiteLUID(content) || got[i].User != tableautest.UserLUID(content, "alice") {
			t.Errorf("visit %d: site %s, user %s, want alice on %s", i, got[i].Site, got[i].User, content)
		}
	}
	if !slices.Contains(got[1].Workbooks, "Marketing Overview") || !slices.Contains(got[2].Workbooks, "Finance Overview") {
		t.Errorf("workbooks: %q", got)
	}
	r.expectSignIns(1)
	if n := other.SignIns(tableautest.SignInFilter{}); n != 1 {
		t.Errorf("sign-ins at the other site: %d, want 1", n)
	}
}

// Two scripts of one user read, and a third signs in and out 200 times. At
// Tableau itself one personal access token does not carry that: see the next
// test.
func TestScriptsDoNotEndEachOthersSessions(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	env := append(r.as(r.https, etl), "KIND=pat")
	readers := []*process{r.client(t, env, py, script("tsc_reader.py")), r.client(t, env, py, script("tsc_reader.py"))}
	for _, reader := range readers {
		if !reader.printed(reader.stdout, "reading\n") {
			t.Fatalf("a reader ended early\n%s", reader.tail())
		}
	}
	r.run(t, env, py, script("tsc_signin_loop.py"), "200")
	for _, reader := range readers {
		if got := r.reads(reader); got < 2 {
			t.Errorf("a script has read %d times", got)
		}
	}
	r.expectSignIns(1)
	if failed := r.failed(); len(failed) > 0 {
		t.Errorf("Tableau refused %d requests: %v", len(failed), failed[0])
	}
}

func TestOnePATAtTableauDoesEndThem(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	tableau := tableautest.NewTLSServer(tableautest.Options{}) // without a proxy
	defer tableau.Close()
	pat := tableau.PATs("alice")[0]
	env := []string{
		"PROXY=" + tableau.URL, "KIND=pat", "NAME=" + pat.Name, "SECRET=" + pat.Secret.Reveal(),
		"REQUESTS_CA_BUNDLE=" + r.file("direct.pem", tableau.CAPEM()),
	}
	reader := r.client(t, env, py, script("tsc_reader.py"))
	if !reader.printed(reader.stdout, "reading\n") {
		t.Fatalf("the reader ended early\n%s", reader.tail())
	}
	r.run(t, env, py, script("tsc_signin_loop.py"), "1")
	if status := reader.wait(); status == 0 || !strings.Contains(reader.stderr.String(), "401002") {
		t.Errorf("status %d, want a failure with 401002\n%s", status, reader.tail())
	}
}

// reads ends a reader, and returns how often it has read.
func (r *rig) reads(reader *process) int {
	r.t.Helper()
	_ = reader.stdin.Close()
	if status := reader.wait(); status != 0 {
		r.t.Fatalf("a reader ended with status %d\n%s", status, reader.tail())
	}
	return decode[int](r.t, reader.stdout.String())
}

// failed are the requests that Tableau refused.
func (r *rig) failed() []string {
	var failed []string
	for _, e := range r.Journal() {
		if e.Status >= 400 {
			failed = append(failed, fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, e.Reason))
		}
	}
	return failed
}

package tableauapi

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const luid = "1f2e3d4c-5b6a-7988-9786-a5b4c3d2e1f0"

// facts is what a route says, for comparison.
type facts struct {
	API                API
	Version            string
	Site, User         string
	HasSite, HasUser   bool
	Auth               AuthCall
	ServerInfo, Itself bool
	Template           string
}

func factsOf(r Route) facts {
	f := facts{API: r.API(), Version: r.Version(), Auth: r.Auth(), ServerInfo: r.ServerInfo(), Itself: r.CurrentSession(), Template: r.Template()}
	f.Site, f.HasSite = r.Site()
	f.User, f.HasUser = r.User()
	return f
}

func TestParseRoute(t *testing.T) {
	rest := func(f facts) facts { f.API, f.Version = REST, "3.24"; return f }
	site := func(s, template string) facts { return rest(facts{Site: s, HasSite: true, Template: template}) }
	user := func(s, u, template string) facts {
		return rest(facts{Site: s, HasSite: true, User: u, HasUser: true, Template: template})
	}
	tests := map[string]facts{
		"/api/3.24/sites":                                                                 rest(facts{Template: "/sites"}),
		"/api/3.24/sites/-":                                                               site("-", "/sites/{site}"),
		"/api/3.24/sites/finance/workbooks":                                               site("finance", "/sites/{site}/workbooks"),
		"/api/3.24/sites/" + luid + "/workbooks":                                          site(luid, "/sites/{site}/workbooks"),
		"/api/3.24/sites/a%20b/views":                                                     site("a b", "/sites/{site}/views"),
		"/api/3.24/Sites/x/Users/-":                                                       user("x", "-", "/Sites/{site}/Users/{user}"),
		"/api/3.24/sites/s/users":                                                         site("s", "/sites/{site}/users"),
		"/api/3.24/sites/s/users/-":                                                       user("s", "-", "/sites/{site}/users/{user}"),
		"/api/3.24/sites/s/users/" + luid + "/workbooks":                                  user("s", luid, "/sites/{site}/users/{user}/workbooks"),
		"/api/3.24/sites/s/users/import":                                                  user("s", "import", "/sites/{site}/users/import"),
		"/api/3.24/sites/s/users/bob%40x.org":                                             user("s", "bob@x.org", "/sites/{site}/users/{user}"),
		"/api/3.24/sites/s/users/" + luid + "/personal-access-tokens/my-token":            user("s", luid, "/sites/{site}/users/{user}/personal-access-tokens/{name}"),
		"/api/3.24/sites/s/groups/" + luid + "/users/" + luid:                             site("s", "/sites/{site}/groups/{id}/users/{id}"),
		"/api/3.24/sites/s/workbooks/" + luid + "/content":                                site("s", "/sites/{site}/workbooks/{id}/content"),
		"/api/3.24/sites/s/workbooks/" + luid + "/revisions/12/content":                   site("s", "/sites/{site}/workbooks/{id}/revisions/{id}/content"),
		"/api/3.24/sites/s/workbooks/" + luid + "/tags/secret":                            site("s", "/sites/{site}/workbooks/{id}/tags/{name}"),
		"/api/3.24/sites/s/workbooks/" + luid + "/tags/auth":                              site("s", "/sites/{site}/workbooks/{id}/tags/{name}"),
		"/api/3.24/sites/s/tags:batchCreate":                                              site("s", "/sites/{site}/tags:batchCreate"),
		"/api/3.24/sites/s/fileUploads/7720:170fe6b1c1c7422dadff20f944d58a52-1:0":         site("s", "/sites/{site}/fileUploads/{id}"),
		"/api/3.24/sites/s/fileUploads/abc":                                               site("s", "/sites/{site}/fileUploads/{id}"),
		"/api/3.24/sites/s/labelValues/Very%20secret":                                     site("s", "/sites/{site}/labelValues/{name}"),
		"/api/3.24/sites/s/x/na%20me":                                                     site("s", "/sites/{site}/x/{name}"),
		"/api/3.24/sites/auth/workbooks":                                                  site("auth", "/sites/{site}/workbooks"),
		"/api/3.24/sites/s/views/" + luid + "/permissions/groups/" + luid + "/Read/Allow": site("s", "/sites/{site}/views/{id}/permissions/groups/{id}/Read/Allow"),
		"/api/3.24/schedules/" + luid:                                                     rest(facts{Template: "/schedules/{id}"}),
		"/api/3.24/serverinfo":                                                            rest(facts{ServerInfo: true, Template: "/serverinfo"}),
		"/api/3.24/sessions/current":                                                      rest(facts{Itself: true, Template: "/sessions/current"}),
		"/api/3.24/sessions/" + luid:                                                      rest(facts{Template: "/sessions/{id}"}),
		"/api/3.24/auth/signin":                                                           rest(facts{Auth: SignIn, Template: "/auth/signin"}),
		"/api/3.24/auth/signout":                                                          rest(facts{Auth: SignOut, Template: "/auth/signout"}),
		"/api/3.24/auth/switchSite":                                                       rest(facts{Auth: SwitchSite, Template: "/auth/switchSite"}),
		"/api/3.24/auth/switchsite":                                                       rest(facts{Auth: OtherAuth, Template: "/auth/switchsite"}),
		"/api/3.24/auth/serverAdminAccessTokens":                                          rest(facts{Auth: OtherAuth, Template: "/auth/serverAdminAccessTokens"}),
		"/api/3.24/auth":                                                                  rest(facts{Auth: OtherAuth, Template: "/auth"}),
		"/api/3.24/Auth/signin":                                                           rest(facts{Auth: OtherAuth, Template: "/Auth/signin"}),
		"/api/3.24/auth/SignIn":                                                           rest(facts{Auth: OtherAuth, Template: "/auth/SignIn"}),
		"/api/3.24/auth/signin/x":                                                         rest(facts{Auth: OtherAuth, Template: "/auth/signin/x"}),
		"/api/3.24/x/auth/signin":                                                         rest(facts{Auth: OtherAuth, Template: "/x/auth/signin"}),
		"/api/3.24/auth%20/signin":                                                        rest(facts{Auth: OtherAuth, Template: "/{name}/signin"}),
		"/api/3.24/auth./signin":                                                          rest(facts{Auth: OtherAuth, Template: "/{name}/signin"}),
		"/api/3.24/sites/tags/auth/signin": func() facts {
			f := site("tags", "/sites/{site}/auth/signin")
			f.Auth = OtherAuth
			return f
		}(),
		"/api/2.4/serverInfo":                         {API: REST, Version: "2.4", ServerInfo: true, Template: "/serverInfo"},
		"/api/-/pulse/definitions%3AbatchGet":         {API: Platform, Template: "/api/-/pulse/definitions:batchGet"},
		"/api/-/pulse/definitions:batchGet":           {API: Platform, Template: "/api/-/pulse/definitions:batchGet"},
		"/api/-/pulse/metrics/" + luid:                {API: Platform, Template: "/api/-/pulse/metrics/{id}"},
		"/api/-/customdomains/site/" + luid:           {API: Platform, Template: "/api/-/customdomains/site/{id}"},
		"/api/-/auth/signin":                          {API: Platform, Auth: OtherAuth, Template: "/api/-/auth/signin"},
		"/api/metadata/graphql":                       {API: Metadata, Template: "/api/metadata/graphql"},
		"/api/metadata/v1/control/backfill/status":    {API: Metadata, Template: "/api/metadata/v1/control/backfill/status"},
		"/relationship-service-war/graphql":           {API: Metadata, Template: "/relationship-service-war/graphql"},
		"/api/v1/vizql-data-service/query-datasource": {API: VizQLDataService, Template: "/api/v1/vizql-data-service/query-datasource"},
	}
	for path, want := range tests {
		if canonical, err := CanonicalPath(path); err != nil || canonical != path {
			t.Errorf("%s is not canonical: %v", path, err)
		}
		r, ok := ParseRoute(path)
		if !ok {
			t.Errorf("%s: not recognised", path)
		} else if diff := cmp.Diff(want, factsOf(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestParseRouteKnowsNothingElse(t *testing.T) {
	for _, path := range []string{
		"", "/", "/api", "/api/", "/apix", "/API/3.24/sites", "/Api/3.24/sites", "/api/3.24", "/api/3.24/", "/api/-", "/api/-/",
		"/api/exp/3/auth/signin", "/api/exp/sites", "/api/3/sites", "/api/3./sites", "/api/.24/sites", "/api/3.24.1/sites",
		"/api/3.x/sites", "/api/v3.24/sites", "/api/3.24%20/sites", "/api/1234.5/sites", "/api/v1/other", "/api/v1",
		"/api/v1/vizql-data-service", "/api/v1/vizql-data-service/", "/api/v2/vizql-data-service/x", "/api/metadata", "/api/metadata/",
		"/api/Metadata/graphql", "/relationship-service-war", "/relationship-service-war/other", "/relationship-service-war/graphql/x",
		"/vizportal/api/web/v1/login", "/auth", "/auth/signin", "/views/a/b", "/trusted", "/x/api/3.24/sites", "/samlservice/public/sp/login",
	} {
		if r, ok := ParseRoute(path); ok || r != (Route{}) {
			t.Errorf("%s: recognised as %v", path, r.API())
		}
	}
}

func TestZeroRoute(t *testing.T) {
	if got := factsOf(Route{}); got != (facts{}) {
		t.Errorf("got %+v", got)
	}
	if got := (Route{}).With(luid, luid); got != "" {
		t.Errorf("got %q", got)
	}
}

// ParseRoute is for canonical paths, but does not fall over others.
func TestSiteOfABrokenEscape(t *testing.T) {
	r, _ := ParseRoute("/api/3.24/sites/%zz/workbooks")
	if got, ok := r.Site(); got != "%zz" || !ok {
		t.Errorf("got %q, %t", got, ok)
	}
}

func TestRouteWith(t *testing.T) {
	const user = "00000000-1111-2222-3333-444444444444"
	for path, want := range map[string]string{
		"/api/3.24/sites/-/workbooks":               "/api/3.24/sites/" + luid + "/workbooks",
		"/api/3.24/sites/-":                         "/api/3.24/sites/" + luid,
		"/api/3.24/sites/a%20b/tags/-":              "/api/3.24/sites/" + luid + "/tags/-",
		"/api/3.24/sites/-/users/-":                 "/api/3.24/sites/" + luid + "/users/" + user,
		"/api/3.24/sites/finance/users/-/workbooks": "/api/3.24/sites/" + luid + "/users/" + user + "/workbooks",
		"/api/3.24/sites/-/users/bob":               "/api/3.24/sites/" + luid + "/users/bob",
		"/api/3.24/sites/-/users":                   "/api/3.24/sites/" + luid + "/users",
		"/api/3.24/sites/-/favorites/-":             "/api/3.24/sites/" + luid + "/favorites/-",
		"/api/3.24/sites":                           "/api/3.24/sites",
		"/api/-/pulse/definitions%3AbatchGet":       "/api/-/pulse/definitions%3AbatchGet",
		"/api/metadata/graphql":                     "/api/metadata/graphql",
	} {
		r, _ := ParseRoute(path)
		if got := r.With(luid, user); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
		if got := r.With("", ""); got != path {
			t.Errorf("%s: With nothing changes it to %s", path, got)
		}
	}
}

// These are the spellings of sign-in that servers have been seen to read alike.
// Each has to be refused, or taken for a call under auth.
func TestSpellingsOfSignIn(t *testing.T) {
	for _, call := range []string{"signin", "signout", "switchSite"} {
		rest := call[1:]
		escaped := "%73" + rest
		for _, version := range []string{"3.24", "2.4", "3.4"} {
			auth := "/api/" + version + "/auth/"
			spellings := []string{
				auth + call,
				"//api/" + version + "/auth/" + call,
				"/api//" + version + "/auth/" + call,
				"/api/" + version + "//auth//" + call,
				"/api/" + version + "/./auth/" + call,
				"/api/" + version + "/x/../auth/" + call,
				"/api/" + version + "/%2e/auth/" + call,
				"/api/" + version + "/x/%2e%2e/auth/" + call,
				auth + escaped,
				"/api/" + version + "/auth%2f" + call,
				"/api/" + version + "/AUTH/" + strings.ToUpper(call),
				auth + strings.ToUpper(call[:1]) + rest,
				auth + call + "/",
				auth + call + ";a=b",
				"/api/" + version + "/auth;a=b/" + call,
				auth + call + "%00",
				auth + call + "%20",
				auth + call + ".",
				auth + call + "%3f",
				auth + call + "#f",
				auth + call + "%23f",
				`/api/` + version + `\auth\` + call,
				"/api/" + version + "%5cauth%5c" + call,
				"/api/" + version + "/auth/%25" + escaped[1:],
				auth + strings.ReplaceAll(call, "i", "%C4%B1"),
				auth + strings.ReplaceAll(call, "s", "%C5%BF"),
				"/api/exp/3/auth/" + call,
				"/api/" + version + "/aut%48/" + call,
				"/api/" + version + "/.auth/" + call,
				"/api/" + version + "/%20auth%20/" + call,
			}
			for _, spelling := range spellings {
				canonical, err := CanonicalPath(spelling)
				if err != nil {
					continue
				}
				r, ok := ParseRoute(canonical)
				if !ok {
					continue
				}
				exact := canonical == auth+call
				if r.Auth() == NotAuth || exact != (r.Auth() != OtherAuth) {
					t.Errorf("%s is let through as %d", spelling, r.Auth())
				}
			}
		}
	}
}

func TestTemplateIsBounded(t *testing.T) {
	r, ok := ParseRoute("/api/3.24" + strings.Repeat("/a", 4000))
	if got := r.Template(); !ok || len(got) > 100 || !strings.HasSuffix(got, "/...") {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
	r, ok = ParseRoute("/api/3.24/" + strings.Repeat("a", 4000))
	if got := r.Template(); !ok || got != "/{name}" {
		t.Errorf("%d bytes: %.200s", len(got), got)
	}
}

func TestIsLUID(t *testing.T) {
	for s, want := range map[string]bool{
		luid: true, siteLUID: true, userLUID: true,
		"": false, "-": false, luid + "0": false, luid[1:]: false,
		"1f2e3d4c-5b6a-7988-9786-a5b4c3d2e1fg":    false,
		"1f2e3d4c05b6a-7988-9786-a5b4c3d2e1f0":    false,
		"1f2e3d4c-5b6a-7988-9786-a5b4c3d2e1f-":    false,
		"{1f2e3d4c-5b6a-7988-9786-a5b4c3d2e1f}":   false,
		"1f2e3d4c-5b6a-7988-9786-a5b4c3d2e1f\x00": false,
	} {
		if IsLUID(s) != want {
			t.Errorf("%q: got %t", s, !want)
		}
	}
}

func TestAPIString(t *testing.T) {
	for api, want := range map[API]string{Unknown: "unknown", REST: "rest", Platform: "platform", Metadata: "metadata", VizQLDataService: "vizql_data_service", 99: "unknown"} {
		if got := api.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// checkRoute checks what is promised of every route.
func checkRoute(t *testing.T, path string) {
	t.Helper()
	r, ok := ParseRoute(path)
	if !ok {
		if r != (Route{}) {
			t.Fatalf("%q: a route comes with false", path)
		}
		return
	}
	template := r.Template()
	if template == "" || template[0] != '/' || len(template) > 1024 {
		t.Fatalf("%q: template %q", path, template)
	}
	canonical, err := CanonicalPath(path)
	if err != nil || canonical != path {
		return
	}
	if sent := r.With(luid, luid); sent != "" {
		again, err := CanonicalPath(sent)
		if err != nil || again != sent {
			t.Fatalf("%q becomes %q, which is not canonical: %v", path, sent, err)
		}
		r2, ok := ParseRoute(sent)
		site, has := r2.Site()
		_, had := r.Site()
		if !ok || has != had || has && site != luid || r2.Auth() != r.Auth() && r.Auth() != NotAuth {
			t.Fatalf("%q becomes %q, which is another route", path, sent)
		}
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	if lower := strings.ToLower(plain); strings.HasPrefix(lower, "/api/"+r.Version()+"/auth/") && r.API() == REST && r.Auth() == NotAuth {
		t.Fatalf("%q is let through", path)
	}
}

var benchPaths = []string{
	"/api/3.24/sites/-/workbooks",
	"/api/3.24/sites/" + luid + "/users/" + luid + "/workbooks",
	"/api/3.24/sites/" + luid + "/views/" + luid + "/data",
	"/api/-/pulse/definitions%3AbatchGet",
	"/api/v1/vizql-data-service/query-datasource",
}

func TestRecognitionDoesNotAllocate(t *testing.T) {
	for _, path := range append(benchPaths, "//api/3.24/sites/-/workbooks") {
		n := testing.AllocsPerRun(100, func() {
			canonical, err := CanonicalPath(path)
			r, ok := ParseRoute(canonical)
			if _, inSite := r.Site(); err != nil || !ok || inSite != strings.Contains(path, "sites") {
				t.Fatal(path)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func BenchmarkRecognise(b *testing.B) {
	for _, path := range benchPaths {
		b.Run(strings.ReplaceAll(strings.Trim(path, "/"), "/", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				canonical, err := CanonicalPath(path)
				if err != nil {
					b.Fatal(err)
				}
				if _, ok := ParseRoute(canonical); !ok {
					b.Fatal("not recognised")
				}
			}
		})
	}
}

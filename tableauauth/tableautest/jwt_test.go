// This file tests that every wrong JWT of a Connected App is refused, with
// the sub-code that Tableau documents.

package tableautest

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestDirectTrust(t *testing.T) {
	w := newWorld(t, Options{})
	f := w.directTrust("finance", "alice", scopeContent)
	got := w.signInJWT(f.sign(t), "finance").credentials(t).Credentials
	if got.Site.ID != SiteLUID("finance") || got.User.ID != UserLUID("finance", "alice") || got.Site.ContentURL != "finance" {
		t.Errorf("signed in as %+v", got)
	}
	parts := strings.Split(got.Token, "|")
	if len(parts) != 3 || len(parts[0]) != 22 || len(parts[1]) != 32 || parts[2] != SiteLUID("finance") {
		t.Errorf("the token is not 22|32|site LUID")
	}
	e := w.last()
	if e.JWT == nil || e.JWT.Subject != "alice" || e.JWT.JTI != f.claims["jti"] || e.Kind != KindDirectTrust {
		t.Errorf("journal: %+v", e)
	}
}

func TestDirectTrustRefusals(t *testing.T) {
	claim := func(name string, value any) func(*world, *forge) {
		return func(_ *world, f *forge) {
			if value == nil {
				delete(f.claims, name)
				return
			}
			f.claims[name] = value
		}
	}
	header := func(name string, value any) func(*world, *forge) {
		return func(_ *world, f *forge) { f.header[name] = value }
	}
	in := func(name string, d time.Duration) func(*world, *forge) {
		return func(w *world, f *forge) { f.claims[name] = w.clock.Now().Add(d).Unix() }
	}
	for _, test := range []struct {
		name   string
		change func(*world, *forge)
		want   int
	}{
		{"kid missing", header("kid", nil), 10083},
		{"iss missing", claim("iss", nil), 10083},
		{"header iss differs", header("iss", "another"), 10083},
		{"header iss not a string", header("iss", 7), 10083},
		{"client ID unknown", func(_ *world, f *forge) { f.claims["iss"], f.header["iss"] = "nobody", "nobody" }, 126},
		{"app of another site", func(w *world, f *forge) { *f = w.directTrust("marketing", "alice", scopeContent) }, 126},
		{"app disabled", func(w *world, f *forge) { _ = w.EnableApp(f.claims["iss"].(string), false) }, 126},
		{"secret unknown", header("kid", "no-such-secret"), 127},
		{"secret deleted", func(w *world, f *forge) {
			_ = w.DeleteSecret(f.claims["iss"].(string), f.header["kid"].(string))
		}, 127},
		{"signature wrong", func(_ *world, f *forge) { f.key = []byte("another secret of the same kind.") }, 10084},
		{"HS384", func(_ *world, f *forge) { f.method = jwt.SigningMethodHS384 }, 10087},
		{"alg none", func(_ *world, f *forge) { f.method, f.key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType }, 10087},
		{"alg unknown", header("alg", "XX99"), 10087},
		{"typ wrong", header("typ", "at+jwt"), 10084},
		{"aud missing", claim("aud", nil), 10084},
		{"aud wrong", claim("aud", "Tableau"), 10084},
		{"aud a list", claim("aud", []string{"tableau"}), 10084},
		{"aud of OAuth trust", claim("aud", "tableau:"+SiteLUID("finance")), 10084},
		{"sub missing", claim("sub", nil), 10084},
		{"sub empty", claim("sub", ""), 10084},
		{"sub a number", claim("sub", 7), 10084},
		{"sub unknown", claim("sub", "mallory"), 5},
		{"sub in other case", claim("sub", "Alice"), 5},
		{"exp missing", claim("exp", nil), 10084},
		{"exp a string", claim("exp", "soon"), 10084},
		{"exp past", in("exp", -time.Second), 16},
		{"exp now", in("exp", 0), 16},
		{"exp too far", in("exp", 10*time.Minute+time.Second), 16},
		{"nbf in the future", in("nbf", time.Second), 10084},
		{"nbf a string", claim("nbf", "now"), 10084},
		{"iat in the future", in("iat", time.Second), 10084},
		{"iat a string", claim("iat", "now"), 10084},
		{"jti missing", claim("jti", nil), 10084},
		{"jti empty", claim("jti", ""), 10084},
		{"jti a number", claim("jti", 5), 10084},
		{"scp missing", claim("scp", nil), 10099},
		{"scp empty", claim("scp", []string{}), 10099},
		{"scp a string", claim("scp", scopeContent), 10099},
		{"scp with something else", claim("scp", []any{scopeContent, 7}), 10099},
		{"scp of unknown form", claim("scp", []string{"workbooks.read"}), 10099},
		{"scope instead of scp", func(_ *world, f *forge) { f.claims["scope"] = f.claims["scp"]; delete(f.claims, "scp") }, 10099},
		{"on-demand access", claim("https://tableau.com/oda", "true"), 67},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			f := w.directTrust("finance", "alice", scopeContent)
			test.change(w, &f)
			wantRefused(t, w, w.signInJWT(f.sign(t), "finance"), test.want)
		})
	}
}

// wantRefused checks status, code, the number in brackets and the journal.
func wantRefused(t *testing.T, w *world, got reply, subCode int) {
	t.Helper()
	e := w.last()
	if got.status != 401 || got.code() != "401001" || e.SubCode != subCode {
		t.Fatalf("got %d %s (%d: %s), want 401 401001 (%d)", got.status, got.code(), e.SubCode, e.Reason, subCode)
	}
	if want := refuseSignIn(subCode, "").detail; !strings.Contains(got.body, "<detail>"+want+"</detail>") {
		t.Errorf("the detail is not %q", want)
	}
	if e.Reason == "" || e.Code != "401001" || e.SessionID != "" {
		t.Errorf("journal: %+v", e)
	}
	if n := w.Stats().LiveSessions; n != 0 {
		t.Errorf("%d sessions began", n)
	}
}

func TestDirectTrustAccepts(t *testing.T) {
	for _, test := range []struct {
		name   string
		opts   Options
		change func(*world, *forge)
	}{
		{"no iss in the header", Options{}, func(_ *world, f *forge) { delete(f.header, "iss") }},
		{"no typ", Options{}, func(_ *world, f *forge) { f.header["typ"] = nil }},
		{"no nbf and iat", Options{}, func(_ *world, f *forge) { delete(f.claims, "nbf"); delete(f.claims, "iat") }},
		{"exp at the limit", Options{}, func(w *world, f *forge) { f.claims["exp"] = w.clock.Now().Add(10 * time.Minute).Unix() }},
		{"nbf within the skew", Options{ClockSkew: time.Minute}, func(w *world, f *forge) {
			f.claims["nbf"] = w.clock.Now().Add(time.Minute).Unix()
		}},
		{"exp within the skew", Options{ClockSkew: time.Minute}, func(w *world, f *forge) {
			f.claims["exp"] = w.clock.Now().Add(-59 * time.Second).Unix()
		}},
		{"on-demand access licensed", Options{OnDemandAccess: true}, func(_ *world, f *forge) {
			f.claims["https://tableau.com/oda"] = "true"
		}},
		{"user attributes", Options{}, func(_ *world, f *forge) { f.claims["Region"] = []string{"North"} }},
		{"any user", Options{AcceptUser: func(name string) bool { return name == "u1" }}, func(_ *world, f *forge) { f.claims["sub"] = "u1" }},
		{"second secret", Options{}, func(w *world, f *forge) {
			secret, err := w.AddSecret(f.claims["iss"].(string))
			if err != nil {
				w.t.Fatal(err)
			}
			f.header["kid"], f.key = secret.ID, []byte(secret.Value.Reveal())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.opts)
			f := w.directTrust("finance", "alice", scopeContent)
			test.change(w, &f)
			if got := w.signInJWT(f.sign(t), "finance"); got.status != 200 {
				t.Errorf("refused: %s", w.last().Reason)
			}
		})
	}
}

func TestJTIOnce(t *testing.T) {
	w := newWorld(t, Options{})
	f := w.directTrust("finance", "alice", scopeContent)
	raw := f.sign(t)
	if got := w.signInJWT(raw, "finance"); got.status != 200 {
		t.Fatalf("first use: %s", w.last().Reason)
	}
	w.signInJWT(raw, "finance")
	if got := w.last().SubCode; got != 10091 {
		t.Errorf("second use: sub-code %d, want 10091", got)
	}
	again := w.directTrust("finance", "bob", scopeContent)
	again.claims["jti"] = f.claims["jti"]
	w.signInJWT(again.sign(t), "finance")
	if got := w.last().SubCode; got != 10091 {
		t.Errorf("another JWT with the same jti: sub-code %d, want 10091", got)
	}
}

// A JWT whose user is unknown has been used nevertheless: minting anew is the
// only way to try again.
func TestJTISpentByRefusal(t *testing.T) {
	w := newWorld(t, Options{})
	raw := w.directTrust("finance", "mallory", scopeContent).sign(t)
	w.signInJWT(raw, "finance")
	w.signInJWT(raw, "finance")
	if got := w.last().SubCode; got != 10091 {
		t.Errorf("sub-code %d, want 10091", got)
	}
}

func TestJTIMemoryIsBounded(t *testing.T) {
	w := newWorld(t, Options{})
	for range 50 {
		w.signInJWT(w.directTrust("finance", "alice", scopeContent).sign(t), "finance")
		w.clock.advance(2 * time.Minute)
	}
	if n := len(w.jtis.until); n > 5 {
		t.Errorf("%d JWT IDs remembered, want those of the last five minutes", n)
	}
}

func TestMalformedJWT(t *testing.T) {
	for _, raw := range []string{"x", "a.b.c", "..", "a.b", "eyJhbGciOiJIUzI1NiJ9.e30", strings.Repeat("a", 10000) + ".b.c", "eyJhbGciOiJIUzI1NiJ9.W10.c"} {
		w := newWorld(t, Options{})
		wantRefused(t, w, w.signInJWT(raw, "finance"), 10084)
	}
}

func TestTamperedJWT(t *testing.T) {
	w := newWorld(t, Options{})
	alice := strings.Split(w.directTrust("finance", "alice", scopeContent).sign(t), ".")
	admin := strings.Split(w.directTrust("finance", "admin", scopeContent).sign(t), ".")
	wantRefused(t, w, w.signInJWT(alice[0]+"."+admin[1]+"."+alice[2], "finance"), 10084)
}

func TestClockOffset(t *testing.T) {
	for _, test := range []struct {
		offset time.Duration
		want   int
	}{{6 * time.Minute, 16}, {-6 * time.Minute, 16}, {-time.Minute, 10084}} {
		w := newWorld(t, Options{})
		w.SetClockOffset(test.offset)
		got := w.signInJWT(w.directTrust("finance", "alice", scopeContent).sign(t), "finance")
		wantRefused(t, w, got, test.want)
		date, err := time.Parse(time.RFC1123, got.header.Get("Date"))
		if err != nil || !date.Equal(w.clock.Now().Add(test.offset)) {
			t.Errorf("Date is %v, want the wrong clock", date)
		}
	}
}

func TestSubCodesSelectable(t *testing.T) {
	opts := Options{Undocumented: Undocumented{SubCodes: SubCodes{1, 2, 3, 4, 6}}}
	for _, test := range []struct {
		want   int
		change func(*world, *forge)
	}{
		{1, func(_ *world, f *forge) { f.key = []byte("wrong") }},
		{2, func(_ *world, f *forge) { f.claims["sub"] = "mallory" }},
		{3, func(_ *world, f *forge) { f.claims["exp"] = 1 }},
		{4, func(w *world, f *forge) { f.claims["nbf"] = w.clock.Now().Add(time.Minute).Unix() }},
		{6, func(_ *world, f *forge) { delete(f.claims, "jti") }},
	} {
		w := newWorld(t, opts)
		f := w.directTrust("finance", "alice", scopeContent)
		test.change(w, &f)
		wantRefused(t, w, w.signInJWT(f.sign(t), "finance"), test.want)
	}
}

func TestAppScopes(t *testing.T) {
	const extra = "tableau:users:read"
	for _, test := range []struct {
		how    AppScopes
		status int
		scopes int
	}{{AppScopesIgnored, 200, 2}, {AppScopesIntersect, 200, 1}, {AppScopesRefuse, 401, 0}} {
		app := ConnectedApp{ClientID: "app", Site: "finance", Secrets: []AppSecret{newAppSecret()}, Scopes: []string{scopeContent}}
		w := newWorld(t, Options{ConnectedApps: []ConnectedApp{app}, Undocumented: Undocumented{AppScopes: test.how}})
		got := w.signInJWT(w.directTrust("finance", "alice", scopeContent, extra).sign(t), "finance")
		if got.status != test.status || len(w.last().Scopes) != test.scopes {
			t.Errorf("%d: got %d with scopes %v", test.how, got.status, w.last().Scopes)
		}
	}
}

func TestUnsupportedScopeGrantsNothing(t *testing.T) {
	w := newWorld(t, Options{UnsupportedScopes: []string{scopeContent}})
	token := w.signInJWT(w.directTrust("finance", "alice", scopeContent).sign(t), "finance").token(t)
	if got := w.as(token, "GET", sitePath("finance", "/workbooks")); got.code() != "401002" {
		t.Errorf("got %d %s, want 401002", got.status, got.code())
	}
}

func TestJWTWithUserID(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		w := newWorld(t, Options{Undocumented: Undocumented{RefuseJWTUserID: refuse}})
		raw := w.directTrust("finance", "alice", scopeContent).sign(t)
		got := w.call("POST", "/api/3.27/auth/signin", `<tsRequest><credentials jwt="`+raw+`"><site contentUrl="finance"/><user id="`+
			UserLUID("finance", "bob")+`"/></credentials></tsRequest>`)
		if refuse != (got.status == 401) || !refuse && w.last().User != "alice" {
			t.Errorf("refuse %v: got %d as %q", refuse, got.status, w.last().User)
		}
	}
}

func TestSignInErrorHeaders(t *testing.T) {
	for _, on := range []bool{false, true} {
		w := newWorld(t, Options{SignInErrorHeaders: on})
		f := w.directTrust("finance", "mallory", scopeContent)
		const name = "tableau_status_code" // sent as it stands, not in Go's canonical form
		got := map[string][]string(w.signInJWT(f.sign(t), "finance").header)[name]
		if on != (len(got) == 1 && got[0] == "5") {
			t.Errorf("%v: tableau_status_code is %v", on, got)
		}
	}
}

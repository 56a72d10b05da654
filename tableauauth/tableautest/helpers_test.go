// This file holds what the tests share: a server in memory, its client and a
// maker of JWTs.

package tableautest

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClock is a clock that tests turn.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a server in memory with a clock of its own.
type world struct {
	*Tableau
	t     *testing.T
	clock *fakeClock
}

func newWorld(t *testing.T, opts Options) *world {
	t.Helper()
	clock := &fakeClock{now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	opts.Now = clock.Now
	return &world{Tableau: New(opts), t: t, clock: clock}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// code is Tableau's error code in an XML or JSON answer.
func (r reply) code() string {
	var x struct {
		Error struct {
			Code   string `xml:"code,attr"`
			Detail string `xml:"detail"`
		} `xml:"error" json:"error"`
	}
	if strings.HasPrefix(r.body, "{") {
		var j struct {
			Error     struct{ Code string }
			Code      string
			ErrorCode string
		}
		_ = json.Unmarshal([]byte(r.body), &j)
		return j.Error.Code + j.Code + j.ErrorCode
	}
	_ = xml.Unmarshal([]byte(r.body), &x)
	return x.Error.Code
}

// call sends a request. headers are pairs of name and value.
func (w *world) call(method, path, body string, headers ...string) reply {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://tableau.test"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.RoundTripper().RoundTrip(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: reading the body: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(data)}
}

// as sends a request with a session token.
func (w *world) as(token Secret, method, path string) reply {
	w.t.Helper()
	return w.call(method, path, "", "X-Tableau-Auth", token.Reveal())
}

func (w *world) last() Entry {
	w.t.Helper()
	journal := w.Journal()
	if len(journal) == 0 {
		w.t.Fatal("the journal is empty")
	}
	return journal[len(journal)-1]
}

const current = "/api/3.27/sessions/current"

func (w *world) wantAlive(token Secret) {
	w.t.Helper()
	if got := w.as(token, "GET", current); got.status != 200 {
		w.t.Errorf("the session should live, got %d %s", got.status, got.code())
	}
}

func (w *world) wantDead(token Secret, code string) {
	w.t.Helper()
	if got := w.as(token, "GET", current); got.status != 401 || got.code() != code {
		w.t.Errorf("the session should be dead with %s, got %d %s", code, got.status, got.code())
	}
}

// signInAnswer is what sign-in and switchSite answer.
type signInAnswer struct {
	XMLName     xml.Name `xml:"http://tableau.com/api tsResponse" json:"-"`
	Credentials struct {
		Token    string `xml:"token,attr"`
		Estimate string `xml:"estimatedTimeToExpiration,attr" json:"estimatedTimeToExpiration"`
		Site     struct {
			ID         string `xml:"id,attr"`
			ContentURL string `xml:"contentUrl,attr" json:"contentUrl"`
		} `xml:"site"`
		User struct {
			ID string `xml:"id,attr"`
		} `xml:"user"`
	} `xml:"credentials"`
}

func (r reply) credentials(t *testing.T) signInAnswer {
	t.Helper()
	var a signInAnswer
	err := xml.Unmarshal([]byte(r.body), &a)
	if strings.HasPrefix(r.body, "{") {
		err = json.Unmarshal([]byte(r.body), &a)
	}
	if err != nil || a.Credentials.Token == "" {
		t.Fatalf("not a sign-in answer: %d, %v", r.status, err)
	}
	return a
}

func (r reply) token(t *testing.T) Secret { return Secret(r.credentials(t).Credentials.Token) }

// signIn posts credentials in XML at the newest version.
func (w *world) signIn(attrs, site string) reply {
	w.t.Helper()
	body := `<tsRequest><credentials ` + attrs + `><site contentUrl="` + site + `"/></credentials></tsRequest>`
	return w.call("POST", "/api/3.27/auth/signin", body)
}

func (w *world) password(user string) string {
	for _, u := range w.Users() {
		if u.Name == user {
			return u.Password.Reveal()
		}
	}
	w.t.Fatalf("no user %s", user)
	return ""
}

func (w *world) signInPassword(user, site string) reply {
	w.t.Helper()
	return w.signIn(`name="`+user+`" password="`+w.password(user)+`"`, site)
}

func (w *world) signInPAT(user, site string) reply {
	w.t.Helper()
	pat := w.PATs(user)[0]
	return w.signIn(`personalAccessTokenName="`+pat.Name+`" personalAccessTokenSecret="`+pat.Secret.Reveal()+`"`, site)
}

func (w *world) signInJWT(token, site string) reply {
	w.t.Helper()
	return w.signIn(`jwt="`+token+`"`, site)
}

// forge is a JWT to be made: right by default, and changed by tests.
type forge struct {
	method jwt.SigningMethod
	key    any
	header map[string]any
	claims jwt.MapClaims
}

// directTrust is a right JWT for the site's Connected App.
func (w *world) directTrust(site, sub string, scopes ...string) forge {
	app := w.ConnectedApp(site)
	now := w.clock.Now()
	return forge{
		method: jwt.SigningMethodHS256, key: []byte(app.Secrets[0].Value.Reveal()),
		header: map[string]any{"kid": app.Secrets[0].ID, "iss": app.ClientID},
		claims: jwt.MapClaims{
			"iss": app.ClientID, "sub": sub, "aud": "tableau", "jti": uuid.NewString(), "scp": scopes,
			"exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "iat": now.Unix(),
		},
	}
}

func (f forge) sign(t *testing.T) string {
	t.Helper()
	token := jwt.NewWithClaims(f.method, f.claims)
	for name, value := range f.header {
		if value == nil {
			delete(token.Header, name)
			continue
		}
		token.Header[name] = value
	}
	signed, err := token.SignedString(f.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (w *world) issue(site, user string, scopes ...string) Secret {
	w.t.Helper()
	token, err := w.IssueSession(site, user, scopes...)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func sitePath(site, rest string) string { return "/api/3.27/sites/" + SiteLUID(site) + rest }

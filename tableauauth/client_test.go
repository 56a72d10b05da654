package tableauauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// TestSignInFailures is the table of what can go wrong, and what it counts as.
func TestSignInFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault tableautest.Fault
		want  Reason
		text  string
	}{
		{"refused", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "401001", SubCode: 10090}}, Refused, "CONNECTED_APP_DISABLED"},
		{"forbidden", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "403004"}}, Refused, "403004"},
		{"throttled", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "429000", RetryAfter: "7"}}, Throttled, "429"},
		{"unavailable", tableautest.Fault{Refuse: &tableautest.Refusal{Code: "503000"}}, Unavailable, "503"},
		{"redirect", tableautest.Fault{Redirect: "https://elsewhere.example/api/3.17/auth/signin?x=1"}, Redirected, `"https://elsewhere.example"`},
		{"redirect 308", tableautest.Fault{Redirect: "/login", RedirectStatus: 308}, Redirected, "redirect"},
		{"cut", tableautest.Fault{Cut: tableautest.CutBeforeHeaders}, Unreachable, ""},
		{"cut mid-body", tableautest.Fault{Cut: tableautest.CutMidBody}, Unreachable, ""},
		{"hang", tableautest.Fault{Hang: true}, TimedOut, ""},
		{"hang mid-body", tableautest.Fault{MidBodyDelay: time.Hour}, TimedOut, ""},
		{"web page", tableautest.Fault{Body: tableautest.HTMLBody}, Nonsense, ""},
		{"empty", tableautest.Fault{Body: tableautest.EmptyBody}, Nonsense, ""},
		{"truncated", tableautest.Fault{Body: tableautest.TruncatedBody}, Nonsense, ""},
		{"huge", tableautest.Fault{Body: tableautest.HugeBody}, Nonsense, ""},
		{"other site", tableautest.Fault{AnswerSite: "marketing"}, Misfit, `"marketing"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tableautest.Options{}, PoolOptions{})
				c.fault.Match.SignIn = true
				fault := r.AddFault(c.fault)
				began := time.Now()
				_, _, err := r.pool.Get(t.Context(), grant("alice"))
				var failure *SignInError
				if !errors.As(err, &failure) || failure.Reason != c.want {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("%q does not say %q", err, c.text)
				}
				if took := time.Since(began); took > DefaultSignInTimeout {
					t.Errorf("took %v", took)
				}
				if fault.Hits() != 1 {
					t.Errorf("%d attempts", fault.Hits())
				}
				if leaks := r.Leaks([]byte(fmt.Sprintf("%v %+v %#v", err, failure, failure))); len(leaks) > 0 {
					t.Errorf("the error shows %v", leaks)
				}
				r.ClearFaults()
			})
		})
	}
}

// TestWrongLabelIsRead: the Content-Type of an answer decides nothing.
func TestWrongLabelIsRead(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{SignIn: true}, Body: tableautest.WrongTypeBody})
	r.session(t, "alice")
}

// TestErrorsDoNotRepeatTheJWT: a server that explains a refusal by quoting what
// was presented must not bring it into our log.
func TestErrorsDoNotRepeatTheJWT(t *testing.T) {
	var jwt string
	echo := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		_, rest, _ := strings.Cut(string(body), `jwt="`)
		jwt, _, _ = strings.Cut(rest, `"`)
		answer := `<tsResponse xmlns="http://tableau.com/api"><error code="401001"><summary>Bad ` + jwt +
			`</summary><detail>signature ` + jwt[strings.LastIndexByte(jwt, '.')+1:] + ` (10084)</detail></error></tsResponse>`
		return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: req}, nil
	})
	r := newRig(t, tableautest.Options{}, PoolOptions{Client: Client{Transport: echo}})
	_, _, err := r.pool.Get(t.Context(), grant("alice"))
	if err == nil || len(jwt) < 100 {
		t.Fatalf("error %v, JWT of %d bytes", err, len(jwt))
	}
	for i, part := range strings.Split(jwt, ".") {
		if strings.Contains(err.Error(), part) {
			t.Errorf("part %d of the JWT is in the error", i+1)
		}
	}
	if !strings.Contains(err.Error(), "[redacted]") || !strings.Contains(err.Error(), "10084") {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"5":                             5 * time.Second,
		"-5":                            0,
		"99999999999":                   maxRetryAfter,
		"3600":                          maxRetryAfter,
		"soon":                          0,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

func TestSignOut(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	client := &Client{Origin: testOrigin, Transport: r.base}
	s := r.session(t, "alice")
	if got := client.probe(t.Context(), s); got != alive {
		t.Errorf("before: %v", got)
	}
	for range 2 { // the second finds it dead, which is no error
		if err := client.signOut(t.Context(), s); err != nil {
			t.Error(err)
		}
	}
	if got := client.probe(t.Context(), s); got != dead {
		t.Errorf("after: %v", got)
	}
	r.AddFault(tableautest.Fault{Refuse: &tableautest.Refusal{Code: "500000"}})
	if err := client.signOut(t.Context(), s); err == nil {
		t.Error("a 500 counts as signed out")
	}
	if got := client.probe(t.Context(), s); got != unknown {
		t.Errorf("500: %v", got)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if got := client.probe(cancelled, s); got != unknown {
		t.Errorf("cancelled: %v", got)
	}
}

func TestParseOrigin(t *testing.T) {
	for given, want := range map[string]string{
		"https://10ax.online.tableau.com":  "https://10ax.online.tableau.com",
		"https://Tableau.Corp.example:444": "https://tableau.corp.example:444",
		"https://tableau.example/":         "https://tableau.example",
		"http://[::1]:80":                  "http://[::1]:80",
	} {
		if got, err := ParseOrigin(given); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", given, got, err)
		}
	}
	for given, want := range map[string]string{
		"":                            "not a URL",
		"tableau.example":             "not a URL",
		"ftp://tableau.example":       "not a URL",
		"https://":                    "not a URL",
		"https://a:hunter2@b.example": "user name or password",
		"https://b.example/api":       "more than scheme",
		"https://b.example?x=1":       "more than scheme",
		"https://b.example#x":         "more than scheme",
		"https://{http.request.host}": "",
		"https://:443":                "no fixed host",
		"https://b.example\x00/":      "not a URL",
	} {
		_, err := ParseOrigin(given)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want an error about %q", given, err, want)
		}
	}
}

func TestSessionDoesNotPrintItsToken(t *testing.T) {
	r := newRig(t, tableautest.Options{}, PoolOptions{})
	s := r.session(t, "alice")
	type holder struct{ s *Session }
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if leaks := r.Leaks([]byte(fmt.Sprintf(format, s) + fmt.Sprintf(format, holder{s}) + fmt.Sprintf(format, r.app))); len(leaks) > 0 {
			t.Errorf("%s shows %v", format, leaks)
		}
	}
}

package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

func TestLimitOptions(t *testing.T) {
	tests := []struct {
		name, options, want string // part of the error
	}{
		{"all", "sign_in_rate 0.5\nsign_in_rate_per_user 6\nmax_sign_ins 4\nsign_in_queue 10\nsign_in_wait 2s\nmax_sessions 100", ""},
		{"not a number", "sign_in_rate many", `sign_in_rate: "many" is not a number`},
		{"none", "sign_in_rate 0", `sign_in_rate: "0" is not a number from just above 0`},
		{"less than none", "sign_in_rate_per_user -1", `sign_in_rate_per_user: "-1"`},
		{"NaN", "sign_in_rate NaN", `"NaN" is not a number`},
		{"infinite", "sign_in_rate Inf", `"Inf" is not a number`},
		{"half a sign-in", "max_sign_ins 1.5", `max_sign_ins: "1.5" is not a whole number`},
		{"no queue", "sign_in_queue 0", "sign_in_queue"},
		{"no unit", "sign_in_wait 5", `sign_in_wait: "5" is not a duration`},
		{"no time", "sign_in_wait 0s", "sign_in_wait"},
		{"missing", "max_sessions", "wrong argument count"},
		{"too much", "max_sessions 1 2", "wrong argument count"},
		{"twice", "max_sessions 1\nmax_sessions 2", "max_sessions is given twice"},
		{"unknown", "sign_in_rates 5", "there are seal_key, sign_in_rate,"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseGlobal(caddyfile.NewTestDispenser("tableau {\n"+test.options+"\n}"), nil)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestLimitsInJSON(t *testing.T) {
	for _, app := range []*App{
		{SignInRate: -1}, {SignInRatePerUser: -1}, {MaxSignIns: -1}, {SignInQueue: -1}, {SignInWait: -1}, {MaxSessions: -1},
	} {
		if err := app.checkLimits(); err == nil || !strings.Contains(err.Error(), "must be more than 0") {
			t.Errorf("%+v: %v", app, err)
		}
	}
	if err := new(App).checkLimits(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// TestKeptBackSignIn: what the limits keep back is a 503 that says when to come
// again, and nothing is sent.
func TestKeptBackSignIn(t *testing.T) {
	f := signInFailure(&tableauauth.SignInError{Reason: tableauauth.Limited, RetryAfter: 7e9})
	if f.status != 503 || f.code != "sign_in_throttled" || f.retryAfter.Seconds() != 7 || !strings.Contains(f.detail, "keeps back") {
		t.Errorf("%+v", f)
	}
}

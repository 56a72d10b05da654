// These tests run the commands that need no configuration, the way somebody
// does who has never seen the project: by copying what they print.

package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// needCurl skips the test where there is no curl.
func needCurl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed, and the lines to copy call it")
	}
}

// A demoLine is what must come of one line that the demo prints.
type demoLine struct {
	holds []string // in the answer
	lacks []string
	trail string // without the time
}

var demoLines = []demoLine{
	{
		holds: []string{"Drafts of alice", "<?xml"}, lacks: []string{"Drafts of bob"},
		trail: "alice as alice, site finance  query_workbooks_for_site  GET /sites/{site}/workbooks  200  signed in",
	},
	{
		holds: []string{"Drafts of bob", "<?xml"}, lacks: []string{"Drafts of alice"},
		trail: "bob as bob, site finance  query_workbooks_for_site  GET /sites/{site}/workbooks  200  signed in",
	},
	{
		holds: []string{`code="403004"`, "needs the scope tableau:users:read", "tableau:content:read"},
		trail: "alice as alice, no site  get_users_on_site  GET /sites/{site}/users  403  no session, scope_missing",
	},
	{
		holds: []string{`code="403004"`, "no Tableau user is assigned to you"},
		trail: "mallory, no site  query_workbooks_for_site  GET /sites/{site}/workbooks  403  no session, identity_not_mapped",
	},
	{
		holds: []string{"Drafts of alice", `{"pagination"`}, lacks: []string{"Drafts of bob"},
		trail: "alice as alice, site finance  query_workbooks_for_site  GET /sites/{site}/workbooks  200  session reused",
	},
}

func TestTheDemoDoesWhatItPrints(t *testing.T) {
	needCurl(t)
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			p := startProcess(t, shortTempDir(t), nil, "tableau", "demo", "--listen", "127.0.0.1:0")
			said := p.waitFor(p.stdout, "Each request, as it comes:")
			lines := regexp.MustCompile(`(?m)^\s*(curl .*)$`).FindAllStringSubmatch(said, -1)
			if len(lines) != len(demoLines) {
				t.Fatalf("the demo prints %d lines to copy, want %d:\n%s", len(lines), len(demoLines), said)
			}
			var want []string
			for i, line := range lines {
				runLine(t, line[1], demoLines[i])
				want = append(want, demoLines[i].trail)
				p.waitFor(p.stdout, demoLines[i].trail)
			}
			if diff := cmp.Diff(want, trail(p.stdout.String())); diff != "" {
				t.Errorf("the trail is another (-want +got):\n%s", diff)
			}
			p.signal(signal)
			if code := p.exitCode(); code != 0 {
				t.Errorf("exit code %d, want 0\n%s", code, p.tail())
			}
			if last := "Done. Sign-ins at Tableau: 2. Sessions alive: 0.\n"; !strings.HasSuffix(p.stdout.String(), last) {
				t.Errorf("the demo did not end with %q\n%s", last, p.tail())
			}
			if text := p.stderr.String(); text != "" {
				t.Errorf("the demo prints errors:\n%s", text)
			}
		})
	}
}

// runLine gives a printed line to a shell, as somebody does who copies it.
func runLine(t *testing.T, line string, want demoLine) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	for _, part := range want.holds {
		if !strings.Contains(string(out), part) {
			t.Errorf("%s: no %q in:\n%s", line, part, out)
		}
	}
	for _, part := range want.lacks {
		if strings.Contains(string(out), part) {
			t.Errorf("%s: %q in:\n%s", line, part, out)
		}
	}
	if !strings.HasSuffix(string(out), "\n") {
		t.Errorf("%s: the answer does not end its line in the terminal", line)
	}
}

// trail is the lines with a time at their beginning, without it.
func trail(text string) (lines []string) {
	for _, m := range regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  (.*)$`).FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1])
	}
	return lines
}

func TestTheDemoListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0"} {
		for _, command := range []string{"demo", "simulate"} {
			done := runCaddy(t, shortTempDir(t), nil, "tableau", command, "--listen", address)
			if done.code == 0 || !strings.Contains(done.stderr, "loopback") {
				t.Errorf("caddy tableau %s --listen %s: exit code %d and %q", command, address, done.code, done.stderr)
			}
		}
	}
}

// The simulator alone is what somebody develops against: what it prints must be
// enough to set up a proxy in front of it.
func TestTheSimulatorCanBeProxiedWithWhatItPrints(t *testing.T) {
	r := prepare(t, setup{})
	caFile := r.conf.Dir + "/tableau.pem"
	p := startProcess(t, r.conf.Dir, nil, "tableau", "simulate", "--listen", "127.0.0.1:0", "--ca-file", caFile)
	said := p.waitFor(p.stdout, "Ctrl-C stops it.")
	field := func(pattern string) string {
		m := regexp.MustCompile(`(?s)` + pattern).FindStringSubmatch(said)
		if m == nil {
			t.Fatalf("nothing like %s in:\n%s", pattern, said)
		}
		return m[1]
	}
	r.conf.Origin = field(`listens at (https://\S+)`)
	r.conf.ClientID = field(`site finance\n\s+client_id\s+(\S+)`)
	r.conf.SecretID = field(`site finance\n.*?secret ID\s+(\S+)`)
	r.conf.Secret = "{file." + r.file("secret", []byte(field(`site finance\n.*?secret value\s+(\S+)`))) + "}"
	r.start()
	c := r.plain()
	for _, user := range []string{"alice", "bob"} {
		if a := c.get(user, workbooks).expect(r, 200); !strings.Contains(string(a.body), "Drafts of "+user) {
			t.Errorf("the answer is not that of %s", user)
		}
	}
	r.proxy.signal(syscall.SIGTERM)
	if code := r.proxy.exitCode(); code != 0 {
		t.Errorf("the proxy's exit code is %d", code)
	}
	p.signal(os.Interrupt)
	if code := p.exitCode(); code != 0 {
		t.Errorf("the simulator's exit code is %d", code)
	}
	if !strings.HasSuffix(p.stdout.String(), "Stopped. Live sessions: 0.\n") {
		t.Errorf("sessions are left:\n%s", p.tail())
	}
}

func TestTheBinaryHasTheModules(t *testing.T) {
	done := runCaddy(t, shortTempDir(t), nil, "list-modules")
	modules := strings.Fields(done.stdout)
	for _, id := range []string{
		"tableau", "http.handlers.tableau_auth", "http.handlers.tableau_forward", "http.reverse_proxy.transport.tableau",
		"tableau.credentials.direct_trust", "caddy.logging.encoders.tableau_trail",
	} {
		found := false
		for _, m := range modules {
			found = found || m == id
		}
		if !found {
			t.Errorf("caddy list-modules does not have %s", id)
		}
	}
}

// curl is the client of most people who try something.
func TestCurlIsServedByEveryVersionOfHTTP(t *testing.T) {
	needCurl(t)
	r := newRig(t, setup{})
	clear, secure := r.plain().base, r.h1().base
	for _, call := range [][]string{
		{"--http1.0", clear + workbooks},
		{"--http1.1", clear + workbooks},
		{"--http1.1", secure + workbooks},
		{"--http2", secure + workbooks},
		{"--http2", "--request", "GET", "--header", "X-Tableau-Auth;", secure + workbooks}, // an empty one, as some clients send
	} {
		args := append([]string{"-sS", "--fail", "--noproxy", "*", "--ipv4", "--cacert", r.conf.Dir + "/proxy.pem", "-u", "alice:" + clientPassword}, call...)
		out, err := exec.CommandContext(t.Context(), "curl", args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Drafts of alice") {
			t.Errorf("curl %v: %v\n%s", call, err, out)
		}
		r.kept.add("an answer to curl", out)
	}
	r.expectSignIns(1)
}

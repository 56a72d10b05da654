package caddymodule

// This file checks that what `caddy tableau client add` prints is right as it
// stands: the line in a Caddyfile, and the secret in a client.

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// printed is what the command prints: a sentence, the secret, another sentence,
// and the line.
var printed = regexp.MustCompile(`^The secret of (.*), which is not shown again:

  ([A-Z2-7]{26})

The line for the clients block of the configuration:

  (.*)
$`)

// added runs the command, which must succeed.
func added(t *testing.T, name, identity string) (secret, line string) {
	t.Helper()
	var out bytes.Buffer
	if err := addClient(name, identity, bcrypt.MinCost, &out); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	m := printed.FindStringSubmatch(out.String())
	if m == nil || m[1] != name || strings.Count(out.String(), m[2]) != 1 {
		t.Fatalf("%q: it prints something else", name)
	}
	return m[2], m[3]
}

func TestPrintedLineAndSecretWorkAsTheyStand(t *testing.T) {
	all := []struct{ name, identity, want string }{
		{"etl", "", "etl"},
		{"nightly", "alice@corp.example", "alice@corp.example"},
		{"night job", "", "night job"},
		{"same", "same", "same"},
		{`CORP\etl`, `CORP\alice`, `CORP\alice`},
		{`say "hi"`, "", `say "hi"`},
		{"#1", "`quoted`", "`quoted`"},
		{"heredoc", "<<EOF", "<<EOF"},
		{"<<EOF", "", "<<EOF"},
		{`back\`, `slash\"and quote`, `slash\"and quote`},
		{"Zoë Ωmega", "", "Zoë Ωmega"},
		{"@matcher", "(snippet)", "(snippet)"},
	}
	secrets, lines := make([]string, len(all)), make([]string, len(all))
	for i, test := range all {
		secrets[i], lines[i] = added(t, test.name, test.identity)
	}
	everybody := tableautest.Options{AcceptUser: func(string) bool { return true }}
	r := started(t, everybody, setup{before: open, options: clientOptions(lines...)})
	for i, test := range all {
		t.Run(test.name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"credentials": map[string]any{"name": test.name, "password": secrets[i], "site": map[string]string{"contentUrl": testSite}}})
			if err != nil {
				t.Fatal(err)
			}
			a := r.post(t, "", signInPath, string(body))
			var g given
			if err := json.Unmarshal([]byte(a.body), &g); err != nil || a.status != 200 {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			expectStatus(t, "with the token", r.with(t, "", g.Credentials.Token), 200, "")
			if e := r.last(t); e.User != test.want {
				t.Errorf("the request was made as %q, want %q", e.User, test.want)
			}
		})
	}
}

func TestQuotedTokenIsReadBackAsItWas(t *testing.T) {
	alphabet := []rune("ab \"`#\\<>'$@()*|~é\u00df")
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringOfN(rapid.RuneFrom(alphabet), 1, 12, -1).Draw(t, "token")
		quoted, err := quoted(token)
		if err != nil {
			if !strings.Contains(token, "`") || !strings.Contains(token, `\`) {
				t.Errorf("%q cannot be quoted: %v", token, err)
			}
			return
		}
		// in the middle of a line, and at its end
		got, err := caddyfile.Tokenize([]byte(quoted+" "+quoted+"\nnext\n"), "Caddyfile")
		if err != nil || len(got) != 3 || got[0].Text != token || got[1].Text != token || got[2].Text != "next" {
			t.Errorf("%q is written as %s, and read as %v (%v)", token, quoted, got, err)
		}
	})
}

func TestNamesThatCannotBeWrittenAreRefused(t *testing.T) {
	for _, test := range []struct{ name, identity, want string }{
		{"", "", "empty"},
		{" etl", "", "begins or ends with a space"},
		{"etl\nreport", "", "control"},
		{"e\u200btl", "", "invisible"},
		{"e\u0301tl", "", "normalisation form C"},
		{"caf\xe9", "", "UTF-8"},
		{strings.Repeat("a", tableauauth.MaxUserBytes+1), "", "longer than 255 bytes"},
		{"a:b", "", "no colon"},
		{"{env.HOME}", "", "no braces"},
		{"import", "", "choose another name"},
		{"a`b\\c", "", "a backquote and a backslash"},
		{"etl", "alice\t", "identity"},
		{"etl", "{env.HOME}", "braces"},
		{"etl", "{$HOME}", "braces"},
		{"etl", "{", "braces"},
		{"etl", "a`b\\c", "a backquote and a backslash"},
	} {
		var out bytes.Buffer
		err := addClient(test.name, test.identity, bcrypt.MinCost, &out)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q, identity %q: error %v, want %q in it", test.name, test.identity, err, test.want)
		}
		if out.Len() > 0 {
			t.Errorf("%q: a secret is printed all the same", test.name)
		}
	}
}

func TestSecretIsFreshEachTime(t *testing.T) {
	first, line := added(t, "etl", "")
	second, again := added(t, "etl", "")
	if first == second || line == again {
		t.Error("the same secret or hash twice")
	}
	if strings.Contains(line, first) {
		t.Error("the line holds the secret")
	}
}

func TestClientCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		ok   bool
	}{
		{[]string{"add", "etl"}, true},
		{[]string{"add", "etl", "--identity", "alice"}, true},
		{[]string{"add", "--identity", "alice", "etl"}, true},
		{[]string{"add"}, false},
		{[]string{"add", "etl", "alice"}, false},
		{[]string{"add", "etl", "--password", "x"}, false},
		{[]string{"add", "a:b"}, false},
	} {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		stdout := os.Stdout
		os.Stdout = out
		cmd := clientCommand()
		cmd.SetArgs(test.args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err = cmd.Execute()
		os.Stdout = stdout
		if (err == nil) != test.ok {
			t.Errorf("%v: %v", test.args, err)
		}
		content, readErr := os.ReadFile(out.Name())
		if closeErr := out.Close(); readErr != nil || closeErr != nil {
			t.Fatal(readErr, closeErr)
		}
		m := printed.FindStringSubmatch(string(content))
		if (m != nil) != test.ok {
			t.Errorf("%v: it prints %d bytes of something else", test.args, len(content))
		}
		if m != nil && !strings.HasPrefix(m[3], "etl $2a$10$") {
			t.Errorf("%v: the hash has another cost than usual: %.12s", test.args, m[3])
		}
		if wanted := len(test.args) > 2 && test.ok; m != nil && wanted != strings.HasSuffix(m[3], " alice") {
			t.Errorf("%v: the line is %s", test.args, m[3])
		}
	}
}

// The tests of this file run what the documentation shows, with the program that
// users have: Caddyfile.example, every configuration in README.md and docs, every
// refusal that docs/configuration.md promises, and the demo of the README.

package caddytableau_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// TestDocumentedConfigurations loads every configuration of the documentation. A
// fence "caddyfile" or "json" holds a whole one, "caddyfile option" options of
// tableau_proxy.
func TestDocumentedConfigurations(t *testing.T) {
	program := newProgram(t)
	for _, file := range documents(t) {
		for _, f := range fences(readFile(t, file)) {
			switch f.info {
			case "caddyfile":
				out, err := program.validate(t, f.body, "caddyfile")
				if err != nil || strings.Contains(out, "not formatted") {
					t.Errorf("%s: %s\n%s", file, out, f.body)
				}
			case "caddyfile option":
				if out, err := program.validate(t, withOptions(f.body), "caddyfile"); err != nil {
					t.Errorf("%s: %s\n%s", file, out, f.body)
				}
			case "json":
				if out, err := program.validate(t, f.body, ""); err != nil {
					t.Errorf("%s: %s\n%s", file, out, f.body)
				}
			}
		}
	}
}

func TestReadmeJSONIsTheCaddyfile(t *testing.T) {
	var caddyfile, want string
	for _, f := range fences(readFile(t, "README.md")) {
		switch {
		case f.info == "caddyfile" && caddyfile == "":
			caddyfile = f.body
		case f.info == "json":
			want = f.body
		}
	}
	got, err := newProgram(t).run(t, "adapt", "--adapter", "caddyfile", "--config", writeFile(t, "Caddyfile", caddyfile))
	if err != nil {
		t.Fatal(got)
	}
	if diff := cmp.Diff(decodeJSON(t, want), decodeJSON(t, got)); diff != "" {
		t.Errorf("the first Caddyfile of README.md as JSON (-README.md +caddy adapt):\n%s", diff)
	}
}

func TestCaddyfileExample(t *testing.T) {
	program := newProgram(t)
	example := readFile(t, "Caddyfile.example")
	out, err := program.validate(t, example, "caddyfile")
	if err != nil || strings.Contains(out, "not formatted") {
		t.Fatalf("with every variable set: %s", out)
	}

	active := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(example, "")
	for _, match := range regexp.MustCompile(`\{env\.(\w+)\}`).FindAllStringSubmatch(active, -1) {
		variable := match[1]
		if !strings.Contains(example, "#   "+variable+" ") {
			t.Errorf("%s is not among the variables at the top", variable)
		}
		out, err := program.without(variable).validate(t, example, "caddyfile")
		if err == nil || !strings.Contains(out, variable) {
			t.Errorf("without %s: %v, which does not name it: %s", variable, err, out)
		}
	}
}

// What is switched off in the example can be switched on, all of it at once.
func TestCaddyfileExampleVariants(t *testing.T) {
	off := regexp.MustCompile(`(?m)^(\t*)#([^ #\n].*)$`)
	example := readFile(t, "Caddyfile.example")
	if n := len(off.FindAllString(example, -1)); n < 5 {
		t.Fatalf("only %d lines are switched off", n)
	}
	all := writeFile(t, "Caddyfile", off.ReplaceAllString(example, "$1$2"))
	if out, err := newProgram(t).run(t, "adapt", "--adapter", "caddyfile", "--config", all); err != nil {
		t.Error(out)
	}
}

// TestRefusals gives the program what docs/configuration.md says that it refuses.
func TestRefusals(t *testing.T) {
	program := newProgram(t)
	_, section, _ := strings.Cut(readFile(t, "docs/configuration.md"), "## What refuses to load\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := tableRows(section)
	if len(rows) < 30 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		config := withOptions(strings.Join(codeSpans(row[0]), "\n"), omitted(row[0])...)
		out, err := program.validate(t, config, "caddyfile")
		if err == nil {
			t.Errorf("%s: loads", row[0])
		}
		for part := range strings.SplitSeq(codeSpans(row[1])[0], "…") {
			if !strings.Contains(strings.ReplaceAll(out, `\"`, `"`), part) {
				t.Errorf("%s: %q is not in %s", row[0], part, out)
			}
		}
	}
}

// omitted are the options behind "no" in a cell.
func omitted(cell string) []string {
	var names []string
	for _, match := range regexp.MustCompile("no `(\\w+)`").FindAllStringSubmatch(cell, -1) {
		names = append(names, match[1])
	}
	return names
}

// usualOptions are those of a configuration that loads, by name. Those that begin
// with a tab belong into the block of credentials.
var usualOptions = [][2]string{
	{"tableau_proxy", "tableau_proxy https://tableau.corp.example"},
	{"site", "site finance"},
	{"user", "user {http.auth.user.id}"},
	{"scopes", "scopes tableau:content:read"},
	{"client_id", "\tclient_id {env.TABLEAU_CLIENT_ID}"},
	{"secret", "\tsecret {env.TABLEAU_SECRET_ID} {env.TABLEAU_SECRET_VALUE}"},
}

// withOptions is a configuration with options, which take the place of the usual
// ones of the same name, and without those omitted.
func withOptions(options string, omitted ...string) string {
	lines := strings.Split(strings.TrimSpace(options), "\n")
	given := slices.Clone(omitted)
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		given = append(given, name)
	}
	directive, app, rest := "", "", ""
	for _, usual := range usualOptions {
		switch {
		case slices.Contains(given, usual[0]):
		case usual[0] == "tableau_proxy":
			directive = usual[1]
		case usual[1][0] == '\t':
			app += usual[1] + "\n"
		default:
			rest += usual[1] + "\n"
		}
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		switch {
		case slices.Contains(omitted, line):
		case name == "tableau_proxy":
			directive = line
		case name == "client_id" || name == "secret":
			app += line + "\n"
		default:
			rest += oneLineBlock.ReplaceAllString(line, " {\n$1\n}") + "\n"
		}
	}
	if !slices.Contains(given, "credentials") {
		rest += "credentials direct_trust {\n" + app + "}\n"
	}
	return "tableau.corp.example {\n" + directive + " {\n" + rest + "}\n}\n"
}

// oneLineBlock is a block as a table has it, on one line.
var oneLineBlock = regexp.MustCompile(` \{ (?:(.*) )?\}$`)

// A program is Caddy with the modules, as users have it, and its environment.
type program struct {
	path string
	env  []string
}

// built is the program, built once. It stays, so that the next build is quick.
var built = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs(filepath.Join(".cache", "docs", "caddy"))
	if err != nil {
		return "", err
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		return "", err
	}
	tags := regexp.MustCompile(`(?m)^TAGS\s*:=\s*(\S+)`).FindSubmatch(makefile)
	if tags == nil {
		return "", errors.New("Makefile: no TAGS")
	}
	out, err := exec.Command("go", "build", "-tags", string(tags[1]), "-o", path, "./cmd/caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
})

// newProgram is the program with every variable set that the documentation names.
func newProgram(t *testing.T) program {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	server := tableautest.NewTLSServer(tableautest.Options{})
	t.Cleanup(server.Close)
	ca := writeFile(t, "ca.pem", string(server.CAPEM()))
	home := t.TempDir()
	return program{path, append(os.Environ(),
		"HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home,
		"TABLEAU_CLIENT_ID=client", "TABLEAU_SECRET_ID=id", "TABLEAU_SECRET_VALUE=value",
		"TABLEAU_SEAL_KEY=0123456789abcdef0123456789abcdef",
		"TABLEAU_CA_FILE="+ca, "CLIENT_CA_FILE="+ca,
		"USER_MAP_FILE="+writeFile(t, "users", "alice alice.liddell@corp.example\n"),
	)}
}

// without is p without a variable.
func (p program) without(variable string) program {
	p.env = slices.DeleteFunc(slices.Clone(p.env), func(s string) bool { return strings.HasPrefix(s, variable+"=") })
	return p
}

// run runs a command of the program to its end, and returns what it prints: its
// standard output, or, if it fails, its log.
func (p program) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), p.path, args...)
	command.Env = p.env
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}

// validate loads a configuration, without starting it, and returns all that is
// printed.
func (p program) validate(t *testing.T, config, adapter string) (string, error) {
	t.Helper()
	args := []string{"validate", "--config", writeFile(t, "config", config)}
	if adapter != "" {
		args = append(args, "--adapter", adapter)
	}
	command := exec.CommandContext(t.Context(), p.path, args...)
	command.Env = p.env
	out, err := command.CombinedOutput()
	return string(out), err
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func decodeJSON(t *testing.T, s string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

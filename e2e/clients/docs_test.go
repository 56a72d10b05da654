// The tests of this file hold docs/clients.md to what is run here: its versions,
// its scopes and its commands.

package clients

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// document is docs/clients.md.
func document(t *testing.T) string {
	t.Helper()
	return read(t, "docs", "clients.md")
}

// read reads a file of the module.
func read(t *testing.T, elements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{root()}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentedVersionsAreThoseThatRun(t *testing.T) {
	pins := map[string]string{}
	for _, name := range []string{"requirements.txt", "requirements-tabcmd.txt"} {
		// The clients come first, then an empty line, then what they need.
		clients, _, _ := strings.Cut(read(t, "e2e", "clients", name), "\n\n")
		for _, match := range regexp.MustCompile(`(?m)^([\w-]+)==(\S+)$`).FindAllStringSubmatch(clients, -1) {
			pins[match[1]] = match[2]
		}
	}
	var npm struct{ Dependencies map[string]string }
	if err := json.Unmarshal([]byte(read(t, "e2e", "clients", "npm", "package.json")), &npm); err != nil {
		t.Fatal(err)
	}
	maps.Copy(pins, npm.Dependencies)
	documented := map[string]string{}
	for _, match := range regexp.MustCompile("(?m)^\\| `([\\w-]+)` \\(\\w+\\) \\| (\\S+) \\|").FindAllStringSubmatch(document(t), -1) {
		documented[match[1]] = match[2]
	}
	if len(pins) != 5 || len(documented) != len(pins) {
		t.Errorf("%d clients are pinned and %d documented, want 5", len(pins), len(documented))
	}
	for name, version := range pins {
		if documented[name] != version {
			t.Errorf("docs/clients.md has %s %q, the one that runs is %s", name, documented[name], version)
		}
	}
}

func TestDocumentedScopesAreThoseOfTheTests(t *testing.T) {
	var documented []string
	for _, f := range fences(document(t), "caddyfile option") {
		for word := range strings.FieldsSeq(f) {
			if strings.HasPrefix(word, "tableau:") {
				documented = append(documented, word)
			}
		}
	}
	if got := strings.Join(documented, " "); got != scopes {
		t.Errorf("docs/clients.md has %q, the tests %q", got, scopes)
	}
}

// fences are the blocks of a Markdown text that are marked with info.
func fences(text, info string) []string {
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		if match[1] == info {
			blocks = append(blocks, match[2])
		}
	}
	return blocks
}

// Every command and every piece of Python of docs/clients.md does what it should.
func TestDocumentedCommands(t *testing.T) {
	py, tabcmd := python(t, "clients"), filepath.Dir(python(t, "tabcmd"))
	path := strings.Join([]string{filepath.Dir(py), tabcmd, filepath.Dir(newman(t)), filepath.Dir(curl(t)), filepath.Dir(caddy), os.Getenv("PATH")}, ":")
	r := newRig(t)
	r.file("etl.secret", []byte(etl.secret+"\n"))
	if err := os.Symlink(filepath.Join(root(), "examples"), filepath.Join(r.dir, "examples")); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + path, "SECRET=" + etl.secret, "PASSWORD=" + password}
	here := strings.NewReplacer("https://tableau.corp.example", r.https, "https://people.corp.example", r.basic)

	for info, program := range map[string]string{"sh": "sh", "python": py} {
		blocks := fences(document(t), info)
		if len(blocks) < 4 {
			t.Errorf("docs/clients.md has %d blocks of %s", len(blocks), info)
		}
		for _, block := range blocks {
			args := []string{"-ec", here.Replace(block)}
			if info == "python" {
				args[0] = "-c"
			}
			if out := r.run(t, env, program, args...); strings.TrimSpace(out) == "" {
				t.Errorf("no output of\n%s", block)
			}
		}
	}
	address := strings.TrimPrefix(startDemo(t, r), "http://")
	for _, block := range fences(document(t), "sh demo") {
		block = strings.TrimSpace(block) + " --env-var server=" + address
		r.run(t, env, "sh", "-ec", block)
	}
	r.expectSignIns(1)
}

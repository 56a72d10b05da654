// The test of this file runs the demo of the README, and compares what comes out
// with what the README shows.

package caddytableau_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// demoAddress is where the demo of the README listens. The test takes a free port.
const demoAddress = "127.0.0.1:8765"

func TestReadmeDemo(t *testing.T) {
	var commands, answers, trail []string
	for _, f := range fences(readFile(t, "README.md")) {
		switch {
		case f.info == "console":
			commands, answers = transcript(f.body)
		case strings.Contains(f.body, "Sign-ins at Tableau"):
			trail = withoutTimes(f.body)
		}
	}

	demo := startDemo(t)
	printed := demo.until(t, "Each request, as it comes:")
	var offered []string
	for _, line := range printed {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
			offered = append(offered, line)
		}
	}
	address := regexp.MustCompile(`http://([0-9.:]+)`).FindStringSubmatch(strings.Join(offered, "\n"))
	if address == nil {
		t.Fatalf("no address in %q", printed)
	}
	shown := strings.Split(strings.ReplaceAll(strings.Join(offered, "\n"), address[1], demoAddress), "\n")
	if diff := cmp.Diff(commands, shown); diff != "" {
		t.Errorf("the commands (-README.md +demo):\n%s", diff)
	}
	for i, command := range offered {
		if got := curl(t, command); i < len(answers) && !matches(got, answers[i]) {
			t.Errorf("%s\nREADME.md: %s\nanswer:    %s", command, answers[i], got)
		}
	}
	if diff := cmp.Diff(trail, withoutTimes(demo.stop(t))); diff != "" {
		t.Errorf("the trail (-README.md +demo):\n%s", diff)
	}
}

// A demo is a running `caddy tableau demo`.
type demo struct {
	command *exec.Cmd
	out     *bufio.Scanner
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	p := newProgram(t)
	command := exec.CommandContext(t.Context(), p.path, "tableau", "demo", "--listen", "127.0.0.1:0")
	command.Env = p.env
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return &demo{command, bufio.NewScanner(out)}
}

// until returns the lines up to the one that ends with last.
func (d *demo) until(t *testing.T, last string) []string {
	t.Helper()
	var lines []string
	for d.out.Scan() {
		lines = append(lines, d.out.Text())
		if strings.HasSuffix(d.out.Text(), last) {
			return lines
		}
	}
	t.Fatalf("the demo ended with %q", lines)
	return nil
}

// stop ends the demo as Ctrl-C does, and returns what it printed since.
func (d *demo) stop(t *testing.T) string {
	t.Helper()
	if err := d.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	for d.out.Scan() {
		rest.WriteString(d.out.Text() + "\n")
	}
	if err := d.command.Wait(); err != nil {
		t.Error(err)
	}
	return rest.String()
}

// transcript takes apart commands behind "$" and what they print.
func transcript(body string) (commands, answers []string) {
	for part := range strings.SplitSeq("\n"+body, "\n$ ") {
		if command, answer, ok := strings.Cut(part, "\n"); ok && strings.HasPrefix(command, "curl ") {
			commands = append(commands, command)
			answers = append(answers, strings.TrimSpace(answer))
		}
	}
	return commands, answers
}

// curl does what a curl command of the demo does, and returns the body.
func curl(t *testing.T, command string) string {
	t.Helper()
	match := regexp.MustCompile(`-u (\w+):(\w+) (\S+)(?: -H '(.*?): (.*?)')?$`).FindStringSubmatch(command)
	if match == nil {
		t.Fatalf("not understood: %s", command)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, match[3], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(match[1], match[2])
	if match[4] != "" {
		req.Header.Set(match[4], match[5])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// matches tells whether got is what is shown, in which "…" stands for anything.
func matches(got, shown string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(shown), "…", "(?s:.*)")
	return regexp.MustCompile("^" + pattern + "$").MatchString(got)
}

// withoutTimes are the lines of a trail, without the times at their beginning.
func withoutTimes(trail string) []string {
	plain := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  `).ReplaceAllString(trail, "")
	return strings.FieldsFunc(plain, func(r rune) bool { return r == '\n' })
}

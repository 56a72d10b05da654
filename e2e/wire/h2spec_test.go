// This test runs h2spec, the conformance test of HTTP/2, against the proxy.

package wire

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// deviations are the cases that fail because net/http's server, which Caddy
// uses, chooses otherwise, and why that lets nothing past.
var deviations = map[string]string{
	"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                            "it hangs up on settings that come twice in a frame",
	"http2/4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE":                          "it announces 1 MiB and is more lenient than the case expects; a block of headers that is too long is answered with 431",
	"http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded":         "the requests are answered faster than the case opens streams, so that there are never too many",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field":                       "it is refused with 400 and not with a reset: no handler sees it",
	"http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "it is refused with 400 and not with a reset: no handler sees it",
}

// leastCases is how many cases h2spec has had, lest a run of none passes.
const leastCases = 140

// A junit is what h2spec writes about its cases.
type junit struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		Cases   []struct {
			Name    string    `xml:"classname,attr"`
			Error   *string   `xml:"error"`
			Failure *string   `xml:"failure"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestH2spec(t *testing.T) {
	tool := h2spec(t)
	// Everybody is alice at this listener, so that requests are answered by
	// Tableau, with a body and after theirs, which some of the cases wait for.
	p := startProxy(t, setup{Names: "alice"})
	result := filepath.Join(t.TempDir(), "h2spec.xml")
	cmd := exec.Command(tool, "--host", "localhost", "--port", strconv.Itoa(p.Ports[byHeader]), "--tls", "--insecure", "--strict",
		"--path", workbooks, "--junit-report", result)
	output, err := cmd.CombinedOutput()
	content, readErr := os.ReadFile(result)
	if readErr != nil {
		t.Fatalf("h2spec wrote no report (%v):\n%s", err, output)
	}
	var report junit
	if err := xml.Unmarshal(content, &report); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, suite := range report.Suites {
		for _, c := range suite.Cases {
			name := suite.Package + ": " + c.Name
			cases++
			if why, known := deviations[name]; (c.Error != nil || c.Failure != nil) && !known {
				t.Errorf("%s\n%s", name, *firstOf(c.Error, c.Failure))
			} else if known {
				t.Logf("%s: %s", name, why)
			}
		}
	}
	if cases < leastCases {
		t.Errorf("h2spec ran %d cases, want %d", cases, leastCases)
	}
	if !p.running() {
		t.Errorf("the proxy has ended:\n%s", p.output)
	}
	for _, s := range p.take() {
		tokens := s.values("x-tableau-auth")
		if !own.MatchString(s.line) && (len(tokens) != 1 || p.owner(tokens[0]) != "alice" || !lineForm.MatchString(s.line)) {
			t.Errorf("Tableau got %q with %d sessions", s.line, len(tokens))
		}
	}
}

func firstOf(texts ...*string) *string {
	for _, text := range texts {
		if text != nil {
			return text
		}
	}
	return nil
}

// h2spec is the path of the tool, which .ci/tools pins. Without a network it may
// not be there.
func h2spec(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "tool", "-modfile=.ci/tools/go.mod", "-n", "h2spec")
	cmd.Dir = root
	path, err := cmd.Output()
	if err != nil {
		t.Skip("h2spec (github.com/summerwind/h2spec) could not be had:", err)
	}
	return strings.TrimSpace(string(path))
}

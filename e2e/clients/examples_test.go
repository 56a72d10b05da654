// The tests of this file run the scripts of examples/python and examples/curl,
// as they are.

package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// example is the path of a script in examples.
func example(elements ...string) string {
	return filepath.Join(append([]string{root(), "examples"}, elements...)...)
}

func TestPythonExample(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	secretFile := r.file("etl.secret", []byte(etl.secret+"\n"))
	tests := map[string][]string{
		"the secret of a tool": {r.https, site, "--name", etl.name, "--secret-file", secretFile},
		"basic authentication": {r.basic, site, "--basic", "alice:" + password},
		"on the demo":          {startDemo(t, r), site, "--basic", "alice:demo"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			out := r.run(t, nil, py, append([]string{example("python", "journey.py")}, args...)...)
			for _, want := range []string{
				"signed in to finance, REST API 3.27\n", "Reports/Finance Overview: Overview, By Region, Trend\n",
				"Default/" + tableautest.DraftsName("alice") + ": Notes\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in %q", want, out)
				}
			}
		})
	}
	r.expectSignIns(1)
}

func TestCurlExample(t *testing.T) {
	curl(t)
	r := newRig(t)
	path := example("curl", "journey.sh")

	out := r.run(t, []string{"CLIENT=" + etl.name, "SECRET=" + etl.secret}, "sh", path, r.https, site)
	for _, want := range []string{
		"site " + tableautest.SiteLUID(site) + "\n", `name="Finance Overview"`, "alice", "== sign out\n204\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
	out = r.run(t, []string{"BASIC=alice:" + password}, "sh", path, r.basic, site)
	if !strings.Contains(out, `name="Finance Overview"`) {
		t.Errorf("with basic authentication it printed %q", out)
	}
	r.expectSignIns(1)

	p := r.client(t, []string{"CLIENT=" + etl.name, "SECRET=wrong"}, "sh", path, r.https, site)
	if status := p.wait(); status == 0 {
		t.Error("the script goes on after a refused sign-in")
	}
}

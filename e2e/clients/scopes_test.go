// The tests of this file run journeys of the clients with the scopes that the
// proxy chooses, and count what each way to choose them costs in sign-ins.

package clients

import (
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// costs are the journeys that are counted, by their names in docs/clients.md.
var costs = map[string]func(*testing.T, *rig){
	"TSC: sign-in, own user, workbooks": func(t *testing.T, r *rig) {
		t.Helper()
		decode[whoami](t, r.run(t, r.as(r.https, etl), python(t, "clients"), script("tsc_signin.py")))
	},
	"TSC: all that is read above": func(t *testing.T, r *rig) {
		t.Helper()
		got := decode[found](t, r.run(t, append(r.as(r.https, etl), "KIND=pat"), python(t, "clients"), script("tsc_content.py")))
		if len(got.Workbooks) != 3 || !got.Jobs {
			t.Errorf("got %+v", got)
		}
	},
	"TSC: 100 MB published in chunks": func(t *testing.T, r *rig) {
		t.Helper()
		path, _ := r.workbook(100_000_000)
		got := decode[struct{ Same bool }](t, r.run(t, r.as(r.https, etl), python(t, "clients"), script("tsc_publish.py"), path))
		if !got.Same {
			t.Error("what was published is not what is there")
		}
	},
	"`examples/python/journey.py`": func(t *testing.T, r *rig) {
		t.Helper()
		r.run(t, nil, python(t, "clients"), example("python", "journey.py"), r.basic, site, "--basic", "alice:"+password)
	},
	"newman: the collection": func(t *testing.T, r *rig) {
		t.Helper()
		settings := server(r.basic)
		settings["proxy-password"] = password
		r.postman(t, settings)
	},
	"tabcmd: login, get, export, logout": func(t *testing.T, r *rig) {
		t.Helper()
		r.tabcmd(t, append([]string{"login"}, r.signInArgs(r.https, etl)...)...)
		r.tabcmd(t, "get", "/views/FinanceOverview/Overview.csv", "-f", filepath.Join(t.TempDir(), "out.csv"))
		r.tabcmd(t, "export", "FinanceOverview/Overview", "--fullpdf", "-f", filepath.Join(t.TempDir(), "out.pdf"))
		r.tabcmd(t, "logout")
	},
}

func TestSignInsByGrouping(t *testing.T) {
	documented := costTable(t)
	for journey, run := range costs {
		want := documented[journey]
		if len(want) != 4 {
			t.Errorf("docs/clients.md does not say what %q costs", journey)
			continue
		}
		for i, way := range []string{scopes, "auto by operation", "auto by resource", "auto by class"} {
			name := way
			if i == 0 {
				name = "one list"
			}
			t.Run(filepath.Base(journey)+", "+name, func(t *testing.T) {
				r := newRigWith(t, way)
				run(t, r)
				r.expectSignIns(want[i])
				if failed := r.failed(); len(failed) > 0 {
					t.Errorf("Tableau refused %d requests: %v", len(failed), failed[0])
				}
			})
		}
	}
}

// costTable is the table of docs/clients.md: a journey, and its sign-ins with
// one list of scopes, by operation, by resource and by class.
func costTable(t *testing.T) map[string][]int {
	t.Helper()
	table := map[string][]int{}
	for _, match := range regexp.MustCompile(`(?m)^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$`).FindAllStringSubmatch(document(t), -1) {
		for _, cell := range match[2:] {
			n, err := strconv.Atoi(cell)
			if err != nil {
				t.Fatal(err)
			}
			table[match[1]] = append(table[match[1]], n)
		}
	}
	if len(table) != len(costs) {
		t.Errorf("docs/clients.md has %d journeys, %d are run", len(table), len(costs))
	}
	return table
}

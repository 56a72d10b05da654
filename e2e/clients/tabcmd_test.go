// The tests of this file run tabcmd, the command line program for Tableau.

package clients

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// tabcmd runs a command of it, which keeps what it has to remember between two
// commands in the rig's directory.
func (r *rig) tabcmd(t *testing.T, args ...string) {
	t.Helper()
	program := filepath.Join(filepath.Dir(python(t, "tabcmd")), "tabcmd")
	r.run(t, nil, program, args...)
}

// signInArgs are the options that sign tabcmd in.
func (r *rig) signInArgs(base string, t *tool) []string {
	return []string{"--server", base, "--site", site, "--token-name", t.name, "--token-value", t.secret, "--no-prompt"}
}

func TestTabcmdGetsAndExports(t *testing.T) {
	r := newRig(t)
	r.tabcmd(t, append([]string{"login"}, r.signInArgs(r.https, etl)...)...)

	tests := map[string]struct {
		args  []string
		begin string
	}{
		"a view as CSV":     {[]string{"get", "/views/FinanceOverview/Overview.csv"}, ""},
		"a view as image":   {[]string{"get", "/views/FinanceOverview/Overview.png"}, "\x89PNG"},
		"a view as PDF":     {[]string{"get", "/views/FinanceOverview/Overview.pdf"}, "%PDF-"},
		"a workbook":        {[]string{"get", "/workbooks/FinanceOverview.twbx"}, "PK"},
		"an exported CSV":   {[]string{"export", "FinanceOverview/Overview", "--csv"}, ""},
		"an exported image": {[]string{"export", "FinanceOverview/Overview", "--png"}, "\x89PNG"},
		"an exported PDF":   {[]string{"export", "FinanceOverview/Overview", "--pdf"}, "%PDF-"},
		"a whole workbook":  {[]string{"export", "FinanceOverview/Overview", "--fullpdf"}, "%PDF-"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out"+extension(tt.args))
			r.tabcmd(t, append(tt.args, "-f", file)...)
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(got, []byte(tt.begin)) || tt.begin == "" && !bytes.Contains(got, []byte("alice")) {
				t.Errorf("got %.40q", got)
			}
		})
	}
	r.tabcmd(t, "logout")
	if _, err := os.Stat(filepath.Join(r.dir, "tableau_auth.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what it keeps is still there: %v", err)
	}
	r.expectSignIns(1)
}

// extension is that of the file that a command makes.
func extension(args []string) string {
	last := args[len(args)-1]
	if flag, ok := strings.CutPrefix(last, "--"); ok {
		return "." + strings.TrimPrefix(flag, "full")
	}
	return filepath.Ext(last)
}

func TestTabcmdPublishes(t *testing.T) {
	r := newRig(t)
	path, sum := r.workbook(1_000_000)
	args := append([]string{"publish", path, "--name", "From tabcmd", "--project", "Sandbox"}, r.signInArgs(r.http, etl)...)
	r.tabcmd(t, args...)
	book := tableautest.WorkbookLUID(site, "Sandbox", "From tabcmd")
	if got := r.direct(t, "/workbooks/"+book+"/content"); got != sum {
		t.Errorf("Tableau has a file with the sum %s, want %s", got, sum)
	}
	r.expectSignIns(1)
}

func TestTabcmdSignsInWithUserAndPassword(t *testing.T) {
	r := newRig(t)
	r.tabcmd(t, "login", "--server", r.https, "--site", site, "--username", reports.name, "--password", reports.secret, "--no-prompt")
	if got := r.SignIns(tableautest.SignInFilter{User: "bob"}); got != 1 {
		t.Errorf("sign-ins of bob at Tableau: %d, want 1", got)
	}
}

// The tests of this file read and publish with the Tableau Server Client.

package clients

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// found is what tsc_content.py prints.
type found struct {
	Workbooks, Metadata   map[string]string
	Projects, Datasources []string
	Filtered, PDF, Image  []string
	Views, Job            int
	Download, Datasource  string
	CSV                   string
	Jobs                  bool
}

func TestTSCReadsContent(t *testing.T) {
	py := python(t, "clients")
	r := newRig(t)
	got := decode[found](t, r.run(t, append(r.as(r.https, etl), "KIND=pat"), py, script("tsc_content.py")))

	workbooks := map[string]string{
		"Finance Overview":              tableautest.WorkbookLUID(site, "Reports", "Finance Overview"),
		"Quarterly Close":               tableautest.WorkbookLUID(site, "Reports", "Quarterly Close"),
		tableautest.DraftsName("alice"): tableautest.WorkbookLUID(site, "Default", tableautest.DraftsName("alice")),
	}
	want := found{
		Workbooks: workbooks, Metadata: workbooks,
		Projects: []string{"Default", "Reports", "Sandbox"}, Datasources: []string{"Finance Orders", "Payroll"},
		Filtered: []string{"Finance Overview"}, PDF: []string{"%PDF-", "%PDF-"}, Image: []string{"PNG", "PNG"},
		Views: 6, Jobs: true,
		Download:   r.direct(t, "/workbooks/"+workbooks["Finance Overview"]+"/content"),
		Datasource: r.direct(t, "/datasources/"+tableautest.DatasourceLUID(site, "Reports", "Finance Orders")+"/content"),
		CSV:        got.CSV,
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if !strings.Contains(got.CSV, "alice") {
		t.Errorf("the CSV is not what alice sees: %q", got.CSV)
	}
	r.expectSignIns(1)
}

// direct is the SHA-256 of what Tableau itself serves alice.
func (r *rig) direct(t *testing.T, path string) string {
	t.Helper()
	token, err := r.IssueSession(site, "alice")
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/api/3.27/sites/"+tableautest.SiteLUID(site)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Tableau-Auth", token.Reveal())
	resp, err := r.HTTP.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	r.KillSessions(tableautest.SessionFilter{User: "alice", Kind: tableautest.KindPassword})
	return hex.EncodeToString(hash.Sum(nil))
}

// The library sends up to 64 MiB in one request, and more than that in chunks
// of 50 MiB.
func TestTSCPublishes(t *testing.T) {
	py := python(t, "clients")
	tests := map[string]struct {
		size   int64
		chunks int
	}{
		"1 MB in one request": {1_000_000, 0},
		"100 MB in chunks":    {100_000_000, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			path, sum := r.workbook(tt.size)
			got := decode[struct {
				ID, Owner string
				Same      bool
			}](t, r.run(t, r.as(r.https, etl), py, script("tsc_publish.py"), path))
			if want := tableautest.WorkbookLUID(site, "Sandbox", "Published"); got.ID != want || !got.Same {
				t.Errorf("got %+v, want the ID %s and the same file again", got, want)
			}
			if got.Owner != tableautest.UserLUID(site, "alice") {
				t.Error("the workbook is not alice's")
			}
			if at := r.direct(t, "/workbooks/"+got.ID+"/content"); at != sum {
				t.Errorf("Tableau has a file with the sum %s, want %s", at, sum)
			}
			chunks := 0
			for _, u := range r.Uploads() {
				chunks += u.Chunks
			}
			if chunks != tt.chunks {
				t.Errorf("came in %d chunks, want %d", chunks, tt.chunks)
			}
			r.expectSignIns(1)
		})
	}
}

// workbook makes a packaged workbook, so far as its first bytes tell, and
// returns its path and SHA-256.
func (r *rig) workbook(size int64) (path, sum string) {
	r.t.Helper()
	path = filepath.Join(r.dir, "book.twbx")
	file, err := os.Create(path)
	if err != nil {
		r.t.Fatal(err)
	}
	hash := sha256.New()
	const magic = "PK\x03\x04"
	content := io.MultiReader(strings.NewReader(magic), tableautest.GeneratedContent("a workbook", size-int64(len(magic))))
	if _, err := io.Copy(io.MultiWriter(file, hash), content); err != nil {
		r.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		r.t.Fatal(err)
	}
	return path, hex.EncodeToString(hash.Sum(nil))
}

// This file tests the content: who sees what, pages and filters, and that
// images, PDFs and archives are real.

package tableautest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"
)

// names lists the names in a JSON list answer.
func (w *world) names(user, site, path, list, item string) []string {
	w.t.Helper()
	got := w.call("GET", sitePath(site, path), "", "X-Tableau-Auth", w.issue(site, user).Reveal(), "Accept", "application/json")
	var answer map[string]map[string]any
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.status != 200 {
		w.t.Fatalf("%s: %d %v %s", path, got.status, err, got.body)
	}
	var names []string
	items, _ := answer[list][item].([]any)
	for _, i := range items {
		names = append(names, i.(map[string]any)["name"].(string))
	}
	return names
}

func TestPeopleSeeTheirOwn(t *testing.T) {
	w := newWorld(t, Options{AcceptUser: func(string) bool { return true }})
	for user, want := range map[string][]string{
		"alice": {"Finance Overview", "Quarterly Close", "Drafts of alice"},
		"bob":   {"Finance Overview", "Pipeline", "Drafts of bob"},
		"u1":    {"Finance Overview", "Drafts of u1"},
		"admin": {"Finance Overview", "Quarterly Close", "Pipeline", "Drafts of admin"},
	} {
		if got := w.names(user, "finance", "/workbooks", "workbooks", "workbook"); !slices.Equal(got, want) {
			t.Errorf("%s sees %q, want %q", user, got, want)
		}
	}
	hidden := WorkbookLUID("finance", "Reports", "Quarterly Close")
	for _, rest := range []string{"", "/content", "/pdf", "/previewImage", "/views", "/connections"} {
		if got := w.as(w.issue("finance", "bob"), "GET", sitePath("finance", "/workbooks/"+hidden+rest)); got.code() != "404006" {
			t.Errorf("bob and alice's workbook%s: %d %s", rest, got.status, got.code())
		}
	}
}

func TestSitesDiffer(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.names("alice", "marketing", "/views", "views", "view"); !slices.Contains(got, "Close") || len(got) != 6 {
		t.Errorf("views on marketing: %q", got)
	}
	if UserLUID("", "alice") == UserLUID("finance", "alice") {
		t.Error("user LUIDs should differ between sites")
	}
}

func TestPaging(t *testing.T) {
	var books []Workbook
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		books = append(books, Workbook{Site: "finance", Project: "Sandbox", Name: name, Readers: []string{"carol"}})
	}
	w := newWorld(t, Options{Workbooks: books})
	for query, want := range map[string][]string{
		"?pageSize=2": {"Finance Overview", "Quarterly Close"}, "?pageSize=2&pageNumber=4": {"e", "Drafts of alice"},
		"?filter=name:eq:c": {"c"}, "?filter=name:in:%5Bc,e%5D": {"c", "e"}, "?filter=name:has:CLOSE": {"Quarterly Close"},
		"?filter=name:eq:c,ownerName:eq:bob": nil, "?filter=projectName:eq:Sandbox&pageSize=1&pageNumber=2": {"b"},
		"?sort=name:desc&pageSize=1": {"e"}, "?filter=name:eq:none": nil,
	} {
		if got := w.names("alice", "finance", "/workbooks"+query, "workbooks", "workbook"); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	got := w.as(w.issue("finance", "alice"), "GET", sitePath("finance", "/workbooks?pageSize=3&pageNumber=2"))
	if !strings.Contains(got.body, `<pagination pageNumber="2" pageSize="3" totalAvailable="8"/>`) {
		t.Errorf("pagination: %s", got.body)
	}
	for query, want := range map[string]string{
		"?pageSize=0": "400007", "?pageSize=1001": "400007", "?pageSize=x": "400007", "?pageNumber=0": "400006",
		"?pageNumber=99": "400006", "?filter=name:like:x": "400065", "?filter=secret:eq:x": "400065", "?filter=x": "400065", "?sort=name": "400065",
	} {
		if got := w.as(w.issue("finance", "alice"), "GET", sitePath("finance", "/workbooks"+query)); got.code() != want {
			t.Errorf("%s: %d %s, want %s", query, got.status, got.code(), want)
		}
	}
}

func TestFilesAreReal(t *testing.T) {
	w := newWorld(t, Options{})
	v := sitePath("finance", "/views/"+ViewLUID("finance", "Reports", "Finance Overview", "Trend"))
	b := sitePath("finance", "/workbooks/"+WorkbookLUID("finance", "Reports", "Finance Overview"))
	alice, bob := w.issue("finance", "alice"), w.issue("finance", "bob")

	picture := w.as(alice, "GET", v+"/image")
	if img, err := png.Decode(strings.NewReader(picture.body)); err != nil || img.Bounds().Dx() != chartWidth {
		t.Errorf("image: %v", err)
	}
	if picture.body == w.as(bob, "GET", v+"/image").body {
		t.Error("alice's and bob's images should differ")
	}
	for _, path := range []string{v + "/pdf", b + "/pdf"} {
		if got := w.as(alice, "GET", path); !validPDF(got.body) || !strings.Contains(got.body, "Seen by alice") {
			t.Errorf("%s is no PDF of alice's", path)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(w.as(bob, "GET", v+"/data").body)).ReadAll()
	if err != nil || len(rows) != 6 || rows[1][2] != "bob" {
		t.Errorf("CSV: %v %v", rows, err)
	}
	twbx := w.as(alice, "GET", b+"/content")
	if z, err := zip.NewReader(strings.NewReader(twbx.body), int64(len(twbx.body))); err != nil || len(z.File) != 2 {
		t.Errorf("archive: %v", err)
	}
	if d := twbx.header.Get("Content-Disposition"); !strings.Contains(d, `filename="Finance Overview.twbx"`) {
		t.Errorf("Content-Disposition: %s", d)
	}
}

// validPDF checks that the table of objects points at objects.
func validPDF(doc string) bool {
	_, table, ok := strings.Cut(doc, "xref\n0 6\n")
	if !ok || !strings.HasPrefix(doc, "%PDF-") || !strings.HasSuffix(doc, "%%EOF\n") {
		return false
	}
	for i := 1; i <= 5; i++ {
		offset := 0
		for _, digit := range table[20*i : 20*i+10] {
			offset = offset*10 + int(digit-'0')
		}
		if !strings.HasPrefix(doc[offset:], string(rune('0'+i))+" 0 obj") {
			return false
		}
	}
	return true
}

func TestRange(t *testing.T) {
	w := newWorld(t, Options{Workbooks: []Workbook{{Site: "finance", Name: "Big", Size: 1000}}})
	id := WorkbookLUID("finance", "Default", "Big")
	got := w.call("GET", sitePath("finance", "/workbooks/"+id+"/content"), "", "X-Tableau-Auth", w.issue("finance", "alice").Reveal(), "Range", "bytes=7-20")
	want := make([]byte, 14)
	_, _ = GeneratedContent(id, 1000).ReadAt(want, 7)
	if got.status != 206 || got.body != string(want) {
		t.Errorf("got %d, %d bytes", got.status, len(got.body))
	}
}

func TestGeneratedContentIsStable(t *testing.T) {
	whole, err := io.ReadAll(GeneratedContent("x", 1001))
	if err != nil || len(whole) != 1001 {
		t.Fatal(len(whole), err)
	}
	pieces, err := io.ReadAll(io.MultiReader(
		io.NewSectionReader(GeneratedContent("x", 1001), 0, 13), io.NewSectionReader(GeneratedContent("x", 1001), 13, 988)))
	if err != nil || !bytes.Equal(whole, pieces) {
		t.Error("content depends on how it is read")
	}
	if other, _ := io.ReadAll(GeneratedContent("y", 1001)); bytes.Equal(whole, other) {
		t.Error("content does not depend on the LUID")
	}
}

// A large download must not take memory for its size.
func TestLargeDownload(t *testing.T) {
	const size = 64 << 20
	w := newWorld(t, Options{Workbooks: []Workbook{{Site: "finance", Name: "Big", Size: size}}})
	id := WorkbookLUID("finance", "Default", "Big")
	req := w.request("GET", sitePath("finance", "/workbooks/"+id+"/content"), nil)
	req.Header.Set("X-Tableau-Auth", w.issue("finance", "alice").Reveal())
	resp, err := w.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, want := sha256.New(), sha256.New()
	if n, err := io.Copy(got, resp.Body); err != nil || n != size || resp.ContentLength != size {
		t.Fatalf("%d bytes of %d, %v", n, resp.ContentLength, err)
	}
	_, _ = io.Copy(want, GeneratedContent(id, size))
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("the content differs")
	}
}

func TestUsersAndGroups(t *testing.T) {
	w := newWorld(t, Options{})
	if got := w.names("carol", "finance", "/users", "users", "user"); !slices.Equal(got, []string{"alice", "bob", "carol", "admin"}) {
		t.Errorf("users: %q", got)
	}
	if got := w.names("carol", "finance", "/groups/"+GroupLUID("finance", "Administrators")+"/users", "users", "user"); !slices.Equal(got, []string{"carol", "admin"}) {
		t.Errorf("administrators: %q", got)
	}
	if got := w.names("alice", "finance", "/users/"+UserLUID("finance", "alice")+"/groups", "groups", "group"); !slices.Equal(got, []string{"All Users"}) {
		t.Errorf("alice's groups: %q", got)
	}
	got := w.as(w.issue("finance", "admin"), "GET", "/api/3.27/sites/finance?key=contentUrl")
	if got.status != 200 || !strings.Contains(got.body, `contentUrl="finance"`) {
		t.Errorf("site by content URL: %d", got.status)
	}
}

func TestEscaping(t *testing.T) {
	name := `<&"' ]]> ` + "\x01\xff é"
	w := newWorld(t, Options{Workbooks: []Workbook{{Site: "finance", Name: name}}})
	if got := w.as(w.issue("finance", "alice"), "GET", sitePath("finance", "/workbooks")); wellFormed(got.body) != nil {
		t.Errorf("not well-formed: %s", got.body)
	}
	w.names("alice", "finance", "/workbooks", "workbooks", "workbook")
}

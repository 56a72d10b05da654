// This file tests publishing, in one request and in chunks.

package tableautest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func (w *world) request(method, path string, body io.Reader) *http.Request {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://tableau.test"+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return req
}

// publish sends a description and, if not empty, a file.
func (w *world) publish(token Secret, query, kind, payload, file string) reply {
	w.t.Helper()
	parts := []part{{"request_payload", "", payload}}
	if file != "" {
		parts = append(parts, part{"tableau_" + kind, "x", file})
	}
	body, contentType := multipartBody(parts...)
	return w.call("POST", sitePath("finance", "/"+kind+"s"+query), body, "X-Tableau-Auth", token.Reveal(), "Content-Type", contentType)
}

const bookPayload = `<tsRequest><workbook name="New"/></tsRequest>`

func TestPublishAndDownload(t *testing.T) {
	w := newWorld(t, Options{})
	alice := w.issue("finance", "alice")
	for kind, luid := range map[string]string{
		"workbook": WorkbookLUID("finance", "Default", "New"), "datasource": DatasourceLUID("finance", "Default", "New"),
	} {
		payload := `<tsRequest><` + kind + ` name="New"/></tsRequest>`
		if got := w.publish(alice, "", kind, payload, "content 1"); got.status != 201 || !strings.Contains(got.body, luid) {
			t.Fatalf("publish: %d %s", got.status, got.body)
		}
		if got := w.publish(alice, "", kind, payload, "content 2"); got.code() != "409004" {
			t.Errorf("again: %d %s", got.status, got.code())
		}
		if got := w.publish(alice, "?overwrite=true", kind, payload, "content 3"); got.status != 201 {
			t.Errorf("overwrite: %d %s", got.status, got.code())
		}
		if got := w.publish(w.issue("finance", "bob"), "?overwrite=true", kind, payload, "bob's"); got.code() != "403004" {
			t.Errorf("overwriting another's: %d %s", got.status, got.code())
		}
		path := sitePath("finance", "/"+kind+"s/"+luid)
		if got := w.as(alice, "GET", path+"/content"); got.body != "content 3" {
			t.Errorf("download: %d %q", got.status, got.body)
		}
		if got := w.as(w.issue("finance", "bob"), "GET", path); got.status != 404 {
			t.Errorf("bob sees what alice published: %d", got.status)
		}
		if got := w.as(alice, "DELETE", path); got.status != 204 {
			t.Errorf("delete: %d", got.status)
		}
		if got := w.as(alice, "GET", path); got.status != 404 {
			t.Errorf("after delete: %d", got.status)
		}
	}
}

func TestPublishAsJob(t *testing.T) {
	w := newWorld(t, Options{})
	alice := w.issue("finance", "alice")
	got := w.publish(alice, "?asJob=true", "workbook", bookPayload, "content")
	_, rest, found := strings.Cut(got.body, `<job id="`)
	if got.status != 202 || !found {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if got := w.as(alice, "GET", sitePath("finance", "/jobs/"+rest[:36])); !strings.Contains(got.body, `finishCode="0"`) {
		t.Errorf("job: %d %s", got.status, got.body)
	}
	if got := w.as(w.issue("finance", "bob"), "GET", sitePath("finance", "/jobs/"+rest[:36])); got.status != 404 {
		t.Errorf("another's job: %d", got.status)
	}
}

func TestBadPublish(t *testing.T) {
	w := newWorld(t, Options{SinglePublishLimit: 10})
	alice := w.issue("finance", "alice")
	for _, test := range []struct{ name, query, payload, file, want string }{
		{"no file", "", bookPayload, "", "400000"},
		{"no name", "", `<tsRequest><workbook/></tsRequest>`, "x", "400000"},
		{"wrong thing", "", `<tsRequest><datasource name="x"/></tsRequest>`, "x", "400000"},
		{"bad payload", "", `<tsRequest>`, "x", "400000"},
		{"unknown project", "", `<tsRequest><workbook name="x"><project id="none"/></workbook></tsRequest>`, "x", "404005"},
		{"unknown upload", "?uploadSessionId=none", bookPayload, "", "404007"},
		{"too large", "", bookPayload, "12345678901", "413000"},
	} {
		if got := w.publish(alice, test.query, "workbook", test.payload, test.file); got.code() != test.want {
			t.Errorf("%s: %d %s, want %s", test.name, got.status, got.code(), test.want)
		}
	}
	for _, contentType := range []string{"", "text/xml", "multipart/mixed", "multipart/form-data; boundary=x"} {
		got := w.call("POST", sitePath("finance", "/workbooks"), bookPayload, "X-Tableau-Auth", alice.Reveal(), "Content-Type", contentType)
		if got.status != 400 {
			t.Errorf("%q: %d", contentType, got.status)
		}
	}
}

func (w *world) initiate(token Secret) string {
	w.t.Helper()
	got := w.call("POST", sitePath("finance", "/fileUploads"), "", "X-Tableau-Auth", token.Reveal(), "Accept", "application/json")
	var u struct {
		FileUpload struct{ UploadSessionID string } `json:"fileUpload"`
	}
	if err := json.Unmarshal([]byte(got.body), &u); err != nil || got.status != 201 {
		w.t.Fatal(got.status, err)
	}
	return u.FileUpload.UploadSessionID
}

func (w *world) append(token Secret, id, chunk string) reply {
	w.t.Helper()
	body, contentType := multipartBody(part{"request_payload", "", ""}, part{"tableau_file", "file", chunk})
	return w.call("PUT", sitePath("finance", "/fileUploads/"+id), body, "X-Tableau-Auth", token.Reveal(), "Content-Type", contentType)
}

func TestChunkedPublish(t *testing.T) {
	w := newWorld(t, Options{})
	alice := w.issue("finance", "alice")
	id := w.initiate(alice)
	whole := ""
	for i := range 3 {
		chunk := strings.Repeat(fmt.Sprint(i), 1<<20)
		whole += chunk
		got := w.append(alice, id, chunk)
		if got.status != 200 || !strings.Contains(got.body, fmt.Sprintf(`fileSize="%d"`, i+1)) {
			t.Fatalf("chunk %d: %d %s", i, got.status, got.body)
		}
	}
	if got := w.append(w.issue("finance", "bob"), id, "bob's"); got.code() != "404007" {
		t.Errorf("another's upload: %d %s", got.status, got.code())
	}
	if got := w.publish(alice, "?uploadSessionId="+id+"&workbookType=twbx", "workbook", bookPayload, ""); got.status != 201 {
		t.Fatalf("commit: %d %s", got.status, got.body)
	}
	book := WorkbookLUID("finance", "Default", "New")
	if got := w.as(alice, "GET", sitePath("finance", "/workbooks/"+book+"/content")); got.body != whole {
		t.Errorf("download: %d, %d bytes", got.status, len(got.body))
	}
	sum := sha256.Sum256([]byte(whole))
	u := w.Uploads()[0]
	if u.Chunks != 3 || u.Bytes != 3<<20 || u.SHA256 != hex.EncodeToString(sum[:]) || u.Published != book || u.User != "alice" {
		t.Errorf("upload: %+v", u)
	}
}

// What is beyond KeepBytes is counted and hashed, and not kept.
func TestLargeUpload(t *testing.T) {
	w := newWorld(t, Options{KeepBytes: 10})
	alice := w.issue("finance", "alice")
	id := w.initiate(alice)
	w.append(alice, id, "12345678")
	w.append(alice, id, "90123")
	if kept := w.content.uploads[id].data.Cap(); kept != 0 {
		t.Errorf("a buffer of %d bytes is kept", kept)
	}
	w.publish(alice, "?uploadSessionId="+id, "workbook", bookPayload, "")
	sum := sha256.Sum256([]byte("1234567890123"))
	if u := w.Uploads()[0]; u.Bytes != 13 || u.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("upload: %+v", u)
	}
	if got := w.as(alice, "GET", sitePath("finance", "/workbooks/"+WorkbookLUID("finance", "Default", "New")+"/content")); got.status != 404 {
		t.Errorf("download: %d %q", got.status, got.body)
	}
}

func TestHyperRequestID(t *testing.T) {
	for _, needed := range []bool{false, true} {
		w := newWorld(t, Options{Undocumented: Undocumented{HyperRequestID: needed}})
		path := sitePath("finance", "/datasources/"+DatasourceLUID("finance", "Reports", "Finance Orders")+"/data")
		token := w.issue("finance", "alice")
		if got := w.as(token, "PATCH", path); needed != (got.status == 400) {
			t.Errorf("needed %v: %d without", needed, got.status)
		}
		if got := w.call("PATCH", path, "", "X-Tableau-Auth", token.Reveal(), "RequestID", "1"); got.status != 202 {
			t.Errorf("needed %v: %d with", needed, got.status)
		}
	}
}

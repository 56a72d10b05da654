// These tests show that files of any size go through the proxy without staying
// in its memory.

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	gibibyte = 1 << 30
	mebibyte = 1 << 20

	// memoryBound is how much the proxy may grow, in bytes, while a GiB goes
	// through it.
	memoryBound = 48 * mebibyte
)

// memory is what the proxy has in memory, and the most it has ever had.
func (r *rig) memory() (now, peak int64) {
	r.t.Helper()
	status := string(readFile(r.t, fmt.Sprintf("/proc/%d/status", r.proxy.cmd.Process.Pid)))
	return kibibytes(r.t, status, "VmRSS:"), kibibytes(r.t, status, "VmHWM:")
}

// kibibytes reads a line such as "VmRSS:	   61234 kB", as bytes.
func kibibytes(t testing.TB, status, field string) int64 {
	t.Helper()
	_, rest, _ := strings.Cut(status, field)
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[1] != "kB" {
		t.Fatalf("no %s in:\n%s", field, status)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

func needProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skipf("the memory of another process is read from /proc, which %s does not have", runtime.GOOS)
	}
}

// expectFlat fails the test if the proxy has grown since the request that
// warmed it up.
func (r *rig) expectFlat(t *testing.T, before int64, took time.Duration) {
	t.Helper()
	now, peak := r.memory()
	t.Logf("1 GiB in %.1f s (%.0f MB/s); the proxy's memory: %d MiB before, %d MiB after, %d MiB at most",
		took.Seconds(), gibibyte/1e6/took.Seconds(), before/mebibyte, now/mebibyte, peak/mebibyte)
	if peak-before > memoryBound {
		t.Errorf("the proxy grew by %d MiB, more than %d MiB", (peak-before)/mebibyte, memoryBound/mebibyte)
	}
}

func TestADownloadOf1GiBPassesInFlatMemory(t *testing.T) {
	needProc(t)
	r := newRig(t, setup{tableau: tableautest.Options{
		Workbooks: []tableautest.Workbook{{Site: site, Name: "Large", Owner: "alice", Size: gibibyte}},
	}})
	c := r.plain()
	c.get("alice", workbooks).expect(r, http.StatusOK)
	before, _ := r.memory()

	began := time.Now()
	luid := tableautest.WorkbookLUID(site, "Default", "Large")
	res, err := c.http.Do(c.request(http.MethodGet, "alice", sitePath("workbooks", luid, "content"), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ContentLength != gibibyte {
		t.Fatalf("status %d with %d bytes announced", res.StatusCode, res.ContentLength)
	}
	hash := sha256.New()
	n, err := io.Copy(hash, res.Body)
	if got := hex.EncodeToString(hash.Sum(nil)); err != nil || n != gibibyte || got != largeSHA256 {
		t.Errorf("%d bytes with the hash %s came (%v), want %d with %s", n, got, err, gibibyte, largeSHA256)
	}
	r.expectFlat(t, before, time.Since(began))
	r.expectSignIns(1)
}

// largeSHA256 is the hash of the file of the workbook Large. The simulator makes
// it of the workbook's LUID; to make it a second time, for a comparison, would
// take longer than the download.
const largeSHA256 = "2b7d3481aeaac582a94f499a35f46e2fcadfe14875683196804e6ed4ae9a38cb"

// repeated is a file of size bytes, a block of an odd length over and over.
func repeated(t *testing.T, size int64) io.Reader {
	t.Helper()
	return io.LimitReader(&cycle{block: content(t, "a block", mebibyte+4099)}, size)
}

// A cycle reads a block again and again.
type cycle struct {
	block []byte
	at    int
}

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, c.block[c.at:])
	c.at = (c.at + n) % len(c.block)
	return n, nil
}

// beginUpload opens an upload session and returns its ID.
func (c *client) beginUpload(user string) string {
	c.rig.t.Helper()
	a := c.do(c.request(http.MethodPost, user, sitePath("fileUploads"), nil)).expect(c.rig, http.StatusCreated)
	var said struct {
		Upload struct {
			ID string `xml:"uploadSessionId,attr"`
		} `xml:"fileUpload"`
	}
	if err := xml.Unmarshal(a.body, &said); err != nil || said.Upload.ID == "" {
		c.rig.t.Fatalf("no upload session (%v) in:\n%s", err, a.body)
	}
	return said.Upload.ID
}

const (
	boundary      = "e2e-boundary"
	multipartType = "multipart/mixed; boundary=" + boundary
)

// filePart is a multipart body with one file, which is read when it is sent.
func filePart(name string, file io.Reader) io.Reader {
	head := "--" + boundary + "\r\nContent-Disposition: name=\"" + name + "\"; filename=\"file\"\r\n" +
		"Content-Type: application/octet-stream\r\n\r\n"
	return io.MultiReader(strings.NewReader(head), file, strings.NewReader("\r\n--"+boundary+"--\r\n"))
}

func TestAChunkedUploadOf1GiBPassesInFlatMemory(t *testing.T) {
	needProc(t)
	r := newRig(t, setup{tableau: tableautest.Options{KeepBytes: 1}})
	c := r.plain()
	id := c.beginUpload("alice")
	before, _ := r.memory()

	began := time.Now()
	hash := sha256.New()
	file := io.TeeReader(repeated(t, gibibyte), hash)
	req := c.request(http.MethodPut, "alice", sitePath("fileUploads", id), io.NopCloser(filePart("tableau_file", file)), "Content-Type", multipartType)
	if req.ContentLength != 0 && req.ContentLength != -1 {
		t.Fatal("the body is not of unknown length, so it would not be chunked")
	}
	c.do(req).expect(r, http.StatusOK)
	took := time.Since(began)

	uploads := r.Uploads()
	want := tableautest.Upload{ID: id, Site: site, User: "alice", Chunks: 1, Bytes: gibibyte, SHA256: hex.EncodeToString(hash.Sum(nil))}
	if len(uploads) != 1 || uploads[0] != want {
		t.Errorf("Tableau has %+v, want %+v", uploads, want)
	}
	r.expectFlat(t, before, took)
	r.expectSignIns(1)
}

// What Tableau has sent must reach the client before the rest is there.
func TestAnAnswerReachesTheClientWhileTableauIsStillSending(t *testing.T) {
	const size = 8 * mebibyte
	r := newRig(t, setup{tableau: tableautest.Options{
		Workbooks: []tableautest.Workbook{{Site: site, Name: "Slow", Owner: "alice", Size: size}},
	}})
	luid := tableautest.WorkbookLUID(site, "Default", "Slow")
	for _, c := range []*client{r.plain(), r.h2()} {
		t.Run(c.name, func(t *testing.T) {
			proceed := r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "download_workbook"}, MidBodyDelay: time.Hour})
			defer proceed.Remove()
			req := c.request(http.MethodGet, "alice", sitePath("workbooks", luid, "content"), nil)
			res, err := c.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			half := make([]byte, size/2)
			if _, err := io.ReadFull(res.Body, half); err != nil {
				t.Fatal(err)
			}
			want, err := io.ReadAll(tableautest.GeneratedContent(luid, size/2))
			if err != nil || !bytes.Equal(half, want) {
				t.Errorf("the first half differs (%v)", err)
			}
		})
	}
}

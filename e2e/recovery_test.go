// These tests show what becomes of requests whose session Tableau has ended.

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// eachUpstream runs a test with both versions of HTTP between proxy and Tableau.
func eachUpstream(t *testing.T, s setup, test func(t *testing.T, r *rig)) {
	t.Helper()
	for name, versions := range map[string]string{"Tableau by HTTP/2": "", "Tableau by HTTP/1.1": "versions 1.1"} {
		t.Run(name, func(t *testing.T) {
			s.trust = versions
			test(t, newRig(t, s))
		})
	}
}

func TestASessionKilledUnder40RequestsIsReplacedOnceAndNobodyNotices(t *testing.T) {
	eachUpstream(t, setup{}, func(t *testing.T, r *rig) {
		const requests, held = 40, 30
		clients := []*client{r.plain(), r.h2()}
		clients[0].get("alice", workbooks).expect(r, http.StatusOK)
		hang := r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: queryWorkbooks}, Count: held, Hang: true})
		var answers []<-chan result
		for i := range requests {
			c := clients[i%2]
			answers = append(answers, c.later(c.request(http.MethodGet, "alice", workbooks, nil)))
		}
		r.wait(hang, held)
		if n := r.KillSessions(tableautest.SessionFilter{}); n != 1 {
			t.Fatalf("%d sessions were there to be killed, want 1", n)
		}
		hang.Remove()
		for _, a := range answers {
			if got := r.await(a).expect(r, http.StatusOK); !strings.Contains(string(got.body), tableautest.DraftsName("alice")) {
				t.Error("an answer is not alice's")
			}
		}
		r.expectSignIns(2)
		if n := len(r.Sessions()); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
	})
}

// publication is a body that publishes a workbook with this file.
func publication(name string, file []byte) []byte {
	var b bytes.Buffer
	b.WriteString("--" + boundary + "\r\nContent-Disposition: name=\"request_payload\"\r\nContent-Type: text/xml\r\n\r\n" +
		`<tsRequest><workbook name="` + name + `"/></tsRequest>` + "\r\n")
	_, _ = io.Copy(&b, filePart("tableau_workbook", bytes.NewReader(file)))
	return b.Bytes()
}

func content(t *testing.T, seed string, size int64) []byte {
	t.Helper()
	file, err := io.ReadAll(tableautest.GeneratedContent(seed, size))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

const publishWorkbook = "publish_workbook"

// expectPublished reads a workbook back.
func (r *rig) expectPublished(name string, want []byte) {
	r.t.Helper()
	luid := tableautest.WorkbookLUID(site, "Default", name)
	a := r.plain().get("alice", sitePath("workbooks", luid, "content")).expect(r, http.StatusOK)
	if !bytes.Equal(a.body, want) {
		r.t.Errorf("what was published has %d bytes, and is not what was sent", len(a.body))
	}
}

func TestAPublishWithADeadSessionIsSentAgainWhole(t *testing.T) {
	eachUpstream(t, setup{}, func(t *testing.T, r *rig) {
		file := content(t, "published", 300<<10)
		for _, c := range []*client{r.plain(), r.h2()} {
			for length, wrap := range map[string]func(io.Reader) io.Reader{
				"known length": func(b io.Reader) io.Reader { return b },
				"chunked":      func(b io.Reader) io.Reader { return io.NopCloser(b) },
			} {
				t.Run(c.name+", "+length, func(t *testing.T) {
					c.get("alice", workbooks).expect(r, http.StatusOK)
					r.KillSessions(tableautest.SessionFilter{})
					r.ResetJournal()
					body := wrap(bytes.NewReader(publication("Replayed", file)))
					path := sitePath("workbooks") + "?overwrite=true"
					c.do(c.request(http.MethodPost, "alice", path, body, "Content-Type", multipartType)).expect(r, http.StatusCreated)
					r.expectSignIns(1)
					r.expectPublished("Replayed", file)
					r.expectAttempts(publishWorkbook, http.StatusUnauthorized, http.StatusCreated)
				})
			}
		}
	})
}

// expectAttempts checks how Tableau answered the attempts at an operation.
func (r *rig) expectAttempts(operation string, want ...int) {
	r.t.Helper()
	entries := r.waitEntries(operation, len(want))
	for i, e := range entries {
		if i >= len(want) || e.Status != want[i] {
			r.t.Errorf("attempt %d at %s was answered with %d; all should be %v", i+1, operation, e.Status, want)
		}
	}
}

func TestABodyTooLargeToKeepGets401AndTheNextTryWorks(t *testing.T) {
	eachUpstream(t, setup{options: "replay_buffer 64KiB"}, func(t *testing.T, r *rig) {
		file := content(t, "large", 3*mebibyte)
		path := sitePath("workbooks") + "?overwrite=true"
		for _, c := range []*client{r.plain(), r.h2()} {
			for _, format := range []string{"application/xml", "application/json"} {
				t.Run(c.name+", "+format, func(t *testing.T) {
					send := func() answer {
						t.Helper()
						return c.do(c.request(http.MethodPost, "alice", path, bytes.NewReader(publication("Large", file)),
							"Content-Type", multipartType, "Accept", format))
					}
					c.get("alice", workbooks).expect(r, http.StatusOK)
					r.KillSessions(tableautest.SessionFilter{})
					r.ResetJournal()

					a := send().expect(r, http.StatusUnauthorized)
					if code := a.header.Get(headerProxyError); code != "session_ended" {
						t.Errorf("%s %q, want session_ended", headerProxyError, code)
					}
					if said := readProblem(t, a); said.code != "401002" || !strings.Contains(said.detail, "send the request again") {
						t.Errorf("the answer says %+v", said)
					}
					send().expect(r, http.StatusCreated)
					r.expectSignIns(1)
					r.expectPublished("Large", file)
				})
			}
		}
	})
}

// An answer may come before the body has been read. What is left of the body
// must then not be read as the next request on the connection.
func TestNoPartOfABodyIsTakenForARequest(t *testing.T) {
	r := newRig(t, setup{options: "replay_buffer 64KiB"})
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	r.KillSessions(tableautest.SessionFilter{})
	body := publication("Large", bytes.Repeat([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 3*mebibyte/28))
	conn := r.dial()
	go func() {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: proxy\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
			sitePath("workbooks"), authorization("alice"), multipartType, len(body))
		_, _ = io.WriteString(conn, head+string(body)) // fails when the proxy closes the connection
	}()
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.read(res)
	if err != nil {
		t.Fatal(err)
	}
	a.expect(r, http.StatusUnauthorized)
	if extra, err := http.ReadResponse(answers, nil); err == nil {
		t.Errorf("one request was answered twice, the second time with %s", extra.Status)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the proxy waits for more of a body that nobody reads")
	}
}

// Something that accepts sign-ins and no requests must not be signed in to for
// ever, whatever clients do.
func TestSessionsThatNeverWorkDoNotMakeALoopOfSignIns(t *testing.T) {
	r := newRig(t, setup{})
	r.AddFault(tableautest.Fault{Match: tableautest.Match{Data: true}, KillSession: true})
	c := r.plain()
	for range 20 {
		if a := c.get("alice", workbooks); a.status == http.StatusOK {
			t.Fatal("a killed session works")
		}
	}
	if n := r.signIns(); n > 8 {
		t.Errorf("20 requests made %d sign-ins", n)
	}
}

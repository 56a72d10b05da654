// These tests show that a client that goes away takes its request with it, and
// nothing else.

package e2e

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// expectGone checks that Tableau saw the client leave, and that the session is
// as good as before.
func (r *rig) expectGone(operation string) {
	r.t.Helper()
	entries := r.waitEntries(operation, 1)
	if !entries[0].ClientGone {
		r.t.Errorf("Tableau did not see the client of %s leave: %+v", operation, entries[0])
	}
	r.ClearFaults()
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	r.expectSignIns(1)
	if last := r.Sessions(); len(last) != 1 {
		r.t.Errorf("%d sessions, want 1", len(last))
	}
}

// eachClient runs a test with both versions of HTTP between client and proxy.
func eachClient(t *testing.T, test func(t *testing.T, r *rig, c *client)) {
	t.Helper()
	for _, choose := range []func(*rig) *client{(*rig).plain, (*rig).h2} {
		r := newRig(t, setup{tableau: tableautest.Options{
			Workbooks: []tableautest.Workbook{{Site: site, Name: "Large", Owner: "alice", Size: gibibyte}},
		}})
		c := choose(r)
		t.Run(c.name, func(t *testing.T) { test(t, r, c) })
	}
}

func TestLeavingASlowDownloadCancelsItUpstream(t *testing.T) {
	eachClient(t, func(t *testing.T, r *rig, c *client) {
		ctx, leave := context.WithCancel(t.Context())
		luid := tableautest.WorkbookLUID(site, "Default", "Large")
		req := c.request(http.MethodGet, "alice", sitePath("workbooks", luid, "content"), nil).WithContext(ctx)
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, mebibyte)); err != nil {
			t.Fatal(err)
		}
		leave()
		res.Body.Close()
		r.expectGone("download_workbook")
		if sent := r.entries("download_workbook")[0].ResponseBytes; sent >= gibibyte {
			t.Errorf("Tableau sent all %d bytes to nobody", sent)
		}
	})
}

func TestLeavingAHangingAnswerCancelsItUpstream(t *testing.T) {
	eachClient(t, func(t *testing.T, r *rig, c *client) {
		hang := r.AddFault(tableautest.Fault{Match: tableautest.Match{Operation: "get_workbook"}, Hang: true})
		ctx, leave := context.WithCancel(t.Context())
		luid := tableautest.WorkbookLUID(site, "Default", "Large")
		gone := c.later(c.request(http.MethodGet, "alice", sitePath("workbooks", luid), nil).WithContext(ctx))
		r.wait(hang, 1)
		leave()
		<-gone
		r.expectGone("get_workbook")
	})
}

func TestLeavingAnUploadCancelsItUpstream(t *testing.T) {
	eachClient(t, func(t *testing.T, r *rig, c *client) {
		id := c.beginUpload("alice")
		ctx, leave := context.WithCancel(t.Context())
		body, more := io.Pipe()
		req := c.request(http.MethodPut, "alice", sitePath("fileUploads", id), body, "Content-Type", multipartType).WithContext(ctx)
		gone := c.later(req)
		if _, err := io.CopyN(more, filePart("tableau_file", tableautest.GeneratedContent("x", gibibyte)), 4*mebibyte); err != nil {
			t.Fatal(err)
		}
		leave()
		more.CloseWithError(context.Canceled)
		<-gone
		r.expectGone("append_to_file_upload")
		if n := r.Uploads()[0].Chunks; n != 0 {
			t.Errorf("Tableau took half an upload for %d whole pieces", n)
		}
	})
}

// The sign-in goes on for the others who wait for it.
func TestLeavingASignInDoesNotCancelItForOthers(t *testing.T) {
	g := newGate()
	r := newRig(t, setup{wrap: g.wrap})
	ctx, leave := context.WithCancel(t.Context())
	c := r.plain()
	first := c.later(c.request(http.MethodGet, "alice", workbooks, nil).WithContext(ctx))
	g.await(t)
	second := r.h2().later(r.h2().request(http.MethodGet, "alice", workbooks, nil))
	leave()
	if got := <-first; got.err == nil {
		t.Errorf("the one who left got an answer: %d", got.status)
	}
	r.waitForRecord(func(record map[string]any) bool { return record["error"] == "client_gone" })
	g.open()
	r.await(second).expect(r, http.StatusOK)
	r.expectSignIns(1)
}

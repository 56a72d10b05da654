//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package caddymodule

// This file takes the audit file away from under the proxy, and checks that each
// mode does what it promises, and that all is well again without a restart.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// spoil puts a pipe in the place of the file: nothing can be written there. The
// result puts things right.
func (r *auditRig) spoil(t *testing.T) (repair func()) {
	t.Helper()
	if err := os.Rename(r.path, r.path+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(r.path, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Rename(r.path+".kept", r.path); err != nil {
			t.Fatal(err)
		}
	}
}

// expectRefusal checks that a request is refused for want of a record.
func (r *auditRig) expectRefusal(t *testing.T, user string) {
	t.Helper()
	a := r.get(t, user, workbooks)
	if a.status != 503 || a.code() != "audit_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("%s: status %d, code %q, Retry-After %q", user, a.status, a.code(), a.header.Get("Retry-After"))
	}
}

func TestStrictSendsNothingUnrecorded(t *testing.T) {
	r := startedAudit(t, setup{})
	r.works(t, "at first", "alice")
	sent := len(r.Journal())
	repair := r.spoil(t)
	for range 3 {
		r.expectRefusal(t, "alice")
		r.expectRefusal(t, "bob") // who would have to sign in
	}
	r.KillSessions(siteSessions)
	r.expectRefusal(t, "alice")
	if n := len(r.Journal()); n != sent {
		t.Errorf("%d calls reached Tableau while nothing could be recorded", n-sent)
	}
	await(t, "tableau.audit", map[string]any{"msg": "audit degraded", "level": "error"})
	if got := gauge(t, metricAuditDegraded); got != 1 {
		t.Errorf("audit_degraded is %v, want 1", got)
	}
	if got := gauge(t, metricAuditRefused); got < 1 {
		t.Errorf("audit_refused_total is %v", got)
	}
	repair()
	await(t, "tableau.audit", map[string]any{"msg": "audit recovered"})
	r.works(t, "when it is back", "alice")
	r.eventuallyWorks(t, "bob")
	if got := gauge(t, metricAuditDegraded); got != 0 {
		t.Errorf("audit_degraded is %v, want 0", got)
	}
	r.stop(t)
	r.intact(t)
	r.covered(t)
	if len(r.events(t, auditlog.EventRecovered)) == 0 {
		t.Error("the file does not tell what has happened to it")
	}
}

// eventuallyWorks waits until a refusal that is remembered has been forgotten.
func (r *auditRig) eventuallyWorks(t *testing.T, user string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		a := r.get(t, user, workbooks)
		if a.status == 200 {
			return
		}
		if a.code() != "audit_unavailable" || time.Now().After(end) {
			t.Fatalf("status %d, code %q", a.status, a.code())
		}
	}
}

// A request that finds its session dead while nothing can be recorded any more
// gets no other session, and is not sent again.
func TestStrictDuringARecovery(t *testing.T) {
	r := startedAudit(t, setup{})
	r.works(t, "at first", "alice")
	r.KillSessions(siteSessions)
	hold := r.AddFault(hangingData)
	done := make(chan answer, 1)
	go func() {
		a, err := r.send(t.Context(), call{user: "alice", path: workbooks})
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	if err := hold.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	repair := r.spoil(t)
	hold.Remove()
	a := <-done
	if n := r.signIns(); n != 1 {
		t.Errorf("%d sign-ins, want the first one only", n)
	}
	if a.status == 200 {
		t.Errorf("status %d: it was sent again without a record", a.status)
	}
	repair()
	await(t, "tableau.audit", map[string]any{"msg": "audit recovered"})
	r.stop(t)
	r.intact(t)
	r.covered(t)
}

func TestBoundedAndBestEffortGoOn(t *testing.T) {
	for _, mode := range []auditlog.Mode{auditlog.Bounded, auditlog.BestEffort} {
		t.Run(string(mode), func(t *testing.T) {
			r := startedAudit(t, setup{}, "mode "+string(mode))
			r.works(t, "at first", "alice")
			repair := r.spoil(t)
			r.works(t, "without the file", "alice")
			await(t, "tableau.audit", map[string]any{"msg": "audit degraded"})
			r.works(t, "without the file", "bob")
			repair()
			await(t, "tableau.audit", map[string]any{"msg": "audit recovered"})
			r.works(t, "when it is back", "carol")
			r.stop(t)
			r.intact(t)
			r.covered(t) // what was sent meanwhile was kept
		})
	}
}

// The mode bounded gives up when the oldest record is too old.
func TestBoundedGivesUp(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than five seconds")
	}
	r := startedAudit(t, setup{}, "mode bounded")
	r.works(t, "at first", "alice")
	repair := r.spoil(t)
	for end := time.Now().Add(patience); r.get(t, "alice", workbooks).code() != "audit_unavailable"; {
		if time.Now().After(end) {
			t.Fatal("it goes on without end")
		}
	}
	repair()
	await(t, "tableau.audit", map[string]any{"msg": "audit recovered"})
	r.eventuallyWorks(t, "alice")
	r.stop(t)
	r.intact(t)
	r.intended(t) // an outcome may have been given up, and counted
}

const auditNamespace = "CADDY_TABLEAU_TEST_NAMESPACE"

// TestAuditOnAFullDisk fills a tmpfs of its own. It runs once more for that, in a
// namespace where it may mount one.
func TestAuditOnAFullDisk(t *testing.T) {
	if os.Getenv(auditNamespace) == "" {
		cmd := exec.CommandContext(t.Context(), "unshare", "-rm", os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), auditNamespace+"=1")
		out, err := cmd.CombinedOutput()
		switch {
		case err != nil && (strings.Contains(string(out), "cannot mount") || strings.Contains(string(out), "unshare:") || strings.Contains(err.Error(), "executable file not found")):
			t.Skipf("a tmpfs needs unshare -rm and mount: %v: %s", err, out)
		case err != nil:
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=20m", "audit", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	r := newAuditRig(t)
	r.path = filepath.Join(dir, "audit.log")
	r.load(t, r.audited(setup{}))
	r.works(t, "at first", "alice")
	filler := filepath.Join(dir, "filler")
	fillDisk(t, filler)
	for end := time.Now().Add(patience); r.get(t, "alice", workbooks).code() != "audit_unavailable"; {
		if time.Now().After(end) {
			t.Fatal("requests go on although the disk is full")
		}
	}
	for end := time.Now().Add(patience); !r.saysDegraded(t); {
		if r.expectRefusal(t, "alice"); time.Now().After(end) {
			t.Fatal("the file does not say that it is degraded")
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	await(t, "tableau.audit", map[string]any{"msg": "audit recovered"})
	r.eventuallyWorks(t, "alice")
	r.stop(t)
	r.intact(t)
	r.covered(t)
}

// saysDegraded tells whether the file says that the disk is full.
func (r *auditRig) saysDegraded(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), `"event":"audit.degraded"`) && strings.Contains(string(text), "no space left")
}

// fillDisk takes what space is left.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
}

// A file that cannot be opened is said at once, and the configuration before
// stays.
func TestAuditFileThatCannotBeOpened(t *testing.T) {
	r := newAuditRig(t)
	r.load(t, setup{})
	good := r.path
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "something-else")
	if err := os.WriteFile(other, []byte("my thesis\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	held := filepath.Join(dir, "held")
	key, err := auditlog.GenerateKey("other")
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.Open(held, auditlog.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context())
	for path, want := range map[string]string{
		dir + "/missing/audit.log": "make the directory",
		dir:                        "not a regular file",
		pipe:                       "not a regular file",
		other:                      "previous_key",
		held:                       "in use by another process",
	} {
		r.path = path
		err := r.try(r.audited(setup{}))
		if err == nil || !strings.Contains(err.Error(), "audit "+path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		r.works(t, "the configuration before", "alice")
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "my thesis\n" {
		t.Errorf("what was in the way is %q (%v)", text, err)
	}
	r.path = good
	r.load(t, r.audited(setup{}))
	r.works(t, "at last", "alice")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	r.intact(t)
}

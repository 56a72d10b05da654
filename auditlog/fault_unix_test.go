//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package auditlog

// This file breaks disks that are real: a small tmpfs, and named pipes.

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func mustMkfifo(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesAPipe(t *testing.T) {
	path := logPath(t)
	mustMkfifo(t, path)
	if _, err := Open(path, testOptions()); !errors.Is(err, ErrNotRegular) {
		t.Errorf("Open: %v, want ErrNotRegular", err)
	}
}

// A pipe without a reader in the place of the log does not hold anybody up.
func TestPipeInThePlaceOfTheLog(t *testing.T) {
	p := newPatient(t, nil)
	mustAppend(t, p.Log, "before")
	if err := os.Remove(p.path); err != nil {
		t.Fatal(err)
	}
	mustMkfifo(t, p.path)
	if err := p.Append(t.Context(), "refused"); !errors.Is(err, errDegraded) || !errors.Is(err, ErrNotRegular) {
		t.Errorf("Append: %v, want a refusal", err)
	}
	if err := os.Remove(p.path); err != nil {
		t.Fatal(err)
	}
	<-p.recovered
	mustAppend(t, p.Log, "after")
	mustClose(t, p.Log)
	if r := verify(t, p.path, VerifyOptions{}); len(r.Findings) != 1 || r.Findings[0].Kind != MissingFile {
		t.Errorf("found %v, want the file that was removed", r.Findings)
	}
}

// A write that waits for the reader of a pipe is a write that hangs in the kernel.
func TestBlockedInTheKernel(t *testing.T) {
	for _, mode := range []Mode{Strict, Bounded, BestEffort} {
		t.Run(string(mode), func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe")
			mustMkfifo(t, pipe)
			p := newPatient(t, func(o *Options) { o.Mode, o.Limit, o.MaxPending = mode, 20*time.Millisecond, 50 })
			entered := make(chan struct{}, 1000)
			p.disk.set(nil, func() {
				entered <- struct{}{}
				writeToPipe(t, pipe)
			})
			var mu sync.Mutex
			var refused []error
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if err := p.Append(t.Context(), "x"); err != nil {
						mu.Lock()
						refused = append(refused, err)
						mu.Unlock()
					}
				})
			}
			wg.Wait() // nobody is held up for good
			<-entered
			want := map[Mode]struct {
				n   int
				err error
			}{Strict: {100, ErrUnavailable}, Bounded: {50, errBacklog}, BestEffort: {0, nil}}[mode]
			if len(refused) != want.n {
				t.Errorf("%d refused, want %d", len(refused), want.n)
			}
			for _, err := range refused {
				if !errors.Is(err, want.err) {
					t.Errorf("refused with %v, want %v", err, want.err)
				}
			}
			p.disk.set(nil, nil)
			in, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // and the disk is back
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, p.Log)
			in.Close()
			wantIntact(t, p.path)
		})
	}
}

func writeToPipe(t *testing.T, pipe string) {
	out, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for a reader
	if err != nil {
		t.Error(err)
		return
	}
	out.Close()
}

const inNamespace = "AUDITLOG_TEST_NAMESPACE"

// mountSmall mounts a tmpfs of one megabyte. The test runs once more for that,
// in a namespace of its own; there, mountSmall returns the directory.
func mountSmall(t *testing.T) (dir string, inside bool) {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		cmd := exec.CommandContext(t.Context(), "unshare", "-rm", os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		out, err := cmd.CombinedOutput()
		switch {
		case strings.Contains(string(out), "cannot mount"), errors.Is(err, exec.ErrNotFound), strings.Contains(string(out), "unshare:"):
			t.Skipf("a tmpfs needs unshare -rm and mount: %v: %s", err, out)
		case err != nil:
			t.Errorf("%v: %s", err, out)
		default:
			t.Logf("%s", out)
		}
		return "", false
	}
	dir = t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=1m", "audit", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot mount: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir, true
}

// fill takes what space is left.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	dir, inside := mountSmall(t)
	if !inside {
		return
	}
	for _, mode := range []Mode{Strict, Bounded, BestEffort} {
		t.Run(string(mode), func(t *testing.T) {
			degraded, recovered := make(chan error, 1000), make(chan struct{}, 1000)
			opts := testOptions()
			opts.Mode, opts.Reserve, opts.MaxPending, opts.Limit = mode, 64<<10, 50, 10*time.Second
			opts.Degraded = func(err error) { degraded <- err }
			opts.Recovered = func() { recovered <- struct{}{} }
			path := filepath.Join(dir, string(mode)+".log")
			l := mustOpen(t, path, opts)
			mustAppend(t, l, "before")
			free := fill(t, dir)
			taken := fillLog(t, l, mode, degraded)
			if text := string(readFileT(t, path)); !strings.Contains(text, `"event":"audit.degraded","cause":"`) || !strings.Contains(text, "no space left") {
				t.Error("the log does not say that it is degraded, although there is a reserve")
			}
			if _, err := os.Stat(reserveName(path)); err == nil {
				t.Error("the reserve was not given up")
			}
			free()
			<-recovered
			if err := l.Rotate(t.Context()); err != nil { // what has waited is written before
				t.Fatal(err)
			}
			mustAppend(t, l, "after")
			mustClose(t, l)
			wantIntact(t, path)
			all := records(t, path)
			if got := count(all, "x"); mode != BestEffort && got != taken {
				t.Errorf("%d records, want the %d that were taken", got, taken)
			}
			if count(all, EventDegraded) == 0 || count(all, EventRecovered) == 0 || count(all, "after") != 1 {
				t.Error("the log does not tell what has happened to it")
			}
			if info, err := os.Stat(reserveName(path)); err != nil || info.Size() != opts.Reserve {
				t.Errorf("the reserve was not taken again: %v", err)
			}
		})
	}
}

// fillLog appends until the disk is full and the log has done what its mode
// promises, and returns how many records were taken.
func fillLog(t *testing.T, l *Log, mode Mode, degraded chan error) (taken int) {
	t.Helper()
	full := false
	for refused := 0; refused < 10; {
		err := l.Append(t.Context(), "x", slog.String("pad", strings.Repeat("x", 2000)))
		switch {
		case err == nil && mode == BestEffort:
			if l.Stats().Refused > 10 {
				refused = 10
			}
		case err == nil:
			taken++
		case mode == Strict && errors.Is(err, errDegraded), mode == Bounded && errors.Is(err, errBacklog):
			refused++
		default:
			t.Fatalf("Append on a full disk: %v", err)
		}
		select {
		case <-degraded:
			full = true
		default:
		}
	}
	if !full {
		<-degraded
	}
	for l.Stats().Pending > 50 || l.Stats().Degraded == nil {
		time.Sleep(time.Millisecond) // until the failed write has been settled
	}
	waitForDegraded(t, l)
	return taken
}

// waitForDegraded waits until the log has done all that it does when it fails:
// rotating needs the goroutine that does it.
func waitForDegraded(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Rotate(t.Context()); !errors.Is(err, errDegraded) {
		t.Fatalf("Rotate: %v, want that the log is degraded", err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir, inside := mountSmall(t)
	if !inside {
		return
	}
	remount := func(how string) {
		for { // a log that tries again has a file open for a moment
			out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,"+how, dir).CombinedOutput()
			if err == nil {
				return
			}
			if !strings.Contains(string(out), "busy") {
				t.Fatalf("remount %s: %v: %s", how, err, out)
			}
		}
	}
	degraded, recovered := make(chan error, 1000), make(chan struct{}, 1000)
	opts := testOptions()
	opts.Reserve, opts.Limit, opts.RetryInterval = 64<<10, 10*time.Second, time.Hour
	opts.Degraded = func(err error) { degraded <- err }
	path := filepath.Join(dir, "audit.log")
	l := mustOpen(t, path, opts)
	free := fill(t, dir)
	fillLog(t, l, Strict, degraded)
	free()
	remount("ro") // possible only because a log that has failed keeps no file open
	if err := l.Close(t.Context()); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Close: %v, want that it is read-only", err)
	}
	if _, err := Open(path, opts); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Open: %v, want that it is read-only", err)
	}
	remount("rw")

	opts.RetryInterval = time.Millisecond
	opts.Recovered = func() { recovered <- struct{}{} }
	l = mustOpen(t, path, opts)
	free = fill(t, dir)
	fillLog(t, l, Strict, degraded)
	remount("ro")
	for !errors.Is(l.Stats().Degraded, syscall.EROFS) {
		time.Sleep(time.Millisecond) // until it has tried again
	}
	if err := l.Append(t.Context(), "refused"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Append: %v, want that it is read-only", err)
	}
	remount("rw")
	free()
	<-recovered
	mustAppend(t, l, "after")
	mustClose(t, l)
	wantIntact(t, path)
	if all := records(t, path); count(all, "after") != 1 || count(all, "refused") != 0 {
		t.Error("the log does not hold what it should")
	}
}

// Where nothing can be mounted, a limit on the size of files is a full disk.
func TestFileTooLarge(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("ulimit -f 64; trap '' XFSZ; exec %q -test.run '^%s$'", os.Args[0], t.Name()))
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	taken := 0
	var err error
	for err == nil {
		if err = l.Append(t.Context(), "x", slog.String("pad", strings.Repeat("x", 1000))); err == nil {
			taken++
		}
	}
	if !errors.Is(err, syscall.EFBIG) || taken == 0 {
		t.Errorf("Append: %v after %d records, want EFBIG after some", err, taken)
	}
	_ = l.Close(t.Context())
	wantIntact(t, path)
	if got := count(records(t, path), "x"); got != taken {
		t.Errorf("%d records, want the %d that were taken", got, taken)
	}
}

package auditlog

// This file breaks disks under logs: writes that fail, hang or take long, and
// files that somebody else moves.

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A faultyDisk opens real files, and fails or hangs when it is told to.
type faultyDisk struct {
	syncs atomic.Int64
	quick bool // nothing is synced: for tests that do not end with the machine

	mu   sync.Mutex
	err  error  // what every write returns
	hold func() // runs before every write
}

func (d *faultyDisk) set(err error, hold func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.hold = err, hold
}

func (d *faultyDisk) fault() error {
	d.mu.Lock()
	err, hold := d.err, d.hold
	d.mu.Unlock()
	if hold != nil {
		hold()
	}
	return err
}

func (d *faultyDisk) open(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := openOSFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d}, nil
}

type faultyFile struct {
	file
	disk *faultyDisk
}

func (f *faultyFile) Sync() error {
	f.disk.syncs.Add(1)
	if err := f.disk.fault(); err != nil {
		return err
	}
	if f.disk.quick {
		return nil
	}
	return f.file.Sync()
}

var errBroken = errors.New("input/output error")

// A patient is a log on a faulty disk, with what it tells.
type patient struct {
	*Log
	path      string
	disk      *faultyDisk
	degraded  chan error
	recovered chan struct{}
}

func newPatient(t *testing.T, change func(*Options)) *patient {
	t.Helper()
	p := &patient{
		path: logPath(t), disk: &faultyDisk{},
		degraded: make(chan error, 100), recovered: make(chan struct{}, 100),
	}
	opts := testOptions()
	opts.open = p.disk.open
	opts.Degraded = func(err error) { p.degraded <- err }
	opts.Recovered = func() { p.recovered <- struct{}{} }
	if change != nil {
		change(&opts)
	}
	p.Log = mustOpen(t, p.path, opts)
	return p
}

var (
	errDegraded = &AppendError{Reason: ReasonDegraded}
	errTimeout  = &AppendError{Reason: ReasonTimeout}
	errBacklog  = &AppendError{Reason: ReasonBacklog}
)

func TestStrictRefusesWhileTheDiskFails(t *testing.T) {
	p := newPatient(t, nil)
	mustAppend(t, p.Log, "before")
	p.disk.set(errBroken, nil)
	if err := p.Append(t.Context(), "refused"); !errors.Is(err, errDegraded) || !errors.Is(err, errBroken) || !errors.Is(err, ErrUnavailable) {
		t.Fatalf("Append on a broken disk: %v", err)
	}
	if err := <-p.degraded; !errors.Is(err, errBroken) {
		t.Errorf("Degraded was told %v", err)
	}
	if err := p.Append(t.Context(), "refused"); !errors.Is(err, errDegraded) {
		t.Errorf("second Append: %v", err)
	}
	if err := p.AppendAsync("kept"); err != nil {
		t.Errorf("AppendAsync does not keep the record: %v", err)
	}
	if s := p.Stats(); s.Refused != 2 || s.Pending != 1 || s.Degraded == nil {
		t.Errorf("Stats %+v, want 2 refused, 1 pending, degraded", s)
	}
	if err := p.Rotate(t.Context()); !errors.Is(err, errDegraded) {
		t.Errorf("Rotate: %v", err)
	}
	p.disk.set(nil, nil)
	<-p.recovered
	mustAppend(t, p.Log, "after")
	if s := p.Stats(); s.Degraded != nil || s.Pending != 0 {
		t.Errorf("Stats %+v, want recovered", s)
	}
	mustClose(t, p.Log)

	wantIntact(t, p.path)
	all := records(t, p.path)
	for event, want := range map[string]int{"before": 1, "refused": 0, "kept": 1, "after": 1, EventRecovered: 1} {
		if got := count(all, event); got != want {
			t.Errorf("%d records of %s, want %d", got, event, want)
		}
	}
	if text := string(readFileT(t, p.path)); !strings.Contains(text, `"cause":"input/output error","since":`) || !strings.Contains(text, `"refused":2`) {
		t.Error("the log does not say why it was degraded, and what was lost")
	}
}

func TestBoundedKeepsRecordsUpToItsLimits(t *testing.T) {
	p := newPatient(t, func(o *Options) { o.Mode, o.MaxPending, o.MaxPendingAge = Bounded, 10, time.Hour })
	p.disk.set(errBroken, nil)
	taken := 0
	for range 30 {
		err := p.Append(t.Context(), "x")
		if err == nil {
			taken++
		} else if !errors.Is(err, errBacklog) {
			t.Fatalf("Append: %v", err)
		}
	}
	if taken != 10 {
		t.Errorf("%d records taken, want 10", taken)
	}
	<-p.degraded
	p.disk.set(nil, nil)
	<-p.recovered
	mustClose(t, p.Log)
	wantIntact(t, p.path)
	if got := count(records(t, p.path), "x"); got != taken {
		t.Errorf("%d records are durable, want the %d that were taken", got, taken)
	}
}

func TestBoundedRefusesWhenRecordsGetOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPatient(t, func(o *Options) { o.Mode, o.MaxPendingAge, o.Limit = Bounded, time.Second, time.Minute })
		p.disk.set(nil, func() { <-release })
		mustAppend(t, p.Log, "x")
		time.Sleep(time.Second)
		mustAppend(t, p.Log, "x")
		time.Sleep(time.Millisecond)
		if err := p.Append(t.Context(), "x"); !errors.Is(err, errBacklog) {
			t.Errorf("Append after more than a second: %v, want a refusal", err)
		}
		close(release)
		mustClose(t, p.Log)
	})
}

func TestBestEffortDropsAndCounts(t *testing.T) {
	p := newPatient(t, func(o *Options) { o.Mode, o.MaxPending = BestEffort, 10 })
	p.disk.set(errBroken, nil)
	for range 30 {
		mustAppend(t, p.Log, "x")
	}
	<-p.degraded
	if s := p.Stats(); s.Refused != 20 {
		t.Errorf("%d refused, want 20", s.Refused)
	}
	p.disk.set(nil, nil)
	<-p.recovered
	mustClose(t, p.Log)
	wantIntact(t, p.path)
	if all := records(t, p.path); count(all, "x") != 10 || !strings.Contains(string(readFileT(t, p.path)), `"refused":20`) {
		t.Error("the log does not hold the 10 records and the number of the others")
	}
}

// A write that hangs is a write that has failed, as soon as the limit has passed.
func TestHungDiskIsAFailedDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPatient(t, func(o *Options) { o.Limit = DefaultLimit })
		p.disk.set(nil, func() { <-release })
		start := time.Now()
		var wg sync.WaitGroup
		var late atomic.Int64
		for range 20 {
			wg.Go(func() {
				err := p.Append(t.Context(), "hung")
				if !errors.Is(err, errTimeout) {
					t.Errorf("Append: %v, want a timeout", err)
				}
				if failed, ok := errors.AsType[*AppendError](err); ok && failed.Late {
					late.Add(1)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d != DefaultLimit {
			t.Errorf("the callers waited %v, want %v", d, DefaultLimit)
		}
		time.Sleep(time.Millisecond)
		start = time.Now()
		if err := p.Append(t.Context(), "refused"); !errors.Is(err, errTimeout) || time.Since(start) != 0 {
			t.Errorf("Append on a disk that hangs: %v after %v, want a refusal at once", err, time.Since(start))
		}
		if p.Stats().Degraded == nil {
			t.Error("Stats does not tell that the log is degraded")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Rotate(ctx); !errors.Is(err, errTimeout) {
			t.Errorf("Rotate: %v, want a timeout", err)
		}
		close(release)
		synctest.Wait()
		mustAppend(t, p.Log, "after")
		mustClose(t, p.Log)
		wantIntact(t, p.path)
		all := records(t, p.path)
		if count(all, "after") != 1 || count(all, "refused") != 0 || count(all, EventDropped) == 0 {
			t.Error("the log does not hold what it should")
		}
		if n := count(all, "hung"); n == 0 || n != int(late.Load()) {
			t.Errorf("%d records were written after all, %d were said to be", n, late.Load())
		}
	})
}

func TestHungDiskIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPatient(t, func(o *Options) { o.Limit = DefaultLimit })
		p.disk.set(nil, func() { <-release })
		if err := p.AppendAsync("x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(lazyDelay + time.Millisecond)
		if err := p.Append(t.Context(), "x"); !errors.Is(err, errTimeout) {
			t.Errorf("Append: %v", err)
		}
		if err := <-p.degraded; !errors.Is(err, errStalled) {
			t.Errorf("Degraded was told %v", err)
		}
		close(release)
		<-p.recovered
		mustClose(t, p.Log)
	})
}

// A log that fails is tried again in its time, however many records come.
func TestRecordsDoNotPutOffTheRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, func(o *Options) { o.RetryInterval = time.Second })
		p.disk.set(errBroken, nil)
		if err := p.Append(t.Context(), "refused"); !errors.Is(err, errDegraded) {
			t.Fatalf("Append on a broken disk: %v", err)
		}
		p.disk.set(nil, nil)
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if err := p.AppendAsync("kept"); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if p.Stats().Degraded != nil {
			t.Error("still degraded after two seconds with a whole disk")
		}
		mustClose(t, p.Log)
		wantIntact(t, p.path)
		if n := count(records(t, p.path), "kept"); n != 20 {
			t.Errorf("%d records, want 20", n)
		}
	})
}

// TestOneSyncForManyWhoDoNotWait: the disk is not synced for each record that
// nobody waits for.
func TestOneSyncForManyWhoDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, func(o *Options) { o.Mode = Bounded })
		before := p.disk.syncs.Load()
		for range 100 {
			if err := p.AppendAsync("x"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := p.disk.syncs.Load() - before; n != 0 {
			t.Errorf("%d syncs before the delay was over", n)
		}
		time.Sleep(lazyDelay)
		synctest.Wait()
		if n := p.disk.syncs.Load() - before; n != 1 || p.Stats().Pending != 0 {
			t.Errorf("%d syncs, and %d records that wait, want one and none", n, p.Stats().Pending)
		}
		for range lazyRecords {
			if err := p.AppendAsync("x"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := p.Stats().Pending; n != 0 {
			t.Errorf("%d records wait although there are enough of them", n)
		}
		mustClose(t, p.Log)
	})
}

// TestGathering: where several wait at a time, they share a sync; who waits alone
// waits for nobody.
func TestGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, func(o *Options) { o.Limit = time.Second })
		for range 3 {
			start := time.Now()
			mustAppend(t, p.Log, "alone")
			if d := time.Since(start); d != 0 {
				t.Errorf("who is alone waited for %v", d)
			}
		}
		crowd := func() {
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					time.Sleep(time.Duration(i) * gatherDelay / 20)
					mustAppend(t, p.Log, "one of many")
				})
			}
			wg.Wait()
		}
		p.disk.set(nil, func() { time.Sleep(gatherDelay) })
		crowd() // the first is alone, the others wait while its record is written
		before := p.disk.syncs.Load()
		crowd()
		if n := p.disk.syncs.Load() - before; n != 1 {
			t.Errorf("%d syncs for those who came within %v, want 1", n, gatherDelay)
		}
		p.disk.set(nil, nil)
		mustClose(t, p.Log)
		wantIntact(t, p.path)
	})
}

func TestSlowDiskWithinTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t, func(o *Options) { o.Limit = DefaultLimit })
		p.disk.set(nil, func() { time.Sleep(100 * time.Millisecond) })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { mustAppend(t, p.Log, "x") })
		}
		wg.Wait()
		mustClose(t, p.Log)
		wantIntact(t, p.path)
	})
}

func TestAppendLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPatient(t, nil)
		p.disk.set(nil, func() { <-release })
		if err := p.AppendAsync("before"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lazyDelay)
		synctest.Wait() // it is being written
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := p.Append(ctx, "withdrawn"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Append: %v, want the context's error", err)
		}
		if s := p.Stats(); s.Pending != 1 || s.Refused != 1 {
			t.Errorf("Stats %+v, want 1 pending and 1 refused", s)
		}
		close(release)
		mustClose(t, p.Log)
		if all := records(t, p.path); count(all, "before") != 1 || count(all, "withdrawn") != 0 {
			t.Error("the record that nobody waits for was written, or the other was not")
		}
	})
}

func TestCloseOnAHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPatient(t, nil)
		p.disk.set(nil, func() { <-release })
		if err := p.AppendAsync("x"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want the context's error", err)
		}
		close(release)
		mustClose(t, p.Log)
		wantIntact(t, p.path)
	})
}

func TestCloseOnABrokenDisk(t *testing.T) {
	p := newPatient(t, nil)
	p.disk.set(errBroken, nil)
	if err := p.AppendAsync("x"); err != nil {
		t.Fatal(err)
	}
	<-p.degraded
	if err := p.Close(t.Context()); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "1 records are not durable") {
		t.Errorf("Close: %v, want what was lost, and why", err)
	}
	p.disk.set(nil, nil)
	mustClose(t, mustOpen(t, p.path, testOptions()))
	wantIntact(t, p.path)
}

// Whatever somebody does to the file of an open log: it goes on, and verifying
// tells whether something is missing.
func TestFileChangedUnderTheLog(t *testing.T) {
	edit := func(f func(data []byte) []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			writeFileT(t, path+".new", f(readFileT(t, path)))
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name string
		do   func(t *testing.T, path string)
		want []Kind
	}{
		{"removed", func(t *testing.T, path string) { _ = os.Remove(path) }, []Kind{MissingFile}},
		{"emptied", func(t *testing.T, path string) { _ = os.Truncate(path, 0) }, []Kind{MissingFile}},
		{"cut", func(t *testing.T, path string) { _ = os.Truncate(path, 100) }, []Kind{MissingFile}},
		{"moved as logrotate does", func(t *testing.T, path string) { _ = os.Rename(path, path+".000000000000") }, nil},
		{"something appended", func(t *testing.T, path string) {
			writeFileT(t, path, append(readFileT(t, path), "hello\n"...))
		}, nil},
		{"a copy in its place", edit(func(data []byte) []byte { return data }), nil},
		{"an edited copy in its place", edit(func(data []byte) []byte {
			return []byte(strings.Replace(string(data), "before", "beyond", 1))
		}), []Kind{Changed}},
		{"another file in its place", edit(func([]byte) []byte { return []byte("hello\n") }), []Kind{MissingFile}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := logPath(t)
			l := mustOpen(t, path, testOptions())
			mustAppend(t, l, "before")
			mustAppend(t, l, "between")
			test.do(t, path)
			mustAppend(t, l, "after")
			mustClose(t, l)

			r := verify(t, path, VerifyOptions{})
			var kinds []Kind
			for _, f := range r.Findings {
				kinds = append(kinds, f.Kind)
			}
			if !slices.Equal(kinds, test.want) {
				t.Errorf("found %v, want %v", r.Findings, test.want)
			}
			if got := count(records(t, path), "after"); got != 1 {
				t.Errorf("the record after it is there %d times", got)
			}
		})
	}
}

func TestDirectoryRemovedUnderTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	opts := testOptions()
	recovered := make(chan struct{}, 1)
	opts.Recovered = func() { recovered <- struct{}{} }
	path := filepath.Join(dir, "audit.log")
	l := mustOpen(t, path, opts)
	mustAppend(t, l, "before")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), "refused"); !errors.Is(err, errDegraded) {
		t.Errorf("Append: %v, want a refusal", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	<-recovered
	mustAppend(t, l, "after")
	mustClose(t, l)
	if r := verify(t, path, VerifyOptions{FromFirstFile: true}); !r.OK() || count(records(t, path), "after") != 1 {
		t.Errorf("report %+v", r)
	}
}

// A failure in the middle of a rotation leaves a log that goes on.
func TestRotationOnABrokenDisk(t *testing.T) {
	p := newPatient(t, nil)
	mustAppend(t, p.Log, "before")
	mustClose(t, p.Log)
	opts := testOptions()
	opts.open = p.disk.open
	recovered := make(chan struct{}, 1)
	opts.Recovered = func() { recovered <- struct{}{} }
	l := mustOpen(t, p.path, opts)
	p.disk.set(errBroken, nil) // nothing to seal: it is the new file that fails
	if err := l.Rotate(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("Rotate: %v, want the error", err)
	}
	p.disk.set(nil, nil)
	<-recovered
	mustAppend(t, l, "after", slog.Int("n", 1))
	mustClose(t, l)
	wantIntact(t, p.path)
	if files := mustFiles(t, p.path); len(files) != 2 {
		t.Errorf("files %v, want 2", files)
	}
}

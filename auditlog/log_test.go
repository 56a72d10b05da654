package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAppendedRecordsVerify(t *testing.T) {
	path := logPath(t)
	opts := testOptions()
	opts.CheckpointEvery = 10
	l := mustOpen(t, path, opts)
	for i := range 25 {
		mustAppend(t, l, "egress.intent", slog.String("user", "alice"), slog.Int("n", i))
	}
	if err := l.AppendAsync("egress.outcome", slog.Int("status", 200)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)

	r := wantIntact(t, path)
	all := records(t, path)
	if got := count(all, "egress.intent"); got != 25 {
		t.Errorf("%d intents, want 25", got)
	}
	if got := count(all, "egress.outcome"); got != 1 {
		t.Errorf("%d outcomes, want 1", got)
	}
	if last := all[len(all)-1]; last.Event != EventCheckpoint {
		t.Errorf("the last record is %q, want a checkpoint", last.Event)
	}
	if r.Size != int64(len(all)) || r.Signed != r.Size-1 || r.Records != r.Size {
		t.Errorf("report %+v, want %d records, all but the last signed", r, len(all))
	}
	for i, rec := range all {
		if rec.Seq != int64(i) {
			t.Fatalf("record %d has the number %d", i, rec.Seq)
		}
	}
}

func TestRecordHasItsFieldsInOrder(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	mustAppend(t, l, "policy.deny", slog.String("user", "alice"), slog.Int("status", 403), slog.Any("scopes", []string{"a", "b"}),
		slog.Group("tls", slog.Bool("mutual", true)))
	mustClose(t, l)
	const want = `"event":"policy.deny","user":"alice","status":403,"scopes":["a","b"],"tls":{"mutual":true}}`
	for _, r := range records(t, path) {
		if r.Event == "policy.deny" {
			if !strings.HasSuffix(string(r.Raw), want) {
				t.Errorf("got %s, want the end %s", r.Raw, want)
			}
			if d := time.Since(r.Time); d < 0 || d > time.Hour {
				t.Errorf("the record is of %v", r.Time)
			}
			return
		}
	}
	t.Error("the record is not there")
}

func TestReopenGoesOnWithoutAGap(t *testing.T) {
	path := logPath(t)
	for i := range 3 {
		l := mustOpen(t, path, testOptions())
		mustAppend(t, l, "session.signin", slog.Int("run", i))
		mustClose(t, l)
	}
	before := readFileT(t, path)
	mustClose(t, mustOpen(t, path, testOptions()))
	if after := readFileT(t, path); string(after) != string(before) {
		t.Error("opening and closing a log has changed it")
	}
	if r := wantIntact(t, path); r.Size != 8 { // head and checkpoint, three times a record and a checkpoint
		t.Errorf("%d records, want 8", r.Size)
	}
}

func TestOneProcessOneLog(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	if _, err := Open(path, testOptions()); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, path, testOptions()))
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name  string
		setup func(path string, o *Options)
		want  string
	}{
		{"no key", func(_ string, o *Options) { o.Key = SigningKey{} }, "no signing key"},
		{"a mode that is none", func(_ string, o *Options) { o.Mode = "loose" }, "mode \"loose\""},
		{"small files", func(_ string, o *Options) { o.RotateSize = 10 }, "RotateSize"},
		{"small records", func(_ string, o *Options) { o.MaxRecord = 10 }, "MaxRecord"},
		{"a negative limit", func(_ string, o *Options) { o.Limit = -1 }, "negative"},
		{"a directory", func(path string, _ *Options) { _ = os.Mkdir(path, 0o700) }, ErrNotRegular.Error()},
		{"a text that is no log", func(path string, _ *Options) { _ = os.WriteFile(path, []byte("hello\n"), 0o600) }, "altered"},
		{"a text without an end that is no log", func(path string, _ *Options) { _ = os.WriteFile(path, []byte("hello"), 0o600) }, "altered"},
		{"a binary that is no log", func(path string, _ *Options) { _ = os.WriteFile(path, []byte("\x7fELF\x00\x00"), 0o600) }, "altered"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, fmt.Sprint(i))
			opts := testOptions()
			test.setup(path, &opts)
			before, _ := os.ReadFile(path)
			l, err := Open(path, opts)
			if err == nil {
				mustClose(t, l)
				t.Fatal("Open accepted it")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q in it", err, test.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("Open has changed the file that it refused")
			}
		})
	}
}

func TestOpenRefusesAnAlteredLog(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	for range 5 {
		mustAppend(t, l, "session.signin", slog.String("user", "alice"))
	}
	mustClose(t, l)
	data := strings.Replace(string(readFileT(t, path)), "alice", "mallory", 1)
	writeFileT(t, path, []byte(data))
	_, err := Open(path, testOptions())
	var tampered *TamperError
	if !errors.As(err, &tampered) || tampered.Findings[0].First != 3 {
		t.Errorf("Open: %v, want a TamperError that names record 3, after the one that was changed", err)
	}
}

func TestOpenRefusesALogWithHashesMadeToFit(t *testing.T) {
	s := newSpecimen(t, testKey(), 8)
	last := len(s.files) - 1
	s.files[last][4] = strings.Replace(s.files[last][4], `"user":"`, `"user":"m`, 1)
	s.rechain()
	var tampered *TamperError
	if _, err := Open(s.write(t, t.TempDir()), testOptions()); !errors.As(err, &tampered) {
		t.Errorf("Open: %v, want a TamperError", err)
	}
}

func TestRotationCarriesTheRootOver(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	for i := range 10 {
		mustAppend(t, l, "session.signin", slog.Int("n", i))
		if i%3 == 2 {
			if err := l.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, l)
	files := mustFiles(t, path)
	if len(files) != 4 {
		t.Fatalf("files %v, want 4", files)
	}
	wantIntact(t, path)

	// The last two files alone are a log that begins later.
	r, err := Verify(t.Context(), files[2:], VerifyOptions{Keys: testKeys(), FromFirstFile: true})
	if err != nil || !r.OK() || r.First == 0 {
		t.Errorf("the last two files: %+v, %v", r, err)
	}
	r, _ = Verify(t.Context(), files[2:], VerifyOptions{Keys: testKeys()})
	if r.OK() || r.Findings[0].Kind != MissingFile {
		t.Errorf("the first two files are missing, and the findings are %v", r.Findings)
	}
}

func TestFilesRotateBySize(t *testing.T) {
	path := logPath(t)
	opts := testOptions()
	opts.RotateSize = 64 << 10
	l := mustOpen(t, path, opts)
	for range 100 {
		mustAppend(t, l, "session.signin", slog.String("ua", strings.Repeat("x", 3000)))
	}
	mustClose(t, l)
	files := mustFiles(t, path)
	if len(files) < 4 {
		t.Errorf("%d files after 300 kB, want some", len(files))
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Size() > 70<<10 {
			t.Errorf("%s: %v, %v: larger than it may be", name, info.Size(), err)
		}
	}
	wantIntact(t, path)
}

func TestOpenAfterACrashInTheMiddleOfARotation(t *testing.T) {
	for _, left := range []string{"nothing", "an empty file", "half a head"} {
		t.Run(left, func(t *testing.T) {
			path := logPath(t)
			l := mustOpen(t, path, testOptions())
			mustAppend(t, l, "session.signin")
			mustClose(t, l)
			if err := os.Rename(path, path+".000000000000"); err != nil {
				t.Fatal(err)
			}
			switch left {
			case "an empty file":
				writeFileT(t, path, nil)
			case "half a head":
				writeFileT(t, path, []byte(`{"seq":4,"ts":"2026-`))
			}
			l = mustOpen(t, path, testOptions())
			mustAppend(t, l, "session.signin")
			mustClose(t, l)
			if r := wantIntact(t, path); r.Files != 2 || r.Size != 8 {
				t.Errorf("report %+v, want 2 files and 8 records", r)
			}
		})
	}
}

func TestOpenCutsWhatACrashHasLeft(t *testing.T) {
	tails := map[string]string{
		"nothing":                       "",
		"half a line":                   `{"seq":4,"ts":"2026-11-`,
		"a line without its feed":       `{"seq":4}`,
		"blocks that were never filled": strings.Repeat("\x00", 4096),
		"a hole within lines":           `{"seq":4,"ts` + "\x00\x00\x00\n" + `{"se`,
	}
	for name, tail := range tails {
		t.Run(name, func(t *testing.T) {
			path := logPath(t)
			l := mustOpen(t, path, testOptions())
			mustAppend(t, l, "session.signin")
			mustClose(t, l)
			lines := strings.SplitAfter(string(readFileT(t, path)), "\n")
			data := strings.Join(lines[:3], "") // without the last checkpoint
			writeFileT(t, path, []byte(data+tail))

			l = mustOpen(t, path, testOptions())
			mustAppend(t, l, "session.signin")
			mustClose(t, l)
			wantIntact(t, path)
			after := string(readFileT(t, path))
			if !strings.HasPrefix(after, data) {
				t.Error("more was cut than what the crash has left")
			}
			if want := fmt.Sprintf(`"event":"audit.recovered","cause":"the log was not closed","cut_bytes":%d`, len(tail)); !strings.Contains(after, want) {
				t.Errorf("nothing is recorded about it: %s not in %s", want, after)
			}
		})
	}
}

func TestBatchesShareASync(t *testing.T) {
	const goroutines, each = 64, 50
	path := logPath(t)
	disk := &faultyDisk{}
	opts := testOptions()
	opts.open = disk.open
	l := mustOpen(t, path, opts)
	before := disk.syncs.Load()
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				mustAppend(t, l, "egress.intent")
				if err := l.AppendAsync("egress.outcome"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	syncs := disk.syncs.Load() - before
	mustClose(t, l)
	t.Logf("%d records in %d syncs", 2*goroutines*each, syncs)
	if syncs > goroutines*each/2 {
		t.Errorf("%d syncs for %d records that waited: they do not share them", syncs, goroutines*each)
	}
	wantIntact(t, path)
	if all := records(t, path); count(all, "egress.intent") != goroutines*each || count(all, "egress.outcome") != goroutines*each {
		t.Error("records are missing")
	}
}

func TestCheckpointAfterTheInterval(t *testing.T) {
	path := logPath(t)
	opts := testOptions()
	opts.CheckpointInterval = 10 * time.Millisecond
	seen := make(chan Checkpoint, 100)
	opts.Checkpointed = func(c Checkpoint) { seen <- c }
	l := mustOpen(t, path, opts)
	if c := <-seen; c.Size != 1 {
		t.Fatalf("the first checkpoint is of %d records, want 1: the head", c.Size)
	}
	mustAppend(t, l, "session.signin")
	c := <-seen
	if c.Size != 3 {
		t.Errorf("the checkpoint is of %d records, want 3", c.Size)
	}
	if again, err := ParseCheckpoint(c.Note, testKeys()...); err != nil || again != c {
		t.Errorf("ParseCheckpoint: %+v, %v, want %+v", again, err, c)
	}
	if got := l.Stats().Checkpoint; got != c {
		t.Errorf("Stats has the checkpoint %+v, want %+v", got, c)
	}
	mustClose(t, l)
}

func TestClosedLogTakesNothing(t *testing.T) {
	for _, mode := range []Mode{Strict, Bounded, BestEffort} {
		opts := testOptions()
		opts.Mode = mode
		l := mustOpen(t, logPath(t), opts)
		mustClose(t, l)
		mustClose(t, l)
		closed := &AppendError{Reason: ReasonClosed}
		if err := l.Append(t.Context(), "x"); !errors.Is(err, closed) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: Append: %v", mode, err)
		}
		if err := l.AppendAsync("x"); !errors.Is(err, closed) {
			t.Errorf("%s: AppendAsync: %v", mode, err)
		}
		if err := l.Rotate(t.Context()); !errors.Is(err, closed) {
			t.Errorf("%s: Rotate: %v", mode, err)
		}
	}
}

func TestAppendWithAContextThatHasEnded(t *testing.T) {
	l := mustOpen(t, logPath(t), testOptions())
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if err := l.Append(ctx, "x"); !errors.Is(err, gone) || !errors.Is(err, &AppendError{Reason: ReasonTimeout}) {
		t.Errorf("Append: %v, want the cause", err)
	}
}

func TestKeyOfALogChanges(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	mustAppend(t, l, "session.signin")
	mustClose(t, l)

	opts := testOptions()
	opts.Key = newKey("proxy1.corp.example/audit2")
	if _, err := Open(path, opts); err == nil || !strings.Contains(err.Error(), "none of the given keys") {
		t.Fatalf("Open with another key: %v, want a refusal", err)
	}
	opts.Previous = testKeys()
	l = mustOpen(t, path, opts)
	mustAppend(t, l, "session.signin")
	mustClose(t, l)

	keys, err := ReadVerifiers(PublicKeyFile(path))
	if err != nil || len(keys) != 2 {
		t.Fatalf("ReadVerifiers: %d keys, %v, want both", len(keys), err)
	}
	if r := verify(t, path, VerifyOptions{Keys: keys}); !r.OK() {
		t.Errorf("findings %v", r.Findings)
	}
	if r := verify(t, path, VerifyOptions{Keys: keys[:1]}); r.OK() {
		t.Error("the log verifies without the first key")
	}
}

func TestFilesWithoutALog(t *testing.T) {
	if _, err := Files(logPath(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Files: %v, want that there is none", err)
	}
}

func TestRecordsAreJSON(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	mustAppend(t, l, "x", slog.Any("raw", json.RawMessage(`{"b":[1,"\n"],"a":null}`)))
	mustClose(t, l)
	for _, r := range records(t, path) {
		var v map[string]any
		if err := json.Unmarshal(r.Raw, &v); err != nil {
			t.Errorf("%s: %v", r.Raw, err)
		}
	}
}

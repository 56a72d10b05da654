package auditlog

// This file holds what the tests share: a key, logs in temporary directories,
// and helpers that read them.

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
)

func TestMain(m *testing.M) {
	if run := os.Getenv(helperEnv); run != "" {
		helper(run)
		return
	}
	goleak.VerifyTestMain(m)
}

// testKey is the same in each run, so that a fuzz corpus can hold what it has signed.
var testKey = sync.OnceValue(func() SigningKey {
	k, err := newSigningKey(testKeyName, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))
	if err != nil {
		panic(err)
	}
	return k
})

func newKey(name string) SigningKey {
	k, err := GenerateKey(name)
	if err != nil {
		panic(err)
	}
	return k
}

func testKeys() []note.Verifier { return []note.Verifier{testKey().Verifier()} }

// testOptions are small enough for tests.
func testOptions() Options {
	return Options{Key: testKey(), Reserve: 4 << 10, Limit: 30 * time.Second, RetryInterval: 5 * time.Millisecond}
}

// quickOptions are for logs that are not tested for what a crash leaves of them.
func quickOptions() Options {
	opts := testOptions()
	opts.open = (&faultyDisk{quick: true}).open
	return opts
}

func logPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "audit.log")
}

func mustOpen(t testing.TB, path string, opts Options) *Log {
	t.Helper()
	l, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, l *Log, event string, attrs ...slog.Attr) {
	t.Helper()
	if err := l.Append(t.Context(), event, attrs...); err != nil {
		t.Fatal(err)
	}
}

func mustFiles(t testing.TB, path string) []string {
	t.Helper()
	files, err := Files(path)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func verify(t testing.TB, path string, opts VerifyOptions) *Report {
	t.Helper()
	if opts.Keys == nil {
		opts.Keys = testKeys()
	}
	r, err := Verify(t.Context(), mustFiles(t, path), opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantIntact(t testing.TB, path string) *Report {
	t.Helper()
	r := verify(t, path, VerifyOptions{})
	if !r.OK() {
		t.Fatalf("the log was altered: %v", r.Findings)
	}
	return r
}

// records are those of the log at path, all of them.
func records(t testing.TB, path string) []Record {
	t.Helper()
	var all []Record
	for r, err := range Records(t.Context(), mustFiles(t, path)...) {
		if err != nil {
			t.Fatal(err)
		}
		r.Raw = bytes.Clone(r.Raw)
		all = append(all, r)
	}
	return all
}

// count is how many records of an event there are.
func count(all []Record, event string) (n int) {
	for _, r := range all {
		if r.Event == event {
			n++
		}
	}
	return n
}

func readFileT(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFileT(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

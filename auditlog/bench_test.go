package auditlog

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// benchFields are about as many as a request to a proxy leaves.
func benchFields() []slog.Attr {
	return []slog.Attr{
		slog.String("req", "01JDDZ4Q6V7T4P8N0S5S4Y2K3M"), slog.String("identity", "alice"), slog.String("identity_src", "basic"),
		slog.String("sub", "alice@corp.example"), slog.String("client_ip", "192.0.2.17"), slog.String("ua", "python-requests/2.32.5"),
		slog.String("method", "GET"), slog.String("path", "/api/3.24/sites/9a8b7c6d-1111-2222-3333-444455556666/workbooks"),
		slog.String("api", "workbooks.query"), slog.String("site", "finance"), slog.Int("req_bytes", 0), slog.String("decision", "allow"),
		slog.String("jti", "f1d2d2f9-24e9-4b0c-8d6c-1234567890ab"), slog.String("sess_fp", "9f86d081884c7d659a2feaa0c55ad015"), slog.Int("attempt", 1),
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, mode := range []Mode{Strict, Bounded, BestEffort} {
		for _, goroutines := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/goroutines=%d", mode, goroutines), func(b *testing.B) {
				opts := testOptions()
				opts.Mode, opts.MaxPendingAge = mode, time.Minute
				l := mustOpen(b, logPath(b), opts)
				b.ReportAllocs()
				if goroutines == 1 {
					for b.Loop() {
						appendOrWait(b, l)
					}
					return
				}
				b.SetParallelism(goroutines / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						appendOrWait(b, l)
					}
				})
			})
		}
	}
}

// appendOrWait appends a record. Without waiting for the disk one is soon ahead
// of it: then it waits, so that only records that are written are counted.
func appendOrWait(b *testing.B, l *Log) {
	for l.Append(b.Context(), "egress.intent", benchFields()...) != nil {
		if err := l.Rotate(context.Background()); err != nil { // waits for what is before it
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	attrs := benchFields()
	for b.Loop() {
		e := newEncoder(DefaultMaxValue, DefaultMaxRecord)
		e.encode("egress.intent", attrs)
		e.free()
	}
}

func BenchmarkVerify(b *testing.B) {
	path := logPath(b)
	opts := quickOptions()
	l := mustOpen(b, path, opts)
	for range 10_000 {
		if err := l.AppendAsync("egress.intent", benchFields()...); err != nil {
			mustAppend(b, l, "egress.intent", benchFields()...)
		}
	}
	mustClose(b, l)
	b.SetBytes(int64(len(readFileT(b, path))))
	for b.Loop() {
		if r := verify(b, path, VerifyOptions{}); !r.OK() {
			b.Fatal(r.Findings)
		}
	}
}

func TestAppendAllocatesLittle(t *testing.T) {
	opts := quickOptions()
	opts.Mode = Bounded
	l := mustOpen(t, logPath(t), opts)
	attrs := benchFields()
	got := testing.AllocsPerRun(2000, func() {
		if err := l.AppendAsync("egress.intent", attrs...); err != nil {
			t.Fatal(err)
		}
	})
	mustClose(t, l)
	if got > 3 { // what the other goroutine does counts as well
		t.Errorf("%v allocations for a record, want 3 at most", got)
	}
}

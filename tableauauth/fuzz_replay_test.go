package tableauauth

// The fuzz target of this file reads a body that is kept for a second sending.

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
)

// errCut ends a body in its middle.
var errCut = errors.New("cut")

// A piecewise reader gives a few bytes at a time, and ends as it is told.
type piecewise struct {
	rest   []byte
	most   int
	end    error
	closed int
}

func (p *piecewise) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.most)], p.rest)
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		return n, p.end
	}
	return n, nil
}

func (p *piecewise) Close() error { p.closed++; return nil }

// FuzzKeepBody sends a body several times, each but the last broken off
// somewhere. What an attempt reads is the body from its beginning, or nothing
// but an error; only what was not kept may stop a further attempt, and never
// does half a body look whole.
func FuzzKeepBody(f *testing.F) {
	f.Add([]byte("a body of some length"), uint8(4), uint16(64), []byte{3, 21, 0}, false)
	f.Add([]byte("a body that is not kept whole"), uint8(5), uint16(8), []byte{7, 9, 2}, false)
	f.Add([]byte("a body that breaks off"), uint8(1), uint16(100), []byte{255}, true)
	f.Add([]byte{}, uint8(0), uint16(0), []byte{0, 0}, false)
	f.Fuzz(func(t *testing.T, content []byte, most uint8, limit uint16, stops []byte, cut bool) {
		end := io.EOF
		if cut {
			end = errCut
		}
		src := &piecewise{bytes.Clone(content), int(most) + 1, end, 0}
		req, err := http.NewRequest(http.MethodPost, "https://tableau.example/", src)
		if err != nil {
			t.Fatal(err)
		}
		kept := keepBody(req, int(limit))
		furthest := 0
		for _, stop := range stops[:min(len(stops), 8)] {
			attempt := kept.attempt()
			got, err := io.ReadAll(io.LimitReader(attempt, int64(stop)))
			expectBeginning(t, content, got, err, cut)
			if err != nil && furthest <= int(limit) && !errors.Is(err, errCut) {
				t.Fatalf("%d bytes are kept, %d were read, and: %v", limit, furthest, err)
			}
			furthest = max(furthest, len(got), int(kept.read))
			_ = attempt.Close()
			if _, err := attempt.Read(make([]byte, 1)); err == nil {
				t.Fatal("a closed attempt can be read")
			}
		}
		if furthest > int(limit) && kept.again() {
			t.Fatalf("%d bytes were read, %d are kept, and it can be sent again", furthest, limit)
		}
		last := kept.attempt()
		got, err := io.ReadAll(last)
		expectBeginning(t, content, got, err, cut)
		if err == nil && len(got) != len(content) {
			t.Fatalf("%d bytes of %d pass for a whole body", len(got), len(content))
		}
		_ = last.Close()
		if kept.settle(); src.closed != 1 {
			t.Fatalf("the body was closed %d times", src.closed)
		}
	})
}

// expectBeginning fails unless what was read is how the body begins, and an
// error is one that may be.
func expectBeginning(t *testing.T, content, got []byte, err error, cut bool) {
	t.Helper()
	if !bytes.HasPrefix(content, got) {
		t.Fatalf("%q is not how %q begins", got, content)
	}
	if err != nil && !errors.Is(err, errBodyGone) && !(cut && errors.Is(err, errCut)) {
		t.Fatal(err)
	}
	if errors.Is(err, errBodyGone) && len(got) > 0 {
		t.Fatalf("%d bytes are sent before it is known that the rest is gone", len(got))
	}
}

package tableauauth

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// A closeCounter is a body that counts its closings.
type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func kept(limit int, src io.Reader) (*keptBody, *closeCounter) {
	body := &closeCounter{Reader: src}
	return keepBody(&http.Request{Body: body}, limit), body
}

// TestKeptBody sends a body again and again, each time breaking off somewhere:
// a later attempt gets the whole body or an error, never a part of it.
func TestKeptBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "content")
		limit := rapid.IntRange(0, 250).Draw(t, "limit")
		var src io.Reader = bytes.NewReader(content)
		if rapid.Bool().Draw(t, "dribbles") {
			src = iotest.OneByteReader(src)
		}
		k, body := kept(limit, src)
		read := 0 // bytes taken from the source so far
		for range rapid.IntRange(0, 3).Draw(t, "broken attempts") {
			n := rapid.IntRange(0, len(content)).Draw(t, "broken off at")
			a := k.attempt()
			got, err := io.ReadAll(io.LimitReader(a, int64(n)))
			_ = a.Close()
			if read > limit && n > 0 {
				if !errors.Is(err, errBodyGone) {
					t.Fatalf("attempt after %d bytes, limit %d: got %d bytes, error %v", read, limit, len(got), err)
				}
				return
			}
			if err != nil || !bytes.Equal(got, content[:n]) {
				t.Fatalf("got %d bytes, error %v", len(got), err)
			}
			read = max(read, n)
		}
		if again := k.again(); again != (read <= limit) {
			t.Fatalf("again() = %v after %d bytes, limit %d", again, read, limit)
		}
		last := k.attempt()
		got, err := io.ReadAll(last)
		if k.again() && (err != nil || !bytes.Equal(got, content)) {
			t.Fatalf("last attempt: %d of %d bytes, error %v", len(got), len(content), err)
		}
		k.settle()
		_ = last.Close()
		_ = last.Close()
		if body.closed != 1 {
			t.Fatalf("closed %d times", body.closed)
		}
	})
}

func TestOldAttemptReadsNothing(t *testing.T) {
	k, _ := kept(100, bytes.NewReader([]byte("content")))
	old := k.attempt()
	k.attempt()
	if n, err := old.Read(make([]byte, 10)); n != 0 || err == nil {
		t.Errorf("read %d bytes, error %v", n, err)
	}
}

// TestReadUnderWay: the first attempt is still waiting for the client when the
// second begins. What it then reads belongs to the second too.
func TestReadUnderWay(t *testing.T) {
	fromClient, client := io.Pipe()
	k, _ := kept(100, fromClient)
	first := k.attempt()
	waiting := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		close(waiting)
		_, _ = first.Read(make([]byte, 10))
	}()
	<-waiting
	if !k.again() {
		t.Fatal("nothing was read, but the body cannot be sent again")
	}
	second := k.attempt()
	go func() {
		_, _ = client.Write([]byte("con"))
		_, _ = client.Write([]byte("tent"))
		_ = client.Close()
	}()
	got, err := io.ReadAll(second)
	if string(got) != "content" || err != nil {
		t.Errorf("got %q, error %v", got, err)
	}
	<-done
}

func TestNothingIsKeptOnceSettled(t *testing.T) {
	k, _ := kept(100, bytes.NewReader([]byte("content")))
	a := k.attempt()
	k.settle()
	if got, err := io.ReadAll(a); string(got) != "content" || err != nil {
		t.Errorf("got %q, error %v", got, err)
	}
	if k.kept.parts != nil {
		t.Errorf("%d bytes are still kept", k.kept.length)
	}
}

func TestNoBody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		k := keepBody(&http.Request{Body: body}, 10)
		if k != nil || !k.again() || !k.sure(-1) {
			t.Error("no body is not sure to be sent again")
		}
		k.settle()
	}
}

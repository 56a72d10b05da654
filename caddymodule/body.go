package caddymodule

// This file watches whether the body of a request was read to its end.

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// lingerTime and lingerBytes bound how long, after an early answer, the rest
	// of a body is read and thrown away. A connection that is closed while the
	// client still sends is reset, and the answer may be lost with it.
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// A watchedBody is the body of an HTTP/1 request. When an answer goes out before
// it was read to its end, the connection must not be used again: net/http would
// take the rest for the next request. It sees to that itself, but not where
// Caddy has wrapped the body, for its access log or its timeouts.
type watchedBody struct {
	io.ReadCloser
	length  int64 // as announced; -1 if unknown
	awaits  bool  // the client sends nothing before it is told to (RFC 9110, section 10.1.1)
	reading sync.Mutex
	read    atomic.Int64
	ended   atomic.Bool
	closed  atomic.Bool // nobody but linger wants the rest
	broken  atomic.Bool // cannot be read to its end
	hangsUp bool
}

// watchBody puts a watch on the body of r, if it needs one.
func watchBody(r *http.Request) *watchedBody {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &watchedBody{ReadCloser: r.Body, length: r.ContentLength, awaits: r.Header.Get("Expect") != ""}
	r.Body = b
	return b
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.take(p)
}

// Close implements io.Closer. The source stays open: net/http closes it when the
// request has ended, and until then linger may read what a transport, which
// closes a body as soon as it has an answer, has left.
func (b *watchedBody) Close() error {
	b.closed.Store(true)
	return nil
}

// take reads from the source. A transport may still be reading in the background
// when the rest of the body is thrown away.
func (b *watchedBody) take(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	n, err := b.ReadCloser.Read(p)
	if b.read.Add(int64(n)) == b.length || err == io.EOF {
		b.ended.Store(true)
	} else if isMalformed(err) {
		b.broken.Store(true)
	}
	return n, err
}

// isMalformed reports whether err of reading a body is about what the client
// has sent, and not about the connection, its end, or a limit of ours. The
// errors of net/http that say so have no type.
func isMalformed(err error) bool {
	if err == nil {
		return false
	}
	var (
		network net.Error
		limit   *http.MaxBytesError
		ours    caddyhttp.HandlerError
	)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, http.ErrBodyReadAfterClose),
		errors.As(err, &network), errors.As(err, &limit), errors.As(err, &ours):
		return false
	default:
		return true
	}
}

// malformed reports whether the body could not be read for what it is, and not
// because the client left.
func (b *watchedBody) malformed() bool { return b != nil && b.broken.Load() }

// hangUp tells the client, with the answer that is about to go out on w, that
// the connection ends with it, unless the body was read to its end. After a
// chunked one it ends in any case: there may have been a Content-Length beside,
// which net/http drops, and by which a proxy in front may have taken something
// else for the body (RFC 9112, section 6.3).
func (b *watchedBody) hangUp(w http.ResponseWriter) {
	if b != nil && (!b.ended.Load() || b.length < 0) {
		w.Header().Set("Connection", "close")
		b.hangsUp = true
	}
}

// linger gives the client the time to read the answer of a connection that is
// to be closed, by taking what it still sends.
func (b *watchedBody) linger(w http.ResponseWriter) {
	if b == nil || !b.hangsUp || b.ended.Load() || b.awaits && b.read.Load() == 0 {
		return
	}
	until := time.Now().Add(lingerTime)
	conn := http.NewResponseController(w)
	if err := errors.Join(conn.Flush(), conn.SetReadDeadline(until)); err != nil {
		return
	}
	buffer := make([]byte, 32<<10)
	for taken := 0; taken < lingerBytes && !b.ended.Load() && time.Now().Before(until); {
		n, err := b.take(buffer)
		if err != nil {
			return
		}
		taken += n
	}
}

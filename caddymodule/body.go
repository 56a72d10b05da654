package caddymodule

// This file watches whether the body of a request was read to its end.

import (
	"io"
	"net/http"
	"sync/atomic"
)

// A watchedBody is the body of an HTTP/1 request. When an answer goes out before
// it was read to its end, the connection must not be used again: net/http would
// take the rest for the next request. It sees to that itself, but not where
// Caddy has wrapped the body, for its access log or its timeouts.
type watchedBody struct {
	io.ReadCloser
	length int64 // as announced; -1 if unknown
	read   atomic.Int64
	ended  atomic.Bool
}

// watchBody puts a watch on the body of r, if it needs one.
func watchBody(r *http.Request) *watchedBody {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &watchedBody{ReadCloser: r.Body, length: r.ContentLength}
	r.Body = b
	return b
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.read.Add(int64(n)) == b.length || err == io.EOF { //nolint:errorlint // io.Reader returns io.EOF itself
		b.ended.Store(true)
	}
	return n, err
}

// hangUp tells the client, with the answer that is about to go out on w, that
// the connection ends with it, unless the body was read to its end.
func (b *watchedBody) hangUp(w http.ResponseWriter) {
	if b != nil && !b.ended.Load() {
		w.Header().Set("Connection", "close")
	}
}

// This file calls the handler in memory, without sockets.

package tableautest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// RoundTripper returns a transport that calls the handler in memory, for
// testing/synctest and for benchmarks. Bodies are streamed both ways. A
// cancelled context, or a closed response body, is to the handler a client
// that has gone away; no goroutine stays behind then. As with net/http, a
// response body must be closed.
func (t *Tableau) RoundTripper() http.RoundTripper { return memoryTransport{t} }

type memoryTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (m memoryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	body := closeOnce(req.Body)
	if err := ctx.Err(); err != nil {
		cancel()
		_ = body.Close()
		return nil, err
	}
	w := newMemoryWriter(ctx)
	stop := context.AfterFunc(ctx, func() {
		_ = body.Close()
		w.abandon(ctx.Err())
	})
	go func() {
		defer func() {
			w.finish(recover())
			stop()
			_ = body.Close()
			cancel()
		}()
		m.handler.ServeHTTP(w, incoming(ctx, req, body))
	}()
	select {
	case <-w.ready:
	case <-req.Context().Done():
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return w.response(req, cancel)
}

// incoming is the request as a server would see it.
func incoming(ctx context.Context, req *http.Request, body io.ReadCloser) *http.Request {
	r := req.Clone(ctx)
	r.Trailer = req.Trailer // the client fills it while the body is read
	r.Body = body
	r.RequestURI = req.URL.RequestURI()
	r.RemoteAddr = "192.0.2.1:1234" // RFC 5737
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if r.Host == "" {
		r.Host = req.URL.Host
	}
	return r
}

// onceCloser closes a body once, from whichever side comes first.
type onceCloser struct {
	io.Reader
	close func() error
}

func (o onceCloser) Close() error { return o.close() }

func closeOnce(body io.ReadCloser) io.ReadCloser {
	if body == nil {
		return http.NoBody
	}
	return onceCloser{body, sync.OnceValue(body.Close)}
}

// memoryBuffer is how much of a response is held before it is streamed.
const memoryBuffer = 32 << 10

// memoryWriter is the handler's side of a response. Short ones are kept whole;
// longer ones, and flushed ones, go through a pipe.
type memoryWriter struct {
	ctx    context.Context // the request's; once it has ended nothing more is written
	header http.Header
	ready  chan struct{} // closed when the response can be given to the client

	mu      sync.Mutex // guards what follows until ready is closed
	status  int
	sent    http.Header
	buffer  bytes.Buffer
	pipe    *io.PipeReader
	pipeW   *io.PipeWriter
	length  int64 // as declared, or -1
	written int64
	err     error // why there is no complete response
	done    bool
}

func newMemoryWriter(ctx context.Context) *memoryWriter {
	return &memoryWriter{ctx: ctx, header: http.Header{}, ready: make(chan struct{}), length: -1}
}

// Header implements http.ResponseWriter.
func (w *memoryWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *memoryWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *memoryWriter) writeHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
		w.length = n
	}
}

// Write implements http.ResponseWriter.
func (w *memoryWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil { // we may be told of it before abandon is
		w.abandon(err)
		return 0, err
	}
	w.mu.Lock()
	w.writeHeader(http.StatusOK)
	w.written += int64(len(p))
	if w.pipeW == nil && w.buffer.Len()+len(p) <= memoryBuffer {
		defer w.mu.Unlock()
		return w.buffer.Write(p)
	}
	w.stream()
	pipe := w.pipeW
	w.mu.Unlock()
	return pipe.Write(p)
}

// Flush gives the client what there is.
func (w *memoryWriter) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(http.StatusOK)
	w.stream()
}

// stream lets the client have the response before it is complete. The lock
// is held.
func (w *memoryWriter) stream() {
	if w.pipeW != nil {
		return
	}
	w.pipe, w.pipeW = io.Pipe()
	if w.err != nil {
		_ = w.pipeW.CloseWithError(w.err)
	}
	close(w.ready)
}

// finish ends the response as the handler ended.
func (w *memoryWriter) finish(panicked any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 && panicked == nil {
		w.writeHeader(http.StatusOK)
	}
	switch {
	case panicked != nil && panicked != any(http.ErrAbortHandler):
		panic(panicked)
	case w.err != nil: // the client has gone
	case panicked != nil && w.status == 0:
		w.err = errReset
	case panicked != nil || (w.length > w.written):
		w.err = io.ErrUnexpectedEOF
	}
	w.done = true
	if w.pipeW != nil {
		_ = w.pipeW.CloseWithError(w.err)
		return
	}
	close(w.ready)
}

// abandon ends reading and writing, because the client has gone.
func (w *memoryWriter) abandon(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return
	}
	w.err = err
	if w.pipeW != nil {
		_ = w.pipeW.CloseWithError(err)
	}
}

// response is the client's side; ready is closed.
func (w *memoryWriter) response(req *http.Request, cancel context.CancelFunc) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 || errors.Is(w.err, errReset) {
		cancel()
		return nil, errReset
	}
	resp := &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Request: req, ContentLength: w.length,
	}
	if w.pipe == nil {
		if w.err == nil {
			resp.ContentLength = int64(w.buffer.Len())
		}
		resp.Body = io.NopCloser(&memoryBody{data: w.buffer.Bytes(), err: w.err})
		return resp, nil
	}
	resp.Body = &streamedBody{Reader: io.MultiReader(bytes.NewReader(w.buffer.Bytes()), w.pipe), pipe: w.pipe, cancel: cancel}
	return resp, nil
}

// memoryBody is a whole body, or the beginning of one and an error.
type memoryBody struct {
	data []byte
	err  error
}

func (b *memoryBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		return 0, io.EOF
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

// streamedBody tells the handler when the client closes it.
type streamedBody struct {
	io.Reader
	pipe   *io.PipeReader
	cancel context.CancelFunc
}

func (b *streamedBody) Close() error {
	b.cancel()
	return b.pipe.Close()
}

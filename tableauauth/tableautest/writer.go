// This file wraps the request body and the response writer of an exchange.

package tableautest

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// countingBody counts what was read of a request body.
type countingBody struct {
	io.ReadCloser
	count atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count.Add(int64(n))
	return n, err
}

// responseWriter counts, sets the Date header and lets faults strike when
// half of the body has been sent.
type responseWriter struct {
	http.ResponseWriter
	x       *exchange
	status  int
	written int64
	half    int64
	struck  bool
	failed  bool
}

func (w *responseWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.Header().Set("Date", w.x.t.clock().UTC().Format(http.TimeFormat))
	length, _ := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	w.half = length / 2
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.struck || !w.x.effects.midBody() || w.written+int64(len(p)) < w.half {
		return w.write(p)
	}
	head := max(0, min(int(w.half-w.written), len(p)))
	n, err := w.write(p[:head])
	if err != nil {
		return n, err
	}
	w.struck = true
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.x.effects.strike()
	m, err := w.write(p[head:])
	return n + m, err
}

func (w *responseWriter) write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	w.failed = w.failed || err != nil
	return n, err
}

// Unwrap serves http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package caddymodule

// This file records how a call to Tableau ended: when its answer has been
// passed on, or could not be.

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// maxErrorBody is how much of an error's body is kept to read Tableau's code
// from it, in bytes.
const maxErrorBody = 4 << 10

// answered has the outcome recorded at the end of the body of res.
func (c *auditedCall) answered(req *http.Request, res *http.Response) {
	b := &auditedBody{call: c, req: req, status: res.StatusCode, length: res.ContentLength, header: time.Now()}
	if c.x != nil {
		b.requestID = withoutToken(req, c.x.tableauRequestID)
	}
	if res.Body == nil || res.Body == http.NoBody {
		b.ended = true
		b.record()
		return
	}
	b.ReadCloser = res.Body
	b.keep = res.StatusCode >= http.StatusBadRequest && res.Header.Get("Content-Encoding") == ""
	if stream, ok := res.Body.(io.ReadWriteCloser); ok { // of a 101: both directions
		res.Body = auditedStream{b, stream}
		return
	}
	res.Body = b
}

// An auditedBody is the body of an answer. It counts what is read of it, and
// records the outcome when it is closed.
type auditedBody struct {
	io.ReadCloser
	call      *auditedCall
	req       *http.Request
	status    int
	length    int64 // as announced; -1 if unknown
	header    time.Time
	requestID string // Tableau's

	read  int64
	ended bool
	err   error // of reading
	keep  bool
	said  bytes.Buffer // the beginning of an error
	once  sync.Once
}

// Read implements io.Reader.
func (b *auditedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if room := maxErrorBody - b.said.Len(); b.keep && n > 0 && room > 0 {
		b.said.Write(p[:min(n, room)])
	}
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
	case err != nil:
		b.err = err
	}
	return n, err
}

// Close implements io.Closer.
func (b *auditedBody) Close() error {
	err := b.ReadCloser.Close()
	b.record()
	return err
}

func (b *auditedBody) record() { b.once.Do(func() { b.call.sink.note(eventOutcome, b.fields()...) }) }

func (b *auditedBody) fields() []slog.Attr {
	c := b.call
	attrs := append(slices.Clone(c.common),
		slog.Int("status", b.status), slog.Int64("resp_bytes", b.read),
		durationMillis("dur_ms", time.Since(c.began)), durationMillis("upstream_ms", b.header.Sub(c.began)))
	if said, ok := tableauapi.DecodeError(b.said.Bytes()); b.keep && ok {
		attrs = append(attrs, slog.String("tableau_code", unechoed(b.req, said.Code)))
	}
	if b.requestID != "" {
		attrs = append(attrs, slog.String("tableau_request_id", b.requestID))
	}
	whole := b.ended || b.length >= 0 && b.read == b.length
	if !whole {
		attrs = append(attrs, slog.Bool("truncated", true))
	}
	if !whole && c.x != nil && b.req.Context().Err() != nil {
		attrs = append(attrs, slog.Bool("client_gone", true))
	}
	if b.err != nil {
		attrs = append(attrs, errorFields(b.req, b.err)...)
	}
	return attrs
}

// An auditedStream is an auditedBody that can be written to.
type auditedStream struct {
	*auditedBody
	io.Writer
}

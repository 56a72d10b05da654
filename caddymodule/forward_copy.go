package caddymodule

// This file copies bodies to clients, and passes interim answers on.

import (
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"sync"
	"time"
)

// copyBuffers are what bodies are copied with.
var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copyBody copies the body of res to the client, each part at once if it is to be
// prompt.
func copyBody(w http.ResponseWriter, res *http.Response, prompt bool) error {
	var to io.Writer = w
	if prompt {
		p := newPromptWriter(w)
		defer p.stop()
		to = p
	}
	buffer := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buffer)
	for {
		n, end := res.Body.Read(buffer[:])
		if n > 0 {
			if written, err := to.Write(buffer[:n]); err != nil {
				return err
			} else if written < n {
				return io.ErrShortWrite
			}
		}
		switch end {
		case nil:
		case io.EOF:
			return nil
		default:
			return end
		}
	}
}

// A promptWriter flushes what is written to it at once, and the headers before if
// nothing is written.
type promptWriter struct {
	w       io.Writer
	flush   func() error
	headers *time.Timer

	mu   sync.Mutex
	done bool // the headers went out, or are no longer ours to send
}

// newPromptWriter has the headers flushed from a goroutine of their own: they go
// out with the first part of the body if that is there already.
func newPromptWriter(w http.ResponseWriter) *promptWriter {
	p := &promptWriter{w: w, flush: http.NewResponseController(w).Flush}
	p.headers = time.AfterFunc(0, p.flushHeaders)
	return p
}

func (p *promptWriter) flushHeaders() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.done = true
		_ = p.flush()
	}
}

// Write implements io.Writer.
func (p *promptWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	n, err := p.w.Write(b)
	_ = p.flush() // what is wrong with the client shows with the next part
	return n, err
}

// stop ends the writer. After it, the handler may return.
func (p *promptWriter) stop() {
	p.headers.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
}

// An interim passes interim answers (1xx) on to the client, as long as there is
// no other.
type interim struct {
	mu       sync.Mutex
	w        http.ResponseWriter
	answered bool
}

// pass sends an interim answer. The transport calls it, from a goroutine of its
// own. Headers that handlers before us have set for the answer stay.
func (i *interim) pass(status int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answered {
		return nil
	}
	h := i.w.Header()
	before := h.Clone()
	from := http.Header(header).Clone()
	removeHopByHop(from)
	addValues(h, from)
	i.w.WriteHeader(status)
	clear(h)
	maps.Copy(h, before)
	return nil
}

// end notes that there is an answer, or none will come.
func (i *interim) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answered = true
}

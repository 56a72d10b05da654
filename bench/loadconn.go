package main

// This file is one connection of the load generator. It reads only as much of
// HTTP/1.1 as the answers of the benchmark need, so that its own cost is small
// beside that of what is measured.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// errStale says that the server has closed a kept connection before the request
// came, which it may do.
var errStale = errors.New("the connection was closed before the request")

type loadConn struct {
	address string
	conn    net.Conn // nil if there is none
	in      *bufio.Reader
	used    bool // it has had an answer
}

// zeros is what uploads consist of.
var zeros = make([]byte, 256<<10)

// exchange sends a request and checks its answer.
func (c *loadConn) exchange(ctx context.Context, r request) error {
	if err := c.dial(ctx); err != nil {
		return err
	}
	if err := c.send(r); err != nil {
		return c.broken(err)
	}
	// Nothing of an answer has been read yet.
	if _, err := c.in.Peek(1); err != nil {
		return c.broken(err)
	}
	answer, err := c.readHead()
	if err != nil {
		return err
	}
	if _, err := c.in.Discard(answer.length); err != nil {
		return fmt.Errorf("the answer breaks off: %w", err)
	}
	c.used = true
	if answer.closes {
		c.close()
	}
	return answer.check(r)
}

// dial connects, unless there is a connection. Each has a time limit as a whole,
// so that a server which hangs cannot hold up the benchmark.
func (c *loadConn) dial(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(context.WithoutCancel(ctx), "tcp", c.address)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(10 * patience)); err != nil {
		return err
	}
	c.conn, c.used = conn, false
	c.in = bufio.NewReaderSize(conn, 32<<10)
	return nil
}

func (c *loadConn) send(r request) error {
	if _, err := c.conn.Write(r.head); err != nil {
		return err
	}
	for left := r.body; left > 0; left -= len(zeros) {
		if _, err := c.conn.Write(zeros[:min(left, len(zeros))]); err != nil {
			return err
		}
	}
	return nil
}

// broken is the error for a connection that fails before any answer.
func (c *loadConn) broken(err error) error {
	stale := c.used
	c.close()
	if stale {
		return errStale
	}
	return err
}

func (c *loadConn) close() {
	if c.conn != nil {
		_ = c.conn.Close() // it has nothing left to lose
	}
	c.conn = nil
}

// An answerHead is what counts of the head of an answer.
type answerHead struct {
	status int
	length int
	owner  []byte // valid until the next read
	closes bool
}

var (
	nameLength   = []byte("Content-Length")
	nameOwner    = []byte(headerOwner)
	nameConn     = []byte("Connection")
	nameTransfer = []byte("Transfer-Encoding")
)

// readHead reads up to the empty line.
func (c *loadConn) readHead() (h answerHead, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return h, fmt.Errorf("not an answer: %.40q", line)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, err
	}
	h.length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !ok {
			break
		}
		if err := h.field(name, bytes.TrimSpace(value)); err != nil {
			return h, err
		}
	}
	if h.length < 0 {
		return h, fmt.Errorf("status %d, and the answer has no length", h.status)
	}
	return h, nil
}

// field notes a header field. Some proxies change the case of names.
func (h *answerHead) field(name, value []byte) (err error) {
	switch {
	case bytes.EqualFold(name, nameLength):
		h.length, err = strconv.Atoi(string(value))
	case bytes.EqualFold(name, nameOwner):
		h.owner = append(h.owner[:0], value...)
	case bytes.EqualFold(name, nameConn):
		h.closes = bytes.EqualFold(value, []byte("close"))
	case bytes.EqualFold(name, nameTransfer):
		err = fmt.Errorf("an answer of known length came with Transfer-Encoding %s", value)
	}
	return err
}

// check compares the answer with what the request must get.
func (h answerHead) check(r request) error {
	switch {
	case h.status != 200:
		return fmt.Errorf("status %d", h.status)
	case string(h.owner) != r.owner:
		return fmt.Errorf("the answer is for %q, want %q", h.owner, r.owner)
	case h.length != r.answer:
		return fmt.Errorf("%d bytes, want %d", h.length, r.answer)
	}
	return nil
}

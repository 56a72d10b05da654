package auditlog

// This file reads logs, line by line.

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"
)

// A Record is a record of a log.
type Record struct {
	// Seq is its number: the first record of a log is 0, and none is left out.
	Seq int64
	// Time is when it was added.
	Time time.Time
	// Event is its event.
	Event string
	// Raw is the whole record as it stands in the log: one JSON object. It is
	// valid until the next record is read.
	Raw json.RawMessage
	// File and Line, from 1 on, are where it stands.
	File string
	Line int
}

// A LineError tells that a line is no record of a log.
type LineError struct {
	// File and Line, from 1 on, are where it stands.
	File string
	Line int
	// Err is what is wrong with it.
	Err error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%s, line %d: %v: verify the log", e.File, e.Line, e.Err)
}

func (e *LineError) Unwrap() error { return e.Err }

// Records reads the records of files, such as those that [Files] lists, those
// of the log itself among them. Nothing is verified but the form. A line that is
// no record comes as a [*LineError], and reading goes on after it; any other
// error is the last thing that comes. The last line of a log that is being
// written may be half a record.
func Records(ctx context.Context, files ...string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, name := range files {
			if !readFile(ctx, name, yield) {
				return
			}
		}
	}
}

func readFile(ctx context.Context, name string, yield func(Record, error) bool) bool {
	f, err := os.Open(name) //nolint:gosec // the operator's choice
	if err != nil {
		yield(Record{}, fmt.Errorf("reading the log: %w", err))
		return false
	}
	defer f.Close()
	lines := newLineReader(ctx, f)
	for lines.next() {
		r := Record{File: name, Line: lines.number, Raw: lines.raw}
		l, err := lines.parse()
		if err != nil {
			err = &LineError{File: name, Line: lines.number, Err: err}
		} else {
			r.Seq, r.Time, r.Event = l.seq, l.time(), l.event
		}
		if !yield(r, err) {
			return false
		}
	}
	if lines.err != nil {
		yield(Record{}, fmt.Errorf("reading %s: %w", name, lines.err))
		return false
	}
	return true
}

// A lineReader reads lines of bounded length, and stops when its context ends.
type lineReader struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one call of the caller
	in   *bufio.Reader
	long []byte // a line that is longer than the buffer of in

	raw      []byte // without the line feed; the beginning, if it is too long
	number   int    // from 1 on
	length   int64  // in the file, with the line feed
	complete bool   // there was a line feed
	tooLong  bool
	err      error // what ended the reading, if it was not the end of the file
}

func newLineReader(ctx context.Context, r io.Reader) *lineReader {
	return &lineReader{ctx: ctx, in: bufio.NewReaderSize(r, 64<<10)}
}

// next reads the next line, complete or not.
func (r *lineReader) next() bool {
	if r.err = context.Cause(r.ctx); r.err != nil {
		return false
	}
	raw, err := r.in.ReadSlice('\n')
	r.length = int64(len(raw))
	if errors.Is(err, bufio.ErrBufferFull) {
		raw, err = r.readLong(raw)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
		return false
	}
	if r.length == 0 {
		return false
	}
	r.number++
	r.complete = err == nil
	r.tooLong = r.length > maxLine
	r.raw = raw
	if r.complete && !r.tooLong {
		r.raw = raw[:len(raw)-1]
	}
	return true
}

// readLong reads the rest of a line, and keeps it up to the limit.
func (r *lineReader) readLong(raw []byte) ([]byte, error) {
	r.long = append(r.long[:0], raw...)
	for {
		rest, err := r.in.ReadSlice('\n')
		r.length += int64(len(rest))
		if r.length <= maxLine {
			r.long = append(r.long, rest...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.long, err
		}
	}
}

// parse reads the line as a record.
func (r *lineReader) parse() (line, error) {
	switch {
	case r.tooLong:
		return line{raw: r.raw}, fmt.Errorf("it is longer than any record (%d bytes)", r.length)
	case !r.complete:
		return line{raw: r.raw}, errors.New("it has no end: a crash or somebody has cut it off")
	}
	return parseLine(r.raw)
}

package auditlog

// This file verifies a log, checkpoint by checkpoint.

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
)

// maxInterval bounds how many records are held in memory between checkpoints.
const maxInterval = 1 << 16

// VerifyOptions are the options of [Verify].
type VerifyOptions struct {
	// Keys are the public keys that may have signed checkpoints; at least one.
	Keys []note.Verifier
	// Held are checkpoints of this log that were kept outside of its machine.
	// Only with one can it be told that the end of a log was cut off.
	Held []Checkpoint
	// FromFirstFile accepts that the files before the first one are missing,
	// because they are kept elsewhere, or no more.
	FromFirstFile bool
	// Progress is called now and then, if it is set, with how many of the bytes
	// of all files have been read.
	Progress func(done, total int64)
}

// Verify reads a log from its first record to its last and reports what was
// altered. Files are those that [Files] lists. It reads each file once, holds
// no more than the records between two checkpoints in memory, and writes
// nothing. The error is about reading; what was found is in the report.
func Verify(ctx context.Context, files []string, opts VerifyOptions) (*Report, error) {
	if len(opts.Keys) == 0 {
		return nil, errors.New("verifying needs the public key of the log: it stands beside the log in a file that ends in .pub")
	}
	if len(files) == 0 {
		return nil, errors.New("there is no file to verify")
	}
	v := &verification{opts: opts, seen: map[Checkpoint]bool{}}
	// The last one first: it may be rotated away while the others are read.
	last, err := os.Open(files[len(files)-1])
	if err != nil {
		return nil, fmt.Errorf("verifying: %w", err)
	}
	defer last.Close()
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("verifying: %w", err)
		}
		v.total += info.Size()
	}
	for _, name := range files[:len(files)-1] {
		if err := v.older(ctx, name); err != nil {
			return nil, fmt.Errorf("verifying %s: %w", name, err)
		}
	}
	if err := v.file(ctx, last); err != nil {
		return nil, fmt.Errorf("verifying %s: %w", last.Name(), err)
	}
	v.end()
	return &v.report, nil
}

// older reads a file that is not the last one.
func (v *verification) older(ctx context.Context, name string) error {
	f, err := os.Open(name) //nolint:gosec // the operator's choice
	if err != nil {
		return err
	}
	defer f.Close()
	return v.file(ctx, f)
}

// file reads one file.
func (v *verification) file(ctx context.Context, f *os.File) error {
	v.name, v.torn = f.Name(), nil
	v.report.Files++
	lines := newLineReader(ctx, f)
	size := int64(0)
	for lines.next() {
		v.line(lines)
		size += lines.length
		v.done += lines.length
		if lines.number%1024 == 0 {
			v.progress()
		}
	}
	v.progress()
	if v.torn != nil && !grown(f, size) {
		v.found(*v.torn)
	}
	return lines.err
}

// grown tells whether a file is being written to: then its last line was read
// before it was whole.
func grown(f *os.File, size int64) bool {
	info, err := f.Stat()
	return err == nil && info.Size() > size
}

func (v *verification) progress() {
	if v.opts.Progress != nil {
		v.opts.Progress(min(v.done, v.total), v.total)
	}
}

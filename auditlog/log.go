package auditlog

// This file holds the log as its user has it: open, append, rotate, close.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"
)

// A Log is a tamper-evident log that is open for appending. It may be used by
// any number of goroutines.
type Log struct {
	opts Options
	w    *writer // the goroutine run has it
	lock io.Closer

	wake      chan struct{}
	rotations chan chan error
	closing   chan struct{}
	done      chan struct{} // closed when run has ended
	closeErr  error         // read it after done
	timers    sync.Pool     // of await, so that each does not make one
	retained  *batch        // run: records that could not be written and are to be
	retryAt   time.Time     // run: when a degraded log is to be tried again
	gathered  int64         // run: how many waited for the last batch

	mu           sync.Mutex
	filling      *batch
	pending      int // records that are taken and not durable
	pendingBytes int
	oldest       time.Time // of those that are not in filling; zero: none
	busySince    time.Time // when the write under way began; zero: none
	stalled      bool      // it takes longer than the limit, and that was told
	cause        error     // why the log is degraded; nil: it is not
	since        time.Time // when it became so
	lost         int64     // records that were not taken, not recorded yet
	refused      int64     // the same, since Open
	size         int64
	last         Checkpoint
	closed       bool
}

// Open opens the log at path for appending, or begins it, and writes the public
// key beside it (see [PublicKeyFile]). What a crash has left of the last write
// is cut off, and recorded. The last file is verified: if it was altered, Open
// fails with a [*TamperError]; move the file away to begin a new log. A log
// that is open already gives [ErrLocked].
//
// Beside path the log keeps its older files (path with the number of their
// first record), a lock file (".lock") and the reserve (".reserve").
func Open(path string, opts Options) (*Log, error) {
	l, err := open(path, opts)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log %s: %w", path, err)
	}
	return l, nil
}

func open(path string, opts Options) (*Log, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(lockName(path))
	if err != nil {
		return nil, err
	}
	l := &Log{
		opts:      opts,
		lock:      lock,
		wake:      make(chan struct{}, 1),
		rotations: make(chan chan error),
		closing:   make(chan struct{}),
		done:      make(chan struct{}),
		retained:  newBatch(),
		filling:   newBatch(),
		timers:    sync.Pool{New: func() any { return time.NewTimer(idle) }},
	}
	if l.w, err = openWriter(path, &l.opts); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l.publish()
	go l.run()
	return l, nil
}

// Rotate writes what waits, ends the current file with a checkpoint and begins
// the next one. It returns when that is done, or when ctx ends.
func (l *Log) Rotate(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case l.rotations <- reply:
	case <-l.done:
		return &AppendError{Reason: ReasonClosed}
	case <-ctx.Done():
		return &AppendError{Reason: ReasonTimeout, Err: context.Cause(ctx)}
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return &AppendError{Reason: ReasonTimeout, Err: context.Cause(ctx)}
	}
}

// Close makes durable what waits, writes a last checkpoint and lets go of the
// log. If ctx ends first, Close returns, and the rest is done when the disk
// comes back. Calling it again waits for the same.
func (l *Log) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
	l.mu.Unlock()
	select {
	case <-l.done:
		return l.closeErr
	case <-ctx.Done():
		return fmt.Errorf("closing the audit log: a write does not return: %w", context.Cause(ctx))
	}
}

// Stats is the state of a log.
type Stats struct {
	// Size is the number of durable records.
	Size int64
	// Pending is the number of records that are taken and not durable yet.
	Pending int
	// Lag is how long the oldest of them has waited.
	Lag time.Duration
	// Refused is how many records were not taken, or not in time, since Open.
	Refused int64
	// Degraded is why records cannot be made durable at the moment; nil if they can.
	Degraded error
	// Checkpoint is the last checkpoint that was written since Open.
	Checkpoint Checkpoint
}

// Stats returns the state of the log.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s := Stats{Size: l.size, Pending: l.pending, Lag: l.age(now), Refused: l.refused, Degraded: l.cause, Checkpoint: l.last}
	if s.Degraded == nil && l.late(now) {
		s.Degraded = errStalled
	}
	return s
}

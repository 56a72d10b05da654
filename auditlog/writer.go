package auditlog

// This file writes batches of records to the file of a log, and begins new files.

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A chain is all that the next record depends on. It is a value: what is about
// to be written has a chain of its own until it is durable.
type chain struct {
	tree    tree
	prev    tlog.Hash // the hash of the last record
	lastLen int64     // the length of its line, in bytes
	since   int       // records after the last checkpoint
}

// A writer owns the files of a log. One goroutine uses it.
type writer struct {
	path    string
	opts    *Options
	signer  note.Signer
	reserve reserve
	id      string // of the log, chosen at random when it began

	f      file        // nil: it has to be opened first
	info   fs.FileInfo // of f
	first  int64       // the number of the first record in it
	offset int64       // its length
	chain  chain       // of what is durable

	rotating bool  // the last file was renamed, and the next one is not begun yet
	foreign  int64 // bytes of somebody else that were cut off, not recorded yet

	checkpointed time.Time // when the last checkpoint was written
	unreported   []Checkpoint
	out          []byte
	body         []byte
}

func newWriter(path string, opts *Options) (*writer, error) {
	signer, err := opts.Key.signer()
	if err != nil {
		return nil, err
	}
	return &writer{
		path:    path,
		opts:    opts,
		signer:  signer,
		reserve: reserve{reserveName(path), opts.Reserve, opts.open},
	}, nil
}

// write makes batches of records durable, all or none. Lost is how many records
// were dropped since that was recorded last.
func (w *writer) write(lost int64, batches ...*batch) error {
	if err := w.ensure(); err != nil {
		return err
	}
	if w.offset >= w.opts.RotateSize {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	s := w.stage()
	if err := s.notes(lost); err != nil {
		return err
	}
	for _, b := range batches {
		if err := b.stage(s); err != nil {
			return err
		}
	}
	if s.chain.since > 0 && s.now.Sub(w.checkpointed) >= w.opts.CheckpointInterval {
		if err := s.checkpoint(); err != nil {
			return err
		}
	}
	if err := s.commit(); err != nil {
		return err
	}
	w.foreign = 0
	return nil
}

// seal writes a checkpoint, unless the last record is one.
func (w *writer) seal() error {
	if w.chain.since == 0 {
		return nil
	}
	if err := w.ensure(); err != nil {
		return err
	}
	s := w.stage()
	if err := s.checkpoint(); err != nil {
		return err
	}
	return s.commit()
}

// fail does what can be done after a write has failed: nothing of it may stay
// behind, and if the disk is full, the reserve makes room to say so.
func (w *writer) fail(cause error) {
	defer w.close() // an open file would keep its file system from being repaired
	if isFull(cause) {
		w.reserve.release()
	}
	if !w.undo() || w.offset == 0 {
		return
	}
	s := w.stage()
	if s.own(EventDegraded, slog.Any("cause", cause)) == nil && s.checkpoint() == nil {
		if s.commit() != nil { // what failed before may fail again
			w.undo()
		}
	}
}

// undo cuts off what was written and is not known to be durable.
func (w *writer) undo() bool { return w.f != nil && w.f.Truncate(w.offset) == nil }

// recover tries whether the log can be written again, and records that it can.
func (w *writer) recover(cause error, since time.Time, refused int64) (err error) {
	defer func() {
		if err != nil {
			w.undo()
			w.close()
		}
	}()
	if err := w.reserve.take(); err != nil {
		return err
	}
	if err := w.ensure(); err != nil {
		return err
	}
	s := w.stage()
	err = s.own(EventRecovered, slog.Any("cause", cause), slog.Time("since", since), slog.Int64("refused", refused))
	if err != nil {
		return err
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	return s.commit()
}

// writePublicKey writes the public key beside the log, before those of earlier
// keys that are there.
func (w *writer) writePublicKey() error {
	name := PublicKeyFile(w.path)
	key := w.opts.Key.VerifierKey()
	old, err := os.ReadFile(name) //nolint:gosec // beside the log
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the public key beside the log: %w", err)
	}
	lines := []string{key}
	for l := range strings.Lines(string(old)) {
		switch l = strings.TrimSpace(l); l {
		case key:
			return nil
		case "":
		default:
			lines = append(lines, l)
		}
	}
	text := strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // everybody may verify
		return fmt.Errorf("writing the public key beside the log: %w", err)
	}
	return nil
}

package auditlog

// This file begins the files of a log: the next one, or one in place of one that is gone.

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// ensure makes sure that the file at path is the one that is written to, and
// ends where the last record does.
func (w *writer) ensure() error {
	if w.f == nil {
		return w.reopen()
	}
	info, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.goOn("removed")
	case err != nil:
		return err
	case !os.SameFile(info, w.info):
		return w.reopen()
	case info.Size() < w.offset:
		return w.goOn("truncated")
	case info.Size() > w.offset:
		w.foreign += info.Size() - w.offset
		return w.f.Truncate(w.offset)
	}
	return nil
}

// reopen opens the file at path. If it is not the one that was written last, it
// is put aside and the log goes on in a new one.
func (w *writer) reopen() error {
	w.close()
	info, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.goOn("removed")
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "open", Path: w.path, Err: ErrNotRegular}
	}
	f, err := w.opts.open(w.path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if w.offset == 0 || !w.endsAsOurs(f) {
		_ = f.Close()
		return w.goOn("replaced")
	}
	return w.adopt(f, w.offset)
}

// endsAsOurs tells whether the last durable record stands in f where it should.
func (w *writer) endsAsOurs(f file) bool {
	last := make([]byte, w.chain.lastLen)
	if _, err := f.ReadAt(last, w.offset-w.chain.lastLen); err != nil {
		return false
	}
	return tlog.RecordHash(last[:len(last)-1]) == w.chain.prev
}

// adopt makes f the file that is written to, with a length of size.
func (w *writer) adopt(f file, size int64) error {
	info, err := f.Stat()
	if err == nil && info.Size() > size {
		err = f.Truncate(size)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	w.f, w.info, w.offset = f, info, size
	return nil
}

// close lets go of the file.
func (w *writer) close() {
	if w.f != nil {
		_ = w.f.Close() // what matters was synced
		w.f, w.info = nil, nil
	}
}

// rotate ends the file with a checkpoint and begins the next one.
func (w *writer) rotate() error {
	if err := w.seal(); err != nil {
		return err
	}
	return w.moveOn("rotated")
}

// moveOn renames the file as rotated and begins the next one.
func (w *writer) moveOn(reason string) error {
	name, err := rotatedName(w.path, w.first)
	if err != nil {
		return err
	}
	w.close()
	if err := os.Rename(w.path, name); err != nil {
		return err
	}
	w.rotating = true
	return w.begin(reason)
}

// goOn begins a new file although the last one was not ended: it is gone, or
// something else is in its place. That is kept under another name.
func (w *writer) goOn(reason string) error {
	w.close()
	info, err := os.Stat(w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.begin(reason)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "open", Path: w.path, Err: ErrNotRegular}
	case info.Size() > 0:
		name, err := asideName(w.path, time.Now())
		if err != nil {
			return err
		}
		if err := os.Rename(w.path, name); err != nil {
			return err
		}
	}
	return w.begin(reason)
}

// begin makes the file at path, with a record that tells what came before, and
// a checkpoint that covers this record.
func (w *writer) begin(reason string) error {
	f, err := w.opts.open(w.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := w.adopt(f, 0); err != nil {
		return err
	}
	if w.id == "" {
		w.id = rand.Text()
	}
	if w.rotating {
		reason = "rotated"
	}
	first := w.chain.tree.size
	s := w.stage()
	if err := s.anchor(EventFile, reason); err != nil {
		return err
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	if err := s.commit(); err != nil {
		return err
	}
	w.first, w.rotating = first, false
	return syncDir(filepath.Dir(w.path))
}

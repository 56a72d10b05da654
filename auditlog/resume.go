package auditlog

// This file opens a log that was written before, however it ended.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// openWriter brings the files of a log into a state in which it can go on.
func openWriter(path string, opts *Options) (*writer, error) {
	w, err := newWriter(path, opts)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path) //nolint:gosec // the name is the caller's to choose
	if err == nil && !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := w.reserve.take(); err != nil {
		return nil, err
	}
	if err := w.resume(); err != nil {
		w.close()
		return nil, err
	}
	return w, w.writePublicKey()
}

// resume goes on in the file at path. If it is missing, or a crash has left
// nothing of it, the log goes on after the newest of the older files.
func (w *writer) resume() error {
	found, err := scan(w.path, w.opts.keys())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && found.valid > 0 {
		return w.resumeIn(found)
	}
	older, err := rotatedFiles(w.path)
	if err != nil {
		return err
	}
	if len(older) == 0 {
		return w.begin("new")
	}
	found, err = scan(older[len(older)-1], w.opts.keys())
	if err != nil {
		return err
	}
	if found.valid == 0 {
		return fmt.Errorf("%s is empty: it was a file of this log, put it back from a backup, or move it away", older[len(older)-1])
	}
	w.id, w.chain = found.id, found.chain
	return w.begin("resumed")
}

// resumeIn goes on in the file that was scanned. If the last run did not close
// the log, that is recorded, with what was cut off.
func (w *writer) resumeIn(found scanned) error {
	f, err := w.opts.open(w.path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := w.adopt(f, found.valid); err != nil {
		return err
	}
	w.id, w.first, w.chain, w.checkpointed = found.id, found.first, found.chain, time.Now()
	if found.torn == 0 && w.chain.since == 0 {
		return nil
	}
	s := w.stage()
	err = s.own(EventRecovered, slog.String("cause", "the log was not closed"),
		slog.Int64("cut_bytes", found.torn), slog.String("cut_sha256", found.tornHash))
	if err != nil {
		return err
	}
	if err := s.checkpoint(); err != nil {
		return err
	}
	return s.commit()
}

// scanned is what was found in a file.
type scanned struct {
	id       string
	first    int64
	chain    chain
	valid    int64  // the length of what is whole, in bytes
	torn     int64  // the length of what a crash has left after it
	tornHash string // SHA-256, in hexadecimal
}

// scan reads the file that is to be continued. A record that is not as it was
// written is a TamperError, unless it is what a crash leaves at the end: a line
// without an end, or blocks of zeros that a file system has never filled.
func scan(name string, keys []note.Verifier) (scanned, error) {
	f, err := os.Open(name) //nolint:gosec // the name is the caller's to choose
	if err != nil {
		return scanned{}, err
	}
	defer f.Close()
	var s scanned
	lines := newLineReader(context.Background(), f)
	for lines.next() {
		if s.torn == 0 {
			problem := s.take(lines.raw, lines.complete, keys)
			if problem == nil {
				s.valid += int64(len(lines.raw)) + 1
				continue
			}
			if !s.mayBeTorn(lines.raw, lines.complete) {
				return s, s.tampered(name, lines.number, problem)
			}
		} else if lines.complete && bytes.IndexByte(lines.raw, 0) < 0 {
			return s, s.tampered(name, lines.number, errLine)
		}
		s.torn += lines.length
	}
	if lines.err != nil || s.torn == 0 {
		return s, lines.err
	}
	digest := sha256.New()
	_, err = io.Copy(digest, io.NewSectionReader(f, s.valid, s.torn))
	s.tornHash = hex.EncodeToString(digest.Sum(nil))
	return s, err
}

// take checks the next line and makes it part of the chain.
func (s *scanned) take(raw []byte, complete bool, keys []note.Verifier) error {
	if !complete {
		return errLine
	}
	l, err := parseLine(raw)
	if err != nil {
		return err
	}
	if s.valid == 0 {
		return s.head(l, keys)
	}
	c := &s.chain
	if l.seq != c.tree.size || l.prev != c.prev {
		return errors.New("it does not follow the record before it")
	}
	since := c.since + 1
	if l.event == EventCheckpoint {
		a, err := parseAnchor(l, keys)
		if err != nil {
			return err
		}
		if a.checkpoint.Root != c.tree.root() {
			return errors.New("its checkpoint is of other records than those before it")
		}
		since = 0
	}
	s.follow(l, since)
	return nil
}

// head takes the first line of a file.
func (s *scanned) head(l line, keys []note.Verifier) error {
	if l.event != EventFile {
		return errors.New("it is not the head of a file of this log")
	}
	a, err := parseAnchor(l, keys)
	if err != nil {
		return err
	}
	s.id, s.first = a.Log, l.seq
	s.chain.tree = a.tree
	s.follow(l, 1)
	return nil
}

func (s *scanned) follow(l line, since int) {
	c := &s.chain
	c.prev = tlog.RecordHash(l.raw)
	c.tree.push(c.prev)
	c.lastLen = int64(len(l.raw)) + 1
	c.since = since
}

// mayBeTorn tells whether a line may be what a crash has left of a write. What
// would be the head of a file must look like one, so that nobody loses a file
// by naming it as a log.
func (s *scanned) mayBeTorn(raw []byte, complete bool) bool {
	const head = `{"seq":`
	if s.valid > 0 {
		return !complete || bytes.IndexByte(raw, 0) >= 0
	}
	raw = bytes.TrimRight(raw, "\x00")
	n := min(len(raw), len(head))
	return !complete && string(raw[:n]) == head[:n]
}

func (s *scanned) tampered(name string, number int, problem error) error {
	seq := s.chain.tree.size
	return &TamperError{Findings: []Finding{{
		Kind: Changed, First: seq, Last: seq, File: name, Line: number, Detail: problem.Error(),
	}}}
}

package auditlog

// This file puts together what is written at once, and makes it durable.

import (
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A stage is what is about to be written: lines, and the chain after them.
type stage struct {
	w     *writer
	chain chain
	now   time.Time
}

func (w *writer) stage() *stage {
	w.out = w.out[:0]
	return &stage{w: w, chain: w.chain, now: time.Now()}
}

// add appends a record, and a checkpoint if one is due.
func (s *stage) add(at time.Time, body []byte) error {
	s.line(at, body)
	s.chain.since++
	if s.chain.since >= s.w.opts.CheckpointEvery {
		return s.checkpoint()
	}
	return nil
}

func (s *stage) line(at time.Time, body []byte) {
	w, c := s.w, &s.chain
	start := len(w.out)
	w.out = appendLine(w.out, c.tree.size, at, c.prev, body)
	c.lastLen = int64(len(w.out) - start)
	c.prev = tlog.RecordHash(w.out[start : len(w.out)-1])
	c.tree.push(c.prev)
}

// own appends a record of the log itself.
func (s *stage) own(event string, attrs ...slog.Attr) error {
	e := newEncoder(s.w.opts.MaxValue, s.w.opts.MaxRecord)
	defer e.free()
	e.encode(event, attrs)
	return s.add(s.now, e.buf)
}

// checkpoint appends a checkpoint over all records so far.
func (s *stage) checkpoint() error { return s.anchor(EventCheckpoint, "") }

func (s *stage) anchor(event, reason string) error {
	w := s.w
	c, err := signCheckpoint(w.signer, &s.chain.tree, s.now)
	if err != nil {
		return err
	}
	w.body = appendAnchor(w.body[:0], event, w.id, reason, c, &s.chain.tree)
	s.line(s.now, w.body)
	if event == EventCheckpoint {
		s.chain.since = 0
		w.checkpointed = s.now
		w.unreported = append(w.unreported, c)
	}
	return nil
}

// commit makes a stage durable.
func (s *stage) commit() error {
	w := s.w
	if len(w.out) == 0 {
		return nil
	}
	if _, err := w.f.WriteAt(w.out, w.offset); err != nil {
		w.unreported = w.unreported[:0]
		return err
	}
	if err := w.f.Sync(); err != nil {
		w.unreported = w.unreported[:0]
		return err
	}
	w.offset += int64(len(w.out))
	w.chain = s.chain
	if cap(w.out) > maxPendingBytes/8 {
		w.out = nil
	}
	return nil
}

// report tells of the checkpoints that have become durable.
func (w *writer) report() {
	if w.opts.Checkpointed != nil {
		for _, c := range w.unreported {
			w.opts.Checkpointed(c)
		}
	}
	w.unreported = w.unreported[:0]
}

// notes appends what the log itself has to say.
func (s *stage) notes(lost int64) error {
	if n := s.w.foreign; n > 0 {
		cause := slog.String("cause", "there was something after the last record that this log has not written")
		if err := s.own(EventRecovered, cause, slog.Int64("cut_bytes", n)); err != nil {
			return err
		}
	}
	if lost > 0 {
		return s.own(EventDropped, slog.Int64("count", lost))
	}
	return nil
}

package auditlog

// This file proves that one record stands in a log, without the rest of it.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Proof shows that a record stands in the log of which a checkpoint was
// signed. It is the audit path of RFC 6962. It can be kept and checked without
// the log; encoded as JSON it is a document for somebody else.
type Proof struct {
	// Seq is the number of the record.
	Seq int64 `json:"seq"`
	// Record is its line in the log, without the line feed. It is text, because
	// each byte counts.
	Record string `json:"record"`
	// Hashes is the path from the record to the root.
	Hashes []tlog.Hash `json:"hashes"`
	// Checkpoint is the signed note, see [Checkpoint].
	Checkpoint string `json:"checkpoint"`
}

// Check reports whether the proof is good: nil if one of the keys has signed
// the checkpoint and the record is in it.
func (p *Proof) Check(keys ...note.Verifier) error {
	c, err := ParseCheckpoint(p.Checkpoint, keys...)
	if err != nil {
		return fmt.Errorf("proof of record %d: %w", p.Seq, err)
	}
	l, err := parseLine([]byte(p.Record))
	if err != nil || l.seq != p.Seq {
		return fmt.Errorf("proof of record %d: its text is not a record of that number", p.Seq)
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Seq, tlog.RecordHash(l.raw)); err != nil {
		return fmt.Errorf("proof of record %d: the record is not in the checkpoint of %d records", p.Seq, c.Size)
	}
	return nil
}

// Prove makes the proof for a record, against a checkpoint that was held
// outside, or the last one in the log if that is nil. Files are those that
// [Files] lists; the oldest may be missing if they are not asked about. Prove
// reads them twice, and checks the proof before it returns it.
func Prove(ctx context.Context, files []string, seq int64, against *Checkpoint, keys ...note.Verifier) (*Proof, error) {
	p, err := prove(ctx, files, seq, against, keys)
	if err != nil {
		return nil, fmt.Errorf("proving record %d: %w", seq, err)
	}
	return p, nil
}

func prove(ctx context.Context, files []string, seq int64, against *Checkpoint, keys []note.Verifier) (*Proof, error) {
	if seq < 0 {
		return nil, errors.New("the first record has the number 0")
	}
	begin, err := firstAnchor(ctx, files, keys)
	if err != nil {
		return nil, err
	}
	record, last, err := findRecord(ctx, files, seq, keys)
	if err != nil {
		return nil, err
	}
	if against != nil {
		last = *against
	}
	switch {
	case record == nil:
		return nil, errors.New("there is no such record")
	case last.Size <= seq:
		return nil, fmt.Errorf("there is no checkpoint over it yet: the last one is of %d records", last.Size)
	}
	hashes, err := auditPath(ctx, files, seq, last.Size, begin.tree)
	if err != nil {
		return nil, err
	}
	p := &Proof{Seq: seq, Record: string(record), Hashes: hashes, Checkpoint: last.Note}
	if err := p.Check(keys...); err != nil {
		return nil, fmt.Errorf("the log does not have the root that was signed: verify it: %w", err)
	}
	return p, nil
}

// firstAnchor is what the first file says of the records before it.
func firstAnchor(ctx context.Context, files []string, keys []note.Verifier) (anchor, error) {
	for r, err := range Records(ctx, files...) {
		if err != nil {
			return anchor{}, err
		}
		l, err := parseLine(r.Raw)
		if err == nil && l.event == EventFile {
			return parseAnchor(l, keys)
		}
		break
	}
	return anchor{}, errors.New("the first file does not begin as a file of a log: verify it")
}

// findRecord reads the line of a record, and the last good checkpoint.
func findRecord(ctx context.Context, files []string, seq int64, keys []note.Verifier) (record []byte, last Checkpoint, err error) {
	var newest []byte
	for r, err := range Records(ctx, files...) {
		var bad *LineError
		switch {
		case errors.As(err, &bad):
			continue // a log may be written meanwhile; the proof is checked
		case err != nil:
			return nil, Checkpoint{}, err
		}
		if r.Seq == seq && record == nil {
			record = bytes.Clone(r.Raw)
		}
		if r.Event == EventCheckpoint {
			newest = append(newest[:0], r.Raw...)
		}
	}
	if newest == nil {
		return record, Checkpoint{}, nil
	}
	l, err := parseLine(newest)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	a, err := parseAnchor(l, keys)
	return record, a.checkpoint, err
}

// auditPath computes the path of a record in the tree of size records, with the
// few hashes in memory that it needs.
func auditPath(ctx context.Context, files []string, seq, size int64, begin tree) (tlog.RecordProof, error) {
	need := map[int64]tlog.Hash{}
	ask := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		for _, i := range indexes {
			need[i] = tlog.Hash{}
		}
		return make([]tlog.Hash, len(indexes)), nil
	})
	if _, err := tlog.ProveRecord(size, seq, ask); err != nil {
		return nil, err
	}
	keep := func(level int, n int64, h tlog.Hash) {
		i := tlog.StoredHashIndex(level, n)
		if _, ok := need[i]; ok {
			need[i] = h
		}
	}
	for level := range maxLevels { // those before the first file
		if begin.size>>level&1 == 1 {
			keep(level, begin.size>>level-1, begin.peaks[level])
		}
	}
	for r, err := range Records(ctx, files...) {
		if begin.size == size {
			break
		}
		var bad *LineError
		if err != nil && !errors.As(err, &bad) {
			return nil, err
		}
		begin.pushVisit(tlog.RecordHash(r.Raw), keep)
	}
	return tlog.ProveRecord(size, seq, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = need[index]
		}
		return hashes, nil
	}))
}

// ParseProof reads a proof that was encoded as JSON.
func ParseProof(r io.Reader) (*Proof, error) {
	var p Proof
	if err := json.NewDecoder(io.LimitReader(r, maxLine)).Decode(&p); err != nil {
		return nil, fmt.Errorf("reading the proof: %w", err)
	}
	return &p, nil
}

package auditlog

// This file holds what a verification finds.

import (
	"fmt"
	"slices"
)

// A Kind says in which way a log was altered, as far as that can be told.
type Kind string

// The kinds.
const (
	// Changed: records do not say what they said.
	Changed Kind = "changed"
	// Removed: records are missing within a file, or between two.
	Removed Kind = "removed"
	// Inserted: there are lines that the log has not written there.
	Inserted Kind = "inserted"
	// Reordered: records stand in another order.
	Reordered Kind = "reordered"
	// ForgedCheckpoint: a checkpoint is not one that the key of the log has
	// signed for this place.
	ForgedCheckpoint Kind = "forged checkpoint"
	// MissingFile: the records of a whole file, or of several, are missing.
	MissingFile Kind = "missing file"
	// Truncated: the log ends before the checkpoint that was held outside, or
	// in the middle of a record.
	Truncated Kind = "truncated"
	// Forked: the log has other records than those of the checkpoint that was
	// held outside, although its own checkpoints are good: it was rolled back
	// and continued, or written anew with its key.
	Forked Kind = "forked"
)

// A Finding is one thing that is not as it was written.
type Finding struct {
	Kind Kind
	// First and Last are the numbers of the records that it concerns. For
	// Inserted they are the place: the record after which the lines stand.
	First, Last int64
	// File and Line, from 1 on, are where it was seen; they may be empty.
	File string
	Line int
	// Exact says that all other records since the checkpoint before are proved
	// to be as they were written.
	Exact bool
	// Detail is more about it, in words.
	Detail string
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: record %d", f.Kind, f.First)
	if f.Last != f.First {
		text = fmt.Sprintf("%s: records %d to %d", f.Kind, f.First, f.Last)
	}
	if f.File != "" {
		text += fmt.Sprintf(" (%s, line %d)", f.File, f.Line)
	}
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	return text
}

// maxFindings bounds what a report lists.
const maxFindings = 1000

// A Report is the result of a verification.
type Report struct {
	// Files is how many files were read, and Records how many records.
	Files   int
	Records int64
	// First is the number of the first record that there is, and Size the
	// number after the last one.
	First, Size int64
	// Signed is the size up to which the records are covered by a checkpoint.
	// What comes after it holds together, but whoever can write the file could
	// have written it.
	Signed int64
	// Checkpoint is the last good one in the log.
	Checkpoint Checkpoint
	// Findings is what was altered, 1000 at most; Omitted is how many more.
	Findings []Finding
	Omitted  int64
}

// OK reports whether the log is as it was written.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// Err is nil if the log is as it was written, or else a [*TamperError].
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	return &TamperError{Findings: r.Findings}
}

func (r *Report) add(findings ...Finding) {
	for _, f := range findings {
		switch n := len(r.Findings); {
		case n > 0 && r.Findings[n-1].Kind == f.Kind && r.Findings[n-1].First == f.First && r.Findings[n-1].Last == f.Last:
			// a record is seen from both of its sides
		case n < maxFindings:
			r.Findings = append(r.Findings, f)
		default:
			r.Omitted++
		}
	}
}

// moved turns what was reported as removed into reordered, if the record is
// found elsewhere.
func (r *Report) moved(seq int64) bool {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool {
		return (f.Kind == Removed || f.Kind == Reordered) && f.First <= seq && seq <= f.Last
	})
	if i < 0 {
		return false
	}
	r.Findings[i].Kind = Reordered
	return true
}

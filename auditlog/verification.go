package auditlog

// This file follows the records of a log from checkpoint to checkpoint.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A verification is what is known while a log is read.
type verification struct {
	opts        VerifyOptions
	report      Report
	done, total int64
	name        string   // of the file that is read
	torn        *Finding // its last line, if that has no end

	begun   bool // there was a first record
	tree    tree // of the records before entries
	known   bool // tree is right, as far as checkpoints have told
	clean   bool // nothing was found since the last checkpoint
	start   int64
	last    tlog.Hash // of the record before entries
	hasLast bool
	entries []entry             // since the last checkpoint
	proved  int64               // the size at the last checkpoint
	seen    map[Checkpoint]bool // those of opts.Held that stand in the log, without their notes
}

// An entry is a line since the last checkpoint.
type entry struct {
	seq        int64
	hash, prev tlog.Hash
	file       string
	line       int
	bad        string // why it is no record at all, or no good checkpoint
	unreadable bool
}

// line takes the next line.
func (v *verification) line(lines *lineReader) {
	e := entry{file: v.name, line: lines.number}
	l, err := lines.parse()
	e.hash = tlog.RecordHash(l.raw)
	if err != nil {
		e.unreadable, e.bad = true, err.Error()
		if !lines.complete {
			v.torn = &Finding{Kind: Truncated, First: v.next(), Last: v.next(), File: e.file, Line: e.line, Detail: e.bad}
			return
		}
		v.push(e)
		return
	}
	v.report.Records++
	e.seq, e.prev = l.seq, l.prev
	anchored := l.event == EventCheckpoint || l.event == EventFile
	if lines.number == 1 && l.event != EventFile {
		e.bad = "the file does not begin with the record that says what came before it"
	}
	if !anchored {
		if e.bad == "" && hidesCheckpoint(l, v.opts.Keys) {
			e.bad = "it carries a checkpoint, and is not called one"
		}
		v.push(e)
		return
	}
	a, err := parseAnchor(l, v.opts.Keys)
	switch {
	case err != nil:
		e.bad = err.Error()
		v.push(e)
	case l.event == EventFile && lines.number != 1:
		e.bad = "the head of a file stands in the middle of one"
		v.push(e)
	case v.begun && l.seq < v.start:
		v.push(e) // a good checkpoint in a wrong place
	default:
		v.anchor(e, l, a)
	}
}

// hidesCheckpoint tells whether a record of another event carries a good
// checkpoint. No caller can write one: a signed note has line feeds in it.
func hidesCheckpoint(l line, keys []note.Verifier) bool {
	if !bytes.Contains(l.raw, []byte(`,"note":"`)) {
		return false
	}
	var a anchor
	if json.Unmarshal(l.raw, &a) != nil {
		return false
	}
	_, err := openNote(a.Note, keys)
	return err == nil
}

// next is the number that the next record should have.
func (v *verification) next() int64 {
	for _, e := range slices.Backward(v.entries) {
		if !e.unreadable {
			return e.seq + 1
		}
	}
	return v.start
}

// found adds to the report.
func (v *verification) found(findings ...Finding) {
	if len(findings) > 0 {
		v.clean = false
		v.report.add(findings...)
	}
}

// push keeps a line until there is a checkpoint that speaks of it.
func (v *verification) push(e entry) {
	if !v.begun {
		v.begin(e.seq)
	}
	v.entries = append(v.entries, e)
	if len(v.entries) >= maxInterval {
		v.settle(v.bound(), nil)
	}
}

// begin notes where the log begins.
func (v *verification) begin(seq int64) {
	v.begun, v.clean = true, true
	v.report.First = seq
	v.start, v.proved = seq, seq
	v.known = seq == 0
	v.hasLast = seq == 0
	if seq > 0 && !v.opts.FromFirstFile {
		v.found(Finding{Kind: MissingFile, First: 0, Last: seq - 1, File: v.name, Line: 1, Detail: "the files before this one are not there"})
	}
}

// anchor takes a good checkpoint: what it says of the records before it is
// compared with them, and from here on it is what counts.
func (v *verification) anchor(e entry, l line, a anchor) {
	if !v.begun {
		v.begin(e.seq)
		v.tree, v.known, v.last, v.hasLast = a.tree, true, l.prev, true
	}
	v.settle(e.seq, &anchored{entry: e, checkpoint: a.checkpoint, head: l.event == EventFile})
	v.tree, v.known, v.clean = a.tree, true, true
	v.proved, v.last, v.hasLast = e.seq, l.prev, true
	v.report.Checkpoint, v.report.Signed = a.checkpoint, e.seq
	if l.event == EventCheckpoint {
		for _, c := range v.opts.Held {
			if c.Size == a.checkpoint.Size && c.Root == a.checkpoint.Root {
				v.seen[sameCheckpoint(c)] = true
			}
		}
	}
	v.entries = append(v.entries, e)
}

// anchored is a good checkpoint at the end of an interval.
type anchored struct {
	entry
	checkpoint Checkpoint
	head       bool
}

// settle decides about the entries, which should be the records from v.start
// to end-1, and forgets them.
func (v *verification) settle(end int64, a *anchored) {
	if !v.straight(end, a) {
		v.examine(end, a)
	}
	v.start = end
	v.entries = v.entries[:0]
}

// straight is the common case: every record is there and holds together.
func (v *verification) straight(end int64, a *anchored) bool {
	if int64(len(v.entries)) != end-v.start || !v.known || !v.clean {
		return false
	}
	prev := v.last
	for i, e := range v.entries {
		if e.bad != "" || e.seq != v.start+int64(i) || ((i > 0 || v.hasLast) && e.prev != prev) {
			return false
		}
		prev = e.hash
	}
	if a != nil && a.prev != prev && (v.hasLast || len(v.entries) > 0) {
		return false
	}
	t := v.tree
	for _, e := range v.entries {
		t.push(e.hash)
	}
	if a != nil && t.root() != a.checkpoint.Root {
		return false
	}
	v.advance(hashes(v.entries))
	v.last, v.hasLast = prev, v.hasLast || len(v.entries) > 0
	return true
}

func hashes(entries []entry) []tlog.Hash {
	list := make([]tlog.Hash, len(entries))
	for i, e := range entries {
		list[i] = e.hash
	}
	return list
}

// advance makes records part of the tree, and compares it with the checkpoints
// that were held outside on the way.
func (v *verification) advance(leaves []tlog.Hash) {
	v.compareHeld()
	for _, leaf := range leaves {
		v.tree.push(leaf)
		v.compareHeld()
	}
}

func (v *verification) compareHeld() {
	for _, c := range v.opts.Held {
		if c.Size == v.tree.size && c.Root != v.tree.root() {
			v.found(forked(c))
		}
	}
}

// sameCheckpoint is what makes two checkpoints the same one.
func sameCheckpoint(c Checkpoint) Checkpoint { return Checkpoint{Size: c.Size, Root: c.Root} }

func forked(c Checkpoint) Finding {
	return Finding{
		Kind: Forked, First: 0, Last: max(c.Size-1, 0),
		Detail: "the checkpoint that was held outside is of other records: the log was rolled back, or written anew",
	}
}

// bound is the number after the last record of the entries, as far as they can
// be believed: those with a neighbour that knows them.
func (v *verification) bound() int64 {
	end := v.start
	for i, e := range v.entries {
		before := i > 0 && e.prev == v.entries[i-1].hash
		after := i+1 < len(v.entries) && v.entries[i+1].prev == e.hash
		first := i == 0 && v.hasLast && e.prev == v.last
		if !e.unreadable && (before || after || first) {
			end = max(end, e.seq+1)
		}
	}
	if end == v.start {
		end += int64(len(v.entries))
	}
	return end
}

// end takes the records after the last checkpoint, and the checkpoints that
// were held outside.
func (v *verification) end() {
	if !v.begun {
		v.found(Finding{Kind: Truncated, Detail: "there is no record at all"})
	}
	if len(v.entries) > 0 {
		v.settle(v.bound(), nil)
	}
	v.report.Size = v.start
	for _, c := range v.opts.Held {
		v.held(c)
	}
	v.done = v.total
	v.progress()
}

// held looks for a checkpoint that was held outside: the log has recorded it
// before anybody could hold it, as the record with the number of its size.
func (v *verification) held(c Checkpoint) {
	switch {
	case v.seen[sameCheckpoint(c)] || c.Size < v.report.First:
	case c.Size >= v.start:
		v.found(Finding{
			Kind: Truncated, First: v.start, Last: c.Size,
			Detail: fmt.Sprintf("the checkpoint that was held outside is of %d records, and is a record itself", c.Size),
		})
	case v.report.OK():
		v.found(Finding{
			Kind: Forked, First: c.Size, Last: c.Size,
			Detail: "there is another record in the place of the checkpoint that was held outside: the log was rolled back and continued",
		})
	}
}

package auditlog

// This file finds out what was done to records that are not as they were written.

import (
	"cmp"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// An examination is about the lines between two checkpoints. Each record knows
// the hash of the one before it, so that a record that was changed is told from
// its neighbours, and the hash that it had is known.
type examination struct {
	v        *verification
	start    int64
	end      int64
	anchor   *anchored
	kept     []entry           // one for each number
	others   map[int64][]entry // lines that are no record of this place, by the number of the one before
	findings []Finding
}

// examine adds what it finds to the report, and something in any case.
func (v *verification) examine(end int64, a *anchored) {
	x := &examination{v: v, start: v.start, end: end, anchor: a, others: map[int64][]entry{}}
	x.sort()
	x.order()
	x.gaps()
	leaves, exact := x.prove()
	for i := range x.findings {
		x.findings[i].Exact = exact
	}
	v.found(x.findings...)
	v.last, v.hasLast = leaves[end-1]
	if list, whole := x.list(leaves); whole && v.known {
		v.advance(list)
	} else {
		v.known = false
	}
}

// sort puts the lines into kept and others: of several with one number that is
// kept which its neighbours know.
func (x *examination) sort() {
	type link struct {
		seq  int64
		hash tlog.Hash
	}
	hashes, prevs := map[link]bool{}, map[link]bool{}
	for _, e := range x.v.entries {
		if !e.unreadable {
			hashes[link{e.seq, e.hash}], prevs[link{e.seq - 1, e.prev}] = true, true
		}
	}
	neighbours := func(e entry) (n int) {
		if hashes[link{e.seq - 1, e.prev}] {
			n++
		}
		if prevs[link{e.seq, e.hash}] {
			n++
		}
		return n
	}
	best := map[int64]int{} // number -> index into entries
	for i, e := range x.v.entries {
		if e.unreadable || e.seq < x.start || e.seq >= x.end {
			continue
		}
		if j, ok := best[e.seq]; !ok || neighbours(e) > neighbours(x.v.entries[j]) {
			best[e.seq] = i
		}
	}
	x.split(best)
}

func (x *examination) split(best map[int64]int) {
	after := x.start - 1
	for i, e := range x.v.entries {
		if j, ok := best[e.seq]; !ok || j != i || e.unreadable {
			x.others[after] = append(x.others[after], e)
			continue
		}
		x.kept = append(x.kept, e)
		after = e.seq
		if e.bad != "" {
			x.findings = append(x.findings, finding(ForgedCheckpoint, e.seq, e.seq, e, e.bad))
		}
	}
}

func finding(kind Kind, first, last int64, e entry, detail string) Finding {
	return Finding{Kind: kind, First: first, Last: last, File: e.file, Line: e.line, Detail: detail}
}

func (x *examination) find(kind Kind, first, last int64, e entry, detail string) {
	x.findings = append(x.findings, finding(kind, first, last, e, detail))
}

// order reports the ranges of records that stand in another order, and sorts kept.
func (x *examination) order() {
	sorted := slices.SortedStableFunc(slices.Values(x.kept), func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	for i := 0; i < len(sorted); i++ {
		if sorted[i].seq == x.kept[i].seq {
			continue
		}
		// Up to the place where both hold the same records again.
		j, highest := i, x.kept[i].seq
		for j+1 < len(sorted) && sorted[j].seq < highest {
			j++
			highest = max(highest, x.kept[j].seq)
		}
		x.find(Reordered, sorted[i].seq, sorted[j].seq, x.kept[i], "")
		i = j
	}
	x.kept = sorted
}

// gaps reports the numbers that are missing. A line in their place that is no
// record of this place is what was made of one.
func (x *examination) gaps() {
	next := x.start
	for _, e := range x.kept {
		x.gap(next, e.seq-1, e)
		next = e.seq + 1
	}
	at := entry{file: x.v.name}
	if x.anchor != nil {
		at = x.anchor.entry
	}
	x.gap(next, x.end-1, at)
	for _, after := range slices.Sorted(maps.Keys(x.others)) {
		for _, e := range x.others[after] {
			x.inserted(e, max(after, 0))
		}
	}
}

// gap reports the missing numbers from first to last, before the line at.
func (x *examination) gap(first, last int64, at entry) {
	if first > last {
		return
	}
	in := x.others[first-1]
	n := min(int64(len(in)), last-first+1)
	x.others[first-1] = in[n:]
	switch {
	case n == last-first+1:
		x.find(Changed, first, last, in[0], in[0].bad)
	case n > 0:
		x.find(Removed, first, last, in[0], "and other lines stand in their place")
	case x.anchor != nil && x.anchor.head && at == x.anchor.entry:
		x.find(MissingFile, first, last, at, "the file before this one is not there, or its end is not")
	default:
		x.find(Removed, first, last, at, "")
	}
}

// inserted reports a line that is no record of this place, after that number.
func (x *examination) inserted(e entry, after int64) {
	if !e.unreadable && x.v.report.moved(e.seq) {
		x.find(Reordered, e.seq, e.seq, e, "")
		return
	}
	x.find(Inserted, after, after, e, e.bad)
}

// prove looks for the hashes that the records had: those that give the signed
// root. It reports whether they were found, which proves every record that
// nothing was found about.
func (x *examination) prove() (leaves map[int64]tlog.Hash, exact bool) {
	leaves, changed := x.chain(false)
	if x.signed(leaves) {
		x.findings = append(x.findings, changed...)
		x.something(true)
		return leaves, true
	}
	if wary, fewer := x.chain(true); x.signed(wary) {
		x.findings = append(x.findings, fewer...)
		x.something(true)
		return wary, true
	}
	x.findings = append(x.findings, changed...)
	x.something(false)
	return leaves, false
}

// chain compares each record with what the next one knows of it, and returns
// the hashes that the records had. If it is wary, the next one is no witness if
// it was changed itself, or if nothing comes after it.
func (x *examination) chain(wary bool) (leaves map[int64]tlog.Hash, changed []Finding) {
	next := x.kept
	if x.anchor != nil {
		next = append(slices.Clip(x.kept), x.anchor.entry)
	}
	leaves = make(map[int64]tlog.Hash, len(next))
	for i, e := range next {
		if e.seq < x.end {
			leaves[e.seq] = e.hash
		}
		before, ok := x.before(next, i, leaves)
		if ok && before == e.prev || wary && !witness(next, i) {
			continue
		}
		switch {
		case i > 0 && next[i-1].seq == e.seq-1:
			changed = appendChanged(changed, next[i-1])
		case ok: // the record before the interval is known to be as it was
			changed = append(changed, finding(Changed, e.seq, e.seq, e, "it does not follow the record before it"))
			continue
		}
		if e.seq > x.start {
			leaves[e.seq-1] = e.prev
		}
	}
	return leaves, changed
}

// before is the hash of the record before next[i], if it is there.
func (x *examination) before(next []entry, i int, leaves map[int64]tlog.Hash) (tlog.Hash, bool) {
	if next[i].seq == x.start {
		return x.v.last, x.v.hasLast
	}
	h, ok := leaves[next[i].seq-1]
	return h, ok
}

// witness tells whether the record after next[i] knows it as it is.
func witness(next []entry, i int) bool {
	return i+1 < len(next) && (next[i+1].seq != next[i].seq+1 || next[i+1].prev == next[i].hash)
}

// appendChanged adds a changed record to those that were found before it.
func appendChanged(changed []Finding, e entry) []Finding {
	if n := len(changed); n > 0 && changed[n-1].Last == e.seq-1 {
		changed[n-1].Last = e.seq
		return changed
	}
	return append(changed, finding(Changed, e.seq, e.seq, e, ""))
}

// list is the hashes of all records of the interval, if they are known.
func (x *examination) list(leaves map[int64]tlog.Hash) ([]tlog.Hash, bool) {
	if int64(len(leaves)) != x.end-x.start {
		return nil, false
	}
	list := make([]tlog.Hash, len(leaves))
	for seq, h := range leaves {
		list[seq-x.start] = h
	}
	return list, true
}

// signed tells whether the tree with these hashes has the signed root.
func (x *examination) signed(leaves map[int64]tlog.Hash) bool {
	list, whole := x.list(leaves)
	if !whole || x.anchor == nil || !x.v.known {
		return false
	}
	t := x.v.tree
	for _, leaf := range list {
		t.push(leaf)
	}
	return t.root() == x.anchor.checkpoint.Root
}

// something makes sure that what does not have the signed root is reported.
func (x *examination) something(proved bool) {
	v := x.v
	if x.anchor == nil || len(x.findings) > 0 || !v.clean {
		return
	}
	e := x.anchor.entry
	switch {
	case proved:
		x.find(Changed, x.end, x.end, e, "it does not follow the record before it")
	case x.end > v.proved:
		x.find(Changed, v.proved, x.end-1, e, "the records do not have the signed root: they were changed, and their hashes with them")
	default:
		x.find(ForgedCheckpoint, x.end, x.end, e, "it does not follow from the records before it")
	}
}

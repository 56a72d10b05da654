package auditlog

// This file holds the Merkle tree of a log, as far as the one who appends needs it.

import (
	"errors"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// maxLevels bounds the height of a tree: sizes are int64.
const maxLevels = 63

// A tree is the right edge of the Merkle tree of RFC 6962 over the first size
// records: of each level the one complete subtree that has no sibling yet. That
// is all it takes to append and to compute the root. The hashes are those of
// package tlog. A tree is a value: a copy is a snapshot.
type tree struct {
	size  int64
	peaks [maxLevels]tlog.Hash // by level, where size has that bit set
}

// push appends the hash of a record.
func (t *tree) push(leaf tlog.Hash) { t.pushVisit(leaf, nil) }

// pushVisit appends the hash of a record and calls visit, if there is one, with
// each subtree that is complete now, by its level and its number on that level.
func (t *tree) pushVisit(leaf tlog.Hash, visit func(level int, n int64, h tlog.Hash)) {
	level, n, h := 0, t.size, leaf
	for {
		if visit != nil {
			visit(level, n, h)
		}
		if n&1 == 0 {
			break
		}
		h = tlog.NodeHash(t.peaks[level], h)
		level, n = level+1, n>>1
	}
	t.peaks[level] = h
	t.size++
}

// root is the hash of the whole tree.
func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // reads nothing
		return h
	}
	level := bits.TrailingZeros64(uint64(t.size)) //nolint:gosec // a size is not negative
	h := t.peaks[level]
	for level++; level < maxLevels; level++ {
		if t.size>>level&1 == 1 {
			h = tlog.NodeHash(t.peaks[level], h)
		}
	}
	return h
}

// edge is the hashes of the complete subtrees from left to right, largest first.
func (t *tree) edge() []tlog.Hash {
	hashes := make([]tlog.Hash, 0, bits.OnesCount64(uint64(t.size))) //nolint:gosec // a size is not negative
	for level := maxLevels - 1; level >= 0; level-- {
		if t.size>>level&1 == 1 {
			hashes = append(hashes, t.peaks[level])
		}
	}
	return hashes
}

var errEdge = errors.New("the number of peaks does not belong to the size")

// newTree is the tree of size records that has this edge.
func newTree(size int64, edge []tlog.Hash) (tree, error) {
	if size < 0 || len(edge) != bits.OnesCount64(uint64(size)) {
		return tree{}, errEdge
	}
	t := tree{size: size}
	for level := maxLevels - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			t.peaks[level], edge = edge[0], edge[1:]
		}
	}
	return t, nil
}

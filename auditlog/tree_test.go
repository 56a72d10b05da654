package auditlog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// storedHashes are all hashes of a tree, as package tlog stores them.
type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}

func TestTreeIsThatOfTlog(t *testing.T) {
	var ours tree
	var stored storedHashes
	for n := range int64(200) {
		want, err := tlog.TreeHash(n, stored)
		if err != nil {
			t.Fatal(err)
		}
		if got := ours.root(); got != want {
			t.Fatalf("root of %d records: %v, want %v", n, got, want)
		}
		again, err := newTree(n, ours.edge())
		if err != nil || again.root() != want {
			t.Fatalf("tree of the edge of %d records: %v, %v", n, again.root(), err)
		}
		leaf := tlog.RecordHash([]byte{byte(n)})
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		visited := 0
		ours.pushVisit(leaf, func(level int, n int64, h tlog.Hash) {
			visited++
			if want := stored[tlog.StoredHashIndex(level, n)]; h != want {
				t.Errorf("subtree %d on level %d: %v, want %v", n, level, h, want)
			}
		})
		if visited != len(hashes) {
			t.Errorf("%d subtrees for record %d, want %d", visited, n, len(hashes))
		}
	}
	if _, err := newTree(3, nil); err == nil {
		t.Error("a tree of 3 records needs no peaks")
	}
}

// The checkpoint is a signed note whose first lines are those that
// https://c2sp.org/tlog-checkpoint wants.
func TestCheckpointFormat(t *testing.T) {
	signer, err := testKey().signer()
	if err != nil {
		t.Fatal(err)
	}
	var own tree
	own.push(tlog.RecordHash([]byte("x")))
	c, err := signCheckpoint(signer, &own, time.Date(2026, 11, 23, 14, 44, 7, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(c.Note), note.VerifierList(testKeys()...))
	if err != nil {
		t.Fatal(err)
	}
	want := testKeyName + "\n1\n" + own.root().String() + "\ntime 2026-11-23T14:44:07.000000000Z\n"
	if n.Text != want {
		t.Errorf("text %q, want %q", n.Text, want)
	}
	if _, err := ParseCheckpoint(c.Note, newKey(testKeyName).Verifier()); err == nil || !strings.Contains(err.Error(), "none of the given keys") {
		t.Errorf("ParseCheckpoint with another key: %v", err)
	}
	if _, err := ParseCheckpoint(strings.Replace(c.Note, "\n1\n", "\n2\n", 1), testKeys()...); err == nil {
		t.Error("another size is accepted")
	}
	for _, text := range []string{"", "a\n1\n", "\n1\nx\n", "a\n01\n" + own.root().String() + "\n", "a\n-1\n" + own.root().String() + "\n", "a\n1\nAAAA\n"} {
		if _, err := parseCheckpointText(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestProveEveryRecord(t *testing.T) {
	s := newSpecimen(t, testKey(), 9)
	path := s.write(t, t.TempDir())
	files := mustFiles(t, path)
	all := records(t, path)
	for seq := int64(0); seq < s.held[0].Size; seq += 7 {
		p, err := Prove(t.Context(), files, seq, nil, testKeys()...)
		if err != nil {
			t.Fatal(err)
		}
		if p.Record != string(all[seq].Raw) {
			t.Fatalf("proof of record %d is about %s", seq, p.Record)
		}
	}
	// The last files alone prove their records.
	first := seqOf(s.files[3][0])
	p, err := Prove(t.Context(), files[3:], first+9, &s.held[0], testKeys()...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseProof(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Check(testKeys()...); err != nil {
		t.Errorf("the proof that was read again: %v", err)
	}
}

func TestProofOfSomethingElse(t *testing.T) {
	s := newSpecimen(t, testKey(), 9)
	files := mustFiles(t, s.write(t, t.TempDir()))
	good, err := Prove(t.Context(), files, 100, nil, testKeys()...)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(p *Proof){
		"another record":      func(p *Proof) { p.Record = strings.Replace(p.Record, `"status":`, `"status":1`, 1) },
		"another number":      func(p *Proof) { p.Seq++ },
		"no record":           func(p *Proof) { p.Record = "{}" },
		"a hash":              func(p *Proof) { p.Hashes[0][3] ^= 1 },
		"a hash less":         func(p *Proof) { p.Hashes = p.Hashes[1:] },
		"another checkpoint":  func(p *Proof) { p.Checkpoint = newSpecimen(t, testKey(), 10).held[0].Note },
		"an edited one":       func(p *Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n2", "\n3", 1) },
		"somebody else's one": func(p *Proof) { p.Checkpoint = newSpecimen(t, newKey(testKeyName), 9).held[0].Note },
	} {
		p := *good
		p.Hashes = append([]tlog.Hash(nil), good.Hashes...)
		change(&p)
		if p.Check(testKeys()...) == nil {
			t.Errorf("%s: the proof is good", name)
		}
	}
	if err := good.Check(testKeys()...); err != nil {
		t.Error(err)
	}
}

func TestProveRefuses(t *testing.T) {
	s := newSpecimen(t, testKey(), 9)
	for name, test := range map[string]struct {
		seq    int64
		change func(s *specimen)
		want   string
	}{
		"a negative number":  {-1, func(*specimen) {}, "number 0"},
		"a number too large": {10_000, func(*specimen) {}, "no such record"},
		"the last record":    {s.held[0].Size, func(*specimen) {}, "no checkpoint over it"},
		"an altered log": {5, func(s *specimen) {
			s.files[2][9] = strings.Replace(s.files[2][9], `"user":"`, `"user":"m`, 1)
		}, "verify it"},
		"a file without its head": {5, func(s *specimen) { s.files[0] = s.files[0][1:] }, "does not begin"},
	} {
		c := s.clone()
		test.change(c)
		_, err := Prove(t.Context(), mustFiles(t, c.write(t, t.TempDir())), test.seq, nil, testKeys()...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

// Append, rotate, close, crash and open again, in any order: the log verifies,
// and holds what was acknowledged in its order.
func TestLogAgainstAModel(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &machine{t: t, dir: base}
		m.move()
		opts := quickOptions()
		opts.CheckpointEvery = rapid.IntRange(1, 20).Draw(rt, "checkpoint every")
		opts.RotateSize = int64(rapid.SampledFrom([]int{64 << 10, 1 << 20}).Draw(rt, "rotate size"))
		opts.Reserve = -1
		m.opts = opts
		m.log = mustOpen(t, m.path, opts)
		defer func() { mustClose(t, m.log) }()
		rt.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"async":   m.appendAsync,
			"rotate":  m.rotate,
			"reopen":  m.reopen,
			"crash":   m.crash,
			"":        func(*rapid.T) {},
			"verify":  m.verify,
			"garbage": m.garbage,
		})
		m.reopen(rt)
		m.verify(rt)
	})
	t.Logf("%d runs", runs)
}

func TestReadersSkipNothing(t *testing.T) {
	s := newSpecimen(t, testKey(), 4)
	s.files[1][3] = "no record\n"
	path := s.write(t, t.TempDir())
	bad, good := 0, 0
	for _, err := range Records(t.Context(), mustFiles(t, path)...) {
		if err != nil {
			bad++
			continue
		}
		good++
	}
	if bad != 1 || good == 0 {
		t.Errorf("%d lines are no records, want 1; %d are", bad, good)
	}
	for range Records(t.Context(), mustFiles(t, path)...) {
		break // leaving early is fine
	}
}

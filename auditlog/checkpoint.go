package auditlog

// This file holds signed checkpoints, and the two kinds of record that carry one.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Checkpoint is the signed statement that a log had Size records, and which.
// Whoever holds one outside of the machine of the log can show later that
// nothing before it was changed or cut off.
type Checkpoint struct {
	// Origin names the log. It is the name of its signing key.
	Origin string
	// Size is the number of records: those with the numbers 0 to Size-1.
	Size int64
	// Root is the root of the Merkle tree (RFC 6962) over the lines of these
	// records, each without its line feed.
	Root tlog.Hash
	// Time is when it was signed, to the log's clock.
	Time time.Time
	// Note is the signed note, several lines of text: this is what to keep. Its
	// format is https://c2sp.org/tlog-checkpoint, with the time in an extension line.
	Note string
}

const timeLine = "time "

// text is what is signed.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n%s%s\n", c.Origin, c.Size, c.Root, timeLine, c.Time.UTC().Format(timeLayout))
}

// signCheckpoint makes the checkpoint of a tree.
func signCheckpoint(s note.Signer, t *tree, at time.Time) (Checkpoint, error) {
	c := Checkpoint{Origin: s.Name(), Size: t.size, Root: t.root(), Time: at.UTC()}
	signed, err := note.Sign(&note.Note{Text: c.text()}, s)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	c.Note = string(signed)
	return c, nil
}

var errCheckpoint = errors.New("it is not the text of a checkpoint")

// ParseCheckpoint reads a checkpoint, as [Checkpoint].Note has it, and checks
// that at least one of the keys has signed it. Signatures of other keys, such
// as a witness's, are passed over.
func ParseCheckpoint(text string, keys ...note.Verifier) (Checkpoint, error) {
	n, err := openNote(text, keys)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseCheckpointText(n.Text)
	c.Note = text
	return c, err
}

func openNote(text string, keys []note.Verifier) (*note.Note, error) {
	n, err := note.Open([]byte(text), note.VerifierList(keys...))
	var unverified *note.UnverifiedNoteError
	switch {
	case errors.As(err, &unverified):
		return nil, errors.New("checkpoint: none of the given keys has signed it: check that the public key is the one of this log")
	case err != nil:
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return n, nil
}

func parseCheckpointText(text string) (Checkpoint, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 || lines[0] == "" {
		return Checkpoint{}, errCheckpoint
	}
	c := Checkpoint{Origin: lines[0]}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, errCheckpoint
	}
	c.Size = size
	if len(lines[2]) != hashText || !decodeHash(&c.Root, []byte(lines[2])) {
		return Checkpoint{}, errCheckpoint
	}
	for _, extension := range lines[3:] {
		if at, ok := strings.CutPrefix(extension, timeLine); ok {
			c.Time, _ = time.Parse(timeLayout, at) // the zero time if it is none
		}
	}
	return c, nil
}

// An anchor is what the records EventFile and EventCheckpoint carry: a
// checkpoint over all records before them, and the edge of that tree, from
// which one can go on.
type anchor struct {
	Format int      `json:"format"` // EventFile only
	Log    string   `json:"log"`    // EventFile only: chosen at random when the log began
	Reason string   `json:"reason"` // EventFile only: why the file was begun
	Note   string   `json:"note"`
	Peaks  []string `json:"peaks"`

	checkpoint Checkpoint
	tree       tree
}

// format is the version of the form of the files.
const format = 1

// appendAnchor writes the body of a record that carries a checkpoint. Id and
// reason are for EventFile.
func appendAnchor(dst []byte, event, id, reason string, c Checkpoint, t *tree) []byte {
	dst = append(dst, `"event":"`+event+`"`...)
	if event == EventFile {
		dst = append(dst, `,"format":`+strconv.Itoa(format)+`,"log":`...)
		dst = appendQuoted(dst, id)
		dst = appendQuoted(append(dst, `,"reason":`...), reason)
	}
	dst = append(dst, `,"note":`...)
	dst = append(dst, strings.ReplaceAll(string(appendQuoted(nil, c.Note)), "\n", `\n`)...)
	dst = append(dst, `,"peaks":[`...)
	for i, h := range t.edge() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, h[:])
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

var errNoAnchor = errors.New("the record is not as this log writes it")

// parseAnchor reads the anchor that a record carries, and checks all of it: the
// signature, that it stands where it belongs, and that the line is exactly what
// the log would have written.
func parseAnchor(l line, keys []note.Verifier) (anchor, error) {
	var a anchor
	if json.Unmarshal(l.raw, &a) != nil {
		return a, errNoAnchor
	}
	n, err := openNote(a.Note, keys)
	if err != nil {
		return a, err
	}
	if a.checkpoint, err = parseCheckpointText(n.Text); err != nil {
		return a, err
	}
	a.checkpoint.Note = a.Note
	if err := a.checkSignature(n); err != nil {
		return a, err
	}
	if a.checkpoint.Size != l.seq {
		return a, fmt.Errorf("its checkpoint is of %d records: it belongs elsewhere", a.checkpoint.Size)
	}
	if a.tree, err = a.edge(); err != nil {
		return a, err
	}
	body := appendAnchor(nil, l.event, a.Log, a.Reason, a.checkpoint, &a.tree)
	again := appendLine(nil, l.seq, a.checkpoint.Time, l.prev, body)
	if !bytes.Equal(again[:len(again)-1], l.raw) {
		return a, errNoAnchor
	}
	return a, nil
}

// checkSignature reports whether the note is one that the log has written: one
// signature, by the key whose name is the origin, in the one form it can have.
func (a *anchor) checkSignature(n *note.Note) error {
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 || n.Sigs[0].Name != a.checkpoint.Origin {
		return errors.New("its checkpoint is signed by somebody else")
	}
	if _, err := strictBase64.DecodeString(n.Sigs[0].Base64); err != nil || n.Text != a.checkpoint.text() {
		return errNoAnchor
	}
	return nil
}

// edge is the tree that the peaks describe. That it has the signed root proves them.
func (a *anchor) edge() (tree, error) {
	hashes := make([]tlog.Hash, len(a.Peaks))
	for i, text := range a.Peaks {
		if len(text) != hashText || !decodeHash(&hashes[i], []byte(text)) {
			return tree{}, errNoAnchor
		}
	}
	t, err := newTree(a.checkpoint.Size, hashes)
	if err != nil {
		return tree{}, err
	}
	if t.root() != a.checkpoint.Root {
		return tree{}, errors.New("its peaks do not have the signed root")
	}
	return t, nil
}

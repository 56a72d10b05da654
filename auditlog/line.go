package auditlog

// This file holds the form of a line: what the log puts around a record.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Events that the log writes itself. An event of the caller with one of these
// names is recorded with "#2" after it.
const (
	// EventFile is the first record of each file: what came before it.
	EventFile = "audit.file"
	// EventCheckpoint is a signed checkpoint over all records before it.
	EventCheckpoint = "audit.checkpoint"
	// EventDegraded tells that records could no longer be made durable, and why.
	EventDegraded = "audit.degraded"
	// EventRecovered tells that they can again, and what was lost meanwhile.
	EventRecovered = "audit.recovered"
	// EventDropped tells how many records were not taken since the last such record.
	EventDropped = "audit.dropped"
)

// isOwnEvent tells whether the log itself writes events of this name.
func isOwnEvent(event string) bool {
	switch event {
	case EventFile, EventCheckpoint, EventDegraded, EventRecovered, EventDropped:
		return true
	}
	return false
}

const (
	timeLayout = "2006-01-02T15:04:05.000000000Z"
	hashText   = 44      // bytes of a hash in base64
	maxSeqText = 18      // digits of the largest number of a record that is read
	maxLine    = 1 << 20 // bytes of a line that is read; the writer's limit is far below
)

var strictBase64 = base64.StdEncoding.Strict()

// appendLine writes a record as a line, with the line feed. Body is the inside
// of its JSON object from "event" on. Nothing but this function makes lines.
func appendLine(dst []byte, seq int64, at time.Time, prev tlog.Hash, body []byte) []byte {
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendInt(dst, seq, 10)
	dst = append(dst, `,"ts":"`...)
	dst = at.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, `","prev":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, prev[:])
	dst = append(dst, `",`...)
	dst = append(dst, body...)
	return append(dst, "}\n"...)
}

// A line is a record as it stands in a file, with what the log put there.
type line struct {
	seq   int64
	ts    string
	prev  tlog.Hash
	event string
	raw   []byte // without the line feed
}

var errLine = errors.New("it is not a record as this log writes them")

// parseLine reads a line without its line feed. It accepts what appendLine
// writes, byte for byte, and nothing else.
func parseLine(raw []byte) (line, error) {
	l := line{raw: raw}
	rest, ok := bytes.CutPrefix(raw, []byte(`{"seq":`))
	if !ok {
		return l, errLine
	}
	digits, rest, ok := bytes.Cut(rest, []byte(`,"ts":"`))
	if !ok || len(digits) == 0 || len(digits) > maxSeqText || (digits[0] == '0' && len(digits) > 1) {
		return l, errLine
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return l, errLine
		}
		l.seq = 10*l.seq + int64(d-'0')
	}
	const prevKey = `","prev":"`
	n := len(timeLayout)
	if len(rest) < n+len(prevKey)+hashText || string(rest[n:n+len(prevKey)]) != prevKey {
		return l, errLine
	}
	l.ts, rest = string(rest[:n]), rest[n+len(prevKey):]
	if !decodeHash(&l.prev, rest[:hashText]) {
		return l, errLine
	}
	return l, l.parseEvent(rest[hashText:])
}

// parseEvent reads the event, and checks that the whole line is one JSON object.
func (l *line) parseEvent(rest []byte) error {
	rest, ok := bytes.CutPrefix(rest, []byte(`","event":`))
	if !ok || len(rest) == 0 || rest[0] != '"' || !json.Valid(l.raw) || bytes.IndexByte(l.raw, '\r') >= 0 {
		return errLine
	}
	end := 1
	for rest[end] != '"' { // there is one, or the JSON would not be valid
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if json.Unmarshal(rest[:end+1], &l.event) != nil {
		return errLine
	}
	return nil
}

// time is when the record was made. A time that cannot be read is the zero time.
func (l *line) time() time.Time {
	t, err := time.Parse(timeLayout, l.ts)
	if err != nil {
		return time.Time{}
	}
	return t
}

func decodeHash(h *tlog.Hash, text []byte) bool {
	var buf [hashText]byte // Decode may write more than it reports
	n, err := strictBase64.Decode(buf[:], text)
	copy(h[:], buf[:])
	return err == nil && n == tlog.HashSize
}

package auditlog

// This file writes the fields of a record as JSON.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	maxKey      = 64  // bytes of a field's name, and of the name of an event
	maxElements = 128 // elements of a list or an object that are kept
	maxDepth    = 8   // objects and lists inside of each other
	maxNumber   = 64  // bytes of a number in JSON that a caller gives
)

// reserved are the names that the log itself writes into a record.
var reserved = []string{"seq", "ts", "prev", "event", "cut"}

// An encoder writes the part of a record that its caller decides: the event and
// the fields. Whatever it is given, the result is the inside of a JSON object
// in one line, with no name in it twice, and no longer than limits have it.
type encoder struct {
	buf      []byte
	scratch  []byte
	keys     []string // names taken, innermost object last
	maxValue int
	maxBytes int
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func newEncoder(maxValue, maxBytes int) *encoder {
	e, _ := encoders.Get().(*encoder)
	e.buf, e.keys = e.buf[:0], append(e.keys[:0], reserved...)
	e.maxValue, e.maxBytes = maxValue, maxBytes
	return e
}

// free gives e back. One that has grown large is left to the collector.
func (e *encoder) free() {
	clear(e.keys)
	if cap(e.buf) <= 16<<10 && cap(e.scratch) <= 16<<10 {
		encoders.Put(e)
	}
}

// encode writes a record of an event. Fields for which there is no room are
// left out, and "cut" tells how many.
func (e *encoder) encode(event string, attrs []slog.Attr) {
	e.buf = append(e.buf, `"event":`...)
	e.str(event, maxKey)
	cut := 0
	for _, a := range attrs {
		cut += e.attr(a, 0, 0)
	}
	if cut > 0 {
		e.buf = append(e.buf, `,"cut":`...)
		e.buf = strconv.AppendInt(e.buf, int64(cut), 10)
	}
}

// attr writes one field and reports how many it left out. The names that must
// not come again are those from e.keys[scope] on.
func (e *encoder) attr(a slog.Attr, scope, depth int) (cut int) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup && a.Key == "" { // inlined, as log/slog has it
		for _, member := range v.Group() {
			cut += e.attr(member, scope, depth)
		}
		return cut
	}
	start, taken := len(e.buf), len(e.keys)
	e.key(a.Key, scope)
	e.value(v, depth)
	if e.full() {
		e.buf, e.keys = e.buf[:start], e.keys[:taken]
		return 1
	}
	return 0
}

// full tells whether the record has grown beyond what it may be.
func (e *encoder) full() bool { return len(e.buf) > e.maxBytes }

// key writes a comma, unless the object has just begun, and a name. A name that
// is taken already gets a number, so that nobody who reads the record can take
// one field for another.
func (e *encoder) key(name string, scope int) {
	if last := e.buf[len(e.buf)-1]; last != '{' {
		e.buf = append(e.buf, ',')
	}
	if name == "" {
		name = "_"
	}
	name = Clean(name, maxKey)
	unique := name
	for n := 2; slices.Contains(e.keys[scope:], unique); n++ {
		unique = name + "#" + strconv.Itoa(n)
	}
	e.keys = append(e.keys, unique)
	e.quote(unique)
	e.buf = append(e.buf, ':')
}

// str writes a string of the caller.
func (e *encoder) str(s string, limit int) {
	if len(s) <= limit && isClean(s) {
		e.quote(s)
		return
	}
	e.scratch = appendClean(e.scratch[:0], s, limit)
	e.buf = appendQuoted(e.buf, e.scratch)
}

func (e *encoder) quote(s string) { e.buf = appendQuoted(e.buf, s) }

// appendQuoted writes a clean string as JSON: only quotes and backslashes are
// left to escape.
func appendQuoted[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// value writes a value, in the form that slog.JSONHandler has for it.
func (e *encoder) value(v slog.Value, depth int) {
	switch v.Kind() {
	case slog.KindString:
		e.str(v.String(), e.maxValue)
	case slog.KindInt64:
		e.buf = strconv.AppendInt(e.buf, v.Int64(), 10)
	case slog.KindUint64:
		e.buf = strconv.AppendUint(e.buf, v.Uint64(), 10)
	case slog.KindFloat64:
		e.float(v.Float64())
	case slog.KindBool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case slog.KindDuration:
		e.buf = strconv.AppendInt(e.buf, int64(v.Duration()), 10)
	case slog.KindTime:
		e.time(v.Time())
	case slog.KindGroup:
		e.group(v.Group(), depth+1)
	default:
		e.any(v.Any(), depth)
	}
}

// time writes a time in UTC. Years that RFC 3339 cannot write are text as well.
func (e *encoder) time(t time.Time) {
	e.buf = append(e.buf, '"')
	e.buf = t.UTC().AppendFormat(e.buf, time.RFC3339Nano)
	e.buf = append(e.buf, '"')
}

func (e *encoder) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) { // JSON has no such numbers
		e.quote(strconv.FormatFloat(f, 'g', -1, 64))
		return
	}
	e.buf = strconv.AppendFloat(e.buf, f, 'g', -1, 64)
}

func (e *encoder) group(attrs []slog.Attr, depth int) {
	if depth > maxDepth {
		e.quote("…")
		return
	}
	scope := len(e.keys)
	e.buf = append(e.buf, '{')
	cut := max(len(attrs)-maxElements, 0)
	for _, a := range attrs[:len(attrs)-cut] {
		if e.full() {
			break
		}
		cut += e.attr(a, scope, depth)
	}
	if cut > 0 {
		e.key("cut", scope)
		e.buf = strconv.AppendInt(e.buf, int64(cut), 10)
	}
	e.buf = append(e.buf, '}')
	e.keys = e.keys[:scope]
}

func (e *encoder) any(v any, depth int) {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case []string:
		elements(e, v, depth+1, func(s string) { e.str(s, e.maxValue) })
	case error:
		e.str(v.Error(), e.maxValue)
	case json.RawMessage:
		e.raw(v, depth)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			e.str(fmt.Sprintf("!ERROR: %v", err), e.maxValue)
			return
		}
		e.raw(text, depth)
	}
}

// raw writes JSON that somebody else has made: read and written anew, so that
// its strings are clean and its names unique as well. What is no JSON, or is
// longer than a record, is written as a string.
func (e *encoder) raw(text []byte, depth int) {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if len(text) > e.maxBytes || decoder.Decode(&v) != nil || decoder.More() {
		e.str(string(text), e.maxValue)
		return
	}
	e.decoded(v, depth)
}

// decoded writes what encoding/json has read.
func (e *encoder) decoded(v any, depth int) {
	switch v := v.(type) {
	case string:
		e.str(v, e.maxValue)
	case json.Number:
		if len(v) > maxNumber {
			e.str(v.String(), e.maxValue)
			return
		}
		e.buf = append(e.buf, v...)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case []any:
		elements(e, v, depth+1, func(element any) { e.decoded(element, depth+1) })
	case map[string]any:
		e.object(v, depth+1)
	default:
		e.buf = append(e.buf, "null"...)
	}
}

// object writes the members of an object in the order of their names.
func (e *encoder) object(members map[string]any, depth int) {
	if depth > maxDepth {
		e.quote("…")
		return
	}
	scope := len(e.keys)
	e.buf = append(e.buf, '{')
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i == maxElements || e.full() {
			break
		}
		e.key(name, scope)
		e.decoded(members[name], depth)
	}
	if cut := len(members) - maxElements; cut > 0 {
		e.key("cut", scope)
		e.buf = strconv.AppendInt(e.buf, int64(cut), 10)
	}
	e.buf = append(e.buf, '}')
	e.keys = e.keys[:scope]
}

// elements writes a list. One that is too long ends with how many are left out.
func elements[T any](e *encoder, list []T, depth int, write func(T)) {
	if depth > maxDepth {
		e.quote("…")
		return
	}
	e.buf = append(e.buf, '[')
	for i, element := range list {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if i == maxElements {
			e.quote("…(" + strconv.Itoa(len(list)) + " elements)")
			break
		}
		if e.full() {
			break
		}
		write(element)
	}
	e.buf = append(e.buf, ']')
}

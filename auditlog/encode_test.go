package auditlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	tests := []struct{ in, want string }{
		{"alice", "alice"},
		{`CORP\alice "x"`, `CORP\alice "x"`},
		{"a\r\nb\tc", "a␍␊b␉c"},
		{"\x1b[31mred\x1b[0m", "␛[31mred␛[0m"},
		{"a\x00b\x7f", "a␀b␡"},
		{"a\u2028b\u2029c\u0085", "a�b�c�"},
		{"\xff\xfe\xc3", "���"},
		{"\xed\xa0\x80", "���"},               // a surrogate
		{"user\u202egnp.exe", "user�gnp.exe"}, // written from right to left
		{"ali\u200bce\ufeff", "ali�ce�"},      // nothing to be seen
		{"Müller 東京 😀 �", "Müller 東京 😀 �"},    // all of it can be seen
		{"\u3000\u00a0", "\u3000\u00a0"},      // spaces
		{strings.Repeat("x", 200), strings.Repeat("x", 100-len("…(200 bytes)")) + "…(200 bytes)"},
		{strings.Repeat("\n", 100), strings.Repeat("␊", 28) + "…(100 bytes)"},
	}
	for _, test := range tests {
		if got := Clean(test.in, 100); got != test.want {
			t.Errorf("Clean(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	if got := Clean("äöü", 3); got != "ä" {
		t.Errorf("cut within a character: %q", got)
	}
	if got := Clean("x", -1); got != "" {
		t.Errorf("a negative limit: %q", got)
	}
}

func TestCleanHoldsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "text") {
			s = rapid.String().Draw(t, "text")
		}
		checkClean(t, s, rapid.IntRange(0, 200).Draw(t, "limit"))
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkClean(t fataler, s string, limit int) {
	t.Helper()
	c := Clean(s, limit)
	switch {
	case len(c) > limit:
		t.Fatalf("Clean(%q, %d) has %d bytes", s, limit, len(c))
	case !utf8.ValidString(c):
		t.Fatalf("Clean(%q, %d) = %q is not UTF-8", s, limit, c)
	case strings.ContainsFunc(c, func(r rune) bool { return r != utf8.RuneError && !unicode.IsGraphic(r) }):
		t.Fatalf("Clean(%q, %d) = %q holds what cannot be seen", s, limit, c)
	case Clean(c, limit) != c:
		t.Fatalf("Clean(%q, %d) = %q, and cleaned again %q", s, limit, c, Clean(c, limit))
	}
}

// hostile is what somebody sends who wants to forge a record.
var hostile = []string{
	"\r\n{\"seq\":1,\"event\":\"egress.intent\"}",
	`","event":"audit.checkpoint","x":"`,
	"\u2028{}\u2029", "\u0085\v\f", "\x1b[2J\x1b]0;owned\a", "\x00", "\xff\xfe\xfd", "\xc0\xaf",
	`\u000a`, `\`, `"`, `'`, "`", "</script>", "\u202e\u2066", "\ufeff",
	strings.Repeat("A", 64<<10), strings.Repeat("\n", 64<<10), strings.Repeat("\xff", 64<<10), strings.Repeat(`"`, 64<<10),
}

type hostileValue string

func (h hostileValue) LogValue() slog.Value { return slog.StringValue(string(h)) }

type hostileJSON string

func (h hostileJSON) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{string(h): string(h)})
}

// fields puts a string into a field of each kind.
func fields(s string) []slog.Attr {
	raw, _ := json.Marshal([]any{s, map[string]any{s: s}})
	return []slog.Attr{
		slog.String("string", s),
		slog.String(s, "key"),
		slog.Any("strings", []string{s, s}),
		slog.Group(s, slog.String(s, s), slog.Group("inner", slog.String("x", s))),
		slog.Any("error", errors.New(s)),
		slog.Any("raw", json.RawMessage(raw)),
		slog.Any("not raw", json.RawMessage(s)),
		slog.Any("marshaler", hostileJSON(s)),
		slog.Any("valuer", hostileValue(s)),
		slog.Any("map", map[string]any{s: []any{s, 1.5, nil, true}}),
		slog.Any("struct", struct{ X string }{s}),
		slog.Any("stringer", time.Second), slog.Any("none", nil), slog.Any("no JSON", make(chan int)),
		slog.Duration("duration", time.Second), slog.Time("time", time.Unix(1, 2)), slog.Bool("bool", true),
		slog.Float64("float", 1e300), slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(-1)), slog.Uint64("uint", math.MaxUint64),
	}
}

// Whatever is in a field, the record is one line of JSON with its own event,
// and with nothing in it that a terminal would obey.
func TestNothingCanBeForged(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	appended := 0
	for _, s := range hostile {
		for _, a := range fields(s) {
			mustAppend(t, l, "probe", a, slog.String("mark", "genuine"))
			appended++
		}
		mustAppend(t, l, s, slog.String("mark", "event"))
		mustAppend(t, l, "all", fields(s)...)
	}
	mustClose(t, l)
	wantIntact(t, path)
	probes := 0
	for _, r := range records(t, path) {
		checkLine(t, string(r.Raw), DefaultMaxRecord+300)
		var fields map[string]any
		if err := json.Unmarshal(r.Raw, &fields); err != nil {
			t.Fatalf("%s: %v", r.Raw, err)
		}
		if r.Event == "probe" {
			probes++
			if fields["mark"] != "genuine" || fields["event"] != "probe" || fields["seq"] != float64(r.Seq) {
				t.Errorf("forged: %.200s", r.Raw)
			}
		}
	}
	if probes != appended {
		t.Errorf("%d records, want %d", probes, appended)
	}
}

func checkLine(t testing.TB, raw string, limit int) {
	t.Helper()
	bad := func(r rune) bool { return r != utf8.RuneError && !unicode.IsGraphic(r) }
	if !json.Valid([]byte(raw)) || !utf8.ValidString(raw) || strings.ContainsFunc(raw, bad) || len(raw) > limit {
		t.Errorf("%.300q (%d bytes) is not one clean line of JSON", raw, len(raw))
	}
}

func encodeForTest(event string, attrs ...slog.Attr) string {
	e := newEncoder(DefaultMaxValue, 1024)
	defer e.free()
	e.encode(event, attrs)
	return "{" + string(e.buf) + "}"
}

func TestEncodedFields(t *testing.T) {
	deep := json.RawMessage(strings.Repeat(`[`, 20) + strings.Repeat(`]`, 20))
	many := make([]string, 200)
	tests := []struct {
		name  string
		attrs []slog.Attr
		want  string
	}{
		{"nothing", nil, `{"event":"x"}`},
		{"names of the log", []slog.Attr{slog.Int("seq", 1), slog.String("event", "y"), slog.Int("cut", 2)}, `{"event":"x","seq#2":1,"event#2":"y","cut#2":2}`},
		{"a name twice", []slog.Attr{slog.Int("a", 1), slog.Int("a", 2), slog.Int("a", 3), slog.Int("a#2", 4)}, `{"event":"x","a":1,"a#2":2,"a#3":3,"a#2#2":4}`},
		{"an empty name", []slog.Attr{slog.Int("", 1)}, `{"event":"x","_":1}`},
		{"names in a group", []slog.Attr{slog.Group("g", slog.Int("seq", 1), slog.Int("a", 1), slog.Int("a", 2)), slog.Int("a", 3)}, `{"event":"x","g":{"seq":1,"a":1,"a#2":2},"a":3}`},
		{"a group without a name", []slog.Attr{slog.Group("", slog.Int("a", 1), slog.Int("seq", 1))}, `{"event":"x","a":1,"seq#2":1}`},
		{"JSON with a name twice", []slog.Attr{slog.Any("j", json.RawMessage(`{"b":1,"a":1e400,"b":2}`))}, `{"event":"x","j":{"a":1e400,"b":2}}`},
		{"two values as JSON", []slog.Attr{slog.Any("j", json.RawMessage(`1 2`))}, `{"event":"x","j":"1 2"}`},
		{"a long number", []slog.Attr{slog.Any("j", json.RawMessage(strings.Repeat("1", 65)))}, `{"event":"x","j":"` + strings.Repeat("1", 65) + `"}`},
		{"deep JSON", []slog.Attr{slog.Any("j", deep)}, `{"event":"x","j":[[[[["…"]]]]]}`},
		{"a long list", []slog.Attr{slog.Any("l", many)}, `{"event":"x","l":[` + strings.Repeat(`"",`, 128) + `"…(200 elements)"]}`},
		{"too much", []slog.Attr{slog.Int("a", 1), slog.String("b", strings.Repeat("x", 1100)), slog.Int("c", 3)}, `{"event":"x","a":1,"c":3,"cut":1}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := encodeForTest("x", test.attrs...)
			if test.name == "deep JSON" {
				if !json.Valid([]byte(got)) || !strings.Contains(got, `["…"]`) {
					t.Errorf("got %s", got)
				}
				return
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestOwnEventsCannotBeAppended(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	for _, event := range []string{EventFile, EventCheckpoint, EventDegraded, EventRecovered, EventDropped} {
		mustAppend(t, l, event)
	}
	mustClose(t, l)
	wantIntact(t, path)
	all := records(t, path)
	if count(all, EventDegraded) != 0 || count(all, EventDegraded+"#2") != 1 {
		t.Error("a caller can write the records of the log")
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range hostile[:16] {
		f.Add(s, s, s, []byte(`{"a":[1,"`+"x"+`"]}`), int64(1), 1.5)
	}
	f.Fuzz(func(t *testing.T, event, key, value string, raw []byte, n int64, x float64) {
		e := newEncoder(64, 512)
		defer e.free()
		e.encode(event, []slog.Attr{
			slog.String(key, value), slog.Any(key, json.RawMessage(raw)), slog.Group(value, slog.Int64(key, n), slog.Float64(key, x)),
			slog.Any("list", []string{value, key}), slog.Time(value, time.Unix(n, 0)), slog.String("mark", "genuine"),
		})
		text := string(appendLine(nil, 7, time.Unix(0, 0), testHash, e.buf))
		raw, ok := []byte(strings.TrimSuffix(text, "\n")), strings.Count(text, "\n") == 1
		l, err := parseLine(raw)
		if !ok || err != nil || l.seq != 7 || l.event != Clean(event, maxKey) {
			t.Fatalf("%q is not the record of %q: %v", text, event, err)
		}
		checkLine(t, string(raw), 1024)
		checkUnique(t, raw)
		checkClean(t, value, 64)
	})
}

// checkUnique wants that no name comes twice in the outermost object.
func checkUnique(t *testing.T, raw []byte) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	seen := map[string]bool{}
	_, _ = decoder.Token()
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		if seen[fmt.Sprint(name)] {
			t.Fatalf("%q comes twice in %s", name, raw)
		}
		seen[fmt.Sprint(name)] = true
		var v any
		if err := decoder.Decode(&v); err != nil {
			t.Fatal(err)
		}
	}
}

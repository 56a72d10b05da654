package caddymodule

// This file checks that each record is one line that people can read, whatever
// somebody writes into it.

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"pgregory.net/rapid"
)

// encoded is the line of a record with the fields.
func encoded(t interface {
	Helper()
	Fatal(args ...any)
}, encoder zapcore.Encoder, message string, fields ...zap.Field,
) string {
	t.Helper()
	at := time.Date(2026, time.November, 23, 12, 34, 56, 0, time.UTC)
	line, err := encoder.EncodeEntry(zapcore.Entry{Message: message, Time: at}, fields)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Free()
	return line.String()
}

func newTrail() zapcore.Encoder {
	return TrailEncoder{}.CaddyModule().New().(*TrailEncoder)
}

func TestTrail(t *testing.T) {
	all := func(changes ...zap.Field) []zap.Field {
		return append([]zap.Field{
			zap.String("identity", "alice"), zap.String("user", "alice.liddell"), zap.String("site", "finance"),
			zap.String("method", "GET"), zap.String("route", "/sites/{site}/workbooks"), zap.Int("status", 200),
			zap.String("how", "session reused"), zap.String("session", "0123456789abcdef"),
		}, changes...)
	}
	tests := []struct {
		name   string
		fields []zap.Field
		want   string
	}{
		{"request", all(), "12:34:56  alice as alice.liddell, site finance  GET /sites/{site}/workbooks  200  session reused\n"},
		{"operation", all(zap.String("operation", "query_workbooks_for_site")), "12:34:56  alice as alice.liddell, site finance  query_workbooks_for_site  GET /sites/{site}/workbooks  200  session reused\n"},
		{"Default site", all(zap.String("site", "")), "12:34:56  alice as alice.liddell, site Default  GET /sites/{site}/workbooks  200  session reused\n"},
		{
			"refused",
			[]zap.Field{
				zap.String("identity", "mallory"), zap.String("user", ""), zap.String("method", "GET"), zap.String("route", "/sites"),
				zap.Int("status", 403), zap.String("how", "no session"), zap.String("error", "identity_not_mapped"),
			},
			"12:34:56  mallory, no site  GET /sites  403  no session, identity_not_mapped\n",
		},
		{"nobody", []zap.Field{zap.String("method", "GET"), zap.Int("status", 401), zap.String("how", "no session")}, "12:34:56  nobody, no site  GET (not an API path)  401  no session\n"},
		{"nothing", nil, "12:34:56  nobody, no site  ? (not an API path)  0  \n"},
		{"line feed", all(zap.String("identity", "alice\n12:34:57  bob")), `12:34:56  "alice\n12:34:57  bob" as alice.liddell, site finance  GET /sites/{site}/workbooks  200  session reused` + "\n"},
		{"escape sequence", all(zap.String("user", "\x1b[2Jroot")), `12:34:56  alice as "\x1b[2Jroot", site finance  GET /sites/{site}/workbooks  200  session reused` + "\n"},
		{"what looks like columns", all(zap.String("identity", "alice  as")), `12:34:56  "alice  as" as alice.liddell, site finance  GET /sites/{site}/workbooks  200  session reused` + "\n"},
		{"quotes", all(zap.String("identity", `al"ice`)), `12:34:56  "al\"ice" as alice.liddell, site finance  GET /sites/{site}/workbooks  200  session reused` + "\n"},
		{"letters beyond ASCII", all(zap.String("identity", "andr\u00e9")), `12:34:56  "andr\u00e9" as alice.liddell, site finance  GET /sites/{site}/workbooks  200  session reused` + "\n"},
		{"method of a stranger", all(zap.String("method", "X\r\nY")), `12:34:56  alice as alice.liddell, site finance  "X\r\nY" /sites/{site}/workbooks  200  session reused` + "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := encoded(t, newTrail(), auditMessage, test.fields...); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestTrailLeavesOtherEntriesOut(t *testing.T) {
	if got := encoded(t, newTrail(), "signed out at Tableau", zap.String("identity", "alice")); got != "" {
		t.Errorf("it writes %q", got)
	}
}

// One record is one line of printable ASCII, whatever is in its fields.
func TestTrailIsOneLine(t *testing.T) {
	nasty := []string{
		"\r\n", "\n", "\v", "\f", "\x00", "\x1b[31m", "\x9b31m", "\u0085", "\u2028", "\u2029", "\u202e", "\u200b", `"`, `\`, `"},{"`, "\xff\xfe",
		strings.Repeat("x", 64<<10), strings.Repeat("\n", 64<<10),
	}
	values := rapid.OneOf(rapid.String(), rapid.SampledFrom(nasty), rapid.Map(rapid.SliceOf(rapid.SampledFrom(nasty[:16])), func(s []string) string { return strings.Join(s, "a") }))
	rapid.Check(t, func(rt *rapid.T) {
		var fields []zap.Field
		for _, name := range []string{"identity", "user", "site", "method", "route", "how", "error", "session"} {
			fields = append(fields, zap.String(name, values.Draw(rt, name)))
		}
		line := encoded(rt, newTrail(), auditMessage, fields...)
		text, ok := strings.CutSuffix(line, "\n")
		if !ok || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
			rt.Fatalf("not one line of printable characters: %q", line)
		}
	})
}

// An encoder that a logger has given fields keeps them to itself.
func TestTrailClone(t *testing.T) {
	one := newTrail()
	zap.String("identity", "alice").AddTo(one)
	two := one.Clone()
	zap.String("identity", "bob").AddTo(two)
	for _, test := range []struct {
		encoder zapcore.Encoder
		want    string
	}{{one, "alice"}, {two, "bob"}} {
		if got := encoded(t, test.encoder, auditMessage); !strings.Contains(got, "  "+test.want+", ") {
			t.Errorf("%q, want %s in it", got, test.want)
		}
	}
	if got := encoded(t, one, auditMessage, zap.String("identity", "carol")); !strings.Contains(got, "carol") {
		t.Errorf("%q, want carol in it", got)
	}
	if got := encoded(t, one, auditMessage); !strings.Contains(got, "alice") {
		t.Errorf("a record has changed its logger's fields: %q", got)
	}
}

package auditlog

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

var testHash = tlog.RecordHash([]byte("the record before"))

func TestParseLine(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 44, 7, 5, time.UTC)
	good := string(appendLine(nil, 12, at, testHash, []byte(`"event":"policy.deny","user":"alice"`)))
	good = strings.TrimSuffix(good, "\n")
	l, err := parseLine([]byte(good))
	if err != nil || l.seq != 12 || !l.time().Equal(at) || l.prev != testHash || l.event != "policy.deny" {
		t.Fatalf("parseLine(%s) = %+v, %v", good, l, err)
	}
	for name, bad := range map[string]string{
		"empty":             "",
		"cut":               good[:len(good)-1],
		"more":              good + "}",
		"a leading zero":    strings.Replace(good, `"seq":12`, `"seq":012`, 1),
		"a negative number": strings.Replace(good, `"seq":12`, `"seq":-2`, 1),
		"no number":         strings.Replace(good, `"seq":12`, `"seq":`, 1),
		"a huge number":     strings.Replace(good, `"seq":12`, `"seq":1234567890123456789`, 1),
		"a space":           strings.Replace(good, `"seq":12`, `"seq": 12`, 1),
		"another order":     `{"ts":"2026-11-23T14:44:07.000000005Z","seq":12}`,
		"a short hash":      strings.Replace(good, `="`, `"`, 1),
		"no event":          strings.Replace(good, `"event":"policy.deny",`, ``, 1),
		"an event in JSON":  strings.Replace(good, `"policy.deny"`, `{}`, 1),
		"a carriage return": good + "\r",
	} {
		if _, err := parseLine([]byte(bad)); err == nil {
			t.Errorf("%s: %s is accepted", name, bad)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add(bytes.TrimSuffix(appendLine(nil, 12, time.Unix(1, 2), testHash, []byte(`"event":"x","a":1`)), []byte("\n")))
	f.Add(bytes.TrimSuffix(appendLine(nil, 0, time.Unix(1, 2), tlog.Hash{}, []byte(`"event":"\"\\"`)), []byte("\n")))
	signer, err := testKey().signer()
	if err != nil {
		f.Fatal(err)
	}
	var t0 tree
	t0.push(testHash)
	c, err := signCheckpoint(signer, &t0, time.Unix(5, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSuffix(appendLine(nil, 1, c.Time, testHash, appendAnchor(nil, EventCheckpoint, "", "", c, &t0)), []byte("\n")))
	f.Add([]byte(`{"seq":1,"ts":"2026-11-23T14:44:07.000000005Z","prev":"","event":"x"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parseLine(raw)
		if err != nil {
			return
		}
		_, _ = parseAnchor(l, testKeys()) // must not panic
		// What is accepted is what would have been written.
		at := l.time()
		if at.IsZero() {
			return
		}
		body := raw[bytes.Index(raw, []byte(`"event":`)) : len(raw)-1]
		again := appendLine(nil, l.seq, at, l.prev, body)
		if !bytes.Equal(again[:len(again)-1], raw) {
			t.Errorf("%s is accepted, and would have been written as %s", raw, again)
		}
	})
}

package auditlog

// This file holds the machine that TestLogAgainstAModel drives.

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A machine is an open log, and the names of the records that it should hold.
type machine struct {
	t     *testing.T
	dir   string
	path  string
	opts  Options
	log   *Log
	names []string // acknowledged, or followed by one that was
	loose []string // taken, and not acknowledged yet
	next  int
}

// move begins a directory that no earlier run has used.
func (m *machine) move() {
	dir, err := os.MkdirTemp(m.dir, "log")
	if err != nil {
		m.t.Fatal(err)
	}
	m.path = filepath.Join(dir, "audit.log")
}

func (m *machine) name() string {
	m.next++
	return "r" + strconv.Itoa(m.next)
}

func (m *machine) append(rt *rapid.T) {
	name := m.name()
	pad := strings.Repeat("x", rapid.IntRange(0, 800).Draw(rt, "pad"))
	mustAppend(m.t, m.log, "x", slog.String("name", name), slog.String("pad", pad))
	m.names = append(append(m.names, m.loose...), name)
	m.loose = nil
}

func (m *machine) appendAsync(*rapid.T) {
	name := m.name()
	if err := m.log.AppendAsync("x", slog.String("name", name)); err != nil {
		m.t.Fatal(err)
	}
	m.loose = append(m.loose, name)
}

func (m *machine) rotate(*rapid.T) {
	if err := m.log.Rotate(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) reopen(*rapid.T) {
	mustClose(m.t, m.log)
	m.names, m.loose = append(m.names, m.loose...), nil
	m.log = mustOpen(m.t, m.path, m.opts)
}

// crash goes on with what a crash would have left: the files as they are at
// this moment, and perhaps a piece of what was being written.
func (m *machine) crash(rt *rapid.T) {
	files := mustFiles(m.t, m.path)
	old := m.log
	m.move()
	for _, name := range files {
		data := readFileT(m.t, name)
		if name == files[len(files)-1] {
			data = tear(rt, data)
		}
		writeFileT(m.t, filepath.Join(filepath.Dir(m.path), filepath.Base(name)), data)
	}
	mustClose(m.t, old)
	m.log = mustOpen(m.t, m.path, m.opts)
	m.resolve()
}

// tear puts the beginning of a line after the end of a file.
func tear(rt *rapid.T, data []byte) []byte {
	end := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
	last := data[end:]
	return append(slices.Clip(data), last[:rapid.IntRange(0, len(last)-1).Draw(rt, "torn")]...)
}

// resolve decides about the records that were taken and not acknowledged: they
// may have become durable, in their order.
func (m *machine) resolve() {
	held := m.held()
	for len(m.loose) > 0 && slices.Contains(held, m.loose[0]) {
		m.names, m.loose = append(m.names, m.loose[0]), m.loose[1:]
	}
	m.loose = nil
}

// garbage is what somebody else appends to the file of an open log.
func (m *machine) garbage(rt *rapid.T) {
	f, err := os.OpenFile(m.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	// A record has to follow, so that the log gets to see it.
	defer m.append(rt)
	if len(m.loose) == 0 { // nobody else writes now
		_, _ = f.WriteString("garbage\n")
	}
}

// held is the names that the log holds.
func (m *machine) held() (names []string) {
	for _, r := range records(m.t, m.path) {
		if r.Event != "x" {
			continue
		}
		var fields struct{ Name string }
		if err := json.Unmarshal(r.Raw, &fields); err != nil {
			m.t.Fatal(err)
		}
		names = append(names, fields.Name)
	}
	return names
}

func (m *machine) verify(rt *rapid.T) {
	m.append(rt) // waits for those that were not acknowledged
	wantIntact(m.t, m.path)
	if held := m.held(); !slices.Equal(held, m.names) {
		m.t.Fatalf("the log holds %v, want %v", held, m.names)
	}
}

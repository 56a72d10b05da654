package auditlog

// This file alters logs in every way that its author could think of, and wants
// each to be found. AUDITLOG_TAMPERINGS says how many (default 504), AUDITLOG_SEED
// repeats a run, and AUDITLOG_REPORT names a file for its counts.

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A specimen is a closed log that is to be altered: several files, each a list
// of lines with their line feeds.
type specimen struct {
	names []string // base names, in the order of the records
	files [][]string
	held  []Checkpoint
}

func (s *specimen) clone() *specimen {
	c := &specimen{names: slices.Clone(s.names), held: s.held}
	for _, lines := range s.files {
		c.files = append(c.files, slices.Clone(lines))
	}
	return c
}

// write writes the specimen into a directory and returns the path of the log.
func (s *specimen) write(t *testing.T, dir string) string {
	t.Helper()
	for i, name := range s.names {
		if name != "" {
			writeFileT(t, filepath.Join(dir, name), []byte(strings.Join(s.files[i], "")))
		}
	}
	return filepath.Join(dir, "audit.log")
}

func readSpecimen(t *testing.T, path string) *specimen {
	t.Helper()
	s := &specimen{}
	for _, name := range mustFiles(t, path) {
		s.names = append(s.names, filepath.Base(name))
		lines := strings.SplitAfter(string(readFileT(t, name)), "\n")
		s.files = append(s.files, lines[:len(lines)-1])
	}
	return s
}

// newSpecimen writes a log with a key. What it says depends on the seed.
func newSpecimen(t *testing.T, key SigningKey, seed uint64) *specimen {
	t.Helper()
	path := logPath(t)
	opts := quickOptions()
	opts.Key, opts.Reserve, opts.CheckpointEvery = key, -1, 16
	var held []Checkpoint
	opts.Checkpointed = func(c Checkpoint) { held = append(held, c) }
	l := mustOpen(t, path, opts)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range 250 {
		user, status := slog.String("user", fmt.Sprintf("user%d", rng.IntN(1000))), slog.Int("status", 200+rng.IntN(300))
		if err := l.AppendAsync("egress.intent", user, status); err != nil {
			t.Fatal(err)
		}
		if i%60 == 59 {
			mustAppend(t, l, "session.signin") // waits for those before it
			if err := l.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, l)
	s := readSpecimen(t, path)
	s.held = held[len(held)-1:]
	return s
}

// strangerKey is a key of the same name as that of the tests.
var strangerKey = sync.OnceValue(func() SigningKey { return newKey(testKeyName) })

var otherSpecimens = map[string]*specimen{}

// otherSpecimen is one of a few logs that say something else.
func otherSpecimen(t *testing.T, key SigningKey, rng *rand.Rand) *specimen {
	t.Helper()
	seed := uint64(1e12) + rng.Uint64N(4)
	name := fmt.Sprint(key.VerifierKey(), seed)
	if otherSpecimens[name] == nil {
		otherSpecimens[name] = newSpecimen(t, key, seed)
	}
	return otherSpecimens[name]
}

// pick is a random file, and a random line in it that is not its head.
func (s *specimen) pick(rng *rand.Rand) (file, line int) {
	file = rng.IntN(len(s.files))
	return file, 1 + rng.IntN(len(s.files[file])-1)
}

// record is a random line that is a record of the caller.
func (s *specimen) record(rng *rand.Rand) (file, line int) {
	for {
		file, line = s.pick(rng)
		if strings.Contains(s.files[file][line], `"egress.intent"`) {
			return file, line
		}
	}
}

// checkpoint is a random line that is a checkpoint.
func (s *specimen) checkpoint(rng *rand.Rand) (file, line int) {
	for {
		file, line = s.pick(rng)
		if strings.Contains(s.files[file][line], `"audit.checkpoint"`) {
			return file, line
		}
	}
}

func seqOf(text string) int64 {
	l, err := parseLine([]byte(strings.TrimSuffix(text, "\n")))
	if err != nil {
		panic(err)
	}
	return l.seq
}

// rechain gives the lines of all files numbers and hashes that fit, as somebody
// would who knows how the log works and does not have its key.
func (s *specimen) rechain() {
	var prev tlog.Hash
	seq := int64(0)
	for _, lines := range s.files {
		for i, text := range lines {
			l, err := parseLine([]byte(strings.TrimSuffix(text, "\n")))
			if err != nil {
				panic(err)
			}
			body := text[strings.Index(text, `"event":`) : len(text)-2]
			lines[i] = string(appendLine(nil, seq, l.time(), prev, []byte(body)))
			prev = tlog.RecordHash([]byte(strings.TrimSuffix(lines[i], "\n")))
			seq++
		}
	}
}

// flat is the whole text of a file; split makes lines of it again.
func (s *specimen) edit(file int, edit func(data []byte) []byte) {
	data := edit([]byte(strings.Join(s.files[file], "")))
	s.files[file] = []string{string(data)}
}

// A tampering alters a specimen. It returns the range of records in which
// something should be found, or -1, -1 for anywhere.
type tampering struct {
	name   string
	held   bool // it can only be told with a checkpoint that was held outside
	tamper func(t *testing.T, s *specimen, rng *rand.Rand) (first, last int64)
}

var tamperings = []tampering{
	{"bit flipped", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.edit(rng.IntN(len(s.files)), func(data []byte) []byte {
			data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
			return data
		})
		return -1, -1
	}},
	{"bit flipped in a record", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		seq, data := seqOf(s.files[file][i]), []byte(s.files[file][i])
		data[strings.Index(string(data), `"user"`)+1+rng.IntN(20)] ^= 1
		s.files[file][i] = string(data)
		return seq, seq
	}},
	{"byte removed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.edit(rng.IntN(len(s.files)), func(data []byte) []byte {
			i := rng.IntN(len(data))
			return slices.Delete(data, i, i+1)
		})
		return -1, -1
	}},
	{"byte inserted", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.edit(rng.IntN(len(s.files)), func(data []byte) []byte {
			return slices.Insert(data, rng.IntN(len(data)), byte(rng.IntN(256)))
		})
		return -1, -1
	}},
	{"bytes zeroed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.edit(rng.IntN(len(s.files)), func(data []byte) []byte {
			i := rng.IntN(len(data))
			clear(data[i:min(len(data), i+1+rng.IntN(600))])
			return data
		})
		return -1, -1
	}},
	{"user changed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		seq := seqOf(s.files[file][i])
		s.files[file][i] = strings.Replace(s.files[file][i], `"user":"user`, `"user":"mallory`, 1)
		return seq, seq
	}},
	{"several records changed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		first := seqOf(s.files[file][i])
		end := min(len(s.files[file]), i+1+rng.IntN(5))
		for j := i; j < end; j++ {
			s.files[file][j] = strings.Replace(s.files[file][j], `"user":"user`, `"user":"mallory`, 1)
		}
		return first, first + int64(end-i) - 1
	}},
	{"time changed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		l, _ := parseLine([]byte(strings.TrimSuffix(s.files[file][i], "\n")))
		other := l.time().Add(time.Duration(1 + rng.Int64N(int64(time.Hour)))).Format(timeLayout)
		s.files[file][i] = strings.Replace(s.files[file][i], l.ts, other, 1)
		return l.seq, l.seq
	}},
	{"record changed, hashes made to fit", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		s.files[file][i] = strings.Replace(s.files[file][i], `"user":"user`, `"user":"mallory`, 1)
		s.rechain()
		return -1, -1
	}},
	{"record removed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		seq := seqOf(s.files[file][i])
		s.files[file] = slices.Delete(s.files[file], i, i+1)
		return seq, seq
	}},
	{"range removed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		for i == len(s.files[file])-1 { // the very end of the log is another test
			file, i = s.pick(rng)
		}
		end := i + 1 + rng.IntN(len(s.files[file])-1-i)
		first, last := seqOf(s.files[file][i]), seqOf(s.files[file][end-1])
		s.files[file] = slices.Delete(s.files[file], i, end)
		return first, last
	}},
	{"record removed, hashes made to fit", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		s.files[file] = slices.Delete(s.files[file], i, i+1)
		s.rechain()
		return -1, -1
	}},
	{"neighbours swapped", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		for i == len(s.files[file])-1 {
			file, i = s.pick(rng)
		}
		lines := s.files[file]
		first := seqOf(lines[i])
		lines[i], lines[i+1] = lines[i+1], lines[i]
		return first, first + 1
	}},
	{"records swapped", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		f1, i := s.record(rng)
		f2, j := s.record(rng)
		for f1 == f2 && i == j {
			f2, j = s.record(rng)
		}
		s.files[f1][i], s.files[f2][j] = s.files[f2][j], s.files[f1][i]
		return -1, -1
	}},
	{"record moved", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.record(rng)
		text := s.files[file][i]
		lines := slices.Delete(s.files[file], i, i+1)
		to := 1 + rng.IntN(len(lines))
		for to == i {
			to = 1 + rng.IntN(len(lines))
		}
		s.files[file] = slices.Insert(lines, to, text)
		return -1, -1
	}},
	{"records reversed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		for i >= len(s.files[file])-1 {
			file, i = s.pick(rng)
		}
		end := i + 2 + rng.IntN(len(s.files[file])-1-i)
		first, last := seqOf(s.files[file][i]), seqOf(s.files[file][end-1])
		slices.Reverse(s.files[file][i:end])
		return first, last
	}},
	{"record doubled", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		seq := seqOf(s.files[file][i])
		s.files[file] = slices.Insert(s.files[file], i, s.files[file][i])
		return seq - 1, seq + 1
	}},
	{"record copied elsewhere", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		f1, i := s.pick(rng)
		f2, j := s.pick(rng)
		s.files[f2] = slices.Insert(s.files[f2], j, s.files[f1][i])
		return -1, -1
	}},
	{"record replaced by another", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		f1, i := s.record(rng)
		f2, j := s.record(rng)
		for f1 == f2 && i == j {
			f2, j = s.record(rng)
		}
		seq := seqOf(s.files[f1][i])
		s.files[f1][i] = s.files[f2][j]
		return seq, seq
	}},
	{"record invented", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		before := strings.TrimSuffix(s.files[file][i-1], "\n")
		seq := seqOf(before) + 1
		made := appendLine(nil, seq, time.Now(), tlog.RecordHash([]byte(before)), []byte(`"event":"egress.intent","user":"alice"`))
		s.files[file] = slices.Insert(s.files[file], i, string(made))
		return seq - 1, seq
	}},
	{"record invented, hashes made to fit", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		made := appendLine(nil, 0, time.Now(), tlog.Hash{}, []byte(`"event":"egress.intent","user":"alice"`))
		s.files[file] = slices.Insert(s.files[file], i, string(made))
		s.rechain()
		return -1, -1
	}},
	{"line that is no record", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		junk := []string{"\n", "{}\n", "hello\n", "null\n", strings.Repeat("x", maxLine+5) + "\n", "\r\n"}
		s.files[file] = slices.Insert(s.files[file], i, junk[rng.IntN(len(junk))])
		return -1, -1
	}},
	{"line ends of Windows", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.pick(rng)
		s.files[file][i] = strings.TrimSuffix(s.files[file][i], "\n") + "\r\n"
		return -1, -1
	}},
	{"checkpoint removed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.checkpoint(rng)
		for file == len(s.files)-1 && i == len(s.files[file])-1 {
			file, i = s.checkpoint(rng)
		}
		seq := seqOf(s.files[file][i])
		s.files[file] = slices.Delete(s.files[file], i, i+1)
		return seq, seq
	}},
	{"checkpoint edited", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.checkpoint(rng)
		seq, data := seqOf(s.files[file][i]), []byte(s.files[file][i])
		begin := bytes.Index(data, []byte(`"note"`))
		data[begin+rng.IntN(len(data)-begin-1)] ^= 1
		s.files[file][i] = string(data)
		return seq - 1, seq + 1
	}},
	{"checkpoint replaced by another", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		f1, i := s.checkpoint(rng)
		f2, j := s.checkpoint(rng)
		for f1 == f2 && i == j {
			f2, j = s.checkpoint(rng)
		}
		seq := seqOf(s.files[f1][i])
		body := s.files[f2][j][strings.Index(s.files[f2][j], `"event":`):]
		s.files[f1][i] = s.files[f1][i][:strings.Index(s.files[f1][i], `"event":`)] + body
		return seq - 1, seq + 1
	}},
	{"checkpoint signed by somebody else", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file, i := s.checkpoint(rng)
		raw := strings.TrimSuffix(s.files[file][i], "\n")
		l, _ := parseLine([]byte(raw))
		a, err := parseAnchor(l, testKeys())
		if err != nil {
			panic(err)
		}
		signer, _ := strangerKey().signer()
		c, _ := signCheckpoint(signer, &a.tree, a.checkpoint.Time)
		s.files[file][i] = string(appendLine(nil, l.seq, c.Time, l.prev, appendAnchor(nil, l.event, "", "", c, &a.tree)))
		return l.seq, l.seq
	}},
	{"end of an older file cut off", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file := rng.IntN(len(s.files) - 1)
		i := 1 + rng.IntN(len(s.files[file])-1)
		first, last := seqOf(s.files[file][i]), seqOf(s.files[file+1][0])-1
		s.files[file] = s.files[file][:i]
		return first, last
	}},
	{"older file removed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file := rng.IntN(len(s.files) - 1)
		first, last := seqOf(s.files[file][0]), seqOf(s.files[file+1][0])-1
		s.names[file] = ""
		return first, last
	}},
	{"older file emptied", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file := rng.IntN(len(s.files) - 1)
		first, last := seqOf(s.files[file][0]), seqOf(s.files[file+1][0])-1
		s.files[file] = nil
		return first, last
	}},
	{"files swapped", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		p := rng.Perm(len(s.files))
		s.names[p[0]], s.names[p[1]] = s.names[p[1]], s.names[p[0]]
		return -1, -1
	}},
	{"head of a file removed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file := rng.IntN(len(s.files))
		seq := seqOf(s.files[file][0])
		s.files[file] = s.files[file][1:]
		return max(seq-1, 0), seq + 1
	}},
	{"head of a file changed", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file := rng.IntN(len(s.files))
		seq := seqOf(s.files[file][0])
		s.files[file][0] = strings.Replace(s.files[file][0], `"log":"`, `"log":"X`, 1)
		return max(seq-1, 0), seq + 1
	}},
	{"files of another log put in", false, func(t *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		other := otherSpecimen(t, testKey(), rng)
		file := rng.IntN(len(s.files) - 1)
		s.files[file] = slices.Clone(other.files[file])
		return -1, -1
	}},
	{"something after the end", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		end := &s.files[len(s.files)-1]
		*end = append(*end, []string{"x", "\n", "{}\n", (*end)[0], (*end)[len(*end)-1]}[rng.IntN(5)])
		return -1, -1
	}},
	{"end cut in the middle of a record", false, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.edit(len(s.files)-1, func(data []byte) []byte {
			for {
				if i := 1 + rng.IntN(len(data)-1); data[i-1] != '\n' {
					return data[:i]
				}
			}
		})
		return -1, -1
	}},
	{"log written anew with another key", false, func(t *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.files = otherSpecimen(t, strangerKey(), rng).clone().files
		return -1, -1
	}},
	{"end cut off", true, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		file := rng.IntN(len(s.files))
		for i := file + 1; i < len(s.files); i++ {
			s.names[i] = ""
		}
		s.files[file] = s.files[file][:1+rng.IntN(len(s.files[file])-1)]
		return -1, -1
	}},
	{"last file removed", true, func(_ *testing.T, s *specimen, _ *rand.Rand) (int64, int64) {
		s.names[len(s.names)-1] = ""
		return -1, -1
	}},
	{"rolled back and continued by the log itself", true, func(t *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		last := len(s.files) - 1
		s.files[last] = s.files[last][:2] // head and checkpoint
		path := s.write(t, t.TempDir())
		opts := testOptions()
		opts.Reserve = -1
		l := mustOpen(t, path, opts)
		for range 1 + rng.IntN(20) {
			mustAppend(t, l, "egress.intent", slog.String("user", "user1"))
		}
		mustClose(t, l)
		s.files = readSpecimen(t, path).files
		return -1, -1
	}},
	{"log written anew with its key", true, func(t *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		s.files = otherSpecimen(t, testKey(), rng).clone().files
		return -1, -1
	}},
	{"record changed after the last checkpoint was cut off", true, func(_ *testing.T, s *specimen, rng *rand.Rand) (int64, int64) {
		last := len(s.files) - 1
		s.files[last] = s.files[last][:2]
		before := strings.TrimSuffix(s.files[last][1], "\n")
		made := appendLine(nil, seqOf(before)+1, time.Now(), tlog.RecordHash([]byte(before)), fmt.Appendf(nil, `"event":"x","n":%d`, rng.Int()))
		s.files[last] = append(s.files[last], string(made))
		return -1, -1
	}},
}

func TestEveryTamperingIsFound(t *testing.T) {
	runs := intFromEnv(t, "AUDITLOG_TAMPERINGS", 504)
	seed := uint64(intFromEnv(t, "AUDITLOG_SEED", int(time.Now().UnixNano()%1e9)))
	intact := newSpecimen(t, testKey(), seed)
	dir := t.TempDir()
	if r := verify(t, intact.write(t, dir), VerifyOptions{Held: intact.held}); !r.OK() {
		t.Fatalf("the log is altered before anybody has touched it: %v", r.Findings)
	}
	made, found, located := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range runs {
		kind := tamperings[i%len(tamperings)]
		made[kind.name]++
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		s := intact.clone()
		first, last := kind.tamper(t, s, rng)
		dir := t.TempDir()
		path := s.write(t, dir)
		opts := VerifyOptions{Keys: testKeys()}
		if kind.held {
			opts.Held = s.held
		}
		r := verify(t, path, opts)
		if r.OK() {
			t.Errorf("%s: not found (AUDITLOG_SEED=%d, number %d)", kind.name, seed, i)
			continue
		}
		found[kind.name]++
		if !meets(r.Findings, first, last) {
			t.Errorf("%s of records %d to %d: found elsewhere: %v (AUDITLOG_SEED=%d, number %d)", kind.name, first, last, r.Findings, seed, i)
			continue
		}
		located[kind.name]++
		os.RemoveAll(dir)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		t.Logf("%4d found, %4d in the right place: %s", found[name], located[name], name)
		total += found[name]
	}
	t.Logf("%d of %d tamperings of %d kinds found, seed %d", total, runs, len(tamperings), seed)
	if name := os.Getenv("AUDITLOG_REPORT"); name != "" {
		writeFileT(t, name, []byte(tamperReport(made, found, located, seed)))
	}
}

// tamperReport is the report of a run, with counts by kind.
func tamperReport(made, found, located map[string]int, seed uint64) string {
	var b strings.Builder
	sum := func(counts map[string]int) (n int) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	b.WriteString("# Tampering with the audit file\n\n")
	b.WriteString("An audit log of five files was altered at random places, once for each run, and then verified. Most kinds need\n")
	b.WriteString("nothing but the log and its public key; those marked with a star can only be told with a checkpoint that was kept\n")
	b.WriteString("elsewhere. *Where it was* is how often the finding was about the records that had been altered; where there are no\n")
	b.WriteString("such records, any finding counts.\n\n")
	fmt.Fprintf(&b, "| | |\n|---|---:|\n| **Tamperings** | %d |\n| **Found** | %d |\n| Found where it was | %d |\n| Kinds | %d |\n| Seed | %d |\n| Built with | %s, %s/%s |\n\n",
		sum(made), sum(found), sum(located), len(made), seed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	b.WriteString("| Kind | Made | Found | Where it was |\n|---|---:|---:|---:|\n")
	for _, kind := range tamperings {
		star := ""
		if kind.held {
			star = " *"
		}
		fmt.Fprintf(&b, "| %s%s | %d | %d | %d |\n", kind.name, star, made[kind.name], found[kind.name], located[kind.name])
	}
	fmt.Fprintf(&b, "\nTo repeat it: `AUDITLOG_SEED=%d make tampering TAMPERINGS=%d`.\n", seed, sum(made))
	return b.String()
}

// meets tells whether a finding is about the records from first to last.
func meets(findings []Finding, first, last int64) bool {
	return first < 0 || slices.ContainsFunc(findings, func(f Finding) bool { return f.First <= last && first <= f.Last })
}

func intFromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// The last line has no record after it that knows its hash. It is a checkpoint,
// of which each byte is signed or follows from what is.
func TestEveryBitOfTheLastLineCounts(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, quickOptions())
	mustAppend(t, l, "session.signin")
	mustClose(t, l)
	data := readFileT(t, path)
	for i := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1; i < len(data); i++ {
		for bit := range 8 {
			data[i] ^= 1 << bit
			writeFileT(t, path, data)
			if verify(t, path, VerifyOptions{}).OK() {
				t.Errorf("bit %d of byte %d, %q, does not count", bit, i, data[i])
			}
			data[i] ^= 1 << bit
		}
	}
}

// What is found is named, and located as exactly as can be.
func TestFindingsSayWhatAndWhere(t *testing.T) {
	intact := newSpecimen(t, testKey(), 7)
	lines := intact.files[1]
	at := func(i int) int64 { return seqOf(lines[i]) }
	tests := []struct {
		name   string
		tamper func(s *specimen)
		want   Finding // File, Line and Detail are not compared
	}{
		{"changed", func(s *specimen) { s.files[1][5] = strings.Replace(lines[5], "user", "User", 2) }, Finding{Kind: Changed, First: at(5), Last: at(5), Exact: true}},
		{"several changed", func(s *specimen) {
			for i := 5; i < 9; i++ {
				s.files[1][i] = strings.Replace(lines[i], `"user":"`, `"user":"m`, 1)
			}
		}, Finding{Kind: Changed, First: at(5), Last: at(8), Exact: true}},
		{"the link to the record before changed", func(s *specimen) {
			i := strings.Index(lines[5], `"prev":"`) + 12
			s.files[1][5] = lines[5][:i] + string(lines[5][i]^1) + lines[5][i+1:]
		}, Finding{Kind: Changed, First: at(5), Last: at(5), Exact: true}},
		{"no record any more", func(s *specimen) { s.files[1][5] = "gone\n" }, Finding{Kind: Changed, First: at(5), Last: at(5), Exact: true}},
		{"removed", func(s *specimen) { s.files[1] = slices.Delete(s.files[1], 5, 6) }, Finding{Kind: Removed, First: at(5), Last: at(5), Exact: true}},
		{"range removed", func(s *specimen) { s.files[1] = slices.Delete(s.files[1], 5, 8) }, Finding{Kind: Removed, First: at(5), Last: at(7)}},
		{"inserted", func(s *specimen) { s.files[1] = slices.Insert(s.files[1], 5, "{}\n") }, Finding{Kind: Inserted, First: at(4), Last: at(4), Exact: true}},
		{"doubled", func(s *specimen) { s.files[1] = slices.Insert(s.files[1], 5, lines[5]) }, Finding{Kind: Inserted, First: at(5), Last: at(5), Exact: true}},
		{"swapped", func(s *specimen) { s.files[1][5], s.files[1][9] = lines[9], lines[5] }, Finding{Kind: Reordered, First: at(5), Last: at(9), Exact: true}},
		{"hashes made to fit", func(s *specimen) {
			s.files[1][5] = strings.Replace(lines[5], `"user":"`, `"user":"m`, 1)
			s.rechain()
		}, Finding{Kind: Changed, First: at(1), Last: at(1) + 16}},
		{"file missing", func(s *specimen) { s.names[1] = "" }, Finding{Kind: MissingFile, First: at(0), Last: seqOf(intact.files[2][0]) - 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := intact.clone()
			test.tamper(s)
			r := verify(t, s.write(t, t.TempDir()), VerifyOptions{})
			if len(r.Findings) == 0 {
				t.Fatal("nothing was found")
			}
			got := r.Findings[0]
			got.File, got.Line, got.Detail = "", 0, ""
			if got != test.want {
				t.Errorf("found %+v, want %+v; all: %v", got, test.want, r.Findings)
			}
			if test.want.Exact && len(r.Findings) != 1 {
				t.Errorf("found %v, want one finding", r.Findings)
			}
		})
	}
}

// After a damage, the next checkpoint is good again: what is whole is not blamed.
func TestOneDamageIsOneFinding(t *testing.T) {
	s := newSpecimen(t, testKey(), 3)
	s.files[0] = slices.Delete(s.files[0], 20, 25)
	s.files[3][30] = strings.Replace(s.files[3][30], `"user":"`, `"user":"m`, 1)
	r := verify(t, s.write(t, t.TempDir()), VerifyOptions{})
	if len(r.Findings) != 2 || r.Findings[0].Kind != Removed || r.Findings[1].Kind != Changed {
		t.Errorf("found %v, want one removal and one change", r.Findings)
	}
}

func TestHeldCheckpoints(t *testing.T) {
	s := newSpecimen(t, testKey(), 5)
	other := newSpecimen(t, testKey(), 6)
	path := s.write(t, t.TempDir())
	for _, test := range []struct {
		name string
		held []Checkpoint
		want []Kind
	}{
		{"its own", s.held, nil},
		{"of another log", other.held, []Kind{Forked}},
		{"larger", []Checkpoint{{Size: 10_000}}, []Kind{Truncated}},
	} {
		r := verify(t, path, VerifyOptions{Held: test.held})
		var kinds []Kind
		for _, f := range r.Findings {
			kinds = append(kinds, f.Kind)
		}
		if !slices.Equal(kinds, test.want) {
			t.Errorf("%s: found %v, want %v", test.name, r.Findings, test.want)
		}
	}
}

func TestVerifyNeedsAKey(t *testing.T) {
	if _, err := Verify(t.Context(), []string{"x"}, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), "public key") {
		t.Errorf("Verify without a key: %v", err)
	}
	if _, err := Verify(t.Context(), nil, VerifyOptions{Keys: []note.Verifier{testKey().Verifier()}}); err == nil {
		t.Error("Verify without files succeeds")
	}
}

func TestVerifyReportsProgress(t *testing.T) {
	s := newSpecimen(t, testKey(), 5)
	var done, total int64
	verify(t, s.write(t, t.TempDir()), VerifyOptions{Progress: func(d, all int64) {
		if d < done {
			t.Errorf("progress goes back from %d to %d", done, d)
		}
		done, total = d, all
	}})
	if done == 0 || done != total {
		t.Errorf("progress ends at %d of %d", done, total)
	}
}

package tableauauth

// This file holds what the cross-user oracle finds: its faults, and the report of
// a long run.

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// report writes what was counted as Markdown.
func (o *oracle) report(t *testing.T, file string) {
	c, tableau := o.total, o.tableau
	refused := int64(o.faults.count(oracleStatusFault))
	mismatches, _ := o.faults.list()
	seenThere, _ := tableau.faults.list()
	users := 0
	for i := range o.seen {
		if o.seen[i].Load() {
			users++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Cross-user oracle

%d users at once, through a server, the session pool, the transport and a Tableau, with TLS on both sides.
Every 32 bytes of every request and answer carry the user and the number of the request. Sessions are ended
every second, requests are cancelled at any byte. Not one byte may be another's.

Made with:

    go test -run TestCrossUserOracle -timeout 2h ./tableauauth -args -oracle.answers=%d -oracle.users=%d -oracle.seed=%d

`, len(o.seen), *oracleAnswers, len(o.seen), o.seed)
	fmt.Fprintf(&b, "| | |\n|---|---:|\n")
	for _, row := range []struct {
		what string
		n    int64
	}{
		{"**Answers checked**", c.Answers},
		{"**Mismatches seen by clients**", int64(mismatches) - refused},
		{"**Mismatches seen by Tableau**", int64(seenThere)},
		{"Requests", c.Requests},
		{"Bytes checked", c.Bytes},
		{"Answers checked to their end", c.Whole},
		{"Answers over HTTP/1.1", c.H1},
		{"Answers over HTTP/2", c.H2},
		{"Answers to requests with a body", c.Posts},
		{"Cancelled while sending the body", c.LeftBody},
		{"Cancelled while waiting", c.LeftWait},
		{"Cancelled in the middle of the answer", c.LeftAnswer},
		{"Users who asked", int64(users)},
		{"Sessions ended by Tableau", tableau.killed.Load()},
		{"Sign-ins", tableau.signIns.Load()},
		{"Answers with an error, without a reason that the oracle gave", refused},
		{"Sign-ins that failed", o.refusedSignIns.Load()},
		{"Sign-ins of users who had a session (renewals)", tableau.renewed.Load()},
		{"Requests that Tableau refused for an ended session", tableau.rejected.Load()},
		{"Sessions replaced", o.recovers.Load()},
		{"Requests sent again", o.replayed.Load()},
		{"Told to try again: body larger than the replay buffer", c.Ended},
		{"Told to try again: the second session was ended, too", c.Twice},
		{"Sessions left at Tableau in the end", tableau.live.Load()},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", row.what, grouped(row.n))
	}
	fmt.Fprintf(&b, "\nSeed %d. %s, %s/%s, %d CPUs%s. %s, %s; %.0f answers a second.\n", o.seed,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), revision(),
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), o.took.Round(time.Second), float64(c.Answers)/o.took.Seconds())
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// revision is the commit that was tested, if the binary knows it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return ", commit " + s.Value
		}
	}
	return ""
}

// grouped writes n with a space between thousands.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// A faultLog counts what must not be, and keeps the first of each kind.
type faultLog struct {
	sync.Mutex
	n    int
	each map[string]int    // by format
	seen map[string]string // format -> first text
}

// oracleStatusFault is the format of an answer that is nobody else's, but an error.
const oracleStatusFault = "status %d, %s: %s"

func (f *faultLog) note(format string, args ...any) {
	f.Lock()
	defer f.Unlock()
	f.n++
	if f.seen == nil {
		f.seen, f.each = make(map[string]string), make(map[string]int)
	}
	f.each[format]++
	if f.seen[format] == "" {
		f.seen[format] = fmt.Sprintf(format, args...)
	}
}

// count returns how many there were of one kind.
func (f *faultLog) count(format string) int {
	f.Lock()
	defer f.Unlock()
	return f.each[format]
}

// list returns how many there were, and the first of each kind.
func (f *faultLog) list() (n int, first map[string]string) {
	f.Lock()
	defer f.Unlock()
	return f.n, maps.Clone(f.seen)
}

// These tests kill the proxy while it works, and look whether anything has gone
// to Tableau that the audit file does not have.

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

var (
	auditKills    = flag.Int("audit.kills", 5, "how often the proxy is killed under load")
	auditRequests = flag.Int("audit.requests", 1500, "how many requests are answered before all kills together")
	auditReport   = flag.String("audit.report", "", "file to write the report of the kills to")
)

// auditFile is the audit file of a rig, whose name is in its directory.
const auditFile = "trail.log"

// auditedSetup has an audit file, and names each request to Tableau.
func auditedSetup() setup {
	return setup{global: "tableau {\n\t\taudit " + auditFile + "\n\t\tcorrelate user_agent\n\t}"}
}

// killedSetup is an auditedSetup that spends its time with records: without other
// logs, and without bcrypt, which would be most of what a request costs.
func killedSetup() setup {
	s := auditedSetup()
	identity := noIdentity
	s.identity, s.users, s.quiet = &identity, headerUsers, true
	s.tableau.JournalSize = journalSize()
	return s
}

// journalSize is more than can reach Tableau between two kills.
func journalSize() int { return 10_000 + 4**auditRequests / *auditKills }

// killClients is how many clients send requests at once.
const killClients = 64

// A killedRig is a proxy that is killed again and again, and what its audit file
// had in it so far.
type killedRig struct {
	*rig
	read     int64          // the number of the next record that was not read
	files    int            // that were read to their ends
	offset   int64          // up to which the next one was read, in bytes
	requests map[string]int // intents of requests that have not been seen at Tableau, by request id
	calls    map[string]int // of the proxy's own calls, by method and path
	jtis     map[string]bool

	answered, refused, sent, without, open int
	killed                                 time.Duration // the time that it worked, all together
	began                                  time.Time
}

func (r *killedRig) path() string { return filepath.Join(r.conf.Dir, auditFile) }

// An auditIntent is what is looked at of a record.
type auditIntent struct {
	Seq                            int64
	Event, Call, Method, Path, JTI string
	RequestID                      string `json:"request_id"`
}

// readOn reads the records that have come since the last time.
func (r *killedRig) readOn() {
	r.t.Helper()
	files, err := auditlog.Files(r.path())
	if err != nil {
		r.t.Fatal(err)
	}
	for ; ; r.files, r.offset = r.files+1, 0 { // a file that was rotated has another name, and the same place
		r.readFile(files[r.files])
		if r.files == len(files)-1 {
			return
		}
	}
}

// readFile reads on in a file, to its last whole line.
func (r *killedRig) readFile(name string) {
	r.t.Helper()
	f, err := os.Open(name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(r.offset, io.SeekStart); err != nil {
		r.t.Fatal(err)
	}
	for lines := bufio.NewReaderSize(f, 1<<20); ; {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			r.t.Fatal(err)
		}
		r.offset += int64(len(line))
		i := auditIntent{Seq: -1}
		if err := json.Unmarshal(line, &i); err != nil || i.Seq != r.read {
			r.t.Fatalf("%s, record %d: %v: %s", name, r.read, err, line)
		}
		r.read++
		r.note(i)
	}
}

func (r *killedRig) note(i auditIntent) {
	switch {
	case i.Event == "egress.outcome":
		r.open--
	case i.Event != "egress.intent":
	case i.Call == "request":
		r.open++
		r.requests[i.RequestID]++
	default:
		r.open++
		r.calls[i.Method+" "+i.Path]++
		r.jtis[i.JTI] = true
	}
}

var idInAgent = regexp.MustCompile(`caddy-tableau \(([0-9a-f-]+)\)$`)

// checkJournal looks for an intent of everything that has reached Tableau.
func (r *killedRig) checkJournal() {
	r.t.Helper()
	journal := r.Journal()
	if len(journal) >= journalSize() {
		r.t.Fatalf("more has reached Tableau than the %d calls that it keeps", len(journal))
	}
	for _, e := range journal {
		r.sent++
		key, intents := e.Method+" "+e.Path, r.calls
		if id := idInAgent.FindStringSubmatch(e.UserAgent); id != nil {
			key, intents = id[1], r.requests
		}
		if intents[key]--; intents[key] < 0 {
			r.without++
			r.t.Errorf("%s %s (%s) reached Tableau without an intent", e.Method, e.Path, key)
		}
		if intents[key] == 0 {
			delete(intents, key)
		}
		if e.JWT != nil && !r.jtis[e.JWT.JTI] {
			r.without++
			r.t.Errorf("the JWT %s reached Tableau without an intent", e.JWT.JTI)
		}
	}
	r.ResetJournal()
}

// verify checks the newest file, or all.
func (r *killedRig) verify(all bool) {
	r.t.Helper()
	files, err := auditlog.Files(r.path())
	if err != nil {
		r.t.Fatal(err)
	}
	if !all {
		files = files[len(files)-1:]
	}
	keys, err := auditlog.ReadVerifiers(auditlog.PublicKeyFile(r.path()))
	if err != nil {
		r.t.Fatal(err)
	}
	report, err := auditlog.Verify(context.Background(), files, auditlog.VerifyOptions{Keys: keys, FromFirstFile: !all})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		r.t.Error(err)
	}
}

// killUnderLoad kills the proxy when it has answered about n requests.
func (r *killedRig) killUnderLoad(n int) {
	r.t.Helper()
	last := int64(n/2 + rand.IntN(n+1))
	var answered, refused atomic.Int64
	var once sync.Once
	begin := time.Now()
	kill := func() {
		once.Do(func() {
			time.Sleep(rand.N(3 * time.Millisecond)) // at an instant that no answer decides
			r.killed += time.Since(begin)
			r.proxy.kill()
		})
	}
	defer kill()
	var clients sync.WaitGroup
	plain, h2 := r.plain(), r.h2()
	for i := range killClients {
		clients.Go(func() {
			c := []*client{plain, h2}[i%2]
			user := []string{"alice", "bob"}[i/2%2] // who is asked for is who sends it: there is nobody in between
			for r.proxy.running() {
				res, err := c.http.Do(c.request(http.MethodGet, "", workbooks, nil, remoteUser, user))
				if err != nil {
					return // killed
				}
				_ = res.Body.Close()
				if res.StatusCode == http.StatusServiceUnavailable {
					refused.Add(1) // the disk took longer than the limit
					continue
				}
				if answered.Add(1) >= last {
					kill()
				}
				if i == 0 && answered.Load()%97 == 0 {
					r.KillSessions(tableautest.SessionFilter{User: "alice"})
				}
			}
		})
	}
	clients.Wait()
	r.answered += int(answered.Load())
	r.refused += int(refused.Load())
}

func TestNothingLeavesWithoutARecordWhateverKillsTheProxy(t *testing.T) {
	r := &killedRig{rig: newRig(t, killedSetup()), requests: map[string]int{}, calls: map[string]int{}, jtis: map[string]bool{}, began: time.Now()}
	for range *auditKills {
		r.killUnderLoad(max(*auditRequests / *auditKills, 1))
		r.start()
		r.readOn()
		r.checkJournal()
		r.verify(false)
		if t.Failed() {
			t.FailNow()
		}
	}
	r.proxy.signal(os.Interrupt)
	if code := r.proxy.exitCode(); code != 0 {
		t.Errorf("the proxy ended with %d", code)
	}
	r.readOn()
	r.checkJournal()
	r.verify(true)
	text := r.text()
	t.Log(text)
	if r.sent == 0 || r.answered == 0 {
		t.Error("nothing was sent")
	}
	if *auditReport != "" {
		if err := os.WriteFile(*auditReport, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// size is how many bytes of records there are.
func (r *killedRig) size() (sum int64) {
	r.t.Helper()
	files, err := auditlog.Files(r.path())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			r.t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// text is the report.
func (r *killedRig) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Killing the proxy\n\n")
	fmt.Fprintf(&b, "The proxy was killed (`SIGKILL`) at random instants while %d clients sent requests, over HTTP/1.1 and HTTP/2, as\n", killClients)
	fmt.Fprintf(&b, "two people, one of whose sessions Tableau (simulated) ended now and then. After each start the audit file, in the\n")
	fmt.Fprintf(&b, "mode `strict`, was verified, and everything that had reached Tableau was looked for in it.\n\n")
	fmt.Fprintf(&b, "| what | count |\n|---|---:|\n")
	for _, row := range []struct {
		name  string
		count any
	}{
		{"kills", *auditKills},
		{"requests that were answered", r.answered},
		{"requests that were refused, since the disk was too slow", r.refused},
		{"calls that reached Tableau", r.sent},
		{"of them without a durable intent", r.without},
		{"records in the file", r.read},
		{"intents without an outcome", r.open},
		{"bytes of records", r.size()},
		{"seconds under load", int(r.killed.Seconds())},
		{"seconds in all, with the starts and the verifications", int(time.Since(r.began).Seconds())},
	} {
		fmt.Fprintf(&b, "| %s | %v |\n", row.name, row.count)
	}
	fmt.Fprintf(&b, "\nBuilt with %s, %s/%s; %d CPUs. The disk is that of the temporary directory, which TMPDIR chooses. To repeat it:\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	fmt.Fprintf(&b, "    make audit-kills KILLS=%d REQUESTS=%d REPORT=docs/reports/audit-kills.md\n", *auditKills, *auditRequests)
	return b.String()
}

// The commands are there in the binary, with their exit codes, and none of them,
// nor `caddy validate`, minds that the file is in use.
func TestAuditFileOnTheCommandLine(t *testing.T) {
	r := newRig(t, auditedSetup())
	r.plain().get("alice", workbooks).expect(r, http.StatusOK)
	config := r.conf.write(t)
	if got := runCaddy(t, r.conf.Dir, r.env(), "validate", "--config", config, "--adapter", "caddyfile"); got.code != 0 {
		t.Errorf("validate: exit code %d\n%s", got.code, got.stderr)
	}
	path := filepath.Join(r.conf.Dir, auditFile)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"verify", path}, 0, "as it was written"},
		{[]string{"show", path, "--person", "alice"}, 0, "alice as alice"},
		{[]string{"prove", path, "0"}, 0, `"checkpoint"`},
		{[]string{"verify", path + ".none"}, 1, ""},
	} {
		got := runCaddy(t, r.conf.Dir, r.env(), append([]string{"tableau", "audit"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.want) {
			t.Errorf("%v: exit code %d, want %d\n%s%s", c.args, got.code, c.code, got.stdout, got.stderr)
		}
	}
	r.proxy.signal(os.Interrupt)
	r.proxy.exitCode()
	// The last checkpoint covers all, and is in the log for whom it was made.
	kept := filepath.Join(r.conf.Dir, "audit.log")
	if got := runCaddy(t, r.conf.Dir, r.env(), "tableau", "audit", "verify", path, "--checkpoint", kept); got.code != 0 {
		t.Errorf("verify with the log's checkpoints: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	all := strings.SplitAfter(string(readFile(t, path)), "\n")
	short := filepath.Join(r.conf.Dir, "short.log")
	for name, content := range map[string]string{short: strings.Join(all[:len(all)-2], ""), auditlog.PublicKeyFile(short): string(readFile(t, auditlog.PublicKeyFile(path)))} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := runCaddy(t, r.conf.Dir, r.env(), "tableau", "audit", "verify", short, "--checkpoint", kept); got.code != 4 || !strings.Contains(got.stdout, "truncated") {
		t.Errorf("verify of a file without its end: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	text := strings.Replace(string(readFile(t, path)), `"identity":"alice"`, `"identity":"bobby"`, 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runCaddy(t, r.conf.Dir, r.env(), "tableau", "audit", "verify", path); got.code != 4 || !strings.Contains(got.stdout, "changed: record") {
		t.Errorf("verify of an altered file: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
}

package auditlog

// This file kills processes that write a log. AUDITLOG_KILLS says how many
// (default 8).

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	helperEnv     = "AUDITLOG_TEST_HELPER" // the path of the log that the process is to write
	helperKeyEnv  = "AUDITLOG_TEST_KEY"
	helperRunEnv  = "AUDITLOG_TEST_RUN"
	helperWriters = 8
)

// helper is what the test binary does if it is started to be killed: it appends
// as fast as it can, and prints the name of each record that is durable.
func helper(path string) {
	key, err := ParseKey(testKeyName, []byte(os.Getenv(helperKeyEnv)))
	if err != nil {
		panic(err)
	}
	l, err := Open(path, killedOptions(key))
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for w := range helperWriters {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := os.Getenv(helperRunEnv) + "." + strconv.Itoa(w) + "." + strconv.Itoa(i)
				if err := l.Append(context.Background(), "egress.intent", slog.String("name", name), slog.String("pad", strings.Repeat("x", i%300))); err != nil {
					panic(err)
				}
				if _, err := os.Stdout.WriteString(name + "\n"); err != nil {
					return
				}
				_ = l.AppendAsync("egress.outcome", slog.String("of", name))
			}
		})
	}
	wg.Wait()
}

const testKeyName = "proxy1.corp.example/audit"

func killedOptions(key SigningKey) Options {
	return Options{Key: key, Reserve: 4 << 10, RotateSize: 128 << 10, CheckpointEvery: 50, Limit: time.Minute}
}

func TestKilledAtAnyInstant(t *testing.T) {
	kills := intFromEnv(t, "AUDITLOG_KILLS", 8)
	path := logPath(t)
	pem, err := testKey().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	cuts := 0
	for run := range kills {
		for _, name := range killOne(t, path, string(pem), run) {
			acknowledged[name] = true
		}
		l := mustOpen(t, path, killedOptions(testKey()))
		mustClose(t, l)
		wantIntact(t, path)
		cuts = checkAcknowledged(t, path, acknowledged)
		if t.Failed() {
			t.Fatalf("after kill %d", run+1)
		}
	}
	t.Logf("%d kills, %d records acknowledged, all of them there; a torn end was cut %d times", kills, len(acknowledged), cuts)
}

// killOne starts a process that appends, kills it at a random instant, and
// returns the names of the records that were acknowledged.
func killOne(t *testing.T, path, pem string, run int) (names []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+path, helperKeyEnv+"="+pem, fmt.Sprintf("%s=%d", helperRunEnv, run))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(rand.N(200*time.Millisecond), func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		names = append(names, lines.Text())
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process has ended by itself: %v", err)
	}
	return names
}

// checkAcknowledged reports each acknowledged record that is not there once,
// and counts how often a torn end was cut.
func checkAcknowledged(t *testing.T, path string, acknowledged map[string]bool) (cuts int) {
	t.Helper()
	missing := map[string]bool{}
	for name := range acknowledged {
		missing[name] = true
	}
	for _, r := range records(t, path) {
		var fields struct {
			Name string
			Cut  int `json:"cut_bytes"`
		}
		if err := json.Unmarshal(r.Raw, &fields); err != nil {
			t.Fatal(err)
		}
		if r.Event == EventRecovered && fields.Cut > 0 {
			cuts++
		}
		delete(missing, fields.Name)
	}
	for name := range missing {
		t.Errorf("record %s was acknowledged and is not there", name)
	}
	return cuts
}

// The end of a file may be cut anywhere: what is whole before it is kept.
func TestCutAtEveryByte(t *testing.T) {
	path := logPath(t)
	l := mustOpen(t, path, testOptions())
	for i := range 4 {
		mustAppend(t, l, "x", slog.Int("n", i))
	}
	data := slices.Clone(readFileT(t, path))
	mustClose(t, l)
	for size := 1; size < len(data); size += 1 + size%13 {
		path := logPath(t)
		writeFileT(t, path, data[:size])
		mustClose(t, mustOpen(t, path, quickOptions()))
		r := wantIntact(t, path)
		if whole := int64(strings.Count(string(data[:size]), "\n")); r.Size < whole {
			t.Errorf("cut after %d bytes: %d records, want at least %d", size, r.Size, whole)
		}
	}
}

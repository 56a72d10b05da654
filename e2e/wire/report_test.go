// This file writes the report of a campaign.

package wire

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report writes what was sent and what became of it.
func (c *campaign) report(path string, size int) {
	var b strings.Builder
	fmt.Fprintf(&b, `# Hostile requests

Made by `+"`make wire`"+` (the package `+"`e2e/wire`"+`): requests generated from tables, sent over real connections to the
real binary, with a server behind it that reads every byte and a judge of both sides.

| | |
|---|---|
| Distinct requests in the corpus | %d |
| Sent | %d, %d of them as bytes of HTTP/1.1 and %d as frames of HTTP/2 |
| Violations | %d |
| Requests that Tableau got | %d |
| Seed | %d |
| Time | %v, %.0f requests a second, %d clients |
| Built with | %s, Caddy %s, %s/%s |
| Date | %s |

`, size, c.total, c.total-c.framed(), c.framed(), c.violations(), c.reached(), *seed, c.took.Round(time.Second), float64(c.total)/c.took.Seconds(), clients,
		runtime.Version(), c.caddyVersion(), runtime.GOOS, runtime.GOARCH, time.Now().UTC().Format(time.DateOnly))
	b.WriteString(`A violation is a request that reached Tableau with no session, two, or that of somebody else; with anything of
the client's credentials in a header, a trailer or the query; under a path that is not byte for byte the one that
was judged, or that can be read in two ways; under another host; unasked for, or twice; or an answer with a session
or a cookie in it, one that was made for somebody else, or one without its record in the audit log.

`)
	b.WriteString(`Every request is sent with a valid password or name of one of two people, but where a table is about just that. Values
that must not reach Tableau are marked, wherever they stand. What net/http answers with 200 is ` + "`OPTIONS *`" + `, which no
handler sees.

`)
	c.outcomes(&b)
	c.details(&b)
	if err := os.WriteFile(filepath.Join(root, path), []byte(b.String()), 0o644); err != nil {
		c.t.Error(err)
	}
}

func (c *campaign) violations() (n int) {
	for _, count := range c.faults {
		n += count
	}
	return n
}

// framed is how many were sent by HTTP/2.
func (c *campaign) framed() (n int) {
	for _, m := range c.book.messages {
		if m.h2 {
			n++
		}
	}
	return n
}

// reached is how many of the requests Tableau got.
func (c *campaign) reached() (n int) {
	for id := range c.seen {
		if c.book.messages[id] != nil {
			n++
		}
	}
	return n
}

// outcomes is a table with a line for each class.
func (c *campaign) outcomes(b *strings.Builder) {
	columns := []outcome{passed, answeredHere, refusedByUs, refusedBefore, unanswered}
	b.WriteString("| Class | Sent |")
	for _, o := range columns {
		b.WriteString(" " + strings.ToUpper(string(o[:1])) + string(o[1:]) + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, class := range slices.Sorted(maps.Keys(c.counts)) {
		total, by := 0, make(map[outcome]int)
		for description, n := range c.counts[class] {
			o, _, _ := strings.Cut(description, ":")
			by[outcome(o)] += n
			total += n
		}
		fmt.Fprintf(b, "| %s | %d |", class, total)
		for _, o := range columns {
			fmt.Fprintf(b, " %d |", by[o])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// details are the outcomes with their codes, over all classes.
func (c *campaign) details(b *strings.Builder) {
	all := make(map[string]int)
	for _, counts := range c.counts {
		for description, n := range counts {
			all[description] += n
		}
	}
	b.WriteString("| What became of it | Requests |\n|---|---|\n")
	for _, description := range slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
	}) {
		fmt.Fprintf(b, "| %s | %d |\n", description, all[description])
	}
}

// caddyVersion is the one that go.mod asks for.
func (c *campaign) caddyVersion() string {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2")
	cmd.Dir = root
	version, err := cmd.Output()
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(string(version))
}

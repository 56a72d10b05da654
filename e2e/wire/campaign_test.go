// This file sends the corpus, or a sample of it, and holds what Tableau got, what
// the clients got and what the proxy has recorded against each other.

package wire

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// clients is how many send at the same time.
	clients = 12
	// batch is how many messages are sent before what Tableau got is judged.
	batch = 4000
	// mostShown is how many faults of one kind a failing test prints.
	mostShown = 5
)

// A result is what is kept of an answer.
type result struct {
	outcome   outcome
	status    int
	code      string // of a refusal of the proxy
	requestID string // Caddy's, by which the record is found
}

// A campaign is one run of the corpus.
type campaign struct {
	t       *testing.T
	proxy   *proxy
	book    book
	results map[string]result
	seen    map[string][]*seen // without their particulars, if nothing is wrong

	mu     sync.Mutex
	faults map[string]int
	counts map[string]map[string]int // messages by class and description of the outcome
	began  time.Time
	took   time.Duration
	total  int
}

func newCampaign(t *testing.T, p *proxy) *campaign {
	return &campaign{
		t: t, proxy: p, book: book{proxy: p, messages: make(map[string]*message)},
		results: make(map[string]result), seen: make(map[string][]*seen),
		faults: make(map[string]int), counts: make(map[string]map[string]int), began: time.Now(),
	}
}

func TestCorpus(t *testing.T) {
	list := corpus()
	size := len(list)
	n := *sample
	if *all {
		n = size
	}
	c := newCampaign(t, startProxy(t, setup{}))
	c.warmUp()
	c.run(drawn(list, n, *seed))
	c.audit()
	if *reportTo != "" {
		c.report(*reportTo, size)
	}
}

// warmUp lets everybody sign in, so that the sessions are known from the first
// answer on.
func (c *campaign) warmUp() {
	client := newClient(c.proxy)
	defer client.close()
	for i, m := range []message{
		{class: "what goes through", user: "alice", to: plain, method: "GET", target: workbooks, host: "x", want: passes},
		{class: "what goes through", user: "bob", to: overTLS, h2: true, method: "GET", target: workbooks, host: "x", want: passes},
		{class: "what goes through", user: "alice", to: byHeader, method: "GET", target: workbooks, host: "x", want: passes},
	} {
		c.one(client, &m, mark(i))
	}
	c.judge()
	if len(c.book.tokens) == 0 || c.t.Failed() {
		c.t.Fatalf("no session to look for; the proxy's output:\n%s", c.proxy.output)
	}
}

// mark is the mark of message i, as long as noID.
func mark(i int) string { return fmt.Sprintf("wire-%06d", i) }

// run sends messages, and judges after each batch.
func (c *campaign) run(list []*message) {
	const reserved = 100 // marks of the warm-up
	for start := 0; start < len(list); start += batch {
		part := list[start:min(start+batch, len(list))]
		numbers := make(chan int)
		var working sync.WaitGroup
		for range clients {
			working.Go(func() {
				client := newClient(c.proxy)
				defer client.close()
				for i := range numbers {
					c.one(client, part[i], mark(reserved+start+i))
				}
			})
		}
		for i := range part {
			numbers <- i
		}
		close(numbers)
		working.Wait()
		c.judge()
	}
	c.took = time.Since(c.began)
}

// one sends a message and judges its answer.
func (c *campaign) one(client *client, m *message, id string) {
	c.mu.Lock()
	c.book.messages[id] = m
	c.total++
	c.mu.Unlock()
	a, err := client.send(m, id)
	if err != nil {
		c.fault(m, "it could not be sent: "+err.Error())
		return
	}
	faults := c.book.judgeAnswer(id, m, a)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results[id] = result{a.outcome(), a.status, a.get("X-Tableau-Proxy-Error"), a.get("X-Wire-Request")}
	if c.counts[m.class] == nil {
		c.counts[m.class] = make(map[string]int)
	}
	c.counts[m.class][a.describe()]++
	for _, f := range faults {
		c.faultLocked(m, f)
	}
}

func (c *campaign) fault(m *message, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultLocked(m, what)
}

// faultLocked fails the test, and shows the first faults of each kind.
func (c *campaign) faultLocked(m *message, what string) {
	kind := m.class + ": " + what
	c.faults[kind]++
	switch n := c.faults[kind]; {
	case n <= mostShown && len(c.faults) <= 20*mostShown:
		c.t.Errorf("%.300s: %.300s", m, what)
	case n == mostShown+1:
		c.t.Errorf("... and more of: %.300s", kind)
	default:
		c.t.Fail()
	}
}

// judge looks at what Tableau got since the last time.
func (c *campaign) judge() {
	for _, s := range c.proxy.take() {
		faults := c.book.judgeSeen(s)
		m := c.book.messages[s.id()]
		if m == nil {
			m = &message{class: "nobody's", row: s.line}
		}
		for _, f := range faults {
			c.fault(m, f)
		}
		c.seen[s.id()] = append(c.seen[s.id()], &seen{fault: s.fault})
	}
	c.book.tokens = c.book.tokens[:0]
	for _, token := range c.proxy.tokens() {
		c.book.tokens = append(c.book.tokens, []byte(token))
	}
}

// A record is what the audit log says of a request.
type record struct {
	Msg       string `json:"msg"`
	Method    string `json:"method"`
	Status    int    `json:"status"`
	Identity  string `json:"identity"`
	RequestID string `json:"request_id"`
	Error     string `json:"error"`
}

// audit holds the numbers against each other: requests that Tableau got against
// answers, answers against records, and records against the counter.
func (c *campaign) audit() {
	for id, r := range c.results {
		c.auditSeen(c.book.messages[id], r, c.seen[id])
	}
	records := c.records()
	metric := c.metric()
	total := 0
	for _, list := range records {
		total += len(list)
	}
	if metric != total {
		c.t.Errorf("caddy_tableau_requests_total is %d, and there are %d records", metric, total)
	}
	silent := 0
	for id, r := range c.results {
		m := c.book.messages[id]
		list := records[r.requestID]
		delete(records, r.requestID)
		switch r.outcome {
		case unanswered:
			silent++
		case refusedBefore:
			if r.requestID != "" && len(list) != 0 {
				c.fault(m, "there is a record of what never came to the proxy")
			}
		default:
			c.auditRecord(m, r, list)
		}
	}
	if len(records) > silent {
		c.t.Errorf("%d records of no request that was sent, and %d requests without an answer", len(records), silent)
	}
}

// auditSeen compares how often Tableau got a request with its answer.
func (c *campaign) auditSeen(m *message, r result, got []*seen) {
	whole := 0
	for _, s := range got {
		if s.fault == "" {
			whole++
		}
	}
	switch r.outcome {
	case passed:
		if whole != 1 || len(got) != 1 {
			c.fault(m, fmt.Sprintf("one answer of Tableau, and Tableau got it %d times", len(got)))
		}
	case unanswered:
		if len(got) > 1 {
			c.fault(m, fmt.Sprintf("no answer, and Tableau got it %d times", len(got)))
		}
	case refusedByUs:
		// That a scope is missing is known from Tableau's answer. What breaks
		// off in its body may have been begun.
		tried := r.code == "scope_missing"
		begun := tried || r.code == "body_malformed" || r.status >= 500
		if whole > 0 && !tried || len(got) > 1 || len(got) == 1 && !begun {
			c.fault(m, fmt.Sprintf("it was refused (%d %s), and Tableau got it %d times", r.status, r.code, len(got)))
		}
	default:
		if len(got) > 0 {
			c.fault(m, fmt.Sprintf("it was answered before Tableau (%d), and Tableau got it", r.status))
		}
	}
}

// auditRecord compares an answer with its record.
func (c *campaign) auditRecord(m *message, r result, list []record) {
	if len(list) != 1 {
		c.fault(m, fmt.Sprintf("%d records of it", len(list)))
		return
	}
	rec := list[0]
	if rec.Status != r.status || rec.Error != r.code {
		c.fault(m, fmt.Sprintf("its record says %d %s, and its answer %d %s", rec.Status, rec.Error, r.status, r.code))
	}
	if m.raw == "" && rec.Method != m.method && !(m.h2 && m.method == "") {
		c.fault(m, fmt.Sprintf("its record says %q", rec.Method))
	}
	if r.outcome == passed && rec.Identity != m.sender() {
		c.fault(m, fmt.Sprintf("its record says that %q has sent it, and it was %q", rec.Identity, m.sender()))
	}
}

// records reads the audit log, once everything that was answered is in it.
func (c *campaign) records() map[string][]record {
	want := 0
	for _, r := range c.results {
		if r.outcome != unanswered && r.outcome != refusedBefore {
			want++
		}
	}
	var all map[string][]record
	eventually(c.t, "as many records as answers", func() bool {
		all = c.readRecords()
		return len(all) >= want
	})
	return all
}

func (c *campaign) readRecords() map[string][]record {
	file, err := os.Open(c.proxy.Dir + "/audit.log")
	if err != nil {
		c.t.Fatal(err)
	}
	defer file.Close()
	all := make(map[string][]record)
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // half a line: the rest is on its way
		}
		if r.Msg == "request" {
			all[r.RequestID] = append(all[r.RequestID], r)
		}
	}
	return all
}

var counter = regexp.MustCompile(`(?m)^caddy_tableau_requests_total\{[^}]*\} (\S+)$`)

// metric is the sum of the counter of requests.
func (c *campaign) metric() (sum int) {
	for _, found := range counter.FindAllStringSubmatch(c.proxy.admin("/metrics"), -1) {
		n, err := strconv.ParseFloat(strings.TrimSpace(found[1]), 64)
		if err != nil {
			c.t.Fatal(err)
		}
		sum += int(n)
	}
	return sum
}

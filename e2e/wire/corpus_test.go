// This file puts the corpus together from its tables.

package wire

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	// api is where the paths of most messages begin.
	api = "/api/3.24"
	// workbooks is a call whose answer depends on who asks.
	workbooks = api + "/sites/-/workbooks"
	// query is a body of the Metadata API.
	query = `{"query":"{ workbooks { name } }"}`
)

// workbook is the path of something that is there.
var workbook = workbooks + "/" + tableautest.WorkbookLUID(site, "Reports", "Quarterly Close")

// A call is one that goes through if nothing is wrong with it.
type call struct {
	method, target, body string
	contentType          string
}

// calls are one for each method.
var calls = []call{
	{method: "GET", target: workbooks},
	{method: "HEAD", target: workbooks},
	{method: "POST", target: "/api/metadata/graphql", body: query, contentType: "application/json"},
	{method: "PUT", target: workbook, body: `<tsRequest><workbook/></tsRequest>`, contentType: "application/xml"},
	{method: "DELETE", target: workbooks + "/00000000-0000-4000-8000-000000000000"},
	{method: "OPTIONS", target: workbooks},
}

// message is the call as it goes through.
func (c call) message(class string, h2 bool) message {
	m := message{
		class: class, h2: h2, to: plain, user: "alice",
		method: c.method, target: c.target, body: c.body, host: "proxy.example", want: passes,
	}
	if h2 {
		m.to = overTLS
	}
	if c.contentType != "" {
		m.fields = []field{{"Content-Type", c.contentType}}
	}
	if c.method == "OPTIONS" {
		m.want = refused
	}
	return m
}

// protocols are whether HTTP/2 is spoken.
var protocols = []bool{false, true}

// users take turns.
var users = []string{"alice", "bob"}

// A table makes messages of one class.
type table func(add func(message))

var tables = []table{headerTable, pathTable, queryTable, methodTable, hostTable, connectionTable, upgradeTable, expectTable, identityTable, framingTable, browserTable}

// corpus is every message, each once: two entries of a table may come to the
// same bytes.
func corpus() []*message {
	var list []*message
	known := make(map[[sha256.Size]byte]bool)
	for _, table := range tables {
		n := 0
		table(func(m message) {
			if m.user != "" && m.raw == "" {
				m.user = users[n%len(users)]
			}
			n++
			if hash := m.hash(); !known[hash] {
				known[hash] = true
				list = append(list, &m)
			}
		})
	}
	return list
}

// drawn are n messages of the list in an order that depends on the seed only:
// some of each class, and otherwise as many as there are.
func drawn(list []*message, n int, seed uint64) []*message {
	random := rand.New(rand.NewPCG(seed, 1))
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	const least = 60
	var first, rest []*message
	count := make(map[string]int)
	for _, m := range list {
		if count[m.class]++; count[m.class] <= least {
			first = append(first, m)
		} else {
			rest = append(rest, m)
		}
	}
	list = append(first, rest...)
	return list[:min(n, len(list))]
}

// The corpus has the size that it is said to have, and the same messages each
// time.
func TestTheCorpusIsLargeAndItsMessagesDiffer(t *testing.T) {
	first, second := corpus(), corpus()
	if len(first) < 90_000 || len(first) != len(second) {
		t.Fatalf("%d distinct messages, then %d", len(first), len(second))
	}
	for i := range first {
		if first[i].hash() != second[i].hash() {
			t.Fatalf("message %d is not the same each time: %s", i, first[i])
		}
	}
	a, b := drawn(first, 100, *seed), drawn(second, 100, *seed)
	for i := range a {
		if a[i].hash() != b[i].hash() {
			t.Fatalf("message %d of a sample is not the same each time", i)
		}
	}
}

package main

// This file turns the events of `go test -json` into results. Their form is
// described by `go doc test2json`.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is the part of a test2json event that counts here.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// testID is one test, or a whole package if test is empty.
type testID struct{ pkg, test string }

func (id testID) String() string {
	return strings.TrimSpace(id.pkg + " " + id.test)
}

// collector gathers events until the stream ends.
type collector struct {
	result  results
	running map[testID]bool             // begun and not ended
	output  map[testID]*strings.Builder // what a running test has printed
	failing map[string]bool             // packages in which a test failed
}

// readEvents reads a file of test events.
func readEvents(file string) (results, error) {
	f, err := os.Open(file) //nolint:gosec // the caller's choice
	if err != nil {
		return results{}, err
	}
	defer f.Close()
	return collect(f)
}

// collect reads events to the end. A test that never ended has failed: its
// process died or ran out of time.
func collect(r io.Reader) (results, error) {
	c := collector{
		running: make(map[testID]bool),
		output:  make(map[testID]*strings.Builder),
		failing: make(map[string]bool),
	}
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e event
			if jsonErr := json.Unmarshal(line, &e); jsonErr != nil {
				return results{}, fmt.Errorf("test event %d: %w", n, jsonErr)
			}
			c.add(e)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return results{}, err
		}
	}
	c.end()
	return c.result, nil
}

// add takes in one event.
func (c *collector) add(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "run":
		c.running[id] = true
		c.output[id] = new(strings.Builder)
	case "output":
		if out := c.output[id]; out != nil {
			out.WriteString(e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			c.endPackage(e)
			return
		}
		c.endTest(id, e.Action)
	}
}

// endTest counts one test.
func (c *collector) endTest(id testID, action string) {
	switch action {
	case "pass":
		c.result.passed++
	case "fail":
		c.failing[id.pkg] = true
		c.result.failures = append(c.result.failures, id.String())
	case "skip":
		c.result.skips = append(c.result.skips, skip{testID: id, reason: reason(c.printed(id))})
	}
	delete(c.running, id)
	delete(c.output, id)
}

// printed is what a test has printed so far.
func (c *collector) printed(id testID) string {
	if out := c.output[id]; out != nil {
		return out.String()
	}
	return ""
}

// endPackage counts a package only if it failed without a failed test: it did not
// build, or it died. A package that passed or has no tests is not a test.
func (c *collector) endPackage(e event) {
	if e.Action != "fail" || c.failing[e.Package] || c.anyRunning(e.Package) {
		return
	}
	c.result.failures = append(c.result.failures, e.Package)
}

// anyRunning tells whether a test of the package has not ended.
func (c *collector) anyRunning(pkg string) bool {
	for id := range c.running {
		if id.pkg == pkg {
			return true
		}
	}
	return false
}

// end counts the tests that never ended, in a stable order.
func (c *collector) end() {
	unfinished := make([]string, 0, len(c.running))
	for id := range c.running {
		unfinished = append(unfinished, id.String()+" (did not end)")
	}
	slices.Sort(unfinished)
	c.result.failures = append(c.result.failures, unfinished...)
}

// reason is what a test printed before it was skipped, on one line and without
// the lines that the runner adds.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

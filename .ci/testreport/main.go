// Command testreport closes a test run: it reads what `go test -json` wrote, names
// every skipped test with its reason, and ends with one line that counts passed,
// failed and skipped. It exits 1 if anything failed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	ok, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, ", ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// run prints the report to w, and tells whether nothing failed.
func run(args []string, w io.Writer) (bool, error) {
	var failed, skipped list
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	flags.Var(&failed, "failed", "a check outside the tests that failed; may be repeated")
	flags.Var(&skipped, "skipped", "a check outside the tests that was skipped, with its reason; may be repeated")
	allowed := flags.String("allowed", "", "file of the skips that -strict accepts")
	strict := flags.Bool("strict", false, "count a skip that is not allowed as failed")
	status := flags.Int("status", 0, "exit status of the test run")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if flags.NArg() != 1 {
		return false, fmt.Errorf("want one file of test events, got %d", flags.NArg())
	}

	result, err := readEvents(flags.Arg(0))
	if err != nil {
		return false, err
	}
	allow, err := readAllowed(*allowed)
	if err != nil {
		return false, err
	}
	for _, check := range skipped {
		result.skips = append(result.skips, skip{reason: check})
	}
	result.failures = append(result.failures, failed...)
	if *strict {
		result.refuseSkips(allow)
	}
	if len(result.failures) == 0 {
		result.failures = doubts(result, *status)
	}
	result.print(w)
	return len(result.failures) == 0, nil
}

// doubts says why a run without failures is no success.
func doubts(r results, status int) []string {
	if status != 0 {
		return []string{fmt.Sprintf("the test run: exit status %d", status)}
	}
	if r.passed+len(r.skips) == 0 {
		return []string{"the test run: no test ran"}
	}
	return nil
}

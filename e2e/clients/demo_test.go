// This file runs `caddy tableau demo`.

package clients

import (
	"regexp"
	"testing"
)

// demoURL finds the proxy's address in what the demo prints.
var demoURL = regexp.MustCompile(`in front of it at (http://\S+)`)

// startDemo returns the address of a demo that runs as long as the test.
func startDemo(t *testing.T, r *rig) string {
	t.Helper()
	p := start(t, r.dir, r.env(), caddy, "tableau", "demo", "--listen", "127.0.0.1:0")
	if !p.printed(p.stdout, "Ctrl-C stops it") {
		t.Fatalf("the demo ended early\n%s", p.tail())
	}
	match := demoURL.FindStringSubmatch(p.stdout.String())
	if match == nil {
		t.Fatalf("the demo does not say where it is\n%s", p.tail())
	}
	t.Cleanup(func() {
		if status := p.interrupt(); status != 0 {
			t.Errorf("the demo ended with status %d\n%s", status, p.tail())
		}
	})
	return match[1]
}

// This file builds the binary that all tests run.

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
)

// caddy is the path of the binary.
var caddy string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tableau-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	caddy = filepath.Join(dir, "caddy")
	if err := program.Build("..", "./cmd/caddy", caddy); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		return 1
	}
	return m.Run()
}

// dependOnSources makes the result of a test one of this binary.
var dependOnSources = sync.OnceValue(func() error { return program.DependOnSources("..") })

// This file builds the binary that all tests run, and has their options.

package wire

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
)

var (
	all      = flag.Bool("wire.all", false, "send the whole corpus and not a sample")
	sample   = flag.Int("wire.sample", 5000, "how many requests a sample has")
	seed     = flag.Uint64("wire.seed", 20261123, "seed of the sample and of the order")
	reportTo = flag.String("wire.report", "", "file to write the report of the corpus to, from the root of the module")
)

// root is the root of the module, seen from here.
const root = "../.."

// binaries is where the binaries of the tests are built.
var binaries string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "tableau-wire-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	if err := build("caddy", "./cmd/caddy"); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		return 1
	}
	return m.Run()
}

// dependOnSources makes the result of a test one of this binary.
var dependOnSources = sync.OnceValue(func() error { return program.DependOnSources(root) })

// build builds a program of the module.
func build(name, pkg string) error {
	return program.Build(root, pkg, filepath.Join(binaries, name))
}

// This file builds the binary that all tests run, and has their options.

package wire

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var (
	all      = flag.Bool("wire.all", false, "send the whole corpus and not a sample")
	sample   = flag.Int("wire.sample", 5000, "how many requests a sample has")
	seed     = flag.Uint64("wire.seed", 20261123, "seed of the sample and of the order")
	reportTo = flag.String("wire.report", "", "file to write the report of the corpus to, from the root of the module")
)

// root is the root of the module, seen from here.
const root = "../.."

// tags leave out the database drivers that nobody needs here.
const tags = "nobadger,nomysql,nopgx"

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

// dependOnSources looks at every source file of the binary. The go command notes
// which files a test looks at, and does not repeat the result of another binary.
var dependOnSources = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && len(name) > 2 && name[0] == '.' {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".go" || filepath.Base(path) == "go.mod" {
			_, err = os.Stat(path)
		}
		return err
	})
})

// build builds a program of the module.
func build(name, pkg string) error {
	cmd := exec.Command("go", "build", "-tags", tags, "-o", filepath.Join(binaries, name), pkg)
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

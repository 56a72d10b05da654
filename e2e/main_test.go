// This file builds the binary that all tests run.

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
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
	build := exec.Command("go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", caddy, "../cmd/caddy")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		return 1
	}
	return m.Run()
}

// dependOnSources looks at every source file of the binary. The go command
// notes which files a test looks at, and runs it again when one has changed;
// otherwise it would repeat a result of another binary. It notes nothing before
// the first test has begun.
var dependOnSources = sync.OnceValue(func() error {
	return filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
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

// This file builds the binary that all tests run, and makes the secrets of its
// clients with it.

package clients

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
)

// caddy is the path of the binary.
var caddy string

// The entries of the clients block: tools that present nothing to Caddy, and
// the identity that each stands for.
var (
	etl     = &tool{name: "etl", identity: "alice"}
	reports = &tool{name: "reports", identity: "bob"}
)

// A tool is what an operator has made with `caddy tableau client add`.
type tool struct {
	name, identity string
	secret         string
	line           string // for the clients block
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tableau-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	caddy = filepath.Join(dir, "caddy")
	if err := program.Build("../..", "./cmd/caddy", caddy); err != nil {
		fmt.Fprintln(os.Stderr, "building the binary:", err)
		return 1
	}
	for _, t := range []*tool{etl, reports} {
		if err := t.add(); err != nil {
			fmt.Fprintf(os.Stderr, "caddy tableau client add %s: %v\n", t.name, err)
			return 1
		}
	}
	return m.Run()
}

// added is what `caddy tableau client add` prints.
var added = regexp.MustCompile(`(?s)\n\n  (\S+)\n.*\n\n  ([^\n]+)\n`)

// add has the binary make the tool's secret.
func (t *tool) add() error {
	out, err := exec.Command(caddy, "tableau", "client", "add", t.name, "--identity", t.identity).Output()
	if err != nil {
		return err
	}
	match := added.FindStringSubmatch(string(out))
	if match == nil || !strings.HasPrefix(match[2], t.name+" ") {
		return errors.New("its output has not the secret and the line")
	}
	t.secret, t.line = match[1], match[2]
	return nil
}

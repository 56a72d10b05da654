// This file runs programs whose output is kept, and makes sure that none
// outlives its test.

package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
)

// patience is how long anything may take that is only a matter of time.
const patience = 20 * time.Second

// A process is a running program.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr *program.Output
	// clean takes secrets out of what a failing test shows.
	clean func(string) string
	ended chan struct{}
	err   error // of the program, once ended
}

// startProcess starts the binary for as long as the test runs.
func startProcess(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	p := launch(t, dir, env, args...)
	t.Cleanup(p.kill)
	return p
}

// launch starts the binary in dir, with nothing in its environment but what is
// given and a home of its own. The caller has to kill it.
func launch(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	if err := dependOnSources(); err != nil {
		t.Fatal(err)
	}
	p := &process{
		t: t, cmd: exec.Command(caddy, args...), stdout: program.NewOutput(), stderr: program.NewOutput(),
		clean: func(s string) string { return s }, ended: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Env = dir, append(homeIn(dir), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p
}

// homeIn is an environment in which Caddy keeps all its files in dir.
func homeIn(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir,
		"XDG_CONFIG_HOME=" + dir + "/config", "XDG_DATA_HOME=" + dir + "/data",
	}
}

// kill ends the program, if it has not ended, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails if it has ended
	<-p.ended
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v: %v\n%s", s, err, p.tail())
	}
}

// waitFor waits until out holds text, and returns all of out.
func (p *process) waitFor(out *program.Output, text string) string {
	p.t.Helper()
	all, err := out.Await(text, p.ended, patience)
	switch {
	case errors.Is(err, program.ErrEnded):
		p.t.Fatalf("the program ended (%v) without printing %q\n%s", p.err, text, p.tail())
	case err != nil:
		p.t.Fatalf("the program did not print %q within %v\n%s", text, patience, p.tail())
	}
	return all
}

// exitCode waits for the end of the program.
func (p *process) exitCode() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("the program did not end within %v\n%s", patience, p.tail())
	}
	return p.cmd.ProcessState.ExitCode()
}

// running tells whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// tail is the end of the output, for the message of a failing test.
func (p *process) tail() string {
	const most = 4 << 10
	var b strings.Builder
	for name, out := range map[string]*program.Output{"stdout": p.stdout, "stderr": p.stderr} {
		text := p.clean(out.String())
		if len(text) > most {
			text = "..." + text[len(text)-most:]
		}
		b.WriteString("--- " + name + "\n" + text + "\n")
	}
	return b.String()
}

// finished is a program that has ended by itself.
type finished struct {
	code           int
	stdout, stderr string
}

// runCaddy runs the binary to its end.
func runCaddy(t testing.TB, dir string, env []string, args ...string) finished {
	t.Helper()
	p := startProcess(t, dir, env, args...)
	return finished{p.exitCode(), p.stdout.String(), p.stderr.String()}
}

// eventually polls until done is true. Most of what tests wait for happens in
// another process, which tells nobody.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Fatalf("after %v still not: %s", patience, what)
			}
			return
		}
	}
}

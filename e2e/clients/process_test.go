// This file runs programs, keeps what they print, and makes sure that none
// outlives its test.

package clients

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
)

const (
	// patience ends a wait for what never comes, and runtime a program that
	// never ends. Neither is what a test measures.
	patience = 2 * time.Minute
	runtime  = 10 * time.Minute
)

// A process is a running program.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr *program.Output
	ended          chan struct{}
	err            error // of the program, once ended
}

// start starts a program in dir, with env for its whole environment.
func start(t *testing.T, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), runtime)
	p := &process{
		t: t, cmd: exec.CommandContext(ctx, name, args...),
		stdout: program.NewOutput(), stderr: program.NewOutput(), ended: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.WaitDelay = time.Second // for what a killed program leaves open
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p
}

// wait waits for the end of the program and returns its exit status.
func (p *process) wait() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// interrupt ends a server as Ctrl-C does, and waits for it.
func (p *process) interrupt() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Errorf("interrupt: %v", err)
	}
	return p.wait()
}

// printed waits until out holds text. It reports false if the program ended
// without printing it.
func (p *process) printed(out *program.Output, text string) bool {
	p.t.Helper()
	_, err := out.Await(text, p.ended, patience)
	if errors.Is(err, program.ErrTimedOut) {
		p.t.Fatalf("%s did not print %q within %v\n%s", p.cmd.Path, text, patience, p.tail())
	}
	return err == nil
}

// tail is the end of the output, without the secrets of the tools.
func (p *process) tail() string {
	const most = 4 << 10
	text := "--- stdout\n" + p.stdout.String() + "\n--- stderr\n" + p.stderr.String()
	if len(text) > 2*most {
		text = text[:most] + "\n...\n" + text[len(text)-most:]
	}
	return strings.NewReplacer(etl.secret, "[secret]", reports.secret, "[secret]").Replace(text)
}

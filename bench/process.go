package main

// This file runs programs whose output is kept, and makes sure that none
// outlives the benchmark.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// patience is how long anything may take that is only a matter of time.
const patience = 30 * time.Second

// A process is a running program.
type process struct {
	cmd   *exec.Cmd
	out   *tail
	ended chan struct{}
	err   error // once ended
}

// launch starts a program in dir, with nothing of this machine's environment
// but what it takes to find others.
func launch(dir string, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), out: new(tail), ended: make(chan struct{})} //nolint:gosec,noctx // a server of the benchmark; ends by stop, which is polite
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8",
		"XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir,
	}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// launchSelf starts another part of this program.
func launchSelf(dir string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return launch(dir, nil, self, args...)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the program, politely first: nginx would leave its workers behind.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill ends the program at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails if it has ended
	<-p.ended
}

// errEnded says that a program has ended that should serve.
var errEnded = errors.New("the program has ended")

// answers waits until an address answers a GET for path with 200, asking every
// interval.
func (p *process) answers(ctx context.Context, address, path string, interval time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		status, err := get(ctx, client, "http://"+address+path)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			return fmt.Errorf("%w: %s", errors.Join(errEnded, p.err), p.out)
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s within %v: status %d, %w\n%s", filepath.Base(p.cmd.Path), patience, status, errors.Join(ctx.Err(), err), p.out)
		}
	}
}

// listens waits until an address takes connections.
func (p *process) listens(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			return fmt.Errorf("%w: %s", errors.Join(errEnded, p.err), p.out)
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s within %v: %w", address, patience, err)
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set(headerUser, userName(0))
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// A tail keeps the end of what a program prints.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	const most = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*most {
		t.text = bytes.Clone(t.text[len(t.text)-most:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// freeAddress is an address on loopback on which nothing listens.
func freeAddress() (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// portOf is the port of a host:port.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	if _, err := strconv.Atoi(port); err != nil {
		panic("not an address: " + address)
	}
	return port
}

package caddymodule

// This file runs the commands as a user does: it starts them, sends the
// requests that they print, and stops them.

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// A running command writes into out, and ends when stop is called.
type running struct {
	out  *memory
	stop context.CancelFunc
	done chan error
}

func run(t *testing.T, command func(context.Context, io.Writer) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{out: new(memory), stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- command(ctx, r.out) }()
	t.Cleanup(cancel)
	return r
}

// text waits until the command has written want, and returns all it has.
func (r *running) text(t *testing.T, want string) string {
	t.Helper()
	late := time.After(patience)
	for {
		_, changed := r.out.since(0)
		if all := string(r.out.bytes()); strings.Contains(all, want) {
			return all
		}
		select {
		case <-changed:
		case err := <-r.done:
			t.Fatalf("it ended: %v:\n%s", err, r.out.bytes())
		case <-late:
			t.Fatalf("it does not write %q:\n%s", want, r.out.bytes())
		}
	}
}

// end stops the command and returns all that it has written.
func (r *running) end(t *testing.T) string {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("it ended with: %v", err)
	}
	return string(r.out.bytes())
}

// curl is one line as the demonstration prints it.
var curl = regexp.MustCompile(`^  curl -s -w '\\n' -u (\w+):(\w+) (http://127\.0\.0\.1:\d+/\S+)(?: -H '([\w-]+): ([^']+)')?$`)

func TestDemo(t *testing.T) {
	t.Setenv(demoSecret, "") // restores it afterwards
	demo := run(t, func(ctx context.Context, out io.Writer) error { return runDemo(ctx, "127.0.0.1:0", out) })
	printed := demo.text(t, "Ctrl-C stops it")

	want := []struct {
		status int
		code   string
		body   string
	}{
		{200, "", tableautest.DraftsName("alice")},
		{200, "", tableautest.DraftsName("bob")},
		{403, "scope_missing", "tableau:content:read"},
		{403, "identity_not_mapped", "Ask its operator to add you to the user map"},
		{200, "", `{"pagination"`},
	}
	var lines []string
	for line := range strings.Lines(printed) {
		if strings.Contains(line, "curl ") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(lines) != len(want) {
		t.Fatalf("%d curl lines, want %d:\n%s", len(lines), len(want), printed)
	}
	for i, line := range lines {
		parts := curl.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("not one whole command: %q", line)
			continue
		}
		a := request(t, parts[1], parts[2], parts[3], parts[4], parts[5])
		if a.status != want[i].status || a.code() != want[i].code || !strings.Contains(a.body, want[i].body) {
			t.Errorf("%s: status %d, code %q, want %d, %q and %q in %s", line, a.status, a.code(), want[i].status, want[i].code, want[i].body, a.body)
		}
	}
	if all := demo.end(t); !strings.Contains(all, "Sign-ins at Tableau: 2. Sessions alive: 0.") {
		t.Errorf("at the end it says:\n%s", all)
	}
}

// request sends what a curl line would.
func request(t *testing.T, user, password, address, header, value string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	if header != "" {
		req.Header.Set(header, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAnswer(res)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The demonstration holds no secret of its making back, and gives none away.
func TestDemoPrintsNoSecret(t *testing.T) {
	t.Setenv(demoSecret, "")
	demo := run(t, func(ctx context.Context, out io.Writer) error { return runDemo(ctx, "127.0.0.1:0", out) })
	demo.text(t, "Ctrl-C stops it")
	secret := os.Getenv(demoSecret)
	if all := demo.end(t); secret == "" || strings.Contains(all, secret) {
		t.Errorf("the secret has %d bytes, and is in what is printed", len(secret))
	}
}

func TestSimulate(t *testing.T) {
	address := regexp.MustCompile(`https?://127\.0\.0\.1:\d+`)
	for name, test := range map[string]struct {
		tls, cloud bool
		want       string
	}{
		"plain": {false, false, "Users: alice, bob, carol, admin"},
		"TLS":   {true, false, "site default"},
		"Cloud": {false, true, "Users: alice@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			file := ""
			if test.tls {
				file = filepath.Join(t.TempDir(), "ca.pem")
			}
			simulator := run(t, func(ctx context.Context, out io.Writer) error {
				return runSimulate(ctx, "127.0.0.1:0", file, test.cloud, out)
			})
			printed := simulator.text(t, "Ctrl-C stops it.")
			if !strings.Contains(printed, test.want) {
				t.Errorf("it prints %s, want %q in it", printed, test.want)
			}
			u, err := url.Parse(address.FindString(printed))
			if err != nil || (u.Scheme == "https") != test.tls {
				t.Fatalf("it listens at %v, %v", u, err)
			}
			if test.tls {
				content, err := os.ReadFile(file)
				if err != nil || !strings.HasPrefix(string(content), "-----BEGIN CERTIFICATE-----") {
					t.Errorf("the certificate is %q, %v", content, err)
				}
			} else if a := request(t, "", "", u.String()+api+"/serverinfo", "", ""); a.status != 200 {
				t.Errorf("status %d: %s", a.status, a.body)
			}
			if all := simulator.end(t); !strings.Contains(all, "Stopped. Live sessions: 0.") {
				t.Errorf("at the end it says:\n%s", all)
			}
		})
	}
}

func TestCommandsListenOnLoopbackOnly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // should one start, it ends
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80", "example.com:80", "localhost:0", "127.0.0.1", "", "127.0.0.1:http:80"} {
		for name, command := range map[string]func() error{
			"demo":     func() error { return runDemo(ctx, address, io.Discard) },
			"simulate": func() error { return runSimulate(ctx, address, "", false, io.Discard) },
		} {
			if err := command(); err == nil || !strings.Contains(err.Error(), "--listen: ") {
				t.Errorf("%s on %q: %v, want an error about --listen", name, address, err)
			}
		}
	}
}

func TestAddressInUse(t *testing.T) {
	taken, err := listenLoopback(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := runDemo(t.Context(), taken.Addr().String(), io.Discard); err == nil || !strings.Contains(err.Error(), "choose another with --listen 127.0.0.1:0") {
		t.Errorf("error %v, want one that names another address", err)
	}
}

func TestSimulateWithoutAPlaceForItsCertificate(t *testing.T) {
	err := runSimulate(t.Context(), "127.0.0.1:0", filepath.Join(t.TempDir(), "none", "ca.pem"), false, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--ca-file: ") {
		t.Errorf("error %v, want one about --ca-file", err)
	}
}

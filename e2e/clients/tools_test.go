// This file finds the clients, has them installed where they are missing, and
// runs them.

package clients

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// root is the directory of the module.
var root = sync.OnceValue(func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
})

// installed runs a script of .ci that installs clients, once for all tests.
func installed(script string, args ...string) func() error {
	return sync.OnceValue(func() error {
		cmd := exec.Command("bash", append([]string{filepath.Join(root(), ".ci", script)}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return &installError{err, strings.TrimSpace(string(out))}
		}
		return nil
	})
}

var (
	pythonClients = installed("python-clients")
	npmClients    = installed("npm-clients")
	systemCurl    = installed("system-packages", "curl")
)

// An installError says why clients are not there.
type installError struct {
	err    error
	output string
}

func (e *installError) Error() string { return e.err.Error() + ": " + e.output }

// unavailable is the exit status by which the scripts say that this machine
// cannot have the clients.
const unavailable = 3

// need skips the test if clients cannot be had on this machine.
func need(t *testing.T, installed func() error) {
	t.Helper()
	err := installed()
	var exit *exec.ExitError
	var failure *installError
	switch {
	case err == nil:
	case errors.As(err, &failure) && errors.As(failure.err, &exit) && exit.ExitCode() == unavailable:
		t.Skip(failure.output)
	default:
		t.Fatal(err)
	}
}

// python is the interpreter of one of the environments in .cache/venv.
func python(t *testing.T, environment string) string {
	t.Helper()
	need(t, pythonClients)
	return filepath.Join(root(), ".cache", "venv", environment, "bin", "python")
}

// newman is Postman's runner of collections.
func newman(t *testing.T) string {
	t.Helper()
	need(t, npmClients)
	return filepath.Join(root(), ".cache", "npm", "node_modules", ".bin", "newman")
}

// curl is the system's.
func curl(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("curl"); err == nil {
		return path
	}
	if err := systemCurl(); err != nil {
		t.Skip(err)
	}
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// env is the environment of a client: nothing of this machine's but where
// programs are, and the proxy's certificate for each that has a CA to trust
// in a variable of its own.
func (r *rig) env() []string {
	ca := filepath.Join(r.dir, "proxy.pem")
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "TMPDIR=" + r.dir, "LANG=C.UTF-8",
		"XDG_CONFIG_HOME=" + r.dir + "/config", "XDG_DATA_HOME=" + r.dir + "/data",
		"REQUESTS_CA_BUNDLE=" + ca, "NODE_EXTRA_CA_CERTS=" + ca, "CURL_CA_BUNDLE=" + ca,
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1",
	}
}

// client starts a client in the rig's directory. Pairs are more variables of
// its environment, "NAME=value".
func (r *rig) client(t *testing.T, pairs []string, name string, args ...string) *process {
	t.Helper()
	p := start(t, r.dir, append(r.env(), pairs...), name, args...)
	r.programs = append(r.programs, p)
	return p
}

// run runs a client to its end, fails the test if it fails, and returns what
// it printed.
func (r *rig) run(t *testing.T, pairs []string, name string, args ...string) string {
	t.Helper()
	p := r.client(t, pairs, name, args...)
	if status := p.wait(); status != 0 {
		t.Fatalf("%s %s ended with status %d\n%s", filepath.Base(name), strings.Join(safe(args), " "), status, p.tail())
	}
	return p.stdout.String()
}

// safe takes the secrets out of a command line.
func safe(args []string) []string {
	clean := strings.NewReplacer(etl.secret, "[secret]", reports.secret, "[secret]", password, "[password]")
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = clean.Replace(arg)
	}
	return out
}

// script is the path of a program in testdata.
func script(name string) string { return filepath.Join(root(), "e2e", "clients", "testdata", name) }

// as are the variables that testdata/connect.py reads: the proxy, and the
// credentials of a tool.
func (r *rig) as(base string, t *tool) []string {
	return []string{"PROXY=" + base, "NAME=" + t.name, "SECRET=" + t.secret}
}

// decode reads the last line of what a script printed, as JSON.
func decode[T any](t *testing.T, printed string) T {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	var value T
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &value); err != nil {
		t.Fatalf("%v in %q", err, lines[len(lines)-1])
	}
	return value
}

// These tests show that a configuration that could not work, or not safely, is
// refused with a message that says what to change.

package e2e

import (
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/e2e/program"
)

// A mistake is a wrong configuration and what must be said about it.
type mistake struct {
	name   string
	change func(r *rig)
	env    []string // instead of the usual
	says   []string // the option, and the fix
}

const literalSecret = "k9Yx2mLq8RvT4wZb7NcJ5hGd1FpS6aEu"

var mistakes = []mistake{
	{
		name: "missing secret variable", env: []string{},
		says: []string{"secret", secretVariable, "environment variable"},
	},
	{
		name: "empty secret variable", env: []string{secretVariable + "="},
		says: []string{"secret", secretVariable, "environment variable"},
	},
	{
		name: "blank secret variable", env: []string{secretVariable + "=  "},
		says: []string{"secret", secretVariable, "empty"},
	},
	{
		name: "missing secret file", change: func(r *rig) { r.conf.Secret = "{file." + r.conf.Dir + "/nowhere}" },
		says: []string{"secret", "nowhere", "file"},
	},
	{
		name: "no secret value", change: func(r *rig) { r.conf.Secret = "" },
		says: []string{"secret", "{env."},
	},
	{
		name: "literal secret", change: func(r *rig) { r.conf.Secret = literalSecret },
		says: []string{"secret", "{env.NAME}", "{file./path}"},
	},
	{
		name: "secret replaced too early", change: func(r *rig) { r.conf.Secret = "{$" + secretVariable + "}" },
		says: []string{"secret", "{env.NAME}", "{$NAME}"},
	},
	{
		name: "http origin", change: func(r *rig) { r.conf.Origin, r.conf.Trust = "http://127.0.0.1:1", "" },
		says: []string{"origin", "https", "insecure_http"},
	},
	{
		name: "origin with a path", change: func(r *rig) { r.conf.Origin += "/tableau" },
		says: []string{"origin", "leave out what follows", "path"},
	},
	{
		name: "origin with user info", change: func(r *rig) { r.conf.Origin = "https://joe:" + literalSecret + "@tableau.example" },
		says: []string{"origin", "user name or password", "leave it out"},
	},
	{
		name: "origin with a query", change: func(r *rig) { r.conf.Origin += "?x=y" },
		says: []string{"origin", "leave out what follows"},
	},
	{
		name: "unknown option", change: func(r *rig) { r.conf.Options = "user_mapp alice alice" },
		says: []string{"user_mapp", "the options are", "user_map"},
	},
	{
		name: "duplicate option", change: func(r *rig) { r.conf.Options = "replay_buffer 1MiB\n\t\treplay_buffer 2MiB" },
		says: []string{"replay_buffer", "twice"},
	},
	{
		name: "duplicate identity", change: func(r *rig) { r.conf.Users = "user_map alice alice\n\t\tuser_map alice bob" },
		says: []string{"user_map", "alice", "twice"},
	},
	{
		name: "no user", change: func(r *rig) { r.conf.Users = "" },
		says: []string{"user", "user {http.auth.user.id}"},
	},
	{
		name: "a user whom the client names", change: func(r *rig) { r.conf.Users = "user {http.request.uri.query.user}" },
		says: []string{"user", "{http.auth.user.id}"},
	},
	{
		name: "no site", change: func(r *rig) { r.conf.Sites = "" },
		says: []string{"site", "at least one"},
	},
	{
		name: "empty scopes", change: func(r *rig) { r.conf.Scopes = "" },
		says: []string{"scopes", "at least one"},
	},
	{
		name: "TLS that trusts everybody", change: func(r *rig) { r.conf.Trust = "tls_insecure_skip_verify" },
		says: []string{"tls_insecure_skip_verify", "tls_trust_pool"},
	},
}

func TestAWrongConfigurationIsRefusedWithOptionAndFix(t *testing.T) {
	for _, wrong := range mistakes {
		t.Run(wrong.name, func(t *testing.T) {
			t.Parallel()
			r := prepareMistake(t)
			if wrong.change != nil {
				wrong.change(r)
			}
			env := r.env()
			if wrong.env != nil {
				env = wrong.env
			}
			path := r.conf.write(t)
			for _, command := range []string{"run", "validate"} {
				done := runCaddy(t, r.conf.Dir, env, command, "--config", path, "--adapter", "caddyfile")
				r.expectRefusal(t, command, done, wrong.says)
			}
			if n := len(r.Journal()); n != 0 {
				t.Errorf("%d calls to Tableau while loading a configuration", n)
			}
		})
	}
}

// prepareMistake makes a rig whose proxy is not started. It logs at the usual
// level: at DEBUG, Caddy itself logs the configuration before any module can
// refuse a secret in it.
func prepareMistake(t *testing.T) *rig {
	t.Helper()
	r := prepare(t, setup{})
	r.conf.Level = ""
	r.conf.HTTP, r.conf.HTTPS = program.FreePort(t), program.FreePort(t)
	return r
}

// expectRefusal checks how a command has refused a configuration.
func (r *rig) expectRefusal(t *testing.T, command string, done finished, says []string) {
	t.Helper()
	said := done.stdout + done.stderr
	r.kept.add("caddy "+command, []byte(said))
	if strings.Contains(said, literalSecret) {
		t.Errorf("caddy %s prints the secret", command)
		return
	}
	if done.code == 0 {
		t.Errorf("caddy %s: exit code 0", command)
	}
	message := errorMessage(done.stderr)
	for _, part := range says {
		if !strings.Contains(message, part) {
			t.Errorf("caddy %s does not say %q:\n%s", command, part, r.kept.clean(message))
		}
	}
}

// errorMessage is the line with which Caddy gives up.
func errorMessage(stderr string) string {
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return lines[len(lines)-1]
}

// What may not be left out.
func TestAnOptionThatIsLeftOutIsNamed(t *testing.T) {
	for option, says := range map[string][]string{
		"site":        {"site", "content URL"},
		"credentials": {"credentials", "direct_trust"},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			r := prepareMistake(t)
			path := r.file("Caddyfile", []byte(without(r.conf.text(t), option)))
			done := runCaddy(t, r.conf.Dir, r.env(), "validate", "--config", path, "--adapter", "caddyfile")
			r.expectRefusal(t, "validate", done, says)
		})
	}
}

// without takes an option of tableau_proxy, with its block, out of a Caddyfile.
func without(text, option string) string {
	var kept []string
	inBlock := false
	for line := range strings.Lines(text) {
		switch {
		case inBlock:
			inBlock = line != "\t\t}\n"
		case strings.HasPrefix(line, "\t\t"+option+" "):
			inBlock = strings.HasSuffix(line, "{\n")
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

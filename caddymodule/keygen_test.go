package caddymodule

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

func TestKeygen(t *testing.T) {
	for _, c := range []struct {
		name, dir string
		k         keygen
		alg, kid  string
		want      []string
		not       []string
	}{
		{
			name: "RSA", k: keygen{kind: "rsa", kid: "2026-11", issuer: "https://proxy.corp.example"}, alg: "RS256", kid: "2026-11",
			want: []string{
				"OAuth 2.0 Trust", "Issuer URL  https://proxy.corp.example\n", "https://proxy.corp.example/.well-known/jwks.json",
				"credentials oauth_trust {\n      issuer   https://proxy.corp.example\n", "audience tableau:<site_luid>", "tableau_issuer",
				"credentials unified_access {", "-----BEGIN PUBLIC KEY-----", `"kty":"RSA"`, `"kid":"2026-11"`,
			},
			not: []string{exampleIssuer},
		},
		{
			name: "EC", k: keygen{kind: "ec", kid: "a", issuer: "https://proxy.corp.example/"}, alg: "ES256", kid: "a",
			want: []string{"Issuer URL  https://proxy.corp.example/\n", "https://proxy.corp.example/.well-known/jwks.json", "make one with --type rsa"},
			not:  []string{"credentials unified_access", "PUBLIC KEY"},
		},
		{
			name: "nothing given", k: keygen{kind: "ec"}, alg: "ES256",
			want: []string{"in the place of " + exampleIssuer},
		},
		{name: "a folder with a space", dir: "my keys", k: keygen{kind: "ec", kid: "a"}, alg: "ES256", kid: "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), c.dir)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			c.k.out = filepath.Join(dir, "key.pem")
			var out strings.Builder
			if err := c.k.run(&out); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(c.k.out)
			if err != nil {
				t.Fatal(err)
			}
			checkKeyFile(t, c.k.out, content, out.String())
			line := caddyfileLine(t, out.String())
			if c.kid == "" {
				c.kid = strings.Fields(line)[1]
			}
			key, err := tableauauth.ParseSigningKey(c.kid, tableauapi.NewSecret(string(content)))
			if err != nil || key.Algorithm() != c.alg {
				t.Fatalf("%v, error %v", key, err)
			}
			for _, part := range append(c.want, c.k.out, "key "+c.kid+" ") {
				if !strings.Contains(out.String(), part) {
					t.Errorf("%q is not in what is printed:\n%s", part, out.String())
				}
			}
			for _, part := range c.not {
				if strings.Contains(out.String(), part) {
					t.Errorf("%q is in what is printed:\n%s", part, out.String())
				}
			}
			// The printed line is one that loads.
			if err := provision(t, goodOrigin, goodSite+goodUser+goodScopes+"credentials "+oauthTrust("https://x.example", "tableau", line)+"\n"); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		})
	}
}

func checkKeyFile(t *testing.T, path string, content []byte, printed string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	block, rest := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
		t.Fatal("the file is not one PEM block with a private key")
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		t.Error(err)
	}
	for _, line := range strings.Split(string(content), "\n")[1:] {
		if len(line) > 20 && strings.Contains(printed, line) && !strings.HasPrefix(line, "-----") {
			t.Error("the private key is printed")
		}
	}
	if strings.Contains(printed, "PRIVATE KEY-----") || strings.Contains(printed, `"d":`) {
		t.Error("the private key is printed")
	}
}

// caddyfileLine finds the option key in what is printed.
func caddyfileLine(t *testing.T, printed string) string {
	t.Helper()
	for line := range strings.Lines(printed) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "key ") {
			return line
		}
	}
	t.Fatalf("no line with key in:\n%s", printed)
	return ""
}

func TestKeygenRefuses(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), dangling); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, "fresh")
	for _, c := range []struct {
		name string
		k    keygen
		want string
	}{
		{"no file", keygen{kind: "ec"}, "--out: missing"},
		{"file is there", keygen{kind: "ec", out: taken}, "exists"},
		{"a link is there", keygen{kind: "ec", out: dangling}, "exists"},
		{"no folder", keygen{kind: "ec", out: filepath.Join(dir, "none", "x")}, "--out: "},
		{"braces", keygen{kind: "ec", out: filepath.Join(dir, "{x}")}, "braces"},
		{"type", keygen{kind: "dsa", out: fresh}, `--type: "dsa"`},
		{"kid", keygen{kind: "ec", kid: "a b", out: fresh}, "--kid: "},
		{"kid with braces", keygen{kind: "ec", kid: "{a}", out: fresh}, "braces"},
		{"issuer", keygen{kind: "ec", issuer: "http://x.example", out: fresh}, "--issuer: "},
	} {
		var out strings.Builder
		if err := c.k.run(&out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
		if out.Len() > 0 {
			t.Errorf("%s: printed %q", c.name, out.String())
		}
	}
	if content, err := os.ReadFile(taken); err != nil || string(content) != "precious" {
		t.Errorf("the file was changed to %q, error %v", content, err)
	}
	if _, err := os.Lstat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused command leaves a file: %v", err)
	}
	if err := writeNew(taken, []byte("x")); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("writeNew: %v", err)
	}
}

func TestKeygenCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "key.pem")
	cmd := keygenCommand()
	cmd.SetArgs([]string{"--type", "ec", "--kid", "one", "--out", out})
	stdout := os.Stdout
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = null
	err = cmd.Execute()
	os.Stdout = stdout
	null.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

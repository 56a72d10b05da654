package caddymodule

// This file adds `caddy tableau` to the command line.

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "tableau",
		Usage: "<demo|simulate|client|keygen|scopes|audit>",
		Short: "Tools for the Tableau modules",
		Long: `
Tools for the Tableau modules: a demonstration that needs no configuration, the
simulated Tableau that it runs on, secrets for tools that can only sign in, and
what a request needs, or a configuration lets through.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(demoCommand(), simulateCommand(), clientCommand(), keygenCommand(), scopesCommand(), auditCommand())
		},
	})
}

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo [--listen <addr>]",
		Short: "Shows the proxy at work, on a simulated Tableau",
		Long: `
Starts a simulated Tableau and this proxy in front of it, both on loopback, with
a few users. It prints requests to try, and then a line for each request: who
sent it, as which Tableau user it went on, and how it ended. Ctrl-C stops it.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().String("listen", "127.0.0.1:8765", "loopback address to listen on; port 0 takes a free one")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		return untilInterrupted(func(ctx context.Context) error {
			return runDemo(ctx, fl.String("listen"), os.Stdout)
		})
	})
	return cmd
}

func simulateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate [--listen <addr>] [--ca-file <path>] [--cloud]",
		Short: "Runs the simulated Tableau alone",
		Long: `
Runs the simulated Tableau alone, on loopback, and prints what is needed to sign
in to it. Its users, secrets and content are made up; the secrets are new each
time. With --ca-file it speaks TLS, and writes the certificate to trust to that
file. Ctrl-C stops it.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().String("listen", "127.0.0.1:8766", "loopback address to listen on; port 0 takes a free one")
	cmd.Flags().String("ca-file", "", "speak TLS, and write the certificate to trust to this file, in PEM")
	cmd.Flags().Bool("cloud", false, "behave as Tableau Cloud instead of Tableau Server")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		return untilInterrupted(func(ctx context.Context) error {
			return runSimulate(ctx, fl.String("listen"), fl.String("ca-file"), fl.Bool("cloud"), os.Stdout)
		})
	})
	return cmd
}

func clientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Makes secrets for tools that can present no identity to Caddy",
	}
	add := &cobra.Command{
		Use:   "add <name> [--identity <identity>]",
		Short: "Makes a secret for a tool, and prints the line for the configuration",
		Long: `
Makes a fresh secret for a tool that only knows how to sign in at Tableau. It
prints the secret, once, and the line to put into the clients block. The tool
signs in with the name and the secret, as user name and password or as a
personal access token.`,
		Args: cobra.ExactArgs(1),
	}
	add.Flags().String("identity", "", "the identity that the tool stands for (default: its name)")
	add.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		if err := addClient(fl.Arg(0), fl.String("identity"), bcrypt.DefaultCost, os.Stdout); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	cmd.AddCommand(add)
	return cmd
}

// addClient prints a fresh secret and the line of the configuration that knows
// its hash. The secret is random, so that the hash needs no more than the usual
// cost to keep it.
func addClient(name, identity string, cost int, out io.Writer) error {
	secret := rand.Text()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), cost)
	if err != nil {
		return err
	}
	client := Client{Name: name, Hash: string(hash), Identity: cmp.Or(identity, name)}
	if err := checkClient(client); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	line, err := clientLine(client)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	_, err = fmt.Fprintf(out, `The secret of %s, which is not shown again:

  %s

The line for the clients block of the configuration:

  %s
`, name, secret, line)
	return err
}

// clientLine returns the line of the clients block that stands for c.
func clientLine(c Client) (string, error) {
	if c.Name == "import" {
		return "", errors.New("at the beginning of a line of a Caddyfile, this word imports a file: choose another name")
	}
	tokens := []string{c.Name, c.Hash}
	if c.Identity != c.Name {
		tokens = append(tokens, c.Identity)
	}
	for i, token := range tokens {
		var err error
		if tokens[i], err = quoted(token); err != nil {
			return "", err
		}
	}
	return strings.Join(tokens, " "), nil
}

// quoted returns token as it has to stand in a Caddyfile. Between backquotes
// everything means itself; between double quotes a backslash cannot stand
// before a quote.
func quoted(token string) (string, error) {
	switch {
	case strings.ContainsAny(token, "{}"):
		return "", errors.New("braces mean something else in a Caddyfile: leave them out")
	case !strings.ContainsAny(token, " \"`#\\<"):
		return token, nil
	case !strings.Contains(token, "`"):
		return "`" + token + "`", nil
	case !strings.Contains(token, `\`):
		return `"` + strings.ReplaceAll(token, `"`, `\"`) + `"`, nil
	default:
		return "", errors.New("a Caddyfile cannot hold a backquote and a backslash in one word: leave one out")
	}
}

// untilInterrupted runs f with a context that Ctrl-C and SIGTERM end.
func untilInterrupted(f func(context.Context) error) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := f(ctx); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

// listenLoopback listens on address, which must be of this machine alone. A
// simulated Tableau trusts whoever knows its made-up passwords.
func listenLoopback(ctx context.Context, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("--listen: %s is not a loopback address such as 127.0.0.1:8765", address)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: choose another with --listen %s", err, net.JoinHostPort(host, "0"))
	}
	return listener, err
}

package caddymodule

// This file adds `caddy tableau scopes`, which tells what a request needs.

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// newestVersion is later than every version of the REST API: with it nothing
// that is known is left out.
const newestVersion = "999.999"

func scopesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scopes <method> <path> | --config <file> [--adapter <name>] [--json]",
		Short: "Prints what a request needs, or what a configuration lets through",
		Long: `
With a method and a path, such as GET /sites/-/workbooks, it prints the operation
of Tableau's API, the scopes that a session needs for it, and what else is known
of it. The path may begin with /api/, or behind the version of the REST API.

With --config it prints a table of what a configuration does with each operation:
whether it goes through, by which rule, and in a session with which scopes. It is
in the order of docs/scopes.md, so that the tables of two configurations can be
compared line by line. Nothing is loaded or started, and no secret is needed.`,
		Args: cobra.MaximumNArgs(2),
	}
	cmd.Flags().String("config", "", "the configuration to print the table of")
	cmd.Flags().String("adapter", "", "the adapter of the configuration, if its name does not tell")
	cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		err := runScopes(fl.Args(), fl.String("config"), fl.String("adapter"), fl.Bool("json"), os.Stdout)
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

// runScopes does what the arguments ask for.
func runScopes(args []string, config, adapter string, asJSON bool, out io.Writer) error {
	switch {
	case config != "" && len(args) > 0:
		return errors.New("it prints one of the two: about a request, or about a configuration")
	case config != "":
		loaded, _, _, err := caddycmd.LoadConfig(config, adapter)
		if err != nil {
			return err
		}
		return printReport(loaded, asJSON, out)
	case len(args) == 2 && !asJSON:
		return printOperation(strings.ToUpper(args[0]), args[1], out)
	default:
		return errors.New("it takes a method and a path, such as GET /sites/-/workbooks, or --config <file>")
	}
}

// printOperation prints what is known of a request.
func printOperation(method, target string, out io.Writer) error {
	op, err := lookUp(method, target)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, cmp.Or(value, "-")) }
	line("operation", op.Name)
	if len(op.Aliases) > 0 {
		line("also", strings.Join(op.Aliases, " "))
	}
	path := op.ShortTemplate()
	if op.Query != "" {
		path += "?" + op.Query
	}
	line("request", op.Method+" "+path)
	line("class", string(op.Class))
	line("changes something", map[bool]string{true: "yes", false: "no"}[op.Mutates])
	line("scopes", strings.Join(op.Scopes, " "))
	line("scopes by resource", strings.Join(op.ScopesFor(tableauapi.ByResource, newestVersion), " "))
	line("scopes by class", strings.Join(op.ScopesFor(tableauapi.ByClass, newestVersion), " "))
	line("since", op.MinVersion)
	line("JWTs since", op.JWTSince)
	line("sessions from JWTs", jwtWords[op.JWT])
	if op.Danger != tableauapi.Harmless {
		line("danger", string(op.Danger)+": "+op.Reason)
	}
	if op.Note != "" {
		line("note", op.Note)
	}
	return w.Flush()
}

var jwtWords = map[tableauapi.JWT]string{
	tableauapi.JWTAccepted:      "accepted",
	tableauapi.JWTUnifiedAccess: "only those of a unified access token",
	tableauapi.JWTRefused:       "refused: it takes credentials pat or password",
	tableauapi.JWTNotNeeded:     "no session is needed",
}

// lookUp finds the operation of a request as it is given on a command line.
func lookUp(method, target string) (*tableauapi.Operation, error) {
	u, err := url.Parse(target)
	if err != nil || !strings.HasPrefix(u.Path, "/") {
		return nil, fmt.Errorf("%q is no path such as /sites/-/workbooks", target)
	}
	path, err := tableauapi.CanonicalPath(u.EscapedPath())
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/relationship-service-war/") {
		path = "/api/" + newestVersion + path
	}
	op, ok := tableauapi.Lookup(method, path, u.RawQuery)
	if ok {
		return op, nil
	}
	if known := tableauapi.Methods(path); len(known) > 0 {
		return nil, fmt.Errorf("this path is known with %s", strings.Join(known, ", "))
	}
	if like, ok := tableauapi.Resembles(path); ok {
		return nil, fmt.Errorf("no operation has exactly this path; it looks like %s", like.ShortTemplate())
	}
	return nil, errors.New("no operation of Tableau's API that is known has this path")
}

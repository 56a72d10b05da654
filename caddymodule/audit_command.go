package caddymodule

// This file adds `caddy tableau audit`, which verifies audit files, shows what is
// in them, and proves that a record is.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// exitAltered is the exit code for a file that was altered. The codes from 1 to
// 3 are Caddy's own.
const exitAltered = 4

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit <verify|show|prove>",
		Short: "Verifies audit files, shows what is in them, proves that a record is",
	}
	cmd.AddCommand(auditVerifyCommand(), auditShowCommand(), auditProveCommand())
	return cmd
}

func auditVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify <file> [--pub <file>] [--checkpoint <file>] [--from-first-file] [--json]",
		Short: "Tells whether an audit file was altered, and where",
		Long: `
Reads an audit file and the older files beside it, from the first record to the
last, and tells whether any was changed, removed, inserted or moved, and which.

The public key is read from <file>.pub, which whoever can rewrite the file can
replace as well: --pub names a copy that you trust. That the end of the file was
cut off can be told with a checkpoint that was kept elsewhere: --checkpoint names
a file with its note, or with the lines of Caddy's log that hold some.

Exit codes: 0 as it was written, 1 it could not be verified, 4 it was altered.`,
		Args: cobra.ExactArgs(1),
	}
	auditKeyFlags(cmd)
	cmd.Flags().Bool("from-first-file", false, "accept that older files are missing, because they are kept elsewhere")
	cmd.Flags().Bool("json", false, "print the report as JSON")
	cmd.RunE = auditRun(func(ctx context.Context, fl caddycmd.Flags) error {
		v := auditVerification{
			path: fl.Arg(0), pub: fl.String("pub"), held: fl.String("checkpoint"),
			fromFirst: fl.Bool("from-first-file"), asJSON: fl.Bool("json"),
		}
		return v.run(ctx, os.Stdout, os.Stderr)
	})
	return cmd
}

func auditShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show <file> [<filters>] [--json]",
		Short: "Prints the records of an audit file that a filter lets through",
		Long: `
Prints one line for each call to Tableau, and for whatever else was recorded: when,
who, as which Tableau user, on which site, what, and how it ended. With --json it
prints the records as they stand in the file. Filters: what is given must all hold.
Nothing is verified here: see caddy tableau audit verify.`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.String("person", "", "the identity, or the name of the client")
	flags.String("user", "", "the Tableau user")
	flags.String("operation", "", "the operation, such as query_workbooks_for_site")
	flags.String("event", "", "the event, such as policy.deny")
	flags.String("request", "", "the id of a request, of a call, or of a JWT")
	flags.String("status", "", "the status: 404, or 4xx")
	flags.String("since", "", "a time such as 2026-11-23T15:00:00Z, a date, or how long ago, such as 2h")
	flags.String("until", "", "the same")
	flags.Bool("json", false, "print the records as they stand in the file")
	cmd.RunE = auditRun(func(ctx context.Context, fl caddycmd.Flags) error {
		f, err := newAuditFilter(fl)
		if err != nil {
			return err
		}
		return showAudit(ctx, fl.Arg(0), f, fl.Bool("json"), os.Stdout)
	})
	return cmd
}

func auditProveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prove <file> <seq> | --check <proof> [--pub <file>] [--checkpoint <file>]",
		Short: "Proves that a record stands in an audit file",
		Long: `
Prints the proof that the record with the number <seq> stands in the file: the
record, the path from it to the root of the Merkle tree (RFC 6962), and the signed
checkpoint. Whoever gets it needs no other record to check it, but the public key:
with --check, this command does that, and prints the record.

Exit codes: 0 proved, 1 not.`,
		Args: cobra.MaximumNArgs(2),
	}
	auditKeyFlags(cmd)
	cmd.Flags().String("check", "", "a file with a proof that is to be checked; --pub has to be given")
	cmd.RunE = auditRun(func(ctx context.Context, fl caddycmd.Flags) error {
		if proof := fl.String("check"); proof != "" {
			return checkAuditProof(proof, fl.String("pub"), os.Stdout)
		}
		if len(fl.Args()) != 2 {
			return errors.New("it takes a file and the number of a record, which is its seq")
		}
		return proveAudit(ctx, fl.Arg(0), fl.Arg(1), fl.String("pub"), fl.String("checkpoint"), os.Stdout)
	})
	return cmd
}

func auditKeyFlags(cmd *cobra.Command) {
	cmd.Flags().String("pub", "", "the public key that is trusted (default: <file>.pub)")
	cmd.Flags().String("checkpoint", "", "a file with checkpoints that were kept elsewhere")
}

// errAltered is returned when a verification has found something, and said so.
var errAltered = errors.New("the audit file was altered")

// auditRun runs f with a context that Ctrl-C ends, and makes its error an exit code.
func auditRun(f func(context.Context, caddycmd.Flags) error) func(*cobra.Command, []string) error {
	return caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err := f(ctx, fl)
		switch {
		case err == nil:
			return caddy.ExitCodeSuccess, nil
		case errors.Is(err, errAltered):
			return exitAltered, err
		default:
			return caddy.ExitCodeFailedStartup, err
		}
	})
}

// auditKeys reads the public keys that are trusted.
func auditKeys(path, pub string) ([]note.Verifier, error) {
	if pub == "" {
		pub = auditlog.PublicKeyFile(path)
	}
	keys, err := auditlog.ReadVerifiers(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: name the file of the public key with --pub", err)
	}
	return keys, nil
}

// heldCheckpoints reads checkpoints from a file: a note, or lines of JSON that
// hold some, such as Caddy's log.
func heldCheckpoints(file string, keys []note.Verifier) (held []auditlog.Checkpoint, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator's choice
	if err != nil {
		return nil, err
	}
	notes := []string{string(text)}
	if strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		notes = notesInLog(string(text))
	}
	for _, n := range notes {
		c, err := auditlog.ParseCheckpoint(n, keys...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		held = append(held, c)
	}
	if len(held) == 0 {
		return nil, fmt.Errorf("%s holds no checkpoint: they are the lines of the logger tableau.audit that have a note", file)
	}
	return held, nil
}

// notesInLog finds the checkpoints in lines of JSON.
func notesInLog(text string) (notes []string) {
	for line := range strings.Lines(text) {
		var entry struct {
			Note string `json:"note"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Note != "" {
			notes = append(notes, entry.Note)
		}
	}
	return notes
}

// proveAudit prints the proof of a record.
func proveAudit(ctx context.Context, path, seq, pub, checkpoint string, out io.Writer) error {
	number, err := strconv.ParseInt(seq, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not the number of a record, which is its seq", seq)
	}
	keys, err := auditKeys(path, pub)
	if err != nil {
		return err
	}
	held, err := heldCheckpoints(checkpoint, keys)
	if err != nil {
		return err
	}
	files, err := auditlog.Files(path)
	if err != nil {
		return err
	}
	var against *auditlog.Checkpoint
	if len(held) > 0 {
		against = &held[len(held)-1]
	}
	proof, err := auditlog.Prove(ctx, files, number, against, keys...)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(proof)
}

// checkAuditProof checks a proof, and prints the record.
func checkAuditProof(file, pub string, out io.Writer) error {
	if pub == "" {
		return errors.New("--check needs the public key that is trusted: --pub <file>")
	}
	keys, err := auditlog.ReadVerifiers(pub)
	if err != nil {
		return err
	}
	f, err := os.Open(file) //nolint:gosec // the operator's choice
	if err != nil {
		return err
	}
	defer f.Close()
	proof, err := auditlog.ParseProof(f)
	if err != nil {
		return err
	}
	if err := proof.Check(keys...); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, proof.Record)
	return err
}

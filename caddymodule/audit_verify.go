package caddymodule

// This file prints the report of `caddy tableau audit verify`.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// progressEvery is how often the progress of reading long files is printed.
const progressEvery = 2 * time.Second

// An auditVerification is what is asked of the command.
type auditVerification struct {
	path, pub, held   string
	fromFirst, asJSON bool
}

// run verifies, prints what was found to out, and how far it is to progress.
func (v auditVerification) run(ctx context.Context, out, progress io.Writer) error {
	keys, err := auditKeys(v.path, v.pub)
	if err != nil {
		return err
	}
	held, err := heldCheckpoints(v.held, keys)
	if err != nil {
		return err
	}
	files, err := auditlog.Files(v.path)
	if err != nil {
		return err
	}
	report, err := auditlog.Verify(ctx, files, auditlog.VerifyOptions{
		Keys: keys, Held: held, FromFirstFile: v.fromFirst, Progress: printProgress(progress, time.Now),
	})
	if err != nil {
		return err
	}
	if v.asJSON {
		err = printAuditJSON(report, out)
	} else {
		v.print(report, len(held), out)
	}
	if err == nil && !report.OK() {
		err = errAltered
	}
	return err
}

// printProgress returns a function that prints how much has been read, if it
// takes long.
func printProgress(out io.Writer, now func() time.Time) func(done, total int64) {
	last := now()
	return func(done, total int64) {
		if now().Sub(last) < progressEvery || total == 0 {
			return
		}
		last = now()
		fmt.Fprintf(out, "%d %% of %s\n", done*100/total, humanize.IBytes(uint64(max(total, 0))))
	}
}

// print prints the report for people.
func (v auditVerification) print(r *auditlog.Report, held int, out io.Writer) {
	verdict := "as it was written"
	if !r.OK() {
		verdict = "ALTERED"
	}
	fmt.Fprintf(out, "%s: %s\n", v.path, verdict)
	for _, f := range r.Findings {
		fmt.Fprintf(out, "  %s\n", f)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(out, "  and %d more\n", r.Omitted)
	}
	fmt.Fprintf(out, "%d records (from %d on) in %d files\n", r.Records, r.First, r.Files)
	if r.Signed > 0 {
		fmt.Fprintf(out, "signed up to record %d at %s by %s\n", r.Signed-1, r.Checkpoint.Time.Format(time.RFC3339), r.Checkpoint.Origin)
	}
	if open := r.Size - r.Signed; open > 0 {
		fmt.Fprintf(out, "the last %d records are not covered by a signature\n", open)
	}
	if v.pub == "" {
		fmt.Fprintf(out, "The public key is the one beside the file, which could have been replaced with it: --pub names a copy that you trust.\n")
	}
	if held == 0 {
		fmt.Fprintf(out, "Whether the end is missing cannot be told without a checkpoint that was kept elsewhere: --checkpoint names one.\n")
	}
}

// printAuditJSON prints the report for programs.
func printAuditJSON(r *auditlog.Report, out io.Writer) error {
	type finding struct {
		Kind   string `json:"kind"`
		First  int64  `json:"first"`
		Last   int64  `json:"last"`
		File   string `json:"file,omitempty"`
		Line   int    `json:"line,omitempty"`
		Exact  bool   `json:"exact"`
		Detail string `json:"detail,omitempty"`
	}
	findings := make([]finding, 0, len(r.Findings))
	for _, f := range r.Findings {
		findings = append(findings, finding{string(f.Kind), f.First, f.Last, f.File, f.Line, f.Exact, f.Detail})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{
		"ok": r.OK(), "files": r.Files, "records": r.Records, "first": r.First, "size": r.Size, "signed": r.Signed,
		"checkpoint": r.Checkpoint.Note, "findings": findings, "omitted": r.Omitted,
	})
}

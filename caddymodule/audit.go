package caddymodule

// This file holds the options of the audit file, and how they are checked.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// Audit is a file that records everything that goes to Tableau, and shows
// whether it was altered. A record is made before anything is sent, and another
// when the answer has been passed on. `caddy tableau audit verify <file>` checks
// it. Records also go to the logger `tableau.audit`, with a file or without.
type Audit struct {
	// The file. Beside it come its public key (`.pub`), older files (the number
	// of their first record behind the name), a lock and a reserve of 16 MiB.
	// Each Caddy process needs a file of its own.
	File string `json:"file,omitempty"`

	// What becomes of requests whose record cannot be written. `strict`: a
	// request is sent when its record is on the disk, and answered with 503
	// after 250 ms without. `bounded`: it need not wait, unless 10000 records,
	// or one that is 5 seconds old, are not on the disk yet. `best_effort`: it
	// is sent in any case, and what could not be recorded is counted. Default:
	// `strict`.
	Mode string `json:"mode,omitempty"`

	// The key that signs the checkpoints of the file: an Ed25519 private key in
	// PEM, as `openssl genpkey -algorithm ed25519` makes it. It is a placeholder
	// such as `{env.TABLEAU_AUDIT_KEY}`, or the path of its file. Whoever has the
	// key can forge the file, so it should not lie where the file does. Default: a
	// key made at the first start and kept in Caddy's storage.
	Key string `json:"key,omitempty"`

	// Files with public keys that signed the file before `key` did, such as a
	// copy of its `.pub` from that time.
	PreviousKeys []string `json:"previous_keys,omitempty"`

	// After how many records there is a checkpoint. Default: `1000`.
	CheckpointEvery int `json:"checkpoint_every,omitempty"`

	// How long a record may be without a checkpoint. Default: `10s`.
	CheckpointInterval caddy.Duration `json:"checkpoint_interval,omitempty"`
}

// unmarshalAudit sets up the audit file from Caddyfile tokens. Syntax:
//
//	audit <file> {
//		mode             strict|bounded|best_effort
//		key              <pem>
//		previous_key     <public_key_file>...
//		checkpoint_every <count>|<duration>
//	}
//
// `checkpoint_every` may be given once as a count and once as a duration.
func unmarshalAudit(d *caddyfile.Dispenser) (*Audit, error) {
	a := new(Audit)
	if !d.AllArgs(&a.File) {
		return nil, d.Err("audit takes one file, such as /var/log/caddy/tableau-audit.log, and then a block of options")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.unmarshalOption(d); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Audit) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "mode":
		_, a.Mode, err = onceOnly(d, a.Mode != "")
	case "key":
		_, a.Key, err = onceOnly(d, a.Key != "")
	case "previous_key":
		err = unmarshalList(d, &a.PreviousKeys)
	case "checkpoint_every":
		err = a.unmarshalCheckpoint(d)
	default:
		err = d.Errf("unknown option %q of audit: there are mode, key, previous_key and checkpoint_every", d.Val())
	}
	return err
}

// unmarshalCheckpoint reads a count or, if there is a unit, a duration.
func (a *Audit) unmarshalCheckpoint(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	if n, err := strconv.Atoi(value); err == nil {
		if a.CheckpointEvery != 0 {
			return d.Err("checkpoint_every is given twice as a count")
		}
		a.CheckpointEvery = n
		if n < 1 {
			return d.Errf("checkpoint_every: %d is not a count of at least 1", n)
		}
		return nil
	}
	interval, err := caddy.ParseDuration(value)
	switch {
	case err != nil || interval <= 0:
		return d.Errf("checkpoint_every: %q is neither a count such as 1000 nor a duration such as 10s", value)
	case a.CheckpointInterval != 0:
		return d.Err("checkpoint_every is given twice as a duration")
	}
	a.CheckpointInterval = caddy.Duration(interval)
	return nil
}

// check resolves and checks what needs neither the file nor a key that is still
// to be made.
func (a *Audit) check() (auditSettings, error) {
	s := auditSettings{options: auditlog.Options{
		CheckpointEvery: a.CheckpointEvery, CheckpointInterval: time.Duration(a.CheckpointInterval),
	}}
	var err error
	if s.path, err = resolvePath("audit", a.File); err != nil {
		return s, err
	}
	mode := a.Mode
	if mode == "" {
		mode = string(auditlog.Strict)
	}
	if s.options.Mode, err = auditlog.ParseMode(mode); err != nil {
		return s, fmt.Errorf("audit: %w", err)
	}
	if a.CheckpointEvery < 0 || a.CheckpointInterval < 0 {
		return s, errors.New("audit: checkpoint_every and checkpoint_interval must be more than 0")
	}
	if s.options.Key, err = configuredAuditKey(a.Key); err != nil {
		return s, err
	}
	s.options.Previous, err = previousKeys(a.PreviousKeys)
	return s, err
}

// auditSettings is what an audit file is opened with.
type auditSettings struct {
	path    string // absolute
	options auditlog.Options
}

// same reports whether a file that is open with s need not be opened anew for
// other.
func (s auditSettings) same(other auditSettings) bool {
	a, b := s.options, other.options
	return a.Mode == b.Mode && a.CheckpointEvery == b.CheckpointEvery && a.CheckpointInterval == b.CheckpointInterval &&
		a.Key.VerifierKey() == b.Key.VerifierKey() && slices.EqualFunc(a.Previous, b.Previous, sameVerifier)
}

func sameVerifier(a, b note.Verifier) bool { return a.Name() == b.Name() && a.KeyHash() == b.KeyHash() }

// resolvePath makes a path absolute. It may have placeholders.
func resolvePath(option, value string) (string, error) {
	path, err := resolve(caddy.NewReplacer(), option, value)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(path) == "" {
		return "", fmt.Errorf("%s: the name of the file is missing, such as /var/log/caddy/tableau-audit.log", option)
	}
	return filepath.Abs(path)
}

// previousKeys reads files of public keys.
func previousKeys(files []string) (keys []note.Verifier, err error) {
	for _, name := range files {
		path, err := resolvePath("audit: previous_key", name)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the operator's choice
		if err != nil {
			return nil, fmt.Errorf("audit: previous_key: %w", err)
		}
		found, err := auditlog.ParseVerifiers(text)
		if err != nil {
			return nil, fmt.Errorf("audit: previous_key %s: %w", path, err)
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

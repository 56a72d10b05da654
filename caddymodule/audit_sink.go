package caddymodule

// This file holds one configuration's use of the audit file: what the other
// files of this package call to have something recorded.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

// An auditSink takes the records of one configuration. A nil one takes none,
// and lets everything pass: that is a configuration without an audit file.
type auditSink struct {
	file     *auditFile
	settings auditSettings
	storage  certmagic.Storage
	digest   string // of the configuration
	started  bool
}

// currentAudit is the running configuration's, or nil: pools outlive the
// configuration that made them.
var currentAudit atomic.Pointer[auditSink]

// newAuditSink checks the options and takes up the file, without opening it: a
// configuration may only be validated, or turn out not to load.
func newAuditSink(a *Audit, storage certmagic.Storage) (*auditSink, error) {
	if a == nil {
		return nil, nil
	}
	settings, err := a.check()
	if err != nil {
		return nil, err
	}
	file, err := acquireAuditFile(settings.path)
	if err != nil {
		return nil, err
	}
	s := &auditSink{file: file, settings: settings, storage: storage}
	file.enter(s)
	return s, nil
}

// provisionAudit sets up what is recorded, and where.
func (a *App) provisionAudit(ctx caddy.Context) (err error) {
	if a.correlates, err = checkCorrelate(a.Correlate); err != nil {
		return err
	}
	a.noteConfig(a)
	a.sink, err = newAuditSink(a.Audit, ctx.Storage())
	return err
}

// releaseAudit lets go of the audit file, once.
func (a *App) releaseAudit() error {
	s := a.sink
	a.sink = nil
	return s.release()
}

// noteConfig makes the options of a module part of the configuration's digest.
func (a *App) noteConfig(module any) {
	text, err := json.Marshal(module)
	if err != nil {
		return // it was JSON before
	}
	digest := sha256.Sum256(text)
	a.digests = append(a.digests, digest[:])
}

// digest is that of all options, in whatever order the modules were set up. It
// holds no secret: those stand in the options as placeholders.
func (a *App) digest() string {
	slices.SortFunc(a.digests, bytes.Compare)
	sum := sha256.Sum256(bytes.Join(a.digests, nil))
	return hex.EncodeToString(sum[:])
}

// start opens the file and makes this configuration's records the ones that
// count.
func (s *auditSink) start(a *App) error {
	if s == nil {
		currentAudit.Store(nil)
		return nil
	}
	s.digest = a.digest()
	if err := s.file.open(s); err != nil {
		auditTampering(err)
		return err
	}
	s.file.notify.logger.Store(a.audit)
	s.started = true
	currentAudit.Store(s)
	s.note(eventConfigLoad, s.configFields()...)
	if s.settings.options.Mode == auditlog.BestEffort {
		a.logger.Warn("audit mode best_effort: requests are sent although no record of them can be written")
	}
	return nil
}

// release lets go of the file.
func (s *auditSink) release() error {
	if s == nil {
		return nil
	}
	if _, open := s.file.stats(); open && !s.started {
		s.note(eventConfigReject, s.configFields()...)
	}
	currentAudit.CompareAndSwap(s, nil)
	left := s.file.leave(s)
	_, err := auditFiles.Delete(s.file.path)
	return errors.Join(left, err)
}

// intent records what is about to be done. If that fails, it must not be done:
// the error is an [*auditlog.AppendError], or that of ctx. late tells that the
// record may stand in the file all the same.
func (s *auditSink) intent(ctx context.Context, event string, attrs []slog.Attr) (late bool, err error) {
	began := time.Now()
	err = s.append(func(log *auditlog.Log) error { return log.Append(ctx, event, attrs...) })
	metricAuditSeconds.Observe(time.Since(began).Seconds())
	switch {
	case err == nil:
		metricAuditRecords.WithLabelValues(event).Inc()
		return false, nil
	case ctx.Err() != nil:
		return isLate(err), context.Cause(ctx)
	default:
		return isLate(err), err
	}
}

func isLate(err error) bool {
	failed, ok := errors.AsType[*auditlog.AppendError](err)
	return ok && failed.Late
}

// note records what has happened. If that cannot be, it is counted.
func (s *auditSink) note(event string, attrs ...slog.Attr) {
	if s == nil {
		return
	}
	if err := s.append(func(log *auditlog.Log) error { return log.AppendAsync(event, attrs...) }); err == nil {
		metricAuditRecords.WithLabelValues(event).Inc()
	}
}

// append calls add with the log, and once more if the log was closed meanwhile
// to be opened with other options.
func (s *auditSink) append(add func(*auditlog.Log) error) error {
	var last *auditlog.Log
	for {
		log, err := s.file.current(s)
		if err != nil {
			auditLost.Add(1)
			if s.settings.options.Mode == auditlog.BestEffort {
				return nil
			}
			return &auditlog.AppendError{Reason: auditlog.ReasonClosed, Err: err}
		}
		err = add(log)
		if log == last || !errors.Is(err, &auditlog.AppendError{Reason: auditlog.ReasonClosed}) {
			return err
		}
		last = log
	}
}

// ready reports why an intent would fail now, or nil. It saves sign-ins, which
// would be refused one by one.
func (s *auditSink) ready() error {
	if s == nil || s.settings.options.Mode != auditlog.Strict {
		return nil
	}
	if stats, open := s.file.stats(); open && stats.Degraded != nil {
		return &auditlog.AppendError{Reason: auditlog.ReasonDegraded, Err: stats.Degraded}
	}
	return nil
}

// print is the fingerprint of a value of a kind.
func (s *auditSink) print(kind, value string) string { return s.file.print(kind, value) }

// startFields are what is known of this process.
func (s *auditSink) startFields() []slog.Attr {
	host, _ := os.Hostname() // "" says that it is not known
	_, version := caddy.Version()
	return []slog.Attr{
		slog.String("host", host), slog.Int("pid", os.Getpid()),
		slog.String("ver", moduleVersion()), slog.String("commit", buildCommit()), slog.String("caddy", version),
		slog.String("mode", string(s.settings.options.Mode)),
	}
}

// configFields are what is known of this configuration.
func (s *auditSink) configFields() []slog.Attr {
	return []slog.Attr{
		slog.String("cfg_hash", s.digest), slog.String("mode", string(s.settings.options.Mode)),
		slog.String("ver", moduleVersion()), slog.String("commit", buildCommit()),
	}
}

const modulePath = "github.com/caddy-tableau/caddy-tableau"

// moduleVersion is the version of this module in the running program.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Path == modulePath {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == modulePath {
			return m.Version
		}
	}
	return "unknown"
}

// buildCommit is the commit that the program was built from, or "".
func buildCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

package caddymodule

// This file holds an audit file while it is open, which is longer than a
// configuration lives.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

const (
	// auditCloseGrace bounds the closing of a file: what waits is written, and
	// a last checkpoint.
	auditCloseGrace = 5 * time.Second
	// auditRetry is how long a file that could not be opened is left alone.
	auditRetry = time.Second
)

// auditFiles holds the audit files across configurations, by path.
var auditFiles = caddy.NewUsagePool()

// An auditFile is an audit file as Caddy's usage pool keeps it. It is open from
// the start of the first configuration that names it to the end of the last
// one; when the options change, it is closed and opened anew.
type auditFile struct {
	path   string
	notify *notifier

	mu     sync.RWMutex
	log    *auditlog.Log // nil: not open
	prints fingerprinter
	with   auditSettings // what it is open with
	err    error         // why it is not open
	tried  time.Time     // when that was found out
	uses   []*auditSink  // the last one is that of the newest configuration
}

// acquireAuditFile returns the file at a path. The caller releases it.
func acquireAuditFile(path string) (*auditFile, error) {
	value, _, err := auditFiles.LoadOrNew(path, func() (caddy.Destructor, error) {
		return &auditFile{path: path, notify: newNotifier()}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*auditFile), nil
}

// open makes the file be open with the settings of s. A file that is open with
// others is closed first; if it does not come back, nothing is sent.
func (f *auditFile) open(s *auditSink) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.log != nil && f.with.same(s.settings) {
		return nil
	}
	begun := f.log == nil
	if !begun {
		if err := f.close(); err != nil {
			return err
		}
	}
	f.err, f.tried = f.begin(s), time.Now()
	if f.err == nil && begun {
		_ = f.log.AppendAsync(eventStart, s.startFields()...)
	}
	return f.err
}

// begin opens the file. The caller holds the lock.
func (f *auditFile) begin(s *auditSink) (err error) {
	options := s.settings.options
	if options.Key.IsZero() {
		if options.Key, err = storedAuditKey(s.storage, f.path); err != nil {
			return fmt.Errorf("audit %s: %w", f.path, err)
		}
	}
	if f.prints, err = newFingerprinter(options.Key); err != nil {
		return fmt.Errorf("audit %s: %w", f.path, err)
	}
	options.Degraded, options.Recovered, options.Checkpointed = f.notify.degraded, f.notify.recovered, f.notify.checkpointed
	log, err := auditlog.Open(f.path, options)
	if err != nil {
		return fmt.Errorf("audit %s: %w: %s", f.path, err, auditRemedy(err))
	}
	f.log, f.with = log, s.settings
	return nil
}

// auditRemedy tells what to do about a file that cannot be opened.
func auditRemedy(err error) string {
	var tampered *auditlog.TamperError
	switch {
	case errors.As(err, &tampered):
		return "examine it with caddy tableau audit verify; if its key was changed, name the one before with previous_key; to begin a new file, move this one away, together with those whose names begin with its name"
	case errors.Is(err, fs.ErrNotExist):
		return "make the directory, and let the user that Caddy runs as write there"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "let the user that Caddy runs as write the file and its directory"
	case errors.Is(err, syscall.ENOSPC):
		return "free space on its disk: 16 MiB are kept as a reserve"
	case errors.Is(err, auditlog.ErrLocked):
		return "name another file, or end the other process"
	case errors.Is(err, auditlog.ErrNotRegular):
		return "name another file"
	default:
		return "name another file, or repair what keeps this one from being written"
	}
}

// close ends the log. The caller holds the lock.
func (f *auditFile) close() error {
	if f.log == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditCloseGrace)
	defer cancel()
	log := f.log
	f.log = nil
	err := log.Close(ctx)
	auditLost.Add(log.Stats().Refused)
	if err != nil {
		return fmt.Errorf("audit %s: %w", f.path, err)
	}
	return nil
}

// current returns the log, and opens it for s if it is not open: requests may
// come before the app was started.
func (f *auditFile) current(s *auditSink) (*auditlog.Log, error) {
	f.mu.RLock()
	log, err, tried := f.log, f.err, f.tried
	f.mu.RUnlock()
	switch {
	case log != nil:
		return log, nil
	case err != nil && time.Since(tried) < auditRetry:
		return nil, err
	}
	if err := f.open(s); err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.log == nil {
		return nil, errors.New("the audit file is closed")
	}
	return f.log, nil
}

// print is the fingerprint of a value. It is "" as long as the file was never open.
func (f *auditFile) print(kind, value string) string {
	f.mu.RLock()
	prints := f.prints
	f.mu.RUnlock()
	return prints.of(kind, value)
}

// stats is the state of the log, if it is open.
func (f *auditFile) stats() (stats auditlog.Stats, open bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.log == nil {
		return auditlog.Stats{Degraded: f.err}, false
	}
	return f.log.Stats(), true
}

// enter notes that a configuration uses the file.
func (f *auditFile) enter(s *auditSink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses = append(f.uses, s)
}

// leave notes that a configuration uses the file no more. If it had changed the
// options and was not to stay, those of the one that stays are put back.
func (f *auditFile) leave(s *auditSink) error {
	f.mu.Lock()
	f.uses = slices.DeleteFunc(f.uses, func(other *auditSink) bool { return other == s })
	var back *auditSink
	if n := len(f.uses); n > 0 && f.log != nil && !f.with.same(f.uses[n-1].settings) {
		back = f.uses[n-1]
	}
	f.mu.Unlock()
	if back == nil {
		return nil
	}
	return f.open(back)
}

// Destruct implements caddy.Destructor: it ends the file with a checkpoint.
func (f *auditFile) Destruct() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.log != nil {
		why := "no configuration names the file any more"
		if caddy.Exiting() {
			why = "exiting"
		}
		_ = f.log.AppendAsync(eventShutdown, slog.String("reason", why))
	}
	err := f.close()
	f.notify.end()
	if err != nil {
		caddy.Log().Named("tableau.audit").Error("the audit file was not closed", zap.Error(err))
	}
	return nil
}

// Interface guards
var _ caddy.Destructor = (*auditFile)(nil)

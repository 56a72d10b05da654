//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package auditlog

// This file stands in where a system offers neither locks nor durable names.

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile does not lock: that only one process opens a log is up to its user.
func lockFile(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o600) //nolint:gosec // the name is the caller's to choose
}

func syncDir(string) error { return nil }

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }

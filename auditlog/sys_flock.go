//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package auditlog

// This file holds what Unix-like systems do in their own way.

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile takes the lock of a log, or fails with ErrLocked. The lock ends with
// the process. The file stays: removing it would let two hold the same lock.
func lockFile(name string) (io.Closer, error) {
	// Opened for reading, so that an idle log does not keep a file system busy.
	f, err := os.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o600) //nolint:gosec // the name is the caller's to choose
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	return nil, err
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the directory of the log
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) { // a file system that has no such thing
		err = nil
	}
	return errors.Join(err, d.Close())
}

// isFull tells whether a write failed for lack of space.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

package auditlog

// This file keeps disk space for the moment when there is none.

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
)

// A reserve is a file that does nothing but occupy space. When the disk is full
// it is given up, and the log has room to say so. Only when it can be had again
// there is room for anything else.
type reserve struct {
	name string
	size int64 // none if it is not positive
	open func(name string, flag int, perm os.FileMode) (file, error)
}

// take makes sure that the space is occupied.
func (r reserve) take() error {
	if r.size <= 0 {
		return nil
	}
	if info, err := os.Stat(r.name); err == nil && info.Mode().IsRegular() && info.Size() == r.size {
		return nil
	}
	if err := r.write(); err != nil {
		r.release()
		return fmt.Errorf("reserving %d bytes of disk beside the log: %w", r.size, err)
	}
	return nil
}

// write fills the file with noise: a file system that compresses, or leaves out
// zeros, would keep no space for anything else.
func (r reserve) write() (err error) {
	f, err := r.open(r.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	noise := io.LimitReader(rand.NewChaCha8([32]byte{}), r.size)
	if _, err := io.CopyBuffer(io.NewOffsetWriter(f, 0), noise, make([]byte, 64<<10)); err != nil {
		return err
	}
	return f.Sync()
}

// release gives the space back.
func (r reserve) release() {
	if r.size > 0 {
		_ = os.Remove(r.name) // if it cannot be removed, there is no space to be had
	}
}

package auditlog

// This file holds what the user of a log can choose.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Mode says what a log does with a record that cannot be made durable.
type Mode string

// The modes.
const (
	// Strict waits until the record is durable, and fails otherwise. It is the default.
	Strict Mode = "strict"
	// Bounded does not wait, and fails when too much is not durable yet.
	Bounded Mode = "bounded"
	// BestEffort neither waits nor fails: it counts what it has to drop.
	BestEffort Mode = "best_effort"
)

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case Strict, Bounded, BestEffort:
		return m, nil
	}
	return "", fmt.Errorf("mode %q: it has to be one of %s, %s and %s", Clean(name, maxKey), Strict, Bounded, BestEffort)
}

// Defaults of [Options].
const (
	DefaultLimit              = 250 * time.Millisecond
	DefaultMaxPending         = 10_000
	DefaultMaxPendingAge      = 5 * time.Second
	DefaultCheckpointEvery    = 1000
	DefaultCheckpointInterval = 10 * time.Second
	DefaultRotateSize         = 128 << 20
	DefaultReserve            = 16 << 20
	DefaultRetryInterval      = time.Second
	DefaultMaxValue           = 4 << 10
	DefaultMaxRecord          = 64 << 10
)

// Options are the options of a [Log]. A field that is zero has its default;
// only Key is needed.
type Options struct {
	// Key signs the checkpoints.
	Key SigningKey
	// Previous are public keys that earlier checkpoints of this log were signed
	// with, if its key has changed.
	Previous []note.Verifier
	// Mode is what to do with records that cannot be made durable; default Strict.
	Mode Mode
	// Limit is how long [Log.Append] waits in the mode Strict, and after how
	// long a write that does not return counts as failed; default 250 ms.
	Limit time.Duration
	// MaxPending is how many records may be taken and not be durable yet;
	// default 10 000. Whatever it is, they have no more than 32 MiB together.
	MaxPending int
	// MaxPendingAge is how old the oldest of them may be in the mode Bounded;
	// default 5 s.
	MaxPendingAge time.Duration
	// CheckpointEvery is after how many records a checkpoint is written; default 1000.
	CheckpointEvery int
	// CheckpointInterval is how long a record may be without one; default 10 s.
	CheckpointInterval time.Duration
	// RotateSize is at which size, in bytes, a file is full and the next one is
	// begun; default 128 MiB, at least 64 KiB.
	RotateSize int64
	// Reserve is how many bytes of disk are kept occupied beside the log, so
	// that it can tell when the disk is full; default 16 MiB, none if negative.
	Reserve int64
	// RetryInterval is how often a log that has failed tries again; default 1 s.
	RetryInterval time.Duration
	// MaxValue is the most bytes of a string in a record; default 4 KiB.
	// Longer ones are cut, see [Clean].
	MaxValue int
	// MaxRecord is the most bytes of the fields of a record; default 64 KiB, at
	// most 256 KiB. Fields that do not fit are left out and counted as "cut".
	MaxRecord int

	// Degraded is called when records can no longer be made durable, and
	// Recovered when they can again. Checkpointed is called with each new
	// checkpoint once it is durable, to keep it somewhere else. They are called
	// while the log waits: they must not block, nor call the log.
	Degraded     func(cause error)
	Recovered    func()
	Checkpointed func(Checkpoint)

	open func(name string, flag int, perm fs.FileMode) (file, error) // default os.OpenFile
}

// maxPendingBytes bounds what waits to be durable, in bytes.
const maxPendingBytes = 32 << 20

// A file is what a log needs of an os.File.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

func openOSFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, perm) //nolint:gosec // the name is the caller's to choose
	if err != nil {
		return nil, err // not f, which would be a file that is not nil
	}
	return f, nil
}

// withDefaults fills in what is zero, and reports what cannot be.
func (o Options) withDefaults() (Options, error) {
	if o.Key.IsZero() {
		return o, errNoKey
	}
	orDefault(&o.Mode, Strict)
	orDefault(&o.Limit, DefaultLimit)
	orDefault(&o.MaxPending, DefaultMaxPending)
	orDefault(&o.MaxPendingAge, DefaultMaxPendingAge)
	orDefault(&o.CheckpointEvery, DefaultCheckpointEvery)
	orDefault(&o.CheckpointInterval, DefaultCheckpointInterval)
	orDefault(&o.RotateSize, DefaultRotateSize)
	orDefault(&o.Reserve, DefaultReserve)
	orDefault(&o.RetryInterval, DefaultRetryInterval)
	orDefault(&o.MaxValue, DefaultMaxValue)
	orDefault(&o.MaxRecord, DefaultMaxRecord)
	if o.open == nil {
		o.open = openOSFile
	}
	if _, err := ParseMode(string(o.Mode)); err != nil {
		return o, err
	}
	return o, o.check()
}

func orDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func (o *Options) check() error {
	switch {
	case o.Limit < 0 || o.MaxPendingAge < 0 || o.CheckpointInterval < 0 || o.RetryInterval < 0:
		return errors.New("a duration is negative: leave it out for the default")
	case o.MaxPending < 0 || o.CheckpointEvery < 0 || o.MaxValue < 0:
		return errors.New("a number is negative: leave it out for the default")
	case o.RotateSize < 64<<10:
		return errors.New("RotateSize is less than 64 KiB: a file has to hold more than its own head")
	case o.MaxRecord < 256 || o.MaxRecord > 256<<10:
		return errors.New("MaxRecord is not between 256 bytes and 256 KiB")
	}
	return nil
}

// keys are all public keys that the log trusts.
func (o *Options) keys() []note.Verifier {
	return append([]note.Verifier{o.Key.Verifier()}, o.Previous...)
}

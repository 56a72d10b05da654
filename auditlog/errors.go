package auditlog

// This file holds what can go wrong, as types.

import (
	"errors"
	"fmt"
)

// A Reason tells why a record was not taken.
type Reason string

// Why a record was not taken.
const (
	// ReasonTimeout: it was not durable within the limit, or before the
	// caller's context ended. It may still turn up in the log.
	ReasonTimeout Reason = "timeout"
	// ReasonDegraded: the last write failed, and the log has not recovered yet.
	ReasonDegraded Reason = "degraded"
	// ReasonBacklog: too many records, or too old ones, wait to be durable.
	ReasonBacklog Reason = "backlog"
	// ReasonClosed: the log is closed.
	ReasonClosed Reason = "closed"
)

// An AppendError tells that a record is not durable, or was not taken at all.
type AppendError struct {
	// Reason is why.
	Reason Reason
	// Err is what happened to the file or the context; it may be nil.
	Err error
	// Late tells that the record was being written when nobody waited for it any
	// more, so that it may stand in the log all the same.
	Late bool
}

func (e *AppendError) Error() string {
	text := map[Reason]string{
		ReasonTimeout:  "the record is not durable in time: check that the disk of the log is not stuck or overloaded",
		ReasonDegraded: "the log cannot be written at the moment: free or repair the disk, it recovers by itself",
		ReasonBacklog:  "too many records wait to be durable: check that the disk of the log is not stuck or full",
		ReasonClosed:   "the log is closed",
	}[e.Reason]
	if e.Err != nil {
		return fmt.Sprintf("audit log: %s: %v", text, e.Err)
	}
	return "audit log: " + text
}

func (e *AppendError) Unwrap() error { return e.Err }

// Is makes errors.Is find a reason: two AppendErrors are the same if their
// reasons are, and one without a reason stands for all.
func (e *AppendError) Is(target error) bool {
	var other *AppendError
	ok := errors.As(target, &other)
	return ok && other.Err == nil && (other.Reason == "" || other.Reason == e.Reason)
}

// ErrUnavailable is what every [AppendError] is to errors.Is.
var ErrUnavailable error = &AppendError{}

// ErrLocked is returned by [Open] for a log that is open already, here or in
// another process.
var ErrLocked = errors.New("the log is in use by another process: each process needs a log of its own")

// ErrNotRegular is returned for a path that is no ordinary file.
var ErrNotRegular = errors.New("it is not a regular file: a log needs a file that can be read back")

// A TamperError tells that a log is not as it was written.
type TamperError struct {
	// Findings is what was found, at least one.
	Findings []Finding
}

func (e *TamperError) Error() string {
	text := "the log was altered"
	if len(e.Findings) > 0 {
		text += ": " + e.Findings[0].String()
	}
	if more := len(e.Findings) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

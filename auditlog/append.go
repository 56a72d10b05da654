package auditlog

// This file takes records, and waits until they are durable.

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Append adds a record of an event with these fields, in their order. In the
// mode Strict it returns when the record is durable; a failure is an
// [*AppendError], after Options.Limit or the end of ctx at the latest. In the
// mode Bounded it does not wait, and fails when too much is not durable yet.
// In the mode BestEffort it fails only if the log is closed.
//
// Every string is cleaned and cut as [Clean] does it. A name that comes twice,
// or that the log uses itself, gets a number. Values are written in the form
// that slog.JSONHandler has for them; a value of the type json.RawMessage is JSON.
func (l *Log) Append(ctx context.Context, event string, attrs ...slog.Attr) error {
	if l.opts.Mode != Strict {
		return l.AppendAsync(event, attrs...)
	}
	if err := context.Cause(ctx); err != nil {
		return &AppendError{Reason: ReasonTimeout, Err: err}
	}
	b, index, err := l.add(true, event, attrs)
	if err != nil {
		return err
	}
	return l.await(ctx, b, index)
}

// AppendAsync adds a record without waiting until it is durable, whatever the
// mode. While the log is degraded it keeps such records, and fails when too
// many wait. In the mode BestEffort it fails only if the log is closed.
func (l *Log) AppendAsync(event string, attrs ...slog.Attr) error {
	_, _, err := l.add(false, event, attrs)
	if l.opts.Mode == BestEffort && !errors.Is(err, &AppendError{Reason: ReasonClosed}) {
		return nil
	}
	return err
}

// add encodes a record and puts it into the batch that is being filled.
func (l *Log) add(wait bool, event string, attrs []slog.Attr) (b *batch, index int, err error) {
	if isOwnEvent(event) {
		event += "#2"
	}
	e := newEncoder(l.opts.MaxValue, l.opts.MaxRecord)
	defer e.free()
	e.encode(event, attrs)

	l.mu.Lock()
	now := time.Now()
	if err := l.refusal(now, wait, len(e.buf)); err != nil {
		l.lost++
		l.refused++
		l.mu.Unlock()
		return nil, 0, err
	}
	b = l.filling
	index = b.add(e.buf, now, wait)
	l.pending++
	l.pendingBytes += len(e.buf)
	news := wait || index == 0 || index == lazyRecords-1
	l.mu.Unlock()

	if news {
		select {
		case l.wake <- struct{}{}:
		default: // run will look anyway
		}
	}
	return b, index, nil
}

// refusal tells why a record cannot be taken, or nil.
func (l *Log) refusal(now time.Time, wait bool, size int) error {
	switch {
	case l.closed:
		return &AppendError{Reason: ReasonClosed}
	case wait && l.cause != nil:
		return &AppendError{Reason: ReasonDegraded, Err: l.cause}
	case wait && l.late(now):
		return &AppendError{Reason: ReasonTimeout, Err: errStalled}
	case l.pending >= l.opts.MaxPending || l.pendingBytes+size > maxPendingBytes:
		return &AppendError{Reason: ReasonBacklog, Err: l.cause}
	case l.opts.Mode == Bounded && l.age(now) > l.opts.MaxPendingAge:
		return &AppendError{Reason: ReasonBacklog, Err: l.cause}
	}
	return nil
}

var (
	errStalled = errors.New("a write to the log does not return")
	errLimit   = errors.New("the limit of the log has passed")
)

// late tells whether the write under way takes longer than it may.
func (l *Log) late(now time.Time) bool {
	return !l.busySince.IsZero() && now.Sub(l.busySince) > l.opts.Limit
}

// age is how long the oldest record that is not durable has waited.
func (l *Log) age(now time.Time) time.Duration {
	switch {
	case !l.oldest.IsZero():
		return now.Sub(l.oldest)
	case len(l.filling.recs) > 0:
		return now.Sub(l.filling.recs[0].at)
	}
	return 0
}

// await waits until a record is durable.
func (l *Log) await(ctx context.Context, b *batch, index int) error {
	timer, _ := l.timers.Get().(*time.Timer)
	timer.Reset(l.opts.Limit)
	defer func() {
		timer.Stop()
		l.timers.Put(timer)
	}()
	select {
	case <-b.done:
		return b.err
	case <-timer.C:
		return l.withdraw(b, index, errLimit)
	case <-ctx.Done():
		return l.withdraw(b, index, context.Cause(ctx))
	}
}

// withdraw takes back a record for which nobody waits any more, if it is not
// being written already.
func (l *Log) withdraw(b *batch, index int, cause error) error {
	l.mu.Lock()
	select {
	case <-b.done: // just now
		l.mu.Unlock()
		return b.err
	default:
	}
	l.refused++
	if !b.taken {
		b.recs[index].withdrawn = true
		l.pending--
		l.lost++
	}
	late := b.taken
	tell := l.late(time.Now()) && !l.stalled && l.cause == nil
	if tell {
		l.stalled = true
	}
	l.mu.Unlock()
	if tell && l.opts.Degraded != nil {
		l.opts.Degraded(errStalled)
	}
	return &AppendError{Reason: ReasonTimeout, Err: cause, Late: late}
}

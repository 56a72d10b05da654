package auditlog

// This file holds the goroutine that writes: group commit, checkpoints in time,
// and the way back from a failure.

import (
	"errors"
	"fmt"
	"time"
)

const (
	// idle is how long run sleeps if nothing is to be done.
	idle = time.Hour
	// lazyDelay and lazyRecords bound how long records may wait for others that
	// nobody waits for: to sync the disk costs the same for one as for many.
	lazyDelay   = 25 * time.Millisecond
	lazyRecords = 512
	// gatherDelay is how long those who wait are waited for themselves, if the
	// last time there were company or more of them: the next ones are about to
	// come, and a sync takes the processor too.
	gatherDelay = time.Millisecond
	company     = 3
)

// run writes what is added until the log is closed. All records that are added
// while one write is under way become durable with the next one.
func (l *Log) run() {
	defer close(l.done)
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
			if l.due() {
				l.gather()
				l.turn()
			}
		case <-timer.C:
			l.turn()
		case reply := <-l.rotations:
			reply <- l.rotateNow()
		case <-l.closing:
			l.closeErr = l.finish()
			return
		}
		timer.Reset(l.pause())
	}
}

// due tells whether what waits has to be written now.
func (l *Log) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.filling
	return b.waited || len(b.recs) >= lazyRecords
}

// gather lets more records come, if several are expected.
func (l *Log) gather() {
	if l.gathered >= company {
		time.Sleep(gatherDelay)
	}
}

// pause is how long run may sleep.
func (l *Log) pause() time.Duration {
	if l.degraded() != nil {
		return max(time.Until(l.retryAt), time.Millisecond)
	}
	until := idle
	if l.w.chain.since > 0 {
		until = time.Until(l.w.checkpointed.Add(l.opts.CheckpointInterval))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.filling; len(b.recs) > 0 {
		until = min(until, time.Until(b.recs[0].at.Add(lazyDelay)))
	}
	return max(until, time.Millisecond)
}

// degraded returns why the log is degraded, or nil.
func (l *Log) degraded() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// turn writes what waits. A degraded log is tried again when it is time to.
func (l *Log) turn() {
	if l.degraded() != nil {
		if time.Now().Before(l.retryAt) {
			return
		}
		if l.recover() != nil {
			l.retryAt = time.Now().Add(l.opts.RetryInterval)
			return
		}
	}
	l.flush()
}

// take takes the batch that is being filled; nil if there is nothing in it.
func (l *Log) take() (b *batch, lost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busySince = time.Now()
	b = l.filling
	if len(b.recs) == 0 {
		return nil, l.lost
	}
	b.taken = true
	l.gathered = l.waiting(b)
	l.filling = newBatch()
	if l.oldest.IsZero() {
		l.oldest = b.recs[0].at
	}
	return b, l.lost
}

// flush makes what waits durable.
func (l *Log) flush() {
	b, lost := l.take()
	if b == nil {
		b = newBatch()
	}
	if err := l.w.write(lost, l.retained, b); err != nil {
		l.fail(b, err)
		return
	}
	l.mu.Lock()
	l.lost -= lost
	l.forget(l.retained)
	l.forget(b)
	l.oldest = time.Time{}
	l.size = l.w.chain.tree.size
	l.mu.Unlock()
	if len(l.retained.recs) > 0 {
		l.retained = newBatch()
	}
	b.settle(nil)
	l.publish()
	l.idle()
}

// forget takes the records of a batch out of the count of those that wait.
func (l *Log) forget(b *batch) {
	l.pendingBytes -= len(b.bodies)
	for _, r := range b.recs {
		if !r.withdrawn {
			l.pending--
		}
	}
}

// idle notes that no write is under way any more.
func (l *Log) idle() {
	l.mu.Lock()
	stalled := l.stalled
	l.stalled, l.busySince = false, time.Time{}
	l.mu.Unlock()
	if stalled && l.opts.Recovered != nil {
		l.opts.Recovered()
	}
}

// publish makes the new state visible, and then tells of it.
func (l *Log) publish() {
	l.mu.Lock()
	l.size = l.w.chain.tree.size
	if n := len(l.w.unreported); n > 0 {
		l.last = l.w.unreported[n-1]
	}
	l.mu.Unlock()
	l.w.report()
}

// fail makes the log degraded after a write has failed. Those who wait are told;
// the other records are kept for the next attempt.
func (l *Log) fail(b *batch, cause error) {
	l.retryAt = time.Now().Add(l.opts.RetryInterval)
	kept := newBatch()
	l.retained.keep(kept)
	b.keep(kept)

	l.mu.Lock()
	stalled := l.stalled
	l.stalled = false
	l.cause, l.since = cause, time.Now()
	l.forget(l.retained)
	l.forget(b)
	failed := l.waiting(b)
	l.lost += failed
	l.refused += failed
	l.pending += len(kept.recs)
	l.pendingBytes += len(kept.bodies)
	l.oldest = time.Time{}
	if len(kept.recs) > 0 {
		l.oldest = kept.recs[0].at
	}
	l.mu.Unlock()

	l.retained = kept
	b.settle(&AppendError{Reason: ReasonDegraded, Err: cause})
	l.failFilling(cause)
	if l.opts.Degraded != nil && !stalled {
		l.opts.Degraded(cause)
	}
	l.w.fail(cause)
	l.publish()
	l.mu.Lock()
	l.busySince = time.Time{}
	l.mu.Unlock()
}

// waiting counts the records of a batch that somebody waits for.
func (l *Log) waiting(b *batch) (n int64) {
	for _, r := range b.recs {
		if r.waited && !r.withdrawn {
			n++
		}
	}
	return n
}

// failFilling tells those who have been added before the log became degraded.
func (l *Log) failFilling(cause error) {
	l.mu.Lock()
	b := l.filling
	failed := l.waiting(b)
	if failed == 0 {
		l.mu.Unlock()
		return
	}
	l.filling = newBatch()
	b.keep(l.filling)
	l.forget(b)
	l.lost += failed
	l.refused += failed
	l.pending += len(l.filling.recs)
	l.pendingBytes += len(l.filling.bodies)
	l.mu.Unlock()
	b.settle(&AppendError{Reason: ReasonDegraded, Err: cause})
}

// recover tries to get out of the degraded state.
func (l *Log) recover() error {
	l.mu.Lock()
	cause, since, lost := l.cause, l.since, l.lost
	l.busySince = time.Now()
	l.mu.Unlock()
	err := l.w.recover(cause, since, lost)

	l.mu.Lock()
	l.busySince = time.Time{}
	if err != nil {
		l.cause = err // the reason of today
		l.mu.Unlock()
		return err
	}
	l.cause = nil
	l.lost -= lost
	l.mu.Unlock()
	l.publish()
	if l.opts.Recovered != nil {
		l.opts.Recovered()
	}
	return nil
}

// rotateNow rotates on demand, after what waits has been written.
func (l *Log) rotateNow() error {
	if l.degraded() == nil {
		l.flush()
	}
	if cause := l.degraded(); cause != nil {
		return &AppendError{Reason: ReasonDegraded, Err: cause}
	}
	l.mu.Lock()
	l.busySince = time.Now()
	l.mu.Unlock()
	err := l.w.ensure()
	if err == nil {
		err = l.w.rotate()
	}
	if err != nil {
		l.fail(newBatch(), err)
		return &AppendError{Reason: ReasonDegraded, Err: err}
	}
	l.publish()
	l.idle()
	return nil
}

// finish writes what is left and lets go of the files.
func (l *Log) finish() error {
	if l.degraded() != nil {
		_ = l.recover() // what it returns is the cause from now on
	}
	if l.degraded() == nil {
		l.flush()
	}
	err := l.degraded()
	if err == nil {
		if err = l.w.seal(); err != nil {
			l.w.undo()
		}
		l.publish()
	}
	l.failFilling(err)
	l.w.close()
	err = errors.Join(err, l.lock.Close())
	if err != nil {
		return fmt.Errorf("closing the audit log: %d records are not durable: %w", l.Stats().Pending, err)
	}
	return nil
}

package tableauauth

// This file ends sessions that nobody needs any more, and the pool itself.

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sweepEvery is how often idle and replaced sessions are looked for.
	sweepEvery = time.Minute

	// retireAfter is how long a session that was taken out of the pool lives on
	// after its last use, for the requests that were sent with it.
	retireAfter = 10 * time.Minute

	// signOutTries is how often a sign-out is tried that gets no answer.
	signOutTries = 3

	// parallelSignOuts bounds how many sign-outs run at once.
	parallelSignOuts = 64

	// evictionSample is how many sessions are looked at to find one that was
	// not used for long.
	evictionSample = 32
)

// retirement holds the sessions that were taken out of the pool and have to be
// signed out.
type retirement struct {
	mu       sync.Mutex
	sessions []retired
}

type retired struct {
	session *Session
	due     time.Time
	tries   int
}

// add retires s. It may have been lent to requests that are still under way.
func (r *retirement) add(s *Session, now time.Time) {
	due := s.lastUsedAt().Add(retireAfter)
	if latest := now.Add(retireAfter); due.After(latest) {
		due = latest
	}
	r.put(retired{session: s, due: due})
}

func (r *retirement) put(again ...retired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, again...)
}

// take removes and returns the sessions whose time has come, and of those that
// are more than limit the ones whose time comes next.
func (r *retirement) take(now time.Time, limit int) (due []retired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.sessions, func(a, b retired) int { return a.due.Compare(b.due) })
	n, _ := slices.BinarySearchFunc(r.sessions, now, func(s retired, now time.Time) int {
		if s.due.After(now) {
			return 1
		}
		return -1
	})
	n = max(n, len(r.sessions)-limit)
	due = slices.Clone(r.sessions[:n])
	r.sessions = slices.Delete(r.sessions, 0, n)
	return due
}

// sweepUntilClosed signs out what nobody needs any more.
func (p *Pool) sweepUntilClosed() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			p.sweep(now)
		case <-p.closing:
			return
		}
	}
}

func (p *Pool) sweep(now time.Time) {
	p.life.age.forget(now)
	p.life.idle.forget(now)
	p.gate.sweep(now)
	due := p.retired.take(now, int(p.room.Load()))
	idle := p.takeIdle(now, p.idleAfter())
	p.opts.Observer.evict(EvictedIdle, idle...)
	for _, s := range idle {
		due = append(due, retired{session: s})
	}
	p.signOutDue(due)
	if p.seating != nil {
		p.seating.sweep(p, now)
	}
}

// takeIdle removes and returns the sessions that were unused for longer than
// idle, and forgets refusals that are over.
func (p *Pool) takeIdle(now time.Time, idle time.Duration) []*Session {
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for key, r := range sh.refusals {
			if now.After(r.until) {
				delete(sh.refusals, key)
			}
		}
		sh.mu.Unlock()
	}
	return p.takeIf(func(s *Session) bool { return s.idleFor(now) > idle })
}

// takeIf removes and returns the sessions of which match says so.
func (p *Pool) takeIf(match func(*Session) bool) (taken []*Session) {
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for hash, s := range sh.sessions {
			if match(s) {
				taken = append(taken, p.take(sh, hash))
			}
		}
		sh.mu.Unlock()
	}
	return taken
}

// Revoke takes the sessions out of the pool whose grants match, and returns how
// many. No request gets them any more; they are signed out some minutes later,
// when those that have them are done.
func (p *Pool) Revoke(match func(Grant) bool) int {
	now := time.Now()
	taken := p.takeIf(func(s *Session) bool { return match(s.Grant()) })
	for _, s := range taken {
		p.retired.add(s, now)
	}
	p.opts.Observer.evict(EvictedRevoked, taken...)
	if p.seating != nil {
		return len(taken) + p.seating.revoke(p, match)
	}
	return len(taken)
}

// evict makes room for newcomer: of some sessions here and there, the one that
// was not used for the longest time goes.
func (p *Pool) evict(hash uint64, newcomer *Session) {
	now := time.Now()
	var oldest *Session
	for i, seen := uint64(0), 0; i < shards && seen < evictionSample; i++ {
		sh := &p.shards[(hash+i)%shards]
		sh.mu.RLock()
		for _, s := range sh.sessions {
			if s != newcomer && (oldest == nil || s.idleFor(now) > oldest.idleFor(now)) {
				oldest = s
			}
			if seen++; seen%8 == 0 { // not all of one shard
				break
			}
		}
		sh.mu.RUnlock()
	}
	if oldest == nil {
		return
	}
	if p.giveUp(oldest, now) {
		p.opts.Observer.evict(EvictedForRoom, oldest)
	}
}

// giveUp retires s, if it is still in the pool.
func (p *Pool) giveUp(s *Session, now time.Time) bool {
	hash := p.hash(s.Grant())
	sh := &p.shards[hash%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sessions[hash] != s {
		return false
	}
	p.retired.add(p.take(sh, hash), now)
	return true
}

// Close lets sign-ins under way finish, signs out every session, in parallel,
// and returns how many it ended and how many it could not end before ctx did.
// Those end at Tableau by themselves; the log names them. Later calls do
// nothing.
func (p *Pool) Close(ctx context.Context) (ended, left int) {
	p.once.Do(func() { ended, left = p.close(ctx) })
	return ended, left
}

func (p *Pool) close(ctx context.Context) (ended, left int) {
	for i := range p.shards {
		p.shards[i].mu.Lock()
		p.shards[i].closed = true
		p.shards[i].mu.Unlock()
	}
	close(p.closing)
	if p.seating != nil {
		p.seating.close(p)
	}
	p.await(ctx)

	all := p.takeIf(func(*Session) bool { return true })
	for _, r := range p.retired.take(time.Now(), 0) {
		all = append(all, r.session)
	}
	if p.seating != nil {
		seated, free := p.seating.empty(p)
		defer p.leaveSeats()
		defer free()
		all = append(all, seated...)
	}
	failed := p.signOutAll(ctx, all)
	return len(all) - failed, failed
}

// await waits for the sign-ins and sign-outs under way: a sign-in cancelled
// halfway would leave a session at Tableau that nobody knows of. Only when ctx
// ends are they cancelled.
func (p *Pool) await(ctx context.Context) {
	landed := make(chan struct{})
	go func() {
		p.flying.Wait()
		p.sweeper.Wait()
		close(landed)
	}()
	select {
	case <-landed:
	case <-ctx.Done():
	}
	p.cancel()
	<-landed
}

// signOutDue signs out what is due. What gets no answer is tried again by the
// next sweeps; if nothing gets one, the rest is left to them too.
func (p *Pool) signOutDue(due []retired) {
	for len(due) > 0 {
		batch := due[:min(parallelSignOuts, len(due))]
		due = due[len(batch):]
		failed := p.trySignOut(p.ctx, batch)
		p.retired.put(failed...)
		if len(failed) == len(batch) || p.ctx.Err() != nil {
			break
		}
	}
	p.retired.put(due...)
}

// trySignOut signs out a batch and returns what is to be tried again.
func (p *Pool) trySignOut(ctx context.Context, batch []retired) (again []retired) {
	var mu sync.Mutex
	p.signOutEach(ctx, len(batch), func(i int) *Session { return batch[i].session }, func(i int, err error) {
		r := batch[i]
		if r.tries++; err == nil || r.tries == signOutTries {
			p.reportSignOut(r.session, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		again = append(again, r)
	})
	return again
}

// signOutAll ends sessions at Tableau and returns how many it could not end.
func (p *Pool) signOutAll(ctx context.Context, sessions []*Session) (failed int) {
	var failures atomic.Int64
	p.signOutEach(ctx, len(sessions), func(i int) *Session { return sessions[i] }, func(i int, err error) {
		if err != nil {
			failures.Add(1)
		}
		p.reportSignOut(sessions[i], err)
	})
	return int(failures.Load())
}

// signOutEach signs out n sessions, some at a time, and tells of each how it
// went.
func (p *Pool) signOutEach(ctx context.Context, n int, session func(int) *Session, done func(int, error)) {
	var workers sync.WaitGroup
	slots := make(chan struct{}, parallelSignOuts)
	for i := range n {
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			done(i, p.client.Load().signOut(ctx, session(i)))
		})
	}
	workers.Wait()
}

// reportSignOut tells how the sign-out of s went in the end.
func (p *Pool) reportSignOut(s *Session, err error) {
	if err != nil {
		p.opts.Logger.Warn("session not signed out, Tableau will end it when it is idle", "session", s, "error", err.Error())
	}
	p.opts.Observer.signOut(SignOutEvent{Session: s, Err: err})
}

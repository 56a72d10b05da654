package tableauauth

// This file runs the sign-ins and sign-outs of a pool.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// noSeat is the seat of a sign-in whose credential has no seats.
const noSeat = -1

// parallelSignOuts bounds how many sign-outs run at once.
const parallelSignOuts = 16

// signIn makes one attempt, and another if its failure taught us something. A
// credential that panics fails its own sign-in and nothing else.
func (p *Pool) signIn(key Key, g Grant, seat int) (s *Session, err error) {
	defer func() {
		if recover() != nil { // the value is not printed: it may hold a secret
			s, err = nil, &SignInError{Reason: Unsigned, Err: fmt.Errorf("the credential %s panicked", p.conn.Credential.Kind())}
		}
	}()
	var corrected, failedOver bool // each is worth one more attempt
	for {
		before := p.clock.correction()
		s, proof, failure := p.attempt(key, g, seat)
		switch {
		case failure == nil:
			return s, nil
		case p.ctx.Err() != nil:
			return nil, ErrPoolClosed
		case failure.Reason != Refused:
			return nil, failure
		case p.account == nil && !corrected && p.clock.correction() != before:
			corrected = true
		case !failedOver && p.failover(proof, failure):
			failedOver = true
		case proof.Credentials.ImpersonateUserID != "" && p.userIDs.drop(g.Site, g.User) && !failedOver:
			failedOver = true // the LUID may have been another's: it is looked up again
		default:
			return nil, failure
		}
	}
}

// failover turns to another secret of the credential, if it has one.
func (p *Pool) failover(proof Proof, failure *SignInError) bool {
	credential, ok := p.conn.Credential.(Failover)
	if !ok || !credential.Refused(proof, failure) {
		return false
	}
	p.reportFailover(proof.SecretID, failure)
	return true
}

// reportFailover tells that Tableau has refused one of several.
func (p *Pool) reportFailover(secretID string, failure *SignInError) {
	kind := p.conn.Credential.Kind()
	p.opts.Observer.failover(FailoverEvent{Kind: kind, SecretID: secretID, Err: failure})
	p.opts.Logger.Warn("Tableau refused one secret of the credential, trying the other",
		"kind", kind, "secret_id", secretID, "error", failure.Error())
}

// attempt makes a proof, presents it once and reports the outcome.
func (p *Pool) attempt(key Key, g Grant, seat int) (*Session, Proof, *SignInError) {
	began := time.Now()
	s, proof, failure := p.present(key, g, seat)
	p.opts.Observer.signIn(SignInEvent{
		Grant: g, JTI: proof.JTI, SecretID: proof.SecretID,
		Session: s, Err: failure, Took: time.Since(began),
	})
	if failure != nil {
		p.opts.Logger.Error("sign-in failed", "user", g.User, "site", g.Site, "jti", proof.JTI, "secret_id", proof.SecretID, "error", failure.Error())
	}
	return s, proof, failure
}

func (p *Pool) present(key Key, g Grant, seat int) (*Session, Proof, *SignInError) {
	proof, err := p.prove(g, seat)
	if err != nil {
		return nil, Proof{}, asSignInError(err, Unsigned)
	}
	if p.impersonates {
		id, failure := p.userID(g, proof)
		if failure != nil {
			return nil, proof, failure
		}
		proof.Credentials.ImpersonateUserID = id
	}
	s, failure := p.redeem(key, g, &proof)
	if failure != nil {
		return nil, proof, failure
	}
	if p.account != nil && !p.impersonates {
		s.actsAs = p.owner(s)
	}
	s.renewAt = s.signedIn + int64(p.renewAfter())
	p.siteIDs.Store(g.Site, s.siteID)
	return s, proof, nil
}

func (p *Pool) prove(g Grant, seat int) (Proof, error) {
	if seat == noSeat {
		return p.conn.Credential.Proof(g, p.clock.now())
	}
	return p.conn.Credential.(Seated).SeatProof(seat, g, p.clock.now())
}

var errImpersonation = errors.New("the account can sign in, but not for others: its user has to be a server administrator of a Tableau Server, " +
	"which has to allow it for personal access tokens (tsm authentication pat-impersonation enable)")

// redeem presents proof once and returns the session.
func (p *Pool) redeem(key Key, g Grant, proof *Proof) (s *Session, failure *SignInError) {
	if p.guard != nil {
		done, err := p.guard.Admit(p.ctx, proof)
		if err != nil {
			return nil, asSignInError(err, Withheld)
		}
		defer func() { done(failure) }()
	}
	answer, err := p.client.Load().signIn(p.ctx, *proof)
	if err != nil {
		failure := asSignInError(err, Unreachable)
		if failure.Reason == Refused && failure.Err == nil {
			failure.Err = p.whyRefused(*proof)
		}
		return nil, failure
	}
	s, err = newSession(key, g, *proof, answer, time.Now())
	if err != nil {
		return nil, asSignInError(err, Misfit)
	}
	return s, nil
}

// whyRefused returns what is known on our side of a refusal, or nil.
func (p *Pool) whyRefused(proof Proof) error {
	switch {
	case proof.Credentials.ImpersonateUserID != "":
		return errImpersonation
	case p.account != nil:
		return nil // the clock is of no importance
	default:
		return p.clock.fault()
	}
}

func asSignInError(err error, otherwise Reason) *SignInError {
	if failure, ok := errors.AsType[*SignInError](err); ok {
		return failure
	}
	return &SignInError{Reason: otherwise, Err: err}
}

// renewAfter spreads the renewals of sessions that began together.
func (p *Pool) renewAfter() time.Duration {
	return p.opts.RenewAfter - rand.N(p.opts.RenewAfter/10+1) //nolint:gosec // spreads load, guards nothing
}

// retire keeps a replaced session alive for the requests that were already
// sent with it; the sweeper signs it out later.
func (p *Pool) retire(s *Session) {
	p.retiredMu.Lock()
	defer p.retiredMu.Unlock()
	p.retired = append(p.retired, retiredSession{s, time.Now()})
}

// sweepUntilClosed signs out what nobody needs any more.
func (p *Pool) sweepUntilClosed() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			p.signOutAll(p.ctx, append(p.takeIdle(now), p.takeRetired(now)...))
			if p.seating != nil {
				p.seating.sweep(p, now)
			}
		case <-p.closing:
			return
		}
	}
}

// takeIdle removes and returns the sessions that were unused for too long, and
// forgets refusals that are over.
func (p *Pool) takeIdle(now time.Time) []*Session {
	var idle []*Session
	before := now.Add(-p.opts.IdleAfter).UnixNano()
	for i := range p.shards {
		sh := &p.shards[i]
		sh.mu.Lock()
		for key, s := range sh.sessions {
			if s.lastUsed.Load() < before {
				delete(sh.sessions, key)
				idle = append(idle, s)
			}
		}
		for key, r := range sh.refusals {
			if now.After(r.until) {
				delete(sh.refusals, key)
			}
		}
		sh.mu.Unlock()
	}
	return idle
}

// takeRetired removes and returns the replaced sessions whose time has come.
func (p *Pool) takeRetired(now time.Time) []*Session {
	p.retiredMu.Lock()
	defer p.retiredMu.Unlock()
	var due []*Session
	var rest []retiredSession
	for _, r := range p.retired {
		if now.Sub(r.at) >= retireAfter {
			due = append(due, r.session)
		} else {
			rest = append(rest, r)
		}
	}
	p.retired = rest
	return due
}

// Close lets sign-ins under way finish, signs out every session, in parallel,
// and returns how many it ended and how many it could not end before ctx did.
// Those end at Tableau by themselves. Later calls do nothing.
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
	p.land(ctx)

	all := p.takeIdle(time.Now().Add(p.opts.IdleAfter + time.Hour))
	all = append(all, p.takeRetired(time.Now().Add(2*retireAfter))...)
	if p.seating != nil {
		seated, free := p.seating.empty(p)
		defer p.leaveSeats()
		defer free()
		all = append(all, seated...)
	}
	failed := p.signOutAll(ctx, all)
	return len(all) - failed, failed
}

// seatName names a seat in logs.
func (p *Pool) seatName(s *seat) string {
	proof, err := p.prove(Grant{}, slices.Index(p.seats, s))
	if err != nil {
		return ""
	}
	return proof.SecretID
}

// land waits for the sign-ins and sign-outs under way: a sign-in cancelled
// halfway would leave a session at Tableau that nobody knows of. Only when ctx
// ends are they cancelled.
func (p *Pool) land(ctx context.Context) {
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

// signOutAll ends sessions at Tableau and returns how many it could not end.
func (p *Pool) signOutAll(ctx context.Context, sessions []*Session) (failed int) {
	var failures atomic.Int64
	var workers sync.WaitGroup
	slots := make(chan struct{}, parallelSignOuts)
	for _, s := range sessions {
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			err := p.client.Load().signOut(ctx, s)
			if err != nil {
				failures.Add(1)
				p.opts.Logger.Warn("session not signed out, Tableau will end it when it is idle", "session", s, "error", err.Error())
			}
			p.opts.Observer.signOut(SignOutEvent{Session: s, Err: err})
		})
	}
	workers.Wait()
	return int(failures.Load())
}

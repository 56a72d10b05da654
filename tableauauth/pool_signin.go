package tableauauth

// This file runs the sign-ins of a pool.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// noSeat is the seat of a sign-in whose credential has no seats.
const noSeat = -1

// signIn signs in for g as soon as the gate lets it, unless it has entered
// already. A credential that panics fails its own sign-in and nothing else.
func (p *Pool) signIn(key Key, g Grant, seat int, entered bool) (s *Session, err error) {
	if !entered {
		if refused := p.gate.enter(p.ctx, key); refused != nil {
			if p.ctx.Err() != nil {
				return nil, ErrPoolClosed
			}
			return nil, refused
		}
	}
	defer p.gate.leave()
	defer func() {
		if recover() != nil { // the value is not printed: it may hold a secret
			s, err = nil, &SignInError{Reason: Unsigned, Err: fmt.Errorf("the credential %s panicked", p.conn.Credential.Kind())}
		}
	}()
	return p.signInAgain(g, seat)
}

// signInAgain makes one attempt, and another if its failure taught us something.
func (p *Pool) signInAgain(g Grant, seat int) (*Session, error) {
	var corrected, failedOver, overtaken bool // each is worth one more attempt
	for {
		before := p.clock.correction()
		s, proof, failure, hung := p.attempt(g, seat, p.account == nil && !overtaken)
		switch {
		case failure == nil:
			return s, nil
		case p.ctx.Err() != nil:
			return nil, ErrPoolClosed
		case hung:
			overtaken = true
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

// attempt makes a proof, presents it once and reports the outcome. hung tells
// that there was none, while Tableau answered others; it is only found out if
// again.
func (p *Pool) attempt(g Grant, seat int, again bool) (s *Session, proof Proof, failure *SignInError, hung bool) {
	a := p.gate.begin(p.ctx, again)
	s, proof, failure = p.present(a.ctx, g, seat)
	hung = failure != nil && a.overtaken()
	if p.gate.end(a, failure) {
		p.reportHealth(failure)
	}
	p.opts.Observer.signIn(SignInEvent{
		Grant: g, JTI: proof.JTI, SecretID: proof.SecretID,
		Session: s, Err: failure, Took: time.Since(a.began),
	})
	if failure != nil {
		p.opts.Logger.Error("sign-in failed", "user", g.User, "site", g.Site, "jti", proof.JTI, "secret_id", proof.SecretID, "error", failure.Error())
	}
	return s, proof, failure, hung
}

// reportHealth tells that Tableau's sign-ins fail, or work again.
func (p *Pool) reportHealth(failure *SignInError) {
	if failure != nil && failure.blamesTableau() {
		p.opts.Logger.Warn("sign-ins at Tableau fail, so few are tried until one succeeds; live sessions go on", "reason", failure.Reason.String())
		return
	}
	p.opts.Logger.Info("sign-ins at Tableau work again")
}

func (p *Pool) present(ctx context.Context, g Grant, seat int) (*Session, Proof, *SignInError) {
	proof, err := p.prove(g, seat)
	if err != nil {
		return nil, Proof{}, asSignInError(err, Unsigned)
	}
	if p.impersonates {
		id, failure := p.userID(ctx, g, proof)
		if failure != nil {
			return nil, proof, failure
		}
		proof.Credentials.ImpersonateUserID = id
	}
	s, failure := p.redeem(ctx, g, &proof)
	if failure != nil {
		return nil, proof, failure
	}
	if p.account != nil && !p.impersonates {
		s.rarely().actsAs = p.owner(s)
	}
	s.renewAfter = millis(p.renewAfter().Milliseconds()) //nolint:gosec // at most 49 days, see NewPool
	p.siteIDs.Store(g.Site, s.SiteID())
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
func (p *Pool) redeem(ctx context.Context, g Grant, proof *Proof) (s *Session, failure *SignInError) {
	if p.guard != nil {
		done, err := p.guard.Admit(ctx, proof)
		if err != nil {
			return nil, asSignInError(err, Withheld)
		}
		defer func() { done(failure) }()
	}
	answer, err := p.client.Load().signIn(ctx, *proof)
	if err != nil {
		failure := asSignInError(err, Unreachable).without(proof.secrets()...)
		if failure.Reason == Refused && failure.Err == nil {
			failure.Err = p.whyRefused(*proof)
		}
		return nil, failure
	}
	s, err = p.newSession(g, *proof, answer, time.Now())
	if err != nil {
		return nil, asSignInError(err, Misfit).without(append(proof.secrets(), answer.Token)...)
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

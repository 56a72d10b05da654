package tableauauth

// This file keeps secrets out of the errors of our own calls: what a transport,
// or a server, says may repeat what it was sent.

import (
	"errors"
	"slices"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A withheldError stands for one whose text repeats a secret. What kind of error
// that was can still be asked, by errors.Is.
type withheldError struct {
	is      func(target error) bool
	timeout bool
}

// Error implements error.
func (*withheldError) Error() string {
	return "the call failed; the reason is withheld, since it repeats the credential or the session"
}

// Is is for [errors.Is].
func (e *withheldError) Is(target error) bool { return e.is(target) }

// Timeout reports whether the error was that of a time limit, as [net.Error] has it.
func (e *withheldError) Timeout() bool { return e.timeout }

// withhold returns err, or another if it repeats one of the secrets.
func withhold(err error, secrets ...tableauapi.Secret) error {
	if err == nil || !echoes(err.Error(), secrets) {
		return err
	}
	var timeout interface{ Timeout() bool }
	return &withheldError{
		is:      func(target error) bool { return errors.Is(err, target) },
		timeout: errors.As(err, &timeout) && timeout.Timeout(),
	}
}

// echoes reports whether text repeats one of the secrets.
func echoes(text string, secrets []tableauapi.Secret) bool {
	return slices.ContainsFunc(secrets, func(s tableauapi.Secret) bool { return s.EchoedIn(text) })
}

// secrets are what p presents.
func (p Proof) secrets() []tableauapi.Secret {
	c := p.Credentials
	return []tableauapi.Secret{c.JWT, c.Password, c.TokenSecret}
}

// without returns e with nothing in it that repeats one of the secrets.
func (e *SignInError) without(secrets ...tableauapi.Secret) *SignInError {
	clean := *e
	clean.Err = withhold(e.Err, secrets...)
	if e.Tableau != nil {
		said := *e.Tableau
		for _, text := range []*string{&said.Code, &said.Summary, &said.Detail} {
			if echoes(*text, secrets) {
				*text = "[redacted]"
			}
		}
		clean.Tableau = &said
	}
	return &clean
}

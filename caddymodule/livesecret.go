package caddymodule

// This file reads secrets again that stand in files, so that a secret can be
// changed without a reload.

import (
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// inFile reports whether value has a placeholder for a file in it. What an
// environment variable holds stays the same for as long as the process runs.
func inFile(value string) bool { return strings.Contains(value, "{file.") }

// rereadSecret returns a function that resolves the placeholder of a secret
// anew, or nil if that cannot bring anything else. Where the file is missing or
// empty, the function logs it and returns nothing, and the secret there was
// stays in use.
func rereadSecret(option, value string) func() tableauapi.Secret {
	if !inFile(value) {
		return nil
	}
	return func() tableauapi.Secret {
		secret, err := resolveSecret(caddy.NewReplacer(), option, value)
		if err != nil {
			logReread(err)
		}
		return secret
	}
}

// reread is rereadSecret for a secret whose ID may be in a file too, since at
// Tableau a new secret has a new ID.
func (s AppSecret) reread() func() (string, tableauapi.Secret) {
	if !inFile(s.ID) && !inFile(s.Value) {
		return nil
	}
	return func() (string, tableauapi.Secret) {
		id, value, err := s.resolve(caddy.NewReplacer())
		if err != nil {
			logReread(err)
		}
		return id, value
	}
}

// resolve replaces the placeholders.
func (s AppSecret) resolve(repl *caddy.Replacer) (id string, value tableauapi.Secret, err error) {
	if id, err = resolve(repl, "secret (its ID)", s.ID); err != nil {
		return "", tableauapi.Secret{}, err
	}
	value, err = resolveSecret(repl, "secret", s.Value)
	return id, value, err
}

// logReread uses the logger of the configuration that runs now: the credential
// may be that of an earlier one.
func logReread(err error) {
	caddy.Log().Named("tableau.credentials").Error("a secret could not be read again for a sign-in: the one that was read last is used", zap.Error(err))
}

package caddymodule

// This file says why Tableau gave no answer, without repeating what it did say:
// that may hold a token.

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// causeWithheld is recorded instead of a text that repeats a secret.
const causeWithheld = "withheld: it repeats what was sent"

// errorFields tell in a word why there was no answer, or not all of it, and in
// full where the text is ours or the system's, and none of Tableau's.
func errorFields(req *http.Request, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("err_class", errorClass(req, err))}
	var (
		network *net.OpError
		trust   *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &network):
		attrs = append(attrs, slog.String("cause", cmp.Or(unechoed(req, network.Error()), causeWithheld)))
	case errors.As(err, &trust):
		attrs = append(attrs, slog.String("cause", cmp.Or(unechoed(req, trust.Error()), causeWithheld)))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		attrs = append(attrs, slog.String("cause", "the connection ended early"))
	}
	return attrs
}

// errorClass is the word.
func errorClass(req *http.Request, err error) string {
	var (
		timeout interface{ Timeout() bool }
		network *net.OpError
		trust   *tls.CertificateVerificationError
	)
	switch {
	case req.Context().Err() != nil, errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &trust):
		return "certificate"
	case errors.As(err, &network), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "network"
	default:
		return "protocol"
	}
}

// unechoed is a text, or "" if it repeats what req presents: the session or, of a
// sign-in, the credential. It is too slow for every request.
func unechoed(req *http.Request, text string) string {
	secrets := make([]tableauapi.Secret, 0, 3)
	for _, token := range req.Header[headerAuth] {
		secrets = append(secrets, tableauapi.NewSecret(token))
	}
	if strings.HasSuffix(req.URL.Path, "/auth/signin") {
		given, _ := readProof(req)
		secrets = append(secrets, given.JWT, given.Password, given.TokenSecret)
	}
	if slices.ContainsFunc(secrets, func(s tableauapi.Secret) bool { return s.EchoedIn(text) }) {
		return ""
	}
	return text
}

// withoutToken is what Tableau said, or "" if it repeats the token of req.
func withoutToken(req *http.Request, said string) string {
	for _, token := range req.Header[headerAuth] {
		if token != "" && strings.Contains(said, token) {
			return ""
		}
	}
	return said
}

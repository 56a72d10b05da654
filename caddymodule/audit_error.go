package caddymodule

// This file says why Tableau gave no answer, without repeating what it did say:
// that may hold a token.

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

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
		attrs = append(attrs, slog.String("cause", withoutToken(req, network.Error())))
	case errors.As(err, &trust):
		attrs = append(attrs, slog.String("cause", withoutToken(req, trust.Error())))
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

// withoutToken is what Tableau said, or "" if it repeats the token of req.
func withoutToken(req *http.Request, said string) string {
	for _, token := range req.Header[headerAuth] {
		if token != "" && strings.Contains(said, token) {
			return ""
		}
	}
	return said
}

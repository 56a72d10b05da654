package caddymodule

// This file holds the placeholders that decide about a person: where their
// values may come from, and what a request must have for them to be believed.

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// sources are what the placeholders of one option depend on, besides what is
// trustworthy by itself.
type sources struct {
	headers  []string // request headers: each must come exactly once
	needCert bool     // there must be a client certificate
}

// add takes up the placeholders of template. It returns the first that the
// client fills in freely, or "".
func (s *sources) add(template string, logger *zap.Logger, warning string, about ...zap.Field) (chosen string) {
	for _, name := range placeholders(template) {
		if isClientChosen(name) {
			return name
		}
		switch {
		case strings.HasPrefix(name, headerPrefix):
			s.headers = append(s.headers, http.CanonicalHeaderKey(strings.TrimPrefix(name, headerPrefix)))
			logger.Warn(warning+" comes from a request header: make sure that forward_auth, or a proxy that nobody can go around, sets it",
				append(about, zap.String("header", name))...)
		case strings.HasPrefix(name, clientCert):
			s.needCert = true
		}
	}
	return ""
}

// checkBraces refuses what is a placeholder to a reader and none to Caddy.
func checkBraces(template string) error {
	if strings.Contains(template, `\{`) || strings.Contains(template, `\}`) {
		return fmt.Errorf("%q: a brace with a backslash before it is no placeholder, so everybody would have the same: leave the backslash out", template)
	}
	return nil
}

// check reports why the sources of r are not to be believed: no certificate,
// of which Caddy's placeholders would describe an empty one, whose fingerprint
// is the same for everybody, or a header that is there twice.
func (s *sources) check(r *http.Request) (twice string, err error) {
	if s.needCert && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
		return "", errNoCertificate
	}
	for _, name := range s.headers {
		if len(r.Header[name]) > 1 {
			return name, nil
		}
	}
	return "", nil
}

// removeHeaders keeps from Tableau the headers that are sources, in every
// spelling that a lenient server could take for them.
func (s *sources) removeHeaders(r *http.Request) {
	for _, name := range s.headers {
		normal := tableauauth.NormalHeaderName(name)
		for other := range r.Header {
			if tableauauth.NormalHeaderName(other) == normal {
				delete(r.Header, other)
			}
		}
	}
}

var errNoCertificate = errors.New("the request came without a client certificate")

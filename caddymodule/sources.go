package caddymodule

// This file holds the placeholders that decide about a person: where their
// values may come from, and what a request must have for them to be believed.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// sources are what the placeholders of one option depend on, besides what is
// trustworthy by itself.
type sources struct {
	headers  []string // request headers: each must come exactly once
	answers  []string // headers of an authentication service's answer, as placeholders
	private  []string // what Tableau is not told: the names of both, in normal form
	anyPeer  bool     // headers are believed whoever sends them
	needCert bool     // there must be a client certificate
}

// Who is believed when a request header says something of a person.
const (
	headersOfTrustedProxies = "trusted_proxies"
	headersOfAnybody        = "any"
)

func checkIdentityHeaders(option string) error {
	switch option {
	case "", headersOfTrustedProxies, headersOfAnybody:
		return nil
	default:
		return fmt.Errorf("identity_headers: %q is neither trusted_proxies nor any", option)
	}
}

// sources returns those of an option that names none yet.
func (h *Handler) sources() sources {
	return sources{anyPeer: h.IdentityHeaders == headersOfAnybody}
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
			s.private = append(s.private, tableauauth.NormalHeaderName(strings.TrimPrefix(name, headerPrefix)))
			if s.anyPeer {
				logger.Warn(warning+" comes from a request header, and identity_headers any believes everybody: make sure that nobody but the proxy that sets it can reach this site",
					append(about, zap.String("header", name))...)
			}
		case strings.HasPrefix(name, answerPrefix):
			s.answers = append(s.answers, name)
			s.private = append(s.private, tableauauth.NormalHeaderName(strings.TrimPrefix(name, answerPrefix)))
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

// check refuses r if its sources are not to be believed: as absent if it has no
// certificate, of which Caddy's placeholders would describe an empty one, whose
// fingerprint is the same for everybody; and if a header comes from somebody
// whose word is not taken, or is there twice.
func (s *sources) check(r *http.Request, absent refusal) *refusal {
	if s.needCert && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
		return absent.with("", errNoCertificate)
	}
	for _, name := range s.headers {
		switch values := r.Header[name]; {
		case len(values) == 0:
		case !s.anyPeer && !fromTrustedProxy(r):
			return refuseUntrusted.with("", fmt.Errorf("the header %s comes from %s, which is none of trusted_proxies: name the proxy that sets it there; behind forward_auth, use the placeholder {%s%s}; where only that proxy can connect, identity_headers any",
				name, r.RemoteAddr, answerPrefix, name))
		case len(values) > 1:
			return refuseAmbiguous.with("The header "+name+", which says something of you, is there more than once.", nil)
		}
	}
	return nil
}

// fromTrustedProxy reports whether r comes from one of the proxies that the
// server's options trusted_proxies and trusted_proxies_unix name.
func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// list returns the header, of the request or of an authentication service's
// answer, that holds a comma, or "". A proxy may join what came twice, and
// Caddy does that to the headers of an answer.
func (s *sources) list(r *http.Request, repl *caddy.Replacer) string {
	for _, name := range s.headers {
		if strings.Contains(r.Header.Get(name), ",") {
			return name
		}
	}
	for _, name := range s.answers {
		if value, _ := repl.GetString(name); strings.Contains(value, ",") {
			return strings.TrimPrefix(name, answerPrefix)
		}
	}
	return ""
}

// removeHeaders keeps from Tableau the headers that are sources, in every
// spelling that a lenient server could take for them. What an authentication
// service has answered may stand in the request as well: forward_auth copies it,
// or the client has written it.
func (s *sources) removeHeaders(r *http.Request) {
	if len(s.private) == 0 {
		return
	}
	for name := range r.Header {
		if slices.Contains(s.private, tableauauth.NormalHeaderName(name)) {
			delete(r.Header, name)
		}
	}
}

var errNoCertificate = errors.New("the request came without a client certificate")

package caddymodule

// This file answers "may it leave?": one canonical form of the method, the path
// and the headers, and everything that has more than one reading refused.

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// methods are the methods that Tableau's API knows.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost,
	http.MethodPut, http.MethodPatch, http.MethodDelete,
}

const (
	// headerAuth carries the session at Tableau, and our token here.
	headerAuth = "X-Tableau-Auth"
	// headerSite lets a request without a site in its path choose one.
	headerSite = "X-Tableau-Site"
)

// admitLine judges the method and the path. What it does not understand it
// refuses: another reader might understand it differently.
func admitLine(r *http.Request, x *exchange) *refusal {
	switch {
	case !slices.Contains(methods, r.Method):
		return refuseMethod.with("", nil)
	case x.pathErr != nil && strings.HasPrefix(strings.TrimLeft(r.URL.Path, "/"), "api/"):
		return refuseAmbiguous.with("The path of the request can be read in more than one way: "+pathReason(x.pathErr)+".", x.pathErr)
	case x.route.API() == tableauapi.Unknown:
		return refuseNotAPI.with("", nil)
	case x.route.Auth() == tableauapi.OtherAuth:
		return refuseAuthCall.with("", nil)
	case x.route.Auth() != tableauapi.NotAuth && r.Method != http.MethodPost:
		return refuseMethod.with("Signing in, signing out and switching sites are done by POST.", nil)
	}
	return nil
}

// admitHeaders reads the headers that are for us and removes all that are not
// the client's to set.
func admitHeaders(r *http.Request, x *exchange) *refusal {
	if len(r.Header[headerSite]) > 1 {
		return refuseAmbiguous.with("The header "+headerSite+" is there more than once.", nil)
	}
	if site := r.Header.Get(headerSite); site != "" {
		x.wantsSite = &site
	}
	clearHeaders(r)
	return nil
}

func pathReason(err error) string {
	if ambiguity, ok := errors.AsType[*tableauapi.PathError](err); ok {
		return ambiguity.Reason
	}
	return "it is malformed"
}

// reserved are the request headers that are not the client's to set, in the
// spelling of tableauauth.NormalHeaderName. A name that ends in "-" stands for all that begin
// with it.
var reserved = []string{
	"authorization", "cookie", "forwarded", "proxy-", "x-tableau-",
	"x-original-", "x-rewrite-", "x-http-method", "x-http-method-", "x-method-override",
	// hop-by-hop: nothing of Tableau's API upgrades, and a Connection header
	// could name one of ours
	"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
}

// clearHeaders removes the reserved headers and the announcement of trailers
// from r. X-Forwarded-* stays in its proper spelling, for Caddy to judge by its
// trusted_proxies.
func clearHeaders(r *http.Request) {
	for name := range r.Header {
		normal := tableauauth.NormalHeaderName(name)
		alias := strings.HasPrefix(normal, "x-forwarded-") && http.CanonicalHeaderKey(normal) != name
		if alias || isReserved(normal) {
			delete(r.Header, name)
		}
	}
	r.Trailer = nil
}

func isReserved(normal string) bool {
	return slices.ContainsFunc(reserved, func(name string) bool {
		return normal == name || strings.HasSuffix(name, "-") && strings.HasPrefix(normal, name)
	})
}

package caddymodule

// This file answers "may it leave?": one canonical form of the method, the path
// and the headers, and everything that has more than one reading refused.

import (
	"errors"
	"net/http"
	"net/url"
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

const (
	// maxHeaders and maxHeaderBytes bound the headers of a request, which are
	// looked through and copied several times on their way. Caddy's own limit is
	// max_header_size; Tableau's is that of its Apache, 100 fields of 8 KiB.
	maxHeaders     = 200
	maxHeaderBytes = 128 << 10
)

// admitSize refuses more headers than any client of the API sends.
func admitSize(r *http.Request) *refusal {
	fields, bytes := 0, 0
	for name, values := range r.Header {
		fields += len(values)
		for _, v := range values {
			bytes += len(name) + len(v)
		}
	}
	if fields > maxHeaders || bytes > maxHeaderBytes {
		return refuseHeaders.with("", nil)
	}
	return nil
}

// admitHeaders reads the headers that are for us and removes all that are not
// the client's to set.
func admitHeaders(r *http.Request, x *exchange) *refusal {
	if len(r.Header[headerSite]) > 1 {
		return refuseAmbiguous.with("The header "+headerSite+" is there more than once.", nil)
	}
	if r.Header.Get(headerSite) != "" {
		site := r.Header.Get(headerSite)
		x.wantsSite = &site
	}
	clearHeaders(r)
	return nil
}

// admitQuery refuses a query that holds a session: it would go to Tableau beside
// ours, and into every log of addresses on its way.
func admitQuery(r *http.Request) *refusal {
	for part := range strings.FieldsFuncSeq(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		key, _, _ := strings.Cut(part, "=")
		if slices.Contains(sessionParameters, plainKey(key)) {
			return refuseAmbiguous.with("The query of the request holds a session. Send it in the header "+headerAuth+", or not at all.", nil)
		}
	}
	return nil
}

// sessionParameters are the names by which Tableau's pages and older APIs take a
// session from an address, as plainKey spells them.
var sessionParameters = []string{"x-tableau-auth", ":token", "token", "client-session-id", "workgroup-session-id"}

// plainKey returns the name of a query parameter as a lenient server could read
// it: decoded as often as it can be, but no more than three times.
func plainKey(key string) string {
	key = strings.TrimLeft(key, "?")
	for range 3 {
		plain, err := url.QueryUnescape(key)
		if err != nil || plain == key {
			break
		}
		key = plain
	}
	key, _, _ = strings.Cut(key, "[")
	return tableauauth.NormalHeaderName(strings.TrimSpace(key))
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
// from r. Three of X-Forwarded-* stay, in their proper spelling, for Caddy to
// judge by its trusted_proxies; of the others nobody judges what a client says.
func clearHeaders(r *http.Request) {
	for name := range r.Header {
		normal := tableauauth.NormalHeaderName(name)
		forwarded := strings.HasPrefix(normal, "x-forwarded-") && !slices.Contains(judgedByCaddy, name)
		if forwarded || isReserved(normal) {
			delete(r.Header, name)
		}
	}
	r.Trailer = nil
}

// judgedByCaddy are the X-Forwarded-* that reverse_proxy passes on from trusted
// proxies only.
var judgedByCaddy = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

func isReserved(normal string) bool {
	return slices.ContainsFunc(reserved, func(name string) bool {
		return normal == name || strings.HasSuffix(name, "-") && strings.HasPrefix(normal, name)
	})
}

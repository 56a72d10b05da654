package caddymodule

// This file holds what is known of one request on its way: the handler fills
// it in, the transport reads it, the record is made of it.

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// An exchange is one request and what becomes of it. It stands in the request's
// context under a private key, where no template or log can reach it.
type exchange struct {
	began          time.Time
	identity       string              // as Caddy verified it
	identitySource string              // what that came from, in a word of identify.go
	user           string              // the Tableau user
	claims         []tableauauth.Claim // what Tableau is told of the person besides
	site           string              // content URL
	path           string              // canonical path
	pathErr        error               // why there is none
	route          tableauapi.Route
	routeAs        string                // see template
	op             *tableauapi.Operation // nil if none is known
	scopes         []string              // of the session that the request is to have
	signedIn       bool                  // the request waited for a sign-in

	wantsSite *string // X-Tableau-Site, if there

	token  *tableauauth.ClientToken // the X-Tableau-Auth of the request, opened
	client Client                   // who signs in, or whose token it is; its Name may be ""
	signIn tableauapi.Credentials   // what a sign-in presents
	local  bool                     // answered here

	format      tableauapi.Format // of the answer to a call under /auth/,
	formatKnown bool              // once its body was read

	w    http.ResponseWriter
	body *watchedBody // nil if the request has none

	observed

	binding tableauauth.Binding
	status  int      // Tableau's answer, or 0
	refused *refusal // our own answer, or nil
	aborted bool     // the answer broke off
}

type exchangeKey struct{}

// newExchange begins the exchange of r. It looks at the path before anything is
// decided, so that a refused request is recorded with what it asked for.
func newExchange(r *http.Request) *exchange {
	x := &exchange{began: time.Now()}
	if x.path, x.pathErr = tableauapi.CanonicalPath(r.URL.EscapedPath()); x.pathErr == nil {
		x.route, _ = tableauapi.ParseRoute(x.path)
		x.op, _ = tableauapi.Lookup(r.Method, x.path, r.URL.RawQuery)
	}
	return x
}

// exchangeFrom returns the exchange that the request belongs to, or nil.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// template is the route as logs have it, put together once. That of an
// operation that is known is one of a few hundred, unless it has two spellings;
// then, and if none is known, it is made of the path's words.
func (x *exchange) template() string {
	if x.routeAs != "" {
		return x.routeAs
	}
	if x.op != nil {
		x.routeAs = x.op.ShortTemplate()
	}
	if x.op == nil || strings.Contains(x.routeAs, "(") {
		x.routeAs = x.route.Template()
	}
	return x.routeAs
}

// operation is the name of the operation, or "" if none is known.
func (x *exchange) operation() string {
	if x.op == nil {
		return ""
	}
	return x.op.Name
}

// attach returns r with the exchange in its context.
func (x *exchange) attach(r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	return r.WithContext(tableauauth.NewContext(ctx, &x.binding))
}

// rewrite gives r the canonical path, with the site and the user in the place
// of hyphens and content URLs. What is sent is byte for byte what was judged.
func (x *exchange) rewrite(r *http.Request) *refusal {
	path := x.path
	if s := x.binding.Session; s != nil {
		path = x.route.With(s.SiteID(), s.UserID())
	}
	decoded, err := url.PathUnescape(path)
	if err != nil { // a canonical path can be decoded
		return refuseInternal.with("", err)
	}
	r.URL.Path, r.URL.RawPath = decoded, path
	if path != x.path && x.template() == "/sites/{site}" {
		r.URL.RawQuery = withoutKey(r.URL.RawQuery)
	}
	return nil
}

// withoutKey removes key=contentUrl and key=name, by which GET /sites/{site}
// says that the segment is no LUID: it has become one.
func withoutKey(query string) string {
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == "key"
	})
	return strings.Join(kept, "&")
}

// describe sets the placeholders.
func (x *exchange) describe(r *http.Request) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.Map(x.placeholder)
}

// placeholder is a caddy.ReplacerFunc.
func (x *exchange) placeholder(key string) (any, bool) {
	switch key {
	case "http.tableau.user":
		return x.user, true
	case "http.tableau.site":
		return x.site, true
	case "http.tableau.route":
		return x.template(), true
	case "http.tableau.operation":
		return x.operation(), true
	default:
		return nil, false
	}
}

// conclude notes how the request ended where neither an answer of Tableau's nor
// one of our own tells it.
func (x *exchange) conclude(ctx context.Context, err error) {
	switch {
	case x.refused != nil:
	case err != nil && failedWith(err) != 0:
		x.status = failedWith(err)
	case x.status == 0 && ctx.Err() != nil:
		x.refused = clientGone.with("", context.Cause(ctx))
	}
}

// failedWith is the status that err makes of a request, or 0.
func failedWith(err error) int {
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		return failed.StatusCode
	}
	return 0
}

package caddymodule

// This file answers "as whom?": which site the request is for, and a live
// session there for its user.

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// open chooses the site of the request and gets a session there.
func (h *Handler) open(r *http.Request, x *exchange) *refusal {
	x.binding.Pool = h.connection.pool.Pool
	if x.route.ServerInfo() {
		return nil // needs no session, at Tableau as here
	}
	site, refused := h.chooseSite(r.Context(), x)
	if refused != nil {
		return refused
	}
	asked := time.Now()
	signedIn, err := x.binding.Acquire(r.Context(), h.grant(site, x)) // serve releases it
	traceSignIn(r.Context(), asked, signedIn, err)
	if err != nil {
		return sessionFailure(err)
	}
	x.site, x.signedIn = site, signedIn
	return nil
}

// get returns a session for the user and the claims of x, about which something
// is to be learned, and with which nothing is to be sent.
func (h *Handler) get(ctx context.Context, site string, x *exchange) (*tableauauth.Session, bool, error) {
	return h.connection.pool.Get(ctx, h.grant(site, x))
}

func (h *Handler) grant(site string, x *exchange) tableauauth.Grant {
	return tableauauth.Grant{Site: site, User: x.user, Scopes: x.scopes, Claims: x.claims}
}

// chooseSite returns the content URL of the request's site: the one in its
// path, the one in X-Tableau-Site, or the first one.
func (h *Handler) chooseSite(ctx context.Context, x *exchange) (string, *refusal) {
	segment, inPath := x.route.Site()
	if inPath && segment == "-" {
		inPath = false
	}
	if x.wantsSite != nil {
		site, ok := h.siteByURL(*x.wantsSite)
		if !ok {
			return "", refuseSite.with("", nil)
		}
		if !inPath {
			return site, nil
		}
		inThePath, refused := h.siteBySegment(ctx, segment, x)
		if refused == nil && inThePath != site {
			refused = refuseAmbiguous.with("The path and the header "+headerSite+" name different sites.", nil)
		}
		return site, refused
	}
	if !inPath {
		return h.defaultSite(x)
	}
	return h.siteBySegment(ctx, segment, x)
}

// defaultSite is the site of a request that names none: the one that its token
// was given for, or the first.
func (h *Handler) defaultSite(x *exchange) (string, *refusal) {
	if x.token == nil {
		return h.sites[0], nil
	}
	site, ok := h.siteByURL(x.token.Site)
	if !ok {
		return "", refuseToken.with("", errors.New("the token's site is no longer one of this proxy"))
	}
	return site, nil
}

// siteByURL finds an allowed site by content URL, which Tableau compares
// without regard to case.
func (h *Handler) siteByURL(contentURL string) (site string, ok bool) {
	if strings.EqualFold(contentURL, "default") {
		contentURL = ""
	}
	for _, s := range h.sites {
		if strings.EqualFold(s, contentURL) {
			return s, true
		}
	}
	return "", false
}

// siteBySegment finds an allowed site by what stands in a path: its content
// URL or its LUID. The LUID of a site is learned by signing in to it, so an
// unknown one costs at most one sign-in for each site, once.
func (h *Handler) siteBySegment(ctx context.Context, segment string, x *exchange) (string, *refusal) {
	if site, ok := h.siteByURL(segment); ok {
		return site, nil
	}
	if !tableauapi.IsLUID(segment) {
		return "", refuseSite.with("", nil)
	}
	for _, learn := range []bool{false, true} {
		for _, site := range h.sites {
			luid, known := h.connection.pool.SiteID(site)
			if !known && learn {
				session, _, err := h.get(ctx, site, x)
				if err != nil {
					return "", sessionFailure(err)
				}
				luid, known = session.SiteID(), true
			}
			if known && strings.EqualFold(luid, segment) {
				return site, nil
			}
		}
	}
	return "", refuseSite.with("", nil)
}

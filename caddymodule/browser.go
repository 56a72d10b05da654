package caddymodule

// This file keeps web pages from using a person's identity: a browser sends
// client certificates, cookies of a single sign-on and remembered passwords
// along with whatever request a page makes, whosever page it is.

import (
	"net/http"
	"net/url"
	"strings"
)

// admitBrowser refuses what a page of another origin makes a browser send, be
// it only to read: what it starts, such as an export, happens all the same. What
// is no browser sends neither header (Fetch Metadata Request Headers, section 2;
// RFC 6454, section 7).
func admitBrowser(r *http.Request) *refusal {
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" { // none: the person's own doing
			return refuseCrossOrigin.with("", nil)
		}
	}
	for _, origin := range r.Header["Origin"] {
		if !isOriginOf(origin, r) {
			return refuseCrossOrigin.with("", nil)
		}
	}
	return nil
}

// isOriginOf reports whether origin is where the client has sent r. Behind
// another proxy that ends TLS, r does not tell the scheme, so that is not
// compared.
func isOriginOf(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

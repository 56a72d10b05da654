package caddymodule

// This file checks where Tableau is: the origin, the sites, and that the way
// there is safe.

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// checkOrigin reads the origin and refuses http unless it is allowed.
func checkOrigin(s string, insecure bool) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("the Tableau origin is missing: it is the address of Tableau, such as https://10ax.online.tableau.com")
	}
	origin, err := tableauauth.ParseOrigin(s)
	if err != nil {
		return nil, err
	}
	if origin.Scheme == "http" && !insecure {
		return nil, fmt.Errorf("the origin %s is not https, so sessions would travel in the clear: use https, or, in a lab, the option insecure_http", origin)
	}
	return origin, nil
}

// siteURLs checks the sites and turns "default" into the Default site's
// content URL, which is empty.
func siteURLs(sites []string) ([]string, error) {
	if len(sites) == 0 {
		return nil, errors.New("site: missing: name the content URL of the site, as in its address after /site/, or default for the Default site")
	}
	urls := make([]string, 0, len(sites))
	for _, s := range sites {
		if s == "" || strings.ContainsAny(s, "/{}?#% ") || s == "-" {
			return nil, fmt.Errorf("site: %q is not a content URL: it is what follows /site/ in the address of a page of the site, or default", s)
		}
		if strings.EqualFold(s, "default") {
			s = ""
		}
		for _, other := range urls {
			if strings.EqualFold(s, other) {
				return nil, fmt.Errorf("site: %q is given twice", s)
			}
		}
		urls = append(urls, s)
	}
	return urls, nil
}

// secured returns the transport with TLS as it must be: verified, or off for
// an http origin.
func secured(t *reverseproxy.HTTPTransport, https bool) (*reverseproxy.HTTPTransport, error) {
	if t == nil {
		t = new(reverseproxy.HTTPTransport)
	}
	if err := checkConnection(t); err != nil {
		return nil, err
	}
	if https && t.TLS == nil {
		t.TLS = new(reverseproxy.TLSConfig)
	}
	if !https && t.TLS != nil {
		return nil, errors.New("transport: TLS options for an http:// origin: make the origin https://")
	}
	return t, nil
}

// Command panicking is the proxy with two modules that panic with what they have
// in their hands: one behind tableau_auth, with the request, and one on the last
// hop, where the session is in the request. Nobody should run it; a test looks
// at what such an accident prints.
package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-tableau/caddy-tableau/caddymodule"
)

// headerPanic says how to panic, and where.
const headerPanic = "X-Wire-Panic"

func init() {
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(Hop{})
	httpcaddyfile.RegisterHandlerDirective("panicking", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return Handler{}, nil
	})
}

func main() { caddycmd.Main() }

// Handler panics behind tableau_auth.
type Handler struct{}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.panicking", New: func() caddy.Module { return new(Handler) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	give("handler ", r)
	return next.ServeHTTP(w, r)
}

// Hop panics on the last hop, in the place of the choice of a proxy.
type Hop struct{}

// CaddyModule returns the Caddy module information.
func (Hop) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.network_proxy.panicking", New: func() caddy.Module { return new(Hop) }}
}

// UnmarshalCaddyfile takes no options.
func (*Hop) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

// ProxyFunc implements caddy.ProxyFuncProducer.
func (Hop) ProxyFunc() func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if r.Header.Get(headerPanic) == "hop error" {
			return nil, fmt.Errorf("%v", r.Header)
		}
		give("hop ", r)
		return nil, nil
	}
}

// give panics with the request, or what is in it.
func give(where string, r *http.Request) {
	switch r.Header.Get(headerPanic) {
	case where + "request":
		panic(r)
	case where + "text":
		panic(fmt.Sprintf("%+v %+v", r, r.Context()))
	case where + "wrapped":
		panic(fmt.Errorf("cannot go on with %#v: %w", r.Header, http.ErrBodyNotAllowed))
	}
}

// Interface guards
var (
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddy.ProxyFuncProducer     = (*Hop)(nil)
	_ caddyfile.Unmarshaler       = (*Hop)(nil)
)

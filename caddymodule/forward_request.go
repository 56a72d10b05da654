package caddymodule

// This file makes the request that tableau_forward sends of the one that came
// in: what a proxy has to take out (RFC 9110, section 7.6), and what it adds.

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// hopHeaders are the headers that are about one connection and not about the
// message, as reverse_proxy has them.
var hopHeaders = []string{
	"Alt-Svc", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// outgoing makes the request to host of r, which is its to change but for what r
// shares with the client's request: headers, address and body.
func outgoing(r *http.Request, host string) *http.Request {
	address := *r.URL
	address.Scheme, address.Host = "", host // of a client that sent an absolute one; the transport knows the scheme
	r.URL = &address
	r.Close, r.Trailer = false, nil
	in := r.Header
	r.Header = forwardedHeader(in, r)
	if r.ContentLength == 0 || r.ContentLength < 0 && bodiless(r.Method) && caddyhttp.IsIncremental(in) {
		r.ContentLength, r.Body = 0, nil // or the transport would take it for one that cannot be sent again
	}
	return r
}

// bodiless reports whether requests of this method have no body as a rule. HTTP/3
// does not say that they have none.
func bodiless(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, http.MethodTrace, http.MethodConnect:
		return true
	default:
		return false
	}
}

// forwardedHeader makes the headers of the request r, of those that came in. It
// shares their values, and changes none in place.
func forwardedHeader(in http.Header, r *http.Request) http.Header {
	h := make(http.Header, len(in)+5)
	for name, values := range in {
		h[name] = slices.Clip(values)
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // none, where Go would send its own
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		h["Early-Data"] = []string{"1"} // RFC 8470, section 5.2
	}
	trailers := httpguts.HeaderValuesContainsToken(in["Te"], "trailers")
	removeHopByHop(h)
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	addForwarded(h, r)
	h["Via"] = append(h["Via"], via(r.ProtoMajor, r.ProtoMinor))
	return h
}

// removeHopByHop removes the headers that are about the connection, and those
// that the Connection header names.
func removeHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopHeaders {
		delete(h, name)
	}
}

// via is this proxy in a Via header, behind the protocol that a message came by.
func via(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1 Caddy"
	case major == 2 && minor == 0:
		return "2.0 Caddy"
	default:
		return strconv.Itoa(major) + "." + strconv.Itoa(minor) + " Caddy"
	}
}

// addForwarded adds what the de-facto standard X-Forwarded-* say of the client.
// What a client says in them itself is kept only if it is one of the server's
// trusted_proxies.
func addForwarded(h http.Header, r *http.Request) {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	ip, ok := peerIP(r.RemoteAddr)
	if !ok || ip == "" && !trusted {
		for _, name := range judgedByCaddy {
			delete(h, name)
		}
		return
	}
	if prior, set := h["X-Forwarded-For"]; !set || prior != nil { // nil: somebody wants none to be sent
		before := ""
		if trusted {
			before = strings.Join(prior, ", ")
		}
		if chain := joinNonempty(before, ip); chain != "" {
			h["X-Forwarded-For"] = []string{chain}
		}
	}
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	setForwarded(h, "X-Forwarded-Proto", proto, trusted)
	setForwarded(h, "X-Forwarded-Host", r.Host, trusted)
}

// setForwarded sets a header of one value, unless a trusted client has, or
// somebody wants none to be sent.
func setForwarded(h http.Header, name, value string, trusted bool) {
	prior, set := h[name]
	if set && prior == nil {
		return
	}
	if trusted && len(prior) > 0 && prior[len(prior)-1] != "" {
		value = prior[len(prior)-1]
	}
	h[name] = []string{value}
}

// peerIP is the address of who is connected, without port and zone. It is "" for
// a Unix socket.
func peerIP(remote string) (ip string, ok bool) {
	if remote == "@" {
		return "", true
	}
	ip, _, err := net.SplitHostPort(remote)
	if err != nil {
		return "", false
	}
	ip, _, _ = strings.Cut(ip, "%")
	return ip, true
}

func joinNonempty(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

package caddymodule

// This file answers for reverse_proxy's placeholders where tableau_forward stands
// in its place: access logs and header directives go on using them.

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	ofProxy       = "http.reverse_proxy."
	ofProxyStatus = ofProxy + "status_code"
)

// answerFor has the placeholders of r answered by p. What a reverse_proxy before
// us has set, such as the one in forward_auth, would come first, and goes.
func (p *forwarding) answerFor(r *http.Request) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	if _, set := repl.Get(ofProxyStatus); set {
		repl.DeleteByPrefix(ofProxy)
	}
	repl.Map(p.placeholder)
}

// placeholder is a caddy.ReplacerFunc. Nothing is worked out before it is asked
// for, and most are never.
func (p *forwarding) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, ofProxy)
	if !ok {
		return nil, false
	}
	if upstream, ok := strings.CutPrefix(name, "upstream."); ok {
		return p.ofUpstream(upstream)
	}
	switch name {
	case "duration", "duration_ms", "retries":
		if p.took == 0 {
			return nil, false
		}
		if name == "retries" {
			return 0, true // sending anew with a new session is none: it is part of one sending
		}
		return inUnit(name, p.took), true
	}
	return p.ofAnswer(name)
}

// ofAnswer has what is known once there is an answer.
func (p *forwarding) ofAnswer(name string) (any, bool) {
	if p.res == nil {
		return nil, false
	}
	switch name {
	case "status_code":
		return p.res.StatusCode, true
	case "status_text":
		return p.res.Status, true
	}
	if field, ok := strings.CutPrefix(name, "header."); ok {
		values, ok := p.res.Header[field]
		return strings.Join(values, ","), ok
	}
	return nil, false
}

// ofUpstream has what is known of Tableau: where it is, and how long it took.
func (p *forwarding) ofUpstream(name string) (any, bool) {
	host, port := p.out.URL.Hostname(), p.out.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.out.URL.Scheme]
	}
	switch name {
	case "address":
		return "tcp/" + net.JoinHostPort(host, port), true
	case "hostport":
		return net.JoinHostPort(host, port), true
	case "host":
		return host, true
	case "port":
		return port, true
	case "latency", "latency_ms":
		return inUnit(name, p.latency), p.res != nil
	case "duration", "duration_ms":
		return inUnit(name, p.took), p.res != nil && p.took > 0
	default:
		return nil, false
	}
}

// inUnit is d as the placeholder of this name has it: a duration, or milliseconds
// with what is less than one.
func inUnit(name string, d time.Duration) any {
	if strings.HasSuffix(name, "_ms") {
		return d.Seconds() * 1e3
	}
	return d
}

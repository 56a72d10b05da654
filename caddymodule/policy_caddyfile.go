package caddymodule

// This file reads the Caddyfile forms of the options about scopes and
// operations.

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalScopes reads one of
//
//	scopes auto [by operation|resource|class]
//	scopes <scope>...
func (h *Handler) unmarshalScopes(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return d.Err("scopes is empty: it takes auto, or at least one scope")
	case args[0] != scopesAuto:
		h.Scopes = append(h.Scopes, args...)
		return nil
	case len(h.Scopes) > 0:
		return d.Err("scopes: auto stands alone: to limit what it chooses, use scope_ceiling")
	case len(args) == 3 && args[1] == "by":
		h.ScopesBy = args[2]
	case len(args) > 1:
		return d.Err("scopes auto takes nothing behind it but by operation, by resource or by class: to limit what it chooses, use scope_ceiling")
	}
	h.Scopes = []string{scopesAuto}
	return nil
}

// unmarshalRule reads the arguments of allow or deny:
//
//	allow [<method>...] <route>...
func unmarshalRule(d *caddyfile.Dispenser, to *[]Rule) error {
	option := d.Val()
	var r Rule
	for _, arg := range d.RemainingArgs() {
		if len(r.Routes) == 0 && isMethod(arg) {
			r.Methods = append(r.Methods, arg)
		} else {
			r.Routes = append(r.Routes, arg)
		}
	}
	if len(r.Routes) == 0 {
		return d.Errf("%s takes, behind any methods, the name of an operation, a class or a template such as /sites/*/views/**", option)
	}
	*to = append(*to, r)
	return nil
}

// isMethod tells a method from a route by its capitals.
func isMethod(arg string) bool {
	return strings.Trim(arg, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" && arg != ""
}

// unmarshalReadOnly reads the option read_only, which takes nothing.
func (p *Policy) unmarshalReadOnly(d *caddyfile.Dispenser) error {
	p.ReadOnly = true
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// unmarshalPolicy reads the policy of a group:
//
//	policy <placeholder> <value>... {
//		allow [<method>...] <route>...
//		deny  [<method>...] <route>...
//		read_only
//	}
//
// or policy default, with a block or without.
func (h *Handler) unmarshalPolicy(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) == 1 && args[0] != policyDefault {
		return d.Err("policy takes a placeholder and the values for which it holds, such as policy {http.auth.user.groups} analysts, or is policy default")
	}
	p := GroupPolicy{From: args[0]}
	if len(args) > 1 {
		p.Values = args[1:]
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch option := d.Val(); option {
		case "allow":
			err = unmarshalRule(d, &p.Allow)
		case "deny":
			err = unmarshalRule(d, &p.Deny)
		case "read_only":
			err = p.unmarshalReadOnly(d)
		default:
			err = d.Errf("unknown option %q of policy: there are allow, deny and read_only", option)
		}
		if err != nil {
			return err
		}
	}
	h.Policies = append(h.Policies, p)
	return nil
}

package caddymodule

// This file decides about each operation once, when the configuration is
// loaded: whether it goes through, by which rule, and with which scopes.

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A ground is why an operation goes through, or does not.
type ground int

const (
	granted ground = iota
	answered
	authCall
	denied
	dangerous
	noJWT
	noScope
)

// A verdict is what becomes of requests for one operation.
type verdict struct {
	op     *tableauapi.Operation
	ground ground
	rule   string   // in the words of the configuration
	scopes []string // of the session
	lacks  []string // scopes that it may not have
}

// A judge is the policy that holds for some of the people: the handler's own
// and, if there are groups, that of one of them.
type judge struct {
	*scoping
	rules []ruleSet
}

// verdict decides about op on a server with a version of the REST API.
func (j judge) verdict(op *tableauapi.Operation, version string) verdict {
	v := verdict{op: op}
	if isAuthCall(op) {
		v.ground, v.rule = authCall, "calls under /auth/"
		if locallyAnswered(op) {
			v.ground, v.rule = answered, "answered by the proxy"
		}
		return v
	}
	if v.ground, v.rule = j.policy(op); v.ground != granted {
		return v
	}
	switch {
	case op.JWT == tableauapi.JWTNotNeeded:
		return v
	case !j.takesJWT(op):
		v.ground, v.rule = noJWT, "credentials "+j.kind
		return v
	}
	if v.lacks = j.beyond(op.Scopes); len(v.lacks) > 0 {
		v.ground, v.rule = noScope, j.ceilingOption()
		return v
	}
	v.scopes = j.session(op, version)
	return v
}

// policy decides by the rules: deny wins, then read_only, then allow. What any
// session may ask about itself and the server needs no allow.
func (j judge) policy(op *tableauapi.Operation) (ground, string) {
	for _, set := range j.rules {
		if r, ok := matching(set.deny, op); ok {
			return denied, "deny " + r.String()
		}
		if set.readOnly && op.Mutates {
			return denied, "read_only"
		}
	}
	if op.JWT == tableauapi.JWTNotNeeded || op.Name == currentSession {
		return granted, "always"
	}
	rule, named := "default", false
	for _, set := range j.rules {
		named = named || names(set.allow, op)
		if len(set.allow) == 0 {
			continue
		}
		r, ok := matching(set.allow, op)
		if !ok {
			return denied, "not in allow"
		}
		rule = "allow " + r.String()
	}
	if op.Danger != tableauapi.Harmless && !named {
		return dangerous, string(op.Danger)
	}
	return granted, rule
}

// takesJWT reports whether op accepts the sessions of the credential.
func (j judge) takesJWT(op *tableauapi.Operation) bool {
	switch {
	case j.account:
		return true
	case op.JWT == tableauapi.JWTUnifiedAccess:
		return j.kind == "unified_access"
	default:
		return op.JWT == tableauapi.JWTAccepted
	}
}

// unknown decides about a request for which there is no operation, by a rule if
// there is one.
func (j judge) unknown(method, path string) (rule string, refused *refusal) {
	if known := tableauapi.Methods(path); len(known) > 0 && !slices.Contains(known, method) {
		return "", refuseMethod.with("This path is known with "+strings.Join(known, ", ")+".", nil)
	}
	if !j.unknownOpen {
		return "default", refuseUnknown.with("", nil)
	}
	if op, ok := tableauapi.Resembles(path); ok {
		return "default", refuseUnknown.with(fmt.Sprintf("No operation of Tableau's API has exactly this path. It looks like %s: spell it like that.", op.ShortTemplate()), nil)
	}
	for _, set := range j.rules {
		r, ok := matchingPath(set.deny, method, path)
		switch {
		case ok:
			rule = "deny " + r.String()
		case set.readOnly && method != http.MethodGet && method != http.MethodHead:
			rule = "read_only"
		case len(set.allow) > 0:
			rule = "not in allow"
		default:
			continue
		}
		return rule, refuseDenied.with(deniedDetail("this request", rule), nil)
	}
	return "unknown_routes", nil
}

// ceilingOption is the option that leaves scopes out.
func (s *scoping) ceilingOption() string {
	if len(s.fixed) > 0 {
		return "scopes"
	}
	return "scope_ceiling"
}

// locallyAnswered reports whether the proxy answers op itself.
func locallyAnswered(op *tableauapi.Operation) bool {
	switch op.Name {
	case "sign_in", "sign_out", "switch_site":
		return true
	default:
		return false
	}
}

package caddymodule

// This file says to clients why an operation does not go through, and what
// would have to be changed.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// refusal is the answer to a request for the operation, or nil if it goes
// through.
func (j judge) refusal(v *verdict) *refusal {
	switch v.ground {
	case granted:
		return nil
	case denied:
		return refuseDenied.with(deniedDetail(inWords(v.op), v.rule), nil)
	case dangerous:
		return refuseDangerous.with(j.dangerDetail(v.op), nil)
	case noJWT:
		return refuseNoJWT.with(j.noJWTDetail(v.op), nil)
	case noScope:
		return refuseScope.with(fmt.Sprintf("%s needs %s. The session may have %s: the operator of this proxy would have to add %s to %s.",
			inWords(v.op), scopeList(v.op.Scopes), scopeList(slices.Concat(j.fixed, j.ceiling)), strings.Join(v.lacks, " "), v.rule), nil)
	case answered, authCall: // which get no further than answer
	}
	return refuseAuthCall.with("", nil)
}

// inWords names an operation for people.
func inWords(op *tableauapi.Operation) string {
	return fmt.Sprintf("%s (%s %s)", op.Name, op.Method, op.ShortTemplate())
}

func scopeList(scopes []string) string {
	switch len(scopes) {
	case 0:
		return "no scope"
	case 1:
		return "the scope " + scopes[0]
	default:
		return "the scopes " + strings.Join(scopes, " ")
	}
}

func deniedDetail(what, rule string) string {
	return fmt.Sprintf("The operator of this proxy does not let %s through (%s).", what, rule)
}

func (j judge) dangerDetail(op *tableauapi.Operation) string {
	add := "allow /** " + op.Name
	if slices.ContainsFunc(j.rules, func(set ruleSet) bool { return len(set.allow) > 0 }) {
		add = "allow " + op.Name
	}
	return fmt.Sprintf("%s is refused here unless the operator of this proxy allows it by name. %s To let it through: %s", inWords(op), op.Reason, add)
}

func (j judge) noJWTDetail(op *tableauapi.Operation) string {
	fit := "pat or password"
	if op.JWT == tableauapi.JWTUnifiedAccess {
		fit = "unified_access, pat or password"
	}
	return fmt.Sprintf("Tableau accepts %s from no session that was opened with a JWT of this kind, and this proxy opens them with credentials %s. It would work with credentials %s.",
		inWords(op), j.kind, fit)
}

// scopeDetail explains that Tableau refused a request to a session that is
// alive.
func scopeDetail(x *exchange, e *tableauauth.ScopeError) string {
	has := e.Session.Grant().Scopes
	if x.op == nil {
		return fmt.Sprintf("Tableau refused this request to a session that is alive, so the session lacks a scope that it needs, "+
			"or it accepts no Connected App at all. This proxy does not know the operation. Route: %s. The session has %s: see unknown_routes.",
			x.template(), scopeList(has))
	}
	since := ""
	if x.op.JWTSince != "" {
		since = ", or is older than REST API " + x.op.JWTSince + ", which accepts JWTs for it"
	}
	return fmt.Sprintf("Tableau refused %s to a session that is alive. It needs %s, and the session was opened with %s. "+
		"So Tableau gives the Connected App fewer scopes than were asked for, does not know one of them%s, or needs another one than is documented. "+
		"The operator of this proxy can compare the scopes that are set for it at Tableau, and list scopes that are known to work in scopes.",
		inWords(x.op), scopeList(x.op.Scopes), scopeList(has), since)
}

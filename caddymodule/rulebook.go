package caddymodule

// This file holds the verdicts about all operations, and finds the one for a
// request.

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A rulebook is what one handler decides by.
type rulebook struct {
	scoping
	groups  groups
	judges  []judge // [0] the handler's own, then one for each group
	version func(context.Context) string
	current atomic.Pointer[edition]
}

// An edition is the verdicts for one version of the REST API.
type edition struct {
	version  string
	verdicts []map[*tableauapi.Operation]*verdict // by judge
	idle     []string                             // the scopes of sessions for no operation
}

// newRulebook checks the handler's options about scopes and operations, and
// decides about each operation.
func newRulebook(h *Handler, kind string, account bool, logger *zap.Logger) (*rulebook, error) {
	b := &rulebook{version: func(context.Context) string { return "" }}
	var err error
	if b.scoping, err = newScoping(h, kind, account, logger); err != nil {
		return nil, err
	}
	if b.groups, err = newGroups(h.Policies, h.sources(), logger); err != nil {
		return nil, err
	}
	own, err := h.find()
	if err != nil {
		return nil, err
	}
	b.judges = []judge{{&b.scoping, []ruleSet{own}}}
	for _, p := range h.Policies {
		set, err := p.find()
		switch {
		case err != nil:
			return nil, fmt.Errorf("policy %s: %w", p.String(), err)
		case len(set.allow) == 0 && len(set.deny) == 0 && !set.readOnly && p.From != policyDefault:
			return nil, fmt.Errorf("policy %s: it has no allow, deny or read_only", p.String())
		}
		b.judges = append(b.judges, judge{&b.scoping, []ruleSet{own, set}})
	}
	b.current.Store(b.publish(""))
	return b, nil
}

// publish decides about all operations.
func (b *rulebook) publish(version string) *edition {
	e := &edition{version: version}
	for _, j := range b.judges {
		verdicts := make(map[*tableauapi.Operation]*verdict)
		for op := range tableauapi.Operations() {
			v := j.verdict(op, version)
			if op.JWT == tableauapi.JWTNotNeeded { // which clients ask for before they are known
				v = b.judges[0].verdict(op, version)
			}
			verdicts[op] = &v
		}
		e.verdicts = append(e.verdicts, verdicts)
	}
	if op, ok := tableauapi.OperationByName(currentSession); ok {
		e.idle = b.session(op, version)
	}
	return e
}

// edition returns the verdicts for the version that the server has.
func (b *rulebook) edition(ctx context.Context) *edition {
	e := b.current.Load()
	if b.account || len(b.fixed) > 0 || b.grouping == tableauapi.ByOperation {
		return e // the same for every version
	}
	if version := b.version(ctx); version != e.version {
		e = b.publish(version)
		b.current.Store(e)
	}
	return e
}

// judge decides about a request that is no call under /auth/, and with which
// scopes it goes on.
func (b *rulebook) judge(r *http.Request, x *exchange) *refusal {
	number := 0
	if !x.route.ServerInfo() {
		var refused *refusal
		if number, refused = b.groups.choose(r); refused != nil {
			return refused
		}
	}
	if number > 0 {
		x.policy = b.groups.names[number-1]
	}
	if x.op == nil {
		var refused *refusal
		x.scopes = b.unknown
		x.rule, refused = b.judges[number].unknown(r.Method, x.path)
		return refused
	}
	v := b.edition(r.Context()).verdicts[number][x.op]
	x.rule = v.rule
	if v.ground != granted {
		return b.judges[number].refusal(v)
	}
	x.scopes = v.scopes
	return nil
}

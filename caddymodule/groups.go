package caddymodule

// This file chooses the policy of a person, by what Caddy has verified of them.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
)

// policyDefault stands where a group's placeholder does: for whoever belongs to
// no other group.
const policyDefault = "default"

// GroupPolicy is the policy of a group of people. It holds beside that of the
// handler: an operation has to pass both.
type GroupPolicy struct {
	// What tells the group, with placeholders that an authentication handler
	// has set, such as `{http.auth.user.groups}`. The rules of `user` hold: what
	// the client fills in is refused. `default` is everybody whom no policy
	// before is about; it must come last.
	From string `json:"from,omitempty"`

	// The policy holds if `from` comes out as one of these, or as a list with
	// one of these in it, whose entries are separated by commas. Compared byte
	// for byte.
	Values []string `json:"values,omitempty"`

	Policy
}

// groups chooses among the policies of one handler.
type groups struct {
	sources  sources
	policies []GroupPolicy
	names    []string // of the policies, see GroupPolicy.String
}

// newGroups checks the handler's option policies.
func newGroups(policies []GroupPolicy, from sources, logger *zap.Logger) (groups, error) {
	g := groups{sources: from, policies: policies}
	for i, p := range policies {
		if err := g.add(p, i == len(policies)-1, logger); err != nil {
			return g, err
		}
		g.names = append(g.names, p.String())
	}
	return g, nil
}

func (g *groups) add(p GroupPolicy, last bool, logger *zap.Logger) error {
	switch {
	case p.From == policyDefault && len(p.Values) > 0:
		return errors.New("policy default: it takes no values")
	case p.From == policyDefault && !last:
		return errors.New("policy default: it must come last, as none behind it can hold")
	case p.From == policyDefault:
		return nil
	case len(placeholders(p.From)) == 0:
		return fmt.Errorf("policy %s: it begins with a placeholder such as {http.auth.user.groups}, or is policy default", p.From)
	case len(p.Values) == 0 || slices.Contains(p.Values, ""):
		return fmt.Errorf("policy %s: it has no value, or an empty one: name at least one group", p.From)
	case slices.ContainsFunc(placeholders(p.From), func(name string) bool { return strings.HasPrefix(name, "http.tableau.") }):
		return fmt.Errorf("policy %s: it is not known yet when the policy is chosen: use what an authentication handler has verified, such as {http.auth.user.groups}", p.From)
	}
	if err := checkBraces(p.From); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if chosen := g.sources.add(p.From, logger, "a policy"); chosen != "" {
		return fmt.Errorf("policy: {%s} is chosen by the client, who could choose among the policies: use what an authentication handler has verified, such as {http.auth.user.groups}", chosen)
	}
	return nil
}

// choose returns the number of the policy that holds for the sender of r,
// counted from 1, or 0 if there are none. What is empty could hide that
// somebody belongs to a stricter group, so it is no group and not the default.
func (g *groups) choose(r *http.Request) (int, *refusal) {
	if len(g.policies) == 0 {
		return 0, nil
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return 0, refusePolicy.with("", errors.New("the request has no placeholders"))
	}
	if refused := g.sources.check(r, refusePolicy); refused != nil {
		return 0, refused
	}
	for i, p := range g.policies {
		if p.From == policyDefault {
			return i + 1, nil
		}
		value, err := repl.ReplaceOrErr(p.From, true, true)
		if err == nil && strings.TrimSpace(value) == "" {
			err = fmt.Errorf("%s is empty", p.From)
		}
		if err != nil {
			return 0, refusePolicy.with("", fmt.Errorf("policy %s: %w", p.From, err))
		}
		if p.holdsFor(value) {
			return i + 1, nil
		}
	}
	return 0, refusePolicy.with("", errors.New("no policy is about this person, and there is no policy default"))
}

// holdsFor reports whether value is one of the group's, or a list with one.
func (p *GroupPolicy) holdsFor(value string) bool {
	if slices.Contains(p.Values, value) {
		return true
	}
	for entry := range strings.SplitSeq(value, ",") {
		if slices.Contains(p.Values, strings.TrimSpace(entry)) {
			return true
		}
	}
	return false
}

// String returns the head of the policy as a Caddyfile has it.
func (p *GroupPolicy) String() string {
	return strings.Join(append([]string{p.From}, p.Values...), " ")
}

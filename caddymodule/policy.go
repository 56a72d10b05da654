package caddymodule

// This file reads which operations an operator lets through: allow, deny and
// read_only.

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// Policy says which operations of Tableau's APIs go through. Without anything
// in it, all that are known and not dangerous do.
type Policy struct {
	// The operations that go through. If there are any, all others do not.
	// An operation that is dangerous to a proxy whose sessions are shared goes
	// through only if it is here by its name.
	Allow []Rule `json:"allow,omitempty"`

	// The operations that do not go through, whatever `allow` says.
	Deny []Rule `json:"deny,omitempty"`

	// Lets nothing through that changes something at Tableau. What is asked
	// for by POST and changes nothing, such as a query of the Metadata API,
	// goes through.
	ReadOnly bool `json:"read_only,omitempty"`
}

// Rule names operations.
type Rule struct {
	// The methods that it is about, such as `GET`, which HEAD belongs to.
	// Default: all.
	Methods []string `json:"methods,omitempty"`

	// What it is about: the name of an operation such as `publish_workbook`, a
	// class (`read`, `write`, `run` or `admin`), or a template such as
	// `/sites/*/views/**`. In a template `*` is one segment and `**`, at its
	// end, any number of them; it begins behind the version of the REST API.
	Routes []string `json:"routes,omitempty"`
}

// String returns the rule as a Caddyfile has it, without the option's name.
func (r Rule) String() string { return strings.Join(slices.Concat(r.Methods, r.Routes), " ") }

// A ruleSet is a [Policy], with the operations found.
type ruleSet struct {
	allow, deny []foundRule
	readOnly    bool
}

// A foundRule is a [Rule] with what it means.
type foundRule struct {
	Rule
	operations map[*tableauapi.Operation]bool // whether by name
}

// find looks up the operations of a policy.
func (p *Policy) find() (set ruleSet, err error) {
	set.readOnly = p.ReadOnly
	if set.allow, err = findRules("allow", p.Allow); err != nil {
		return set, err
	}
	set.deny, err = findRules("deny", p.Deny)
	return set, err
}

func findRules(option string, rules []Rule) ([]foundRule, error) {
	var all []foundRule
	for _, r := range rules {
		if len(r.Routes) == 0 {
			return nil, fmt.Errorf("%s %s: it names no operation, class or template", option, r)
		}
		found := foundRule{r, make(map[*tableauapi.Operation]bool)}
		for _, route := range r.Routes {
			if err := found.add(route); err != nil {
				return nil, fmt.Errorf("%s: %w", option, err)
			}
		}
		all = append(all, found)
	}
	return all, nil
}

// add looks one route up.
func (r *foundRule) add(route string) error {
	for _, m := range r.Methods {
		if m == http.MethodHead || !slices.Contains(methods, m) {
			return fmt.Errorf("%q is no method that rules are about: they are GET (and with it HEAD), POST, PUT, PATCH and DELETE", m)
		}
	}
	operations, err := tableauapi.MatchOperations(route)
	if err != nil {
		return err
	}
	named, byName := tableauapi.OperationByName(route)
	if byName && isAuthCall(named) {
		return fmt.Errorf("%s is a call under /auth/, which this proxy answers or refuses itself, whatever rules say", route)
	}
	found := false
	for _, op := range operations {
		if len(r.Methods) == 0 || slices.Contains(r.Methods, op.Method) {
			r.operations[op] = r.operations[op] || byName
			found = true
		}
	}
	if !found {
		return fmt.Errorf("%s has no operation with the method %s", route, strings.Join(r.Methods, " or "))
	}
	return nil
}

// isAuthCall reports whether an operation is one under /auth/.
func isAuthCall(op *tableauapi.Operation) bool {
	return strings.HasPrefix(op.ShortTemplate(), "/auth/")
}

// matching returns the first of the rules that is about op.
func matching(rules []foundRule, op *tableauapi.Operation) (foundRule, bool) {
	for _, r := range rules {
		if _, ok := r.operations[op]; ok {
			return r, true
		}
	}
	return foundRule{}, false
}

// names reports whether one of the rules has op by its name.
func names(rules []foundRule, op *tableauapi.Operation) bool {
	return slices.ContainsFunc(rules, func(r foundRule) bool { return r.operations[op] })
}

// matchingPath returns the first of the rules that has a template for a path
// that no operation has.
func matchingPath(rules []foundRule, method, path string) (foundRule, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, r := range rules {
		if len(r.Methods) > 0 && !slices.Contains(r.Methods, method) {
			continue
		}
		for _, route := range r.Routes {
			if strings.HasPrefix(route, "/") && tableauapi.PathMatches(route, path) {
				return r, true
			}
		}
	}
	return foundRule{}, false
}

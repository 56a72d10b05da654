package tableauapi

// This file says which scopes to ask for: what one operation needs, or what a
// group of them does, so that fewer sessions serve more requests.

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Grouping is how far a session reaches beyond the operation that it is
// opened for: the fewer sign-ins, the more privilege.
type Grouping int

// The groupings.
const (
	ByOperation Grouping = iota // exactly what the operation needs
	ByResource                  // what the operations of the same resource need
	ByClass                     // what the operations of the same class need
)

// String returns the grouping's name in configurations.
func (g Grouping) String() string {
	switch g {
	case ByOperation:
		return "operation"
	case ByResource:
		return "resource"
	case ByClass:
		return "class"
	default:
		return "unknown"
	}
}

// ParseGrouping reads a grouping's name.
func ParseGrouping(name string) (Grouping, bool) {
	for _, g := range []Grouping{ByOperation, ByResource, ByClass} {
		if g.String() == name {
			return g, true
		}
	}
	return 0, false
}

// A tier is the scopes of a group that a version knows, if the next tier's is
// newer.
type tier struct {
	since  apiVersion
	scopes []string
}

// ScopesFor returns the scopes of a session for the operation, in alphabetical
// order: its own, and those of its group without the ones that are newer than
// the server's version of the REST API, such as "3.24", as far as their age is
// known. A version that cannot be read is taken to be the oldest; the
// operation's own scopes are there in any case.
//
// What only dangerous operations need, or only those that a Connected App's
// session may not call, is in no group. There are no scopes for an operation
// that accepts no session from a JWT or needs none, and none for one that any
// session may call, if it is alone: a JWT needs at least one.
//
// The slice is shared and must not be changed.
func (op *Operation) ScopesFor(grouping Grouping, version string) []string {
	if grouping != ByResource && grouping != ByClass {
		return op.Scopes
	}
	tiers := op.groups[grouping-ByResource]
	asked := parseVersion(version)
	for i := len(tiers) - 1; i > 0; i-- {
		if tiers[i].since <= asked {
			return tiers[i].scopes
		}
	}
	return tiers[0].scopes
}

// An apiVersion orders versions of the REST API: 3.9 comes before 3.24. Zero is
// one that is not known.
type apiVersion int

func parseVersion(s string) apiVersion {
	if !isVersion(s) {
		return 0
	}
	major, minor, _ := strings.Cut(s, ".")
	a, _ := strconv.Atoi(major) // isVersion has seen to both
	b, _ := strconv.Atoi(minor)
	return apiVersion(a*1000 + b)
}

// usesJWT reports whether a session from a JWT may call the operation.
func (op *Operation) usesJWT() bool { return op.JWT == JWTAccepted || op.JWT == JWTUnifiedAccess }

// groupScopes makes the groups of all operations.
func (c *catalogTable) groupScopes() {
	since := c.scopeVersions()
	groups := map[string][]string{}
	for _, op := range c.operations {
		for _, key := range groupKeys(op) {
			if op.Danger == Harmless && op.JWT == JWTAccepted {
				groups[key] = append(groups[key], op.Scopes...)
			}
		}
	}
	shared := map[string][]tier{} // of operations with the same group and the same scopes
	for key, scopes := range groups {
		shared[key] = tiers(sortedSet(scopes), since)
	}
	for _, op := range c.operations {
		for i, key := range groupKeys(op) {
			if !op.usesJWT() {
				op.groups[i] = []tier{{}}
				continue
			}
			own := key + " " + strings.Join(op.Scopes, ",")
			if shared[own] == nil {
				shared[own] = withScopes(shared[key], op.Scopes)
			}
			op.groups[i] = shared[own]
		}
	}
}

// groupKeys names the groups of an operation, by ByResource and ByClass.
func groupKeys(op *Operation) [2]string {
	return [2]string{"resource " + op.Resource, "class " + string(op.Class)}
}

// scopeVersions tells since when each scope is known: a scope cannot be older
// than the oldest operation that needs it.
func (c *catalogTable) scopeVersions() map[string]apiVersion {
	since := map[string]apiVersion{}
	for _, op := range c.operations {
		version := max(parseVersion(op.MinVersion), parseVersion(op.JWTSince))
		for _, scope := range op.Scopes {
			if known, ok := since[scope]; !ok || version < known {
				since[scope] = version
			}
		}
	}
	return since
}

// tiers returns the scopes of a group as they grew from version to version.
func tiers(group []string, since map[string]apiVersion) []tier {
	versions := map[apiVersion]bool{0: true}
	for _, scope := range group {
		versions[since[scope]] = true
	}
	var all []tier
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		newer := func(scope string) bool { return since[scope] > version }
		all = append(all, tier{version, sortedSet(slices.DeleteFunc(slices.Clone(group), newer))})
	}
	return all
}

// withScopes returns the tiers of a group, each with an operation's own scopes.
func withScopes(group []tier, own []string) []tier {
	if len(group) == 0 {
		return []tier{{0, own}}
	}
	all := slices.Clone(group)
	for i := range all {
		lacks := func(scope string) bool { return !slices.Contains(all[i].scopes, scope) }
		if slices.ContainsFunc(own, lacks) {
			all[i].scopes = sortedSet(slices.Concat(all[i].scopes, own))
		}
	}
	return all
}

// sortedSet sorts in place, and drops what is there twice.
func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Clip(slices.Compact(s))
}

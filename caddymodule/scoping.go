package caddymodule

// This file says which scopes sessions are to have: what each operation needs,
// or a list that is the same for all, and never more than a ceiling.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// Words that stand where scopes do.
const (
	scopesAuto   = "auto"
	unknownDeny  = "deny"
	unknownAllow = "allow"
)

// harmlessScope is that of sessions that are opened for no operation: at a
// sign-in, or to learn of a site. A JWT needs at least one. The commonest
// requests need this one, so the session is not lost.
const harmlessScope = "tableau:content:read"

// currentSession is the operation that such sessions could be for.
const currentSession = "get_current_server_session"

// A scoping is what one handler's options say about scopes.
type scoping struct {
	kind     string // of the credential
	account  bool   // whose sessions know no scopes
	fixed    []string
	grouping tableauapi.Grouping
	ceiling  []string // of sessions that are not fixed; nil if there is none

	unknownOpen bool // routes that the catalog does not know go through
	unknown     []string
}

// newScoping checks the options about scopes. Kind is the credential's, which
// is an account's or signs JWTs.
func newScoping(h *Handler, kind string, account bool, logger *zap.Logger) (scoping, error) {
	s := scoping{kind: kind, account: account}
	if err := checkScopeLists(h, logger); err != nil {
		return s, err
	}
	if account && len(explicit(h.Scopes))+len(h.ScopeCeiling) > 0 {
		logger.Warn("scopes do not limit sessions of this kind of credential: the rights of its user at Tableau do", zap.String("credentials", kind))
	}
	s.fixed, s.ceiling = tableauauth.NormalScopes(explicit(h.Scopes)), tableauauth.NormalScopes(h.ScopeCeiling)
	auto := len(s.fixed) == 0
	switch {
	case !auto && slices.Contains(h.Scopes, scopesAuto):
		return s, errors.New("scopes: auto chooses the scopes itself: leave the others out, or list them in scope_ceiling")
	case !auto && h.ScopesBy != "":
		return s, errors.New("scopes_by: it groups what scopes auto chooses, but scopes are listed")
	case !auto && len(s.ceiling) > 0:
		return s, errors.New("scope_ceiling: it limits what scopes auto chooses; the list in scopes is a ceiling already")
	}
	if h.ScopesBy != "" {
		var ok bool
		if s.grouping, ok = tableauapi.ParseGrouping(h.ScopesBy); !ok {
			return s, fmt.Errorf("scopes auto by %s: it is by operation, by resource or by class", h.ScopesBy)
		}
	}
	return s, s.openUnknown(h)
}

// explicit returns the scopes of a list that are not chosen by us.
func explicit(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == scopesAuto })
}

// unknownScopes are the scopes for routes that the catalog does not know.
func (h *Handler) unknownScopes() []string {
	if len(h.UnknownRoutes) == 1 && (h.UnknownRoutes[0] == unknownDeny || h.UnknownRoutes[0] == unknownAllow) {
		return nil
	}
	return h.UnknownRoutes
}

// openUnknown reads the option unknown_routes.
func (s *scoping) openUnknown(h *Handler) error {
	if len(h.UnknownRoutes) == 0 || slices.Equal(h.UnknownRoutes, []string{unknownDeny}) {
		return nil
	}
	s.unknownOpen, s.unknown = true, tableauauth.NormalScopes(h.unknownScopes())
	if len(s.unknown) == 0 {
		s.unknown = s.fixed
	}
	switch {
	case len(h.Allow) > 0:
		return errors.New("unknown_routes: only what allow names goes through, which no unknown route is: leave one of the two out")
	case len(s.unknown) == 0 && !s.account:
		return errors.New("unknown_routes: with scopes auto nobody knows what they need: name the scopes, such as unknown_routes tableau:content:read")
	}
	if lacking := s.beyond(s.unknown); len(lacking) > 0 {
		return fmt.Errorf("unknown_routes: %s is more than scopes or scope_ceiling allow", strings.Join(lacking, " "))
	}
	return nil
}

// checkScopeLists checks every scope that is written in the options.
func checkScopeLists(h *Handler, logger *zap.Logger) error {
	lists := []struct {
		option string
		scopes []string
	}{{"scopes", explicit(h.Scopes)}, {"scope_ceiling", h.ScopeCeiling}, {"unknown_routes", h.unknownScopes()}}
	for _, list := range lists {
		if err := checkScopes(list.option, list.scopes); err != nil {
			return err
		}
		warnOfScopes(list.option, list.scopes, logger)
	}
	return nil
}

// checkScopes refuses what cannot be a scope.
func checkScopes(option string, scopes []string) error {
	for _, s := range scopes {
		if !strings.HasPrefix(s, "tableau:") || strings.Count(s, ":") != 2 || strings.ContainsAny(s, " {}") {
			return fmt.Errorf("%s: %q is not of the form tableau:<resource>:<action>", option, s)
		}
	}
	return nil
}

// warnOfScopes reports scopes that no operation needs: there are many invented
// ones in circulation, which Tableau does not know.
func warnOfScopes(option string, scopes []string, logger *zap.Logger) {
	for _, s := range scopes {
		needed := false
		for op := range tableauapi.Operations() {
			needed = needed || slices.ContainsFunc(op.Scopes, func(other string) bool { return covers(s, other) })
		}
		if !needed {
			logger.Warn("no operation that is known needs this scope: compare it with docs/scopes.md", zap.String("option", option), zap.String("scope", s))
		}
	}
}

// covers reports whether a session that has one scope may do what needs the
// other: the same, or a wildcard for all of a resource (Tableau help, "Access
// Scopes for Connected Apps"), or for everything.
func covers(has, needs string) bool {
	if has == needs || has == "tableau:*:*" {
		return true
	}
	resource, ok := strings.CutSuffix(has, ":*")
	return ok && strings.HasPrefix(needs, resource+":")
}

// beyond returns the scopes that no session may have.
func (s *scoping) beyond(scopes []string) []string {
	limit := slices.Concat(s.fixed, s.ceiling)
	if s.account || len(limit) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(needed string) bool {
		return slices.ContainsFunc(limit, func(has string) bool { return covers(has, needed) || s.mayCover(has, needed) })
	})
}

// mayCover reports whether it is Tableau's to say if a listed scope is enough:
// tableau:content:read is for sites too by Tableau's help, "Access Scopes for
// Connected Apps", while the reference of Query Site names a scope of its own.
func (s *scoping) mayCover(has, needs string) bool {
	return len(s.fixed) > 0 && has == "tableau:content:read" && needs == "tableau:sites:read"
}

// session returns the scopes of a session for op, on a server with a version of
// the REST API.
func (s *scoping) session(op *tableauapi.Operation, version string) []string {
	switch {
	case s.account:
		return nil
	case len(s.fixed) > 0:
		return s.fixed
	}
	scopes := op.ScopesFor(s.grouping, version)
	if lacking := s.beyond(scopes); len(lacking) > 0 {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return slices.Contains(lacking, scope) })
	}
	switch {
	case len(scopes) > 0:
		return scopes
	case len(s.beyond([]string{harmlessScope})) == 0:
		return []string{harmlessScope}
	default:
		return s.ceiling[:1]
	}
}

// describe says in the words of a configuration where sessions get their scopes.
func (s *scoping) describe() string {
	switch {
	case s.account:
		return "none: the rights of the account"
	case len(s.fixed) > 0:
		return strings.Join(s.fixed, " ")
	case len(s.ceiling) > 0:
		return "auto by " + s.grouping.String() + ", at most " + strings.Join(s.ceiling, " ")
	default:
		return "auto by " + s.grouping.String()
	}
}

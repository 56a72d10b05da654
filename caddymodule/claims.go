package caddymodule

// This file fills in the extra claims of JWTs, which say more of a person than
// their user name: attributes for row-level security, groups.

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// claimGroups is a list even of one group (Tableau help, "On-demand access
// using Connected Apps with direct trust").
const claimGroups = "https://tableau.com/groups"

// claims are the extra claims of one handler. Nil are none.
type claims struct {
	templates []tableauauth.Claim // sorted by name, values with placeholders
	sources   sources
}

// newClaims checks the handler's option claims. Where the values come from is
// held to the same rules as the user.
func newClaims(options map[string][]string, credential tableauauth.Credential, from sources, logger *zap.Logger) (*claims, error) {
	if len(options) == 0 {
		return nil, nil
	}
	bearer, ok := credential.(tableauauth.ClaimBearer)
	if !ok {
		return nil, fmt.Errorf("claims: credentials %s sign in without a JWT, which is what carries claims: use direct_trust, oauth_trust or unified_access, or leave claims out", credential.Kind())
	}
	c := &claims{sources: from}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if err := bearer.CheckClaim(name); err != nil {
			return nil, fmt.Errorf("claims: %w: leave it out", err)
		}
		values := options[name]
		if len(values) == 0 || slices.Contains(values, "") {
			return nil, fmt.Errorf("claims: %s has no value, or an empty one: give it at least one, such as {http.auth.user.department}", name)
		}
		for _, value := range values {
			if err := checkBraces(value); err != nil {
				return nil, fmt.Errorf("claims: %s: %w", name, err)
			}
			if chosen := c.sources.add(value, logger, "a claim", zap.String("claim", name)); chosen != "" {
				return nil, fmt.Errorf("claims: %s: {%s} is chosen by the client, who could claim anything: use what an authentication handler has verified, such as {http.auth.user.department}", name, chosen)
			}
		}
		c.templates = append(c.templates, tableauauth.Claim{Name: name, Values: values, List: len(values) > 1 || name == claimGroups})
	}
	return c, nil
}

// expand fills in the claims for the sender of r. One that comes out empty is
// no claim that could be left out: what it keeps a person from seeing at
// Tableau would be lost with it.
func (c *claims) expand(r *http.Request, x *exchange) *refusal {
	if c == nil || x.route.Auth() == tableauapi.SignOut || x.route.ServerInfo() {
		return nil // needs no session
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return refuseClaim.with("", errors.New("the request has no placeholders"))
	}
	if refused := c.sources.check(r, refuseClaim); refused != nil {
		return refused
	}
	filled := make([]tableauauth.Claim, 0, len(c.templates))
	for _, template := range c.templates {
		claim, err := fillIn(template, repl)
		if err != nil {
			return refuseClaim.with("", fmt.Errorf("claim %s: %w", template.Name, err))
		}
		filled = append(filled, claim)
	}
	x.claims = filled
	return nil
}

// fillIn replaces the placeholders of one claim, once: what a placeholder
// stands for is not looked at for placeholders again.
func fillIn(template tableauauth.Claim, repl *caddy.Replacer) (tableauauth.Claim, error) {
	claim := template
	claim.Values = make([]string, 0, len(template.Values))
	for _, text := range template.Values {
		value, err := repl.ReplaceOrErr(text, true, true)
		if err != nil {
			return claim, err
		}
		if strings.TrimSpace(value) == "" {
			return claim, fmt.Errorf("%s is empty", text)
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return claim, fmt.Errorf("what %s stands for holds control characters or is not UTF-8", text)
		}
		claim.Values = append(claim.Values, value)
	}
	return claim, nil
}

// removeHeaders keeps from Tableau the headers that claims are taken from.
func (c *claims) removeHeaders(r *http.Request) {
	if c == nil {
		return
	}
	c.sources.removeHeaders(r)
}

// unmarshalClaims reads the block claims.
func (h *Handler) unmarshalClaims(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	h.Claims = make(map[string][]string)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if _, twice := h.Claims[name]; twice {
			return d.Errf("claims: %s is there twice: a list of values goes on one line", name)
		}
		values := d.RemainingArgs()
		if len(values) == 0 {
			return d.Errf("claims: %s takes one value, or several for a list", name)
		}
		h.Claims[name] = values
	}
	if len(h.Claims) == 0 {
		return d.Err("claims is empty: it takes a line for each claim")
	}
	return nil
}

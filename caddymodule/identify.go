package caddymodule

// This file answers "who is this?": from the identity that Caddy has verified
// to the Tableau user, or no further.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

const (
	authUserID      = "http.auth.user.id"
	headerPrefix    = "http.request.header."
	answerPrefix    = "http.reverse_proxy.header."
	authUser        = "http.auth.user."
	clientCert      = "http.request.tls.client."
	unmappedDeny    = "deny"
	unmappedUseUser = "template"
)

// Where an identity comes from, as records have it.
const (
	fromAuthentication = "authenticated"  // a handler of Caddy's, such as basic_auth
	fromHeader         = "header"         // a request header, from whom identity_headers says
	fromForwardAuth    = "forward_auth"   // what the authentication service has answered
	fromCertificate    = "tls"            // a client certificate
	fromPlaceholder    = "placeholder"    // another placeholder
	fromConfiguration  = "constant"       // it is everybody's
	fromClientSignIn   = "client_sign_in" // an entry of clients, which has shown its secret
	fromClientToken    = "client_token"   // the token that such an entry was given
)

// clientChosen are the placeholders whose values the client picks freely:
// whoever may name the user in them may become anybody.
var clientChosen = []string{
	"http.request.uri", "http.request.orig_uri", "http.request.orig_method", "http.request.method",
	"http.request.body", "http.request.cookie.", "http.request.host", "http.request.hostport",
	"http.request.remote", "http.request.tls.server_name", "http.auth.candidate.", "http.request.header.Authorization", "http.request.header.Cookie", "http.regexp.",
}

func isClientChosen(placeholder string) bool {
	return slices.ContainsFunc(clientChosen, func(p string) bool {
		return strings.HasPrefix(strings.ToLower(placeholder), strings.ToLower(p))
	})
}

// identities is how one handler turns identities into Tableau users.
type identities struct {
	template  string
	only      string // the placeholder, if the template is nothing else
	sources          // of template
	source    string // what identities of template come from
	users     map[string]string
	file      *userFile
	mapped    bool // there is a map
	denyOther bool // identities outside the map are refused
	constant  bool // template has no placeholders
	forbidden []string
}

// newIdentities checks the handler's options about users.
func newIdentities(h *Handler, logger *zap.Logger) (*identities, error) {
	ids := &identities{
		template:  h.User,
		sources:   h.sources(),
		users:     h.UserMap,
		mapped:    len(h.UserMap) > 0 || h.UserMapFile != "",
		forbidden: h.ForbidUsers,
	}
	if err := checkIdentityHeaders(h.IdentityHeaders); err != nil {
		return nil, err
	}
	if err := ids.checkTemplate(logger); err != nil {
		return nil, err
	}
	if err := ids.checkUnmapped(h.Unmapped); err != nil {
		return nil, err
	}
	if err := ids.checkUsers("user_map", h.UserMap); err != nil {
		return nil, err
	}
	if h.UserMapFile == "" {
		return ids, nil
	}
	file, err := openUserFile(h.UserMapFile, ids.checkUsers, logger)
	if err != nil {
		return nil, err
	}
	ids.file = file
	return ids, nil
}

// checkTemplate finds out what the template depends on.
func (ids *identities) checkTemplate(logger *zap.Logger) error {
	if ids.template == "" && !ids.mapped {
		return errors.New("user: missing: say which Tableau user a request is sent as, such as user {http.auth.user.id}, or list users with user_map")
	}
	if err := checkBraces(ids.template); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if chosen := ids.add(ids.template, logger, "the Tableau user"); chosen != "" {
		return fmt.Errorf("user: {%s} is chosen by the client, who could become anybody: use what an authentication handler has verified, such as {http.auth.user.id}", chosen)
	}
	ids.source = sourceOf(ids.template)
	if names := placeholders(ids.template); len(names) == 1 && ids.template == "{"+names[0]+"}" {
		ids.only = names[0]
	}
	if ids.template != "" && len(placeholders(ids.template)) == 0 {
		if err := tableauauth.CheckUser(ids.template); err != nil {
			return fmt.Errorf("user: %w", err)
		}
		if strings.ContainsAny(ids.template, "{}") {
			return fmt.Errorf("user: %q has a brace without its other half: close the placeholder", ids.template)
		}
		ids.constant = true
		logger.Warn("every request is sent as the same Tableau user: make sure that only one service can reach this site",
			zap.String("user", ids.template))
	}
	return nil
}

func (ids *identities) checkUnmapped(unmapped string) error {
	switch {
	case unmapped != "" && !ids.mapped:
		return errors.New("unmapped: there is no user_map or user_map_file that anybody could be missing from")
	case unmapped == unmappedUseUser && ids.template == "":
		return errors.New("unmapped template: there is no user template to use")
	case unmapped != "" && unmapped != unmappedDeny && unmapped != unmappedUseUser:
		return fmt.Errorf("unmapped: %q is neither deny nor template", unmapped)
	}
	ids.denyOther = ids.mapped && unmapped != unmappedUseUser
	return nil
}

// checkUsers checks the entries of a map that is called name.
func (ids *identities) checkUsers(name string, users map[string]string) error {
	for identity, user := range users {
		if err := tableauauth.CheckUser(identity); err != nil {
			return fmt.Errorf("%s: identity %q: %w", name, identity, err)
		}
		if err := tableauauth.CheckUser(user); err != nil {
			return fmt.Errorf("%s: Tableau user of %q: %w", name, identity, err)
		}
		if ids.isForbidden(user) {
			return fmt.Errorf("%s: %q is to become %q, which forbid_users rules out", name, identity, user)
		}
	}
	return nil
}

// takesClients reports whether {http.auth.user.id}, which a client's sign-in
// sets, leads to a user.
func (ids *identities) takesClients() bool {
	return !ids.constant && (ids.mapped || slices.Contains(placeholders(ids.template), authUserID))
}

// isForbidden compares without regard to case, although Tableau may not: to
// forbid one spelling too many is the safe mistake.
func (ids *identities) isForbidden(user string) bool {
	return slices.ContainsFunc(ids.forbidden, func(f string) bool { return strings.EqualFold(f, user) })
}

// identify finds the identity of r and its Tableau user: what Caddy has
// verified, or, for want of it, what a client shows at sign-in and its token
// from then on.
func (h *Handler) identify(r *http.Request, x *exchange) *refusal {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return refuseNoIdentity.with("", errors.New("the request has no placeholders"))
	}
	tokenRefused := h.readCredentials(r, x)
	if tokenRefused != nil && tokenRefused.status != http.StatusUnauthorized {
		return tokenRefused
	}
	refused := h.identities.resolve(r, repl, x)
	switch {
	case refused != nil && refused.code != refuseNoIdentity.code:
		return refused
	case refused == nil && tokenRefused != nil:
		return tokenRefused
	case refused == nil:
		return h.checkToken(r, x)
	case h.clients == nil || x.route.ServerInfo():
		return anonymous(refused, h.clients != nil && x.route.ServerInfo())
	case tokenRefused != nil:
		return tokenRefused
	}
	identity, refused := h.clientIdentity(r, x)
	if refused != nil {
		return refused
	}
	repl.Set(authUserID, identity) // as an authentication handler does
	refused = h.identities.resolve(r, repl, x)
	x.identitySource = fromClientToken
	if x.route.Auth() == tableauapi.SignIn {
		x.identitySource = fromClientSignIn
	}
	return refused
}

// readCredentials reads what the request presents as a client of Tableau's
// would: credentials at sign-in, a token otherwise. A stale token is no
// hindrance to signing in or out, and says nothing about the server.
func (h *Handler) readCredentials(r *http.Request, x *exchange) (refused *refusal) {
	if x.route.Auth() == tableauapi.SignIn {
		return h.readSignIn(r, x)
	}
	x.token, refused = h.clientToken(r)
	if x.route.Auth() == tableauapi.SignOut || x.route.ServerInfo() {
		return nil
	}
	return refused
}

// anonymous lets clients that show their identity at sign-in ask for the
// server's version before.
func anonymous(refused *refusal, allowed bool) *refusal {
	if allowed {
		return nil
	}
	return refused
}

func (ids *identities) resolve(r *http.Request, repl *caddy.Replacer, x *exchange) *refusal {
	fromTemplate, refused := ids.expand(r, repl)
	if refused != nil && refused.code != refuseNoIdentity.code {
		return refused
	}
	x.identity, _ = repl.GetString(authUserID)
	x.identitySource = fromAuthentication
	if x.identity == "" {
		x.identity, x.identitySource = fromTemplate, ids.source
	}
	if x.identity == "" {
		x.identitySource = ""
		return refused
	}
	if err := tableauauth.CheckUser(x.identity); err != nil {
		return refuseBadIdentity.with("", err)
	}
	user, mapped := ids.lookup(x.identity)
	switch {
	case mapped:
		x.mappedBy = ids.mapOf(x.identity)
	case ids.denyOther:
		return refuseUnmapped.with("", nil)
	case refused != nil:
		return refused
	default:
		user, x.mappedBy = fromTemplate, "user"
	}
	if err := tableauauth.CheckUser(user); err != nil {
		return refuseBadIdentity.with("", err)
	}
	if ids.isForbidden(user) {
		return refuseForbiddenUser.with("", nil)
	}
	x.user = user
	return nil
}

// expand fills in the template, once: what a placeholder stands for is not
// looked at for placeholders again. One that is unknown or empty is nobody.
func (ids *identities) expand(r *http.Request, repl *caddy.Replacer) (string, *refusal) {
	if ids.template == "" {
		return "", refuseNoIdentity.with("", nil)
	}
	if refused := ids.check(r, refuseNoIdentity); refused != nil {
		return "", refused
	}
	if list := ids.list(r, repl); list != "" {
		return "", refuseAmbiguous.with("The header "+list+", which names you, holds a comma, and could be a list of names.", nil)
	}
	if ids.only != "" {
		if user, _ := repl.GetString(ids.only); user != "" {
			return user, nil
		}
	}
	user, err := repl.ReplaceOrErr(ids.template, true, true)
	if err != nil {
		return "", refuseNoIdentity.with("", err)
	}
	return user, nil
}

// sourceOf tells where identities of template come from: of several sources the
// one that is the least certain.
func sourceOf(template string) string {
	names := placeholders(template)
	has := func(prefix string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, prefix) })
	}
	switch {
	case len(names) == 0:
		return fromConfiguration
	case has(headerPrefix):
		return fromHeader
	case has(answerPrefix):
		return fromForwardAuth
	case has(clientCert):
		return fromCertificate
	case has(authUser):
		return fromAuthentication
	default:
		return fromPlaceholder
	}
}

// lookup returns the user that a map assigns to identity.
func (ids *identities) lookup(identity string) (user string, ok bool) {
	if user, ok = ids.users[identity]; ok || ids.file == nil {
		return user, ok
	}
	return ids.file.lookup(identity)
}

// mapOf names the map that assigns a user to identity.
func (ids *identities) mapOf(identity string) string {
	if _, ok := ids.users[identity]; ok {
		return "user_map"
	}
	return "user_map_file"
}

// placeholders returns the names of the placeholders in template.
func placeholders(template string) []string {
	var names []string
	for {
		_, rest, ok := strings.Cut(template, "{")
		if !ok {
			return names
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return names
		}
		names = append(names, name)
		template = after
	}
}

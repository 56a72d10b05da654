// This file changes accounts and credentials while the server runs.

package tableautest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of the methods that change credentials.
var (
	// ErrSecretLimit is Tableau's sub-code 128: an app has two secrets at most.
	ErrSecretLimit = errors.New("tableautest: the connected app has two secrets already (128)")
	// ErrNotFound means that there is no such app, secret, token or user.
	ErrNotFound = errors.New("tableautest: not found")
)

// ConnectedApp returns the first Connected App of a site, with its secrets.
// It is zero if the site has none.
func (t *Tableau) ConnectedApp(contentURL string) ConnectedApp {
	for _, app := range t.ConnectedApps() {
		if sameSite(contentURL, app.Site) {
			return app
		}
	}
	return ConnectedApp{}
}

// ConnectedApps returns all Connected Apps, with their secrets, in the order
// of their sites.
func (t *Tableau) ConnectedApps() []ConnectedApp {
	r := t.accounts
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []ConnectedApp
	for _, app := range r.apps {
		copied := *app
		copied.Secrets = slices.Clone(app.Secrets)
		out = append(out, copied)
	}
	slices.SortFunc(out, func(a, b ConnectedApp) int {
		return strings.Compare(a.Site+"\x00"+a.ClientID, b.Site+"\x00"+b.ClientID)
	})
	return out
}

// Users returns all users that were listed, with their passwords.
func (t *Tableau) Users() []User {
	r := t.accounts
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]User, 0, len(r.users))
	for _, u := range r.users {
		out = append(out, *u)
	}
	return out
}

// Sites returns all sites.
func (t *Tableau) Sites() []Site {
	t.accounts.mu.RLock()
	defer t.accounts.mu.RUnlock()
	return slices.Clone(t.accounts.sites)
}

// PATs returns the personal access tokens of a user that are not revoked.
func (t *Tableau) PATs(user string) []PAT {
	r := t.accounts
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []PAT
	for _, p := range r.pats {
		if p.User == user && !p.revoked {
			out = append(out, p.PAT)
		}
	}
	slices.SortFunc(out, func(a, b PAT) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// AddSecret gives a Connected App another secret, or [ErrSecretLimit].
func (t *Tableau) AddSecret(clientID string) (AppSecret, error) {
	r := t.accounts
	r.mu.Lock()
	defer r.mu.Unlock()
	app := r.apps[clientID]
	if app == nil {
		return AppSecret{}, fmt.Errorf("connected app %q: %w", clientID, ErrNotFound)
	}
	if len(app.Secrets) >= maxAppSecrets {
		return AppSecret{}, ErrSecretLimit
	}
	secret := newAppSecret()
	app.Secrets = append(app.Secrets, secret)
	t.vault.keep("secret "+secret.ID+" of connected app "+clientID, secret.Value)
	return secret, nil
}

const maxAppSecrets = 2

// DeleteSecret removes a secret of a Connected App.
func (t *Tableau) DeleteSecret(clientID, secretID string) error {
	if err := t.accounts.deleteSecret(clientID, secretID); err != nil {
		return err
	}
	t.revoke(func(s *session) bool { return s.clientID == clientID && s.credential == secretID })
	return nil
}

func (r *registry) deleteSecret(clientID, secretID string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	app := r.apps[clientID]
	if app == nil {
		return fmt.Errorf("connected app %q: %w", clientID, ErrNotFound)
	}
	before := len(app.Secrets)
	app.Secrets = slices.DeleteFunc(app.Secrets, func(s AppSecret) bool { return s.ID == secretID })
	if len(app.Secrets) == before {
		return fmt.Errorf("secret %q: %w", secretID, ErrNotFound)
	}
	return nil
}

// EnableApp enables or disables a Connected App.
func (t *Tableau) EnableApp(clientID string, enabled bool) error {
	r := t.accounts
	r.mu.Lock()
	app := r.apps[clientID]
	if app != nil {
		app.Disabled = !enabled
	}
	r.mu.Unlock()
	if app == nil {
		return fmt.Errorf("connected app %q: %w", clientID, ErrNotFound)
	}
	if !enabled {
		t.revoke(func(s *session) bool { return s.clientID == clientID })
	}
	return nil
}

// revoke ends sessions of a withdrawn credential, if so configured.
func (t *Tableau) revoke(match func(*session) bool) {
	if t.opts.Undocumented.RevokeEndsSessions {
		t.sessions.endWhere(EndRevoked, match)
	}
}

// AddAuthorizationServer registers an issuer, or replaces it.
func (t *Tableau) AddAuthorizationServer(s AuthorizationServer) {
	t.accounts.mu.Lock()
	defer t.accounts.mu.Unlock()
	t.accounts.issuers[s.Issuer] = s
}

// AddUnifiedAccess adds a configuration for unified access tokens, or
// replaces the one of the same issuer.
func (t *Tableau) AddUnifiedAccess(u UnifiedAccess) {
	t.accounts.mu.Lock()
	defer t.accounts.mu.Unlock()
	t.accounts.unified[u.Issuer] = u
}

// AddPAT adds a personal access token, or replaces the one of the same name.
func (t *Tableau) AddPAT(p PAT) {
	t.accounts.mu.Lock()
	defer t.accounts.mu.Unlock()
	t.accounts.addPAT(p, t.now())
	t.vault.keep("secret of PAT "+p.Name, p.Secret)
}

// RevokePAT ends a personal access token and its session.
func (t *Tableau) RevokePAT(name string) error {
	r := t.accounts
	r.mu.Lock()
	pat := r.pats[name]
	if pat != nil {
		pat.revoked = true
	}
	r.mu.Unlock()
	if pat == nil {
		return fmt.Errorf("PAT %q: %w", name, ErrNotFound)
	}
	t.sessions.endWhere(EndRevoked, SessionFilter{Kind: KindPAT, Credential: name}.matches)
	return nil
}

// AddUser adds a user, or replaces the one of the same name.
func (t *Tableau) AddUser(u User) {
	t.accounts.mu.Lock()
	defer t.accounts.mu.Unlock()
	t.accounts.addUser(u)
	t.vault.keep("password of "+u.Name, u.Password)
}

// RemoveUser removes a user and ends its sessions.
func (t *Tableau) RemoveUser(name string) {
	r := t.accounts
	r.mu.Lock()
	delete(r.byName, name)
	r.users = slices.DeleteFunc(r.users, func(u *User) bool { return u.Name == name })
	r.mu.Unlock()
	t.sessions.endWhere(EndRevoked, SessionFilter{User: name}.matches)
}

// IssueSession signs a user in without a credential and returns the token,
// for example to try a stolen one. Without scopes it is a password session,
// which scopes do not limit; otherwise one of a Connected App.
func (t *Tableau) IssueSession(contentURL, user string, scopes ...string) (Secret, error) {
	site, ok := t.accounts.site(contentURL)
	if !ok {
		return "", fmt.Errorf("site %q: %w", contentURL, ErrNotFound)
	}
	if _, ok := t.accounts.user(site.ContentURL, user); !ok {
		return "", fmt.Errorf("user %q: %w", user, ErrNotFound)
	}
	s := &session{site: site.ContentURL, user: user, kind: KindPassword, scopes: scopes}
	if len(scopes) > 0 {
		s.kind = KindDirectTrust
	}
	t.begin(s)
	return Secret(s.token), nil
}

// begin starts a session and remembers its token for Leaks.
func (t *Tableau) begin(s *session) {
	t.sessions.begin(s, t.now())
	t.vault.keepToken(s)
}

// check finds contradictions in the options.
func (r *registry) check() error {
	for _, app := range r.apps {
		if _, ok := r.site(app.Site); !ok {
			return fmt.Errorf("connected app %q: unknown site %q", app.ClientID, app.Site)
		}
		if len(app.Secrets) > maxAppSecrets {
			return fmt.Errorf("connected app %q: more than two secrets", app.ClientID)
		}
	}
	if r.cloud {
		if _, ok := r.site(""); ok {
			return errors.New("Tableau Cloud has no site with an empty content URL")
		}
	}
	return nil
}

// lockAway tells the vault about every secret that the options brought.
func (r *registry) lockAway(v *vault) {
	for _, app := range r.apps {
		for _, s := range app.Secrets {
			v.keep("secret "+s.ID+" of connected app "+app.ClientID, s.Value)
		}
	}
	for _, p := range r.pats {
		v.keep("secret of PAT "+p.Name, p.Secret)
	}
	for _, u := range r.users {
		v.keep("password of "+u.Name, u.Password)
	}
}

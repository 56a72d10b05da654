// This file knows the sites, users and credentials, and makes the default ones.

package tableautest

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// registry holds accounts. Its methods lock it themselves.
type registry struct {
	cloud  bool
	accept func(name string) bool

	mu       sync.RWMutex
	sites    []Site
	users    []*User // in the order given
	byName   map[string]*User
	apps     map[string]*ConnectedApp
	pats     map[string]*patState
	issuers  map[string]AuthorizationServer
	unified  map[string]UnifiedAccess
	failures map[string]int // wrong passwords in a row, by user
}

// patState is a PAT and what has become of it.
type patState struct {
	PAT
	lastUsed time.Time
	revoked  bool
}

func newRegistry(o Options) *registry {
	r := &registry{
		cloud: o.Cloud, accept: o.AcceptUser,
		byName: map[string]*User{}, apps: map[string]*ConnectedApp{}, pats: map[string]*patState{},
		issuers: map[string]AuthorizationServer{}, unified: map[string]UnifiedAccess{},
		failures: map[string]int{},
	}
	r.sites = orDefault(o.Sites, defaultSites(o.Cloud))
	for _, u := range orDefault(o.Users, defaultUsers(o.Cloud)) {
		r.addUser(u)
	}
	for _, app := range orDefault(o.ConnectedApps, defaultApps(r.sites)) {
		app.Secrets = slices.Clone(app.Secrets)
		r.apps[app.ClientID] = &app
	}
	for _, p := range orDefault(o.PATs, defaultPATs(r.users)) {
		r.addPAT(p, o.Now())
	}
	for _, s := range o.AuthorizationServers {
		r.issuers[s.Issuer] = s
	}
	for _, u := range o.UnifiedAccess {
		r.unified[u.Issuer] = u
	}
	return r
}

func orDefault[T any](given, fallback []T) []T {
	if given != nil {
		return given
	}
	return fallback
}

func defaultSites(cloud bool) []Site {
	sites := []Site{{"", "Default"}, {"finance", "Finance"}, {"marketing", "Marketing"}}
	if cloud {
		return sites[1:]
	}
	return sites
}

func defaultUsers(cloud bool) []User {
	users := []User{
		{Name: "alice", FullName: "Alice Liddell"},
		{Name: "bob", FullName: "Bob Cratchit"},
		{Name: "carol", FullName: "Carol Peletier", SiteRole: "SiteAdministratorCreator"},
		{Name: "admin", FullName: "Ada Admin", ServerAdmin: true},
	}
	for i := range users {
		users[i].Password = Secret(rand.Text())
		if cloud {
			users[i].Name += "@example.com"
		}
	}
	return users
}

func defaultApps(sites []Site) []ConnectedApp {
	apps := make([]ConnectedApp, 0, len(sites))
	for _, s := range sites {
		apps = append(apps, ConnectedApp{
			ClientID: uuid.NewString(), Name: s.Name + " app", Site: s.ContentURL,
			Secrets: []AppSecret{newAppSecret()},
		})
	}
	return apps
}

func newAppSecret() AppSecret {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return AppSecret{ID: uuid.NewString(), Value: Secret(base64.StdEncoding.EncodeToString(raw[:]))}
}

func defaultPATs(users []*User) []PAT {
	pats := make([]PAT, 0, len(users))
	for _, u := range users {
		pats = append(pats, PAT{Name: u.Name + "-pat", Secret: Secret(rand.Text() + ":" + rand.Text()), User: u.Name})
	}
	return pats
}

// addUser completes and stores a user; the lock is held or not needed yet.
func (r *registry) addUser(u User) {
	setDefault(&u.FullName, u.Name)
	email := u.Name
	if !strings.Contains(email, "@") {
		email += "@example.com"
	}
	setDefault(&u.Email, email)
	role := "Creator"
	if u.ServerAdmin {
		role = "ServerAdministrator"
	}
	setDefault(&u.SiteRole, role)
	if old := r.byName[u.Name]; old != nil {
		*old = u
		return
	}
	r.byName[u.Name] = &u
	r.users = append(r.users, &u)
}

func (r *registry) addPAT(p PAT, now time.Time) {
	if p.Expires.IsZero() {
		p.Expires = now.AddDate(1, 0, 0)
	}
	setDefault(&p.IdleLimit, 15*24*time.Hour)
	r.pats[p.Name] = &patState{PAT: p, lastUsed: now}
}

// site finds a site by content URL, without regard to case.
func (r *registry) site(contentURL string) (Site, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.sites {
		if strings.EqualFold(s.ContentURL, contentURL) {
			return s, true
		}
	}
	return Site{}, false
}

// siteByLUID finds a site by LUID.
func (r *registry) siteByLUID(luid string) (Site, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.sites {
		if SiteLUID(s.ContentURL) == luid {
			return s, true
		}
	}
	return Site{}, false
}

// user finds a user of a site by exact name.
func (r *registry) user(site, name string) (User, bool) {
	r.mu.RLock()
	u := r.byName[name]
	if u != nil {
		copied := *u
		r.mu.RUnlock()
		return copied, copied.belongsTo(site)
	}
	r.mu.RUnlock()
	if name == "" || r.accept == nil || !r.accept(name) {
		return User{}, false
	}
	return User{Name: name, FullName: name, Email: name, SiteRole: "Creator"}, true
}

// userFold finds a user without regard to case, as password sign-in does.
func (r *registry) userFold(site, name string) (User, bool) {
	for _, u := range r.usersOf(site) {
		if strings.EqualFold(u.Name, name) {
			return u, true
		}
	}
	return User{}, false
}

// usersOf lists the users of a site, in the order given.
func (r *registry) usersOf(site string) []User {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []User
	for _, u := range r.users {
		if u.belongsTo(site) {
			out = append(out, *u)
		}
	}
	return out
}

// userByLUID finds a user of a site by LUID, among those listed.
func (r *registry) userByLUID(site, luid string) (User, bool) {
	for _, u := range r.usersOf(site) {
		if UserLUID(site, u.Name) == luid {
			return u, true
		}
	}
	return User{}, false
}

func (u User) belongsTo(site string) bool {
	return u.Sites == nil || slices.ContainsFunc(u.Sites, func(s string) bool { return strings.EqualFold(s, site) })
}

// siteAdmin tells whether the user administers its sites.
func (u User) siteAdmin() bool {
	return u.ServerAdmin || strings.HasPrefix(u.SiteRole, "SiteAdministrator")
}

// sameSite compares a site named by a test with a content URL: "default" is
// the site without one.
func sameSite(named, contentURL string) bool {
	return strings.EqualFold(named, contentURL) || (contentURL == "" && strings.EqualFold(named, "default"))
}

// This file holds the Options of New and their defaults.

package tableautest

import (
	"net/http"
	"time"
)

// Options configure a simulated Tableau. The zero value is a Tableau Server
// with three sites, four users, one Connected App a site and one personal
// access token a user, all with random secrets; see [Tableau.Users],
// [Tableau.ConnectedApps] and [Tableau.PATs].
type Options struct {
	// Cloud makes this a Tableau Cloud: no site with an empty content URL, no
	// password sign-in (multi-factor authentication is required there), no
	// impersonation by user ID, no listing of sites, unified access tokens,
	// and an idle limit of 120 minutes.
	Cloud bool

	// Sites, Users, ConnectedApps and PATs replace the defaults where not nil.
	Sites         []Site
	Users         []User
	ConnectedApps []ConnectedApp
	PATs          []PAT

	// AuthorizationServers are the issuers of OAuth 2.0 trust; none by default.
	AuthorizationServers []AuthorizationServer
	// UnifiedAccess are the configurations for unified access tokens; none by
	// default. They need Cloud.
	UnifiedAccess []UnifiedAccess

	// AcceptUser, if set, makes every user name for which it is true a known
	// user of every site, besides Users. It serves tests with very many users.
	AcceptUser func(name string) bool

	// Workbooks are added to the default content.
	Workbooks []Workbook

	// PATImpersonation allows a server administrator's PAT to impersonate
	// (Tableau Server from 2021.1, off by default there too).
	PATImpersonation bool
	// OnDemandAccess accepts the claim https://tableau.com/oda; without it a
	// JWT that carries the claim is refused with sub-code 67.
	OnDemandAccess bool
	// LockoutAfter wrong passwords in a row the account is locked and even the
	// right one is refused. Default 5; negative means never.
	LockoutAfter int

	// IdleLimit ends a session that was not used for so long. Default 240
	// minutes on Server (wgserver.session.idle_limit), 120 on Cloud.
	IdleLimit time.Duration
	// LifetimeLimit ends a session so long after its sign-in, used or not
	// (wgserver.session.lifetime_limit). Default none.
	LifetimeLimit time.Duration
	// ClockSkew is how far nbf and iat may lie in the future, and exp in the
	// past. Default none.
	ClockSkew time.Duration
	// KeyCacheTTL is how long the keys of an issuer are kept. Default 10 minutes.
	KeyCacheTTL time.Duration

	// ProductVersion and RESTVersion are what serverinfo reports. Defaults
	// "2025.3.0" and "3.27". A call with a later API version is refused.
	ProductVersion string
	RESTVersion    string
	// UnsupportedScopes are accepted in a JWT and grant nothing: Tableau
	// Server knows only a part of the scopes that Cloud knows.
	UnsupportedScopes []string

	// SignInErrorHeaders adds the response headers tableau_error_source,
	// tableau_status_code, tableau_error_code and tableau_service_name to
	// refused sign-ins.
	SignInErrorHeaders bool
	// EchoToken repeats the session token in an X-Tableau-Auth response
	// header, to see whether a proxy removes it.
	EchoToken bool
	// NoCookies stops the workgroup_session_id cookie, which is otherwise set
	// by every sign-in and every authenticated answer.
	NoCookies bool
	// AcceptCookie lets the workgroup_session_id cookie stand in for a missing
	// X-Tableau-Auth header, to see whether a proxy lets one through.
	AcceptCookie bool
	// LenientPaths reads paths as an old Java servlet container would: percent
	// escapes, empty, "." and ".." segments and ";parameters" are resolved,
	// and the case of fixed segments does not matter. It shows whether a proxy
	// can be passed by an odd spelling.
	LenientPaths bool
	// Compress answers with gzip where the client accepts it.
	Compress bool

	// Undocumented chooses among behaviours that Tableau does not document.
	Undocumented Undocumented

	// SinglePublishLimit is the greatest file that a publish in one request
	// may hold. Default 64 MiB, as in Tableau's documentation.
	SinglePublishLimit int64
	// KeepBytes is how much of an uploaded file is kept for download. A greater
	// file is counted and hashed, and cannot be downloaded. Default 128 MiB.
	KeepBytes int64
	// JournalSize is how many entries are kept. Default 10 000; negative: none.
	JournalSize int
	// OnRequest is called at the end of every request with its journal entry.
	OnRequest func(Entry)

	// HTTPClient fetches issuer metadata and keys. Default: a client with a
	// time limit of 10 seconds that trusts the system's certificates.
	HTTPClient *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// withDefaults fills what was left out, except accounts.
func (o Options) withDefaults() Options {
	idle := 240 * time.Minute
	if o.Cloud {
		idle = 120 * time.Minute
	}
	setDefault(&o.IdleLimit, idle)
	setDefault(&o.KeyCacheTTL, 10*time.Minute)
	setDefault(&o.ProductVersion, "2025.3.0")
	setDefault(&o.RESTVersion, "3.27")
	setDefault(&o.SinglePublishLimit, 64<<20)
	setDefault(&o.KeepBytes, 128<<20)
	setDefault(&o.JournalSize, 10_000)
	setDefault(&o.LockoutAfter, 5)
	o.Undocumented = o.Undocumented.withDefaults()
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

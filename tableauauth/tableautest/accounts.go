// This file holds the types for sites, users and every kind of credential.

package tableautest

import (
	"crypto"
	"time"
)

// Site is a Tableau site. Its LUID follows from ContentURL; see [SiteLUID].
type Site struct {
	// ContentURL is the name in URLs; empty for the Default site. It is
	// compared without regard to case.
	ContentURL string
	// Name is the display name.
	Name string
}

// User is a person or service account.
type User struct {
	// Name is the user name, which a JWT's sub must match exactly.
	Name string
	// FullName and Email are for display. Default: Name, and Name with
	// @example.com unless it has an @ already.
	FullName, Email string
	// SiteRole defaults to "ServerAdministrator" for a server administrator,
	// and "Creator" for others.
	SiteRole string
	// ServerAdmin may impersonate, list sites and see all content.
	ServerAdmin bool
	// Password allows sign-in by password. Empty: it cannot be used, as for
	// people who sign in through SAML.
	Password Secret
	// Sites lists content URLs of the sites that the user belongs to.
	// Nil: all sites.
	Sites []string
}

// ConnectedApp is a Connected App with direct trust. It belongs to one site.
type ConnectedApp struct {
	ClientID string
	Name     string
	// Site is the content URL of the app's site.
	Site     string
	Disabled bool
	// Secrets are at most two.
	Secrets []AppSecret
	// Scopes, if any, limit what a JWT of this app may ask for, as
	// [Undocumented].AppScopes says.
	Scopes []string
}

// AppSecret is one secret of a Connected App.
type AppSecret struct {
	ID    string
	Value Secret
}

// PAT is a personal access token. At most one session of it lives at a time.
type PAT struct {
	Name   string
	Secret Secret
	// User is the name of its owner.
	User string
	// Expires defaults to one year after New or AddPAT.
	Expires time.Time
	// IdleLimit expires a PAT that was not used for so long. Default 15 days.
	IdleLimit time.Duration
}

// AuthorizationServer registers an issuer for OAuth 2.0 trust.
type AuthorizationServer struct {
	// Issuer is the https URL that a JWT's iss must equal.
	Issuer string
	// ServerWide issuers serve every site with audience "tableau" (Tableau
	// Server only). Otherwise the audience is "tableau:<site LUID>".
	ServerWide bool
	// Site is the content URL of the site of an issuer that is not ServerWide.
	Site string
	// JWKSURI, if set, is used instead of the issuer's metadata.
	JWKSURI  string
	Disabled bool
}

// UnifiedAccess is a configuration for unified access tokens (Tableau Cloud).
type UnifiedAccess struct {
	Issuer string
	// TenantID is what the claim https://tableau.com/tenantId must equal.
	TenantID string
	// UsernameClaim names the claim that holds the user name. Default "email".
	UsernameClaim string
	// JWKSURI is where the keys are; a JWT then needs a kid.
	JWKSURI string
	// Key is the one public key where there is no JWKSURI.
	Key crypto.PublicKey
	// Scopes, if any, are the only ones that sessions get.
	Scopes   []string
	Disabled bool
}

// Kind is the kind of credential that a session was signed in with.
type Kind string

// The kinds of credential.
const (
	KindDirectTrust   Kind = "direct_trust"
	KindOAuthTrust    Kind = "oauth_trust"
	KindUnifiedAccess Kind = "unified_access"
	KindPAT           Kind = "pat"
	KindPassword      Kind = "password"
)

// jwt tells whether scopes limit sessions of this kind.
func (k Kind) jwt() bool {
	return k == KindDirectTrust || k == KindOAuthTrust || k == KindUnifiedAccess
}

// This file lists the behaviours that Tableau's documentation leaves open.

package tableautest

// Undocumented chooses among behaviours of Tableau that its documentation
// leaves open. The zero value is the likelier reading of each. A careful
// client works with all of them.
type Undocumented struct {
	// XMLForJSONBody answers a JSON request without a usable Accept header in
	// XML. By default it is answered in JSON.
	XMLForJSONBody bool
	// HTMLForBadVersion answers an unknown API version with an HTML page
	// (404). By default with error 404001.
	HTMLForBadVersion bool
	// EstimateForAll puts estimatedTimeToExpiration into every sign-in
	// answer. By default only a PAT's has it.
	EstimateForAll bool
	// ExpiredCode is the error code for a session that has timed out: 401002
	// by default, or 401000, which Tableau's knowledge base shows.
	ExpiredCode string
	// ForeignSiteCode is the error code for a path that names another site
	// than the session's: 403004 by default; 401002 and 404000 are thinkable.
	ForeignSiteCode string

	// OldVersionsRefuse refuses sign-ins at an API version before the one that
	// brought the kind of credential: 3.6 for PATs, 3.16 for JWTs, 3.27 for
	// unified access tokens. By default the version in the path does not
	// matter, because Tableau's Python client signs in at 2.4 and asks for the
	// server's version afterwards.
	OldVersionsRefuse bool
	// RefuseJWTUserID refuses a JWT sign-in that also names a user ID to
	// impersonate. By default the user ID is ignored.
	RefuseJWTUserID bool
	// RefuseJWTSwitchSite refuses switchSite to sessions from a JWT (401002).
	// By default scope tableau:sites:switch is enough.
	RefuseJWTSwitchSite bool
	// AllWildcard lets the scope tableau:*:* cover every method.
	AllWildcard bool
	// AppScopes is what ConnectedApp.Scopes does.
	AppScopes AppScopes
	// RevokeEndsSessions ends the live sessions of a Connected App's secret,
	// or of the whole app, when it is deleted or disabled. By default they
	// live on until they expire.
	RevokeEndsSessions bool
	// ContentReadForVDS lets tableau:content:read cover the VizQL Data
	// Service, besides tableau:viz_data_service:read.
	ContentReadForVDS bool
	// HyperRequestID demands a RequestID header on updates of hyper data.
	HyperRequestID bool

	// GraphQL is how the Metadata API answers a dead or insufficient session.
	GraphQL GraphQLRefusal
	// Metadata is which well-known document of an issuer is read.
	Metadata MetadataChoice
	// StaleKeys keeps an issuer's cached keys until KeyCacheTTL is over, even
	// when a JWT names a key that is not among them. By default an unknown
	// key makes the keys be fetched again.
	StaleKeys bool

	// SubCodes are the numbers for JWT faults whose number is not documented.
	SubCodes SubCodes
}

// SubCodes are the numbers, shown in brackets at the end of a refused
// sign-in's detail, for faults whose number Tableau does not document.
type SubCodes struct {
	// BadSignature defaults to 10084 (JWT_PARSE_ERROR).
	BadSignature int
	// UnknownUser defaults to 5 (SYSTEM_USER_NOT_FOUND); 16 was reported too.
	UnknownUser int
	// Expired defaults to 16 (LOGIN_FAILED).
	Expired int
	// NotYetValid (nbf or iat in the future) defaults to 10084.
	NotYetValid int
	// MissingJTI defaults to 10084.
	MissingJTI int
}

// AppScopes is what the scope list of a Connected App does to a JWT that asks
// for more.
type AppScopes int

const (
	// AppScopesIgnored gives the list no effect.
	AppScopesIgnored AppScopes = iota
	// AppScopesIntersect gives the session what is in both lists.
	AppScopesIntersect
	// AppScopesRefuse refuses the sign-in (sub-code 10099).
	AppScopesRefuse
)

// GraphQLRefusal is how the Metadata API says that a session will not do.
type GraphQLRefusal int

const (
	// GraphQLError is status 401 with the REST API's JSON error.
	GraphQLError GraphQLRefusal = iota
	// GraphQLPlain401 is status 401 with a JSON body that has no error code.
	GraphQLPlain401
	// GraphQLWarning is status 200, no data and a BACKFILL_RUNNING warning, as
	// reported in github.com/tableau/metadata-api-samples issue 9.
	GraphQLWarning
)

// MetadataChoice is which well-known document of an issuer is read.
type MetadataChoice int

const (
	// MetadataAlternate lets one sign-in read openid-configuration and the next
	// oauth-authorization-server, as the nodes of a server do.
	MetadataAlternate MetadataChoice = iota
	// MetadataOpenID is always /.well-known/openid-configuration.
	MetadataOpenID
	// MetadataOAuth is always /.well-known/oauth-authorization-server.
	MetadataOAuth
)

func (u Undocumented) withDefaults() Undocumented {
	setDefault(&u.ExpiredCode, codeInvalidToken)
	setDefault(&u.ForeignSiteCode, codeForbidden)
	setDefault(&u.SubCodes.BadSignature, subJWTParseError)
	setDefault(&u.SubCodes.UnknownUser, subUserNotFound)
	setDefault(&u.SubCodes.Expired, subLoginFailed)
	setDefault(&u.SubCodes.NotYetValid, subJWTParseError)
	setDefault(&u.SubCodes.MissingJTI, subJWTParseError)
	return u
}

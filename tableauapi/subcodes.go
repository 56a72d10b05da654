package tableauapi

// This file holds the sub-codes of a refused sign-in: the number in brackets at
// the end of a 401001's detail, and what each means for a Tableau administrator.

import (
	"strconv"
	"strings"
)

// A SubCode says why Tableau refused a JWT.
type SubCode int

// The sub-codes of Tableau Help, "Troubleshoot Connected Apps"
// (https://help.tableau.com/current/online/en-us/connected_apps_troubleshoot.htm).
// JTIAlreadyUsed and ScopesMissing are known from reports of users only.
const (
	SubCodeSystemUserNotFound                     SubCode = 5
	SubCodeLoginFailed                            SubCode = 16
	SubCodeFeatureNotEnabled                      SubCode = 67
	SubCodeConnectedAppNotFound                   SubCode = 126
	SubCodeConnectedAppSecretNotFound             SubCode = 127
	SubCodeConnectedAppSecretLimitExceeded        SubCode = 128
	SubCodeInvalidConnectedAppDomainSafelist      SubCode = 133
	SubCodeCouldNotRetrieveIDPMetadata            SubCode = 10081
	SubCodeAuthorizationServerIssuerNotSpecified  SubCode = 10082
	SubCodeBadJWT                                 SubCode = 10083
	SubCodeJWTParseError                          SubCode = 10084
	SubCodeCouldNotFetchJWTKeys                   SubCode = 10085
	SubCodeBlocklistedJWSAlgorithmUsedToSign      SubCode = 10087
	SubCodeRSAKeySizeInvalid                      SubCode = 10088
	SubCodeAuthorizationServerConnectedAppMissing SubCode = 10089
	SubCodeConnectedAppDisabled                   SubCode = 10090
	SubCodeJTIAlreadyUsed                         SubCode = 10091
	SubCodeScopesMissing                          SubCode = 10099
)

// A subCodeEntry is what is known of a sub-code. Passing ones may go away
// without anybody changing something.
type subCodeEntry struct {
	name, meaning, fix string
	passing            bool
}

var subCodes = map[SubCode]subCodeEntry{
	SubCodeSystemUserNotFound: {
		name:    "SYSTEM_USER_NOT_FOUND",
		meaning: "Tableau knows no user of this name",
		fix:     "add the user to the site, or map the identity to the user name exactly as Tableau lists it under Users: the case of letters counts; on Tableau Cloud it is the email address",
	},
	SubCodeLoginFailed: {
		name:    "LOGIN_FAILED",
		meaning: "Tableau takes the JWT to be valid for too long (more than 10 minutes), or knows no user of this name",
		fix:     "check that the user is on the site under exactly this name, and that the clocks of this machine and of Tableau Server are right",
	},
	SubCodeFeatureNotEnabled: {
		name:    "FEATURE_NOT_ENABLED",
		meaning: "on-demand access is not enabled for the site",
		fix:     "license on-demand access for the Tableau Cloud site, or take the claims that ask for it out of the configuration",
	},
	SubCodeConnectedAppNotFound: {
		name:    "CONNECTED_APP_NOT_FOUND",
		meaning: "the site has no enabled Connected App with this client ID",
		fix:     "compare the client ID with Settings > Connected Apps of this very site, and enable the app there",
	},
	SubCodeConnectedAppSecretNotFound: {
		name:    "CONNECTED_APP_SECRET_NOT_FOUND",
		meaning: "the Connected App has no secret with this secret ID and value",
		fix:     "compare the secret ID and the secret value with those of the app under Settings > Connected Apps; if the secret was deleted, generate a new one there",
	},
	SubCodeConnectedAppSecretLimitExceeded: {
		name:    "CONNECTED_APP_SECRET_LIMIT_EXCEEDED",
		meaning: "the Connected App has two secrets already, which is all it can have",
		fix:     "delete one of them under Settings > Connected Apps",
	},
	SubCodeInvalidConnectedAppDomainSafelist: {
		name:    "INVALID_CONNECTED_APP_DOMAIN_SAFELIST",
		meaning: "the domain allowlist of the Connected App holds characters that are not valid",
		fix:     "correct the domain allowlist of the app under Settings > Connected Apps",
	},
	SubCodeCouldNotRetrieveIDPMetadata: {
		name:    "COULD_NOT_RETRIEVE_IDP_METADATA",
		meaning: "Tableau could not read the metadata of the authorization server",
		fix:     "make {issuer}/.well-known/openid-configuration and {issuer}/.well-known/oauth-authorization-server readable for Tableau, by HTTPS with a certificate that it trusts (for Tableau Cloud, from the internet)",
		passing: true,
	},
	SubCodeAuthorizationServerIssuerNotSpecified: {
		name:    "AUTHORIZATION_SERVER_ISSUER_NOT_SPECIFIED",
		meaning: "no issuer is set for the authorization server in Tableau",
		fix:     "set the issuer URL: in Tableau Cloud under Settings > Connected Apps, on Tableau Server under User Identity & Access > Authorization Server in TSM",
	},
	SubCodeBadJWT: {
		name:    "BAD_JWT",
		meaning: "the header of the JWT lacks the key ID (kid), or the client ID or issuer (iss)",
		fix:     "check that the secret ID or key ID, and the client ID or issuer, are configured and not empty",
	},
	SubCodeJWTParseError: {
		name:    "JWT_PARSE_ERROR",
		meaning: "a claim of the JWT is missing or has another value than Tableau expects (aud, sub, exp, jti or iss)",
		fix:     `check the audience ("tableau" for direct trust; "tableau:" and the site's LUID for an authorization server registered with a site, as always on Tableau Cloud) and the clock of this machine`,
	},
	SubCodeCouldNotFetchJWTKeys: {
		name:    "COULD_NOT_FETCH_JWT_KEYS",
		meaning: "Tableau found no key for the key ID (kid) of the JWT",
		fix:     "for a Connected App with direct trust, compare the secret ID; for an authorization server, check that its JWKS can be read from Tableau and holds the key ID",
		passing: true,
	},
	SubCodeBlocklistedJWSAlgorithmUsedToSign: {
		name:    "BLOCKLISTED_JWS_ALGORITHM_USED_TO_SIGN",
		meaning: "Tableau does not allow the algorithm that the JWT is signed with",
		fix:     "sign with another type of key, or take the algorithm off the blocklist of Tableau Server (vizportal.oauth.external_authorization_server.blocklisted_jws_algorithms)",
	},
	SubCodeRSAKeySizeInvalid: {
		name:    "RSA_KEY_SIZE_INVALID",
		meaning: "the RSA key has another size than Tableau accepts",
		fix:     "use an RSA key of 2048 bits",
	},
	SubCodeAuthorizationServerConnectedAppMissing: {
		name:    "CONNECTED_APP_NOT_FOUND",
		meaning: "Tableau knows no Connected App with this issuer",
		fix:     "register the issuer in Tableau exactly as it is configured here, down to a slash at its end, and with this very site if it is registered by site",
	},
	SubCodeConnectedAppDisabled: {
		name:    "CONNECTED_APP_DISABLED",
		meaning: "the Connected App is disabled",
		fix:     "enable it under Settings > Connected Apps",
	},
	SubCodeJTIAlreadyUsed: {
		name:    "JTI_ALREADY_USED",
		meaning: "a JWT with this ID (jti) has been used before",
		fix:     "make sure that nothing between here and Tableau repeats requests: each JWT is good for one sign-in",
		passing: true,
	},
	SubCodeScopesMissing: {
		meaning: "the JWT asks for no scopes",
		fix:     "configure at least one scope, such as tableau:content:read",
	},
}

// SubCode returns the number in brackets at the end of the detail, such as 16
// of "Error signing in to Tableau (16)". Only a 401001 has one.
func (e *Error) SubCode() (SubCode, bool) {
	if e.Code != CodeSignInFailed {
		return 0, false
	}
	detail, closed := strings.CutSuffix(strings.TrimRight(e.Detail, " \t\r\n."), ")")
	opening := strings.LastIndexByte(detail, '(')
	if !closed || opening < 0 {
		return 0, false
	}
	digits := detail[opening+1:]
	if len(digits) == 0 || len(digits) > 6 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return SubCode(n), err == nil && n > 0
}

// Name returns Tableau's name of the sub-code, such as
// "CONNECTED_APP_SECRET_NOT_FOUND", or "" if none is known.
func (c SubCode) Name() string { return subCodes[c].name }

// Explain says what is wrong and where to change it, in words for an
// administrator of Tableau. Both are "" for a sub-code that is not known.
func (c SubCode) Explain() (meaning, fix string) {
	entry := subCodes[c]
	return entry.meaning, entry.fix
}

// Permanent reports whether repeating the sign-in cannot help until somebody
// has changed something. Of a sub-code that is not known, that is not known.
func (c SubCode) Permanent() bool {
	entry, known := subCodes[c]
	return known && !entry.passing
}

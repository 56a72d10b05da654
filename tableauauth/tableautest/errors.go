// This file holds Tableau's error codes and sub-codes, and their answers.

package tableautest

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Error codes. The first three digits are the HTTP status.
const (
	codeBadRequest       = "400000"
	codeBadPageNumber    = "400006"
	codeBadPageSize      = "400007"
	codeBadFilter        = "400065"
	codeNoCredentials    = "401000"
	codeSignInFailed     = "401001"
	codeInvalidToken     = "401002"
	codeSwitchFailed     = "401003"
	codeForbidden        = "403004"
	codeSitesOnCloud     = "403069"
	codeAlreadyOnSite    = "403070"
	codeSiteNotFound     = "404000"
	codeVersionNotFound  = "404001"
	codeUserNotFound     = "404002"
	codePathNotFound     = "404003"
	codeSourceNotFound   = "404004"
	codeProjectNotFound  = "404005"
	codeWorkbookNotFound = "404006"
	codeUploadNotFound   = "404007"
	codeViewNotFound     = "404011"
	codeGroupNotFound    = "404012"
	codeJobNotFound      = "404031"
	codeObjectNotFound   = "404032"
	codeMethodNotAllowed = "405000"
	codeConflict         = "409004"
	codeTooLarge         = "413000"
)

// Sub-codes of a refused sign-in, from Tableau's page "Troubleshoot Connected
// Apps" and reports of live servers.
const (
	subUserNotFound     = 5
	subLoginFailed      = 16
	subFeatureOff       = 67
	subAppNotFound      = 126
	subSecretNotFound   = 127
	subNoMetadata       = 10081
	subNoIssuer         = 10082
	subBadJWT           = 10083
	subJWTParseError    = 10084
	subNoKeys           = 10085
	subBlockedAlgorithm = 10087
	subRSAKeySize       = 10088
	subIssuerNotFound   = 10089
	subIssuerDisabled   = 10090
	subJTIUsed          = 10091
	subScopesMissing    = 10099
)

// The wording of errors.
const (
	summarySignIn        = "Signin Error"
	summaryUnauthorized  = "Unauthorized Access"
	detailInvalidToken   = "Invalid authentication credentials were provided."
	detailNoCredentials  = "No authentication credentials were provided."
	detailSignInRefused  = "Error signing in to Tableau Server"
	detailNotAuthorized  = "User is not authorized to perform this operation."
	summaryForbidden     = "Forbidden"
	summaryNotFound      = "Resource Not Found"
	summaryBadRequest    = "Bad Request"
	summaryNotAllowed    = "Method Not Allowed"
	summarySwitchRefused = "Switch Site Error"
)

// apiError is an error in Tableau's terms. reason goes to the journal only.
type apiError struct {
	status          int
	code            string
	subCode         int
	summary, detail string
	reason          string
	header          http.Header
}

// fail makes an error whose status is the code's first three digits.
func fail(code, summary, detail string) *apiError {
	status, err := strconv.Atoi(code[:3])
	if err != nil {
		status = http.StatusBadRequest
	}
	return &apiError{status: status, code: code, summary: summary, detail: detail, reason: detail}
}

// because adds what only the journal shall know.
func (e *apiError) because(format string, args ...any) *apiError {
	e.reason = fmt.Sprintf(format, args...)
	return e
}

// refuseSignIn is the one answer to every failed sign-in; only the number in
// brackets tells failures of a JWT apart. Zero means no number.
func refuseSignIn(subCode int, format string, args ...any) *apiError {
	detail := detailSignInRefused
	if subCode != 0 {
		detail = fmt.Sprintf("%s (%d)", detail, subCode)
	}
	e := fail(codeSignInFailed, summarySignIn, detail).because(format, args...)
	e.subCode = subCode
	return e
}

func invalidToken(format string, args ...any) *apiError {
	return fail(codeInvalidToken, summaryUnauthorized, detailInvalidToken).because(format, args...)
}

func badRequest(detail string) *apiError {
	return fail(codeBadRequest, summaryBadRequest, detail)
}

func forbidden(format string, args ...any) *apiError {
	return fail(codeForbidden, summaryForbidden, detailNotAuthorized).because(format, args...)
}

func notFound(code, what string) *apiError {
	return fail(code, summaryNotFound, what+" not found.")
}

// encode gives the error in the shape of the API that was called.
func (e *apiError) encode(style style, asJSON bool, now time.Time) (contentType string, body []byte) {
	switch style {
	case styleVDS:
		return typeJSON, mustJSON(map[string]any{
			"errorCode": e.code, "message": e.detail, "messages": []string{e.detail},
			"datetime": now.UTC().Format(time.RFC3339), "debug": "", "tab-error-code": e.code,
		})
	case stylePulse:
		return typeJSON, mustJSON(map[string]string{"code": e.code, "message": e.detail})
	case styleGraphQL:
		asJSON = true
	case styleREST:
	}
	n := el("error", at("code", e.code)).add(leaf("summary", e.summary), leaf("detail", e.detail))
	return encode(asJSON, n)
}

// style is the family of APIs that an operation belongs to.
type style int

const (
	styleREST style = iota
	styleGraphQL
	styleVDS
	stylePulse
)

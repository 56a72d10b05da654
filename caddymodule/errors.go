package caddymodule

// This file holds every answer of our own: which status and code it has, and
// what it tells the client to do. docs/errors.md lists the codes.

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// headerProxyError names the code of an answer of our own.
const headerProxyError = "X-Tableau-Proxy-Error"

// A refusal is an answer of our own in the place of Tableau's.
type refusal struct {
	status     int
	code       string // X-Tableau-Proxy-Error
	tableau    string // Tableau's error code
	summary    string
	detail     string // for the client: what to do, no internals
	retryAfter time.Duration
	cause      error // for the log: in full, or nil
}

// The refusals, by code. A copy with a detail of its own is made by with.
var (
	refuseNoIdentity = refusal{
		status: 401, code: "identity_missing", tableau: tableauapi.CodeNotSignedIn, summary: "Not authenticated",
		detail: "This proxy does not know who you are. Authenticate to it as its operator has set up (HTTP basic authentication, a client certificate, single sign-on); no Tableau credential is needed.",
	}
	refuseBody = refusal{
		status: 400, code: "body_malformed", tableau: tableauapi.CodeBadRequest, summary: "Bad Request",
		detail: "The body of the request is not what its headers announce: its chunks or its trailers cannot be read.",
	}
	refuseHeaders = refusal{
		status: 431, code: "headers_too_large", tableau: "431000", summary: "Request Header Fields Too Large",
		detail: "The request has more than 200 header fields, or more than 128 KiB of them.",
	}
	refuseCrossOrigin = refusal{
		status: 403, code: "cross_origin", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "A web page of another origin has made your browser send this request. This proxy answers no pages but those of its own address, since your browser would send your identity along with whatever they ask.",
	}
	refuseBadIdentity = refusal{
		status: 400, code: "identity_invalid", tableau: tableauapi.CodeBadRequest, summary: "Bad Request",
		detail: "Your identity cannot be used as a Tableau user name.",
	}
	refuseUntrusted = refusal{
		status: 401, code: "identity_untrusted", tableau: tableauapi.CodeNotSignedIn, summary: "Not authenticated",
		detail: "A header of the request says who you are, or something of you, and this proxy takes that from nobody but what its operator has put in front of it. Authenticate there.",
	}
	refuseUnmapped = refusal{
		status: 403, code: "identity_not_mapped", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "You are known to this proxy, but no Tableau user is assigned to you. Ask its operator to add you to the user map.",
	}
	refuseForbiddenUser = refusal{
		status: 403, code: "user_forbidden", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "The Tableau user assigned to you may not be used through this proxy.",
	}
	refuseClaim = refusal{
		status: 403, code: "claim_missing", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "What this proxy has to tell Tableau about you is not known. Its operator finds in the log what is missing.",
	}
	refuseMethod = refusal{
		status: 405, code: "method_not_allowed", tableau: tableauapi.CodeMethodNotAllowed, summary: "Method Not Allowed",
		detail: "The API knows GET, HEAD, POST, PUT, PATCH and DELETE.",
	}
	refuseAmbiguous = refusal{status: 400, code: "request_ambiguous", tableau: tableauapi.CodeBadRequest, summary: "Bad Request"}
	refuseNotAPI    = refusal{
		status: 404, code: "not_an_api_path", tableau: tableauapi.CodePathNotFound, summary: "Resource Not Found",
		detail: "This proxy serves Tableau's API, under /api/. Tableau's web pages are not served here.",
	}
	refuseAuthCall = refusal{
		status: 403, code: "auth_call_refused", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "Sessions are kept by this proxy. Of the calls under /auth/ it answers signin, signout and switchSite, and passes none on.",
	}
	refuseMalformed = refusal{status: 400, code: "sign_in_malformed", tableau: tableauapi.CodeBadRequest, summary: "Bad Request"}
	refuseToken     = refusal{
		status: 401, code: "token_invalid", tableau: tableauapi.CodeInvalidToken, summary: "Unauthorized Access",
		detail: "The token in X-Tableau-Auth was not issued by this proxy to you, or it has ended. Sign in again, or leave the header out.",
	}
	refuseClient = refusal{
		status: 401, code: "client_unknown", tableau: tableauapi.CodeSignInFailed, summary: "Signin Error",
		detail: "The name or the secret is wrong. It is the one that the operator of this proxy has given to this tool, not one of Tableau's.",
	}
	refuseThrottled = refusal{
		status: 429, code: "client_throttled", tableau: tableauapi.CodeTooManyRequests, summary: "Too Many Requests",
		detail: "There were too many wrong secrets. Try again later.",
	}
	refuseSameSite = refusal{
		status: 403, code: "site_unchanged", tableau: tableauapi.CodeAlreadyOnSite, summary: "Forbidden",
		detail: "The token is for this site already.",
	}
	refuseSite = refusal{
		status: 403, code: "site_not_allowed", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "The site of this request is not among those of this proxy. Use /sites/-/ for its default site, or the content URL of one of its sites.",
	}
	refuseUnknown = refusal{
		status: 404, code: "operation_unknown", tableau: tableauapi.CodePathNotFound, summary: "Resource Not Found",
		detail: "This proxy knows no operation of Tableau's API with this method and path, so it lets nothing through. Compare the path with Tableau's reference, down to the case of letters; the operator of this proxy can let unknown routes through (unknown_routes).",
	}
	refuseDenied    = refusal{status: 403, code: "operation_denied", tableau: tableauapi.CodeForbidden, summary: "Forbidden"}
	refuseDangerous = refusal{status: 403, code: "operation_dangerous", tableau: tableauapi.CodeForbidden, summary: "Forbidden"}
	refuseNoJWT     = refusal{status: 403, code: "jwt_not_accepted", tableau: tableauapi.CodeForbidden, summary: "Forbidden"}
	refusePolicy    = refusal{
		status: 403, code: "policy_unknown", tableau: tableauapi.CodeForbidden, summary: "Forbidden",
		detail: "What you may do here depends on a group that you belong to, and this proxy does not know of one. Its operator finds in the log what is missing.",
	}
	refuseScope = refusal{status: 403, code: "scope_missing", tableau: tableauapi.CodeForbidden, summary: "Forbidden"}
	refuseEnded = refusal{
		status: 401, code: "session_ended", tableau: tableauapi.CodeInvalidToken, summary: "Unauthorized Access",
		detail: "Tableau ended the session while the request was under way, and the request's body was too large to be sent again by the proxy. There is a new session: send the request again.",
	}
	refuseSignIn = refusal{
		status: 502, code: "sign_in_refused", tableau: tableauapi.CodeBadGateway, summary: "Bad Gateway",
		detail: "Tableau refused the sign-in that this proxy made for you.",
	}
	refuseSignInBusy = refusal{
		status: 503, code: "sign_in_throttled", tableau: tableauapi.CodeServiceUnavailable, summary: "Service Unavailable",
		detail: "Tableau is limiting sign-ins. Try again later.", retryAfter: 5 * time.Second,
	}
	refuseNoSeat = refusal{
		status: 503, code: "no_free_token", tableau: tableauapi.CodeServiceUnavailable, summary: "Service Unavailable",
		detail: "This proxy can have only so many sessions at Tableau at a time, and requests of others were using all of them. Try again later.", retryAfter: 5 * time.Second,
	}
	refuseUnreachable = refusal{
		status: 502, code: "tableau_unreachable", tableau: tableauapi.CodeBadGateway, summary: "Bad Gateway",
		detail: "Tableau could not be reached, or gave no usable answer. Try again later; if it lasts, tell the operator of this proxy.",
	}
	refuseAddress = refusal{
		status: 502, code: "address_refused", tableau: tableauapi.CodeBadGateway, summary: "Bad Gateway",
		detail: "The name of Tableau leads to an address where this proxy sends nothing. Tell its operator, who will find the address in the log.",
	}
	refuseTimeout = refusal{
		status: 504, code: "tableau_timeout", tableau: tableauapi.CodeGatewayTimeout, summary: "Gateway Timeout",
		detail: "Tableau did not answer in time. Try again later.",
	}
	refuseAudit = refusal{
		status: 503, code: "audit_unavailable", tableau: tableauapi.CodeServiceUnavailable, summary: "Service Unavailable",
		detail: "This proxy sends nothing that it cannot record, and its audit file cannot be written at the moment. Try again later; if it lasts, tell its operator.", retryAfter: time.Second,
	}
	refuseShutdown = refusal{
		status: 503, code: "shutting_down", tableau: tableauapi.CodeServiceUnavailable, summary: "Service Unavailable",
		detail: "This proxy is shutting down or loading a new configuration. Try again.", retryAfter: time.Second,
	}
	refuseInternal = refusal{
		status: 502, code: "misdirected", tableau: tableauapi.CodeBadGateway, summary: "Bad Gateway",
		detail: "This proxy's configuration does not fit together, so nothing was sent. Tell its operator, who will find the reason in the log.",
	}
	clientGone = refusal{status: 499, code: "client_gone", tableau: "499000", summary: "Client Closed Request"}
)

// atSignIn is the refusal as a sign-in has it: to a client, whatever keeps it
// from signing in is a failed sign-in.
func (f refusal) atSignIn() *refusal {
	if f.status == http.StatusForbidden || f.status == http.StatusUnauthorized {
		f.status, f.tableau, f.summary = http.StatusUnauthorized, tableauapi.CodeSignInFailed, "Signin Error"
	}
	return &f
}

// with returns a copy with another detail and a cause for the log.
func (f refusal) with(detail string, cause error) *refusal {
	if detail != "" {
		f.detail = detail
	}
	f.cause = cause
	return &f
}

// write answers r.
func (f *refusal) write(w http.ResponseWriter, r *http.Request) {
	header, body := f.answer(r)
	maps.Copy(w.Header(), header)
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}

// response is the answer as a transport's.
func (f *refusal) response(r *http.Request) *http.Response {
	header, body := f.answer(r)
	return &http.Response{
		Status:        strconv.Itoa(f.status) + " " + http.StatusText(f.status),
		StatusCode:    f.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r,
	}
}

// answer is the refusal in Tableau's shape, in the format that r wants.
func (f *refusal) answer(r *http.Request) (http.Header, []byte) {
	format := errorFormat(r)
	e := tableauapi.Error{Code: f.tableau, Summary: f.summary, Detail: f.detail}
	body := e.Encode(format)
	header := http.Header{
		"Content-Type":   {format.ContentType()},
		"Content-Length": {strconv.Itoa(len(body))},
		"Cache-Control":  {"no-store"},
		headerProxyError: {f.code},
	}
	if f.retryAfter > 0 {
		seconds := int((f.retryAfter + time.Second - 1) / time.Second)
		header.Set("Retry-After", strconv.Itoa(seconds))
	}
	if f.status == http.StatusMethodNotAllowed {
		header.Set("Allow", strings.Join(allowedMethods(r), ", "))
	}
	return header, body
}

// allowedMethods are the methods that could have been used for r.
func allowedMethods(r *http.Request) []string {
	x := exchangeFrom(r.Context())
	switch {
	case x == nil:
		return methods
	case x.route.Auth() != tableauapi.NotAuth:
		return []string{http.MethodPost}
	}
	if known := tableauapi.Methods(x.path); len(known) > 0 {
		return known
	}
	return methods
}

// errorFormat is the format of an error about r: that of the body of a call
// under /auth/, otherwise what r accepts, and for the APIs that know only JSON,
// JSON.
func errorFormat(r *http.Request) tableauapi.Format {
	first := byte(0)
	if strings.Contains(r.Header.Get("Content-Type"), "json") {
		first = '{'
	}
	if x := exchangeFrom(r.Context()); x != nil {
		if x.formatKnown {
			return x.format
		}
		switch x.route.API() {
		case tableauapi.Platform, tableauapi.Metadata, tableauapi.VizQLDataService:
			first = '{'
		case tableauapi.Unknown, tableauapi.REST:
		}
	}
	return tableauapi.NegotiateFormat(r.Header.Values("Accept"), first)
}

package caddymodule

// This file tells clients what became of a request that Tableau has not
// answered.

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// sessionFailure is the answer to a request that got no session.
func sessionFailure(err error) *refusal {
	var (
		failure *tableauauth.SignInError
		noSeat  *tableauauth.NoSeatError
	)
	switch {
	case errors.As(err, &failure):
		return signInFailure(failure)
	case errors.As(err, &noSeat):
		return refuseNoSeat.with("", err)
	case errors.Is(err, tableauauth.ErrPoolClosed):
		return refuseShutdown.with("", err)
	default: // the request's own context ended
		return clientGone.with("", err)
	}
}

// signInFailure tells the client what it can do about a failed sign-in. What
// the operator has to change is for the log.
func signInFailure(e *tableauauth.SignInError) *refusal {
	if errors.Is(e, auditlog.ErrUnavailable) {
		return refuseAudit.with("", e)
	}
	if _, ok := errors.AsType[*addressError](e); ok {
		return refuseAddress.with("", e)
	}
	switch e.Reason {
	case tableauauth.Throttled, tableauauth.Limited:
		f := refuseSignInBusy.with("", e)
		if e.Reason == tableauauth.Limited {
			f.detail = "This proxy keeps back sign-ins at Tableau, since there are too many. Try again later."
		}
		f.retryAfter = max(f.retryAfter, e.RetryAfter)
		return f
	case tableauauth.TimedOut:
		return refuseTimeout.with("", e)
	case tableauauth.Unreachable, tableauauth.Unavailable, tableauauth.Nonsense:
		return refuseUnreachable.with("", e)
	default:
		detail := refuseSignIn.detail
		if meaning, _ := e.Explain(); meaning != "" {
			detail += " " + strings.ToUpper(meaning[:1]) + meaning[1:] + "."
		}
		return refuseSignIn.with(detail+" The operator of this proxy finds what to change in its log.", e)
	}
}

// upstreamFailure is the answer to a request that got none from Tableau:
// reverse_proxy returns an error only as long as nothing has been written. What
// is not about reaching Tableau is some other handler's error, and stays it.
func upstreamFailure(err error) (*refusal, error) {
	if err == nil {
		return nil, nil
	}
	var status caddyhttp.HandlerError
	if !errors.As(err, &status) {
		return nil, err
	}
	switch status.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return refuseUnreachable.with("", err), nil
	case http.StatusGatewayTimeout:
		return refuseTimeout.with("", err), nil
	case 499:
		return clientGone.with("", err), nil
	default:
		return nil, err
	}
}

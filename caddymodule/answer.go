package caddymodule

// This file answers what is for us: sign-in, sign-out and switchSite. Behind
// them is the shared session, which none of them ends.

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// signedOut remembers, across configurations, which client tokens were signed
// out.
var signedOut tableauauth.SignedOut

// maxDiscarded is how much of an oversize body is read and thrown away, in
// bytes: a client that is still writing when its connection ends does not get
// to read why.
const maxDiscarded = 4 << 20

// readBody reads the body of a call under /auth/, bounded.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, tableauapi.MaxSignInBody+1))
	if err != nil {
		return nil, errors.New("the body did not arrive")
	}
	if len(body) > tableauapi.MaxSignInBody {
		_, _ = io.CopyN(io.Discard, r.Body, maxDiscarded)
		return nil, errors.New("the body is larger than " + strconv.Itoa(tableauapi.MaxSignInBody>>10) + " KiB")
	}
	return body, nil
}

// readSignIn reads what a client signs in with. Unless clients are configured,
// none of it matters but the site.
func (h *Handler) readSignIn(r *http.Request, x *exchange) *refusal {
	body, err := readBody(r)
	if err == nil {
		x.readFormat(r, body)
		x.signIn, err = tableauapi.DecodeCredentials(body)
	}
	if err != nil {
		return refuseMalformed.with("The sign-in cannot be read: "+err.Error()+".", err)
	}
	return nil
}

// readFormat decides on the format of the answer to body.
func (x *exchange) readFormat(r *http.Request, body []byte) {
	first := byte(0)
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 {
		first = trimmed[0]
	}
	x.format, x.formatKnown = tableauapi.NegotiateFormat(r.Header.Values("Accept"), first), true
}

// clientToken opens the X-Tableau-Auth of r, if it is one of ours. None, or an
// empty one, is no token. Anything else gets what an ended session gets at
// Tableau, since a client then signs in again.
func (h *Handler) clientToken(r *http.Request) (*tableauauth.ClientToken, *refusal) {
	values := r.Header[headerAuth]
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return nil, nil
	}
	if len(values) > 1 {
		return nil, refuseAmbiguous.with("The header "+headerAuth+" is there more than once.", nil)
	}
	token, err := h.app.openToken(values[0], h.origin.String())
	switch {
	case err != nil:
		return nil, refuseToken.with("", err)
	case signedOut.Has(token):
		return nil, refuseToken.with("", errors.New("the token was signed out"))
	}
	return &token, nil
}

// clientIdentity is the identity of a request that Caddy knows none for: the
// one of the client that signs in, or that its token was given to.
func (h *Handler) clientIdentity(r *http.Request, x *exchange) (string, *refusal) {
	if x.route.Auth() == tableauapi.SignIn {
		client, refused := h.clients.signIn(r, x.signIn)
		if refused != nil {
			return "", refused
		}
		x.client = client
		return client.Identity, nil
	}
	if x.token == nil || x.token.Proof == "" {
		return "", refuseNoIdentity.with("", nil)
	}
	client, ok := h.clients.byProof(x.token.Proof)
	if !ok || client.Identity != x.token.Identity {
		return "", refuseToken.with("", errors.New("the client that the token was given to is gone, or has another secret"))
	}
	x.client = client
	return client.Identity, nil
}

// checkToken holds the token of a request to the identity of its sender.
func (h *Handler) checkToken(r *http.Request, x *exchange) *refusal {
	if x.token == nil || x.token.Identity == x.identity {
		return nil
	}
	h.app.audit.Warn("token of another identity",
		zap.String("identity", x.identity), zap.String("token_of", x.token.Identity), zap.String("client_ip", clientIP(r)))
	return refuseToken.with("", errors.New("the token was given to another identity"))
}

// answer answers a call under /auth/. A sign-out ends the client's token and
// nothing else, and always succeeds: nothing is left that the client could use.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, x *exchange) *refusal {
	switch x.route.Auth() {
	case tableauapi.SignIn:
		return h.answerSignIn(w, r, x)
	case tableauapi.SignOut:
		if x.token != nil {
			h.forget(*x.token)
		}
		x.respond(w, http.StatusNoContent, nil)
		return nil
	case tableauapi.SwitchSite:
		return h.answerSwitchSite(w, r, x)
	case tableauapi.NotAuth, tableauapi.OtherAuth:
	}
	return refuseAuthCall.with("", nil)
}

// answerSignIn signs in for real, or finds that somebody has, so that whatever
// is wrong shows now; and gives the client a token of ours.
func (h *Handler) answerSignIn(w http.ResponseWriter, r *http.Request, x *exchange) *refusal {
	site, ok := h.signInSite(x.signIn.Site)
	if !ok {
		return refuseSite.with("The site of this sign-in is not among those of this proxy.", nil)
	}
	return h.giveToken(w, r, x, site)
}

// signInSite finds the site that a sign-in names. The empty content URL is the
// Default site, but where that is not among ours, it is what clients send who
// name no site, and stands for the first one.
func (h *Handler) signInSite(contentURL string) (site string, ok bool) {
	if site, ok = h.siteByURL(contentURL); ok || contentURL != "" {
		return site, ok
	}
	return h.sites[0], true
}

// giveToken answers with a token for the site.
func (h *Handler) giveToken(w http.ResponseWriter, r *http.Request, x *exchange, site string) *refusal {
	x.scopes = h.rules.edition(r.Context()).idle
	session, signedIn, err := h.get(r.Context(), site, x)
	if err != nil {
		return sessionFailure(err)
	}
	x.site, x.signedIn, x.binding.Session = site, signedIn, session
	token := tableauauth.ClientToken{
		Identity: x.identity,
		Site:     site,
		SiteID:   session.SiteID(),
		Expires:  time.Now().Add(tableauauth.ClientTokenLife),
	}
	if x.client.Name != "" {
		token.Proof = x.client.proof()
	}
	sealed, err := h.app.sealToken(token, h.origin.String())
	if err != nil {
		return refuseInternal.with("", err)
	}
	x.respond(w, http.StatusOK, tableauapi.SignInAnswer{
		Token: sealed, SiteID: session.SiteID(), ContentURL: session.ContentURL(), UserID: session.UserID(),
	}.Encode(x.format))
	return nil
}

// answerSwitchSite gives the client a token for another site, and ends the one
// that it had, as Tableau does.
func (h *Handler) answerSwitchSite(w http.ResponseWriter, r *http.Request, x *exchange) *refusal {
	body, err := readBody(r)
	var contentURL string
	if err == nil {
		x.readFormat(r, body)
		contentURL, err = tableauapi.DecodeSwitchSite(body)
	}
	if err != nil {
		return refuseMalformed.with("The switch of sites cannot be read: "+err.Error()+".", err)
	}
	site, ok := h.signInSite(contentURL)
	switch {
	case !ok:
		return refuseSite.with("", nil)
	case x.token != nil && site == x.token.Site:
		return refuseSameSite.with("", nil)
	}
	before := x.token
	if refused := h.giveToken(w, r, x, site); refused != nil {
		return refused
	}
	if before != nil {
		h.forget(*before)
	}
	return nil
}

// forget signs a client token out.
func (h *Handler) forget(t tableauauth.ClientToken) {
	if signedOut.Add(t, time.Now()) {
		h.app.logger.Warn("more client tokens were signed out than can be remembered: the oldest are good again until they end",
			zap.Int("remembered", tableauauth.MaxSignedOut))
	}
}

// respond writes an answer of our own that is no error.
func (x *exchange) respond(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if len(body) > 0 {
		h.Set("Content-Type", x.format.ContentType())
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	x.status, x.local = status, true
	x.body.hangUp(w)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

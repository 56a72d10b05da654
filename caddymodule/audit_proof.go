package caddymodule

// This file reads what a sign-in presents from the request that is about to be
// sent: what is recorded is what leaves, and not what was meant to.

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// maxProof is how much of a sign-in is read, in bytes. A JWT with many claims
// has a few KiB.
const maxProof = 64 << 10

// proofFields are as whom a sign-in asks for a session, and with what.
func proofFields(req *http.Request) []slog.Attr {
	given, ok := readProof(req)
	if !ok {
		return []slog.Attr{slog.String("proof", "unreadable")}
	}
	attrs := []slog.Attr{slog.String("site", given.Site)}
	switch {
	case !given.JWT.IsZero():
		attrs = append(attrs, slog.String("proof", "jwt"))
		attrs = append(attrs, claimFields(given.JWT)...)
	case given.TokenName != "":
		attrs = append(attrs, slog.String("proof", "pat"), slog.String("proof_name", given.TokenName))
	default:
		attrs = append(attrs, slog.String("proof", "password"), slog.String("proof_name", given.Name))
	}
	if given.ImpersonateUserID != "" {
		attrs = append(attrs, slog.String("impersonates", given.ImpersonateUserID))
	}
	return attrs
}

// readProof reads a copy of the body of a sign-in.
func readProof(req *http.Request) (tableauapi.Credentials, bool) {
	if req.GetBody == nil {
		return tableauapi.Credentials{}, false
	}
	body, err := req.GetBody()
	if err != nil {
		return tableauapi.Credentials{}, false
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxProof))
	if err != nil {
		return tableauapi.Credentials{}, false
	}
	given, err := tableauapi.DecodeCredentials(text)
	return given, err == nil
}

// claimFields are the claims of a JWT that tell who signs in, and for what. Its
// signature is ours: it is not checked, and not recorded.
func claimFields(jwt tableauapi.Secret) []slog.Attr {
	var claims struct {
		Issuer  string  `json:"iss"`
		Subject string  `json:"sub"`
		Email   string  `json:"email"`
		JTI     string  `json:"jti"`
		Expires float64 `json:"exp"`
		Scopes  any     `json:"scp"`
	}
	parts := strings.Split(jwt.Reveal(), ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	attrs := []slog.Attr{
		slog.String("app_id", claims.Issuer), slog.String("sub", claims.Subject), slog.String("jti", claims.JTI),
		slog.Int64("jwt_exp", int64(claims.Expires)), slog.Any("scopes", claims.Scopes),
	}
	if claims.Subject == "" {
		attrs = append(attrs, slog.String("email", claims.Email))
	}
	return attrs
}

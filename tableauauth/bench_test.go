package tableauauth

// This file measures what a sign-in and a request cost here, without Tableau
// and without a network.

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// BenchmarkProof is the minting of a JWT, with each kind of key.
func BenchmarkProof(b *testing.B) {
	direct, err := NewDirectTrust("client", ConnectedAppSecret{ID: "secret", Value: tableauapi.NewSecret("0123456789abcdef0123456789abcdef")})
	if err != nil {
		b.Fatal(err)
	}
	rsa, ec := signingKey(b, "rsa", keyring().rsa), signingKey(b, "ec", keyring().ec)
	oauthRSA, err := NewOAuthTrust(testIssuer, siteAudience, rsa)
	if err != nil {
		b.Fatal(err)
	}
	oauthEC, err := NewOAuthTrust(testIssuer, siteAudience, ec)
	if err != nil {
		b.Fatal(err)
	}
	unified, err := NewUnifiedAccess(testIssuer, "tenant", "", rsa)
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct {
		name       string
		credential Credential
	}{
		{"direct_trust/HS256", direct},
		{"oauth_trust/ES256", oauthEC},
		{"oauth_trust/RS256", oauthRSA},
		{"unified_access/RS256", unified},
	} {
		b.Run(kind.name, func(b *testing.B) {
			g := grant("some.body@corp.example")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := kind.credential.Proof(g, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRoundTrip is what the transport does for a request of a user with a
// session: the copy with the token in it, and the answer cleared of credentials.
func BenchmarkRoundTrip(b *testing.B) {
	pool, session := benchSession(b)
	answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: make(http.Header)}
	transport := &Transport{Base: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		// As many headers as a Tableau Server sends.
		clear(answer.Header)
		for _, name := range []string{"Content-Type", "Content-Length", "Date", "Server", "Vary", "X-Content-Type-Options"} {
			answer.Header[name] = headerValues
		}
		answer.Request, answer.Body = req, http.NoBody
		return answer, nil
	})}
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, testAPI+"/sites/"+oneLUID+"/workbooks", nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"Accept", "Accept-Encoding", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via"} {
		req.Header[name] = headerValues
	}
	req = req.WithContext(NewContext(req.Context(), &Binding{Pool: pool, Session: session}))
	b.ReportAllocs()
	for b.Loop() {
		res, err := transport.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
	}
}

var headerValues = []string{"some value"}

// benchSession is a pool with one session.
func benchSession(b *testing.B) (*Pool, *Session) {
	b.Helper()
	app, err := NewDirectTrust("client", ConnectedAppSecret{ID: "secret", Value: tableauapi.NewSecret("0123456789abcdef0123456789abcdef")})
	if err != nil {
		b.Fatal(err)
	}
	answer := tableauapi.SignInAnswer{
		Token: tableauapi.NewSecret(oneLUID), SiteID: oneLUID, ContentURL: testSite, UserID: oneLUID,
	}.Encode(tableauapi.XML)
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: app}, PoolOptions{
		Client: Client{Transport: roundTripFunc(answering(200, string(answer)).RoundTrip)},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pool.Close(context.Background()) })
	session, _, err := pool.Get(b.Context(), grant("some.body@corp.example"))
	if err != nil {
		b.Fatal(err)
	}
	return pool, session
}

package caddymodule

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// publicHalf is the public half of one of testKeys.
func publicHalf(t *testing.T, kid string) any {
	t.Helper()
	block, _ := pem.Decode([]byte(testKeys()[kid]))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(crypto.Signer).Public()
}

const testTenant = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

// TestUnifiedAccessJourney takes people to two sites of a Tableau Cloud with
// one configuration.
func TestUnifiedAccessJourney(t *testing.T) {
	for _, claim := range []string{"", "upn"} {
		t.Run("claim "+claim, func(t *testing.T) {
			r := newRig(t, tableautest.Options{Cloud: true})
			const issuer = "https://tableau-proxy.corp.example"
			r.AddUnifiedAccess(tableautest.UnifiedAccess{Issuer: issuer, TenantID: testTenant, UsernameClaim: claim, Key: publicHalf(t, "rsa")})
			credentials := "unified_access {\n\t\t\tissuer " + issuer + "\n\t\t\ttenant " + testTenant + "\n\t\t\t" + keyLine(t, "rsa")
			if claim != "" {
				credentials += "\n\t\t\tusername_claim " + claim
			}
			options := "\t\tsite finance marketing\n\t\tuser {http.auth.user.id}@example.com\n\t\tscopes tableau:content:read\n\t\tclaims {\n\t\t\tregion EMEA\n\t\t}"
			r.load(t, setup{handlers: r.proxyWith(options, credentials+"\n\t\t}")})
			for _, site := range []string{"-", "finance", "marketing"} {
				if a := r.get(t, "alice", api+"/sites/"+site+"/workbooks"); a.status != http.StatusOK {
					t.Fatalf("%s: status %d: %s", site, a.status, a.body)
				}
			}
			if got := r.SignIns(tableautest.SignInFilter{Kind: tableautest.KindUnifiedAccess, User: "alice@example.com"}); got != 2 {
				t.Errorf("%d sign-ins, want one for each site", got)
			}
			for _, e := range r.Journal() {
				if e.JWT == nil {
					continue
				}
				name := claim
				if name == "" {
					name = "email"
				}
				if e.JWT.Alg != "RS256" || e.JWT.Subject != "" || e.JWT.Audience != "null" || e.JWT.Claims[name] != "alice@example.com" || e.JWT.Claims["region"] != "EMEA" {
					t.Errorf("JWT %+v", e.JWT)
				}
			}
		})
	}
}

// Another tenant's token is refused by Tableau, and the log says why.
func TestUnifiedAccessOfAnotherTenant(t *testing.T) {
	r := newRig(t, tableautest.Options{Cloud: true})
	const issuer = "https://tableau-proxy.corp.example"
	r.AddUnifiedAccess(tableautest.UnifiedAccess{Issuer: issuer, TenantID: "another", Key: publicHalf(t, "rsa")})
	r.load(t, setup{handlers: r.proxyWith("", "unified_access {\n\t\t\tissuer "+issuer+"\n\t\t\ttenant "+testTenant+"\n\t\t\t"+keyLine(t, "rsa")+"\n\t\t}")})
	a := r.get(t, "alice", workbooks)
	if a.status != http.StatusBadGateway || a.code() != "sign_in_refused" || !strings.Contains(string(logged.bytes()), "10084") {
		t.Errorf("status %d, code %q", a.status, a.code())
	}
}

package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

func TestAdmitBrowser(t *testing.T) {
	tests := []struct {
		name   string
		header http.Header
		admit  bool
	}{
		{"no browser", http.Header{}, true},
		{"typed into the address bar", http.Header{"Sec-Fetch-Site": {"none"}}, true},
		{"a page of ours", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"https://proxy.corp.example"}}, true},
		{"a page of ours, behind a proxy that ends TLS", http.Header{"Origin": {"http://PROXY.corp.example"}}, true},
		{"a page elsewhere", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"a page of a neighbour", http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		{"a word that is not known", http.Header{"Sec-Fetch-Site": {"same-Origin "}}, false},
		{"twice, once good", http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, false},
		{"an old browser, elsewhere", http.Header{"Origin": {"https://evil.example"}}, false},
		{"another port", http.Header{"Origin": {"https://proxy.corp.example:8443"}}, false},
		{"a page without an origin", http.Header{"Origin": {"null"}}, false},
		{"a prefix of ours", http.Header{"Origin": {"https://proxy.corp.example.evil.example"}}, false},
		{"empty", http.Header{"Origin": {""}}, false},
		{"not an address", http.Header{"Origin": {"https://%zz"}}, false},
		{"twice, once good", http.Header{"Origin": {"https://proxy.corp.example", "https://evil.example"}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "https://proxy.corp.example/api/3.24/sites/-/workbooks", nil)
			r.Header = test.header
			if refused := admitBrowser(r); (refused == nil) != test.admit {
				t.Errorf("refused: %+v", refused)
			}
		})
	}
}

// TestOtherPagesAreRefused: what a page elsewhere makes a browser send reaches
// neither Tableau nor the sign-in.
func TestOtherPagesAreRefused(t *testing.T) {
	r := started(t, tableautest.Options{}, setup{})
	for _, path := range []string{workbooks, api + "/auth/signin"} {
		a := r.do(t, call{user: "alice", method: http.MethodPost, path: path, header: headers("Origin", "https://evil.example")})
		if a.status/100 != 4 || a.code() != "cross_origin" {
			t.Errorf("%s: status %d, code %q", path, a.status, a.code())
		}
	}
	if n := len(r.Journal()); n != 0 {
		t.Errorf("%d requests reached Tableau", n)
	}
}

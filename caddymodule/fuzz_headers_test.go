package caddymodule

// The fuzz targets of this file are what a client sends in headers: names in any
// spelling, what Connection names, and parameters of the query.

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// notTheClients reports whether a header may not go on, by the words that its
// name is made of.
func notTheClients(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_. ", r) })
	joined := strings.Join(words, "-")
	for _, prefix := range []string{"x-tableau-", "x-original-", "x-rewrite-", "proxy-", "x-http-method-"} {
		if strings.HasPrefix(joined, prefix) {
			return true
		}
	}
	switch joined {
	case "authorization", "cookie", "forwarded", "x-http-method", "x-method-override",
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings":
		return true
	}
	return strings.HasPrefix(joined, "x-forwarded-") && name != "X-Forwarded-For" && name != "X-Forwarded-Host" && name != "X-Forwarded-Proto"
}

// FuzzConnectionTokens lets Connection name headers, of which one is in any
// spelling. What is not the client's to send is gone, Connection itself is gone,
// so that nothing can be named that is put in later, and the rest is untouched.
func FuzzConnectionTokens(f *testing.F) {
	f.Add("close, X-Tableau-Auth", "X_Tableau_Auth", "x")
	f.Add("Upgrade\nHTTP2-Settings", "Upgrade", "h2c")
	f.Add("Accept,Host,Content-Length", "X-Forwarded-User", "admin")
	f.Add(" ,\t,\"x-tableau-auth\";q=1", "Te", "trailers")
	f.Add("X-Forwarded-For", "x.forwarded.for", "10.0.0.1")
	f.Fuzz(func(t *testing.T, connection, name, value string) {
		r := httptest.NewRequest(http.MethodGet, workbooks, nil)
		r.Header = http.Header{"Connection": strings.Split(connection, "\n"), "Accept": {"*/*"}, "X-Other": {"a", "b"}}
		name = http.CanonicalHeaderKey(name)
		r.Header[name] = append(r.Header[name], value)
		r.Trailer = http.Header{name: {value}}
		kept := r.Header.Clone()
		clearHeaders(r)
		if r.Trailer != nil {
			t.Fatalf("trailers: %v", r.Trailer)
		}
		for other, values := range kept {
			_, there := r.Header[other]
			// A name with separators at its ends, or several in a row, is no
			// header that a server would take for one of these.
			if doubtful := strings.Trim(other, "-_. ") != other || hasRun(other); doubtful {
				continue
			}
			if there == notTheClients(other) {
				t.Fatalf("%q is there: %t", other, there)
			}
			if there && len(r.Header[other]) != len(values) {
				t.Fatalf("%q has lost values", other)
			}
		}
		if len(r.Header) > len(kept) {
			t.Fatalf("%v has become %v", kept, r.Header)
		}
	})
}

// hasRun reports whether separators follow each other in a name.
func hasRun(name string) bool {
	for i := 1; i < len(name); i++ {
		if strings.IndexByte("-_. ", name[i]) >= 0 && strings.IndexByte("-_. ", name[i-1]) >= 0 {
			return true
		}
	}
	return false
}

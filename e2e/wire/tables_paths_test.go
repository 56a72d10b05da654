// This file has the table of paths: each route in every spelling and in every
// version of the API. And that of queries, which hold credentials.

package wire

import (
	"net/url"
	"strings"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

const (
	signInBody = `<tsRequest><credentials name="x" password="` + secret + `"><site contentUrl=""/></credentials></tsRequest>`
	switchBody = `<tsRequest><site contentUrl="marketing"/></tsRequest>`
)

// routes are what is asked for; {v} stands for the version.
var routes = []call{
	{method: "POST", target: "/api/{v}/auth/signin", body: signInBody, contentType: "application/xml"},
	{method: "POST", target: "/api/{v}/auth/signout"},
	{method: "POST", target: "/api/{v}/auth/switchSite", body: switchBody, contentType: "application/xml"},
	{method: "GET", target: "/api/{v}/auth/signin"},
	{method: "POST", target: "/api/{v}/auth/revokeAll"},
	{method: "DELETE", target: "/api/{v}/auth/serverAdminAccessTokens"},
	{method: "GET", target: "/api/{v}/sessions/current"},
	{method: "DELETE", target: "/api/{v}/sessions/00000000-0000-4000-8000-000000000000"},
	{method: "GET", target: "/api/{v}/serverinfo"},
	{method: "GET", target: "/api/{v}/sites"},
	{method: "GET", target: "/api/{v}/sites/-"},
	{method: "GET", target: "/api/{v}/sites/-/workbooks"},
	{method: "GET", target: "/api/{v}/sites/marketing/workbooks"},
	{method: "GET", target: "/api/{v}/sites/" + tableautest.SiteLUID("engineering") + "/workbooks"},
	{method: "GET", target: "/api/{v}/sites/-/users/-/favorites"},
	{method: "GET", target: "/api/{v}/sites/-/views"},
	{method: "GET", target: "/api/{v}/sites/-/users/-/personal-access-tokens"},
	{method: "GET", target: "/api/{v}/sites/-/connected-applications"},
	{method: "POST", target: "/api/{v}/sites/-/connected-apps/direct-trust/x/secrets", body: "<tsRequest/>"},
	{method: "DELETE", target: "/api/{v}/sites/-/workbooks/00000000-0000-4000-8000-000000000000"},
	{method: "POST", target: "/api/metadata/graphql", body: query, contentType: "application/json"},
	{method: "POST", target: "/relationship-service-war/graphql", body: query, contentType: "application/json"},
	{method: "GET", target: "/api/-/pulse/definitions:batchGet"},
	{method: "POST", target: "/api/v1/vizql-data-service/read-metadata", body: "{}", contentType: "application/json"},
	{method: "GET", target: "/vizportal/api/web/v1/getSessionInfo"},
}

// versions stand where the version of the API does.
var versions = []string{"3.24", "2.0", "3.27", "3.99", "0.1", "3", "exp", "exp/3", "3.24.1", "-", "v3.24", "3%2e24", "3.24;x=y", "\u0663.24"}

// A writing writes a path in another way.
type writing struct {
	name      string
	write     func(string) string
	ambiguous bool // has to be refused, whatever the route
}

// last writes the last segment in another way.
func last(change func(string) string) func(string) string {
	return func(path string) string {
		i := strings.LastIndexByte(path, '/') + 1
		return path[:i] + change(path[i:])
	}
}

// before puts something before the last segment, in the place of its slash.
func before(text string) func(string) string {
	return func(path string) string {
		i := strings.LastIndexByte(path, '/')
		return path[:i] + text + path[i+1:]
	}
}

func after(text string) func(string) string {
	return func(path string) string { return path + text }
}

func around(prefix string) func(string) string {
	return func(path string) string { return prefix + path }
}

// letter writes the first letter of the last segment as something else.
func letter(text func(byte) string) func(string) string {
	return last(func(segment string) string { return text(segment[0]) + segment[1:] })
}

var writings = []writing{
	{"as it is", after(""), false},
	{"an empty query", after("?"), false},
	{"two slashes at the beginning", around("/"), false},
	{"three slashes at the beginning", around("//"), false},
	{"upper case", strings.ToUpper, false},
	{"last segment in upper case", last(strings.ToUpper), false},
	{"a capital", last(func(s string) string { return strings.ToUpper(s[:1]) + s[1:] }), false},
	{"api in upper case", func(s string) string { return strings.Replace(s, "/api/", "/API/", 1) }, false},
	{"two slashes", before("//"), true},
	{"a slash at the end", after("/"), true},
	{"two slashes at the end", after("//"), true},
	{"a dot segment", before("/./"), true},
	{"dot segments", before("/x/../"), true},
	{"a dot segment at the end", after("/."), true},
	{"dot segments at the end", after("/x/.."), true},
	{"dot segments at the beginning", around("/x/.."), true},
	{"an escaped dot segment", before("/%2e/"), true},
	{"escaped dot segments", before("/x/%2e%2E/"), true},
	{"dot segments with an escaped slash", before("/x/..%2f"), true},
	{"dots with a parameter", before("/x/..;/"), true},
	{"an escaped slash", before("%2f"), true},
	{"an escaped slash in upper case", before("%2F"), true},
	{"an escaped slash at the end", after("%2f"), true},
	{"a backslash", before("\\"), true},
	{"an escaped backslash", before("%5c"), true},
	{"an escaped letter", letter(func(c byte) string { return "%" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]) }), true},
	{"an escaped letter in capitals", letter(func(c byte) string { return "%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]) }), true},
	{"a letter escaped twice", letter(func(c byte) string {
		return "%25" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])
	}), true},
	{"a letter in overlong UTF-8", letter(func(c byte) string { return url.PathEscape(string([]byte{0xc0 | c>>6, 0x80 | c&0x3f})) }), true},
	{"an overlong slash", before("%c0%af"), true},
	{"a letter of IIS", letter(func(c byte) string {
		return "%u00" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])
	}), true},
	{"a full-width letter", letter(func(c byte) string { return url.PathEscape(string(rune(c) - '!' + '\uff01')) }), false},
	{"a dotless i", last(func(s string) string { return strings.Replace(s, "i", "%C4%B1", 1) }), false},
	{"a long s", last(func(s string) string { return strings.Replace(s, "s", "%C5%BF", 1) }), false},
	{"a parameter", after(";jsessionid=1"), true},
	{"an empty parameter", after(";"), true},
	{"a parameter before", before(";a=b/"), true},
	{"an escaped semicolon", after("%3b"), true},
	{"an escaped NUL", after("%00"), true},
	{"an escaped line end", after("%0d%0aX-Tableau-Auth:%20" + secret), true},
	{"an escaped tab", after("%09"), true},
	{"an escaped space", after("%20"), false},
	{"an escaped question mark", after("%3f"), true},
	{"an escaped fragment", after("%23x"), true},
	{"a fragment", after("#x"), true},
	{"an escaped percent sign", after("%25"), true},
	{"a broken escape", after("%2"), true},
	{"another broken escape", after("%zz"), true},
	{"a dot at the end", after("."), false},
	{"two dots at the end", after(".."), false},
	{"an extension", after(".json"), false},
	{"a plus sign", after("+"), false},
	{"a zero-width space", after("%e2%80%8b"), true},
	{"a raw byte beyond ASCII", after("\xe9"), true},
	{"a byte order mark", around("/%ef%bb%bf"), true},
	{"a site of the web server", around("/t/finance"), false},
	{"a delete", after("%7f"), true},
	{"a very long path", around("/" + strings.Repeat("a/", 5000)), false},
}

func pathTable(add func(message)) {
	for _, r := range routes {
		for _, version := range versions {
			for _, w := range writings {
				for _, h2 := range protocols {
					m := r.message("paths", h2)
					m.target = w.write(strings.Replace(r.target, "{v}", version, 1))
					m.row, m.want = w.name+", version "+version, whatever
					if w.ambiguous {
						m.want = refused
					}
					add(m)
				}
			}
		}
	}
	for _, h2 := range protocols {
		for _, c := range calls {
			m := c.message("paths", h2)
			m.row = "what goes through"
			add(m)
			if c.method == "POST" || c.method == "OPTIONS" {
				continue // there is no such operation
			}
			for _, segment := range unusual {
				m.row, m.target = "an unusual name", workbooks+"/"+segment
				add(m)
			}
		}
	}
}

// unusual are names with one reading only, which go on as they are: whoever
// decodes them and encodes them again writes them in another way.
var unusual = []string{
	"caf%c3%a9", "caf%C3%A9", "caf%C3%a9", "a%20b", "a%20%20b", "%e2%82%ac", "(x)!*'@", "a:b", "a%3Ab", "a%3ab", "[1]", "%5B1%5D", "$&+,=", "%24%26%2B%2C%3D",
	"a%22b", "a%7Cb", "a%60b", "%28x%29", "~x", "x.y", "-", "...x", "%c3%a9%20%28x%29:[1]", "A%40B", "a@b",
}

// tokenKeys are names of parameters that Tableau's servers take a session from,
// or that somebody could think they do.
var tokenKeys = []string{
	"X-Tableau-Auth", "x-tableau-auth", "X_Tableau_Auth", "x%2dtableau%2dauth", "X-Tableau-Auth[]", "x.tableau.auth",
	":token", "%3Atoken", ":Token", "client_session_id", "Client_Session_Id", "workgroup_session_id", "workgroup%5Fsession%5Fid",
}

func queryTable(add func(message)) {
	for _, key := range tokenKeys {
		for _, q := range []string{
			key + "=" + secret, "a=b&" + key + "=" + secret, key + "=" + secret + "&a=b", key + "=&" + key + "=" + secret,
			"?" + key + "=" + secret, "a=b;" + key + "=" + secret, "&&" + key + "=" + secret, key + "=%68ostile-secret",
		} {
			for _, c := range calls {
				for _, h2 := range protocols {
					m := c.message("queries", h2)
					m.row, m.target, m.want = "a token in "+key, c.target+"?"+q, whatever
					add(m)
				}
			}
		}
	}
}

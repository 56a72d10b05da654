// This file has the tables of methods, and of hosts and forms of targets.

package wire

import "strings"

// methods that Tableau's API does not know, or that are spelled as nobody
// spells them.
var methods = []string{
	"TRACE", "TRACK", "CONNECT", "OPTIONS", "PROPFIND", "MKCOL", "COPY", "MOVE", "LOCK", "SEARCH", "PURGE", "DEBUG", "LINK", "PRI",
	"FOO", "get", "Get", "gET", "post", "delete", "GETX", "XGET", "GET_", "get-", "*", "GET\x00", "G\u0415T", "GET,POST", "",
}

func methodTable(add func(message)) {
	for _, method := range methods {
		for _, target := range []string{workbooks, workbook, "/api/metadata/graphql", api + "/auth/signin", api + "/serverinfo", "*", "tableau.example:443", "/"} {
			for _, body := range []string{"", query, "GET " + workbooks + "?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"} {
				for _, chunked := range []bool{false, true} {
					for _, h2 := range protocols {
						m := call{method: method, target: target, body: body}.message("methods", h2)
						m.row, m.want, m.chunked = strings.ToValidUTF8(method, "?"), refused, chunked
						add(m)
					}
				}
			}
		}
	}
}

var hosts = []string{
	"proxy.example", "PROXY.EXAMPLE", "evil.example", "tableau.example:443", "127.0.0.1", "[::1]", "[::1]:8443", "localhost", "169.254.169.254",
	"proxy.example:80", "proxy.example:99999", "proxy.example.", "user:" + secret + "@proxy.example", "proxy.example/api", "proxy example",
	"proxy.example,evil.example", "evil.example\\@proxy.example", "\x00", "proxy.example\t", "xn--e1afmkfd.example", "a..b", "%65vil.example", "{env.HOME}", "{http.auth.user.id}", "",
}

// forms write a target with a host in it.
var forms = []func(host, target string) string{
	func(_, target string) string { return target },
	func(host, target string) string { return "http://" + host + target },
	func(host, target string) string { return "https://" + host + target },
	func(host, target string) string { return "HTTP://" + host + target },
	func(host, target string) string { return "//" + host + target },
	func(host, target string) string { return "ftp://" + host + target },
	func(host, _ string) string { return host },
}

func hostTable(add func(message)) {
	for _, host := range hosts {
		for _, form := range forms {
			for _, c := range calls {
				for _, h2 := range protocols {
					m := c.message("hosts", h2)
					m.row, m.target, m.host, m.want = "host "+host, form("evil.example", c.target), host, whatever
					m.target = strings.Replace(m.target, "evil.example", host, 1)
					add(atOrigin(m))
					m.target = form("other.example", c.target)
					add(atOrigin(m))
					m.fields = append(m.fields, field{"Host", "second.example"})
					if !h2 && host != "" {
						m.want = refused
					}
					add(m)
				}
			}
		}
	}
}

// atOrigin is m with a target that the judge can compare: what an absolute one
// names is not its business.
func atOrigin(m message) message {
	if m.host == "proxy.example" && strings.HasPrefix(m.target, "/api/") {
		m.want = passes
	}
	if m.method == "OPTIONS" {
		m.want = refused
	}
	return m
}

// This file has the tables of what concerns a connection and not a message:
// Connection, Upgrade, Expect; and of how a body is framed.

package wire

import (
	"fmt"
	"strings"
)

var connectionTokens = []string{
	"X-Tableau-Auth", headerID, "Host", "Authorization", "Content-Length", "Transfer-Encoding", "Content-Type", "Cookie", "User-Agent", "X-Forwarded-For",
	"Accept", "Trailer", "TE", "Connection", "close", "keep-alive", "upgrade", "HTTP2-Settings", "Proxy-Connection", "Expect", "Via", "X-Request-Id",
	"", ",", `"x-tableau-auth"`, "x-tableau-auth;q=1", "x_tableau_auth", "*", "x-tableau-auth\x0b", "\u212aeep-alive", "x-tableau-auth=1",
}

// lists put a token of Connection among others.
var lists = []func(string) []field{
	func(token string) []field { return []field{{"Connection", token}} },
	func(token string) []field { return []field{{"connection", strings.ToLower(token)}} },
	func(token string) []field { return []field{{"CONNECTION", strings.ToUpper(token)}} },
	func(token string) []field { return []field{{"Connection", "close, " + token}} },
	func(token string) []field { return []field{{"Connection", token + ",keep-alive"}} },
	func(token string) []field { return []field{{"Connection", " \t" + token + "\t, ," + token}} },
	func(token string) []field { return []field{{"Connection", "keep-alive"}, {"Connection", token}} },
	func(token string) []field {
		return []field{{"Connection", token}, {"X-Other", "x"}, {"connection", token}}
	},
	func(token string) []field { return []field{{"Proxy-Connection", token}, {"Keep-Alive", token}} },
	func(token string) []field { return []field{{"Connection", strings.Repeat(token+",", 100)}} },
	func(token string) []field { return []field{{"Connection_", token}, {"connection.", token}} },
}

func connectionTable(add func(message)) {
	for _, token := range connectionTokens {
		for _, list := range lists {
			for _, c := range calls {
				for _, h2 := range protocols {
					m := c.message("connection", h2)
					m.row, m.fields = "token "+token, append(m.fields, list(token)...)
					if h2 || strings.ContainsAny(token, "\x0b\u212a") {
						m = m.relaxed()
					}
					add(m)
				}
			}
		}
	}
}

func upgradeTable(add func(message)) {
	for _, protocol := range []string{"websocket", "WebSocket", "h2c", "HTTP/2.0", "TLS/1.0", "h2c, websocket", "connect-udp", secret, ""} {
		for _, connection := range []string{"Upgrade", "upgrade", "Upgrade, HTTP2-Settings", "keep-alive, Upgrade", "Upgrade, X-Tableau-Auth", "close", ""} {
			for _, c := range calls {
				for _, key := range []string{"", "dGhlIHNhbXBsZSBub25jZQ=="} {
					for _, h2 := range protocols {
						m := c.message("upgrade", h2)
						m.row = "Upgrade: " + protocol
						m.fields = append(m.fields, field{"Upgrade", protocol}, field{"HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"})
						if connection != "" {
							m.fields = append(m.fields, field{"Connection", connection})
						}
						if key != "" {
							m.fields = append(m.fields, field{"Sec-WebSocket-Key", key}, field{"Sec-WebSocket-Version", "13"})
						}
						if h2 {
							m = m.relaxed()
						}
						add(m)
					}
				}
			}
		}
	}
}

func expectTable(add func(message)) {
	for _, value := range []string{"100-continue", "100-Continue", "100-continue, 100-continue", "200-ok", "100-continue;x", "x=y", ""} {
		for _, name := range []string{"Expect", "expect", "EXPECT", "Expect_"} {
			for _, c := range calls {
				for _, body := range []string{"", c.body, query, strings.Repeat(query, 2000)} {
					for _, chunked := range []bool{false, true} {
						for _, h2 := range protocols {
							m := c.message("expect", h2)
							m.row, m.body, m.chunked, m.want = "Expect: "+value, body, chunked, whatever
							m.fields = append(m.fields, field{name, value})
							add(m)
						}
					}
				}
			}
		}
	}
}

// lengths are values of Content-Length for a body of 34 bytes.
var lengths = []string{"34", "034", "+34", " 34", "34 ", "34,34", "34, 35", "0x22", "3_4", "-34", "34.0", "3.4e1", "\u0663\u0664", "99999999999999999999", "18446744073709551650", ""}

// codings are values of Transfer-Encoding.
var codings = []string{
	"chunked", "Chunked", "CHUNKED", " chunked", "chunked ", "\tchunked", "chunked\t", "xchunked", "chunked, identity", "identity, chunked", "identity", "gzip, chunked",
	"chunked, chunked", "chunked;x=y", "\"chunked\"", "chunked,", ",chunked", "\x0bchunked", "chunked\x00", "chun\u212aed", "cow", "",
}

// framingTable frames a body in ways of which two servers could make two
// things. Every message has a connection of its own.
func framingTable(add func(message)) {
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(query), query)
	for _, method := range []string{"POST", "GET", "PUT", "DELETE", "HEAD"} {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/01.1", "HTTP/1.1 "} {
			head := method + " /api/metadata/graphql " + version + "\r\nHost: proxy.example\r\nContent-Type: application/json\r\n" + headerID + ": " + noID + "\r\n" + "Authorization: " + authorization("alice") + "\r\n"
			for _, length := range lengths {
				addRaw(add, "Content-Length "+length, head+"Content-Length:"+length+"\r\n\r\n"+query)
				addRaw(add, "two lengths", head+"Content-Length: 34\r\nContent-Length:"+length+"\r\n\r\n"+query)
			}
			for _, coding := range codings {
				addRaw(add, "Transfer-Encoding "+coding, head+"Transfer-Encoding:"+coding+"\r\n\r\n"+chunks)
				addRaw(add, "a length and "+coding, head+"Content-Length: 34\r\nTransfer-Encoding:"+coding+"\r\n\r\n"+chunks)
				addRaw(add, coding+" and a length", head+"Transfer-Encoding:"+coding+"\r\nContent-Length: 5\r\n\r\n"+chunks)
				addRaw(add, "two codings", head+"Transfer-Encoding: chunked\r\nTransfer-Encoding:"+coding+"\r\n\r\n"+chunks)
				addRaw(add, "a name in underscores", head+"Transfer_Encoding:"+coding+"\r\nContent-Length: 34\r\n\r\n"+query)
			}
		}
	}
}

// addRaw adds a message that is only bytes.
func addRaw(add func(message), row, raw string) {
	method, _, _ := strings.Cut(raw, " ")
	add(message{class: "framing", row: row, to: plain, user: "alice", method: method, target: "/api/metadata/graphql", raw: raw})
}

// identities are what may stand in the header that names the sender.
var identities = []string{
	"alice", "bob", "alice,bob", "alice, bob", "alice bob", " alice ", "ALICE", "", " ", "alice\x00", "alice\x01", "alice\u202e", "ali\u200bce", "\xff\xfe", "alic\u0065\u0301",
	"{env.TABLEAU_SECRET}", "{http.request.header.X-Other}", "{http.auth.user.id}", "${HOME}", `alice","sub":"bob`, "alice|bob", "alice/../bob", "alice%00", "alice@a@b", "*", "-",
	strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 9000), "\u212aim", "alice\u2028", "al\u0131ce", "alice;bob", "=?utf-8?q?bob?=", "admin",
}

func identityTable(add func(message)) {
	for _, identity := range identities {
		for _, s := range spellings {
			for _, also := range []string{"", "bob", identity} {
				for _, c := range calls[:4] {
					for _, h2 := range protocols {
						m := c.message("identity", h2)
						m.to, m.row, m.user, m.want = byHeader, s.name+", "+fmt.Sprintf("%.40q", identity), "", whatever
						names := s.fields(remoteUser, identity)
						if also != "" {
							names = append(names, field{strings.ToLower(remoteUser), also})
						}
						m.named = nameOf(names)
						m.fields = append(m.fields, append(names, field{"X-Other", "bob"})...)
						add(m)
					}
				}
			}
		}
	}
}

// nameOf is the name that the headers give, if they give one; otherwise it is
// one that nobody has.
func nameOf(headers []field) string {
	var names []string
	for _, f := range headers {
		if strings.EqualFold(f.name, remoteUser) && isToken(f.name) {
			names = append(names, strings.Trim(f.value, " \t"))
		}
	}
	if len(names) == 1 && names[0] != "" {
		return names[0]
	}
	return "(nobody)"
}

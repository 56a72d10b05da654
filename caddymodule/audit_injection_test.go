package caddymodule

// This file puts into every field that a client can set what could be taken for
// a record, for a line, or for a command to a terminal.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile are values that logs have been forged with.
func hostile() map[string]string {
	return map[string]string{
		"line":     "x\r\n{\"seq\":0,\"event\":\"egress.outcome\",\"status\":200}\r\n",
		"escape":   "x\x1b]0;owned\x07\x1b[2J\x1b[31mred",
		"lines":    "x\u2028{\"event\":\"forged\"}\u2029\u0085",
		"quotes":   `x","event":"forged","identity":"root`,
		"bytes":    "x\xff\xfe\xc0\xaf\x80",
		"reverse":  "x\u202etxt.exe\u200b\ufeff",
		"nul":      "x\x00y",
		"long":     strings.Repeat("A", 20<<10),
		"template": "x{env.HOME}{http.request.header.Authorization}${jndi:ldap://x}",
	}
}

// fits makes a header value of what HTTP lets through: net/http refuses the rest
// before it comes to us.
func fits(value string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 || unicode.IsControl(r) && r < 0x80 && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(value, "\xff"))
}

func escaped(value string) string {
	var b strings.Builder
	for i := range len(value) {
		fmt.Fprintf(&b, "%%%02X", value[i])
	}
	return b.String()
}

func TestInjection(t *testing.T) {
	r := startedAudit(t, setup{options: defaultOptions})
	for name, value := range hostile() {
		for _, c := range []call{
			{user: "alice", path: workbooks + "?filter=" + escaped(value)},
			{user: "alice", path: workbooks + "?" + escaped(value) + "=1"},
			{user: "alice", path: api + "/sites/-/workbooks/" + escaped(value)},
			{user: "alice", path: "/" + escaped(value)},
			{user: "alice", path: workbooks, header: headers("User-Agent", fits(value))},
			{user: "alice", path: workbooks, header: headers("X-Request-Id", fits(value))},
			{user: "alice", path: workbooks, header: headers("Traceparent", fits(value))},
			{user: "alice", path: workbooks, header: headers("X-Tableau-Site", fits(value))},
			{user: "alice", path: workbooks, header: headers("X-Tableau-Auth", fits(value))},
			{user: "alice", path: workbooks, header: headers("X-Forwarded-For", fits(value))},
			{user: "alice", path: workbooks, header: headers("Referer", fits(value), "Accept", fits(value), "Content-Type", fits(value))},
			{user: "alice", method: "POST", path: api + "/auth/signin", body: `{"credentials":{"name":` + quotedJSON(value) + `,"password":"x","site":{"contentUrl":` + quotedJSON(value) + `}}}`},
		} {
			if c.method == "" && strings.HasPrefix(c.path, workbooks+"?") {
				c.method = http.MethodGet
			}
			if _, err := r.send(t.Context(), c); err != nil && name != "long" {
				t.Errorf("%s: %s: %v", name, c.path[:min(60, len(c.path))], err)
			}
		}
	}
	r.raw(t, "alice", "PU\"RGE "+workbooks+" HTTP/1.1", "", "")
	// An identity comes from whoever verifies it, who may not look at it.
	r.load(t, r.audited(setup{before: "\theader X-Front none", options: "\t\tsite finance\n\t\tuser {http.request.header.X-User}\n\t\tidentity_headers any"}))
	for name, value := range hostile() {
		if _, err := r.send(t.Context(), call{path: workbooks, header: headers("X-User", fits(value))}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.stop(t)
	r.intact(t)
	r.covered(t)

	text, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, text)
	for _, e := range r.events(t) {
		if e["event"] == "forged" || e["identity"] == "root" {
			t.Errorf("forged: %v", e)
		}
	}
	if n := len(r.events(t, eventIdentityReject)); n < 8 {
		t.Errorf("%d identities were refused", n)
	}
	var out bytes.Buffer
	if err := showAudit(t.Context(), r.path, auditFilter{}, false, &out); err != nil {
		t.Fatal(err)
	}
	checkPrintable(t, out.Bytes())
}

func quotedJSON(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// checkLines checks that each line is one object in which everything can be seen.
func checkLines(t *testing.T, text []byte) {
	t.Helper()
	for n, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil || fields["seq"] != float64(n) {
			t.Errorf("line %d is not record %d: %v: %.200q", n+1, n, err, line)
		}
		if len(line) > 80<<10 {
			t.Errorf("line %d has %d bytes", n+1, len(line))
		}
		checkPrintable(t, line)
	}
}

func checkPrintable(t *testing.T, text []byte) {
	t.Helper()
	if !utf8.Valid(text) {
		t.Errorf("not UTF-8: %.200q", text)
	}
	for _, c := range string(text) {
		if c != '\n' && !unicode.IsGraphic(c) {
			t.Errorf("%U in %.200q", c, text)
			return
		}
	}
}

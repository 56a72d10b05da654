// The tests of this file send sign-ins that no client sends, over real
// connections: each is answered as Tableau does, and none reaches Tableau.

package clients

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

// malformed are bodies of a sign-in. What is good about them is good enough to
// sign in with.
func malformed() map[string]string {
	credentials := fmt.Sprintf(`<credentials name=%q password=%q><site contentUrl="finance"/></credentials>`, etl.name, etl.secret)
	good := "<tsRequest>" + credentials + "</tsRequest>"
	goodJSON := fmt.Sprintf(`{"credentials":{"name":%q,"password":%q,"site":{"contentUrl":"finance"}}}`, etl.name, etl.secret)
	padding := strings.Repeat(" ", 1<<20)
	return map[string]string{
		"nothing":                        "",
		"text":                           "name=etl&password=x",
		"XML that ends early":            good[:len(good)/2],
		"XML without its end":            strings.TrimSuffix(good, "</tsRequest>"),
		"XML of 1 MiB":                   "<tsRequest>" + credentials + "<!--" + padding + "--></tsRequest>",
		"XML followed by 1 MiB of space": good + padding,
		"XML nested deep":                strings.Repeat("<a>", 10_000) + good + strings.Repeat("</a>", 10_000),
		"XML nested deep inside":         "<tsRequest>" + credentials + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</tsRequest>",
		"a DTD":                          "<!DOCTYPE tsRequest>" + good,
		"an entity":                      `<!DOCTYPE t [<!ENTITY u "etl">]>` + strings.Replace(good, `name="etl"`, `name="&u;"`, 1),
		"an external entity":             `<!DOCTYPE t [<!ENTITY u SYSTEM "file:///etc/passwd">]>` + strings.Replace(good, `name="etl"`, `name="&u;"`, 1),
		"entities that grow":             laughs(good),
		"an entity that is not declared": strings.Replace(good, `name="etl"`, `name="&u;"`, 1),
		"an attribute twice":             strings.Replace(good, `name="etl"`, `name="etl" name="reports"`, 1),
		"credentials twice":              "<tsRequest>" + credentials + credentials + "</tsRequest>",
		"two documents":                  good + good,
		"XML that is not UTF-8":          strings.Replace(good, `name="etl"`, "name=\"etl\xff\"", 1),
		"XML that says it is not UTF-8":  `<?xml version="1.0" encoding="UTF-16"?>` + good,
		"another root":                   strings.ReplaceAll(good, "tsRequest", "tsResponse"),
		"another namespace":              strings.Replace(good, "<tsRequest>", `<tsRequest xmlns="urn:x">`, 1),
		"no credentials":                 "<tsRequest/>",
		"credentials of two kinds":       strings.Replace(good, `name="etl"`, `name="etl" jwt="a.b.c"`, 1),
		"JSON that ends early":           goodJSON[:len(goodJSON)/2],
		"JSON without its end":           strings.TrimSuffix(goodJSON, "}"),
		"JSON of 1 MiB":                  strings.Replace(goodJSON, "{", `{"padding":"`+padding+`",`, 1),
		"JSON nested deep":               `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}",
		"JSON nested deep inside":        strings.Replace(goodJSON, "{", `{"a":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+",", 1),
		"a key twice":                    strings.Replace(goodJSON, `"name":"etl"`, `"name":"reports","name":"etl"`, 1),
		"credentials twice in JSON":      strings.Replace(goodJSON, "{", `{"credentials":{},`, 1),
		"JSON that is not UTF-8":         strings.Replace(goodJSON, `"etl"`, "\"etl\xff\"", 1),
		"two JSON documents":             goodJSON + goodJSON,
		"a list":                         "[" + goodJSON + "]",
		"a number for a name":            strings.Replace(goodJSON, `"etl"`, "1", 1),
		"an object for a name":           strings.Replace(goodJSON, `"etl"`, `{"a":1}`, 1),
		"a list for a password":          fmt.Sprintf(`{"credentials":{"name":"etl","password":[%q]}}`, etl.secret),
		"text for credentials":           `{"credentials":"etl"}`,
		"text for a site":                strings.Replace(goodJSON, `{"contentUrl":"finance"}`, `"finance"`, 1),
		"null for credentials":           `{"credentials":null}`,
	}
}

// laughs is the document whose entities grow to gigabytes.
func laughs(good string) string {
	var b strings.Builder
	b.WriteString(`<!DOCTYPE t [<!ENTITY a0 "ha">`)
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "<!ENTITY a%d \"%s\">", i, strings.Repeat(fmt.Sprintf("&a%d;", i-1), 10))
	}
	return b.String() + "]>" + strings.Replace(good, `name="etl"`, `name="&a9;"`, 1)
}

func TestMalformedSignInsEndAtTheProxy(t *testing.T) {
	r := newRig(t)
	client := r.httpClient()
	for name, body := range malformed() {
		t.Run(name, func(t *testing.T) {
			for _, base := range []string{r.https, r.http, r.basic} {
				r.expectMalformed(t, client, base, body)
			}
		})
	}
	if got := len(r.Journal()); got > 0 {
		t.Errorf("%d requests reached Tableau, the first was %s", got, r.Journal()[0].Path)
	}
}

// expectMalformed sends a body as a sign-in, labelled as XML and as JSON.
func (r *rig) expectMalformed(t *testing.T, client *http.Client, base, body string) {
	t.Helper()
	for _, label := range []string{"application/xml", "application/json"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/3.24/auth/signin", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", label)
		req.Header.Set("Accept", label)
		req.SetBasicAuth("alice", password)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s as %s: %v", base, label, err)
		}
		r.expectBadRequest(t, resp, label)
	}
}

// expectBadRequest fails the test unless the answer is an error 400 in
// Tableau's shape, in the format that was asked for, and quotes no secret.
func (r *rig) expectBadRequest(t *testing.T, resp *http.Response, format string) {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != format+";charset=utf-8" {
		t.Errorf("got %s, %q, want 400 in %s", resp.Status, resp.Header.Get("Content-Type"), format)
	}
	if got := resp.Header.Get("X-Tableau-Proxy-Error"); got != "sign_in_malformed" {
		t.Errorf("X-Tableau-Proxy-Error is %q", got)
	}
	code, detail := tableauError(text)
	if code != "400000" || detail == "" {
		t.Errorf("code %q, detail %q in %q", code, detail, text)
	}
	if strings.Contains(string(text), etl.secret) || strings.Contains(string(text), "root:") {
		t.Error("the answer holds a secret")
	}
}

// tableauError reads an error in Tableau's shape.
func tableauError(text []byte) (code, detail string) {
	var x struct {
		XMLName xml.Name `xml:"http://tableau.com/api tsResponse" json:"-"`
		Error   struct {
			Code    string `xml:"code,attr" json:"code"`
			Summary string `xml:"summary" json:"summary"`
			Detail  string `xml:"detail" json:"detail"`
		} `xml:"error" json:"error"`
	}
	if bytes.HasPrefix(text, []byte("{")) {
		_ = json.Unmarshal(text, &x) // what it is not shows as empty
	} else {
		_ = xml.Unmarshal(text, &x)
	}
	return x.Error.Code, x.Error.Detail
}

// A body that is announced and does not come is no sign-in either.
func TestASignInThatBreaksOffEndsAtTheProxy(t *testing.T) {
	r := newRig(t)
	host := strings.TrimPrefix(r.https, "https://")
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: r.roots(), ServerName: "localhost"}}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := "<tsRequest><credentials name='" + etl.name + "' password='" + etl.secret + "'/></tsRequest>"
	fmt.Fprintf(conn, "POST /api/3.24/auth/signin HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(body)+1, body)
	if err := conn.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.expectBadRequest(t, resp, "application/xml")
	if got := len(r.Journal()); got > 0 {
		t.Errorf("%d requests reached Tableau", got)
	}
}

// httpClient trusts the proxy.
func (r *rig) httpClient() *http.Client {
	r.t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots()}, ForceAttemptHTTP2: true}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func (r *rig) roots() *x509.CertPool {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "proxy.pem"))
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// The same bodies without what is wrong with them do sign in: otherwise the
// tests above would show nothing.
func TestWellFormedSignInsPass(t *testing.T) {
	r := newRig(t)
	for label, body := range map[string]string{
		"application/xml":  fmt.Sprintf(`<tsRequest><credentials name=%q password=%q><site contentUrl="finance"/></credentials></tsRequest>`, etl.name, etl.secret),
		"application/json": fmt.Sprintf(`{"credentials":{"name":%q,"password":%q,"site":{"contentUrl":"finance"}}}`, etl.name, etl.secret),
	} {
		resp, err := r.httpClient().Post(r.https+"/api/3.24/auth/signin", label, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", label, resp.Status)
		}
	}
	if got := r.SignIns(tableautest.SignInFilter{User: "alice"}); got != 1 {
		t.Errorf("sign-ins at Tableau: %d, want 1", got)
	}
}

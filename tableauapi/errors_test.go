package tableauapi

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDecodeErrorReadsEveryShape(t *testing.T) {
	tests := map[string]struct {
		body string
		want Error
	}{
		"REST, XML": {
			`<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns="http://tableau.com/api" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://tableau.com/api https://help.tableau.com/samples/en-us/rest_api/ts-api_3_21.xsd"><error code="401001"><summary>Signin Error</summary><detail>Error signing in to Tableau Server</detail></error></tsResponse>`,
			Error{"401001", "Signin Error", "Error signing in to Tableau Server"},
		},
		"REST, XML of an old server, indented": {
			"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<tsResponse xmlns=\"http://tableausoftware.com/api\">\n  <error code=\"404003\">\n    <summary>Resource Not Found</summary>\n    <detail>a &amp; b</detail>\n  </error>\n</tsResponse>\n",
			Error{"404003", "Resource Not Found", "a & b"},
		},
		"REST, XML with a prefix": {
			`<t:tsResponse xmlns:t="http://tableau.com/api"><t:error code="403004"><t:summary>Forbidden</t:summary><t:detail>no</t:detail></t:error></t:tsResponse>`,
			Error{"403004", "Forbidden", "no"},
		},
		"REST, JSON": {
			`{"error":{"summary":"Unauthorized Access","detail":"Invalid authentication credentials were provided.","code":"401002"}}`,
			Error{"401002", "Unauthorized Access", "Invalid authentication credentials were provided."},
		},
		"VizQL Data Service": {
			`{"errorCode":"403800","message":"API access denied","messages":["a",{"b":[1,2.5e3,null,true]}],"datetime":"2025-01-01T00:00:00Z","debug":{"x":{"y":[[]]}},"tab-error-code":"403157"}`,
			Error{"403800", "", "API access denied"},
		},
		"Pulse": {`{"code":"400901","message":"0x1B2C3D4E"}`, Error{"400901", "", "0x1B2C3D4E"}},
		"no detail": {
			`<tsResponse xmlns="http://tableau.com/api"><error code="500000"/></tsResponse>`, Error{Code: "500000"},
		},
		"byte order mark and space": {"\ufeff \r\n" + `{"code":"400901","message":"m"}`, Error{"400901", "", "m"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := DecodeError([]byte(tt.body))
			if !ok {
				t.Fatal("not taken for an error")
			}
			if *got != tt.want {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
		})
	}
}

func TestDecodeErrorRefusesWhatIsNotTableaus(t *testing.T) {
	tests := map[string]string{
		"nothing":            "",
		"text":               "401002",
		"HTML":               "<!DOCTYPE html><html><body>401002</body></html>",
		"XHTML":              `<html xmlns="http://www.w3.org/1999/xhtml"><error code="401002"/></html>`,
		"no namespace":       `<tsResponse><error code="401002"/></tsResponse>`,
		"foreign namespace":  `<tsResponse xmlns="http://example.com/api"><error code="401002"/></tsResponse>`,
		"error of another":   `<tsResponse xmlns="http://tableau.com/api"><error xmlns="http://example.com" code="401002"/></tsResponse>`,
		"no error in it":     `<tsResponse xmlns="http://tableau.com/api"><credentials token="x"/></tsResponse>`,
		"OAuth":              `{"error":"invalid_token","error_description":"401002"}`,
		"code is a word":     `{"code":"unauthenticated","message":"m"}`,
		"code is a number":   `{"error":{"summary":"s","detail":"d","code":401002}}`,
		"code is too short":  `{"code":"40","message":"m"}`,
		"code is too long":   `{"code":"4010020000","message":"m"}`,
		"two codes":          `{"error":{"code":"401002","code":"401001"}}`,
		"two errors":         `{"error":{"code":"401002"},"error":{"code":"401002"}}`,
		"two error elements": `<tsResponse xmlns="http://tableau.com/api"><error code="401002"/><error code="401001"/></tsResponse>`,
		"code is an object":  `{"error":{"code":{"value":"401002"}}}`,
		"data behind":        `{"code":"400901","message":"m"} x`,
		"an array":           `[{"code":"400901","message":"m"}]`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if e, ok := DecodeError([]byte(body)); ok {
				t.Errorf("taken for the error %v", e)
			}
		})
	}
}

func TestErrorEncode(t *testing.T) {
	e := &Error{Code: "403004", Summary: "For<bidden", Detail: `a "b" & c`}
	const wantXML = `<?xml version='1.0' encoding='UTF-8'?><tsResponse xmlns="http://tableau.com/api"><error code="403004"><summary>For&lt;bidden</summary><detail>a &#34;b&#34; &amp; c</detail></error></tsResponse>`
	if got := string(e.Encode(XML)); got != wantXML {
		t.Errorf("XML:\n got %s\nwant %s", got, wantXML)
	}
	const wantJSON = `{"error":{"summary":"For<bidden","detail":"a \"b\" & c","code":"403004"}}`
	if got := string(e.Encode(JSON)); got != wantJSON {
		t.Errorf("JSON:\n got %s\nwant %s", got, wantJSON)
	}
}

// The Tableau Server Client wants text in every part.
func TestErrorEncodeLeavesNoPartEmpty(t *testing.T) {
	for _, f := range []Format{XML, JSON} {
		got, ok := DecodeError((&Error{Code: "500000"}).Encode(f))
		if !ok || got.Summary == "" || got.Detail == "" {
			t.Errorf("%v: %+v", f, got)
		}
		got, ok = DecodeError((&Error{Code: "500000", Summary: "s"}).Encode(f))
		if !ok || got.Detail != "s" {
			t.Errorf("%v: %+v", f, got)
		}
	}
}

func TestErrorEncodeReplacesWhatItCannotCarry(t *testing.T) {
	e := &Error{Code: "400000", Summary: "a\x00b\xffc", Detail: "\u202e]]>\x1b[31m"}
	got, ok := DecodeError(e.Encode(XML))
	if !ok || got.Summary != "a\ufffdb\ufffdc" || got.Detail != "\u202e]]>\ufffd[31m" {
		t.Errorf("XML: %t %+q", ok, got)
	}
	body := e.Encode(JSON)
	got, ok = DecodeError(body)
	if !json.Valid(body) || !ok || got.Summary != "a\x00b\ufffdc" || got.Detail != e.Detail {
		t.Errorf("JSON: %t %+q", ok, got)
	}
}

func TestErrorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Error{
			Code:    rapid.StringMatching(`[45][0-9]{5}`).Draw(t, "code"),
			Summary: xmlText(t, "summary"),
			Detail:  xmlText(t, "detail"),
		}
		for _, f := range []Format{XML, JSON} {
			got, ok := DecodeError(want.Encode(f))
			if !ok || *got != want {
				t.Fatalf("%v: got %+v, want %+v", f, got, want)
			}
		}
	})
}

// xmlText draws text, never empty, of characters that XML can carry.
func xmlText(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("aZ09 \t\n\r<>&\"'=]{}/\\%;é日\u00a0\u2028\U0001f600")), 1, 40, -1).Draw(t, label)
}

func TestErrorText(t *testing.T) {
	tests := []struct {
		e    Error
		want string
	}{
		{Error{"401002", "Unauthorized", "Invalid"}, "401002: Unauthorized: Invalid"},
		{Error{"401002", "", "Invalid"}, "401002: Invalid"},
		{Error{}, "tableau error without a code"},
		{Error{"1", "a\r\nb", "\x1b[31m\u202e\u2028\x00\xff é"}, `1: a\r\nb: \x1b[31m\u202e\u2028\x00\xff é`},
	}
	for _, tt := range tests {
		if got := tt.e.Error(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
	long := (&Error{Code: "500000", Summary: strings.Repeat("x", 5000), Detail: "end"}).Error()
	if len(long) > maxErrorText+16 || !strings.HasSuffix(long, "x...") {
		t.Errorf("a long text has %d bytes and ends in %q", len(long), long[len(long)-8:])
	}
}

func TestErrorStatus(t *testing.T) {
	for code, want := range map[string]int{
		"401002": 401, "503": 503, "409004": 409, "504000": 504,
		"": 0, "40": 0, "200000": 0, "600000": 0, "399999": 0, "4x1002": 0, "-40100": 0, "99999999999999999999": 0,
	} {
		if got := (&Error{Code: code}).Status(); got != want {
			t.Errorf("%q: got %d, want %d", code, got, want)
		}
	}
}

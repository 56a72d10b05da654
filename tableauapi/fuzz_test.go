package tableauapi

// The fuzz targets of this file state what holds of every input; their corpus
// is in testdata/fuzz.

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func FuzzDecodeSignInAnswer(f *testing.F) {
	f.Add([]byte(capturedXML))
	f.Fuzz(func(t *testing.T, body []byte) {
		checkSession(t, body)
		got, err := DecodeSignInAnswer(body)
		if err != nil {
			checkRefusal(t, body, err, got.Token)
			return
		}
		checkWellFormed(t, body)
		token := got.Token.Reveal()
		if token == "" || len(token) > maxToken || strings.ContainsAny(token, " \r\n\x00") || !IsLUID(got.SiteID) || !IsLUID(got.UserID) {
			t.Fatalf("accepted %+v", got)
		}
		for _, format := range []Format{XML, JSON} {
			again, err := DecodeSignInAnswer(got.Encode(format))
			if err == nil && format == XML && hasNoXML(got.ContentURL+got.EstimatedTimeToExpiration) {
				continue // replaced, as documented
			}
			if len(body) < maxBody/8 && (err != nil || !sameAnswer(again, got)) {
				t.Fatalf("%v: %+v comes back as %+v, %v", format, got, again, err)
			}
		}
	})
}

func FuzzDecodeCredentials(f *testing.F) {
	f.Add([]byte(`<tsRequest><credentials jwt="a.b.c" isUat="false"><site contentUrl="x"/></credentials></tsRequest>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := DecodeSwitchSite(body); err == nil {
			checkWellFormed(t, body)
		}
		got, err := DecodeCredentials(body)
		if err != nil {
			checkRefusal(t, body, err, got.JWT, got.Password, got.TokenSecret)
			return
		}
		checkWellFormed(t, body)
		if got.oneKind(true) != nil || got.UAT && got.JWT.IsZero() {
			t.Fatalf("accepted %+v", got)
		}
		again, err := DecodeCredentials(got.Encode(JSON))
		if len(body) < maxBody/8 && (err != nil || !sameCredentials(again, got)) {
			t.Fatalf("%+v comes back as %+v, %v", got, again, err)
		}
	})
}

func FuzzDecodeError(f *testing.F) {
	f.Add([]byte(`{"error":{"summary":"s","detail":"d (16)","code":"401001"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := DecodeError(body)
		if !ok {
			return
		}
		checkWellFormed(t, body)
		if text := got.Error(); len(text) > maxErrorText+32 || strings.ContainsAny(text, "\r\n\x1b\x00\u2028\u202e") {
			t.Fatalf("unsafe text %q", text)
		}
		if status := got.Status(); status != 0 && (status < 400 || status > 599) {
			t.Fatalf("status %d", status)
		}
		if code, ok := got.SubCode(); ok && code <= 0 {
			t.Fatalf("sub-code %d", code)
		}
		for _, format := range []Format{XML, JSON} {
			again, ok := DecodeError(got.Encode(format))
			if len(body) < maxBody/8 && (!ok || again.Code != got.Code) {
				t.Fatalf("%v: %+v comes back as %+v", format, got, again)
			}
		}
	})
}

func FuzzCanonicalPath(f *testing.F) {
	f.Add("//api/3.24/sites/-/users/-")
	f.Fuzz(func(t *testing.T, path string) {
		checkCanonical(t, path)
		checkRoute(t, path)
		if canonical, err := CanonicalPath(path); err == nil {
			checkRoute(t, canonical)
		}
	})
}

// checkSession feeds the two other decoders of answers.
func checkSession(t *testing.T, body []byte) {
	t.Helper()
	if got, err := DecodeCurrentSession(body); err == nil {
		checkWellFormed(t, body)
		if !IsLUID(got.SiteID) || !IsLUID(got.UserID) {
			t.Fatalf("accepted %+v", got)
		}
	}
	if got, err := DecodeServerInfo(body); err == nil {
		checkWellFormed(t, body)
		if !isVersion(got.RESTAPIVersion) {
			t.Fatalf("accepted %+v", got)
		}
	}
}

// checkRefusal checks that an error is bounded and comes alone.
func checkRefusal(t *testing.T, body []byte, err error, secrets ...Secret) {
	t.Helper()
	if len(err.Error()) > 200 {
		t.Fatalf("an endless error for %.100q: %v", body, err)
	}
	for _, s := range secrets {
		if !s.IsZero() {
			t.Fatalf("a secret comes with the error for %.100q", body)
		}
	}
}

// checkWellFormed checks an accepted body with the standard decoders.
func checkWellFormed(t *testing.T, body []byte) {
	t.Helper()
	if len(body) > maxBody {
		t.Fatalf("accepted %d bytes", len(body))
	}
	text := strings.TrimPrefix(string(body), "\ufeff")
	if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		if !json.Valid([]byte(text)) {
			t.Fatalf("accepted invalid JSON: %.100q", body)
		}
		return
	}
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("accepted broken XML: %v", err)
		}
		if _, ok := token.(xml.Directive); ok {
			t.Fatalf("accepted a directive: %.100q", body)
		}
	}
}

// hasNoXML reports whether s holds characters that XML cannot carry, or the
// replacement for them.
func hasNoXML(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r == '\ufffd' || r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
	})
}

package tableauauth

// The fuzz targets of this file state what holds of the names of headers and of
// what comes back from Tableau.

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// slowNormal is NormalHeaderName, character by character.
func slowNormal(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch r {
		case '_', '.', ' ', '-':
			b.WriteByte('-')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// FuzzNormalHeaderName spells names in the way of a lenient server, and removes
// those of credentials, and no others.
func FuzzNormalHeaderName(f *testing.F) {
	for _, seed := range []string{"X-Tableau-Auth", "x_tableau.auth", "AUTHORIZATION", "Coo\u212aie", "Proxy Authorization", "x-tableau-auth\x00", "", "\xff_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		normal := NormalHeaderName(name)
		if want := slowNormal(name); normal != want {
			t.Fatalf("%q is %q, want %q", name, normal, want)
		}
		if again := NormalHeaderName(normal); again != normal {
			t.Fatalf("%q becomes %q, and then %q", name, normal, again)
		}
		for _, alias := range []string{"_", ".", " "} {
			if other := NormalHeaderName(strings.ReplaceAll(name, "-", alias)); other != normal {
				t.Fatalf("%q is %q, and with %q in the place of hyphens %q", name, normal, alias, other)
			}
		}
		h := http.Header{name: {"x"}, "X-Other": {"y"}}
		removeCredentials(h)
		reserved := slices.Contains([]string{"x-tableau-auth", "authorization", "proxy-authorization", "cookie"}, slowNormal(name))
		if _, kept := h[name]; kept == reserved {
			t.Fatalf("the header %q is kept: %t", name, kept)
		}
		if name != "X-Other" && len(h["X-Other"]) != 1 {
			t.Fatalf("with %q, another header is removed", name)
		}
	})
}

// A lateTrailer is a body with whose end a trailer comes, announced or not.
type lateTrailer struct {
	io.Reader
	res         *http.Response
	name, value string
}

func (b *lateTrailer) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil {
		b.res.Trailer = http.Header{b.name: {b.value}}
	}
	return n, err
}

func (*lateTrailer) Close() error { return nil }

// FuzzScrub puts the session into an answer, at any place of any header, trailer
// and interim answer. It must be in none afterwards, nor any cookie, and what has
// nothing of it stays.
func FuzzScrub(f *testing.F) {
	f.Add("X-Debug", "token=", ";", "body", 200)
	f.Add("Set-Cookie", "workgroup_session_id=", "", "", 401)
	f.Add("location", "https://tableau.example//evil.example/", "#x", "", 302)
	f.Add("X-Tableau-Auth", "", "", "", 500)
	origin := &url.URL{Scheme: "https", Host: "tableau.example"}
	const token = "aaaaaaaaaaaaaaaaaaaaaa|bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb|0a0b0c0d-0000-4000-8000-000000000001"
	s := &Session{terms: &terms{}, token: tableauapi.NewSecret(token)}
	f.Fuzz(func(t *testing.T, name, before, after, body string, status int) {
		name = textproto.CanonicalMIMEHeaderKey(name)
		value := before + token + after
		res := &http.Response{
			StatusCode: 200 + (status&0x7fffffff)%400,
			Header:     http.Header{name: {"first", value}, "X-Harmless": {"stays"}, "Set-Cookie": {"a=b"}, "X-Tableau-Auth": {"other"}},
			Trailer:    http.Header{name: nil},
		}
		res.Body = &lateTrailer{strings.NewReader(body), res, name, value}
		scrub(res, s, origin)
		if _, err := io.ReadAll(res.Body); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, h := range []http.Header{res.Header, res.Trailer} {
			expectScrubbed(t, h, token)
		}
		if name != "X-Harmless" && res.Header.Get("X-Harmless") != "stays" {
			t.Fatal("a harmless header is gone")
		}
	})
}

// expectScrubbed fails for anything in h that is not for clients.
func expectScrubbed(t *testing.T, h http.Header, token string) {
	t.Helper()
	for name, values := range h {
		if strings.Contains(strings.Join(values, "\n"), token) {
			t.Fatalf("the header %q holds the session", name)
		}
		if name == "Set-Cookie" || name == "X-Tableau-Auth" {
			t.Fatalf("the header %s is there", name)
		}
	}
}

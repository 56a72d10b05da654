package tableauapi

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalPathKeepsWhatIsClear(t *testing.T) {
	for _, path := range []string{
		"/api/3.24/sites/-/workbooks",
		"/api/3.24/sites/" + siteLUID + "/workbooks/" + userLUID + "/content",
		"/api/2.4/serverInfo",
		"/api/-/pulse/definitions%3AbatchGet",
		"/api/-/pulse/definitions%3abatchGet",
		"/api/-/pulse/definitions:batchGet",
		"/api/3.24/sites/s/fileUploads/7720:170fe6b1c1c7422dadff20f944d58a52-1:0",
		"/api/3.24/sites/s/workbooks/w/tags/a%20b%26c",
		"/api/3.24/sites/s/workbooks/w/tags/%E6%97%A5%E6%9C%AC",
		"/api/3.24/sites/s/workbooks/w/tags/%F0%9F%98%80",
		"/api/3.24/sites/s/workbooks/w/tags/a+b,c=d@e!f$g'h(i)*&[j]~_-.k",
		"/api/3.24/sites/s/workbooks/w/tags/..a",
		"/api/3.24/sites/s/workbooks/w/tags/%22%3C%3E%5E%60%7B%7C%7D",
		"/relationship-service-war/graphql",
		"/" + strings.Repeat("a", maxPath-1),
	} {
		got, err := CanonicalPath(path)
		if err != nil || got != path {
			t.Errorf("%q: got %q, %v", path, got, err)
		}
	}
}

// The Tableau Server Client writes such paths if the address of the server
// ends in a slash.
func TestCanonicalPathCollapsesSlashesBeforeAPI(t *testing.T) {
	for path, want := range map[string]string{
		"//api/3.24/auth/signin": "/api/3.24/auth/signin",
		"////api/2.4/serverInfo": "/api/2.4/serverInfo",
		"//api":                  "/api",
		"/api/3.24/auth/signin":  "/api/3.24/auth/signin",
	} {
		got, err := CanonicalPath(path)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v", path, got, err)
		}
	}
}

func TestCanonicalPathRefuses(t *testing.T) {
	const (
		empty     = "an empty segment (two slashes in a row)"
		end       = "a slash at its end"
		dots      = "a segment of dots or spaces"
		separator = `an escaped separator (one of / \ ; ? # %)`
		needless  = "an escape of a character that needs none"
		control   = "an escaped control character"
		broken    = "a broken percent escape"
		notUTF8   = "escapes that are not UTF-8"
		invisible = "an invisible character"
		unescaped = "a character that has to be escaped"
	)
	tests := map[string]string{
		"":                                 "no slash at its beginning",
		"*":                                "no slash at its beginning",
		"api/3.24/x":                       "no slash at its beginning",
		"http://evil/api/3.24/x":           "no slash at its beginning",
		"/" + strings.Repeat("a", maxPath): "more than 8 KiB",
		"/":                                end,
		"/api/3.24/x/":                     end,
		"//":                               empty,
		"//evil.example/api":               empty,
		"//API/3.24/x":                     empty,
		"/api//3.24/x":                     empty,
		"/api/3.24//x":                     empty,
		"/api/3.24/x//":                    empty,
		"/api/./x":                         dots,
		"/api/../x":                        dots,
		"/api/3.24/..":                     dots,
		"/api/.../x":                       dots,
		"/api/%20/x":                       dots,
		"/api/..%20/x":                     dots,
		"/api/%2e%2e/x":                    needless,
		"/api/.%2E/x":                      needless,
		"/%61pi/3.24/x":                    needless,
		"/api/3.24/%41":                    needless,
		"/api/3.24/%30":                    needless,
		"/api/3.24/a%2db":                  needless,
		"/api/3.24/a%5fb":                  needless,
		"/api/3.24/a%7Eb":                  needless,
		"/api/3.24/a%2fb":                  separator,
		"/api/3.24/a%2Fb":                  separator,
		"/api/3.24/a%5cb":                  separator,
		"/api/3.24/a%5Cb":                  separator,
		"/api/3.24/a%3bb":                  separator,
		"/api/3.24/a%3fb":                  separator,
		"/api/3.24/a%23b":                  separator,
		"/api/3.24/a%25b":                  separator,
		"/api/3.24/a%252fb":                separator,
		"/api/3.24/a%00":                   control,
		"/api/3.24/a%0d%0aX":               control,
		"/api/3.24/a%1f":                   control,
		"/api/3.24/a%7f":                   control,
		"/api/3.24/%":                      broken,
		"/api/3.24/%4":                     broken,
		"/api/3.24/%zz":                    broken,
		"/api/3.24/%u0041":                 broken,
		"/api/3.24/% 41":                   broken,
		"/api/3.24/%/41":                   broken,
		"/api/3.24/%ff":                    notUTF8,
		"/api/3.24/%c0%af":                 notUTF8,
		"/api/3.24/%e0%80%af":              notUTF8,
		"/api/3.24/%ed%a0%80":              notUTF8,
		"/api/3.24/%e6%97":                 notUTF8,
		"/api/3.24/%e6%97a":                notUTF8,
		"/api/3.24/%e6/%97%a5":             notUTF8,
		"/api/3.24/%f5%80%80%80":           notUTF8,
		"/api/3.24/%80":                    notUTF8,
		"/api/3.24/%c2%85":                 invisible,
		"/api/3.24/%e2%80%ae":              invisible,
		"/api/3.24/%e2%80%8b":              invisible,
		"/api/3.24/%e2%80%a8":              invisible,
		"/api/3.24/%ef%bb%bf":              invisible,
		"/api/3.24/%c2%ad":                 invisible,
		"/api/3.24/a;b=c":                  "a semicolon",
		`/api/3.24/a\b`:                    "a backslash",
		"/api/3.24/a#b":                    "a fragment",
		"/api/3.24/a?b":                    "a question mark",
		"/api/3.24/a b":                    unescaped,
		"/api/3.24/a\tb":                   unescaped,
		"/api/3.24/a\x00b":                 unescaped,
		"/api/3.24/a\x7fb":                 unescaped,
		"/api/3.24/é":                      unescaped,
		"/api/3.24/\xff":                   unescaped,
		`/api/3.24/a"b`:                    unescaped,
		"/api/3.24/a<b":                    unescaped,
		"/api/3.24/a{b}":                   unescaped,
		"/api/3.24/a|b":                    unescaped,
		"/api/3.24/a^b":                    unescaped,
		"/api/3.24/a`b":                    unescaped,
	}
	for path, want := range tests {
		got, err := CanonicalPath(path)
		var ambiguity *PathError
		if !errors.As(err, &ambiguity) || ambiguity.Reason != want || got != "" {
			t.Errorf("%.60q: got %q, %v, want %s", path, got, err, want)
		}
	}
}

func TestPathError(t *testing.T) {
	if got := (&PathError{Reason: "a backslash"}).Error(); got != "the path has a backslash" {
		t.Error(got)
	}
}

// Every byte, raw and escaped, is either kept as it is or refused, and what is
// kept is what net/url sends.
func TestCanonicalPathOfEveryByte(t *testing.T) {
	const hex, upper = "0123456789abcdef", "0123456789ABCDEF"
	for c := range 256 {
		for _, s := range []string{
			string([]byte{byte(c)}),
			"%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1],
			"%" + upper[c>>4:c>>4+1] + upper[c&15:c&15+1],
		} {
			checkCanonical(t, "/api/3.24/a"+s+"b")
		}
	}
}

// checkCanonical checks what is promised of every path.
func checkCanonical(t rapid.TB, path string) {
	t.Helper()
	canonical, err := CanonicalPath(path)
	if err != nil {
		if canonical != "" {
			t.Fatalf("%q: %q comes with the error", path, canonical)
		}
		return
	}
	if again, err := CanonicalPath(canonical); err != nil || again != canonical {
		t.Fatalf("%q: not canonical a second time: %q, %v", canonical, again, err)
	}
	if strings.TrimLeft(path, "/") != strings.TrimLeft(canonical, "/") {
		t.Fatalf("%q became %q", path, canonical)
	}
	u, err := url.ParseRequestURI(canonical)
	if err != nil || u.EscapedPath() != canonical || u.RequestURI() != canonical || u.Host != "" {
		t.Fatalf("net/url reads %q as %+v, %v", canonical, u, err)
	}
	plain, err := url.PathUnescape(canonical)
	if err != nil || plain != u.Path {
		t.Fatalf("%q decodes to %q, %v", canonical, plain, err)
	}
	if strings.Count(plain, "/") != strings.Count(canonical, "/") || strings.ContainsAny(plain, "\\;?#%\x00\r\n") {
		t.Fatalf("%q decodes to the ambiguous %q", canonical, plain)
	}
	rebuilt := url.URL{Path: plain, RawPath: canonical}
	if rebuilt.EscapedPath() != canonical {
		t.Fatalf("%q is sent as %q", canonical, rebuilt.EscapedPath())
	}
}

func TestCanonicalPathProperties(t *testing.T) {
	piece := rapid.SampledFrom([]string{
		"/", "/", "api", "3.24", "auth", "signin", "sites", "-", "users", ".", "..", "a", "%20", "%3A", ":", "%2f", "%2e",
		"%41", "%e6%97%a5", "%e6", "%", ";", "\\", "\x00", "é", "%00", "%25", "[", "+", "%7B", "{",
	})
	rapid.Check(t, func(t *rapid.T) {
		checkCanonical(t, "/"+strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), ""))
	})
}

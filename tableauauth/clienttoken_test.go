package tableauauth

// This file checks that a client token opens for whom it was sealed, and that
// nothing else opens.

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	sealKeyA = "first key of the tests"
	sealKeyB = "second key of the tests"

	sealSite  = "6f3a1c52-0b8e-4d57-9a41-2f6d0e8b7c11"
	otherSite = "6f3a1c52-0b8e-4d57-9a41-2f6d0e8b7c12"

	// goldenToken was sealed with sealKeyA for testOrigin by the first version
	// of the format. If it no longer opens, an upgrade signs every client out.
	goldenToken = "lCA0RAg3_yvWqE-2NzxVoA|FV6T8h60oTSnB_e1XhSgwxrL2XRlqE-8JoMGZzeRVONnEbPtyhBwW8f1EJ6xVcFug9ZzydjJ5b1N8w|6f3a1c52-0b8e-4d57-9a41-2f6d0e8b7c11"
)

// sealNow is the time of these tests.
var sealNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// sealedExample is a token for alice, good for an hour.
func sealedExample() ClientToken {
	return ClientToken{Identity: "alice", Proof: "tool:proof", Site: "finance", SiteID: sealSite, Expires: sealNow.Add(time.Hour)}
}

func newSealer(t testing.TB, keys ...string) *Sealer {
	t.Helper()
	var secrets []tableauapi.Secret
	for _, k := range keys {
		secrets = append(secrets, tableauapi.NewSecret(k))
	}
	s, err := NewSealer(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t testing.TB, s *Sealer, token ClientToken) string {
	t.Helper()
	sealed, err := s.Seal(token, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return sealed.Reveal()
}

func TestSealedTokenOpensAsItWas(t *testing.T) {
	s := newSealer(t, sealKeyA)
	rapid.Check(t, func(t *rapid.T) {
		audience := rapid.String().Draw(t, "audience")
		want := ClientToken{
			Identity: rapid.StringN(0, -1, MaxUserBytes).Draw(t, "identity"),
			Proof:    rapid.StringN(0, -1, MaxUserBytes+17).Draw(t, "proof"),
			Site:     rapid.StringN(0, -1, 255).Draw(t, "site"),
			SiteID:   rapid.StringMatching(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`).Draw(t, "site LUID"),
			Expires:  sealNow.Add(time.Duration(rapid.Int64Range(1, 1<<31).Draw(t, "seconds")) * time.Second),
		}
		sealed, err := s.Seal(want, audience)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Open(sealed.Reveal(), audience, sealNow)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Expires.Equal(want.Expires) {
			t.Errorf("it expires at %v, want %v", got.Expires, want.Expires)
		}
		got.ID, got.Expires = 0, want.Expires
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// Clients read the site's LUID from behind the second bar, as they do from
// Tableau's own tokens.
func TestTokenHasTheShapeOfTableaus(t *testing.T) {
	shape := regexp.MustCompile(`^[A-Za-z0-9_-]{22}\|[A-Za-z0-9_-]+\|` + sealSite + `$`)
	if got := seal(t, newSealer(t, sealKeyA), sealedExample()); !shape.MatchString(got) {
		t.Errorf("the token has the shape %q", regexp.MustCompile(`[A-Za-z0-9]`).ReplaceAllString(got, "x"))
	}
}

func TestTokenShowsNothingOfItsContent(t *testing.T) {
	for _, part := range strings.Split(seal(t, newSealer(t, sealKeyA), sealedExample()), "|")[:2] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || bytes.Contains(raw, []byte("alice")) || bytes.Contains(raw, []byte("finance")) {
			t.Errorf("a part of the token (decoded: %v) shows what it is about", err)
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	s := newSealer(t, sealKeyA)
	sealed := []byte(seal(t, s, sealedExample()))
	for i := range sealed {
		for bit := range 8 {
			sealed[i] ^= 1 << bit
			if _, err := s.Open(string(sealed), testOrigin, sealNow); !errors.Is(err, ErrNotOurs) {
				t.Fatalf("with bit %d of byte %d flipped: %v", bit, i, err)
			}
			sealed[i] ^= 1 << bit
		}
	}
	if _, err := s.Open(string(sealed), testOrigin, sealNow); err != nil {
		t.Errorf("put back as it was: %v", err)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	s := newSealer(t, sealKeyA)
	sealed := seal(t, s, sealedExample())
	for i := range sealed {
		for _, cut := range []string{sealed[:i], sealed[i+1:], sealed[:i] + sealed[i+1:]} {
			if _, err := s.Open(cut, testOrigin, sealNow); !errors.Is(err, ErrNotOurs) {
				t.Fatalf("cut at byte %d: %v", i, err)
			}
		}
	}
}

func TestEveryInsertionIsRefused(t *testing.T) {
	s := newSealer(t, sealKeyA)
	sealed := seal(t, s, sealedExample())
	for i := range len(sealed) + 1 {
		for _, more := range []string{"\n", "\r", " ", "=", "A", "|", "\x00"} {
			if _, err := s.Open(sealed[:i]+more+sealed[i:], testOrigin, sealNow); !errors.Is(err, ErrNotOurs) {
				t.Fatalf("with %q before byte %d: %v", more, i, err)
			}
		}
	}
}

func TestPartsOfTwoTokensAreNoToken(t *testing.T) {
	s := newSealer(t, sealKeyA)
	bob := sealedExample()
	bob.Identity, bob.SiteID = "bob", otherSite
	a, b := strings.Split(seal(t, s, sealedExample()), "|"), strings.Split(seal(t, s, bob), "|")
	for mix := range 8 {
		parts := make([]string, 3)
		for i := range parts {
			if parts[i] = a[i]; mix>>i&1 == 1 {
				parts[i] = b[i]
			}
		}
		_, err := s.Open(strings.Join(parts, "|"), testOrigin, sealNow)
		if whole := mix == 0 || mix == 7; whole != (err == nil) || !whole && !errors.Is(err, ErrNotOurs) {
			t.Errorf("parts %03b of the second token: %v", mix, err)
		}
	}
	for _, order := range [][3]int{{1, 0, 2}, {2, 1, 0}, {0, 2, 1}, {1, 2, 0}, {2, 0, 1}} {
		if _, err := s.Open(a[order[0]]+"|"+a[order[1]]+"|"+a[order[2]], testOrigin, sealNow); !errors.Is(err, ErrNotOurs) {
			t.Errorf("parts in the order %v: %v", order, err)
		}
	}
}

func TestTokenIsRefused(t *testing.T) {
	s := newSealer(t, sealKeyA)
	good := seal(t, s, sealedExample())
	tests := []struct{ name, token, audience string }{
		{"for another Tableau", good, "https://other.example"},
		{"for another port", good, testOrigin + ":8443"},
		{"for no Tableau", good, ""},
		{"with another site", strings.Replace(good, sealSite, otherSite, 1), testOrigin},
		{"with the site in capitals", strings.Replace(good, sealSite, strings.ToUpper(sealSite), 1), testOrigin},
		{"sealed with another key", seal(t, newSealer(t, sealKeyB), sealedExample()), testOrigin},
		{"empty", "", testOrigin},
		{"two bars", "||", testOrigin},
		{"only a site", "||" + sealSite, testOrigin},
		{"one of Tableau's own", "kJ3aBcDeFgHiJkLmNoPqRs|N2mB7xQpLwVtYzA1cD4eF6gH8iJ0kLmN|" + sealSite, testOrigin},
		{"with a fourth part", good + "|", testOrigin},
		{"padded", strings.Replace(good, "|"+sealSite, "=|"+sealSite, 1), testOrigin},
		{"very long", strings.Repeat("A", 22) + "|" + strings.Repeat("A", 1<<20) + "|" + sealSite, testOrigin},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.Open(test.token, test.audience, sealNow)
			if !errors.Is(err, ErrNotOurs) || got != (ClientToken{}) {
				t.Errorf("error %v, and a token for %q", err, got.Identity)
			}
		})
	}
}

// The audience and the site's LUID stand side by side in what the seal covers:
// where one ends and the other begins must not be open to question.
func TestAudienceDoesNotRunIntoTheSite(t *testing.T) {
	if bytes.Equal(sealedFor("ab", "c"), sealedFor("a", "bc")) {
		t.Error("two audiences are sealed as one")
	}
}

func TestExpiredTokenSaysWhoseItWas(t *testing.T) {
	s := newSealer(t, sealKeyA)
	sealed := seal(t, s, sealedExample())
	for _, test := range []struct {
		after time.Duration
		want  error
	}{
		{time.Hour - time.Second, nil},
		{time.Hour, ErrExpired},
		{1000 * time.Hour, ErrExpired},
	} {
		got, err := s.Open(sealed, testOrigin, sealNow.Add(test.after))
		if !errors.Is(err, test.want) || got.Identity != "alice" {
			t.Errorf("after %v: error %v, identity %q", test.after, err, got.Identity)
		}
	}
}

func TestPreviousKeyOpensAndTheNewSeals(t *testing.T) {
	before, during, after := newSealer(t, sealKeyA), newSealer(t, sealKeyB, sealKeyA), newSealer(t, sealKeyB)
	old, fresh := seal(t, before, sealedExample()), seal(t, during, sealedExample())
	for _, test := range []struct {
		name  string
		s     *Sealer
		token string
		want  error
	}{
		{"the old token, with both keys", during, old, nil},
		{"the new token, with both keys", during, fresh, nil},
		{"the new token, with the new key alone", after, fresh, nil},
		{"the new token, with the old key alone", before, fresh, ErrNotOurs},
		{"the old token, with the new key alone", after, old, ErrNotOurs},
	} {
		if _, err := test.s.Open(test.token, testOrigin, sealNow); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestNoTwoTokensAreEqual(t *testing.T) {
	s := newSealer(t, sealKeyA)
	tokens, ids := make(map[string]bool), make(map[uint64]bool)
	const n = 2000
	for range n {
		token := sealedExample()
		token.ID = 7 // which is drawn anew
		sealed := seal(t, s, token)
		opened, err := s.Open(sealed, testOrigin, sealNow)
		if err != nil {
			t.Fatal(err)
		}
		tokens[sealed], ids[opened.ID] = true, true
	}
	if len(tokens) != n || len(ids) != n {
		t.Errorf("of %d tokens for the same, %d differ, with %d IDs", n, len(tokens), len(ids))
	}
}

func TestOversizeIsNotSealed(t *testing.T) {
	s := newSealer(t, sealKeyA)
	token := sealedExample()
	token.Identity, token.Proof, token.Site = strings.Repeat("i", MaxUserBytes), strings.Repeat("p", MaxUserBytes+17), strings.Repeat("s", 255)
	if sealed := seal(t, s, token); len(sealed) > maxClientToken {
		t.Errorf("the largest token that can be asked for has %d bytes", len(sealed))
	}
	token.Identity = strings.Repeat("i", maxClientToken)
	if _, err := s.Seal(token, testOrigin); err == nil || strings.Contains(err.Error(), "iii") {
		t.Errorf("an oversize token: %v", err)
	}
}

func TestSealKeyMustBeLongEnough(t *testing.T) {
	for _, test := range []struct {
		name string
		keys []tableauapi.Secret
		ok   bool
	}{
		{"none", nil, false},
		{"empty", []tableauapi.Secret{{}}, false},
		{"15 bytes", []tableauapi.Secret{tableauapi.NewSecret(strings.Repeat("k", MinSealKey-1))}, false},
		{"16 bytes", []tableauapi.Secret{tableauapi.NewSecret(strings.Repeat("k", MinSealKey))}, true},
		{"the previous one short", []tableauapi.Secret{tableauapi.NewSecret(sealKeyA), tableauapi.NewSecret("kkkk")}, false},
	} {
		s, err := NewSealer(test.keys...)
		if (err == nil) != test.ok || (s != nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "kkkk") {
			t.Errorf("%s: the error %q shows the key", test.name, err)
		}
	}
}

func TestSealerAndTokenPrintNoSecret(t *testing.T) {
	s := newSealer(t, sealKeyA)
	sealed, err := s.Seal(sealedExample(), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q", s, s, s, sealed, sealed)
	slog.New(slog.NewTextHandler(&out, nil)).Info("sealed", "token", sealed)
	for _, secret := range []string{sealKeyA, sealed.Reveal(), strings.Split(sealed.Reveal(), "|")[1]} {
		if strings.Contains(out.String(), secret) {
			t.Error("a secret was printed")
		}
	}
}

func TestTokenOfTheFirstVersionStillOpens(t *testing.T) {
	got, err := newSealer(t, sealKeyA).Open(goldenToken, testOrigin, sealNow)
	got.ID = 0
	if want := sealedExample(); err != nil || !got.Expires.Equal(want.Expires) || got.Identity != want.Identity || got.Proof != want.Proof || got.Site != want.Site || got.SiteID != want.SiteID {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A seal that is good on content that is not: of another version, say. What it
// says must not be believed in part.
func TestAuthenticNonsenseIsNotOurs(t *testing.T) {
	good := sealedExample().encode()
	version := bytes.Clone(good)
	version[0]++
	long := bytes.Clone(good)
	long[17] = 0xff // the length of the identity
	for name, content := range map[string][]byte{
		"empty": nil, "only a version": {sealVersion}, "another version": version, "cut": good[:len(good)-1],
		"more behind it": append(bytes.Clone(good), 0), "without its fields": good[:17], "a length beyond the end": long,
		"a length without end": append(bytes.Clone(good[:17]), bytes.Repeat([]byte{0xff}, 11)...),
	} {
		if got, err := decodeClientToken(content, sealSite, sealNow); !errors.Is(err, ErrNotOurs) || got.Identity != "" {
			t.Errorf("%s: %v, identity %q", name, err, got.Identity)
		}
	}
}

// Each process that fuzzes seals with the same key, so that only a token that
// was sealed before any of them began is known to all: the golden one.
func FuzzOpenClientToken(f *testing.F) {
	s := newSealer(f, sealKeyB, sealKeyA)
	f.Add(goldenToken)
	f.Fuzz(func(t *testing.T, token string) {
		got, err := s.Open(token, testOrigin, sealNow)
		switch {
		case token == goldenToken:
			if err != nil || got.Identity != "alice" {
				t.Errorf("the token that was sealed does not open: %v", err)
			}
		case !errors.Is(err, ErrNotOurs) || got != (ClientToken{}):
			t.Errorf("%q was not sealed, and opens as %+v (%v)", token, got, err)
		}
	})
}

func FuzzDecodeClientToken(f *testing.F) {
	f.Add(sealedExample().encode())
	f.Add(ClientToken{}.encode())
	f.Add([]byte{sealVersion, 17: 0xff})
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := decodeClientToken(content, sealSite, time.Unix(-1<<62, 0))
		if err != nil {
			return
		}
		again, err := decodeClientToken(got.encode(), sealSite, time.Unix(-1<<62, 0))
		if err != nil || !again.Expires.Equal(got.Expires) {
			t.Fatalf("%x opens as %+v, which does not open: %v", content, got, err)
		}
		if again.Expires = got.Expires; again != got {
			t.Errorf("%x opens as %+v, and then as %+v", content, got, again)
		}
	})
}

func BenchmarkSealClientToken(b *testing.B) {
	s, token := newSealer(b, sealKeyA), sealedExample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(token, testOrigin); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenClientToken(b *testing.B) {
	s := newSealer(b, sealKeyA)
	sealed := seal(b, s, sealedExample())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(sealed, testOrigin, sealNow); err != nil {
			b.Fatal(err)
		}
	}
}

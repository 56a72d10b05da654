package tableauauth

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestKeysAreDistinct draws pairs of grants from few letters, so that pieces
// often run together, and wants equal keys exactly for equal grants.
func TestKeysAreDistinct(t *testing.T) {
	part := rapid.StringOfN(rapid.RuneFrom([]rune("ab:|/\x00A")), 0, 4, -1)
	draw := rapid.Custom(func(t *rapid.T) Grant {
		return Grant{Site: part.Draw(t, "site"), User: part.Draw(t, "user"), Scopes: rapid.SliceOfN(part, 0, 3).Draw(t, "scopes")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		same := a.Site == b.Site && a.User == b.User && slices.Equal(a.Scopes, b.Scopes)
		conn := digest("connection")
		if got := a.key(conn) == b.key(conn); got != same {
			t.Fatalf("keys of %q and %q equal: %v", a, b, got)
		}
		if a.key(conn) == a.key(digest("another connection")) {
			t.Fatal("two connections share a key")
		}
	})
}

func TestKeyOfLongGrant(t *testing.T) {
	// Longer than the buffer that keeps the usual key from being allocated.
	long := strings.Repeat("x", 5000)
	a, b := Grant{User: long + "a"}, Grant{User: long + "b"}
	if a.key(digest()) == b.key(digest()) {
		t.Error("long grants that differ at their end share a key")
	}
}

func TestKeyAllocatesNothing(t *testing.T) {
	g, conn := grant("alice@corp.example"), digest("connection")
	if n := testing.AllocsPerRun(100, func() { g.key(conn) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestNormalScopes(t *testing.T) {
	given := []string{"b", "a", "b"}
	if got := NormalScopes(given); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(given, []string{"b", "a", "b"}) {
		t.Error("the argument was changed")
	}
}

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
	claim := rapid.Custom(func(t *rapid.T) Claim {
		return Claim{Name: part.Draw(t, "name"), Values: rapid.SliceOfN(part, 0, 2).Draw(t, "values"), List: rapid.Bool().Draw(t, "list")}
	})
	draw := rapid.Custom(func(t *rapid.T) Grant {
		return Grant{
			Site: part.Draw(t, "site"), User: part.Draw(t, "user"),
			Scopes: rapid.SliceOfN(part, 0, 3).Draw(t, "scopes"), Claims: rapid.SliceOfN(claim, 0, 2).Draw(t, "claims"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		same := a.Site == b.Site && a.User == b.User && slices.Equal(a.Scopes, b.Scopes) && slices.EqualFunc(a.Claims, b.Claims, sameClaim)
		conn := digest("connection")
		if got := a.key(conn) == b.key(conn); got != same {
			t.Fatalf("keys of %+v and %+v equal: %v", a, b, got)
		}
		if a.key(conn) == a.key(digest("another connection")) {
			t.Fatal("two connections share a key")
		}
	})
}

func sameClaim(a, b Claim) bool {
	return a.Name == b.Name && a.List == b.List && slices.Equal(a.Values, b.Values)
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

package tableauauth

// This file says what one session is for, and how that becomes the key under
// which it is kept.

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A Grant is what one session is for: a user, on a site, with scopes.
type Grant struct {
	// Site is the content URL of the site; "" is the Default site.
	Site string
	// User is the Tableau user name, byte for byte as Tableau knows it: the
	// sub claim is compared case-sensitively. See [CheckUser].
	User string
	// Scopes are the JWT scopes, such as "tableau:content:read". Use
	// [NormalScopes], so that the same set always means the same session.
	Scopes []string
	// Claims are what the JWT says of the person besides: user attributes,
	// groups for on-demand access. Sorted by name; see [CheckClaimName].
	Claims []Claim
}

// A Claim is an extra claim of a JWT: a string, or a list of strings.
type Claim struct {
	Name   string
	Values []string
	List   bool // a list, even of one value
}

// NormalScopes returns scopes sorted and without repetitions, in a new slice.
func NormalScopes(scopes []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(scopes)))
}

// A Key identifies a session: a digest over the connection's fingerprint and
// the grant. Every part is preceded by its length, so that no two different
// grants can run together into the same bytes, and nothing is folded, trimmed
// or normalised.
type Key [sha256.Size]byte

// key returns the key of g under the connection with the fingerprint conn. It
// runs once for each request: the buffer holds all but unusually long scope
// lists, so nothing is allocated.
func (g Grant) key(conn [sha256.Size]byte) Key {
	var space [1024]byte
	b := append(space[:0], conn[:]...)
	b = appendPart(b, g.Site)
	b = appendPart(b, g.User)
	b = binary.AppendUvarint(b, uint64(len(g.Scopes)))
	for _, s := range g.Scopes {
		b = appendPart(b, s)
	}
	for _, c := range g.Claims {
		b = c.appendTo(b)
	}
	return sha256.Sum256(b)
}

func (c Claim) equal(o Claim) bool {
	return c.Name == o.Name && c.List == o.List && slices.Equal(c.Values, o.Values)
}

func (c Claim) appendTo(b []byte) []byte {
	b = appendPart(b, c.Name)
	if c.List {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Values)))
	for _, v := range c.Values {
		b = appendPart(b, v)
	}
	return b
}

// digest hashes parts, each preceded by its length.
func digest(parts ...string) [sha256.Size]byte {
	var b []byte
	for _, p := range parts {
		b = appendPart(b, p)
	}
	return sha256.Sum256(b)
}

func appendPart(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

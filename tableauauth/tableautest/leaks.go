// This file finds secrets and tokens in bytes that should not hold any.

package tableautest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// The lengths of the parts of tokens and JWTs that are looked for. A part is
// random, so that its presence proves a leak, in whatever encoding the rest is.
const (
	firstPart  = 22
	secondPart = 32
)

// maxParts bounds how many parts of tokens and JWTs are remembered.
const maxParts = 2 * 100_000

// vault remembers secrets and tokens by name.
type vault struct {
	mu     sync.Mutex
	values map[string]string // value to name
	parts  map[string]string // part of a token to name
	order  []string          // parts, oldest first from next on
	next   int
}

func newVault() *vault {
	return &vault{values: map[string]string{}, parts: map[string]string{}}
}

// keep remembers a secret.
func (v *vault) keep(name string, secret Secret) {
	if secret == "" {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[secret.Reveal()] = name
}

// keepToken remembers both random parts of a session token.
func (v *vault) keepToken(s *session) {
	parts := strings.Split(s.token, "|")
	name := "token of session " + s.id + " of " + s.user
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keepPart(parts[0], name)
	v.keepPart(parts[1], name)
}

// keepJWT remembers the beginning of a JWT's signature, without which a JWT
// is worth nothing.
func (v *vault) keepJWT(raw string) {
	signature := raw[strings.LastIndexByte(raw, '.')+1:]
	if len(signature) < secondPart {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keepPart(signature[:secondPart], "JWT")
}

// keepPart stores a part in the place of the oldest. The lock is held.
func (v *vault) keepPart(part, name string) {
	if _, known := v.parts[part]; known {
		return
	}
	v.parts[part] = name
	if len(v.order) < maxParts {
		v.order = append(v.order, part)
		return
	}
	delete(v.parts, v.order[v.next])
	v.order[v.next] = part
	v.next = (v.next + 1) % maxParts
}

// find returns the sorted names of what occurs in b.
func (v *vault) find(b []byte) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	found := map[string]bool{}
	for value, name := range v.values {
		for _, form := range spellings(value) {
			if bytes.Contains(b, []byte(form)) {
				found[name] = true
			}
		}
	}
	for _, length := range []int{firstPart, secondPart} {
		for i := 0; i+length <= len(b); i++ {
			if name, ok := v.parts[string(b[i:i+length])]; ok {
				found[name] = true
			}
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// spellings are a value as it stands and as common encodings write it.
func spellings(value string) []string {
	quoted, _ := json.Marshal(value)
	forms := []string{
		value,
		url.QueryEscape(value),
		url.PathEscape(value),
		string(quoted[1 : len(quoted)-1]),
		base64.StdEncoding.EncodeToString([]byte(value)),
		base64.RawURLEncoding.EncodeToString([]byte(value)),
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

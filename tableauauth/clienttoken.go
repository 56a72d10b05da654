package tableauauth

// This file seals what clients get in the place of Tableau's session token.

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// ClientTokenLife is how long a client token is good for. tabcmd keeps one
// between runs, and a long job must not see it end.
const ClientTokenLife = 24 * time.Hour

// A ClientToken says whom a sign-in at the proxy was for. Sealed, it has the
// form of Tableau's own tokens, `22 characters|text|site LUID`, since some
// clients take the site from it; it means nothing to Tableau.
type ClientToken struct {
	// ID tells tokens apart, so that one can be signed out.
	ID uint64
	// Identity is whose token it is, as the proxy verified it at sign-in.
	Identity string
	// Proof is empty if Caddy verified the identity, and does so for each
	// request. Otherwise the token itself is what shows the identity, and
	// Proof is the fingerprint of what was accepted at sign-in: when that
	// changes, the token ends.
	Proof string
	// Site is the content URL of the site that was chosen, SiteID its LUID.
	Site, SiteID string
	// Expires is when the token ends. Seconds count.
	Expires time.Time
}

// ErrNotOurs is returned for a token that this proxy has not sealed, or not
// with a key that it still accepts, or for another Tableau.
var ErrNotOurs = errors.New("the token was not issued here")

// ErrExpired is returned for a token that has ended.
var ErrExpired = errors.New("the token has expired")

// A Sealer seals client tokens and opens them. It keeps no state: every replica
// with the same keys opens what another has sealed.
type Sealer struct{ keys []sealKey }

type sealKey struct {
	id   [sealKeyID]byte
	aead cipher.AEAD
}

const (
	sealKeyID   = 4
	sealNonce   = 12
	sealVersion = 1

	// maxClientToken bounds what is tried to open, in bytes. Identities, proofs
	// and content URLs have at most about 255 each.
	maxClientToken = 1280
)

// MinSealKey is the shortest key material that NewSealer accepts, in bytes.
const MinSealKey = 16

// NewSealer returns a sealer that seals with the first of keys and opens with
// any. Each is key material of at least [MinSealKey] bytes, such as a random
// string, from which the real key is derived (HKDF-SHA256, AES-256-GCM).
func NewSealer(keys ...tableauapi.Secret) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key to seal client tokens with")
	}
	s := new(Sealer)
	for _, key := range keys {
		k, err := newSealKey(key)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

func newSealKey(material tableauapi.Secret) (sealKey, error) {
	if len(material.Reveal()) < MinSealKey {
		return sealKey{}, errors.New("the key for client tokens is shorter than 16 bytes")
	}
	const purpose = "caddy-tableau client token 1"
	derived, err := hkdf.Key(sha256.New, []byte(material.Reveal()), nil, purpose, sealKeyID+32)
	if err != nil {
		return sealKey{}, err
	}
	block, err := aes.NewCipher(derived[sealKeyID:])
	if err != nil {
		return sealKey{}, err
	}
	k := sealKey{id: [sealKeyID]byte(derived[:sealKeyID])}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// Seal returns t as a client presents it. It is bound to audience, which Open
// must be given too: the origin of the Tableau that it stands for. A new ID is
// drawn for it.
func (s *Sealer) Seal(t ClientToken, audience string) (tableauapi.Secret, error) {
	key := s.keys[0]
	var head [sealKeyID + sealNonce]byte
	copy(head[:], key.id[:])
	var id [8]byte
	_, _ = rand.Read(head[sealKeyID:]) // never fails, see crypto/rand
	_, _ = rand.Read(id[:])
	t.ID = binary.BigEndian.Uint64(id[:])
	sealed := key.aead.Seal(nil, head[sealKeyID:], t.encode(), sealedFor(audience, t.SiteID))
	text := base64.RawURLEncoding.EncodeToString(head[:]) + "|" + base64.RawURLEncoding.EncodeToString(sealed) + "|" + t.SiteID
	if len(text) > maxClientToken {
		return tableauapi.Secret{}, errors.New("the identity and site are too long for a token")
	}
	return tableauapi.NewSecret(text), nil
}

// Open returns what token says, or [ErrNotOurs], or, with the token,
// [ErrExpired].
func (s *Sealer) Open(token, audience string, now time.Time) (ClientToken, error) {
	head, rest, _ := strings.Cut(token, "|")
	body, siteID, ok := strings.Cut(rest, "|")
	if !ok || len(token) > maxClientToken || !tableauapi.IsLUID(siteID) {
		return ClientToken{}, ErrNotOurs
	}
	if strings.ContainsAny(token, "\r\n") { // which the decoder would pass over
		return ClientToken{}, ErrNotOurs
	}
	rawHead, err1 := base64.RawURLEncoding.Strict().DecodeString(head)
	sealed, err2 := base64.RawURLEncoding.Strict().DecodeString(body)
	if err1 != nil || err2 != nil || len(rawHead) != sealKeyID+sealNonce {
		return ClientToken{}, ErrNotOurs
	}
	for _, key := range s.keys {
		if [sealKeyID]byte(rawHead) != key.id {
			continue
		}
		plain, err := key.aead.Open(nil, rawHead[sealKeyID:], sealed, sealedFor(audience, siteID))
		if err != nil {
			return ClientToken{}, ErrNotOurs
		}
		return decodeClientToken(plain, siteID, now)
	}
	return ClientToken{}, ErrNotOurs
}

// sealedFor is what a token is bound to besides its content.
func sealedFor(audience, siteID string) []byte {
	return appendPart(appendPart(nil, audience), siteID)
}

func (t ClientToken) encode() []byte {
	b := []byte{sealVersion}
	b = binary.BigEndian.AppendUint64(b, t.ID)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix())) //nolint:gosec // a time in this century
	b = appendPart(b, t.Identity)
	b = appendPart(b, t.Proof)
	return appendPart(b, t.Site)
}

// decodeClientToken reads what encode wrote. It is authentic, so anything
// malformed is of a version that is not ours.
func decodeClientToken(b []byte, siteID string, now time.Time) (t ClientToken, err error) {
	const fixed = 1 + 8 + 8
	if len(b) < fixed || b[0] != sealVersion {
		return t, ErrNotOurs
	}
	t.SiteID = siteID
	t.ID = binary.BigEndian.Uint64(b[1:])
	t.Expires = time.Unix(int64(binary.BigEndian.Uint64(b[9:])), 0) //nolint:gosec // a time in this century
	rest := b[fixed:]
	for _, field := range []*string{&t.Identity, &t.Proof, &t.Site} {
		n, used := binary.Uvarint(rest)
		if used <= 0 || n > uint64(len(rest)-used) { //nolint:gosec // used is at most len(rest)
			return ClientToken{}, ErrNotOurs
		}
		*field = string(rest[used : used+int(n)]) //nolint:gosec // n is at most len(rest)
		rest = rest[used+int(n):]                 //nolint:gosec // as above
	}
	if len(rest) != 0 {
		return ClientToken{}, ErrNotOurs
	}
	if !now.Before(t.Expires) {
		return t, ErrExpired
	}
	return t, nil
}

// This file fetches the keys of issuers and keeps them for a while.

package tableautest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The two well-known documents of an issuer. Tableau's nodes differ in which
// of them they read, so that an issuer must serve both.
const (
	wellKnownOpenID = "/.well-known/openid-configuration"
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
)

const (
	maxMetadata   = 1 << 20
	maxCachedKeys = 1000
)

// issuers caches keys as the nodes of a server do: each for itself.
type issuers struct {
	mu    sync.Mutex
	turn  int
	cache map[keySource]cachedKeys
}

// keySource is where keys came from: a well-known document, or a JWKS by itself.
type keySource struct{ issuer, document string }

type cachedKeys struct {
	keys  map[string]crypto.PublicKey
	until time.Time
}

func newIssuers() *issuers { return &issuers{cache: map[keySource]cachedKeys{}} }

// issuerKey returns an issuer's key, from the cache of the node whose turn it
// is or from the issuer.
func (t *Tableau) issuerKey(ctx context.Context, issuer, jwksURI, kid string) (crypto.PublicKey, *apiError) {
	source := keySource{issuer, jwksURI}
	if jwksURI == "" {
		source.document = t.nextDocument()
	}
	cached, fresh := t.issuers.get(source, t.now())
	if key := cached.keys[kid]; fresh && key != nil {
		return key, nil
	}
	if !fresh || !t.opts.Undocumented.StaleKeys {
		keys, err := t.fetchKeys(ctx, source, jwksURI)
		if err != nil {
			return nil, err
		}
		t.issuers.put(source, cachedKeys{keys, t.now().Add(t.opts.KeyCacheTTL)})
		cached.keys = keys
	}
	if key := cached.keys[kid]; key != nil {
		return key, nil
	}
	return nil, refuseSignIn(subNoKeys, "the issuer has no usable key %q", kid)
}

// nextDocument is the well-known document that the next node reads.
func (t *Tableau) nextDocument() string {
	switch t.opts.Undocumented.Metadata {
	case MetadataOpenID:
		return wellKnownOpenID
	case MetadataOAuth:
		return wellKnownOAuth
	case MetadataAlternate:
	}
	t.issuers.mu.Lock()
	defer t.issuers.mu.Unlock()
	t.issuers.turn++
	if t.issuers.turn%2 == 1 {
		return wellKnownOpenID
	}
	return wellKnownOAuth
}

func (i *issuers) get(source keySource, now time.Time) (cachedKeys, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	cached, ok := i.cache[source]
	return cached, ok && now.Before(cached.until)
}

func (i *issuers) put(source keySource, keys cachedKeys) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cache[source] = keys
}

// fetchKeys reads metadata, unless the JWKS is known, and then the keys.
func (t *Tableau) fetchKeys(ctx context.Context, source keySource, jwksURI string) (map[string]crypto.PublicKey, *apiError) {
	if jwksURI == "" {
		var err *apiError
		if jwksURI, err = t.fetchMetadata(ctx, source); err != nil {
			return nil, err
		}
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := t.fetchJSON(ctx, jwksURI, &set); err != nil {
		return nil, refuseSignIn(subNoKeys, "fetching the keys: %v", err)
	}
	keys := map[string]crypto.PublicKey{}
	for _, k := range set.Keys {
		key, err := k.public()
		if err == nil && k.KeyID != "" && len(keys) < maxCachedKeys {
			keys[k.KeyID] = key
		}
	}
	return keys, nil
}

// fetchMetadata reads one well-known document, and returns its jwks_uri.
func (t *Tableau) fetchMetadata(ctx context.Context, source keySource) (string, *apiError) {
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := t.fetchJSON(ctx, source.issuer+source.document, &metadata); err != nil {
		return "", refuseSignIn(subNoMetadata, "fetching %s: %v", source.document, err)
	}
	if metadata.Issuer != source.issuer {
		return "", refuseSignIn(subNoIssuer, "%s names the issuer %q", source.document, metadata.Issuer)
	}
	if metadata.JWKSURI == "" {
		return "", refuseSignIn(subNoMetadata, "%s has no jwks_uri", source.document)
	}
	return metadata.JWKSURI, nil
}

func (t *Tableau) fetchJSON(ctx context.Context, address string, v any) error {
	if !strings.HasPrefix(address, "https://") {
		return errors.New("not an https URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := t.opts.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxMetadata)).Decode(v)
}

// jwk is a JSON Web Key (RFC 7517), so far as it is needed here.
type jwk struct {
	KeyType string `json:"kty"`
	KeyID   string `json:"kid"`
	Use     string `json:"use"`
	Curve   string `json:"crv"`
	N       string `json:"n"`
	E       string `json:"e"`
	X       string `json:"x"`
	Y       string `json:"y"`
}

// public returns the key, if it is one for checking signatures.
func (k jwk) public() (crypto.PublicKey, error) {
	if k.Use != "" && k.Use != "sig" {
		return nil, errors.New("not a key for signatures")
	}
	switch {
	case k.KeyType == "RSA":
		return k.rsaKey()
	case k.KeyType == "EC" && k.Curve == "P-256":
		return k.ecKey()
	default:
		return nil, errors.New("unknown type of key")
	}
}

func (k jwk) rsaKey() (crypto.PublicKey, error) {
	n, errN := base64.RawURLEncoding.DecodeString(k.N)
	e, errE := base64.RawURLEncoding.DecodeString(k.E)
	exponent := new(big.Int).SetBytes(e)
	if errN != nil || errE != nil || len(n) == 0 || len(n) > 2048 || !exponent.IsInt64() || exponent.Int64() > 1<<31-1 {
		return nil, errors.New("malformed RSA key")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (k jwk) ecKey() (crypto.PublicKey, error) {
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return nil, errors.New("malformed EC key")
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
}

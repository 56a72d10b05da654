package tableauauth

// This file holds the private keys that JWTs are signed with where Tableau is
// given only the public half.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

const (
	// minRSABits is the least that Tableau accepts of an RSA key (sub-code
	// 10088, RSA_KEY_SIZE_INVALID), and that RFC 7518 allows for RS256.
	minRSABits = 2048

	// maxPEM bounds the text of a key, in bytes. An RSA key of 16384 bits has
	// less than 13 KiB.
	maxPEM = 16 << 10
)

// A SigningKey is a private key with the kid under which its public half is
// known at Tableau. It signs RS256 or ES256, as the key's type has it. Printed,
// logged or encoded, it shows its kid and algorithm, and never the key. The
// zero SigningKey signs nothing.
type SigningKey struct {
	kid    string
	method jwt.SigningMethod
	jwk    string // the public half
	print  [sha256.Size]byte
	// private stands behind a function for the same reason as the value of a
	// [tableauapi.Secret]: no dumper can follow it.
	private func() crypto.Signer
}

// ParseSigningKey reads a private key in PEM: PKCS#8 ("PRIVATE KEY"), SEC1 ("EC
// PRIVATE KEY") or PKCS#1 ("RSA PRIVATE KEY"), not encrypted, and nothing else
// beside it. An RSA key of at least 2048 bits signs RS256, an ECDSA key on the
// curve P-256 signs ES256 (RFC 7518, sections 3.3 and 3.4); every other key is
// refused. Errors say why, and hold nothing of the text.
func ParseSigningKey(kid string, text tableauapi.Secret) (SigningKey, error) {
	if err := checkKID(kid); err != nil {
		return SigningKey{}, err
	}
	key, err := parsePrivateKey(text.Reveal())
	if err == nil {
		var k SigningKey
		if k, err = newSigningKey(kid, key); err == nil {
			return k, nil
		}
	}
	return SigningKey{}, fmt.Errorf("key %q: %w", kid, err)
}

// checkKID reports why kid cannot name a key, or nil.
func checkKID(kid string) error {
	switch {
	case kid == "":
		return errors.New("the kid of a key is empty: give the key a name, such as 2026-11")
	case len(kid) > MaxUserBytes || !utf8.ValidString(kid) || hasUnprintable(kid) || strings.Contains(kid, " "):
		return errors.New("the kid of a key holds spaces, unprintable characters or more than 255 bytes: choose a plain name, such as 2026-11")
	}
	return nil
}

// parsePrivateKey reads the only PEM block of text. pem.Decode passes over
// what it cannot read, so the blocks are counted first: of two, the damaged one
// may have been meant.
func parsePrivateKey(text string) (any, error) {
	switch n := strings.Count(text, "-----BEGIN "); {
	case len(text) > maxPEM:
		return nil, fmt.Errorf("it is longer than %d KiB, which no private key is", maxPEM>>10)
	case n == 0:
		return nil, errors.New("it is not PEM: it has to begin with -----BEGIN PRIVATE KEY-----")
	case n > 1:
		return nil, errors.New("there are several PEM blocks: keep only the private key, without parameters or certificates (openssl ecparam has -noout)")
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the PEM is damaged: check that its lines are as they were made, from BEGIN to END")
	}
	if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errEncryptedKey
	}
	return parseBlock(block)
}

var errEncryptedKey = errors.New("it is encrypted, and nobody is there to enter its password: decrypt it with openssl pkey, and protect the file instead")

func parseBlock(block *pem.Block) (key any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errEncryptedKey
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return nil, errors.New("it is a certificate and not the private key that belongs to it")
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errors.New("it is a public key: what signs is the private key that belongs to it")
	case "OPENSSH PRIVATE KEY":
		return nil, errors.New("it is in the format of OpenSSH: convert it with ssh-keygen -p -m PKCS8, or make a new one with caddy tableau keygen")
	default:
		return nil, errors.New("its PEM block is none of PRIVATE KEY, EC PRIVATE KEY and RSA PRIVATE KEY: make a key with caddy tableau keygen")
	}
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return key, nil
}

// newSigningKey chooses the algorithm for a private key.
func newSigningKey(kid string, key any) (SigningKey, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return SigningKey{}, fmt.Errorf("it is an RSA key of %d bits, and Tableau wants %d at least: make a new one with caddy tableau keygen", bits, minRSABits)
		}
		return describeKey(kid, jwt.SigningMethodRS256, key)
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return SigningKey{}, fmt.Errorf("it is an ECDSA key on the curve %s, and ES256 needs P-256 (prime256v1): make a new one with caddy tableau keygen --type ec", key.Curve.Params().Name)
		}
		return describeKey(kid, jwt.SigningMethodES256, key)
	default:
		return SigningKey{}, errors.New("it is neither an RSA nor an ECDSA key: Tableau checks RS256 and ES256, so make one with caddy tableau keygen")
	}
}

// describeKey encodes the public half, and digests the private one.
func describeKey(kid string, method jwt.SigningMethod, key crypto.Signer) (SigningKey, error) {
	jwk, err := jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: method.Alg(), Use: "sig"}.MarshalJSON()
	if err != nil {
		return SigningKey{}, fmt.Errorf("it has no JWK: %w", err)
	}
	// The same key in another encoding is the same key.
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return SigningKey{}, fmt.Errorf("it cannot be encoded: %w", err)
	}
	return SigningKey{
		kid:     kid,
		method:  method,
		jwk:     string(jwk),
		print:   digest(kid, string(der)),
		private: func() crypto.Signer { return key },
	}, nil
}

// ID is the kid.
func (k SigningKey) ID() string { return k.kid }

// Algorithm is "RS256" or "ES256".
func (k SigningKey) Algorithm() string {
	if k.method == nil {
		return ""
	}
	return k.method.Alg()
}

// JWK is the public half as a JSON Web Key (RFC 7517 and RFC 7518, section 6),
// with kid, alg and use.
func (k SigningKey) JWK() json.RawMessage { return json.RawMessage(k.jwk) }

// JWKSet is the public halves of keys as a JWK Set (RFC 7517, section 5).
func JWKSet(keys ...SigningKey) json.RawMessage {
	jwks := make([]string, 0, len(keys))
	for _, k := range keys {
		jwks = append(jwks, k.jwk)
	}
	return json.RawMessage(`{"keys":[` + strings.Join(jwks, ",") + `]}`)
}

// sign signs claims. The header holds alg, typ, kid and what is given here.
func (k SigningKey) sign(claims jwt.MapClaims, header map[string]any) (tableauapi.Secret, error) {
	token := jwt.NewWithClaims(k.method, claims)
	token.Header["kid"] = k.kid
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(k.private())
	if err != nil {
		return tableauapi.Secret{}, fmt.Errorf("signing the JWT: %w", err)
	}
	return tableauapi.NewSecret(signed), nil
}

// String names the key, such as `RS256 key "2026-11"`.
func (k SigningKey) String() string { return fmt.Sprintf("%s key %q", k.Algorithm(), k.kid) }

// Format writes what String returns, whatever the verb.
func (k SigningKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

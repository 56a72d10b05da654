package auditlog

// This file holds the key that checkpoints are signed with, and its public half.

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

const (
	// maxKeyName bounds the name of a key, in bytes.
	maxKeyName = 255
	// maxKeyFile bounds the text of a key, private or public, in bytes.
	maxKeyFile = 16 << 10
	pemType    = "PRIVATE KEY"
)

// A SigningKey is an Ed25519 private key with a name. The name is the origin of
// the log as well: the first line of each checkpoint, and what the public key
// is looked up by. Printed, logged or encoded, a SigningKey shows its name and
// never the key. The zero SigningKey signs nothing.
type SigningKey struct {
	name     string
	verifier string // the public half, see VerifierKey
	// private stands behind a function, so that no dumper can follow it.
	private func() ed25519.PrivateKey
}

// GenerateKey makes a new key. The name should be one that no other log has,
// such as a host name with a path, "proxy1.corp.example/audit". It must hold
// neither spaces nor "+" (the rule of https://c2sp.org/signed-note).
func GenerateKey(name string) (SigningKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("making a signing key: %w", err)
	}
	return newSigningKey(name, private)
}

// ParseKey reads an Ed25519 private key in PEM, as [SigningKey.MarshalPEM] and
// `openssl genpkey -algorithm ed25519` write it (PKCS#8). Errors say why a text
// is no such key, and hold nothing of it.
func ParseKey(name string, text []byte) (SigningKey, error) {
	if len(text) > maxKeyFile {
		return SigningKey{}, fmt.Errorf("signing key: it is longer than %d KiB, which no Ed25519 key is", maxKeyFile>>10)
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return SigningKey{}, errors.New("signing key: it is not PEM: it has to begin with -----BEGIN PRIVATE KEY-----")
	case block.Type != pemType:
		return SigningKey{}, fmt.Errorf("signing key: its PEM block is not %q: make a key with openssl genpkey -algorithm ed25519", pemType)
	case len(bytes.TrimSpace(rest)) > 0:
		return SigningKey{}, errors.New("signing key: there is more than one PEM block: keep only the private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return SigningKey{}, errors.New("signing key: the PEM block holds no PKCS#8 key: check that it is as it was made")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return SigningKey{}, errors.New("signing key: it is not an Ed25519 key: make one with openssl genpkey -algorithm ed25519")
	}
	return newSigningKey(name, private)
}

func newSigningKey(name string, private ed25519.PrivateKey) (SigningKey, error) {
	if err := checkKeyName(name); err != nil {
		return SigningKey{}, err
	}
	public, _ := private.Public().(ed25519.PublicKey)
	verifier, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return SigningKey{}, fmt.Errorf("signing key %q: %w", name, err)
	}
	return SigningKey{name: name, verifier: verifier, private: func() ed25519.PrivateKey { return private }}, nil
}

// checkKeyName reports why name cannot name a key, or nil.
func checkKeyName(name string) error {
	bad := func(r rune) bool { return r == '+' || unicode.IsSpace(r) || !unicode.IsGraphic(r) }
	switch {
	case name == "":
		return errors.New("the name of the signing key is empty: name the log, such as proxy1.corp.example/audit")
	case len(name) > maxKeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, bad):
		return fmt.Errorf("the name of the signing key holds spaces, a plus sign, unprintable characters or more than %d bytes: choose a plain one, such as proxy1.corp.example/audit", maxKeyName)
	}
	return nil
}

// MarshalPEM is the private key in PEM (PKCS#8), for the one place where it is
// kept. Whoever reads it can forge the log.
func (k SigningKey) MarshalPEM() ([]byte, error) {
	if k.IsZero() {
		return nil, errNoKey
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private())
	if err != nil {
		return nil, fmt.Errorf("encoding the signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

var errNoKey = errors.New("there is no signing key: make one with GenerateKey, or read one with ParseKey")

// IsZero reports whether there is no key.
func (k SigningKey) IsZero() bool { return k.private == nil }

// Name is the name of the key, which is the origin of its checkpoints.
func (k SigningKey) Name() string { return k.name }

// VerifierKey is the public half, "<name>+<hash>+<key>" in one line, as
// [note.NewVerifier] and other tools for signed notes read it.
func (k SigningKey) VerifierKey() string { return k.verifier }

// Verifier checks what the key has signed. It is nil for the zero SigningKey.
func (k SigningKey) Verifier() note.Verifier {
	v, err := note.NewVerifier(k.verifier)
	if err != nil {
		return nil
	}
	return v
}

// String names the key, such as `Ed25519 key "proxy1.corp.example/audit"`.
func (k SigningKey) String() string { return fmt.Sprintf("Ed25519 key %q", k.name) }

// Format writes what String returns, whatever the verb.
func (k SigningKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText returns what String returns.
func (k SigningKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns what String returns.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A noteSigner signs notes with a SigningKey.
type noteSigner struct {
	note.Verifier
	key SigningKey
}

func (s noteSigner) Sign(msg []byte) ([]byte, error) {
	return s.key.private().Sign(nil, msg, crypto.Hash(0))
}

func (k SigningKey) signer() (note.Signer, error) {
	if k.IsZero() {
		return nil, errNoKey
	}
	v, err := note.NewVerifier(k.verifier)
	if err != nil {
		return nil, fmt.Errorf("signing key %q: %w", k.name, err)
	}
	return noteSigner{Verifier: v, key: k}, nil
}

// ParseVerifiers reads public keys, one in a line, as [SigningKey.VerifierKey]
// returns them. Empty lines and lines that begin with "#" are passed over.
func ParseVerifiers(text []byte) ([]note.Verifier, error) {
	var found []note.Verifier
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("public key %q: %w: it has to be one line of the form <name>+<hash>+<key>", Clean(line, 100), err)
		}
		found = append(found, v)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no public key: one line of the form <name>+<hash>+<key> is needed")
	}
	return found, nil
}

// ReadVerifiers reads the public keys in a file such as the one that [Open]
// writes beside the log; see [PublicKeyFile].
func ReadVerifiers(file string) ([]note.Verifier, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's choice
	if err != nil {
		return nil, fmt.Errorf("reading the public key: %w", err)
	}
	v, err := ParseVerifiers(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

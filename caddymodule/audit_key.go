package caddymodule

// This file holds the key that the audit file is signed with, and the one that
// tokens are fingerprinted with.

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-tableau/caddy-tableau/auditlog"
)

const (
	// auditKeysPath is where the keys that were made are in Caddy's storage.
	auditKeysPath = "tableau/audit_keys/"
	auditKeysLock = "tableau_audit_keys"

	// pemBegin is how a key begins; what else stands in its place is a path.
	pemBegin = "-----BEGIN"
	// maxAuditKey bounds the file of a key, in bytes.
	maxAuditKey = 16 << 10
)

var errLiteralAuditKey = fmt.Errorf("audit: key: %w", errLiteralSecret)

// configuredAuditKey reads the key that the option names, or returns the zero
// key if it names none.
func configuredAuditKey(value string) (auditlog.SigningKey, error) {
	switch {
	case value == "":
		return auditlog.SigningKey{}, nil
	case strings.Contains(value, pemBegin):
		return auditlog.SigningKey{}, errLiteralAuditKey
	}
	text, err := resolve(caddy.NewReplacer(), "audit: key", value)
	if err != nil {
		return auditlog.SigningKey{}, err
	}
	if !strings.Contains(text, pemBegin) {
		if text, err = readKeyFile(text, value); err != nil {
			return auditlog.SigningKey{}, err
		}
	}
	key, err := namedAuditKey([]byte(text))
	if err != nil {
		return auditlog.SigningKey{}, fmt.Errorf("audit: key %s: %w", value, err)
	}
	return key, nil
}

// readKeyFile reads the file at path, which option has named: a placeholder may
// hold a key that is damaged, and must not be printed.
func readKeyFile(path, option string) (string, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's choice
	var failed *fs.PathError
	switch {
	case errors.As(err, &failed):
		return "", fmt.Errorf("audit: key %s: it is neither a key in PEM nor the path of a file that can be read: %w", option, failed.Err)
	case err != nil:
		return "", fmt.Errorf("audit: key %s: %w", option, err)
	case len(text) > maxAuditKey:
		return "", fmt.Errorf("audit: key %s: it is longer than any key", option)
	}
	return string(text), nil
}

// namedAuditKey reads a key in PEM. It is named after its public half, so that
// the name stays when the machine gets another one, and no two logs have the
// same.
func namedAuditKey(text []byte) (auditlog.SigningKey, error) {
	key, err := auditlog.ParseKey("caddy-tableau", text)
	if err != nil {
		return key, err
	}
	parts := strings.SplitN(key.VerifierKey(), "+", 3) // name, hash, key: https://c2sp.org/signed-note
	digest := sha256.Sum256([]byte(parts[len(parts)-1]))
	return auditlog.ParseKey("caddy-tableau/"+hex.EncodeToString(digest[:8]), text)
}

// storedAuditKey returns the key of the file at path from Caddy's storage, and
// makes it if there is none. Replicas that share a storage have a key each, as
// they have a log each.
func storedAuditKey(storage certmagic.Storage, path string) (auditlog.SigningKey, error) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	instance, err := caddy.InstanceID()
	if err != nil {
		return auditlog.SigningKey{}, err
	}
	digest := sha256.Sum256([]byte(path))
	name := auditKeysPath + instance.String() + "/" + hex.EncodeToString(digest[:8]) + ".pem"
	text, err := loadOrMakeAuditKey(ctx, storage, name)
	if err != nil {
		return auditlog.SigningKey{}, fmt.Errorf("the key of the audit file cannot be had from Caddy's storage: repair the storage, or name a key with the option key: %w", err)
	}
	key, err := namedAuditKey(text)
	if err != nil {
		return key, fmt.Errorf("%s in Caddy's storage is damaged: restore it from a backup, or delete it and begin a new audit file: %w: %w", name, errTampered, err)
	}
	return key, nil
}

// loadOrMakeAuditKey works under the lock of the storage, so that two processes
// that start together do not both make a key.
func loadOrMakeAuditKey(ctx context.Context, storage certmagic.Storage, name string) (text []byte, err error) {
	if text, err = storage.Load(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if err := storage.Lock(ctx, auditKeysLock); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, storage.Unlock(ctx, auditKeysLock)) }()
	if text, err = storage.Load(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	key, err := auditlog.GenerateKey("caddy-tableau")
	if err != nil {
		return nil, err
	}
	if text, err = key.MarshalPEM(); err != nil {
		return nil, err
	}
	return text, storage.Store(ctx, name, text)
}

// A fingerprinter turns what must not be recorded into what can be compared: an
// HMAC-SHA256 of 128 bits. Without the key nobody can try values out.
type fingerprinter struct{ key func() []byte } // behind a function, so that no dumper can follow it

// newFingerprinter derives the key from the signing key (RFC 5869), so that
// there is nothing more to keep.
func newFingerprinter(signing auditlog.SigningKey) (fingerprinter, error) {
	text, err := signing.MarshalPEM()
	if err != nil {
		return fingerprinter{}, err
	}
	key, err := hkdf.Key(sha256.New, text, nil, "caddy-tableau audit fingerprints", sha256.Size)
	if err != nil {
		return fingerprinter{}, err
	}
	return fingerprinter{key: func() []byte { return key }}, nil
}

// of is the fingerprint of a value of a kind, or "" if there is none.
func (f fingerprinter) of(kind, value string) string {
	if value == "" || f.key == nil {
		return ""
	}
	mac := hmac.New(sha256.New, f.key())
	mac.Write([]byte(kind + "\x00" + value)) // never fails
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Kinds of fingerprints.
const (
	tokenPrint = "token"
	queryPrint = "query"
)

package caddymodule

// This file keeps the key that client tokens are sealed with.

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

const (
	// sealKeysPath is where the keys are in Caddy's storage.
	sealKeysPath = "tableau/client_token_keys.json"
	sealKeysLock = "tableau_client_token_keys"

	// sealKeyAge is the age at which a new key takes over. The one before it
	// goes on opening tokens, which live for a day.
	sealKeyAge = 30 * 24 * time.Hour

	// sealKeysLook is how old, at most, our copy of the stored keys gets, and
	// sealKeysRetry how soon they are looked at again for a token that none of
	// them opens: another replica may have made a new key.
	sealKeysLook  = time.Hour
	sealKeysRetry = 10 * time.Second

	// storageTimeout bounds the calls to Caddy's storage when starting.
	storageTimeout = 10 * time.Second
)

// A storedKey is a sealing key as it lies in Caddy's storage, which only Caddy
// can read.
type storedKey struct {
	Key     string    `json:"key"`
	Created time.Time `json:"created"`
}

// configuredSealer returns the sealer for seal_key, or nil if there is none.
func configuredSealer(keys []string) (*tableauauth.Sealer, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if len(keys) > 2 {
		return nil, errors.New("seal_key takes one key, and the one before it")
	}
	repl := caddy.NewReplacer()
	var secrets []tableauapi.Secret
	for _, key := range keys {
		secret, err := resolveSecret(repl, "seal_key", key)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	sealer, err := tableauauth.NewSealer(secrets...)
	if err != nil {
		return nil, fmt.Errorf("seal_key: %w", err)
	}
	return sealer, nil
}

// storedSealer returns the sealer for the keys in Caddy's storage, making one
// at the first start and when the newest has come of age. Where the storage
// cannot be used, the key lives as long as the process: its clients have to
// sign in again after a restart, which they know how to.
func storedSealer(storage certmagic.Storage, now time.Time, logger *zap.Logger) (*tableauauth.Sealer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), storageTimeout)
	defer cancel()
	keys, err := currentKeys(ctx, storage, now)
	if err != nil {
		auditTampering(err)
		logger.Warn("the key for client tokens cannot be kept in Caddy's storage: after a restart clients have to sign in again", zap.Error(err))
		keys = []storedKey{{Key: processKey(), Created: now}}
	}
	var secrets []tableauapi.Secret
	for _, k := range keys {
		secrets = append(secrets, tableauapi.NewSecret(k.Key))
	}
	return tableauauth.NewSealer(secrets...)
}

// A sealKeeper holds the sealer for the stored keys, and looks for new ones.
type sealKeeper struct {
	load func(now time.Time) (*tableauauth.Sealer, error)

	mu     sync.Mutex
	sealer *tableauauth.Sealer
	looked time.Time
}

// get returns the sealer, from storage if what is known is older than maxAge.
// While one request looks there, the others go on with what is known.
func (k *sealKeeper) get(now time.Time, maxAge time.Duration) (*tableauauth.Sealer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sealer == nil {
		return k.look(now)
	}
	if now.Sub(k.looked) < maxAge {
		return k.sealer, nil
	}
	k.looked = now
	k.mu.Unlock()
	sealer, err := k.load(now)
	k.mu.Lock()
	if err == nil {
		k.sealer = sealer
	}
	return k.sealer, nil
}

// look loads the keys for the first time. The lock is held.
func (k *sealKeeper) look(now time.Time) (sealer *tableauauth.Sealer, err error) {
	if sealer, err = k.load(now); err == nil {
		k.sealer, k.looked = sealer, now
	}
	return sealer, err
}

// open opens a token, with newer keys if those that are known do not.
func (k *sealKeeper) open(token, origin string, now time.Time) (tableauauth.ClientToken, error) {
	var t tableauauth.ClientToken
	var err error
	for _, maxAge := range []time.Duration{sealKeysLook, sealKeysRetry} {
		sealer, loadErr := k.get(now, maxAge)
		if loadErr != nil {
			return t, loadErr
		}
		if t, err = sealer.Open(token, origin, now); !errors.Is(err, tableauauth.ErrNotOurs) {
			break
		}
	}
	return t, err
}

// processKey is the key that is used when the storage cannot be.
var processKey = sync.OnceValue(rand.Text)

// currentKeys loads the keys, newest first, and renews them if need be. Under
// the lock of the storage, so that replicas that start together agree.
func currentKeys(ctx context.Context, storage certmagic.Storage, now time.Time) (keys []storedKey, err error) {
	if keys, err = loadKeys(ctx, storage); err == nil && isFresh(keys, now) {
		return keys, nil
	}
	if err := storage.Lock(ctx, sealKeysLock); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, storage.Unlock(ctx, sealKeysLock)) }()
	if keys, err = loadKeys(ctx, storage); err != nil || isFresh(keys, now) {
		return keys, err
	}
	keys = append([]storedKey{{Key: rand.Text() + rand.Text(), Created: now}}, keys...)
	keys = keys[:min(len(keys), 2)]
	content, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	return keys, storage.Store(ctx, sealKeysPath, content)
}

func isFresh(keys []storedKey, now time.Time) bool {
	return len(keys) > 0 && now.Sub(keys[0].Created) < sealKeyAge
}

// loadKeys returns the stored keys; none are no error.
func loadKeys(ctx context.Context, storage certmagic.Storage) ([]storedKey, error) {
	content, err := storage.Load(ctx, sealKeysPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var keys []storedKey
	tooShort := func(k storedKey) bool { return len(k.Key) < tableauauth.MinSealKey }
	if err := json.Unmarshal(content, &keys); err != nil || slices.ContainsFunc(keys, tooShort) {
		return nil, fmt.Errorf("%s in Caddy's storage is damaged: delete it: clients then sign in again: %w", sealKeysPath, errTampered)
	}
	return keys, nil
}

package caddymodule

// This file checks how the key for client tokens is made, kept, replaced and
// configured.

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-tableau/caddy-tableau/tableauauth"
	"github.com/caddy-tableau/caddy-tableau/tableauauth/tableautest"
)

var sealTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// stored returns the sealer of a start at now, and the warnings that it gave.
func stored(t *testing.T, storage certmagic.Storage, now time.Time) (*tableauauth.Sealer, []string) {
	t.Helper()
	core, logs := observer.New(zapcore.WarnLevel)
	sealer, err := storedSealer(storage, now, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	for _, e := range logs.All() {
		warnings = append(warnings, e.Message+": "+e.ContextMap()["error"].(string))
	}
	return sealer, warnings
}

// quietly is stored, without warnings.
func quietly(t *testing.T, storage certmagic.Storage, now time.Time) *tableauauth.Sealer {
	t.Helper()
	sealer, warnings := stored(t, storage, now)
	if len(warnings) > 0 {
		t.Errorf("it warns: %q", warnings)
	}
	return sealer
}

const sealOrigin = "https://tableau.example"

func sealFor(t *testing.T, s *tableauauth.Sealer, identity string) string {
	t.Helper()
	token, err := s.Seal(tableauauth.ClientToken{Identity: identity, SiteID: tableautest.SiteLUID(testSite), Expires: sealTime.Add(10000 * time.Hour)}, sealOrigin)
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

func opens(s *tableauauth.Sealer, token string) bool {
	_, err := s.Open(token, sealOrigin, sealTime)
	return err == nil
}

// keysIn returns the stored keys.
func keysIn(t *testing.T, dir string) (keys []storedKey) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, sealKeysPath))
	if err == nil {
		err = json.Unmarshal(content, &keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestSealKeyIsMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	token := sealFor(t, quietly(t, &certmagic.FileStorage{Path: dir}, sealTime), "alice")
	before := keysIn(t, dir)
	if len(before) != 1 || len(before[0].Key) < 32 || !before[0].Created.Equal(sealTime) {
		t.Fatalf("%d keys, the first of %d characters", len(before), len(before[0].Key))
	}
	info, err := os.Stat(filepath.Join(dir, sealKeysPath))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read the key: %v, %v", info.Mode(), err)
	}
	for _, later := range []time.Duration{0, time.Hour, sealKeyAge - time.Second} {
		if !opens(quietly(t, &certmagic.FileStorage{Path: dir}, sealTime.Add(later)), token) {
			t.Errorf("after a restart %v later the token does not open", later)
		}
	}
	if after := keysIn(t, dir); len(after) != 1 || after[0].Key != before[0].Key {
		t.Error("the key was replaced before its time")
	}
}

func TestSealKeyIsReplacedAfter30DaysAndThePreviousAccepted(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	first := quietly(t, storage, sealTime)
	second := quietly(t, storage, sealTime.Add(sealKeyAge))
	if token := sealFor(t, second, "alice"); opens(first, token) {
		t.Error("the new key does not seal")
	} else if again := quietly(t, storage, sealTime.Add(sealKeyAge+time.Hour)); !opens(again, token) {
		t.Error("the new key was not kept")
	}
	if !opens(second, sealFor(t, first, "alice")) {
		t.Error("tokens of the previous key are refused")
	}
	third := quietly(t, storage, sealTime.Add(2*sealKeyAge))
	if opens(third, sealFor(t, first, "alice")) || !opens(third, sealFor(t, second, "alice")) {
		t.Error("the key before the previous one is still accepted, or the previous one is not")
	}
	if keys := keysIn(t, storage.Path); len(keys) != 2 || keys[0].Key == keys[1].Key {
		t.Errorf("%d keys are stored, want 2 different ones", len(keys))
	}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	for name, start := range map[string]time.Time{"at the first start": {}, "when the key has come of age": sealTime.Add(-sealKeyAge)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if !start.IsZero() {
				quietly(t, &certmagic.FileStorage{Path: dir}, start)
			}
			var sealers [3]*tableauauth.Sealer
			var wg sync.WaitGroup
			for i := range sealers {
				wg.Go(func() {
					var err error
					if sealers[i], err = storedSealer(&certmagic.FileStorage{Path: dir}, sealTime, zap.NewNop()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for i, a := range sealers {
				for j, b := range sealers {
					if !opens(b, sealFor(t, a, "alice")) {
						t.Errorf("replica %d does not open what replica %d has sealed", j, i)
					}
				}
			}
		})
	}
}

func TestDamagedKeysAreLeftAloneWithAWarning(t *testing.T) {
	for name, content := range map[string]string{
		"empty":       "",
		"cut":         `[{"key":"0123456789abcdef01234567`,
		"no list":     `{"key":"0123456789abcdef0123456789abcdef"}`,
		"no key":      `[{"created":"2026-11-23T12:00:00Z"}]`,
		"a short key": `[{"key":"hunter2","created":"2026-11-23T12:00:00Z"}]`,
		"binary":      "\x00\xff\x00",
	} {
		t.Run(name, func(t *testing.T) {
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			if err := storage.Store(t.Context(), sealKeysPath, []byte(content)); err != nil {
				t.Fatal(err)
			}
			sealer, warnings := stored(t, storage, sealTime)
			if !opens(sealer, sealFor(t, sealer, "alice")) {
				t.Error("the sealer is no use")
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], sealKeysPath) || !strings.Contains(warnings[0], "delete it") || strings.Contains(warnings[0], "hunter2") {
				t.Errorf("warnings %q, want one that says what to delete", warnings)
			}
			if left, err := storage.Load(t.Context(), sealKeysPath); err != nil || string(left) != content {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

// faultyStorage is a storage in which calls fail.
type faultyStorage struct {
	certmagic.Storage
	load, lock, unlock, store error
	hang                      bool
}

func (s *faultyStorage) Load(ctx context.Context, key string) ([]byte, error) {
	if s.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.load != nil {
		return nil, s.load
	}
	return s.Storage.Load(ctx, key)
}

func (s *faultyStorage) Lock(ctx context.Context, name string) error {
	return errors.Join(s.lock, s.Storage.Lock(ctx, name))
}

func (s *faultyStorage) Unlock(ctx context.Context, name string) error {
	return errors.Join(s.unlock, s.Storage.Unlock(ctx, name))
}

func (s *faultyStorage) Store(ctx context.Context, key string, value []byte) error {
	if s.store != nil {
		return s.store
	}
	return s.Storage.Store(ctx, key, value)
}

func TestStorageThatFailsLeavesAKeyOfTheProcess(t *testing.T) {
	fault := errors.New("no space left on device")
	for name, faulty := range map[string]*faultyStorage{
		"load": {load: fault}, "lock": {lock: fault}, "unlock": {unlock: fault}, "store": {store: fault},
	} {
		t.Run(name, func(t *testing.T) {
			faulty.Storage = &certmagic.FileStorage{Path: t.TempDir()}
			sealer, warnings := stored(t, faulty, sealTime)
			if len(warnings) != 1 || !strings.Contains(warnings[0], "after a restart clients have to sign in again") || !strings.Contains(warnings[0], fault.Error()) {
				t.Errorf("warnings %q", warnings)
			}
			token := sealFor(t, sealer, "alice")
			if !opens(sealer, token) {
				t.Error("the sealer is no use")
			}
			faulty.Storage = &certmagic.FileStorage{Path: t.TempDir()}
			if again, _ := stored(t, faulty, sealTime); !opens(again, token) {
				t.Error("after a reload the token does not open")
			}
		})
	}
}

func TestStorageThatHangsIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	faulty := &faultyStorage{Storage: &certmagic.FileStorage{Path: t.TempDir()}, hang: true}
	if _, err := currentKeys(ctx, faulty, sealTime); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSealKeyIsGivenByPlaceholder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("the key before, in a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SEAL_KEY", "the key of these tests")
	t.Setenv("SEAL_KEY_SHORT", "hunter2")
	t.Setenv("SEAL_KEY_EMPTY", "")
	tests := []struct {
		name string
		keys string
		want string // a part of the error, or "" for none
	}{
		{"one", "{env.SEAL_KEY}", ""},
		{"two", "{env.SEAL_KEY} {file." + file + "}", ""},
		{"three", "{env.SEAL_KEY} {env.SEAL_KEY} {env.SEAL_KEY}", "takes one key, and the one before it"},
		{"none", "", "seal_key is empty"},
		{"literal", "the-literal-key-hunter2", "seal_key: a secret in the configuration itself"},
		{"literal behind a placeholder", "{env.SEAL_KEY} the-literal-key-hunter2", "seal_key: a secret in the configuration itself"},
		{"expanded too early", "{$SEAL_KEY_SHORT}", "seal_key: a secret in the configuration itself"},
		{"short", "{env.SEAL_KEY_SHORT}", "seal_key: the key for client tokens is shorter than 16 bytes"},
		{"the previous one short", "{env.SEAL_KEY} {env.SEAL_KEY_SHORT}", "shorter than 16 bytes"},
		{"empty", "{env.SEAL_KEY_EMPTY}", "seal_key"},
		{"not set", "{env.SEAL_KEY_NOT_SET}", "SEAL_KEY_NOT_SET"},
		{"file missing", "{file." + file + ".none}", "set the environment variable or file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := validateSealed(t, t.TempDir(), "\ttableau {\n\t\tseal_key "+test.keys+"\n\t}\n")
			switch {
			case (err == nil) != (test.want == ""):
				t.Errorf("error %v, want %q", err, test.want)
			case err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("error %q, want %q in it and no key", err, test.want)
			}
		})
	}
}

// validateSealed validates a configuration that has everything.
func validateSealed(t *testing.T, storage, global string) error {
	t.Helper()
	t.Setenv("GOOD_SECRET", "0123456789abcdef")
	adapted, err := adapt("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\toutput discard\n\t}\n\tstorage file_system {\n\t\troot " + storage + "\n\t}\n" + global +
		"}\n:0 {\n\ttableau_proxy " + goodOrigin + " {\n" + good + "clients {\n\tetl " + testHash() + "\n}\n\t}\n}\n")
	if err != nil {
		return err
	}
	var c caddy.Config
	if err := json.Unmarshal(adapted, &c); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&c)
}

func TestValidatingWritesNothing(t *testing.T) {
	storage := t.TempDir()
	if err := validateSealed(t, storage, ""); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(storage, func(path string, _ fs.DirEntry, err error) error {
		if path != storage {
			t.Errorf("validating has written %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestConfiguredKeyNeedsNoStorage(t *testing.T) {
	t.Setenv("SEAL_KEY", "the key of these tests")
	t.Setenv("SEAL_KEY_NEXT", "the key that comes after it")
	global := func(keys string) setup { return setup{global: "\ttableau {\n\t\tseal_key " + keys + "\n\t}"} }
	r := started(t, tableautest.Options{}, global("{env.SEAL_KEY}"))
	token := r.signIn(t, "alice", "finance")
	if _, err := os.Stat(filepath.Join(r.storage, sealKeysPath)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a key in the storage: %v", err)
	}
	r.reload(t, global("{env.SEAL_KEY_NEXT} {env.SEAL_KEY}"))
	expectStatus(t, "with the previous key", r.with(t, "alice", token), 200, "")
	fresh := r.signIn(t, "alice", "finance")
	r.reload(t, global("{env.SEAL_KEY_NEXT}"))
	expectStatus(t, "without the previous key", r.with(t, "alice", token), 401, "token_invalid")
	expectStatus(t, "sealed with the new key", r.with(t, "alice", fresh), 200, "")
}

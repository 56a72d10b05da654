package caddymodule

// This file checks that a running process takes up keys that others have made,
// and that many guesses at once are counted.

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

// TestRunningReplicaTakesUpANewKey: one replica has run for a month when another
// starts and makes a new key. The first opens what the second seals, and at last
// seals with the new key too.
func TestRunningReplicaTakesUpANewKey(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	replica := func() *sealKeeper {
		return &sealKeeper{load: func(now time.Time) (*tableauauth.Sealer, error) { return storedSealer(storage, now, zap.NewNop()) }}
	}
	const origin = "https://tableau.example"
	seal := func(k *sealKeeper, now time.Time) string {
		t.Helper()
		sealer, err := k.get(now, sealKeysLook)
		if err != nil {
			t.Fatal(err)
		}
		token, err := sealer.Seal(tableauauth.ClientToken{
			Identity: "alice", SiteID: "6abce82a-7dad-5222-a5d2-9b48fd8a40d8", Expires: now.Add(tableauauth.ClientTokenLife),
		}, origin)
		if err != nil {
			t.Fatal(err)
		}
		return token.Reveal()
	}
	old, start := replica(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := seal(old, start)
	later := start.Add(sealKeyAge - time.Minute)
	if _, err := old.open(before, origin, start); err != nil {
		t.Fatal(err)
	}
	seal(old, later) // its copy of the keys is fresh
	restarted := later.Add(2 * time.Minute)
	fresh := seal(replica(), restarted)
	if _, err := old.open(fresh, origin, restarted); err != nil {
		t.Errorf("a token of the restarted replica: %v", err)
	}
	if _, err := replica().open(seal(old, restarted.Add(sealKeysLook)), origin, restarted.Add(sealKeysLook)); err != nil {
		t.Errorf("a token of the old replica: %v", err)
	}
}

// TestForeignTokensDoNotWearTheStorageOut: however many there are.
func TestForeignTokensDoNotWearTheStorageOut(t *testing.T) {
	sealer, err := tableauauth.NewSealer(tableauapi.NewSecret("a key of some length"))
	if err != nil {
		t.Fatal(err)
	}
	var loads atomic.Int64
	k := &sealKeeper{load: func(time.Time) (*tableauauth.Sealer, error) { loads.Add(1); return sealer, nil }}
	now := time.Now()
	for range 1000 {
		if _, err := k.open("foreign", "", now); !errors.Is(err, tableauauth.ErrNotOurs) {
			t.Fatal(err)
		}
		now = now.Add(time.Millisecond)
	}
	if n := loads.Load(); n != 1 {
		t.Errorf("%d loads in a second, want 1", n)
	}
}

// TestStorageThatComesBack: a failure is no verdict for good.
func TestStorageThatComesBack(t *testing.T) {
	down := true
	k := &sealKeeper{load: func(time.Time) (*tableauauth.Sealer, error) {
		if down {
			return nil, errors.New("down")
		}
		return tableauauth.NewSealer(tableauapi.NewSecret("a key of some length"))
	}}
	if _, err := k.get(time.Now(), sealKeysLook); err == nil {
		t.Fatal("no error")
	}
	down = false
	if _, err := k.get(time.Now(), sealKeysLook); err != nil {
		t.Error(err)
	}
}

// TestManyGuessesAtOnceAreCounted: those that come together pass the throttle
// one by one.
func TestManyGuessesAtOnceAreCounted(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	cs, err := newClients(ctx, []Client{{Name: "etl", Hash: string(hash)}})
	if err != nil {
		t.Fatal(err)
	}
	var wrong, heldUp atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			r := &http.Request{RemoteAddr: "192.0.2.1:1", Header: http.Header{}}
			_, refused := cs.signIn(r.WithContext(t.Context()), tableauapi.Credentials{Name: "etl", Password: tableauapi.NewSecret("wrong")})
			switch {
			case refused == nil:
				t.Error("a wrong secret is accepted")
			case refused.status == http.StatusTooManyRequests:
				heldUp.Add(1)
			default:
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() > guessBurst+1 || heldUp.Load() < 200-guessBurst-1 {
		t.Errorf("%d were compared and %d held up, want %d compared", wrong.Load(), heldUp.Load(), guessBurst)
	}
}

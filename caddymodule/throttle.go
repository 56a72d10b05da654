package caddymodule

// This file slows down those who guess client secrets.

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
	"github.com/caddy-tableau/caddy-tableau/tableauauth"
)

const (
	// guessBurst is how many wrong secrets a name or an address may present
	// before it is slowed down, and guessEvery how often it may after that. A
	// bcrypt comparison costs about a second of CPU.
	guessBurst = 10
	guessEvery = 5 * time.Second

	// maxGuessers bounds the names and addresses, and the known-good secrets,
	// that are remembered.
	maxGuessers = 10_000
)

// A throttle counts wrong secrets by name and by address. Whoever presents a
// secret that was right before is not held up by those who guess.
type throttle struct {
	salt [16]byte

	mu       sync.Mutex
	guessers map[string]*rate.Limiter
	good     map[[sha256.Size]byte]struct{}
}

func newThrottle() *throttle {
	t := &throttle{guessers: make(map[string]*rate.Limiter), good: make(map[[sha256.Size]byte]struct{})}
	_, _ = rand.Read(t.salt[:]) // never fails, see crypto/rand
	return t
}

// take reports whether an attempt has to wait, and for how long.
func (t *throttle) take(name, address string, secret tableauapi.Secret) (wait time.Duration, busy bool) {
	if t.isKnown(name, secret) {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, key := range guesserKeys(name, address) {
		if l := t.guessers[key]; l != nil && l.TokensAt(now) < 1 {
			return guessEvery, true
		}
	}
	return 0, false
}

// isKnown reports whether the secret was right before.
func (t *throttle) isKnown(name string, secret tableauapi.Secret) bool {
	digest := t.digest(name, secret)
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.good[digest]
	return known
}

// guesserKeys are what an attempt is counted by. A name that no client can have
// is cut off, so that it takes no more memory than another.
func guesserKeys(name, address string) [2]string {
	return [2]string{"name " + name[:min(len(name), tableauauth.MaxUserBytes+1)], "address " + address}
}

// failed counts a wrong secret.
func (t *throttle) failed(name, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, key := range guesserKeys(name, address) {
		l := t.guessers[key]
		if l == nil {
			t.makeRoom(now)
			l = rate.NewLimiter(rate.Every(guessEvery), guessBurst)
			t.guessers[key] = l
		}
		l.AllowN(now, 1)
	}
}

// succeeded remembers a right secret.
func (t *throttle) succeeded(name string, secret tableauapi.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.good) >= maxGuessers {
		clear(t.good)
	}
	t.good[t.digest(name, secret)] = struct{}{}
}

// makeRoom forgets those who have not guessed for a while, or, if there are too
// many even so, any.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.guessers) < maxGuessers {
		return
	}
	for key, l := range t.guessers {
		if l.TokensAt(now) >= guessBurst {
			delete(t.guessers, key)
		}
	}
	for key := range t.guessers {
		if len(t.guessers) < maxGuessers {
			return
		}
		delete(t.guessers, key)
	}
}

func (t *throttle) digest(name string, secret tableauapi.Secret) [sha256.Size]byte {
	return sha256.Sum256([]byte(string(t.salt[:]) + name + "\x00" + secret.Reveal()))
}

// clientIP returns the address of the client, as Caddy's trusted_proxies let it
// be known.
func clientIP(r *http.Request) string {
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

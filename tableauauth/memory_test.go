package tableauauth

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// sessionBytes returns what one of n sessions of different users takes, all
// told: its place in the pool, its token, the user's name of 30 characters.
func sessionBytes(tb testing.TB, n int) float64 {
	app, err := NewDirectTrust("client", ConnectedAppSecret{ID: "secret", Value: tableauapi.NewSecret("0123456789abcdef0123456789abcdef")})
	if err != nil {
		tb.Fatal(err)
	}
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: app}, PoolOptions{
		// What Close sends is refused at once.
		Client: Client{Transport: roundTripFunc(answering(401, "").RoundTrip)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	before := liveHeap()
	for i := range n {
		g := grant(fmt.Sprintf("some.body.%07d@corp.example", i))
		s, err := pool.newSession(g, Proof{JTI: uuid.NewString(), APIVersion: "3.17"}, tableauapi.SignInAnswer{
			Token:  tableauapi.NewSecret(fmt.Sprintf("%022d|%032d|%s", i, i, oneLUID)),
			SiteID: oneLUID, ContentURL: testSite, UserID: uuid.NewString(),
		}, time.Now())
		if err != nil {
			tb.Fatal(err)
		}
		hash := pool.hash(g)
		pool.land(&flight{place: pool.place(hash, g), grant: g, done: make(chan struct{})}, s, nil)
	}
	each := float64(liveHeap()-before) / float64(n)
	if pool.Len() != n {
		tb.Fatalf("%d sessions, want %d", pool.Len(), n)
	}
	pool.takeIf(func(*Session) bool { return true }) // nothing to sign out
	pool.Close(context.Background())
	return each
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestSessionMemory: a session takes at most 300 bytes, and nothing that runs.
func TestSessionMemory(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	if got := sessionBytes(t, 100_000); got > 300 {
		t.Errorf("%.0f bytes a session, want at most 300", got)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, before there were %d", now, goroutines)
	}
}

func BenchmarkSessionMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(sessionBytes(b, 1_000_000), "B/session")
	}
}

// BenchmarkGet is what a request pays for its session, among many.
func BenchmarkGet(b *testing.B) {
	app, err := NewDirectTrust("client", ConnectedAppSecret{ID: "secret", Value: tableauapi.NewSecret("0123456789abcdef0123456789abcdef")})
	if err != nil {
		b.Fatal(err)
	}
	pool, err := NewPool(Connection{Origin: testOrigin, Credential: app}, PoolOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close(context.Background())
	const users = 100_000
	grants := make([]Grant, users)
	for i := range grants {
		grants[i] = grant(fmt.Sprintf("some.body.%07d@corp.example", i))
		s, err := pool.newSession(grants[i], Proof{JTI: uuid.NewString(), APIVersion: "3.17"}, tableauapi.SignInAnswer{
			Token: tableauapi.NewSecret(oneLUID), SiteID: oneLUID, ContentURL: testSite, UserID: oneLUID,
		}, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		s.renewAfter = millis(time.Hour.Milliseconds())
		hash := pool.hash(grants[i])
		pool.land(&flight{place: pool.place(hash, grants[i]), grant: grants[i], done: make(chan struct{})}, s, nil)
	}
	defer pool.takeIf(func(*Session) bool { return true })
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, signedIn, err := pool.Get(context.Background(), grants[i%users]); err != nil || signedIn {
			b.Fatal(err, signedIn)
		}
		i += 7919
	}
}

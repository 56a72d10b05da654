package tableauauth

// This file checks that a token that was signed out stays so, in bounded
// memory.

import (
	"sync"
	"testing"
	"time"
)

// tokenEnding is a token that ends some time after sealNow.
func tokenEnding(id uint64, after time.Duration) ClientToken {
	return ClientToken{ID: id, Expires: sealNow.Add(after)}
}

func TestSignedOutTokenStaysSoUntilItEnds(t *testing.T) {
	var s SignedOut
	token := tokenEnding(1, ClientTokenLife)
	if s.Has(token) {
		t.Fatal("a token is signed out before anything was")
	}
	s.Add(token, sealNow)
	for now := sealNow; now.Before(token.Expires); now = now.Add(13 * time.Minute) {
		s.Add(tokenEnding(2+uint64(now.Unix()), now.Sub(sealNow)+ClientTokenLife), now)
		if !s.Has(token) {
			t.Fatalf("forgotten %v before it ended", token.Expires.Sub(now))
		}
	}
}

func TestOnlyTheTokenThatWasSignedOutIs(t *testing.T) {
	var s SignedOut
	s.Add(tokenEnding(1, time.Hour), sealNow)
	for _, other := range []ClientToken{tokenEnding(2, time.Hour), tokenEnding(1, 3*time.Hour), {}} {
		if s.Has(other) {
			t.Errorf("%d, which ends %v, is signed out", other.ID, other.Expires)
		}
	}
}

func TestSignedOutForgetsWhatHasEnded(t *testing.T) {
	var s SignedOut
	for day := range 10 {
		for i := range 1000 {
			now := sealNow.Add(time.Duration(day)*24*time.Hour + time.Duration(i)*time.Minute)
			if s.Add(ClientToken{ID: uint64(day*1000 + i), Expires: now.Add(time.Hour)}, now) {
				t.Fatal("it reports to have forgotten what had not ended")
			}
		}
	}
	// Of 1000 minutes a day with an hour to live, less than two hours' worth
	// can still matter.
	if s.size > 120 || len(s.hours) > 2 {
		t.Errorf("it remembers %d tokens of %d hours", s.size, len(s.hours))
	}
}

func TestSigningOutTwiceCountsOnce(t *testing.T) {
	var s SignedOut
	for range 3 {
		s.Add(tokenEnding(1, time.Hour), sealNow)
	}
	if s.size != 1 {
		t.Errorf("it remembers %d tokens", s.size)
	}
}

func TestSignedOutIsBoundedAndReportsWhatItForgets(t *testing.T) {
	var s SignedOut
	first, next, last := tokenEnding(0, 2*time.Hour), tokenEnding(1, 3*time.Hour), tokenEnding(2, 20*time.Hour)
	for _, token := range []ClientToken{first, next, last} {
		s.Add(token, sealNow)
	}
	for id := uint64(3); id < MaxSignedOut; id++ {
		if s.Add(tokenEnding(id, 10*time.Hour), sealNow) {
			t.Fatalf("it forgets with %d tokens", id)
		}
	}
	if !s.Has(first) {
		t.Fatal("forgotten before the limit")
	}

	over := tokenEnding(MaxSignedOut, 10*time.Hour)
	if !s.Add(over, sealNow) {
		t.Error("it does not report what it forgets")
	}
	if s.Has(first) || !s.Has(next) || !s.Has(over) || !s.Has(last) || s.size != MaxSignedOut {
		t.Errorf("it should forget what ends first and nothing else: first %t, next %t, newest %t, last %t, size %d", s.Has(first), s.Has(next), s.Has(over), s.Has(last), s.size)
	}

	// Again full, and once more: the hour that ends first is then the crowded one.
	for id := range uint64(2) {
		if !s.Add(tokenEnding(MaxSignedOut+1+id, 15*time.Hour), sealNow) {
			t.Error("it does not report what it forgets")
		}
	}
	if s.size != 3 || s.Has(next) || s.Has(over) || !s.Has(last) {
		t.Errorf("size %d, next %t, crowded %t, last %t", s.size, s.Has(next), s.Has(over), s.Has(last))
	}
}

func TestSignedOutFromManyAtOnce(t *testing.T) {
	var s SignedOut
	var wg sync.WaitGroup
	const each = 500
	for worker := range uint64(8) {
		wg.Go(func() {
			for i := range uint64(each) {
				token := tokenEnding(worker*each+i, time.Duration(i%5)*time.Hour)
				s.Add(token, sealNow)
				if !s.Has(token) {
					t.Errorf("token %d is not signed out", token.ID)
				}
			}
		})
	}
	wg.Wait()
	if s.size != 8*each {
		t.Errorf("it remembers %d tokens, want %d", s.size, 8*each)
	}
}

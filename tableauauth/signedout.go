package tableauauth

// This file remembers which client tokens were signed out.

import (
	"sync"
	"time"
)

// MaxSignedOut is how many signed-out tokens are remembered. At about 40 bytes
// each, that is 40 MB.
const MaxSignedOut = 1 << 20

// SignedOut remembers client tokens that were signed out until they would have
// ended anyway. Beyond [MaxSignedOut], those that end soonest are forgotten. The
// zero value is ready to use.
type SignedOut struct {
	mu    sync.RWMutex
	hours map[int64]map[uint64]struct{} // by the hour in which they end
	size  int
}

// Add remembers t. It reports whether others had to be forgotten for it.
func (s *SignedOut) Add(t ClientToken, now time.Time) (forgot bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hours == nil {
		s.hours = make(map[int64]map[uint64]struct{})
	}
	s.forgetBefore(hour(now))
	for s.size >= MaxSignedOut {
		s.forgetBefore(s.earliest() + 1)
		forgot = true
	}
	at := hour(t.Expires)
	if s.hours[at] == nil {
		s.hours[at] = make(map[uint64]struct{})
	}
	if _, there := s.hours[at][t.ID]; !there {
		s.hours[at][t.ID] = struct{}{}
		s.size++
	}
	return forgot
}

// Has reports whether t was signed out.
func (s *SignedOut) Has(t ClientToken) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, there := s.hours[hour(t.Expires)][t.ID]
	return there
}

func (s *SignedOut) forgetBefore(end int64) {
	for at, tokens := range s.hours {
		if at < end {
			s.size -= len(tokens)
			delete(s.hours, at)
		}
	}
}

func (s *SignedOut) earliest() int64 {
	first := int64(1<<63 - 1)
	for at := range s.hours {
		first = min(first, at)
	}
	return first
}

func hour(t time.Time) int64 { return t.Unix() / 3600 }

// This file remembers JWT IDs for as long as their JWTs could be replayed.

package tableautest

import (
	"sync"
	"time"
)

// jtiMemory holds used JWT IDs until their JWTs expire, which bounds it: no
// JWT lives longer than ten minutes.
type jtiMemory struct {
	mu        sync.Mutex
	until     map[string]time.Time
	nextSweep time.Time
}

func newJTIMemory() *jtiMemory { return &jtiMemory{until: map[string]time.Time{}} }

// first tells whether the ID is new, and remembers it until exp.
func (m *jtiMemory) first(id string, exp, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.nextSweep) {
		m.sweep(now)
	}
	if until, used := m.until[id]; used && until.After(now) {
		return false
	}
	m.until[id] = exp
	return true
}

func (m *jtiMemory) sweep(now time.Time) {
	for id, until := range m.until {
		if !until.After(now) {
			delete(m.until, id)
		}
	}
	m.nextSweep = now.Add(time.Minute)
}

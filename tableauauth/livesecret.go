package tableauauth

// This file lets secrets change while they are in use.

import (
	"sync/atomic"

	"github.com/caddy-tableau/caddy-tableau/tableauapi"
)

// A liveSecret is a secret that is asked for anew before each use, with the
// name that goes with it. As long as there is nothing to be had, the last one
// is good.
type liveSecret struct {
	current func() (name string, value tableauapi.Secret) // nil: it never changes
	last    atomic.Pointer[namedSecret]
}

type namedSecret struct {
	name  string
	value tableauapi.Secret
}

func newLiveSecret(name string, value tableauapi.Secret, current func() (string, tableauapi.Secret)) *liveSecret {
	s := &liveSecret{current: current}
	s.last.Store(&namedSecret{name, value})
	return s
}

// get returns the secret as it is now.
func (s *liveSecret) get() namedSecret {
	if s.current != nil {
		if name, value := s.current(); name != "" && !value.IsZero() {
			s.last.Store(&namedSecret{name, value})
		}
	}
	return *s.last.Load()
}

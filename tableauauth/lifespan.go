package tableauauth

// This file learns how long Tableau lets sessions live. Tableau does not say:
// a Cloud site ends them after two hours, a Server by
// wgserver.session.idle_limit (240 minutes unless set) and, if
// wgserver.session.apply_lifetime_limit is set, by lifetime_limit.
// estimatedTimeToExpiration of the sign-in's answer is about the credential.

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// idleGap is from when on a session that is found dead may have died of
	// not having been used.
	idleGap = 10 * time.Minute

	// shortestLife is the shortest limit that is believed. What ends sessions
	// sooner is not a limit: an administrator, or another use of the same token.
	shortestLife = 5 * time.Minute

	// convincing is how many deaths it takes to believe in a limit: on as many
	// occasions, at least occasionGap apart, since a Tableau that is restarted
	// ends all sessions at once.
	convincing  = 3
	occasionGap = 5 * time.Minute

	// forgetAfter is for how long a limit is believed without being tested, as
	// it cannot be while it is respected.
	forgetAfter = 24 * time.Hour
)

// A lifespan is what is known of how long sessions live.
type lifespan struct {
	age, idle limit
}

// A limit is a length of time that some sessions have lived through, and after
// which others were found dead. Only if every death comes after every survival
// is it a limit: it lies between the two.
type limit struct {
	name     string
	survived atomic.Int64 // nanoseconds, the longest
	believed atomic.Int64 // nanoseconds that are safe, or 0

	mu        sync.Mutex
	deaths    int
	shortest  time.Duration // of them
	lastDeath time.Time
	since     time.Time // when it was believed first
}

// survives notes that a session has lived through d. It runs for each request.
func (l *limit) survives(d time.Duration) {
	for {
		longest := l.survived.Load()
		if int64(d) <= longest || l.survived.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// dies notes that a session was found dead after d, and reports whether a limit
// has been learned by it.
func (l *limit) dies(d time.Duration, now time.Time) (learned bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d < shortestLife {
		return false
	}
	if int64(d) <= l.survived.Load() {
		// Others live longer. The survivors of before may have had other
		// limits: the next are counted afresh.
		l.deaths = 0
		l.survived.Store(0)
		return false
	}
	if l.deaths > 0 && now.Sub(l.lastDeath) < occasionGap {
		return false
	}
	if l.deaths == 0 || d < l.shortest {
		l.shortest = d
	}
	l.deaths++
	l.lastDeath = now
	if l.deaths < convincing {
		return false
	}
	l.deaths, l.since = 0, now
	l.believed.Store(int64(max(time.Duration(l.survived.Load()), l.shortest/2) * 9 / 10))
	return true
}

// safe returns the time within which sessions are known to live, or longest if
// that is shorter or nothing is known.
func (l *limit) safe(longest time.Duration) time.Duration {
	if d := l.believed.Load(); d > 0 {
		return min(time.Duration(d), longest)
	}
	return longest
}

// forget forgets what was believed for long enough.
func (l *limit) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.believed.Load() != 0 && now.Sub(l.since) >= forgetAfter {
		l.believed.Store(0)
		l.survived.Store(0)
	}
}

// survived notes that Tableau accepts s at now.
func (p *Pool) survived(s *Session, now time.Time) {
	p.life.idle.survives(s.quietFor(now))
	p.life.age.survives(now.Sub(s.SignedInAt()))
	s.accepted(now)
}

// died notes that s was found dead at now, and Tableau had ended it by itself.
func (p *Pool) died(s *Session, now time.Time) {
	which, d := &p.life.age, now.Sub(s.SignedInAt())
	if quiet := s.quietFor(now); quiet >= idleGap {
		which, d = &p.life.idle, quiet
	}
	if which.dies(d, now) {
		p.opts.Logger.LogAttrs(p.ctx, slog.LevelInfo, "Tableau ends sessions sooner than expected, which is taken into account for a day",
			slog.String("limit", which.name), slog.Duration("found_dead_after", d), slog.Duration("safe", time.Duration(which.believed.Load())))
	}
}

// due reports whether s is to be renewed. What is learned shortens the time of
// each by its own part of RenewAfter, so that they stay spread.
func (p *Pool) due(s *Session, now time.Time) bool {
	age := s.age(now)
	if age >= s.renewAfter {
		return true
	}
	safe := p.life.age.safe(p.opts.RenewAfter)
	if safe == p.opts.RenewAfter {
		return false
	}
	share := float64(s.renewAfter) / float64(p.opts.RenewAfter.Milliseconds())
	return float64(age) >= share*float64(safe.Milliseconds())
}

// lapsed reports whether Tableau has ended s by now, by what is known: s was
// not used for too long.
func (p *Pool) lapsed(s *Session, now time.Time) bool {
	safe := p.life.idle.believed.Load()
	return safe > 0 && s.quietFor(now) > time.Duration(safe)
}

// idleAfter is how long a session may be unused before it is signed out.
func (p *Pool) idleAfter() time.Duration { return p.life.idle.safe(p.opts.IdleAfter) }

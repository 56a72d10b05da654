package tableauauth

// This file decides who gets which seat, and in what order.

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// rememberSeat is how long a seat that Tableau has refused is left alone.
const rememberSeat = time.Minute

// A seating has the seats of one origin, for every pool of this process: a
// configuration that is being replaced, and two that share a token, must not
// end each other's sessions either.
//
// The order is that of the queue. A request whose session lives joins in, but
// not where somebody before it waits for that seat: the first of those who find
// no free seat has the seat with the oldest session kept for it, the next the
// next oldest, and what is kept takes no new requests, so that it becomes free.
// Whoever waits takes the first seat that does. When a session begins, everybody
// who has waited for it by then gets it: otherwise two who take turns on one
// seat would need a sign-in for each request.
type seating struct {
	mu       sync.Mutex
	seats    map[[sha256.Size]byte]*seat
	current  map[Key]*Session // the sessions that requests join in on
	flights  map[Key]*seat    // where sign-ins are under way
	refusals map[Key]refusal
	queue    []*claim
	kept     map[*seat]bool // for those in the queue
	pools    int            // guarded by seatings
}

// seatings are the seatings of all origins.
var seatings = struct {
	sync.Mutex
	at map[string]*seating
}{at: make(map[string]*seating)}

// takeSeats makes the seats of p's credential available to it, if they are
// limited.
func (p *Pool) takeSeats() {
	credential, ok := p.conn.Credential.(Seated)
	if !ok {
		return
	}
	seatings.Lock()
	defer seatings.Unlock()
	t := seatings.at[p.origin.String()]
	if t == nil {
		t = &seating{
			seats: make(map[[sha256.Size]byte]*seat), current: make(map[Key]*Session),
			flights: make(map[Key]*seat), refusals: make(map[Key]refusal), kept: make(map[*seat]bool),
		}
		seatings.at[p.origin.String()] = t
	}
	t.pools++
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range credential.Seats() {
		if t.seats[id] == nil {
			t.seats[id] = &seat{refused: make(map[purpose]seatPause)}
		}
		t.seats[id].pools++
		p.seats = append(p.seats, t.seats[id])
	}
	p.seating = t
}

// leaveSeats undoes takeSeats, when p has no session and no claim any more.
func (p *Pool) leaveSeats() {
	t := p.seating
	seatings.Lock()
	defer seatings.Unlock()
	if t.pools--; t.pools == 0 {
		delete(seatings.at, p.origin.String())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.seats {
		if slices.Contains(p.seats, s) {
			if s.pools--; s.pools == 0 {
				delete(t.seats, id)
			}
		}
	}
}

// claim returns a session for key that lives, held, or else a claim to wait
// with.
func (t *seating) claim(p *Pool, key Key, g Grant, dead *Session, now time.Time) (*Session, *claim, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.seatsClosed {
		return nil, nil, ErrPoolClosed
	}
	if dead != nil {
		t.bury(dead)
	}
	if s := t.current[key]; s != nil && !t.kept[s.lease().seat] {
		s.lease().holds++
		if p.due(s, now) {
			t.renew(p, s, now)
		}
		return s, nil, nil
	}
	c := &claim{pool: p, key: key, grant: g, done: make(chan struct{})}
	if dead != nil {
		c.own = dead.lease().seat
		if c.barren = dead.barrenLine(); c.barren >= maxBarren {
			refused := &SignInError{Reason: Barren}
			t.refusals[key] = refusal{err: refused, until: now.Add(rememberPermanent)}
			return nil, nil, refused
		}
	}
	if !t.serve(c, now) {
		t.queue = append(t.queue, c)
	}
	return nil, c, nil
}

// bury makes the seat of a session that Tableau has ended free.
func (t *seating) bury(dead *Session) {
	if t.current[dead.lease().key] == dead {
		delete(t.current, dead.lease().key)
	}
	if s := dead.lease().seat; s.session == dead {
		s.session = nil
		t.dispatch() // somebody may have waited for this seat before
	}
}

// successor returns the session that has taken the place of dead, or nil.
func (t *seating) successor(dead *Session) *Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.current[dead.lease().key]; s != dead {
		return s
	}
	return nil
}

// release takes back what was lent.
func (t *seating) release(s *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.takeBack(s)
}

func (t *seating) takeBack(s *Session) {
	s.lease().holds--
	if s.lease().holds > 0 {
		return
	}
	if s.lease().retired {
		t.vacate(s)
	}
	t.dispatch()
}

// leave takes c out of the queue: because its request has gone, or with err,
// unless there is a sign-in under way for it.
func (t *seating) leave(c *claim, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil && (c.settled() || t.flights[c.key] != nil):
		return
	case c.session != nil: // a moment ago
		t.takeBack(c.session)
		return
	case c.err != nil:
		return
	case err == nil:
		err = errLeft
	}
	c.fail(err)
	t.dispatch()
}

// dispatch serves the queue, in its order, after something has changed.
func (t *seating) dispatch() {
	if len(t.queue) == 0 && len(t.kept) == 0 {
		return
	}
	now := time.Now()
	clear(t.kept)
	t.queue = slices.DeleteFunc(t.queue, func(c *claim) bool { return c.settled() || t.serve(c, now) })
}

// serve settles c if it can, or else sees to it that it can be settled later.
func (t *seating) serve(c *claim, now time.Time) (settled bool) {
	if s := t.current[c.key]; s != nil {
		if t.kept[s.lease().seat] {
			return false
		}
		c.give(s, false)
		return true
	}
	if t.flights[c.key] != nil {
		return false
	}
	if c.pool.seatsClosed {
		c.fail(ErrPoolClosed)
		return true
	}
	if r, ok := t.refusals[c.key]; ok && now.Before(r.until) {
		c.fail(r.err)
		return true
	}
	usable, refused := c.usable(now)
	if len(usable) == 0 {
		c.fail(refused)
		return true
	}
	usable = slices.DeleteFunc(usable, func(s *seat) bool { return t.kept[s] })
	if s := c.choose(usable); s != nil {
		t.launch(s, c)
		return false
	}
	t.keep(usable)
	return false
}

// usable returns the seats that Tableau is not known to refuse for c, or why
// there is none.
func (c *claim) usable(now time.Time) (usable []*seat, refused *SignInError) {
	for _, s := range c.pool.seats {
		if err := s.pause(c, now); err != nil {
			refused = err
			continue
		}
		usable = append(usable, s)
	}
	return usable, refused
}

// choose returns the best of the seats that are free, or nil: the one that c's
// session had, one without a session, and else the one that was unused for the
// longest time.
func (c *claim) choose(from []*seat) *seat {
	free := slices.DeleteFunc(slices.Clone(from), func(s *seat) bool { return !s.free() })
	if len(free) == 0 {
		return nil
	}
	if c.own != nil && c.own.session == nil && slices.Contains(free, c.own) {
		return c.own
	}
	return slices.MinFunc(free, func(a, b *seat) int { return a.lastUsed().Compare(b.lastUsed()) })
}

// keep keeps one of the seats for who waits.
func (t *seating) keep(from []*seat) {
	if len(from) == 0 {
		return // each is kept for somebody before
	}
	t.kept[slices.MinFunc(from, func(a, b *seat) int {
		if a.busy != b.busy {
			return map[bool]int{true: 1, false: -1}[a.busy]
		}
		return a.since().Compare(b.since())
	})] = true
}

// renew begins a session in the place of s, which is due, if there is a seat
// that nobody has. On its own seat it could not begin without ending s, and s
// is in use.
func (t *seating) renew(p *Pool, s *Session, now time.Time) {
	if t.flights[s.lease().key] != nil || len(t.queue) > 0 || now.Before(t.refusals[s.lease().key].until) {
		return
	}
	c := &claim{pool: p, key: s.lease().key, grant: s.Grant(), renews: s}
	usable, _ := c.usable(now)
	for _, spare := range usable {
		if spare.session == nil && !spare.busy {
			t.launch(spare, c)
			return
		}
	}
}

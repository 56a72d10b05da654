package auditlog

// This file holds the records that wait to be written together.

import "time"

// A batch is records that become durable together.
type batch struct {
	bodies []byte
	recs   []rec
	waited bool          // somebody waits for one of them
	taken  bool          // it is being written
	done   chan struct{} // closed when it is settled
	err    error         // how it was settled; read it after done
}

// A rec is a record in a batch.
type rec struct {
	end       int // of its body in bodies
	at        time.Time
	waited    bool // somebody waits for it
	withdrawn bool // nobody waits any more, and it has not been written
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (b *batch) add(body []byte, at time.Time, waited bool) (index int) {
	b.bodies = append(b.bodies, body...)
	b.recs = append(b.recs, rec{end: len(b.bodies), at: at, waited: waited})
	b.waited = b.waited || waited
	return len(b.recs) - 1
}

// each calls yield with each record that is to be written.
func (b *batch) each(yield func(r rec, body []byte) error) error {
	start := 0
	for _, r := range b.recs {
		if !r.withdrawn {
			if err := yield(r, b.bodies[start:r.end]); err != nil {
				return err
			}
		}
		start = r.end
	}
	return nil
}

// stage appends the records to what is about to be written.
func (b *batch) stage(s *stage) error {
	return b.each(func(r rec, body []byte) error { return s.add(r.at, body) })
}

// keep moves the records that nobody waits for to another batch.
func (b *batch) keep(to *batch) {
	_ = b.each(func(r rec, body []byte) error {
		if !r.waited {
			to.add(body, r.at, false)
		}
		return nil
	})
}

// settle tells those who wait.
func (b *batch) settle(err error) {
	b.err = err
	close(b.done)
}

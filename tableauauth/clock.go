package tableauauth

// This file measures how wrong our clock is, by Tableau's, and corrects what is
// written into JWTs.

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// MaxClockOffset is the greatest difference between our clock and
	// Tableau's that is corrected. More is somebody's mistake, and not a
	// drift: it is reported, and sign-ins that fail say so.
	MaxClockOffset = 10 * time.Minute

	// clockNoise is the difference below which nothing is corrected or said.
	// The Date header counts whole seconds, and a JWT has room for this.
	clockNoise = 15 * time.Second
)

// A clock knows the difference between Tableau's time and ours.
type clock struct {
	offset   atomic.Int64 // Tableau's minus ours, nanoseconds
	logger   *slog.Logger
	observer Observer
}

// now is Tableau's time, as far as it is known and within bounds.
func (c *clock) now() time.Time { return time.Now().Add(c.correction()) }

// correction is what now adds to our time.
func (c *clock) correction() time.Duration {
	d := time.Duration(c.offset.Load())
	if d.Abs() > MaxClockOffset {
		return 0
	}
	return d
}

// observe learns from the Date header of an answer to a request that was sent
// and answered at these times by our clock.
func (c *clock) observe(date string, sent, answered time.Time) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	// Tableau wrote the header somewhere in between, and cut off a fraction.
	ours := sent.Add(answered.Sub(sent) / 2)
	d := theirs.Add(time.Second / 2).Sub(ours)
	if d.Abs() < clockNoise {
		d = 0
	}
	before := time.Duration(c.offset.Load())
	if (d - before).Abs() < clockNoise {
		return
	}
	c.offset.Store(int64(d))
	c.report(d)
}

// report tells of a changed difference, once.
func (c *clock) report(d time.Duration) {
	c.observer.clock(d)
	switch {
	case d == 0:
		c.logger.Info("this machine's clock agrees with Tableau's again")
	case d.Abs() <= MaxClockOffset:
		c.logger.Warn("this machine's clock is wrong by Tableau's, which is corrected in JWTs: set it (NTP)", "tableau_is_ahead_by", d.String())
	default:
		c.logger.Error("this machine's clock is wrong by Tableau's, by more than is corrected: set it (NTP)", "tableau_is_ahead_by", d.String())
	}
}

// fault explains a refused sign-in by the clock, if it is that wrong.
func (c *clock) fault() error {
	d := time.Duration(c.offset.Load())
	if d.Abs() <= MaxClockOffset {
		return nil
	}
	how := "ahead of"
	if d > 0 {
		how = "behind"
	}
	return fmt.Errorf("this machine's clock is %s %s Tableau's, and more than %s is not corrected: set the clock (NTP)",
		d.Abs().Round(time.Second), how, MaxClockOffset)
}

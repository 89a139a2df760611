package redial

import (
	"slices"
	"time"
)

// A dial keeps its first and its latest failures for Error.History. A record leaves out what the dial
// itself knows, because thousands of dials may wait at once.

// historyMax is the length of a full history: one half holds the first attempts, the other the latest.
const historyMax = 8

// A history holds the failed attempts of a dial: the first ones, then the latest.
type history []record

// A record is a failed attempt.
type record struct {
	start    time.Duration // from the start of the dial; negative if another dial's attempt began before
	duration time.Duration
	elapsed  time.Duration
	delay    time.Duration
	err      error
	name     *nameResult // nil if no name was resolved
	class    Class
	shared   bool
	stopped  bool // the attempt has a Stop, which is the dial's
}

// add adds a, an attempt of a dial that began at start.
func (h *history) add(a *Attempt, start time.Time) {
	r := record{
		start:    a.Start.Sub(start),
		duration: a.Duration,
		elapsed:  a.Elapsed,
		delay:    a.Delay,
		err:      a.Err,
		class:    a.Class,
		shared:   a.Shared,
		stopped:  a.Stop != 0,
	}
	if a.Addrs != nil || a.Resolve > 0 {
		r.name = &nameResult{a.Resolve, slices.Clone(a.Addrs), a.Unanswered}
	}
	if len(*h) == historyMax {
		*h = slices.Delete(*h, historyMax/2, historyMax/2+1)
	}
	*h = append(*h, r)
}

// last returns the latest record, or nil if there is none.
func (h history) last() *record {
	if len(h) == 0 {
		return nil
	}
	return &h[len(h)-1]
}

// attempts returns the Attempts of the dial that e reports. The dial began at start.
func (h history) attempts(e *Error, start time.Time, nested bool) []Attempt {
	all := make([]Attempt, 0, len(h))
	for i, r := range h {
		a := Attempt{
			Network:  e.Network,
			Address:  e.Address,
			Number:   i + 1,
			Start:    start.Add(r.start),
			Duration: r.duration,
			Elapsed:  r.elapsed,
			Err:      r.err,
			Class:    r.class,
			Shared:   r.shared,
			Nested:   nested,
			Delay:    r.delay,
		}
		if i >= historyMax/2 {
			a.Number = e.Attempts - len(h) + i + 1
		}
		if r.name != nil {
			a.Resolve, a.Addrs, a.Unanswered = r.name.resolve, slices.Clone(r.name.addrs), r.name.unanswered
		}
		if r.stopped {
			a.Stop, a.Cause, a.tooClose = e.Stop, e.Cause, e.tooClose
		}
		all = append(all, a)
	}
	return all
}

// took returns how long the target took to fail the attempt, without the look-up and, if it is
// known which address failed so, without the other addresses.
func (r *record) took() time.Duration {
	if r.name == nil {
		return r.duration
	}
	for _, a := range r.name.addrs {
		if a.Class == r.class {
			return a.Duration
		}
	}
	return r.duration - r.name.resolve
}

package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// A board knows how far each target is, and has a display show it: live.go on a
// terminal, lines.go otherwise.
type board struct {
	display  display // nil: nothing is shown
	there    string  // the state of a target that is there or, with -not, gone
	deadline time.Time

	mu    sync.Mutex
	rows  []row
	ended bool

	quit chan struct{}
	done sync.WaitGroup
}

// A display shows the rows of a board every tick. The board is locked.
type display interface {
	show(b *board, now time.Time)
}

// tick is how often the rows are shown.
const tick = 100 * time.Millisecond

// A row is how far one target is.
type row struct {
	name     string
	state    string // of the last attempt; empty before its end
	err      error  // of the last attempt
	attempts int
	elapsed  time.Duration // since its dial began
	delay    time.Duration // from the last attempt to the next
	next     time.Time     // the next attempt begins; zero: there is none
	there    bool
	changed  bool // since the display last reported it
}

func newBoard(o *options, out io.Writer, screen cli.Terminal) *board {
	b := &board{there: "there", quit: make(chan struct{})}
	if o.not {
		b.there = "gone"
	}
	for _, t := range o.targets {
		b.rows = append(b.rows, row{name: t.Name})
	}
	switch {
	case o.quiet:
	case screen.Size != nil:
		b.display = &live{out: out, screen: screen}
	default:
		b.display = &lines{out: out, repeated: time.Now()}
	}
	return b
}

// start begins to show the rows. A timeout of zero means that the wait has no end.
func (b *board) start(timeout time.Duration) {
	if timeout > 0 {
		b.deadline = time.Now().Add(timeout)
	}
	if b.display == nil {
		return
	}
	b.show()
	b.done.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				b.show()
			case <-b.quit:
				return
			}
		}
	})
}

// stop shows the rows as they are at the end.
func (b *board) stop() {
	close(b.quit)
	b.done.Wait()
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	if b.display != nil {
		b.show()
	}
}

func (b *board) show() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.display.show(b, time.Now())
}

// attempted notes an attempt at the i-th target.
func (b *board) attempted(i int, a redial.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.rows[i]
	r.attempts, r.elapsed, r.next, r.delay = a.Number, a.Elapsed, time.Time{}, a.Delay
	if a.Err == nil {
		return // arrived notes it
	}
	before := r.state
	r.state, r.err = stateOf(a), a.Err
	if a.Delay > 0 {
		r.next = a.Start.Add(a.Duration + a.Delay)
	}
	if a.Stop != 0 {
		r.changed = false // the explanation follows
	} else if r.state != before {
		r.changed = true
	}
}

// arrived notes that the i-th target is there.
func (b *board) arrived(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.rows[i]
	r.there, r.state, r.changed = true, b.there, true
}

// stateOf says in a word or two why an attempt failed.
func stateOf(a redial.Attempt) string {
	if errors.Is(a.Err, errStillThere) {
		return errStillThere.Error()
	}
	if status, ok := errors.AsType[statusError](a.Err); ok {
		return fmt.Sprint("status ", int(status))
	}
	return target.Outcome(a.Class)
}

// timeLeft returns the time until the deadline as text; empty: there is none, or
// the wait has ended.
func (b *board) timeLeft(now time.Time) string {
	if b.deadline.IsZero() || b.ended {
		return ""
	}
	return fmt.Sprint(plain.Duration(max(b.deadline.Sub(now), 0)), " left")
}

func (r *row) tries() string { return cli.Count(r.attempts, "attempt") }

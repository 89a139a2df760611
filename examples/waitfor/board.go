package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/seed-33f8b841/redial"
)

// A board shows how far each target is: on a terminal by a line for each that
// is drawn anew in its place, otherwise by a line for each change.
type board struct {
	out    io.Writer
	screen terminal
	live   bool
	there  string // what a target is in the end
	width  int    // of the column of names

	mu    sync.Mutex
	rows  []row
	drawn int // lines on the screen that are ours
	ended chan struct{}
	done  sync.WaitGroup
}

// A row is how far one target is.
type row struct {
	name     string
	state    string // of the last attempt; empty before its end
	attempts int
	elapsed  time.Duration // since its dial began
	next     time.Time     // the next attempt begins; zero: there is none
	told     time.Duration // elapsed when a line last told of it
	there    bool
}

// A terminal is where live lines can be drawn.
type terminal struct {
	size func() (columns, rows int) // nil: it is none
}

// repeat is how often a line tells of a state that does not change.
const repeat = 10 * time.Second

// redraw is how often live lines are drawn.
const redraw = 100 * time.Millisecond

func newBoard(o *options, out io.Writer, screen terminal) *board {
	b := &board{out: out, screen: screen, there: "there", ended: make(chan struct{})}
	if o.not {
		b.there = "gone"
	}
	for _, t := range o.targets {
		b.rows = append(b.rows, row{name: t.name})
		b.width = max(b.width, utf8.RuneCountInString(t.name))
	}
	if screen.size != nil {
		// Lines that have left the screen can't be drawn anew.
		_, rows := screen.size()
		b.live = len(b.rows) < rows
	}
	return b
}

func (b *board) start() {
	if !b.live {
		return
	}
	b.draw()
	b.done.Go(func() {
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				b.draw()
			case <-b.ended:
				return
			}
		}
	})
}

// stop leaves the lines as they are at the end.
func (b *board) stop() {
	close(b.ended)
	b.done.Wait()
	if b.live {
		b.draw()
	}
}

// attempted notes an attempt at the i-th target.
func (b *board) attempted(i int, a redial.Attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.rows[i]
	before := r.state
	r.attempts, r.elapsed, r.next = a.Number, a.Elapsed, time.Time{}
	if a.Err == nil {
		return // arrived tells of it
	}
	r.state = stateOf(a)
	if a.Delay > 0 {
		r.next = a.Start.Add(a.Duration + a.Delay)
	}
	if !b.live && a.Stop == nil && (r.state != before || a.Elapsed-r.told >= repeat) {
		r.told = a.Elapsed
		fmt.Fprintf(b.out, "waitfor: %s: %s: %v (attempt %d, next in %v)\n", r.name, r.state, a.Err, a.Number, brief(a.Delay))
	}
}

// stateOf is the class of an attempt's failure, or what it is here.
func stateOf(a redial.Attempt) string {
	var status statusError
	switch {
	case errors.Is(a.Err, errStillThere):
		return errStillThere.Error()
	case errors.As(a.Err, &status):
		code, _, _ := strings.Cut(string(status), " ")
		return "status " + code
	}
	return a.Class.String()
}

// arrived notes that the i-th target is there.
func (b *board) arrived(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &b.rows[i]
	r.there, r.state = true, b.there
	if !b.live {
		fmt.Fprintf(b.out, "waitfor: %s: %s after %s in %v\n", r.name, r.state, r.tries(), brief(r.elapsed))
	}
}

// draw draws the lines, over those drawn before (ECMA-48: CUU, EL).
func (b *board) draw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&s, "\x1b[%dA", b.drawn)
	}
	columns, _ := b.screen.size()
	now := time.Now()
	for i := range b.rows {
		s.WriteString("\r\x1b[2K" + b.painted(&b.rows[i], cut(b.line(&b.rows[i], now), columns-1)) + "\n")
	}
	b.drawn = len(b.rows)
	io.WriteString(b.out, s.String())
}

// line is the state of a target, its attempts, and when the next one is.
func (b *board) line(r *row, now time.Time) string {
	name := r.name + strings.Repeat(" ", b.width-utf8.RuneCountInString(r.name))
	state := r.state
	if state == "" {
		state = "connecting"
	}
	line := fmt.Sprintf("%s  %-11s  ", name, state)
	switch wait := r.next.Sub(now); {
	case r.there:
		return line + fmt.Sprintf("after %s in %v", r.tries(), brief(r.elapsed))
	case r.attempts == 0:
		return strings.TrimRight(line, " ")
	case r.next.IsZero():
		return line + r.tries()
	case wait > 0:
		return line + fmt.Sprintf("%s, next try in %.1fs", r.tries(), wait.Seconds())
	}
	return line + r.tries() + ", trying"
}

func (r *row) tries() string {
	if r.attempts == 1 {
		return "1 attempt"
	}
	return fmt.Sprint(r.attempts, " attempts")
}

// painted is green once the target is there, unless the user wants no colours
// (no-color.org).
func (b *board) painted(r *row, line string) string {
	if !r.there || os.Getenv("NO_COLOR") != "" {
		return line
	}
	return "\x1b[32m" + line + "\x1b[0m"
}

// cut is the beginning of a line that would not fit, and break the drawing.
func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:max(columns, 0)])
}

// brief is d as one reads it.
func brief(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

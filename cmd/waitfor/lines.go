package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/target"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// A lines display writes a line for each target whose state has changed, and one
// for many that have changed to the same state.
type lines struct {
	out      io.Writer
	repeated time.Time // when all missing targets were last reported
}

// repeat is how often lines report targets whose state does not change.
const repeat = 10 * time.Second

// named is how many names a line for many targets has.
const named = 3

func (l *lines) show(b *board, now time.Time) {
	again := !b.ended && now.Sub(l.repeated) >= repeat
	if again {
		l.repeated = now
	}
	var states []string // in the order of the targets
	changed := make(map[string][]*row)
	for i := range b.rows {
		r := &b.rows[i]
		if !r.changed && !(again && !r.there && r.state != "") {
			continue
		}
		r.changed = false
		if changed[r.state] == nil {
			states = append(states, r.state)
		}
		changed[r.state] = append(changed[r.state], r)
	}
	for _, state := range states {
		l.tell(changed[state], b.timeLeft(now))
	}
}

// tell writes the lines of rows that have the same state.
func (l *lines) tell(rows []*row, left string) {
	if len(rows) > few {
		names := make([]string, named)
		for i := range names {
			names[i] = rows[i].name
		}
		fmt.Fprintf(l.out, "waitfor: %d targets: %s: %s and %d more%s\n",
			len(rows), rows[0].state, strings.Join(names, ", "), len(rows)-named, inParentheses(left))
		return
	}
	for _, r := range rows {
		if r.there {
			fmt.Fprintf(l.out, "waitfor: %s: %s after %s in %v\n", r.name, r.state, r.tries(), plain.Duration(r.elapsed))
			continue
		}
		attempt, next := fmt.Sprint("attempt ", r.attempts), ""
		if r.delay > 0 {
			next = fmt.Sprint("next in ", plain.Duration(r.delay))
		}
		state := r.state
		if !errors.Is(r.err, errStillThere) { // its text is the state
			state = fmt.Sprintf("%s: %s", state, target.Message(r.err))
		}
		fmt.Fprintf(l.out, "waitfor: %s: %s%s\n", r.name, state, inParentheses(attempt, next, left))
	}
}

// inParentheses joins the parts that are not empty.
func inParentheses(parts ...string) string {
	var all []string
	for _, part := range parts {
		if part != "" {
			all = append(all, part)
		}
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/internal/plain"
)

// A live display draws a line for each target, over the lines drawn before, and
// below them how many are there and how much time is left. It asks for the size
// of the terminal each time, because that can change.
type live struct {
	out    io.Writer
	screen cli.Terminal
	drawn  []int // the widths of the lines on the screen
}

func (l *live) show(b *board, now time.Time) {
	columns, height := l.screen.Size()
	var s strings.Builder
	before := min(rowsOf(l.drawn, columns), max(height-1, 0)) // what has left the screen stays as it is
	up(&s, before)
	l.drawn = l.drawn[:0]
	lines := b.lines(columns-1, height-1, now) // the cursor is on a row of its own
	for _, line := range lines {
		l.drawn = append(l.drawn, cli.Width(line.text))
		if line.green && l.screen.HasColors() {
			line.text = "\x1b[32m" + line.text + "\x1b[0m"
		}
		s.WriteString(line.text + eraseRest + "\n")
	}
	// Erase what is left of the lines before, row by row: at the top of the screen, tmux takes
	// the erasing of all below (ED) for the end of a screen, and keeps it in its scrollback.
	if left := before - len(lines); left > 0 {
		s.WriteString(strings.Repeat(eraseRest+"\n", left))
		up(&s, left)
	}
	io.WriteString(l.out, s.String())
}

// eraseRest erases the rest of a row (ECMA-48: EL).
const eraseRest = "\x1b[K"

// up moves the cursor up (ECMA-48: CUU), to the first column.
func up(s *strings.Builder, rows int) {
	s.WriteByte('\r')
	if rows > 0 {
		fmt.Fprintf(s, "\x1b[%dA", rows)
	}
}

type line struct {
	text  string
	green bool
}

// lines returns what to draw on a screen of that size.
func (b *board) lines(columns, height int, now time.Time) (lines []line) {
	rows, footer := b.fitting(height), b.footer(now)
	if hidden := len(b.rows) - len(rows); hidden > 0 {
		footer = fmt.Sprintf("%d not shown, ", hidden) + footer
	}
	layout := layoutOf(rows, columns)
	for _, r := range rows {
		lines = append(lines, line{cut(layout.line(r, now), columns), r.there})
	}
	if footer != "" && len(lines) < height {
		lines = append(lines, line{cut(strings.TrimSuffix(footer, ", "), columns), false})
	}
	return lines
}

// rowsOf returns how many rows of the screen lines of these widths take up. A
// line was drawn to fit, but today's terminals wrap it when they become narrower.
func rowsOf(widths []int, columns int) int {
	rows := 0
	for _, width := range widths {
		rows += max(1, (width+columns-1)/max(columns, 1))
	}
	return rows
}

// fitting returns the rows to show on a screen that has room for so many lines,
// one of them the footer: those that are missing before the others.
func (b *board) fitting(room int) []*row {
	var rows []*row
	if len(b.rows) >= room && len(b.rows) > 1 {
		room--
	}
	room = min(room, len(b.rows))
	missing := 0
	for i := range b.rows {
		if !b.rows[i].there {
			missing++
		}
	}
	others := max(room-missing, 0)
	for i := range b.rows {
		r := &b.rows[i]
		if r.there && others <= 0 || len(rows) >= room {
			continue
		}
		if r.there {
			others--
		}
		rows = append(rows, r)
	}
	return rows
}

// footer says how many targets are there, if there are several, and how much time
// is left.
func (b *board) footer(now time.Time) string {
	there := 0
	for i := range b.rows {
		if b.rows[i].there {
			there++
		}
	}
	left := b.timeLeft(now)
	switch {
	case there == len(b.rows) || len(b.rows) == 1:
		if there > 0 {
			return ""
		}
		return left
	case left == "":
		return fmt.Sprintf("%d of %d %s", there, len(b.rows), b.there)
	}
	return fmt.Sprintf("%d of %d %s, %s", there, len(b.rows), b.there, left)
}

// A layout is how the columns of a line share the width of the screen. A name that is
// too long is shortened, to leave room for the detail. On a narrow screen the detail is
// cut off instead, and the state only if not even the state fits.
type layout struct{ name int }

// The widths of the columns, with the two spaces before each.
const (
	stateColumn  = 2 + 11
	detailColumn = 2 + len("99 attempts, next try in 999ms")
	readableName = 20
)

func layoutOf(rows []*row, columns int) layout {
	longest := 0
	for _, r := range rows {
		longest = max(longest, cli.Width(r.name))
	}
	room := columns - stateColumn
	if room-detailColumn >= readableName {
		room -= detailColumn
	}
	return layout{min(longest, max(room, 0))}
}

// line returns the state of a target, its attempts, and when the next one is.
func (y layout) line(r *row, now time.Time) string {
	state := r.state
	if state == "" {
		state = "connecting"
	}
	line := cli.Pad(state, stateColumn-2)
	if y.name > 0 {
		line = cli.Pad(shortened(r.name, y.name), y.name) + "  " + line
	}
	switch wait := r.next.Sub(now); {
	case r.there:
		line += fmt.Sprintf("  after %s in %v", r.tries(), plain.Duration(r.elapsed))
	case r.attempts == 0:
	case r.next.IsZero():
		line += "  " + r.tries()
	case wait > 0:
		line += fmt.Sprintf("  %s, next try in %v", r.tries(), plain.Duration(wait))
	default:
		line += "  " + r.tries() + ", trying"
	}
	return strings.TrimRight(line, " ")
}

// shortened returns a name without its middle if it is longer than width: hosts
// differ at the start, ports and paths at the end.
func shortened(name string, width int) string {
	if cli.Width(name) <= width {
		return name
	}
	if width < 1 {
		return ""
	}
	tail := (width - 1) / 2
	return cli.Cut(name, width-1-tail) + "…" + cli.CutLeft(name, tail)
}

// cut returns the beginning of a line that would not fit and would break the
// drawing.
func cut(line string, columns int) string {
	if cli.Width(line) <= columns {
		return line
	}
	return strings.TrimRight(cli.Cut(line, columns), " ")
}

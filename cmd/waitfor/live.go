package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
)

// A live display draws a line for each target, over the lines drawn before, and
// below them how many are there and how much time is left. It asks for the size
// of the terminal each time, because that can change.
type live struct {
	out   io.Writer
	size  func() (columns, rows int)
	drawn []int // the widths of the lines on the screen
}

func (l *live) show(b *board, now time.Time) {
	columns, height := l.size()
	var s strings.Builder
	// Go back to the first line and erase what is below (ECMA-48: CUU, ED).
	if up := rowsOf(l.drawn, columns); up > 0 {
		fmt.Fprintf(&s, "\x1b[%dA", up)
	}
	s.WriteString("\r\x1b[J")

	rows, footer := b.fitting(height-1), b.footer(now) // the cursor is on a line of its own
	if hidden := len(b.rows) - len(rows); hidden > 0 {
		footer = fmt.Sprintf("%d not shown, ", hidden) + footer
	}
	l.drawn = l.drawn[:0]
	add := func(line string, green bool) {
		line = cut(line, columns-1)
		l.drawn = append(l.drawn, utf8.RuneCountInString(line))
		if green && os.Getenv("NO_COLOR") == "" { // no-color.org
			line = "\x1b[32m" + line + "\x1b[0m"
		}
		s.WriteString(line + "\n")
	}
	layout := layoutOf(rows, columns-1)
	for _, r := range rows {
		add(layout.line(r, now), r.there)
	}
	if footer != "" && len(l.drawn) < height-1 {
		add(strings.TrimSuffix(footer, ", "), false)
	}
	io.WriteString(l.out, s.String())
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
	detailColumn = 2 + len("99 attempts, next try in 9.9s")
	readableName = 20
)

func layoutOf(rows []*row, columns int) layout {
	longest := 0
	for _, r := range rows {
		longest = max(longest, utf8.RuneCountInString(r.name))
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
	line := fmt.Sprintf("%-11s", state)
	if y.name > 0 {
		line = fmt.Sprintf("%-*s  ", y.name, shortened(r.name, y.name)) + line
	}
	switch wait := r.next.Sub(now); {
	case r.there:
		line += fmt.Sprintf("  after %s in %v", r.tries(), cli.Brief(r.elapsed))
	case r.attempts == 0:
	case r.next.IsZero():
		line += "  " + r.tries()
	case wait > 0:
		line += fmt.Sprintf("  %s, next try in %.1fs", r.tries(), wait.Seconds())
	default:
		line += "  " + r.tries() + ", trying"
	}
	return strings.TrimRight(line, " ")
}

// shortened returns a name without its middle if it is longer than width: hosts
// differ at the start, ports and paths at the end.
func shortened(name string, width int) string {
	runes := []rune(name)
	if len(runes) <= width {
		return name
	}
	if width < 1 {
		return ""
	}
	tail := (width - 1) / 2
	head := width - 1 - tail
	return string(runes[:head]) + "…" + string(runes[len(runes)-tail:])
}

// cut returns the beginning of a line that would not fit and would break the
// drawing.
func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return strings.TrimRight(string([]rune(line)[:max(columns, 0)]), " ")
}

package main

import (
	"strings"

	"github.com/seed-33f8b841/redial/cmd/internal/cli"
)

// A screen is a terminal that wraps long lines, wraps them anew when its width
// changes, and forgets nothing, as today's terminals do.
type screen struct {
	columns, height int
	rows            []gridRow // the last height of them are on the screen
	row, column     int       // of the cursor
	drawnIn         int       // the columns that rows are made for
}

type gridRow struct {
	cells   []rune // a wide character is followed by a zero
	wrapped bool   // the next row continues the line
}

// top returns the first row that is on the screen.
func (s *screen) top() int { return max(0, len(s.rows)-s.height) }

func (s *screen) Write(p []byte) (int, error) {
	s.reflow()
	for text := []rune(string(p)); len(text) > 0; {
		r := text[0]
		text = text[1:]
		switch r {
		case '\r':
			s.column = 0
		case '\n':
			s.rows[s.row].wrapped = false
			s.column = 0
			s.down()
		case '\x1b': // [ parameter letter
			number, i := 0, 1
			for ; text[i] >= '0' && text[i] <= '9'; i++ {
				number = 10*number + int(text[i]-'0')
			}
			s.control(text[i], number)
			text = text[i+1:]
		default:
			s.put(r)
		}
	}
	return len(p), nil
}

func (s *screen) put(r rune) {
	width := cli.Width(string(r))
	if s.column+width > s.columns {
		s.rows[s.row].wrapped = true
		s.column = 0
		s.down()
	}
	row := &s.rows[s.row]
	for len(row.cells) < s.column+width {
		row.cells = append(row.cells, ' ')
	}
	row.cells[s.column] = r
	if width == 2 {
		row.cells[s.column+1] = 0
	}
	s.column += width
}

func (s *screen) down() {
	if s.row++; s.row == len(s.rows) {
		s.rows = append(s.rows, gridRow{})
	}
}

func (s *screen) control(letter rune, number int) {
	switch letter {
	case 'A': // up
		s.row = max(s.row-number, s.top())
	case 'K': // erase the rest of the row
		row := &s.rows[s.row]
		row.cells = row.cells[:min(s.column, len(row.cells))]
		row.wrapped = false
	case 'm': // color
	default:
		panic("the screen does not know " + string(letter))
	}
}

// reflow wraps all lines anew if the width has changed.
func (s *screen) reflow() {
	if s.rows == nil {
		s.rows = []gridRow{{}}
	}
	if s.drawnIn == s.columns {
		return
	}
	s.drawnIn = s.columns
	var rows []gridRow
	cursor := 0
	for i, line := 0, []rune(nil); i < len(s.rows); i++ {
		line = append(line, s.rows[i].cells...)
		if i == s.row { // in an empty row here: it is below the lines
			cursor = len(rows)
		}
		if s.rows[i].wrapped {
			continue
		}
		for len(line) > s.columns {
			rows = append(rows, gridRow{line[:s.columns:s.columns], true})
			line = line[s.columns:]
		}
		rows, line = append(rows, gridRow{cells: line}), nil
	}
	s.rows, s.row = rows, cursor
}

// shown returns all lines, and those that have left the screen at the top. It leaves out empty
// rows below the cursor.
func (s *screen) shown() string {
	s.reflow()
	rows := s.rows
	for len(rows) > s.row+1 && len(rows[len(rows)-1].cells) == 0 {
		rows = rows[:len(rows)-1]
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString(strings.ReplaceAll(string(row.cells), "\x00", ""))
		if i < len(rows)-1 && !row.wrapped {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// screenOf returns what a wide terminal shows of all that was written to it.
func screenOf(written string) string {
	s := &screen{columns: 1000, height: 1000}
	s.Write([]byte(written))
	return s.shown()
}

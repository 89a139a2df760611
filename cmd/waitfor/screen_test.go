package main

import "strings"

// A screen is a terminal that wraps long lines, wraps them anew when its width
// changes, and forgets nothing, as today's terminals do.
type screen struct {
	columns, height int
	lines           [][]rune // as written, before they are wrapped
	line, column    int      // of the cursor
}

// rowsOf returns how many rows a line takes up.
func (s *screen) rowsOf(line int) int {
	return max(1, (len(s.lines[line])+s.columns-1)/s.columns)
}

// top returns the first line that is on the screen. A line that is on it in part
// counts as well.
func (s *screen) top() int {
	rows, line := 0, len(s.lines)-1
	for ; line > 0; line-- {
		if rows += s.rowsOf(line); rows >= s.height {
			break
		}
	}
	return max(line, 0)
}

func (s *screen) Write(p []byte) (int, error) {
	if s.lines == nil {
		s.lines = [][]rune{nil}
	}
	for text := []rune(string(p)); len(text) > 0; {
		r := text[0]
		text = text[1:]
		switch r {
		case '\r':
			s.column = 0
		case '\n':
			s.column = 0
			if s.line++; s.line == len(s.lines) {
				s.lines = append(s.lines, nil)
			}
		case '\x1b': // [ parameter letter
			number, i := 0, 1
			for ; text[i] >= '0' && text[i] <= '9'; i++ {
				number = 10*number + int(text[i]-'0')
			}
			s.control(text[i], number)
			text = text[i+1:]
		default:
			if line := s.lines[s.line]; s.column < len(line) {
				line[s.column] = r
			} else {
				s.lines[s.line] = append(line, r)
			}
			s.column++
		}
	}
	return len(p), nil
}

func (s *screen) control(letter rune, number int) {
	switch letter {
	case 'A': // up
		for number > 0 && s.line > s.top() {
			s.line--
			number -= s.rowsOf(s.line)
		}
		if number < 0 {
			panic("the cursor is in the middle of a wrapped line")
		}
	case 'J': // erase below
		s.lines = s.lines[:s.line+1]
		s.lines[s.line] = s.lines[s.line][:s.column]
	}
}

// shown returns all lines, and those that have left the screen at the top.
func (s *screen) shown() string {
	all := make([]string, len(s.lines))
	for i, line := range s.lines {
		all[i] = string(line)
	}
	return strings.Join(all, "\n")
}

// screenOf returns what a wide terminal shows of all that was written to it.
func screenOf(written string) string {
	s := &screen{columns: 1000, height: 1000}
	s.Write([]byte(written))
	return s.shown()
}

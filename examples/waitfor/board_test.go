package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-33f8b841/redial"
)

// A window is a screen of that size that keeps what is written to it.
type window struct {
	bytes.Buffer
	columns, rows int
}

func (w *window) terminal() terminal {
	return terminal{func() (int, int) { return w.columns, w.rows }}
}

func boardOf(w *window, not bool, names ...string) *board {
	o := &options{not: not}
	for _, name := range names {
		o.targets = append(o.targets, target{name: name})
	}
	return newBoard(o, w, w.terminal())
}

func failed(number int, err error, class redial.Class, delay time.Duration) redial.Attempt {
	return redial.Attempt{Number: number, Start: time.Now(), Err: err, Class: class, Delay: delay, Elapsed: time.Second}
}

// One line for each target, however often it is drawn.
func TestLiveLines(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	w := &window{columns: 80, rows: 24}
	b := boardOf(w, false, "db:5432", "http://api:8080/ü", "late:1")
	b.start()
	b.attempted(0, failed(1, errors.New("x"), redial.Refused, time.Hour))
	b.attempted(1, failed(2, statusError("503 Service Unavailable"), redial.Unknown, time.Nanosecond))
	b.draw()
	lines := strings.Split(screenOf(w.String()), "\n")
	assert.Regexp(t, `^db:5432            refused      1 attempt, next try in 3(600|599)\.\ds$`, lines[0])
	assert.Equal(t, "http://api:8080/ü  status 503   2 attempts, trying", lines[1])
	assert.Equal(t, "late:1             connecting", lines[2])

	b.attempted(0, redial.Attempt{Number: 2, Elapsed: 1500 * time.Millisecond})
	b.arrived(0)
	b.attempted(1, redial.Attempt{Number: 3, Err: errStillThere, Stop: redial.ErrDeadline})
	b.stop()
	lines = strings.Split(screenOf(w.String()), "\n")
	assert.Len(t, lines, 4, "the cursor is below the lines")
	assert.Equal(t, "db:5432            there        after 2 attempts in 1.5s", lines[0])
	assert.Equal(t, "http://api:8080/ü  still there  3 attempts", lines[1])
	assert.Contains(t, w.String(), "\x1b[32mdb:5432")
	assert.Contains(t, w.String(), "\x1b[3A", "drawn in place")

	t.Setenv("NO_COLOR", "1")
	w.Reset()
	b.draw()
	assert.NotContains(t, w.String(), "\x1b[32m")
}

// A line that would wrap is cut, or it would not be drawn over.
func TestNarrowWindow(t *testing.T) {
	w := &window{columns: 12, rows: 24}
	b := boardOf(w, true, "a-long-name.example:5432")
	b.draw()
	assert.Equal(t, "a-long-name\n", screenOf(w.String()))
	assert.Equal(t, "", cut("x", -1))
}

// More targets than a screen has lines can't be drawn in place.
func TestLowWindow(t *testing.T) {
	w := &window{columns: 80, rows: 2}
	b := boardOf(w, true, "a:1", "b:2")
	b.start()
	b.attempted(0, failed(1, errStillThere, redial.Unknown, time.Second))
	b.attempted(0, failed(2, errStillThere, redial.Unknown, time.Second))
	again := failed(3, errStillThere, redial.Unknown, time.Second)
	again.Elapsed = time.Minute
	b.attempted(0, again)
	b.arrived(1)
	b.stop()
	assert.Equal(t, `waitfor: a:1: still there: still there (attempt 1, next in 1s)
waitfor: a:1: still there: still there (attempt 3, next in 1s)
waitfor: b:2: gone after 0 attempts in 0s
`, w.String())
}

// screenOf is what a terminal shows of all that was written to it.
func screenOf(written string) string {
	lines, row, column := [][]rune{nil}, 0, 0
	for text := []rune(written); len(text) > 0; {
		r := text[0]
		text = text[1:]
		switch r {
		case '\r':
			column = 0
		case '\n':
			column = 0
			if row++; row == len(lines) {
				lines = append(lines, nil)
			}
		case '\x1b': // [ parameter letter
			number, i := 0, 1
			for ; text[i] >= '0' && text[i] <= '9'; i++ {
				number = 10*number + int(text[i]-'0')
			}
			switch text[i] {
			case 'A':
				row -= number
			case 'K':
				lines[row] = nil
			}
			text = text[i+1:]
		default:
			lines[row] = append(lines[row][:column], r)
			column++
		}
	}
	all := make([]string, len(lines))
	for i, line := range lines {
		all[i] = string(line)
	}
	return strings.Join(all, "\n")
}

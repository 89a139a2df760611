package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial"
	"github.com/seed-33f8b841/redial/cmd/internal/cli"
	"github.com/seed-33f8b841/redial/cmd/internal/target"
)

func (s *screen) terminal() cli.Terminal {
	return cli.Terminal{Size: func() (int, int) { return s.columns, s.height }}
}

func optionsOf(names ...string) *options {
	o := &options{}
	for _, name := range names {
		o.targets = append(o.targets, target.Target{Name: name})
	}
	return o
}

// liveBoard returns a board on a terminal of that size.
func liveBoard(columns, height int, names ...string) (*board, *screen) {
	s := &screen{columns: columns, height: height}
	return newBoard(optionsOf(names...), s, s.terminal()), s
}

func failed(number int, err error, class redial.Class, delay time.Duration) redial.Attempt {
	return redial.Attempt{Number: number, Start: time.Now(), Err: err, Class: class, Delay: delay, Elapsed: time.Second}
}

// One line for each target, however often it is drawn, and one for all.
func TestLiveLines(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := newBoard(optionsOf("db:5432", "http://api:8080/ü", "late:1"), &out, (&screen{columns: 80, height: 24}).terminal())
		b.start(time.Minute)
		b.attempted(0, failed(1, errors.New("x"), redial.Refused, time.Hour))
		b.attempted(1, failed(2, statusError(503), redial.Unknown, time.Nanosecond))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, `db:5432            refused      1 attempt, next try in 59m59s
http://api:8080/ü  status 503   2 attempts, trying
late:1             connecting
0 of 3 there, 59s left
`, screenOf(out.String()))

		b.attempted(0, redial.Attempt{Number: 2, Elapsed: 1500 * time.Millisecond})
		b.arrived(0)
		b.attempted(1, redial.Attempt{Number: 3, Err: errStillThere, Stop: redial.ErrDeadline})
		b.stop()
		assert.Equal(t, `db:5432            there        after 2 attempts in 1.5s
http://api:8080/ü  still there  3 attempts
late:1             connecting
1 of 3 there
`, screenOf(out.String()))
		assert.Contains(t, out.String(), "\x1b[32mdb:5432")
		assert.Contains(t, out.String(), "\x1b[4A", "drawn in place")

		t.Setenv("NO_COLOR", "1")
		out.Reset()
		b.show()
		assert.NotContains(t, out.String(), "\x1b[32m")
	})
}

func TestFooter(t *testing.T) {
	for _, c := range []struct {
		targets, there int
		limit          bool
		want           string
	}{
		{1, 0, false, ""},
		{1, 0, true, "1m0s left"},
		{1, 1, true, ""},
		{2, 0, false, "0 of 2 gone"},
		{2, 1, true, "1 of 2 gone, 1m0s left"},
		{2, 2, true, ""},
	} {
		b := &board{there: "gone", rows: make([]row, c.targets)}
		for i := range c.there {
			b.rows[i].there = true
		}
		now := time.Now()
		if c.limit {
			b.deadline = now.Add(time.Minute)
		}
		assert.Equal(t, c.want, b.footer(now), "%+v", c)
	}
	b := &board{deadline: time.Now()}
	assert.Equal(t, "0s left", b.timeLeft(time.Now().Add(time.Hour)))
}

// A long name is shortened before the state is, and no line wraps.
func TestNarrowScreens(t *testing.T) {
	const long = "http://a-service-with-a-long-name.production.svc.cluster.local:8080/health"
	for columns, want := range map[int]string{
		200: long + "  unreachable  12 attempts, next try in 8..ms",
		80:  "http://a-service-…ocal:8080/health  unreachable  12 attempts, next try in 8..ms",
		60:  "http://a-service-with-a…ster.local:8080/health  unreachable",
		30:  "http://a…/health  unreachable",
		16:  "h…  unreachable",
		12:  "unreachable",
		5:   "unre",
	} {
		b, s := liveBoard(columns, 24, long, "b:2")
		b.rows[0] = row{name: long, state: "unreachable", attempts: 12, next: time.Now().Add(850 * time.Millisecond)}
		b.show()
		line, _, _ := strings.Cut(s.shown(), "\n")
		assert.Regexp(t, "^"+want+"$", line, "%d columns", columns)
		for _, line := range strings.Split(s.shown(), "\n") {
			assert.Less(t, cli.Width(line), columns)
		}
	}
	assert.Empty(t, shortened("name", 0))
	assert.Equal(t, "…", shortened("name", 1))
	assert.Equal(t, "nü…e", shortened("nüame", 4))
	assert.Empty(t, cut("x", -1))
}

// A terminal whose width changes is drawn on without leaving anything behind.
func TestResize(t *testing.T) {
	b, s := liveBoard(80, 24, "a-long-name.example:5432", "another-long-name.example:5432", "c:3")
	fmt.Fprint(s, "before\n")
	for _, columns := range []int{80, 30, 20, 13, 90, 25, 80} {
		b.show() // as wide as before
		s.columns = columns
		b.show()
		lines := strings.Split(s.shown(), "\n")
		assert.Equal(t, "before", lines[0], "%d columns", columns)
		assert.Len(t, lines, 6, "%d columns: %q", columns, lines)
		for _, line := range lines[1:] {
			assert.Less(t, cli.Width(line), columns)
		}
	}
	assert.Equal(t, "before\n"+
		"a-long-name.example:5432        connecting\n"+
		"another-long-name.example:5432  connecting\n"+
		"c:3                             connecting\n"+
		"0 of 3 there\n", s.shown())
}

// Characters that take up two columns are counted as two.
func TestWideNames(t *testing.T) {
	const name = "http://データベース.example/健康/チェック/状態"
	for columns := 1; columns < 100; columns++ {
		b, s := liveBoard(columns, 24, name, "db:5432")
		b.show()
		b.show()
		lines := strings.Split(strings.TrimRight(s.shown(), "\n"), "\n")
		require.LessOrEqual(t, len(lines), 3, "a line wrapped in %d columns: %q", columns, lines)
		for _, line := range lines {
			assert.Less(t, cli.Width(line), max(columns, 2))
		}
		if columns == 99 {
			assert.Equal(t, name+"  connecting", lines[0])
			assert.Equal(t, cli.Pad("db:5432", cli.Width(name))+"  connecting", lines[1])
		}
	}
}

// Lines that leave a screen as it becomes lower can't be erased. They are left
// behind once, not each time.
func TestLowerScreen(t *testing.T) {
	b, s := liveBoard(80, 24, "a:1", "b:2", "c:3")
	b.show()
	s.height = 3
	for range 3 {
		b.show()
		assert.Equal(t, "a:1  connecting\nb:2  connecting\na:1  connecting\n2 not shown, 0 of 3 there\n", s.shown())
	}
}

// A low screen shows the targets that are missing first.
func TestLowScreen(t *testing.T) {
	names := make([]string, 9)
	for i := range names {
		names[i] = fmt.Sprintf("t:%d", i)
	}
	b, s := liveBoard(80, 5, names...)
	for _, i := range []int{0, 2, 3} {
		b.arrived(i)
	}
	b.show()
	b.show()
	assert.Equal(t, "t:1  connecting\nt:4  connecting\nt:5  connecting\n6 not shown, 3 of 9 there\n", s.shown())
	for _, i := range []int{1, 4, 5, 6, 8} {
		b.arrived(i)
	}
	b.show()
	assert.Regexp(t, `^t:0  there .*\nt:1  there .*\nt:7  connecting\n6 not shown, 8 of 9 there\n$`, s.shown())
	b.arrived(7)
	b.show()
	assert.Regexp(t, `\n6 not shown\n$`, s.shown())

	for height, want := range map[int]string{1: "", 2: "9 not shown, 0 of 9 there\n", 3: "t:0  connecting\n8 not shown, 0 of 9 there\n"} {
		b, s := liveBoard(80, height, names...)
		b.show()
		b.show()
		assert.Equal(t, want, s.shown(), "height %d", height)
	}
	for height, want := range map[int]string{1: "", 2: "t:0  connecting\n", 3: "t:0  connecting\n1m0s left\n"} {
		b, s := liveBoard(80, height, "t:0")
		b.deadline = time.Now().Add(time.Minute)
		b.show()
		assert.Equal(t, want, s.shown(), "height %d", height)
	}
}

// lineBoard is a board whose lines are written to out.
func lineBoard(out *bytes.Buffer, names ...string) *board {
	return newBoard(optionsOf(names...), out, cli.Terminal{})
}

// A line for each change, and for all that are missing every 10 seconds.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := lineBoard(&out, "a:1", "b:2", "c:3")
		b.start(time.Minute)
		b.attempted(0, failed(1, errStillThere, redial.Unknown, time.Second))
		b.attempted(0, failed(2, errStillThere, redial.Unknown, time.Second))
		time.Sleep(tick)
		synctest.Wait()
		assert.Equal(t, "waitfor: a:1: still there (attempt 2, next in 1s, 59.9s left)\n", out.String())
		out.Reset()
		b.arrived(1)
		b.attempted(0, failed(3, errStillThere, redial.Unknown, 2*time.Second))
		time.Sleep(repeat)
		synctest.Wait()
		assert.Equal(t, `waitfor: b:2: there after 0 attempts in 0s
waitfor: a:1: still there (attempt 3, next in 2s, 50s left)
`, out.String())

		// What the explanation tells at the end is not told twice.
		out.Reset()
		last := failed(4, errors.New("x"), redial.Refused, 0)
		last.Stop = redial.ErrDeadline
		b.attempted(0, last)
		b.attempted(2, failed(1, errors.New("x"), redial.Refused, time.Second))
		b.attempted(2, last)
		b.stop()
		assert.Empty(t, out.String())
	})
}

// Many targets that change to the same state are told of in one line.
func TestManyLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, 300)
		for i := range names {
			names[i] = fmt.Sprintf("t:%d", i)
		}
		var out bytes.Buffer
		b := lineBoard(&out, names...)
		b.start(0)
		for i := range names {
			class := redial.Refused
			if i == 7 {
				class = redial.Timeout
			}
			b.attempted(i, failed(1, errors.New("x"), class, time.Second))
		}
		time.Sleep(tick)
		synctest.Wait()
		assert.Equal(t, `waitfor: 299 targets: refused: t:0, t:1, t:2 and 296 more
waitfor: t:7: timeout: x (attempt 1, next in 1s)
`, out.String())
		out.Reset()
		for i := range names[:294] {
			b.arrived(i)
		}
		time.Sleep(repeat)
		synctest.Wait()
		assert.Equal(t, `waitfor: 294 targets: there: t:0, t:1, t:2 and 291 more
waitfor: 6 targets: refused: t:294, t:295, t:296 and 3 more
`, out.String())
		b.stop()
	})
}

func TestQuiet(t *testing.T) {
	for _, screen := range []cli.Terminal{{}, (&screen{columns: 80, height: 24}).terminal()} {
		var out bytes.Buffer
		o := optionsOf("a:1")
		o.quiet = true
		b := newBoard(o, &out, screen)
		b.start(time.Minute)
		b.attempted(0, failed(1, errors.New("x"), redial.Refused, time.Second))
		b.arrived(0)
		b.stop()
		assert.Empty(t, out.String())
	}
}

// The states that lines show fit their column.
func TestStates(t *testing.T) {
	for class := redial.Unknown; class <= redial.Canceled; class++ {
		assert.LessOrEqual(t, utf8.RuneCountInString(class.String()), stateColumn-2)
	}
	require.LessOrEqual(t, len(errStillThere.Error()), stateColumn-2)
}

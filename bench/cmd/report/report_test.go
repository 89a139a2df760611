//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/plotter"
)

// TestMain also runs the test binary as the report's server.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == serveCommand {
		os.Exit(serve())
	}
	os.Exit(m.Run())
}

// This test makes the measurements that hardly wait. CI makes all of them, with -small.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "docs", "page.md")
	require.NoError(t, os.Mkdir(filepath.Dir(page), 0o755))
	require.NoError(t, os.WriteFile(page, []byte("Text\n\n<!-- bench: literal -->\n| old |\n\n<!-- bench: storm -->\n| kept |\n"), 0o644))
	var out strings.Builder
	require.Zero(t, run([]string{"-small", "-rounds", "2", "-only", "1,2,3,8", "-out", dir, "-root", dir}, &out), out.String())
	content, err := os.ReadFile(filepath.Join(dir, "RESULTS.md"))
	require.NoError(t, err)
	results := string(content)
	assert.Contains(t, results, "## 1. A successful dial")
	assert.NotContains(t, results, "## 5.", "it was not measured")
	assert.NotContains(t, results, "NaN")
	for line := range strings.Lines(results) {
		if name, ok := strings.CutSuffix(line, ".svg)\n"); ok {
			_, name, _ = strings.Cut(name, "](")
			assert.FileExists(t, filepath.Join(dir, name+".svg"))
		}
	}
	content, err = os.ReadFile(page)
	require.NoError(t, err)
	assert.NotContains(t, string(content), "| old |")
	assert.Contains(t, string(content), "| kept |", "it was not measured")
	assert.Empty(t, unquoted(string(content[:strings.Index(string(content), "<!-- bench: storm")]), results))
}

// A storm is what README's picture shows. A small one has fewer dials than its title says.
func TestPicture(t *testing.T) {
	storm := storms()
	assert.Empty(t, storm.picture(), "nothing was measured")
	storm.down = time.Second
	storm.attempts["redial"] = []time.Duration{0, time.Millisecond, 2 * time.Second}
	storm.attempts["redial, Gate"] = []time.Duration{0}
	assert.Subset(t, textsOf(t, storm.picture()), []string{"redial: 3", "redial, Gate: 1", "the server is up"})
	assert.Equal(t, plotter.XYs{{X: 0, Y: 2}, {X: 0.1, Y: 0}, {X: 0.2, Y: 1}, {X: 0.3, Y: 0}}, perBucket([]time.Duration{0, 99 * time.Millisecond, 200 * time.Millisecond}))
}

// unquoted returns the rows of quotes in a page that RESULTS.md does not have.
func unquoted(page, results string) (all []string) {
	isQuote := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		isQuote = strings.HasPrefix(line, quoteMark) || isQuote && strings.HasPrefix(line, "|")
		if !isQuote || !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		has := func(row string) bool {
			found := strings.HasPrefix(row, "|"+cells[0]+"|")
			for _, cell := range cells {
				found = found && strings.Contains(row, "|"+strings.TrimRight(cell, " "))
			}
			return found
		}
		if !slices.ContainsFunc(strings.Split(results, "\n"), has) {
			all = append(all, line)
		}
	}
	return all
}

// The pages of docs have the figures of RESULTS.md, and no others.
func TestPagesQuoteResults(t *testing.T) {
	results, err := os.ReadFile("../../RESULTS.md")
	require.NoError(t, err)
	pages, err := filepath.Glob("../../../docs/*.md")
	require.NoError(t, err)
	quotes := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		quotes += strings.Count(string(text), quoteMark)
		assert.Empty(t, unquoted(string(text), string(results)), page)
	}
	assert.NotZero(t, quotes)
}

func TestUnquoted(t *testing.T) {
	results := "| | time | bytes |\n|---|---|---|\n| redial | 1 µs · 0.5× (0.4 to 0.6) | 12 B |\n| peer | 2 µs | 13 B |\n"
	quote := quoteMark + "a -->\n| | bytes |\n|---|---|\n| redial | %s |\n\n| redial | not a quote |\n"
	assert.Empty(t, unquoted(fmt.Sprintf(quote, "12 B"), results))
	assert.Equal(t, []string{"| redial | 13 B |"}, unquoted(fmt.Sprintf(quote, "13 B"), results))
	assert.Equal(t, []string{"| redial | 11 µs |"}, unquoted(fmt.Sprintf(quote, "11 µs"), results))
}

func TestWithQuotes(t *testing.T) {
	text, err := withQuotes("a\n<!-- bench: x -->\n| old |\n| old |\n\n| other |\n<!-- bench: y -->\nb\n", map[string][]string{"x": {"| new |"}, "y": {"| first |"}})
	require.NoError(t, err)
	assert.Equal(t, "a\n<!-- bench: x -->\n| new |\n\n| other |\n<!-- bench: y -->\n| first |\nb\n", text)
	_, err = withQuotes("<!-- bench: z -->\n", nil)
	assert.ErrorContains(t, err, `"z"`)
}

func TestQuote(t *testing.T) {
	c, other := less("time", nanoseconds, "peer"), plain("bytes", bytes)
	c.add("redial", 1000)
	c.add("peer", 2000)
	q := quote{t: newTable("", []string{"peer", "redial"}, c, other), rows: []string{"redial"}, columns: []string{"time"}}
	assert.Equal(t, []string{"| | time |", "|---|---|", "| redial | 1 µs · 0.50× |"}, q.markdown())
}

func TestUsage(t *testing.T) {
	var out strings.Builder
	assert.Equal(t, 2, run([]string{"-no-such-flag"}, &out))
	assert.Equal(t, 1, run([]string{"-small", "-rounds", "0", "-out", "/dev/null/no/such/place"}, &out))
}

func TestCells(t *testing.T) {
	c := less("time", nanoseconds, "redial")
	for _, v := range []float64{1000, 2000, 4000} {
		c.add("redial", v)
		c.add("peer", v/2)
	}
	c.add("alone", 5)
	c.absent["gone"] = "gave up"
	assert.Equal(t, "2 µs", c.cell("redial"))
	assert.Equal(t, "1 µs · 0.50× (0.50 to 0.50)", c.cell("peer"))
	assert.Equal(t, "gave up", c.cell("gone"))
	assert.Equal(t, "-", c.cell("nobody"))
	table := newTable("A table", []string{"redial", "peer"}, c)
	assert.Equal(t, "A table, time: peer (0.50)", c.ahead(table))
	c.values["peer"][1] = 3000
	assert.Empty(t, c.ahead(table), "it was not ahead in every round")
}

func TestUnits(t *testing.T) {
	for v, want := range map[float64]string{3: "3 ns", 1234: "1.23 µs", 999.9e6: "1 s", 1e9: "1 s", 3.1e12: "3100 s"} {
		assert.Equal(t, want, nanoseconds(v))
	}
	assert.Equal(t, "12\u202f345", count(12345))
	assert.Equal(t, "12.5", count(12.5))
	assert.Equal(t, "-345", count(-345))
	for r, want := range map[float64]string{0: "0", 0.00064: "0.0006", 0.056: "0.06", 1.234: "1.23", 12.3: "12"} {
		assert.Equal(t, want, ratio(r))
	}
}

func TestTurn(t *testing.T) {
	assert.Equal(t, []int{0, 1, 2}, turn(3, 0))
	assert.Equal(t, []int{2, 0, 1}, turn(3, 5))
}

func TestTry(t *testing.T) {
	cleaned := false
	skipped, err := try(func(l *lab) error {
		l.Cleanup(func() { cleaned = true })
		l.Skipf("no %s", "namespace")
		return nil
	})
	assert.Equal(t, "no namespace", skipped)
	assert.NoError(t, err)
	assert.True(t, cleaned)
	_, err = try(func(l *lab) error { require.NoError(l, os.ErrClosed); return nil })
	assert.ErrorContains(t, err, "file already closed")
}

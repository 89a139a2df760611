//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
	var out strings.Builder
	require.Zero(t, run([]string{"-small", "-rounds", "2", "-only", "1,2,3,8", "-out", dir}, &out), out.String())
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

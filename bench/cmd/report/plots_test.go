//go:build unix

package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// textsOf returns the texts of an SVG document in their order.
func textsOf(t *testing.T, svg string) []string {
	t.Helper()
	assert.NotContains(t, svg, "NaN")
	assert.NotContains(t, svg, "Inf")
	var all []string
	inText := false
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := decoder.Token()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.CharData:
			if inText {
				all = append(all, string(token))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

func TestDots(t *testing.T) {
	for _, isLog := range []bool{false, true} {
		got := textsOf(t, figure{title: "A <title>", x: "seconds", isLog: isLog}.dots([]dot{
			{name: "redial", value: 2, low: 1, high: 3, text: "2 s", isOurs: true},
			{name: "a peer", value: 40, low: 40, high: 40, text: "40 s"},
			{name: "another", text: "none", isAbsent: true},
		}))
		assert.Subset(t, got, []string{"A <title>", "seconds", "redial", "2 s", "a peer", "40 s", "another", "none"})
	}
	assert.Contains(t, textsOf(t, figure{isLog: true}.dots([]dot{{name: "nobody", text: "none", isAbsent: true}})), "nobody")
}

func TestLines(t *testing.T) {
	lines := []line{{name: "redial", isOurs: true, XYs: plotter.XYs{{X: 0, Y: 1000}, {X: 1, Y: 0}}}, {name: "a peer", XYs: plotter.XYs{{X: 0, Y: 1}, {X: 2, Y: 5}}}}
	assert.Contains(t, textsOf(t, figure{isLog: true}.lines([]line{{name: "nothing", XYs: plotter.XYs{{X: 0, Y: 0}, {X: 1, Y: 0}}}})), "nothing")
	for _, f := range []figure{{}, {isLog: true, isSteps: true, event: "the server returns", at: 1}} {
		f.title, f.x, f.y = "A title", "seconds", "connects"
		got := textsOf(t, f.lines(lines))
		assert.Subset(t, got, []string{"A title", "seconds", "connects", "redial", "a peer"})
		assert.Equal(t, f.event != "", strings.Contains(strings.Join(got, "\n"), "the server returns"))
	}
}

func TestTicks(t *testing.T) {
	labels := func(ticks []plot.Tick) (all []string) {
		for _, tick := range ticks {
			if tick.Label != "" {
				all = append(all, tick.Label)
			}
		}
		return all
	}
	assert.Equal(t, []string{"0", "0.2", "0.4", "0.6", "0.8", "1"}, labels(ticks(0, 1.1)))
	assert.Equal(t, []string{"0", "2", "4", "6", "8"}, labels(ticks(0, 9)))
	assert.Equal(t, []string{"10\u202f000", "20\u202f000", "30\u202f000", "40\u202f000"}, labels(ticks(9_000, 49_000)))
	assert.Equal(t, []string{"0.5", "1", "2", "5"}, labels(logTicks(0.4, 9)))
	assert.Equal(t, []string{"1", "10", "100", "1000", "10\u202f000"}, labels(logTicks(0.5, 20_000)))
	for _, tick := range logTicks(0.5, 20_000) {
		assert.GreaterOrEqual(t, tick.Value, 0.5)
		assert.LessOrEqual(t, tick.Value, 20_000.0)
	}
}

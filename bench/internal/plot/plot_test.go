package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlotsAreWellFormed(t *testing.T) {
	bars := []Bar{{Name: "redial & co", Value: 3, Low: 2, High: 5, Text: "3 <s>", Ours: true}, {Name: "none", Text: "gave up", IsAbsent: true}, {Name: "zero"}}
	lines := []Line{{"a", []float64{0, 1, 2}, []float64{0, 10, 100_000}}, {"b", []float64{0, 1}, []float64{1, 1}}}
	for _, svg := range []string{
		Bars("bars", "seconds", false, bars),
		Bars("bars", "seconds", true, bars),
		Lines("lines", "time", "connects", false, lines),
		Lines("lines", "time", "connects", true, lines),
	} {
		assert.NotContains(t, svg, "NaN")
		assert.NotContains(t, svg, "Inf")
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
	}
}

func TestTicks(t *testing.T) {
	assert.Equal(t, []float64{0, 2, 4, 6, 8, 10}, newScale(0, 10, 0, 1, false).ticks())
	assert.Equal(t, []float64{0, 0.5, 1, 1.5, 2, 2.5}, newScale(0, 2.6, 0, 1, false).ticks())
	assert.Equal(t, []float64{2, 4, 6, 8, 10}, newScale(0.5, 10, 0, 1, false).ticks())
	assert.Equal(t, []float64{10, 100, 1000}, newScale(3, 2000, 0, 1, true).ticks())
	assert.Equal(t, "1\u202f234\u202f567", number(1234567))
	assert.Equal(t, "0.25", number(0.25))
}

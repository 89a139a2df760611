package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
	"github.com/seed-33f8b841/redial/redialprom/internal/dashboard"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// Every panel of the dashboard has lines of both Dialers, from what a real Prometheus server scraped.
func TestStormInPrometheus(t *testing.T) {
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("there is no prometheus")
	}
	if testing.Short() {
		t.Skip("takes 20 seconds")
	}
	const dashboardFile = "../../dashboard.json"
	out := filepath.Join(t.TempDir(), "out.svg")
	// Dials that begin in the outage have to fail in it, for the panel of stop reasons.
	require.NoError(t, run(t.Context(), dashboardFile, out, 2*time.Second, 4*time.Second, time.Second))
	svg, err := os.ReadFile(out)
	require.NoError(t, err)
	assertWellFormed(t, svg)
	panels, err := dashboard.Read(dashboardFile)
	require.NoError(t, err)
	drawn := strings.Split(string(svg), "<g ")[1:]
	require.Len(t, drawn, len(panels))
	for i, p := range panels {
		assert.Contains(t, drawn[i], p.Title)
		for _, dialer := range []string{"alone", "gate"} {
			assert.Contains(t, drawn[i], ">"+dialer, p.Title)
		}
	}
	for _, legend := range []string{"alone refused", "gate refused", "alone ok", "gate shared", "gate max_elapsed", "alone p99", "alone ipv4 refused"} {
		assert.Contains(t, string(svg), ">"+legend+"<")
	}
}

func assertWellFormed(t *testing.T, svg []byte) {
	t.Helper()
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := decoder.Token(); err != nil {
			assert.Equal(t, io.EOF, err)
			return
		}
	}
}

func TestDraw(t *testing.T) {
	p := picture{length: 10 * time.Second, down: 2 * time.Second, up: 5 * time.Second, panels: []drawn{
		{dashboard.Panel{Title: "none & empty", Unit: "ops"}, nil},
		{dashboard.Panel{Title: "log", Unit: "s", Log: true}, []line{{"a", nil, []point{{0, .0004}, {time.Second, 3}, {4 * time.Second, 0}}}}},
	}}
	svg := p.draw()
	assertWellFormed(t, svg)
	assert.NotContains(t, string(svg), "NaN")
	assert.NotContains(t, string(svg), "Inf")
	assert.Contains(t, string(svg), ">100µs<")
	assert.Contains(t, string(svg), ">10s<")
	assert.Equal(t, 2, strings.Count(string(svg), "h0"), "a gap begins a new line")
}

func TestScale(t *testing.T) {
	s := scaleOf(drawn{lines: []line{{points: []point{{0, 435}}}}})
	assert.Equal(t, []float64{0, 100, 200, 300, 400, 500}, s.ticks)
	assert.Equal(t, 0.5, s.part(250))
	assert.Equal(t, "0.1/s", label(0.1, "ops"))
}

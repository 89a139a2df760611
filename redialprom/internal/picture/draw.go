package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/seed-33f8b841/redial/redialprom/internal/dashboard"
)

// The sizes of a panel and of what is in it, in pixels.
const (
	columns             = 2
	panelW, panelH      = 470.0, 270.0
	left, right         = 54.0, 14.0 // beside the diagram
	above, below        = 34.0, 78.0 // above and below it: the title; the time axis and the legend
	legendW, legendLine = 134.0, 14.0
	legendRows          = 3
	header              = 30.0
)

// A picture is all panels of a dashboard over the same time.
type picture struct {
	length   time.Duration
	down, up time.Duration // when the server went down and came back
	panels   []drawn
}

// A drawn is a panel with its lines.
type drawn struct {
	dashboard.Panel
	lines []line
}

// A line is a series in a panel.
type line struct {
	legend string
	labels map[string]string
	points []point
}

// The colors of lines by their most telling label. Others take the next of spare.
var (
	colors = map[string]string{
		"ok": "#2e8b57", "refused": "#c0392b", "timeout": "#d68910", "canceled": "#7f8c8d",
		"max_elapsed": "#8e44ad", "deadline": "#2471a3", "shared": "#2471a3",
	}
	spare = []string{"#1f618d", "#b7950b", "#6c3483", "#117a65", "#a04000", "#212f3d"}
)

// draw returns the picture as an SVG document.
func (p picture) draw() []byte {
	rows := (len(p.panels) + columns - 1) / columns
	width, height := columns*panelW, header+float64(rows)*panelH
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="10.5" fill="#333">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="14" y="20" font-size="12">Solid lines: dialer “alone”. Dashed: dialer “gate”, the same load with a redial.Gate. Grey: the server is down for %v.</text>`+"\n", p.up-p.down)
	for i, panel := range p.panels {
		fmt.Fprintf(&b, `<g transform="translate(%g %g)">`+"\n", float64(i%columns)*panelW, header+float64(i/columns)*panelH)
		p.drawPanel(&b, panel)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (p picture) drawPanel(b *bytes.Buffer, panel drawn) {
	const bottom = panelH - below
	x := func(at time.Duration) float64 {
		return left + (panelW-left-right)*at.Seconds()/p.length.Seconds()
	}
	scale := scaleOf(panel)
	y := func(value float64) float64 { return bottom - (bottom-above)*scale.part(value) }

	fmt.Fprintf(b, `<text x="%g" y="20" font-size="12.5" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(panel.Title))
	fmt.Fprintf(b, `<rect x="%.1f" y="%g" width="%.1f" height="%g" fill="#eee"/>`+"\n", x(p.down), above, x(p.up)-x(p.down), bottom-above)
	for _, tick := range scale.ticks {
		fmt.Fprintf(b, `<path stroke="#ddd" d="M%g %.1fH%g"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y(tick), panelW-right, left-5, y(tick)+3.5, label(tick, panel.Unit))
	}
	every := niceStep(p.length.Seconds() / 6)
	for at := 0.0; at <= p.length.Seconds(); at += every {
		fmt.Fprintf(b, `<text x="%.1f" y="%g" text-anchor="middle">%gs</text>`+"\n", x(time.Duration(at*float64(time.Second))), bottom+14, at)
	}

	lines := slices.Clone(panel.lines)
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.legend, b.legend) })
	next := 0
	chosen := map[string]string{}
	for i, l := range lines {
		key := l.colorKey()
		color := colors[key]
		if color == "" {
			if chosen[key] == "" {
				chosen[key] = spare[next%len(spare)]
				next++
			}
			color = chosen[key]
		}
		dash := ""
		if l.labels["dialer"] == "gate" {
			dash = ` stroke-dasharray="4 2.5"`
		}
		style := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round" stroke-linecap="round"%s`, color, dash)
		fmt.Fprintf(b, `<path %s d="`, style)
		for j, pt := range l.points {
			if j == 0 || pt.at-l.points[j-1].at > step {
				fmt.Fprintf(b, "M%.1f %.1fh0", x(pt.at), y(pt.value)) // a dot if it stands alone
			} else {
				fmt.Fprintf(b, "L%.1f %.1f", x(pt.at), y(pt.value))
			}
		}
		b.WriteString(`"/>` + "\n")
		lx := left - 40 + float64(i/legendRows)*legendW
		ly := bottom + 32 + float64(i%legendRows)*legendLine
		fmt.Fprintf(b, `<path %s d="M%g %gh18"/><text x="%g" y="%g">%s</text>`+"\n", style, lx, ly-3.5, lx+23, ly, html.EscapeString(l.legend))
	}
}

// colorKey returns what the color of the line stands for.
func (l line) colorKey() string {
	if family := l.labels["family"]; family != "" {
		return family + l.labels["outcome"]
	}
	for _, name := range []string{"outcome", "stop"} {
		if value := l.labels[name]; value != "" {
			return value
		}
	}
	if dialer := l.labels["dialer"]; len(l.legend) > len(dialer) {
		return l.legend[len(dialer)+1:]
	}
	return ""
}

// A scale maps values to the part of the axis below them.
type scale struct {
	log      bool
	from, to float64
	ticks    []float64
}

func scaleOf(panel drawn) scale {
	least, most := math.Inf(1), 0.0
	for _, l := range panel.lines {
		for _, pt := range l.points {
			most = max(most, pt.value)
			if pt.value > 0 {
				least = min(least, pt.value)
			}
		}
	}
	if most == 0 {
		least, most = 1, 1
	}
	s := scale{log: panel.Log}
	if s.log {
		s.from, s.to = math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(most)))
		if s.to <= s.from {
			s.to = 10 * s.from
		}
		for tick := s.from; tick <= s.to*1.01; tick *= 10 {
			s.ticks = append(s.ticks, tick)
		}
		return s
	}
	tick := niceStep(most / 5)
	s.to = tick * math.Ceil(most/tick)
	for i := range int(math.Round(s.to/tick)) + 1 {
		s.ticks = append(s.ticks, float64(i)*tick)
	}
	return s
}

func (s scale) part(value float64) float64 {
	if s.log {
		return (math.Log10(max(value, s.from)) - math.Log10(s.from)) / (math.Log10(s.to) - math.Log10(s.from))
	}
	return value / s.to
}

// niceStep returns the least of 1, 2, 5, 10, 20, ... and their tenths that is not less than x.
func niceStep(x float64) float64 {
	magnitude := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if m*magnitude >= x*0.999 {
			return m * magnitude
		}
	}
	return 10 * magnitude
}

// label returns a value on the axis as text, as Grafana writes it for the unit.
func label(value float64, unit string) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	switch unit {
	case "ops":
		return number(value) + "/s"
	case "s":
		switch {
		case value >= 1:
			return number(value) + "s"
		case value >= 0.999e-3:
			return number(value*1e3) + "ms"
		}
		return number(value*1e6) + "µs"
	}
	return number(value)
}

// Package plot draws bars and lines as SVG documents. Every bar has its name and value beside it, and
// every line has a dash pattern and a marker of its own, so the plots can be read without colours.
package plot

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

const width = 760.0

var (
	colors = []string{"#1b6ca8", "#c0392b", "#2e7d32", "#8e44ad", "#b9770e", "#16a085", "#555555"}
	dashes = []string{"", "7 4", "2 3", "9 3 2 3", "14 4", "4 2 1 2 1 2", "1 5"}
)

// A Bar is a value, with the lowest and the highest value that was measured.
type Bar struct {
	Name           string
	Value          float64
	Low, High      float64
	Text           string // beside the bar
	Ours, IsAbsent bool   // one of redial's is hatched; an absent one has its text only
}

// Bars draws horizontal bars. The axis has a logarithmic scale if log is set.
func Bars(title, axis string, log bool, bars []Bar) string {
	const left, right, top, row = 200.0, 130.0, 44.0, 26.0
	height := top + row*float64(len(bars)) + 44
	highest, lowest := 0.0, math.Inf(1)
	for _, b := range bars {
		highest = max(highest, b.Value, b.High)
		if b.Value > 0 {
			lowest = min(lowest, b.Value)
		}
	}
	scale := newScale(0, highest, left, width-right, false)
	if log {
		scale = newScale(lowest/2, highest, left, width-right, true)
	}
	d := newDocument(title, height)
	d.add(`<defs><pattern id="ours" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
		`<rect width="6" height="6" fill="#1b6ca8"/><line x1="0" y1="0" x2="0" y2="6" stroke="white" stroke-width="2"/></pattern></defs>`)
	bottom := top + row*float64(len(bars))
	for _, v := range scale.ticks() {
		x := scale.at(v)
		d.add(`<line x1="%.1f" y1="%g" x2="%.1f" y2="%g" stroke="#ddd"/>`, x, top, x, bottom)
		d.text(x, bottom+15, "middle", number(v))
	}
	d.text((left+width-right)/2, bottom+34, "middle", axis)
	for i, b := range bars {
		y := top + row*float64(i)
		d.text(left-8, y+row/2+4, "end", b.Name)
		if b.IsAbsent {
			d.text(left+6, y+row/2+4, "start", b.Text)
			continue
		}
		fill := "#999999"
		if b.Ours {
			fill = "url(#ours)"
		}
		end := scale.at(b.Value)
		d.add(`<rect x="%g" y="%.1f" width="%.1f" height="%g" fill="%s" stroke="#333" stroke-width="0.6"/>`, left, y+4, max(end-left, 0.5), row-8, fill)
		if b.High > b.Low {
			low, high := scale.at(b.Low), scale.at(b.High)
			d.add(`<path d="M%.1f %.1f H%.1f M%.1f %.1f v8 M%.1f %.1f v8" stroke="black" fill="none"/>`, low, y+row/2, high, low, y+row/2-4, high, y+row/2-4)
			end = max(end, high)
		}
		d.text(end+6, y+row/2+4, "start", b.Text)
	}
	d.add(`<line x1="%g" y1="%g" x2="%g" y2="%g" stroke="#333"/>`, left, top, left, bottom)
	return d.end()
}

// A Line is a series of points.
type Line struct {
	Name string
	X, Y []float64
}

// Lines draws lines over a common axis. If the y axis is logarithmic, points that are not positive
// are at its lower end.
func Lines(title, xAxis, yAxis string, log bool, lines []Line) string {
	const left, right, top, height, bottom = 74.0, 235.0, 44.0, 380.0, 330.0
	var xs, ys []float64
	for _, l := range lines {
		xs = append(xs, l.X...)
		for _, y := range l.Y {
			if y > 0 || !log {
				ys = append(ys, y)
			}
		}
	}
	x := newScale(slices.Min(xs), slices.Max(xs), left, width-right, false)
	y := newScale(0, slices.Max(ys), bottom, top, false)
	if log {
		y = newScale(slices.Min(ys), slices.Max(ys), bottom, top, true)
	}
	d := newDocument(title, height)
	for _, v := range y.ticks() {
		d.add(`<line x1="%g" y1="%.1f" x2="%g" y2="%.1f" stroke="#ddd"/>`, left, y.at(v), width-right, y.at(v))
		d.text(left-6, y.at(v)+4, "end", number(v))
	}
	for _, v := range x.ticks() {
		d.add(`<line x1="%.1f" y1="%g" x2="%.1f" y2="%g" stroke="#333"/>`, x.at(v), bottom, x.at(v), bottom+4)
		d.text(x.at(v), bottom+17, "middle", number(v))
	}
	d.text((left+width-right)/2, bottom+38, "middle", xAxis)
	d.add(`<text transform="translate(16 %g) rotate(-90)" text-anchor="middle">%s</text>`, (top+bottom)/2, escape(yAxis))
	d.add(`<path d="M%g %g V%g H%g" stroke="#333" fill="none"/>`, left, top, bottom, width-right)
	for i, l := range lines {
		color, dash := colors[i%len(colors)], dashes[i%len(dashes)]
		var path strings.Builder
		every := max(len(l.X)/8, 1)
		var markers []string
		for j := range l.X {
			pen := "L"
			if j == 0 {
				pen = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f ", pen, x.at(l.X[j]), y.at(l.Y[j]))
			if j%every == i%every || len(l.X) < 10 {
				markers = append(markers, marker(i, x.at(l.X[j]), y.at(l.Y[j]), color))
			}
		}
		d.add(`<path d="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-dasharray="%s"/>%s`, path.String(), color, dash, strings.Join(markers, ""))
		row := top + 8 + 22*float64(i)
		from := width - right + 14
		d.add(`<line x1="%g" y1="%g" x2="%g" y2="%g" stroke="%s" stroke-width="1.6" stroke-dasharray="%s"/>%s`,
			from, row, from+36, row, color, dash, marker(i, from+18, row, color))
		d.text(from+42, row+4, "start", l.Name)
	}
	return d.end()
}

// marker returns the marker of the i-th line.
func marker(i int, x, y float64, color string) string {
	switch i % 6 {
	case 0:
		return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x, y, color)
	case 1:
		return fmt.Sprintf(`<rect x="%.1f" y="%.1f" width="6.5" height="6.5" fill="%s"/>`, x-3.2, y-3.2, color)
	case 2:
		return fmt.Sprintf(`<path d="M%.1f %.1f l4 7 h-8 z" fill="%s"/>`, x, y-4, color)
	case 3:
		return fmt.Sprintf(`<path d="M%.1f %.1f l4 4 l-4 4 l-4 -4 z" fill="white" stroke="%s"/>`, x, y-4, color)
	case 4:
		return fmt.Sprintf(`<path d="M%.1f %.1f l7 7 m0 -7 l-7 7" stroke="%s" stroke-width="1.6"/>`, x-3.5, y-3.5, color)
	default:
		return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="white" stroke="%s"/>`, x, y, color)
	}
}

// A scale maps values to places.
type scale struct {
	low, high, from, to float64
	log                 bool
}

func newScale(low, high, from, to float64, log bool) scale {
	if high <= low {
		high = cmp.Or(low*1.1, 1)
	}
	return scale{low, high, from, to, log}
}

func (s scale) at(v float64) float64 {
	part := (v - s.low) / (s.high - s.low)
	if s.log {
		part = math.Log(max(v, s.low)/s.low) / math.Log(s.high/s.low)
	}
	return s.from + part*(s.to-s.from)
}

func (s scale) ticks() []float64 {
	var all []float64
	if s.log {
		for v := math.Pow(10, math.Ceil(math.Log10(s.low))); v <= s.high; v *= 10 {
			all = append(all, v)
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10((s.high-s.low)/10)))
	for _, factor := range []float64{1, 2, 5, 10, 20} {
		if (s.high-s.low)/(step*factor) <= 7 {
			step *= factor
			break
		}
	}
	for v := math.Ceil(s.low/step) * step; v <= s.high; v += step {
		all = append(all, v)
	}
	return all
}

// number returns v with a thin space between thousands.
func number(v float64) string {
	text := fmt.Sprintf("%g", math.Round(v*1000)/1000)
	if v < 10_000 {
		return text
	}
	text = fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

type document struct{ strings.Builder }

func newDocument(title string, height float64) *document {
	d := new(document)
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12" role="img">`, width, height)
	d.add(`<title>%s</title>`, escape(title))
	d.add(`<rect width="%g" height="%g" fill="white"/>`, width, height)
	d.add(`<text x="12" y="22" font-size="14" font-weight="bold">%s</text>`, escape(title))
	return d
}

func (d *document) add(format string, args ...any) {
	fmt.Fprintf(d, format+"\n", args...)
}

func (d *document) text(x, y float64, anchor, text string) {
	d.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, escape(text))
}

func (d *document) end() string {
	d.add(`</svg>`)
	return d.String()
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder returns no error
	return b.String()
}

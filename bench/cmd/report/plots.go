//go:build unix

package main

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A figure is a plot without its data.
type figure struct {
	title   string
	x, y    string  // what the axes show, with the unit; y is not used for dots
	isLog   bool    // whether the axis of the values is logarithmic: x for dots, y for lines
	isSteps bool    // whether the value of a line holds until its next point
	event   string  // what happened at the time at, if not empty
	at      float64 // on the x axis
}

// A dot is a value, with the lowest and the highest value that was measured.
type dot struct {
	name             string
	value, low, high float64
	text             string // beside the dot
	isOurs, isAbsent bool   // one that is absent has its text only
}

// A line is a series of points.
type line struct {
	name   string
	isOurs bool
	plotter.XYs
}

const plotWidth = 560 // points

var (
	sans     = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 10}
	ourColor = color.RGBA{R: 27, G: 108, B: 168, A: 255}
	colors   = slices.Delete(slices.Clone(plotutil.DarkColors), 2, 3) // without the blue one
	gridLine = draw.LineStyle{Color: color.Gray{220}, Width: 0.5}
	thinLine = draw.LineStyle{Color: color.Black, Width: 0.75}
)

// dots draws the dots below each other, as SVG.
func (f figure) dots(all []dot) string {
	p := f.plot()
	lowest, highest := math.Inf(1), 0.0
	var names []string
	for _, d := range slices.Backward(all) {
		names = append(names, d.name)
		if !d.isAbsent {
			lowest, highest = min(lowest, d.low), max(highest, d.high)
		}
	}
	if highest == 0 { // all are absent
		lowest, highest = 1, 2
	}
	p.NominalY(names...)
	p.Y.Padding = 8
	p.X.Min, p.X.Max = 0, highest
	if f.isLog {
		p.X.Min = lowest / 2
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	}
	p.Y.Min, p.Y.Max = -0.5, float64(len(all))-0.5
	p.Add(&plotter.Grid{Vertical: gridLine, Horizontal: gridLine}, rows{all, p.Y.Tick.Label})
	return svg(float64(70+20*len(all)), p.Draw)
}

// rows draws dots.
type rows struct {
	dots  []dot
	style text.Style
}

// place returns where the i-th dot is, and where its text begins.
func (r rows) place(i int, p *plot.Plot) (d dot, y, end float64) {
	d = r.dots[i]
	if d.isAbsent {
		d.high = p.X.Min
	}
	return d, float64(len(r.dots) - 1 - i), d.high
}

func (r rows) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	style := r.style
	style.XAlign, style.YAlign = draw.XLeft, draw.YCenter
	for i := range r.dots {
		d, y, end := r.place(i, p)
		if !d.isAbsent {
			c.StrokeLine2(thinLine, toX(d.low), toY(y), toX(d.high), toY(y))
			glyph := draw.GlyphStyle{Color: color.Black, Radius: 3, Shape: draw.RingGlyph{}}
			if d.isOurs {
				glyph = draw.GlyphStyle{Color: ourColor, Radius: 4, Shape: draw.CircleGlyph{}}
			}
			c.DrawGlyph(glyph, vg.Point{X: toX(d.value), Y: toY(y)})
		}
		c.FillText(style, vg.Point{X: toX(end) + 7, Y: toY(y)}, d.text)
	}
}

// GlyphBoxes keeps the texts within the plot.
func (r rows) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var all []plot.GlyphBox
	for i := range r.dots {
		d, y, end := r.place(i, p)
		all = append(all, plot.GlyphBox{X: p.X.Norm(end), Y: p.Y.Norm(y), Rectangle: vg.Rectangle{Max: vg.Point{X: r.style.Width(d.text) + 7}}})
	}
	return all
}

// lines draws the lines with a legend, as SVG. On a logarithmic axis, a value of zero is at the axis.
func (f figure) lines(all []line) string {
	p := f.plot()
	p.Y.Min = 0
	if f.isLog {
		p.Y.Min = lowestOf(all) / 2
		p.Y.Max = 2 * p.Y.Min // at least, because gonum widens an empty range to below zero
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	}
	p.Add(&plotter.Grid{Horizontal: gridLine})
	legend := plot.NewLegend()
	legend.TextStyle.Font, legend.Top, legend.Left, legend.Padding, legend.ThumbnailWidth = sans, true, true, 4, 30
	for i, l := range all {
		points := slices.Clone(l.XYs)
		for j := range points {
			points[j].Y = max(points[j].Y, p.Y.Min)
		}
		style := draw.LineStyle{Color: colors[i%len(colors)], Width: 1.25, Dashes: plotutil.Dashes(i + 1)}
		if l.isOurs {
			style = draw.LineStyle{Color: ourColor, Width: 2}
		}
		drawn := &plotter.Line{XYs: points, LineStyle: style}
		legend.Add(l.name, drawn)
		p.Add(drawn)
		if f.isSteps {
			drawn.StepStyle = plotter.PostStep
		} else {
			p.Add(&plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: style.Color, Radius: 3, Shape: plotutil.Shape(i)}})
		}
	}
	if f.event != "" {
		then := &plotter.Line{XYs: plotter.XYs{{X: f.at, Y: p.Y.Min}, {X: f.at, Y: p.Y.Max}},
			LineStyle: draw.LineStyle{Color: color.Gray{120}, Width: 1, Dashes: plotutil.Dashes(2)}}
		p.Add(then)
		legend.Add(f.event, then)
	}
	return svg(300, func(c draw.Canvas) {
		width := legend.Rectangle(c).Size().X*1.1 + 30 // another font may be wider
		p.Draw(draw.Crop(c, 0, -width, 0, 0))
		legend.Draw(draw.Crop(c, c.Size().X-width+10, 0, 0, -24))
	})
}

// lowestOf returns the lowest y value above zero, or 1 if there is none.
func lowestOf(all []line) float64 {
	lowest := math.Inf(1)
	for _, l := range all {
		for _, at := range l.XYs {
			if at.Y > 0 {
				lowest = min(lowest, at.Y)
			}
		}
	}
	if math.IsInf(lowest, 1) {
		return 1
	}
	return lowest
}

// plot returns the plot without data.
func (f figure) plot() *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.title, f.x, f.y
	p.Title.TextStyle.Font = sans
	p.Title.TextStyle.Font.Size = 12
	p.Title.Padding = 8
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font, axis.Tick.Label.Font = sans, sans
		axis.Tick.Marker = plot.TickerFunc(ticks)
		axis.Label.Padding = 4
	}
	return p
}

// ticks returns ticks at multiples of 1, 2 or 5 times a power of ten. Those of gonum are few.
func ticks(low, high float64) []plot.Tick {
	step := math.Pow10(int(math.Floor(math.Log10((high - low) / 5))))
	for _, factor := range []float64{10, 5, 2} {
		if step*factor <= (high-low)/4 {
			step *= factor
			break
		}
	}
	var all []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		all = append(all, plot.Tick{Value: i * step, Label: number(i * step)})
	}
	return all
}

// logTicks returns ticks at the digits of each power of ten. It writes 2 and 5 too if there are few powers.
func logTicks(low, high float64) []plot.Tick {
	var all []plot.Tick
	for power := math.Pow10(int(math.Floor(math.Log10(low)))); power <= high; power *= 10 {
		for digit := 1.0; digit < 10; digit++ {
			tick := plot.Tick{Value: digit * power}
			if digit == 1 || (digit == 2 || digit == 5) && high/low < 1000 {
				tick.Label = number(tick.Value)
			}
			if low <= tick.Value && tick.Value <= high { // otherwise gonum leaves room for its label
				all = append(all, tick)
			}
		}
	}
	return all
}

// number writes a value at an axis.
func number(v float64) string {
	if v < 10_000 {
		return fmt.Sprintf("%.4g", v)
	}
	return count(v)
}

// svg returns what drawOn draws on a canvas of that height.
func svg(height float64, drawOn func(draw.Canvas)) string {
	canvas := vgsvg.New(plotWidth, vg.Length(height))
	c := draw.New(canvas)
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	drawOn(draw.Crop(c, 6, -6, 6, -6))
	var b strings.Builder
	canvas.WriteTo(&b)
	// Arial is as wide, where the font is missing.
	return strings.ReplaceAll(b.String(), "font-family:Liberation Sans;", "font-family:Liberation Sans,Arial,sans-serif;")
}

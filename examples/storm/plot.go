package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The plot shows the attempts in each tenth of a second. Its scale is logarithmic, because the
// counts range from one to thousands.
const (
	bucket        = 100 * time.Millisecond
	width, height = 720.0, 300.0
	left, bottom  = 60.0, 60.0 // room for the axes
	top           = 50.0
	decades       = 4 // 1 to 10 000
)

// A series is one storm in the plot.
type series struct {
	name, color string
	attempts    []time.Duration
}

// draw returns the plot as an SVG document.
func draw(dials int, down time.Duration, all ...series) string {
	end := down
	for _, s := range all {
		for _, at := range s.attempts {
			end = max(end, at)
		}
	}
	end += bucket
	x := func(at time.Duration) float64 { return left + (width-left-10)*at.Seconds()/end.Seconds() }
	y := func(n int) float64 {
		if n == 0 {
			return height - bottom
		}
		// One attempt is drawn half a decade above the axis, to tell it from none.
		return height - bottom - (height-bottom-top)*(math.Log10(float64(n))+0.5)/(decades+0.5)
	}

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%g" y="18" font-size="14">%d goroutines dial a server that is down for %v</text>`+"\n", left, dials, down)
	fmt.Fprintf(&b, `<text x="%g" y="34" fill="#555">Once it is up, a Gate lets two dials go for each that connects: slow start, as in TCP.</text>`+"\n", left)
	fmt.Fprintf(&b, `<text transform="translate(14 %g) rotate(-90)" text-anchor="middle">connection attempts in each %v</text>`+"\n",
		(top+height-bottom)/2, bucket)
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">time since the dials began</text>`+"\n", (left+width)/2, height-bottom+32)
	for n := 1; n <= 10000; n *= 10 {
		fmt.Fprintf(&b, `<line x1="%g" y1="%.1f" x2="%g" y2="%.1f" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">%d</text>`+"\n",
			left, y(n), width-10, y(n), left-6, y(n)+4, n)
	}
	step := max(end/10, time.Second).Truncate(time.Second)
	for at := time.Duration(0); at <= end; at += step {
		fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%v</text>`+"\n", x(at), height-bottom+16, at)
	}
	fmt.Fprintf(&b, `<line x1="%.1f" y1="%g" x2="%.1f" y2="%g" stroke="#888" stroke-dasharray="4"/><text x="%.1f" y="%g" text-anchor="end">the server is up</text>`+"\n",
		x(down), top, x(down), height-bottom, x(down)-4, top+8)
	for i, s := range all {
		counts := make([]int, end/bucket+1)
		for _, at := range s.attempts {
			counts[at/bucket]++
		}
		fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="1.5" d="M`, s.color)
		for j, n := range counts {
			from, to := min(time.Duration(j)*bucket, end), min(time.Duration(j+1)*bucket, end)
			fmt.Fprintf(&b, "%.1f %.1f H%.1f V", x(from), y(n), x(to))
			if j == len(counts)-1 {
				fmt.Fprintf(&b, "%.1f", y(n))
				break
			}
			fmt.Fprintf(&b, "%.1f M", y(counts[j+1]))
		}
		fmt.Fprintf(&b, `"/>`+"\n"+`<text x="%g" y="%g" fill="%s">%s: %d</text>`+"\n",
			left+20+float64(i)*200, height-8, s.color, s.name, len(s.attempts))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

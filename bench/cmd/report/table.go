//go:build unix

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A table has the values of all rounds.
type table struct {
	title   string
	rows    []string
	columns []*column
}

// A unit says how a value is written.
type unit func(float64) string

// A column holds one measurement of each row.
type column struct {
	name   string
	unit   unit
	ref    string // the row that the others are compared with; empty: no ratios
	values map[string][]float64
	absent map[string]string // what is written in place of a value
	better bool              // less is better, so a peer can be ahead
	floors []string          // rows that are not peers
}

func newTable(title string, rows []string, columns ...*column) *table {
	return &table{title, rows, columns}
}

// less returns a column in which less is better. The floors are rows that are not peers.
func less(name string, u unit, ref string, floors ...string) *column {
	return &column{name: name, unit: u, ref: ref, better: true, floors: floors,
		values: map[string][]float64{}, absent: map[string]string{}}
}

// plain returns a column without ratios.
func plain(name string, u unit) *column {
	return &column{name: name, unit: u, values: map[string][]float64{}, absent: map[string]string{}}
}

func (c *column) add(row string, value float64) { c.values[row] = append(c.values[row], value) }

// median returns the median of values, and their spread.
func median(values []float64) (mid, low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid = (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	return mid, sorted[0], sorted[len(sorted)-1]
}

// ratios returns the ratio of row to the other row in each round.
func (c *column) ratios(row, other string) []float64 {
	a, b := c.values[row], c.values[other]
	var all []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			all = append(all, a[i]/b[i])
		}
	}
	return all
}

func (c *column) cell(row string) string {
	if text, ok := c.absent[row]; ok {
		return text
	}
	values := c.values[row]
	if len(values) == 0 {
		return "-"
	}
	mid, low, high := median(values)
	text := c.unit(mid)
	switch {
	case c.ref == "":
		if c.unit(low) != c.unit(high) {
			text += fmt.Sprintf(" (%s to %s)", c.unit(low), c.unit(high))
		}
	case c.ref != row:
		if all := c.ratios(row, c.ref); len(all) > 0 {
			mid, low, high := median(all)
			text += fmt.Sprintf(" · %s× (%s to %s)", ratio(mid), ratio(low), ratio(high))
		}
	}
	return text
}

func ratio(r float64) string {
	switch {
	case r >= 10:
		return fmt.Sprintf("%.0f", r)
	case r < 0.01:
		return fmt.Sprintf("%.1g", r)
	}
	return fmt.Sprintf("%.2f", r)
}

func (t *table) markdown() string {
	var b strings.Builder
	if t.title != "" {
		fmt.Fprintf(&b, "\n**%s**\n", t.title)
	}
	b.WriteString("\n| |")
	for _, c := range t.columns {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|")
	b.WriteString(strings.Repeat("---|", len(t.columns)))
	b.WriteString("\n")
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, c := range t.columns {
			fmt.Fprintf(&b, " %s |", c.cell(row))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// ours returns the first row of redial's. A peer is ahead if it is ahead of this row.
func (t *table) ours() string {
	for _, row := range t.rows {
		if strings.HasPrefix(row, "redial") {
			return row
		}
	}
	return ""
}

// ahead lists the peers whose values are below redial's in every round, and by more than 2 % in the median.
func (c *column) ahead(t *table) string {
	if !c.better {
		return ""
	}
	var all []string
	for _, row := range t.rows {
		if strings.HasPrefix(row, "redial") || slices.Contains(c.floors, row) || c.absent[row] != "" {
			continue
		}
		ratios := c.ratios(row, t.ours())
		if mid, _, high := median(ratios); len(ratios) > 0 && high < 1 && mid < 0.98 {
			all = append(all, fmt.Sprintf("%s (%s)", row, ratio(mid)))
		}
	}
	if len(all) == 0 {
		return ""
	}
	name := c.name
	if t.title != "" {
		name = t.title + ", " + name
	}
	return name + ": " + strings.Join(all, ", ")
}

// dots returns the medians of a column. It divides the values by divisor.
func (t *table) dots(c *column, divisor float64) []dot {
	var all []dot
	for _, row := range t.rows {
		d := dot{name: row, isOurs: strings.HasPrefix(row, "redial")}
		if _, ok := c.absent[row]; ok || len(c.values[row]) == 0 {
			d.isAbsent, d.text = true, c.cell(row)
		} else {
			d.value, d.low, d.high = median(c.values[row])
			d.text = c.unit(d.value)
			d.value, d.low, d.high = d.value/divisor, d.low/divisor, d.high/divisor
		}
		all = append(all, d)
	}
	return all
}

func nanoseconds(v float64) string {
	switch size := math.Abs(v); {
	case size < 999.5:
		return fmt.Sprintf("%.0f ns", v)
	case size < 999.5e3:
		return fmt.Sprintf("%.3g µs", v/1e3)
	case size < 999.5e6:
		return fmt.Sprintf("%.3g ms", v/1e6)
	case size < 999.5e9:
		return fmt.Sprintf("%.3g s", v/1e9)
	}
	return fmt.Sprintf("%.0f s", v/1e9)
}

func bytes(v float64) string { return count(v) + " B" }

// count writes whole numbers, with a space between thousands.
func count(v float64) string {
	if math.Abs(v) < 100 && v != math.Trunc(v) {
		return fmt.Sprintf("%.1f", v)
	}
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// since returns the nanoseconds since start.
func since(start time.Time) float64 { return float64(time.Since(start).Nanoseconds()) }

// turn returns 0 to n-1, beginning with another number in each round.
func turn(n, round int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = (i + round) % n
	}
	return all
}

//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A quote is a part of a table that a page of docs has too. There it follows a line
//
//	<!-- bench: its key -->
//
// TestPagesQuoteResults checks that the pages have what RESULTS.md has.
type quote struct {
	key           string
	t             *table
	rows, columns []string // nil: all
	noRatios      bool
}

const quoteMark = "<!-- bench: "

// markdown returns the lines of the quote.
func (q quote) markdown() []string {
	columns := slices.DeleteFunc(slices.Clone(q.t.columns), func(c *column) bool {
		return q.columns != nil && !slices.Contains(q.columns, c.name)
	})
	rows := q.rows
	if rows == nil {
		rows = q.t.rows
	}
	head, rule := "| |", "|---|"
	for _, c := range columns {
		head += fmt.Sprintf(" %s |", c.name)
		rule += "---|"
	}
	all := []string{head, rule}
	for _, row := range rows {
		line := fmt.Sprintf("| %s |", row)
		for _, c := range columns {
			cell, _, _ := strings.Cut(c.cell(row), " (") // without the spread
			if q.noRatios {
				cell, _, _ = strings.Cut(cell, " · ")
			}
			line += fmt.Sprintf(" %s |", cell)
		}
		all = append(all, line)
	}
	return all
}

// refresh rewrites the quotes of measurements that were made in the pages of root/docs, and the picture of the
// storm, unless it is empty.
func refresh(root string, all []*measurement, storm string) error {
	quotes := map[string][]string{}
	for _, m := range all {
		for _, q := range m.quotes {
			quotes[q.key] = nil
			if !m.isEmpty() {
				quotes[q.key] = q.markdown()
			}
		}
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		refreshed, err := withQuotes(string(text), quotes)
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		if refreshed == string(text) {
			continue
		}
		if err := os.WriteFile(page, []byte(refreshed), 0o644); err != nil {
			return err
		}
	}
	if storm == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(root, "examples", "storm", "storm.svg"), []byte(storm), 0o644)
}

// withQuotes returns the text of a page with new tables. A quote of nil stays as it is.
func withQuotes(text string, quotes map[string][]string) (string, error) {
	var all []string
	isOld := false // the line is of a table that has been replaced
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		isOld = isOld && strings.HasPrefix(line, "|")
		if isOld {
			continue
		}
		all = append(all, line)
		if key, ok := strings.CutPrefix(line, quoteMark); ok {
			key = strings.TrimSuffix(key, " -->")
			table, ok := quotes[key]
			if !ok {
				return "", fmt.Errorf("there is no quote %q", key)
			}
			isOld = table != nil
			all = append(all, table...)
		}
	}
	return strings.Join(all, "\n") + "\n", nil
}

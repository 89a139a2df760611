// Command tables writes the tables of README.md from what the tests have measured:
//
//	REDIAL_RECORD=/tmp/measured.json go test -count=1 -run Suite ./...
//	go run ./internal/tables /tmp/measured.json
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/seed-33f8b841/redial/examples/integrations/internal/kit"
)

const page = "README.md"

// tables are the tables of the page, by their names there, and the situations in their columns.
var tables = map[string][]string{
	"outage":  {"outage", "crowd"},
	"address": {"down for 2 s", "never up", "address refuses", "address silent", "address closes", "address mute"},
	"host":    {"host refuses", "host silent", "host closes", "host mute"},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: tables measured.json")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(record string) error {
	measured, err := read(record)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	for name, situations := range tables {
		if text, err = replace(text, name, rows(measured, situations)); err != nil {
			return err
		}
	}
	return os.WriteFile(page, text, 0o644)
}

// read returns the measurements of each client, by situation. Of two of the same kind, the later counts.
func read(record string) (map[string]map[string]kit.Measurement, error) {
	file, err := os.Open(record)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	measured := map[string]map[string]kit.Measurement{}
	for lines := json.NewDecoder(file); ; {
		var m kit.Measurement
		switch err := lines.Decode(&m); {
		case errors.Is(err, io.EOF):
			return measured, nil
		case err != nil:
			return nil, err
		}
		if measured[m.Client] == nil {
			measured[m.Client] = map[string]kit.Measurement{}
		}
		measured[m.Client][m.Situation] = m
	}
}

// rows returns a table row for each client that has been in one of the situations.
func rows(measured map[string]map[string]kit.Measurement, situations []string) string {
	var lines []string
	for client, of := range measured {
		cells, known := []string{client}, false
		for _, situation := range situations {
			m, ok := of[situation]
			cell := ""
			if ok {
				cell, known = m.Alone+" → "+m.Redial, true
			}
			cells = append(cells, cell)
		}
		if known {
			lines = append(lines, "| "+strings.Join(cells, " | ")+" |\n")
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return strings.Join(lines, "")
}

// replace puts the rows below the head of the table that follows the comment with the name.
func replace(text []byte, name, rows string) ([]byte, error) {
	mark := fmt.Appendf(nil, "<!-- measured: %s -->\n", name)
	_, after, ok := bytes.Cut(text, mark)
	head := bytes.SplitAfterN(after, []byte("\n"), 3) // the names of the columns, the line below them, the rest
	if !ok || len(head) < 3 {
		return nil, fmt.Errorf("%s has no table after %s", page, mark)
	}
	end := bytes.Index(head[2], []byte("\n\n")) + 1 // the empty line after the rows
	if !bytes.HasPrefix(head[2], []byte("|")) {
		end = 0
	}
	before := text[:len(text)-len(head[2])]
	return slices.Concat(before, []byte(rows), head[2][end:]), nil
}

//go:build unix

// Report measures redial beside its peers, and writes RESULTS.md and plots:
//
//	go run ./cmd/report
//
// It takes a quarter of an hour, and mostly waits. Each round makes the measurements, and within each
// measurement the libraries take turns, so that a machine's drift is the same for all. With -root, it
// also refreshes what the pages of docs quote:
//
//	go run ./cmd/report -root ..
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout))
}

// A scope says how much to measure.
type scope struct{ small bool }

// pick returns the full number, or the small one.
func pick[T any](s scope, full, small T) T {
	if s.small {
		return small
	}
	return full
}

// A measurement is a section of the report.
type measurement struct {
	title string
	about string // how it is measured
	// rounds is in how many of the rounds it is made; 0: in all. It needs fewer if its figures hardly differ.
	rounds int
	// once makes one round. It adds a value to each column of the tables.
	once func(s scope, round int) error
	// tables are written when all rounds have been made.
	tables []*table
	plots  func() map[string]string // by file name
	after  string                   // what to know about the figures
	quotes []quote
}

// run returns the exit code.
func run(args []string, out io.Writer) int {
	if len(args) == 1 && args[0] == serveCommand {
		return serve()
	}
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(out)
	rounds := flags.Int("rounds", 6, "how many `rounds` to make")
	small := flags.Bool("small", false, "measure little, to see that the report works")
	fleetRounds := flags.Int("fleets", 1, "how many of the rounds simulate the `fleet`, which takes minutes of CPU time")
	dir := flags.String("out", ".", "the `directory` to write RESULTS.md and plots/ to")
	root := flags.String("root", "", "the clone's `directory`, in which to refresh the tables of docs/ and the storm's picture (default: neither)")
	only := flags.String("only", "", "the `numbers` of the measurements to make, such as 1,4 (default: all)")
	if flags.Parse(args) != nil {
		return 2
	}
	stop, err := startServer()
	if err != nil {
		fmt.Fprintln(out, "no server:", err)
		return 1
	}
	defer stop()

	s := scope{small: *small}
	storm := storms()
	all := []*measurement{dials(), failures(), requests(), waits(), storm.measurement, clients(), addresses(), fleets(s, *fleetRounds), flapping()}
	wanted := strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	var loads []string
	begin := time.Now()
	for round := range *rounds {
		loads = append(loads, load())
		for i, m := range all {
			number := fmt.Sprint(i + 1)
			if len(wanted) > 0 && !slices.Contains(wanted, number) || m.rounds > 0 && round >= m.rounds {
				continue
			}
			start := time.Now()
			runtime.GC()
			if err := m.once(s, round); err != nil {
				fmt.Fprintf(out, "measurement %s: %v\n", number, err)
				return 1
			}
			fmt.Fprintf(out, "round %d of %d, measurement %s: %v\n", round+1, *rounds, number, time.Since(start).Round(time.Millisecond))
		}
	}
	loads = append(loads, load())
	err = write(*dir, all, header(*rounds, begin, loads, s), *rounds)
	if err == nil && *root != "" {
		err = refresh(*root, all, storm.picture())
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	fmt.Fprintln(out, "written:", filepath.Join(*dir, "RESULTS.md"))
	return 0
}

// write writes RESULTS.md and the plots.
func write(dir string, all []*measurement, head string, rounds int) error {
	if err := os.MkdirAll(filepath.Join(dir, "plots"), 0o755); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(head)
	for i, m := range all {
		if m.isEmpty() {
			continue
		}
		fmt.Fprintf(&b, "\n## %d. %s\n\n%s", i+1, m.title, m.about)
		if m.rounds > 0 && m.rounds < rounds {
			fmt.Fprintf(&b, " Rounds: %d.", m.rounds)
		}
		b.WriteString("\n")
		for _, t := range m.tables {
			b.WriteString(t.markdown())
		}
		if m.plots != nil {
			plots := m.plots()
			for _, name := range slices.Sorted(mapKeys(plots)) {
				if err := os.WriteFile(filepath.Join(dir, "plots", name), []byte(plots[name]), 0o644); err != nil {
					return err
				}
				fmt.Fprintf(&b, "\n![%s](plots/%s)\n", m.title, name)
			}
		}
		if ahead := m.ahead(); ahead != "" {
			fmt.Fprintf(&b, "\nAhead of redial in every round, with the ratio to redial:\n\n%s", ahead)
		}
		if m.after != "" {
			fmt.Fprintf(&b, "\n%s\n", m.after)
		}
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(b.String()), 0o644)
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

func (m *measurement) isEmpty() bool {
	for _, t := range m.tables {
		for _, c := range t.columns {
			if len(c.values) > 0 {
				return false
			}
		}
	}
	return true
}

// ahead lists where a peer is ahead of redial, in all rounds.
func (m *measurement) ahead() string {
	var all []string
	for _, t := range m.tables {
		for _, c := range t.columns {
			if found := c.ahead(t); found != "" {
				all = append(all, "- "+found+"\n")
			}
		}
	}
	return strings.Join(all, "")
}

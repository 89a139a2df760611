//go:build ignore

// Report reads the output of go test -json, and prints the result of each package, what failed, and what was skipped
// and why. Given a coverage profile of all packages together, it prints how much of each package is covered:
//
//	go test -json -coverpkg=./... -coverprofile=coverage.out ./... | go run .ci/report.go coverage.out
//
// It exits with 1 if a test failed, or a package, or all of them together, is covered by less than 90 %.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const least = 90 // percent

func main() {
	ok := results()
	if len(os.Args) > 1 {
		ok = coverage(os.Args[1]) && ok
	}
	if !ok {
		os.Exit(1)
	}
}

// An event is what go test -json writes; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// results prints what the events on standard input say.
func results() (ok bool) {
	ok = true
	output := map[[2]string]string{} // of each package and test
	skipped := map[string][]string{} // the tests by the reason
	passed, failed := 0, 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // go's own
			continue
		}
		of := [2]string{e.Package, e.Test}
		switch {
		case e.Action == "build-output":
			fmt.Print(e.Output)
		case e.Action == "output":
			output[of] += e.Output
		case e.Action == "fail":
			ok = false
			if e.Test != "" {
				failed++
			}
			fmt.Printf("FAIL %s %s\n%s", e.Package, e.Test, output[of])
		case e.Action == "skip" && e.Test != "": // otherwise the package has no tests
			why := reason(output[of])
			skipped[why] = append(skipped[why], strings.TrimSpace(e.Package+" "+e.Test))
		case e.Action == "pass" && e.Test != "":
			passed++
		case e.Action == "pass":
			fmt.Printf("ok   %s %.1fs\n", e.Package, e.Elapsed)
		}
	}
	if lines.Err() != nil {
		fmt.Println(lines.Err())
		ok = false
	}
	number := 0
	for _, tests := range skipped {
		number += len(tests)
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, failed, number)
	for _, why := range slices.Sorted(maps.Keys(skipped)) {
		tests := skipped[why]
		if len(tests) == 1 {
			fmt.Printf("%s: %s\n", tests[0], why)
			continue
		}
		fmt.Printf("%d skipped: %s\n", len(tests), why)
		for _, test := range tests {
			fmt.Println("    " + test)
		}
	}
	return ok
}

var location = regexp.MustCompile(`^\w+\.go:\d+: `)

// reason returns what a skipped test said.
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, location.ReplaceAllString(line, ""))
		}
	}
	return strings.Join(said, " ")
}

// A share is how many statements there are, and how many of them were run.
type share struct{ covered, all int }

func (s share) percent() float64 { return 100 * float64(s.covered) / float64(s.all) }

// coverage prints how much of each package the profile says is covered.
func coverage(profile string) (ok bool) {
	text, err := os.ReadFile(profile)
	if err != nil {
		fmt.Println(err)
		return false
	}
	// Each package's tests add a line for each block of all packages, such as
	// "example.com/m/p/f.go:1.2,3.4 2 1", with the numbers of statements and of runs.
	statements, run := map[string]int{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			statements[fields[0]], _ = strconv.Atoi(fields[1])
			run[fields[0]] = run[fields[0]] || fields[2] != "0"
		}
	}
	var total share
	packages := map[string]share{}
	for block, n := range statements {
		file, _, _ := strings.Cut(block, ":")
		s := packages[path.Dir(file)]
		s.all += n
		total.all += n
		if run[block] {
			s.covered += n
			total.covered += n
		}
		packages[path.Dir(file)] = s
	}
	packages["all packages"] = total
	fmt.Println("\ncoverage")
	ok = total.all > 0
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		s := packages[name]
		fmt.Printf("%5.1f %% %s\n", s.percent(), name)
		if s.percent() < least {
			fmt.Printf("        under %d %%\n", least)
			ok = false
		}
	}
	return ok
}

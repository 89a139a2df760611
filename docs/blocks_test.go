package docs_test

// The tests of a page's code: excerpts of files, and what programs output.

import (
	"bytes"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// A block is fenced code.
type block struct {
	line     int // of its fence
	language string
	source   string // what the comment right before it says
	lines    []string
}

// check returns an error if a block is not what its source has.
func (b block) check(programs *programs) error {
	switch b.language {
	case "go":
		return b.checkGo()
	case "text":
		return b.checkOutput(programs)
	case "sh":
		return b.checkCommands()
	case "":
		return fmt.Errorf("it has no language: use text for output")
	}
	return nil
}

func (b block) checkGo() error {
	if !strings.HasSuffix(b.source, ".go") {
		return fmt.Errorf("the line before it must name a Go file: <!-- example_test.go -->")
	}
	source, err := fs.ReadFile(root, b.source)
	if err != nil {
		return err
	}
	return excerpt(b.lines, strings.Split(string(source), "\n"), isSameCode, isComment)
}

// checkCommands returns an error if the block runs a program that does not exist.
func (b block) checkCommands() error {
	dir := "."
	for _, line := range b.lines {
		if to, ok := strings.CutPrefix(line, "cd "); ok {
			dir = to
		}
		for _, found := range regexp.MustCompile(`go run (\./\S+)`).FindAllStringSubmatch(line, -1) {
			if sources, _ := fs.Glob(root, path.Join(dir, found[1], "*.go")); sources == nil {
				return fmt.Errorf("there is no program %s in %s", found[1], dir)
			}
		}
	}
	return nil
}

// checkOutput returns an error if the block is not what its source outputs.
func (b block) checkOutput(programs *programs) error {
	command, args, _ := strings.Cut(b.source, " ")
	switch {
	case strings.HasSuffix(command, "_test.go"), strings.HasPrefix(command, "Example"):
		output, err := outputOf(b.source)
		if err != nil {
			return err
		}
		return excerpt(b.lines, strings.Split(output, "\n"), isSameCode, isNothing)
	case strings.HasSuffix(b.source, ".golden"):
		golden, err := fs.ReadFile(root, b.source)
		if err != nil {
			return err
		}
		return excerpt(b.lines, strings.Split(string(golden), "\n"), isSameCode, isNothing)
	case strings.HasPrefix(b.source, "go test "): // a benchmark, which takes long
		return nil
	case command == "go", command == "probe", command == "waitfor":
		if !programs.canRun {
			return nil
		}
		output, err := programs.run(command, args)
		if err != nil {
			return err
		}
		lines := b.lines
		if len(lines) > 0 && lines[0] == "$ "+b.source {
			lines = lines[1:]
		}
		if err := excerpt(masked(lines), masked(strings.Split(output, "\n")), isSameCode, isNothing); err != nil {
			return fmt.Errorf("%w\n%.2000s", err, output)
		}
		return nil
	}
	return fmt.Errorf("the line before it must name an Example, a golden file or a command: <!-- ExampleError -->")
}

// outputOf returns what an Example prints: ExampleError, which is in example_test.go, or
// redialprom/example_test.go Example.
func outputOf(source string) (string, error) {
	file, name, ok := strings.Cut(source, " ")
	if !ok {
		file, name = "example_test.go", source
	}
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return "", err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments)
	if err != nil {
		return "", err
	}
	for _, example := range doc.Examples(parsed) {
		if "Example"+example.Name == name {
			return example.Output, nil
		}
	}
	return "", fmt.Errorf("there is no %s", name)
}

// excerpt returns an error if lines are not in source, in this order. Lines in source that may be skipped need not
// be among them.
func excerpt(lines, source []string, same func(line, source string) bool, mayBeSkipped func(string) bool) error {
	at := 0
	for _, chunk := range chunksOf(lines) {
		start, longest := at, 0
		for ; ; start++ {
			if start == len(source) {
				return fmt.Errorf("not in the source: %q", chunk[longest])
			}
			matched, end := 0, start
			for end < len(source) && matched < len(chunk) {
				switch {
				case same(chunk[matched], source[end]):
					matched++
				case strings.TrimSpace(source[end]) == "" || matched > 0 && mayBeSkipped(source[end]):
				default:
					end = len(source)
				}
				end++
			}
			longest = max(longest, min(matched, len(chunk)-1))
			if matched == len(chunk) {
				at = end
				break
			}
		}
	}
	return nil
}

// chunksOf splits lines where others are left out, and drops empty ones.
func chunksOf(lines []string) [][]string {
	chunks := [][]string{nil}
	for _, line := range lines {
		switch strings.TrimSpace(line) {
		case "":
		case "...", "// ...":
			chunks = append(chunks, nil)
		default:
			chunks[len(chunks)-1] = append(chunks[len(chunks)-1], line)
		}
	}
	return slices.DeleteFunc(chunks, func(chunk []string) bool { return len(chunk) == 0 })
}

// isSameCode reports whether two lines are the same but for white space, and for a comment that line leaves out.
func isSameCode(line, source string) bool {
	line, source = strings.Join(strings.Fields(line), " "), strings.Join(strings.Fields(source), " ")
	code, _, _ := strings.Cut(source, " //")
	return line == source || line == code && line != ""
}

func isComment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "//") }
func isNothing(string) bool      { return false }

// masked returns lines without what differs between two runs, such as times and ports. Lines that are then equal become
// one, because the number of attempts differs too.
func masked(lines []string) []string {
	var all []string
	for _, line := range lines {
		for _, mask := range masks {
			line = mask.pattern.ReplaceAllString(line, mask.by)
		}
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return slices.Compact(all)
}

var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\[?::1\]?( and 127\.0\.0\.1)?`), "127.0.0.1"},
	{regexp.MustCompile(`\d+(\.\d+)*`), "0"},
	{regexp.MustCompile(`0(ns|µs|ms|s|m0s)\b`), "0s"},
	{regexp.MustCompile(`attempts\b`), "attempt"},
	{regexp.MustCompile(`addresses\b`), "address"},
	{regexp.MustCompile(`/tmp/\S+`), "/tmp"},
}

// programs are the programs of cmd and examples, which run with servers of the test: in their arguments, nobody listens on
// port 5432, and an HTTP server listens on port 8080.
type programs struct {
	dir           string
	refused, http string   // ports
	canRun        bool     // on Linux only, because explanations name the commands of the system
	outputs       sync.Map // from a command line to what returns its output: each runs once
}

func newPrograms(t *testing.T) *programs {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	_, refused, _ := strings.Cut(testutil.RefusingAddress(t, "tcp"), ":")
	p := &programs{dir: t.TempDir(), refused: refused, http: server.Listener.Addr().String()}
	p.http = p.http[strings.LastIndex(p.http, ":")+1:]
	_, err := exec.LookPath("go")
	p.canRun = err == nil && runtime.GOOS == "linux" && !testutil.Emulated()
	return p
}

// run returns what a command writes, to standard output and to standard error.
func (p *programs) run(command, args string) (string, error) {
	once, _ := p.outputs.LoadOrStore(command+" "+args, sync.OnceValues(func() (string, error) { return p.output(command, args) }))
	return once.(func() (string, error))()
}

func (p *programs) output(command, args string) (string, error) {
	args = strings.NewReplacer(":5432", ":"+p.refused, ":8080", ":"+p.http).Replace(args)
	if command != "go" {
		binary := filepath.Join(p.dir, command+".exe")
		build := exec.Command("go", "build", "-o", binary, "./cmd/"+command)
		build.Dir = rootDir
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		command = binary
	}
	cmd := exec.Command(command, strings.Fields(args)...)
	cmd.Dir = rootDir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }).Stop()
	cmd.Wait() // a failure is what some pages show
	return out.String(), nil
}

// The output of a program is compared without what differs between two runs.
func TestOutputIsComparedWithoutTimes(t *testing.T) {
	t.Parallel()
	inClone(t)
	programs := newPrograms(t)
	if !programs.canRun {
		t.Skip("no go command, not Linux, or emulated")
	}
	const output = "$ probe localhost:5432\ntcp localhost:5432\n  localhost: 1 address tried  resolved     179µs\n...\nerror: dial tcp 127.0.0.1:5432: connect: connection refused\n"
	page := "<!-- probe localhost:5432 -->\n```text\n" + output + "```\n"
	assert.Empty(t, readPage("page.md", page).complaints(programs))
	complaints := readPage("page.md", strings.ReplaceAll(page, "refused", "accepted")).complaints(programs)
	require.Len(t, complaints, 1)
	assert.Contains(t, complaints[0], "accepted")
}

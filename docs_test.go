package redial_test

import (
	"bytes"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
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
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-33f8b841/redial/internal/testutil"
)

// TestDocs keeps the documentation true. Of each page it checks that
//
//   - each go block is an excerpt of a Go file of this repository. A comment right before the block names the file:
//     <!-- example_test.go -->
//   - each text block is real output. The comment names an Example, a golden file that a test compares, or a command of
//     examples, which the test runs: <!-- ExampleError -->, <!-- dialtest/example_test.go ExampleScript_logs -->,
//     <!-- explain/testdata/unknown.golden -->, <!-- go run ./examples/quickstart -->, <!-- probe localhost:5432 -->. Benchmarks
//     (<!-- go test -bench Dial . -->) are not run
//   - each relative link leads somewhere, and its anchor to a heading
//   - each go run command in a sh block names a program that exists
//   - it has no more words than a person reads, and a table of contents if it has more than three sections.
//
// In an excerpt, a line "..." or "// ..." stands for lines that are left out.
func TestDocs(t *testing.T) {
	inClone(t)
	programs := newPrograms(t)
	for _, name := range docPages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, complaint := range readPage(name, string(text)).complaints(programs) {
				t.Error(complaint)
			}
		})
	}
}

// inClone skips t if it does not run in a clone of the repository.
func inClone(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("examples/integrations/go.mod"); err != nil {
		t.Skip("the nested modules are not here")
	}
}

// docPages returns the pages that TestDocs checks.
func docPages(t *testing.T) []string {
	pages := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "redialprom/README.md", "redialotel/README.md"}
	more, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, name := range more {
		pages = append(pages, filepath.ToSlash(name))
	}
	require.NoError(t, filepath.WalkDir("examples", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "README.md" {
			pages = append(pages, filepath.ToSlash(name))
		}
		return err
	}))
	pages = slices.DeleteFunc(pages, func(name string) bool {
		_, err := os.Stat(name)
		return err != nil
	})
	require.Greater(t, len(pages), 15)
	return pages
}

// mostWords is how long a page may be, without its code.
func mostWords(page string) int {
	if page == "README.md" {
		return 900
	}
	return 800
}

// A page is a Markdown file, in its parts.
type page struct {
	name     string // with slashes, from the root of the repository
	prose    []string
	blocks   []block
	headings []heading
	toc      []string // the anchors that lists before the first section link to
}

// A block is fenced code.
type block struct {
	line     int // of its fence
	language string
	source   string // what the comment right before it says
	lines    []string
}

type heading struct {
	level  int
	anchor string
}

var (
	fencePattern   = regexp.MustCompile("^ *```(.*)$")
	commentPattern = regexp.MustCompile(`^<!-- (.*) -->$`)
	headingPattern = regexp.MustCompile(`^(#+) (.*)$`)
	linkPattern    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codePattern    = regexp.MustCompile("`[^`]*`")
	tocPattern     = regexp.MustCompile(`^ *- \[.*\]\(#([^)]+)\)`)
)

func readPage(name, text string) *page {
	p := &page{name: name}
	var inside *block
	comment, sections := "", 0
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r", ""), "\n") {
		fence := fencePattern.FindStringSubmatch(line)
		switch {
		case inside != nil && fence != nil:
			p.blocks = append(p.blocks, *inside)
			inside = nil
		case inside != nil:
			inside.lines = append(inside.lines, line)
			continue
		case fence != nil:
			inside = &block{line: i + 1, language: fence[1], source: comment}
		default:
			if found := commentPattern.FindStringSubmatch(line); found != nil {
				comment = found[1]
				continue
			}
			if found := headingPattern.FindStringSubmatch(line); found != nil {
				p.headings = append(p.headings, heading{len(found[1]), p.anchorOf(found[2])})
				if len(found[1]) == 2 {
					sections++
				}
			}
			if found := tocPattern.FindStringSubmatch(line); found != nil && sections == 0 {
				p.toc = append(p.toc, found[1])
			}
			p.prose = append(p.prose, line)
		}
		comment = ""
	}
	return p
}

// anchorOf returns the anchor that GitHub gives to a heading.
func (p *page) anchorOf(title string) string {
	title = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(title, "$1")
	anchor := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, title)
	for n, unique := 1, anchor; ; n++ {
		if !slices.ContainsFunc(p.headings, func(h heading) bool { return h.anchor == unique }) {
			return unique
		}
		unique = fmt.Sprintf("%s-%d", anchor, n)
	}
}

// complaints returns what is wrong with p.
func (p *page) complaints(programs *programs) []string {
	var all []string
	complain := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if words := p.words(); words > mostWords(p.name) {
		complain("%d words, more than %d", words, mostWords(p.name))
	}
	var sections []string
	for _, h := range p.headings {
		if h.level == 2 {
			sections = append(sections, h.anchor)
		}
	}
	if len(sections) > 3 && p.name != "README.md" && !slices.Equal(sections, p.toc) { // README's first screen has better uses
		complain("the table of contents has %q, but the sections are %q", p.toc, sections)
	}
	for _, line := range p.prose {
		for _, link := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(line, "code"), -1) {
			if err := p.follow(link[1]); err != nil {
				complain("link %s: %v", link[1], err)
			}
		}
	}
	for _, b := range p.blocks {
		if err := b.check(programs); err != nil {
			complain("the block at line %d: %v", b.line, err)
		}
	}
	return all
}

// words counts what "wc -w" counts, without code, comments and the lines of tables.
func (p *page) words() (n int) {
	for _, line := range p.prose {
		for _, field := range strings.Fields(line) {
			if strings.ContainsFunc(field, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
				n++
			}
		}
	}
	return n
}

// follow returns an error if a link leads nowhere. It does not follow links to other sites.
func (p *page) follow(link string) error {
	if u, err := url.Parse(link); err != nil || u.Scheme != "" {
		return err
	}
	file, anchor, _ := strings.Cut(link, "#")
	headings := p.headings
	if file != "" {
		name := path.Join(path.Dir(p.name), file)
		if _, err := os.Stat(name); err != nil {
			return err
		}
		if anchor == "" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		headings = readPage(name, string(text)).headings
	}
	if !slices.ContainsFunc(headings, func(h heading) bool { return h.anchor == anchor }) {
		return fmt.Errorf("no such heading")
	}
	return nil
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
	source, err := os.ReadFile(b.source)
	if err != nil {
		return err
	}
	if regexp.MustCompile(`(?m)^//go:build .*ignore`).Match(source) {
		return fmt.Errorf("%s is not compiled", b.source)
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
			if sources, _ := filepath.Glob(filepath.Join(dir, found[1], "*.go")); sources == nil {
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
		golden, err := os.ReadFile(b.source)
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
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
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

// programs are the programs of examples, which run with servers of the test: in their arguments, nobody listens on port
// 5432, and an HTTP server listens on port 8080.
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
		if out, err := exec.Command("go", "build", "-o", binary, "./examples/"+command).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w\n%s", err, out)
		}
		command = binary
	}
	cmd := exec.Command(command, strings.Fields(args)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }).Stop()
	cmd.Wait() // a failure is what some pages show
	return out.String(), nil
}

// What TestDocs checks is of use only if it can fail.
func TestDocsComplaints(t *testing.T) {
	inClone(t)
	dir := t.TempDir()
	ignored := filepath.Join(dir, "ignored.go")
	require.NoError(t, os.WriteFile(ignored, []byte("//go:build ignore\n\npackage main\n"), 0o600))
	const doLine = "	session, err := redial.Do(context.Background(), d, \"tcp\", \"db.example:5432\", func(ctx context.Context) (string, error) {\n"
	goBlock := func(source, code string) string {
		return "<!-- " + source + " -->\n```go\n" + code + "\n```\n"
	}
	for name, test := range map[string]struct{ text, complaint string }{
		"good":                    {goBlock("example_test.go", "handshakes := 0\n"+doLine+"// ...\nreturn \"ready\", nil"), ""},
		"code that nobody has":    {goBlock("example_test.go", "handshakes := 1"), "not in the source"},
		"code in another order":   {goBlock("example_test.go", doLine+"...\nhandshakes := 0"), "not in the source"},
		"lines left out silently": {goBlock("example_test.go", doLine+"return \"ready\", nil"), "not in the source"},
		"code without a source":   {"```go\nx := 1\n```\n", "must name a Go file"},
		"no such file":            {goBlock("no_example_test.go", "x := 1"), "no_example_test.go"},
		"not compiled":            {goBlock(ignored, "package main"), "not compiled"},
		"no language":             {"```\nhello\n```\n", "no language"},
		"an Example's output":     {"<!-- ExampleDo -->\n```text\nready after 3 handshakes: <nil>\n```\n", ""},
		"another output":          {"<!-- ExampleDo -->\n```text\nready after 4 handshakes: <nil>\n```\n", "not in the source"},
		"no such Example":         {"<!-- ExampleNone -->\n```text\nhello\n```\n", "there is no ExampleNone"},
		"a golden file":           {"<!-- explain/testdata/unknown.golden -->\n```text\n...\n  - Does a proxy or a tunnel lead there? Its log says more. A proxy's refusal comes as its text only.\n```\n", ""},
		"another text":            {"<!-- explain/testdata/unknown.golden -->\n```text\nIt works.\n```\n", "not in the source"},
		"output without a source": {"```text\nhello\n```\n", "must name an Example"},
		"no such program":         {"```sh\ngo run ./examples/none\n```\n", "no program"},
		"a program":               {"```sh\ncd examples/integrations\ngo run ./pgx\n```\n", ""},
		"links":                   {"# A B_c: `d`!\n\n[a](#a-b_c-d) [b](docs/gate.md) [c](docs/gate.md#how-the-pace-is-set) `[d](none)` [e](https://none.example/)\n", ""},
		"a dead link":             {"[a](docs/none.md)\n", "docs/none.md"},
		"a dead anchor":           {"[a](docs/gate.md#none)\n", "no such heading"},
		"an anchor of this page":  {"# A\n\n[a](#b)\n", "no such heading"},
		"too long":                {strings.Repeat("word ", 801), "801 words"},
		"long code":               {"<!-- example_test.go -->\n```yaml\n" + strings.Repeat("word ", 900) + "\n```\n" + strings.Repeat("word | ", 800), ""},
		"a table of contents":     {"- [A](#a)\n- [B](#b)\n- [C](#c)\n- [D](#d)\n\n## A\n\n## B\n\n## C\n\n## D\n", ""},
		"none":                    {"## A\n\n## B\n\n## C\n\n## D\n", "table of contents"},
		"without a section":       {"- [A](#a)\n- [B](#b)\n- [D](#d)\n\n## A\n\n## B\n\n## C\n\n## D\n", "table of contents"},
	} {
		t.Run(name, func(t *testing.T) {
			complaints := readPage("page.md", test.text).complaints(nil)
			if test.complaint == "" {
				assert.Empty(t, complaints)
				return
			}
			require.Len(t, complaints, 1)
			assert.Contains(t, complaints[0], test.complaint)
		})
	}
}

// The output of a program is compared without what differs between two runs.
func TestDocsOutput(t *testing.T) {
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

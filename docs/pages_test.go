package docs_test

// The tests of the pages: their links, their length, and their code, which blocks_test.go checks.

import (
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain runs more tests in parallel than there are cores, because programs that pages show wait. The command line overrides
// the number.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// root is the repository, which has the pages and the sources of their code.
const rootDir = ".."

var root = os.DirFS(rootDir)

// TestPagesMatchTheCode keeps the documentation true. Of each page it checks that
//
//   - each go block is an excerpt of a Go file of this repository. A comment right before the block names the file:
//     <!-- example_test.go -->
//   - each text block is real output. The comment names an Example, a golden file that a test compares, or a command of
//     cmd or examples, which the test runs: <!-- ExampleError -->, <!-- dialtest/example_test.go ExampleScript_logs -->,
//     <!-- explain/testdata/unknown.not-a-dial.golden -->, <!-- go run ./examples/quickstart -->, <!-- probe localhost:5432 -->. Benchmarks
//     (<!-- go test -bench Dial . -->) are not run
//   - each relative link leads somewhere, and its anchor to a heading
//   - each go run command in a sh block names a program that exists
//   - it has no more words than a person reads, and a table of contents if it has more than three sections.
//
// In an excerpt, a line "..." or "// ..." stands for lines that are left out.
func TestPagesMatchTheCode(t *testing.T) {
	inClone(t)
	programs := newPrograms(t)
	for _, name := range docPages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := fs.ReadFile(root, name)
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
	if _, err := fs.Stat(root, "examples/integrations/go.mod"); err != nil {
		t.Skip("the nested modules are not here")
	}
}

// docPages returns the pages that TestPagesMatchTheCode checks.
func docPages(t *testing.T) []string {
	pages := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "redialprom/README.md", "redialotel/README.md"}
	more, err := fs.Glob(root, "docs/*.md")
	require.NoError(t, err)
	pages = append(pages, more...)
	require.NoError(t, fs.WalkDir(root, "examples", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "README.md" {
			pages = append(pages, name)
		}
		return err
	}))
	pages = slices.DeleteFunc(pages, func(name string) bool {
		_, err := fs.Stat(root, name)
		return err != nil
	})
	require.Greater(t, len(pages), 15)
	return pages
}

// mostWords is how long a page may be, without its code.
func mostWords(page string) int {
	if page == "README.md" || page == "docs/recipes.md" {
		return 900
	}
	return 800
}

// TestDocsAreShort keeps down the time that it takes to read the README, and to read all pages of docs. It counts what "wc -w" counts,
// code and tables included.
func TestDocsAreShort(t *testing.T) {
	inClone(t)
	words := func(pattern string) (n int) {
		pages, err := fs.Glob(root, pattern)
		require.NoError(t, err)
		for _, name := range pages {
			text, err := fs.ReadFile(root, name)
			require.NoError(t, err)
			n += len(strings.Fields(string(text)))
		}
		return n
	}
	for pattern, most := range map[string]int{"README.md": 900, "docs/*.md": 9500} {
		if n := words(pattern); n > most {
			t.Errorf("%s: %d words, more than %d", pattern, n, most)
		}
		assert.Greater(t, words(pattern), most/2)
	}
}

// A page is a Markdown file, in its parts.
type page struct {
	name     string // in root
	prose    []string
	blocks   []block
	headings []heading
	toc      []string // the anchors that lists before the first section link to
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
		if strings.HasPrefix(line, "|") {
			continue
		}
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
		if _, err := fs.Stat(root, name); err != nil {
			return err
		}
		if anchor == "" {
			return nil
		}
		text, err := fs.ReadFile(root, name)
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

// pageTests has a page for each complaint, and pages without one.
var pageTests = map[string]struct{ text, complaint string }{
	"good":                    {goBlock("example_test.go", "handshakes := 0\n"+doLine+"// ...\nreturn \"ready\", nil"), ""},
	"code that nobody has":    {goBlock("example_test.go", "handshakes := 1"), "not in the source"},
	"code in another order":   {goBlock("example_test.go", doLine+"...\nhandshakes := 0"), "not in the source"},
	"lines left out silently": {goBlock("example_test.go", doLine+"return \"ready\", nil"), "not in the source"},
	"code without a source":   {"```go\nx := 1\n```\n", "must name a Go file"},
	"no such file":            {goBlock("no_example_test.go", "x := 1"), "no_example_test.go"},
	"no language":             {"```\nhello\n```\n", "no language"},
	"an Example's output":     {"<!-- ExampleDo -->\n```text\nready after 3 handshakes: <nil>\n```\n", ""},
	"another output":          {"<!-- ExampleDo -->\n```text\nready after 4 handshakes: <nil>\n```\n", "not in the source"},
	"no such Example":         {"<!-- ExampleNone -->\n```text\nhello\n```\n", "there is no ExampleNone"},
	"a golden file":           {"<!-- explain/testdata/unknown.not-a-dial.golden -->\n```text\n...\n  - Does a proxy or a tunnel lead there? Its log says more. A proxy's refusal comes as its text only.\n```\n", ""},
	"another text":            {"<!-- explain/testdata/unknown.not-a-dial.golden -->\n```text\nIt works.\n```\n", "not in the source"},
	"output without a source": {"```text\nhello\n```\n", "must name an Example"},
	"no such program":         {"```sh\ngo run ./examples/none\n```\n", "no program"},
	"a program":               {"```sh\ncd examples/integrations\ngo run ./pgx\n```\n", ""},
	"links":                   {"# A B_c: `d`!\n\n[a](#a-b_c-d) [b](docs/gate.md) [c](docs/gate.md#how-dials-share) `[d](none)` [e](https://none.example/)\n", ""},
	"a dead link":             {"[a](docs/none.md)\n", "docs/none.md"},
	"a dead anchor":           {"[a](docs/gate.md#none)\n", "no such heading"},
	"an anchor of this page":  {"# A\n\n[a](#b)\n", "no such heading"},
	"too long":                {strings.Repeat("word ", 801), "801 words"},
	"long code":               {"<!-- example_test.go -->\n```yaml\n" + strings.Repeat("word ", 900) + "\n```\n" + strings.Repeat("word | ", 800), ""},
	"a table of contents":     {"- [A](#a)\n- [B](#b)\n- [C](#c)\n- [D](#d)\n\n## A\n\n## B\n\n## C\n\n## D\n", ""},
	"none":                    {"## A\n\n## B\n\n## C\n\n## D\n", "table of contents"},
	"without a section":       {"- [A](#a)\n- [B](#b)\n- [D](#d)\n\n## A\n\n## B\n\n## C\n\n## D\n", "table of contents"},
}

const doLine = "	session, err := redial.Do(context.Background(), d, \"tcp\", \"db.example:5432\", func(ctx context.Context) (string, error) {\n"

func goBlock(source, code string) string {
	return "<!-- " + source + " -->\n```go\n" + code + "\n```\n"
}

// What TestPagesMatchTheCode checks is of use only if it can fail.
func TestComplaintsAboutPages(t *testing.T) {
	inClone(t)
	for name, test := range pageTests {
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

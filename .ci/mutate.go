//go:build ignore

// Mutate breaks the root package in many small ways, one at a time, and prints the ways that no test notices:
//
//	go run .ci/mutate.go                       # all files, about half an hour on two cores
//	go run .ci/mutate.go -files gate.go,race.go
//	go run .ci/mutate.go -sample 100 -seed 7
//	go run .ci/mutate.go -again                # only what survived the last run
//
// Each way is a mutant. All mutants are built into one test binary: a function or package variable with mutants gets a copy for
// each of them, and $REDIAL_MUTANT says which copy counts. Only mutants of constants are built one by one. A
// mutant meets only those tests that reach its line: the package's own, and if it survives these, those of systest. It is
// killed if one of them fails, or does not end. Run it as root, because most of systest needs root.
//
// Survivors are printed as entries for .ci/mutate-equivalent.txt. Put a survivor there, with a reason, only if it changes nothing
// that a user could notice. Mutate exits with 1 if less than 95 % of the others are killed.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	least   = 95 // percent
	workers = 2
	quick   = 60 * time.Millisecond // tests that take no longer are run before the others

	equivalents = ".ci/mutate-equivalent.txt"
)

// A mutant replaces the source between two offsets of a file.
type mutant struct {
	id         int // from 1
	file       string
	of         ast.Node // the function, variable or constant: *ast.FuncDecl or *ast.ValueSpec
	isConst    bool
	start, end int
	with       string
	line       int
	reached    int    // the line that a test must run to meet the mutant
	key        string // the file, the function and the changed lines: what equivalents are known by
}

var (
	files  = flag.String("files", "", "the files to mutate, separated by commas; empty means all")
	match  = flag.String("match", "", "try only mutants whose file, function or lines match this regular expression")
	sample = flag.Int("sample", 0, "try only so many mutants, drawn at random; 0 means all")
	seed   = flag.Uint64("seed", 1, "of the sample")
	again  = flag.Bool("again", false, "try only the survivors of the last run")
	list   = flag.Bool("list", false, "print the mutants and exit")
)

func main() {
	flag.Parse()
	cache := filepath.Join(try(os.UserCacheDir()), "redial-mutate")
	check(os.MkdirAll(cache, 0o755))
	last := filepath.Join(cache, "survivors.txt")
	p := load()
	mutants, sources := p.mutants()
	total := tallies{}
	todo := choose(setEquivalentsAside(mutants, total), last)
	if *list {
		for _, m := range todo {
			fmt.Println(m)
		}
		fmt.Println(len(todo), "mutants")
		return
	}
	work := try(os.MkdirTemp("", "redial-mutate"))
	suites := []*suite{{dir: "."}, {dir: "systest"}}
	for _, s := range suites {
		s.prepare(cache, work, sources)
	}
	survivors := meetAll(todo, total, func(m *mutant) outcome { return p.meet(m, suites, work) })
	check(os.RemoveAll(work))
	check(os.WriteFile(last, []byte(strings.Join(survivors, "\n\n")), 0o644))
	if !total.report() {
		os.Exit(1)
	}
}

// String returns m as an entry for the file of equivalents, without a reason.
func (m *mutant) String() string { return fmt.Sprintf("# %s:%d\n%s\n", m.file, m.line, m.key) }

// mutants returns the mutants that compile, and the source of each file with all of them.
func (p *pkg) mutants() ([]*mutant, map[string]string) {
	var mutants []*mutant
	for _, name := range p.names {
		if *files == "" || slices.Contains(strings.Split(*files, ","), name) {
			mutants = append(mutants, p.mutantsOf(name)...)
		}
	}
	seen := map[string]int{}
	for i, m := range mutants {
		m.id = i + 1
		key := m.key
		if seen[key]++; seen[key] > 1 { // a function may have equal lines
			head, lines, _ := strings.Cut(key, "\n")
			m.key = fmt.Sprintf("%s (%d)\n%s", head, seen[key], lines)
		}
	}
	mutants = p.compiling(p.instrument(mutants), mutants)
	return mutants, p.instrument(mutants)
}

// setEquivalentsAside counts the mutants that are known to be equivalent, and returns the others.
func setEquivalentsAside(mutants []*mutant, total tallies) (others []*mutant) {
	reasons := readEquivalents()
	for _, m := range mutants {
		if reasons[m.key] != "" {
			total.of(m).equivalent++
			delete(reasons, m.key)
		} else {
			others = append(others, m)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(reasons)) {
		if *files == "" {
			fmt.Printf("%s has an entry that fits no mutant:\n%s\n\n", equivalents, key)
		}
	}
	return others
}

// choose returns the mutants that the flags ask for. The survivors of the last run are in the file last.
func choose(mutants []*mutant, last string) []*mutant {
	if *again {
		survivors := strings.Split(string(try(os.ReadFile(last))), "\n\n")
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !slices.Contains(survivors, m.key) })
	}
	pattern := regexp.MustCompile(*match)
	mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !pattern.MatchString(m.key) })
	if *sample > 0 && *sample < len(mutants) {
		r := rand.New(rand.NewPCG(*seed, 0))
		r.Shuffle(len(mutants), func(i, j int) { mutants[i], mutants[j] = mutants[j], mutants[i] })
		mutants = mutants[:*sample]
	}
	return mutants
}

// meetAll lets the tests meet each mutant. It prints those that survive, and returns their keys.
func meetAll(todo []*mutant, total tallies, meet func(*mutant) outcome) (survivors []string) {
	var mu sync.Mutex // guards survivors and total
	var wait sync.WaitGroup
	queue := make(chan *mutant)
	for range workers {
		wait.Go(func() {
			for m := range queue {
				result := meet(m)
				mu.Lock()
				switch t := total.of(m); result {
				case killed:
					t.killed++
				case timedOut:
					t.killed++
					t.timedOut++
				case survived:
					t.survived++
					survivors = append(survivors, m.key)
					fmt.Println(m)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range todo {
		queue <- m
	}
	close(queue)
	wait.Wait()
	return survivors
}

type tally struct{ killed, timedOut, survived, equivalent int }

// tallies are the results of each file.
type tallies map[string]*tally

func (ts tallies) of(m *mutant) *tally {
	if ts[m.file] == nil {
		ts[m.file] = new(tally)
	}
	return ts[m.file]
}

// report prints the results, and reports whether enough mutants were killed.
func (ts tallies) report() bool {
	sum := new(tally)
	for _, t := range ts {
		sum.killed, sum.timedOut = sum.killed+t.killed, sum.timedOut+t.timedOut
		sum.survived, sum.equivalent = sum.survived+t.survived, sum.equivalent+t.equivalent
	}
	percent := func(t *tally) float64 { return 100 * float64(t.killed) / float64(max(t.killed+t.survived, 1)) }
	fmt.Printf("%-18s %6s %9s %8s %10s\n", "", "killed", "(by time)", "survived", "equivalent")
	for _, file := range append(slices.Sorted(maps.Keys(ts)), "all") {
		t := ts[file]
		if file == "all" {
			t = sum
		}
		fmt.Printf("%-18s %6d %9d %8d %10d %6.1f %%\n", file, t.killed, t.timedOut, t.survived, t.equivalent, percent(t))
	}
	return percent(sum) >= least
}

// readEquivalents returns the reasons of the mutants that a human has judged equivalent.
func readEquivalents() map[string]string {
	reasons := map[string]string{}
	text, err := os.ReadFile(equivalents)
	if errors.Is(err, os.ErrNotExist) {
		return reasons
	}
	check(err)
	for _, entry := range strings.Split(string(text), "\n\n") {
		var key []string
		reason := ""
		for _, line := range strings.Split(strings.TrimSpace(entry), "\n") {
			switch {
			case strings.HasPrefix(line, "# "):
			case strings.HasPrefix(line, "= "):
				reason = line[2:]
			default:
				key = append(key, line)
			}
		}
		if len(key) > 0 && reason == "" {
			fatal("%s: an entry without a reason:\n%s", equivalents, entry)
		}
		reasons[strings.Join(key, "\n")] = reason
	}
	delete(reasons, "")
	return reasons
}

// The package under test.

type pkg struct {
	fset   *token.FileSet
	path   string
	names  []string // of the files that are not tests
	source map[string]string
	syntax map[string]*ast.File
	info   types.Info
	types  *types.Package
	config types.Config
}

func load() *pkg {
	var listed struct {
		ImportPath string
		GoFiles    []string
	}
	check(json.Unmarshal(command(".", "go", "list", "-json", "."), &listed))
	p := &pkg{fset: token.NewFileSet(), path: listed.ImportPath, names: listed.GoFiles, source: map[string]string{}, syntax: map[string]*ast.File{}}
	for _, name := range p.names {
		p.source[name] = string(try(os.ReadFile(name)))
		p.syntax[name] = try(parser.ParseFile(p.fset, name, p.source[name], parser.SkipObjectResolution))
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(command(".", "go", "list", "-deps", "-export", "-f", "{{.ImportPath}} {{.Export}}", "."))) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[path] = file
	}
	p.config.Importer = importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	p.info = types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	p.types = try(p.config.Check(p.path, p.fset, slices.Collect(maps.Values(p.syntax)), &p.info))
	return p
}

func (p *pkg) offset(pos token.Pos) int { return p.fset.Position(pos).Offset }

func (p *pkg) textOf(file string, n ast.Node) string {
	return p.source[file][p.offset(n.Pos()):p.offset(n.End())]
}

// A finder finds the mutants of a file.
type finder struct {
	*pkg
	file    string
	of      ast.Node
	isConst bool
	name    string // of the function, variable or constant
	found   []*mutant
	taken   map[string]bool
	cases   map[ast.Expr]int // the line of the switch around a case's expression, because a coverage profile does not have the expressions
}

func (p *pkg) mutantsOf(file string) []*mutant {
	f := &finder{pkg: p, file: file, taken: map[string]bool{}, cases: map[ast.Expr]int{}}
	for _, decl := range p.syntax[file].Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			f.of, f.isConst, f.name = d, false, d.Name.Name
			if d.Recv != nil {
				f.name = strings.Trim(p.textOf(file, d.Recv.List[0].Type), "*") + "." + f.name
			}
			f.walk(d.Body)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && len(v.Values) == 1 {
					f.of, f.isConst, f.name = v, d.Tok == token.CONST, v.Names[0].Name
					f.walk(v)
				}
			}
		}
	}
	return f.found
}

// replace adds the mutant that replaces the source from start to end.
func (f *finder) replace(start, end token.Pos, with string) {
	m := &mutant{file: f.file, of: f.of, isConst: f.isConst, start: f.offset(start), end: f.offset(end), with: with, line: f.fset.Position(start).Line}
	m.reached = m.line
	for e, line := range f.cases {
		if e.Pos() <= start && start < e.End() {
			m.reached = line
		}
	}
	source := f.source[f.file]
	first := strings.LastIndex(source[:m.start], "\n") + 1
	last := m.end + strings.Index(source[m.end:], "\n")
	old, mutated := source[first:last], source[first:m.start]+with+source[m.end:last]
	if old == mutated {
		return
	}
	m.key = f.file + " " + f.name + "\n" + strings.Join(slices.Concat(marked("- ", old), marked("+ ", mutated)), "\n")
	if at := fmt.Sprint(m.start, m.end, with); !f.taken[at] {
		f.taken[at] = true
		f.found = append(f.found, m)
	}
}

func marked(mark, text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, mark+line)
		}
	}
	return lines
}

func (f *finder) swap(n ast.Node, with string) { f.replace(n.Pos(), n.End(), with) }
func (f *finder) drop(n ast.Node)              { f.swap(n, "") }
func (f *finder) text(n ast.Node) string       { return f.textOf(f.file, n) }

// walk finds the mutants in n.
func (f *finder) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SwitchStmt:
			f.noteCases(n, n.Body)
		case *ast.TypeSwitchStmt:
			f.noteCases(n, n.Body)
		case *ast.BlockStmt:
			f.statements(n.List)
		case *ast.CaseClause:
			f.statements(n.Body)
			f.drop(n)
			for i, e := range n.List {
				f.element(n.List, i)
				if f.isBool(e) {
					f.condition(e)
				}
			}
		case *ast.CommClause:
			f.statements(n.Body)
			f.drop(n)
		case *ast.IfStmt:
			f.condition(n.Cond)
			if n.Init != nil {
				f.statements([]ast.Stmt{n.Init})
			}
			if n.Else != nil {
				f.replace(n.Body.End(), n.Else.End(), "")
			}
		case *ast.ForStmt:
			if n.Cond != nil {
				f.swap(n.Cond, "false")
			}
		case *ast.ReturnStmt:
			for _, e := range n.Results {
				f.result(e)
			}
		case *ast.BinaryExpr:
			f.binary(n)
		case *ast.UnaryExpr:
			if n.Op == token.NOT || n.Op == token.SUB {
				f.swap(n, f.text(n.X))
			}
		case *ast.IncDecStmt:
			f.replace(n.TokPos, n.End(), map[token.Token]string{token.INC: "--", token.DEC: "++"}[n.Tok])
		case *ast.CallExpr:
			f.call(n)
		case *ast.CompositeLit:
			for i := range n.Elts {
				f.element(n.Elts, i)
			}
		case *ast.BasicLit:
			f.number(n)
		case *ast.Ident:
			if other, ok := map[string]string{"true": "false", "false": "true"}[n.Name]; ok && f.isBool(n) {
				f.swap(n, other)
			}
		case *ast.SelectorExpr:
			if tv := f.info.Types[n]; tv.Value != nil && tv.Type.String() == "time.Duration" {
				f.swap(n, "(2*"+f.text(n)+")")
			}
		}
		return true
	})
}

func (f *finder) noteCases(n ast.Stmt, body *ast.BlockStmt) {
	for _, clause := range body.List {
		for _, e := range clause.(*ast.CaseClause).List {
			f.cases[e] = f.fset.Position(n.Pos()).Line
		}
	}
}

func (f *finder) isBool(e ast.Expr) bool {
	t := f.info.Types[e].Type
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsBoolean != 0
}

// condition replaces a condition by false and by true. If the condition is built with && or ||, it leaves one of the two
// out, because a test that notices a missing operand notices that one as well.
func (f *finder) condition(e ast.Expr) {
	b, _ := e.(*ast.BinaryExpr)
	if b == nil || b.Op != token.LOR {
		f.swap(e, "false")
	}
	if b == nil || b.Op != token.LAND {
		f.swap(e, "true")
	}
}

// statements deletes each of the statements, and each part of an assignment of several values.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.SendStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.BranchStmt:
			f.drop(s)
		case *ast.ReturnStmt:
			if s.Results == nil {
				f.drop(s)
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
			f.drop(s)
			if other, ok := map[token.Token]string{token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+="}[s.Tok]; ok {
				f.replace(s.TokPos, s.Rhs[0].Pos(), other)
			}
			for i := range s.Lhs {
				if len(s.Lhs) == len(s.Rhs) && len(s.Lhs) > 1 {
					f.swap(s, f.without(s.Lhs, i)+" = "+f.without(s.Rhs, i))
				}
			}
		}
	}
}

// without returns the source of a list without its i-th element.
func (f *finder) without(list []ast.Expr, i int) string {
	var rest []string
	for j, e := range list {
		if j != i {
			rest = append(rest, f.text(e))
		}
	}
	return strings.Join(rest, ", ")
}

// element deletes the i-th element of a list, and a comma beside it.
func (f *finder) element(list []ast.Expr, i int) {
	switch {
	case i+1 < len(list):
		f.replace(list[i].Pos(), list[i+1].Pos(), "")
	case i > 0:
		f.replace(list[i-1].End(), list[i].End(), "")
	}
}

// result replaces a returned value by the zero value, or by true and false.
func (f *finder) result(e ast.Expr) {
	t := f.info.Types[e]
	if c, ok := e.(*ast.CompositeLit); ok && len(c.Elts) == 0 {
		return
	}
	if t.Type == nil || t.IsNil() || t.Value != nil && (t.Value.ExactString() == "0" || t.Value.ExactString() == `""`) {
		return
	}
	if f.isBool(e) {
		f.condition(e)
		return
	}
	switch u := t.Type.Underlying().(type) {
	case *types.Tuple:
	case *types.Basic:
		zero := "0"
		if u.Info()&types.IsString != 0 {
			zero = `""`
		}
		f.swap(e, zero)
	case *types.Struct, *types.Array:
		f.swap(e, "*new("+types.TypeString(t.Type, types.RelativeTo(f.types))+")")
	default:
		f.swap(e, "nil")
	}
}

// && and || are not here, because binary leaves out one operand instead, which tells more.
var otherOperator = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==",
	token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">",
	token.ADD: "-", token.SUB: "+", token.MUL: "/", token.QUO: "*", token.SHL: ">>",
}

func (f *finder) binary(n *ast.BinaryExpr) {
	if other := otherOperator[n.Op]; other != "" && f.info.Types[n].Value == nil {
		f.replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), other)
	}
	if n.Op == token.LAND || n.Op == token.LOR {
		f.swap(n, f.text(n.X))
		f.swap(n, f.text(n.Y))
	}
}

// call swaps min and max, Before and After, and neighboring arguments of one type.
func (f *finder) call(n *ast.CallExpr) {
	others := map[string]string{"min": "max", "max": "min", "Before": "After", "After": "Before"}
	name, _ := n.Fun.(*ast.Ident)
	if s, ok := n.Fun.(*ast.SelectorExpr); ok {
		name = s.Sel
	}
	if name != nil && others[name.Name] != "" {
		f.swap(name, others[name.Name])
		return
	}
	if name != nil && slices.Contains([]string{"latest", "soonest", "ContainsAny"}, name.Name) {
		return // they do not mind
	}
	for i := 1; i < len(n.Args); i++ {
		a, b := n.Args[i-1], n.Args[i]
		if ta, tb := f.info.Types[a].Type, f.info.Types[b].Type; ta != nil && tb != nil && types.Identical(ta, tb) {
			f.replace(a.Pos(), b.End(), f.text(b)+", "+f.text(a))
		}
	}
}

// number adds one to a constant, or doubles it if it is a duration or a fraction.
func (f *finder) number(n *ast.BasicLit) {
	switch t := f.info.Types[n].Type; {
	case n.Kind == token.FLOAT || n.Kind == token.INT && t != nil && t.String() == "time.Duration" && n.Value != "0":
		f.swap(n, "(2*"+n.Value+")")
	case n.Kind == token.INT:
		f.swap(n, "("+n.Value+"+1)")
	}
}

// instrument returns the files with a copy of each function and variable for each of its mutants.
func (p *pkg) instrument(mutants []*mutant) map[string]string {
	of := map[ast.Node][]*mutant{}
	for _, m := range mutants {
		if !m.isConst {
			of[m.of] = append(of[m.of], m)
		}
	}
	sources := map[string]string{}
	for file, source := range p.source {
		var nodes []ast.Node
		for _, decl := range p.syntax[file].Decls {
			nodes = append(nodes, decl)
			if d, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range d.Specs {
					nodes = append(nodes, spec)
				}
			}
		}
		var copies strings.Builder
		slices.Reverse(nodes) // so that the offsets of those before stay right
		for _, n := range nodes {
			if len(of[n]) == 0 {
				continue
			}
			cases := ""
			for _, m := range of[n] {
				copies.WriteString(p.copyOf(n, file, m))
				cases += fmt.Sprintf("case %d:\n%s\n", m.id, p.forward(n, file, m.id))
			}
			copies.WriteString(p.copyOf(n, file, &mutant{start: p.offset(n.End()), end: p.offset(n.End())}))
			body := fmt.Sprintf("{\nswitch currentMutant {\n%sdefault:\n%s\n}\n}", cases, p.forward(n, file, 0))
			switch n := n.(type) {
			case *ast.FuncDecl:
				source = source[:p.offset(n.Pos())] + p.header(n, file) + body + source[p.offset(n.End()):]
			case *ast.ValueSpec:
				source = source[:p.offset(n.Values[0].Pos())] + "func() " + p.typeOf(n) + body + "()" + source[p.offset(n.End()):]
			}
		}
		sources[file] = source + copies.String()
	}
	sources["doc.go"] += `
import (
	"os"
	"strconv"
)

var currentMutant, _ = strconv.Atoi(os.Getenv("REDIAL_MUTANT"))
`
	return sources
}

func (p *pkg) typeOf(v *ast.ValueSpec) string {
	return types.TypeString(p.types.Scope().Lookup(v.Names[0].Name).Type(), func(of *types.Package) string {
		if of == p.types {
			return ""
		}
		return of.Name()
	})
}

// copyOf returns the source of a copy of n, changed by m.
func (p *pkg) copyOf(n ast.Node, file string, m *mutant) string {
	s := p.source[file]
	if v, ok := n.(*ast.ValueSpec); ok {
		return fmt.Sprintf("\n\nfunc mutant%d_%s() %s {\nreturn %s%s%s\n}", m.id, v.Names[0].Name, p.typeOf(v),
			s[p.offset(v.Values[0].Pos()):m.start], m.with, s[m.end:p.offset(v.End())])
	}
	d := n.(*ast.FuncDecl)
	return fmt.Sprint("\n\n", s[p.offset(d.Pos()):p.offset(d.Name.Pos())], "mutant", m.id, "_", d.Name.Name,
		s[p.offset(d.Name.End()):m.start], m.with, s[m.end:p.offset(d.End())])
}

// header returns d without its body, with parameters that all have names.
func (p *pkg) header(d *ast.FuncDecl, file string) string {
	receiver, typeParams, results := "", "", ""
	if d.Recv != nil {
		receiver = "(r " + p.textOf(file, d.Recv.List[0].Type) + ") "
	}
	if d.Type.TypeParams != nil {
		typeParams = p.textOf(file, d.Type.TypeParams)
	}
	if d.Type.Results != nil {
		results = " " + p.textOf(file, d.Type.Results)
	}
	var params []string
	p.eachParam(d, func(name string, t ast.Expr) { params = append(params, name+" "+p.textOf(file, t)) })
	return "func " + receiver + d.Name.Name + typeParams + "(" + strings.Join(params, ", ") + ")" + results
}

func (p *pkg) eachParam(d *ast.FuncDecl, do func(name string, t ast.Expr)) {
	i := 0
	for _, field := range d.Type.Params.List {
		for range max(len(field.Names), 1) {
			do("p"+strconv.Itoa(i), field.Type)
			i++
		}
	}
}

// forward returns the call of a copy of n.
func (p *pkg) forward(n ast.Node, file string, id int) string {
	if v, ok := n.(*ast.ValueSpec); ok {
		return fmt.Sprintf("return mutant%d_%s()", id, v.Names[0].Name)
	}
	d := n.(*ast.FuncDecl)
	var args []string
	p.eachParam(d, func(name string, t ast.Expr) {
		if _, variadic := t.(*ast.Ellipsis); variadic {
			name += "..."
		}
		args = append(args, name)
	})
	call := fmt.Sprintf("mutant%d_%s", id, d.Name.Name)
	if d.Recv != nil {
		call = "r." + call
	}
	if params := d.Type.TypeParams; params != nil {
		var names []string
		for _, field := range params.List {
			for _, name := range field.Names {
				names = append(names, name.Name)
			}
		}
		call += "[" + strings.Join(names, ", ") + "]"
	}
	call += "(" + strings.Join(args, ", ") + ")"
	if d.Type.Results != nil {
		call = "return " + call
	}
	return call
}

var copyOfMutant = regexp.MustCompile(`mutant(\d+)_`)

// compiling returns the mutants that compile.
func (p *pkg) compiling(sources map[string]string, mutants []*mutant) []*mutant {
	broken := map[int]bool{}
	fset := token.NewFileSet()
	var all []*ast.File
	enclosing := func(pos token.Pos) int { // the mutant in whose copy pos is
		for _, file := range all {
			for _, decl := range file.Decls {
				if d, ok := decl.(*ast.FuncDecl); ok && d.Pos() <= pos && pos <= d.End() {
					if of := copyOfMutant.FindStringSubmatch(d.Name.Name); of != nil {
						return try(strconv.Atoi(of[1]))
					}
				}
			}
		}
		return 0
	}
	for name, source := range sources {
		if name == "doc.go" { // an import must come before the declarations
			source = strings.TrimSpace(source)
		}
		file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
		if err != nil {
			fatal("a mutant that does not parse: %v", err)
		}
		all = append(all, file)
	}
	config := types.Config{Importer: p.config.Importer, Error: func(err error) {
		e := err.(types.Error)
		id := enclosing(e.Pos)
		if id == 0 {
			fatal("the instrumented package does not compile: %v", err)
		}
		broken[id] = true
	}}
	config.Check(p.path, fset, all, nil)
	return slices.DeleteFunc(mutants, func(m *mutant) bool { return broken[m.id] })
}

// The tests.

// A suite is the tests of a package.
type suite struct {
	dir   string
	tests []test            // the quickest first
	files map[string]string // in which file each test is
}

type test struct {
	Name    string
	Took    time.Duration
	CPU     time.Duration
	Reaches map[string][][2]int // the lines of each file, from and to
}

func (s *suite) binary(work, name string) string {
	return filepath.Join(work, name+"-"+strings.Trim(s.dir, ".")+".test")
}

// prepare builds the tests with the given sources, and finds out which lines each test reaches.
func (s *suite) prepare(cache, work string, sources map[string]string) {
	s.reach(cache, work)
	if output, err := s.build(work, "all", sources); err != nil {
		fatal("the instrumented tests do not build:\n%s", output)
	}
	if output, err := s.run(s.binary(work, "all"), 0, s.tests); err != nil {
		fatal("the tests fail without a mutant:\n%s", output)
	}
}

// reach finds the tests, and which lines each one reaches.
func (s *suite) reach(cache, work string) {
	s.files = map[string]string{}
	for _, file := range try(filepath.Glob(filepath.Join(s.dir, "*_test.go"))) {
		for _, decl := range try(parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)).Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				s.files[d.Name.Name] = filepath.Base(file)
			}
		}
	}
	binary := s.binary(work, "cover")
	command(".", "go", "test", "-c", "-cover", "-coverpkg", ".", "-trimpath", "-buildvcs=false", "-o", binary, "./"+s.dir)
	cached := filepath.Join(cache, fmt.Sprintf("reach-%x.json", sha256.Sum256(try(os.ReadFile(binary)))))
	if text, err := os.ReadFile(cached); err == nil {
		check(json.Unmarshal(text, &s.tests))
		return
	}
	for name := range strings.Lines(string(command(s.dir, binary, "-test.list", "."))) {
		if name = strings.TrimSpace(name); strings.HasPrefix(name, "Benchmark") {
			continue
		}
		profile := filepath.Join(work, "profile")
		c := exec.Command(binary, "-test.run", "^"+name+"$", "-test.coverprofile", profile)
		c.Dir = s.dir
		start := time.Now()
		if output, err := c.CombinedOutput(); err != nil {
			fatal("%s fails without a mutant:\n%s", name, output)
		}
		cpu := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		s.tests = append(s.tests, test{name, time.Since(start), cpu, linesOf(profile)})
	}
	slices.SortFunc(s.tests, func(a, b test) int { return cmp.Compare(a.Took, b.Took) })
	check(os.WriteFile(cached, try(json.Marshal(s.tests)), 0o644))
}

var block = regexp.MustCompile(`/([^/]+\.go):(\d+)\.\d+,(\d+)\.\d+ \d+ ([0-9]+)\n`)

// linesOf returns the lines that a coverage profile says were run.
func linesOf(profile string) map[string][][2]int {
	lines := map[string][][2]int{}
	for _, m := range block.FindAllStringSubmatch(string(try(os.ReadFile(profile))), -1) {
		if m[4] != "0" {
			lines[m[1]] = append(lines[m[1]], [2]int{try(strconv.Atoi(m[2])), try(strconv.Atoi(m[3]))})
		}
	}
	return lines
}

// isElsewhere reports whether t has run no dial. A test of systest that dials in a child process leaves no profile of the dial.
func (t test) isElsewhere() bool {
	return len(t.Reaches["retry.go"]) == 0 && len(t.Reaches["classify.go"]) == 0
}

// reaches reports whether t runs one of the lines.
func (t test) reaches(file string, from, to int) bool {
	return slices.ContainsFunc(t.Reaches[file], func(b [2]int) bool { return b[0] <= to && from <= b[1] })
}

type outcome int

const (
	killed outcome = iota
	timedOut
	survived
	broken // it does not compile
)

// meet runs the tests that reach m.
func (p *pkg) meet(m *mutant, suites []*suite, work string) outcome {
	name, id := "all", m.id
	source := p.source[m.file]
	from, to := m.reached, 1+strings.Count(source[:m.end], "\n")
	if m.isConst {
		name, id = fmt.Sprint("one", m.id), 0
	}
	if _, ok := m.of.(*ast.ValueSpec); ok {
		from, to = 0, 1<<30
	}
	for _, s := range suites {
		binary := s.binary(work, name)
		if m.isConst {
			defer os.Remove(binary)
			if _, err := s.build(work, name, map[string]string{m.file: source[:m.start] + m.with + source[m.end:]}); err != nil {
				return broken
			}
		}
		var groups [3][]test // the likeliest to notice, the quick, and the slow
		for _, t := range s.tests {
			if t.reaches(m.file, from, to) || s.dir == "systest" && t.isElsewhere() {
				g := &groups[2]
				switch {
				case t.Took > quick:
				case strings.HasPrefix(s.files[t.Name], strings.TrimSuffix(m.file, ".go")+"_"):
					g = &groups[0]
				default:
					g = &groups[1]
				}
				*g = append(*g, t)
			}
		}
		for _, tests := range groups {
			if len(tests) == 0 {
				continue
			}
			output, err := s.run(binary, id, tests)
			switch {
			case err != nil && (bytes.Contains(output, []byte("panic: test timed out")) || bytes.Contains(output, []byte("SIGXCPU"))):
				return timedOut
			case err != nil:
				return killed
			}
		}
	}
	return survived
}

// run runs tests until one fails. They get a few times as long as they take without a mutant.
func (s *suite) run(binary string, id int, tests []test) ([]byte, error) {
	var names []string
	timeout, cpu := 10*time.Second, 3*time.Second
	for _, t := range tests {
		names = append(names, t.Name)
		timeout += 2 * t.Took
		cpu += 3 * t.CPU
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout+10*time.Second)
	defer cancel()
	// A mutant that runs or allocates without end must not keep the machine busy.
	script := fmt.Sprintf(`ulimit -t %d; ulimit -v 8000000; exec "$0" "$@"`, int(cpu.Seconds()))
	c := exec.CommandContext(ctx, "sh", "-c", script, binary, "-test.failfast", "-test.timeout", timeout.String(), "-test.run", "^("+strings.Join(names, "|")+")$")
	c.Dir = s.dir
	c.Env = append(os.Environ(), fmt.Sprint("REDIAL_MUTANT=", id))
	c.WaitDelay = time.Second
	return c.CombinedOutput()
}

// build builds the tests with other sources.
func (s *suite) build(work, name string, sources map[string]string) ([]byte, error) {
	replace := map[string]string{}
	for file, source := range sources {
		changed := filepath.Join(work, name+"-"+file)
		check(os.WriteFile(changed, []byte(source), 0o644))
		replace[try(filepath.Abs(file))] = changed
	}
	overlay := filepath.Join(work, name+".json")
	check(os.WriteFile(overlay, try(json.Marshal(map[string]any{"Replace": replace})), 0o644))
	return exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-ldflags", "-s -w", "-o", s.binary(work, name), "./"+s.dir).CombinedOutput()
}

func command(dir, name string, args ...string) []byte {
	c := exec.Command(name, args...)
	c.Dir = dir
	output, err := c.Output()
	if err != nil {
		fatal("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
	return output
}

func fatal(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fatal("%v", err)
	}
}

func try[T any](value T, err error) T {
	check(err)
	return value
}

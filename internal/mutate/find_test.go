//go:build unix

package mutate_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// A mutant is one small change of the code.
type mutant struct {
	id     string // what it is called in testdata/verdicts.txt: where, kind, what was, what is. Line numbers would move
	where  string // file and line, for people
	number int    // what MUTANT must be for it, once it is built
	source *source
	in     ast.Node // the function
	edits  []edit
}

// An edit puts text before and after a piece of a file, or, where it replaces, puts the first in the piece's stead. NUMBER in it
// becomes the mutant's. No edit holds a line's end, so a line keeps its number.
type edit struct {
	from, to      int
	before, after string
	replaces      bool
}

// A source is a file whose mutants are looked for.
type source struct {
	name    string // from the module's root, with slashes
	text    []byte
	syntax  *ast.File
	imports map[string]string // path to the name in this file
}

// finder looks for the mutants of one file.
type finder struct {
	*source

	fset   *token.FileSet
	info   *types.Info
	stack  []ast.Node
	passed map[ast.Node]bool // what is not looked into
	seen   map[string]int    // how often an id was met
	found  []*mutant
}

// find returns the mutants of a file, in the order in which they stand.
func find(fset *token.FileSet, info *types.Info, src *source) []*mutant {
	f := &finder{source: src, fset: fset, info: info, passed: map[ast.Node]bool{}, seen: map[string]int{}}
	ast.Inspect(src.syntax, func(n ast.Node) bool {
		if n == nil {
			f.stack = f.stack[:len(f.stack)-1]
			return true
		}
		if f.passed[n] || !f.visit(n) {
			return false
		}
		f.stack = append(f.stack, n)
		return true
	})
	return f.found
}

// visit finds the mutants of a node, and says whether to look into it.
func (f *finder) visit(n ast.Node) bool {
	if e, ok := n.(ast.Expr); ok && f.info.Types[e].Value != nil {
		f.literal(e)
		return false
	}
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR && len(f.stack) > 1 // not the package's
	case *ast.Field, *ast.ArrayType:
		return false
	case *ast.CompositeLit:
		f.keys(n)
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.leaf(n.X)
		}
	case *ast.IfStmt:
		f.condition(n.Cond, true)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.condition(n.Cond, false) // always would be an endless loop, nearly always
		}
	case *ast.SwitchStmt:
		f.cases(n)
	case *ast.ReturnStmt:
		f.results(n)
	case *ast.BranchStmt:
		f.branch(n)
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.CommClause:
		f.statements(n.Body)
	case *ast.AssignStmt:
		f.assignment(n)
	}
	return true
}

// add notes a mutant. It is named after the function, the kind, and what becomes of what.
func (f *finder) add(at ast.Node, kind, was, now string, edits ...edit) {
	if len(f.stack) < 2 {
		return
	}
	in, ok := f.stack[1].(*ast.FuncDecl)
	if !ok {
		return // a type of the package, or a value of it
	}
	id := fmt.Sprintf("%s %s %s: %s", f.name, functionName(in), kind, short(was))
	if now != "" {
		id += " => " + short(now)
	}
	if f.seen[id]++; f.seen[id] > 1 {
		id += fmt.Sprintf(" #%d", f.seen[id])
	}
	f.found = append(f.found, &mutant{
		id: id, source: f.source, in: in, edits: edits,
		where: fmt.Sprintf("%s:%d", f.name, f.fset.Position(at.Pos()).Line),
	})
}

func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
			continue
		case *ast.IndexExpr:
			of = t.X
			continue
		case *ast.IndexListExpr:
			of = t.X
			continue
		case *ast.Ident:
			return t.Name + "." + fn.Name.Name
		}
		return fn.Name.Name
	}
}

// short is text on one line, its end cut.
func short(text string) string {
	const most = 70
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "..."
	}
	return text
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// code is a node as it is written.
func (f *finder) code(n ast.Node) string { return string(f.text[f.offset(n.Pos()):f.offset(n.End())]) }

// around is the edit that puts text around a node.
func (f *finder) around(n ast.Node, before, after string) edit {
	return edit{from: f.offset(n.Pos()), to: f.offset(n.End()), before: before, after: after}
}

// through is the edit that hands an expression to a function of testdata/switch.go.
func (f *finder) through(n ast.Expr, function string) edit {
	return f.around(n, function+"(NUMBER, ", ")")
}

// spelled is a type as this file can write it.
func (f *finder) spelled(t types.Type) (text string, ok bool) {
	ok = true
	text = types.TypeString(t, func(p *types.Package) string {
		if f.syntax.Name.Name == p.Name() && f.imports[p.Path()] == "" {
			return ""
		}
		name := f.imports[p.Path()]
		ok = ok && name != ""
		return name
	})
	return text, ok && t != types.Typ[types.Invalid]
}

// render writes the file with these mutants in it. It returns, too, what may be wrong there: for each mutant the pieces of
// the text that are its own, with what they hold.
func render(src *source, mutants []*mutant) (text []byte, places []place) {
	type mark struct {
		at, order int
		closes    bool
		edit      edit
		of        *mutant
	}
	var marks []mark
	for _, m := range mutants {
		for _, e := range m.edits {
			marks = append(marks, mark{at: e.from, order: len(marks), edit: e, of: m})
			if !e.replaces && e.after != "" {
				marks = append(marks, mark{at: e.to, order: -len(marks), closes: true, edit: e, of: m})
			}
		}
	}
	// At one place what ends there comes before what begins; what was found last, because it is inside, ends first.
	sortFunc(marks, func(a, b mark) int {
		switch {
		case a.at != b.at:
			return a.at - b.at
		case a.closes != b.closes:
			if a.closes {
				return -1
			}
			return 1
		default:
			return a.order - b.order
		}
	})
	var out bytes.Buffer
	done := 0
	begun := map[*mutant]int{}
	for _, m := range marks {
		out.Write(src.text[done:m.at])
		done = m.at
		put := m.edit.before
		if m.closes {
			put = m.edit.after
		}
		from := out.Len()
		out.WriteString(strings.ReplaceAll(put, "NUMBER", strconv.Itoa(m.of.number)))
		switch {
		case m.edit.replaces:
			done = m.edit.to
			places = append(places, place{m.of, from, out.Len()})
		case m.closes:
			places = append(places, place{m.of, begun[m.of], out.Len()})
		default:
			begun[m.of] = from
			places = append(places, place{m.of, from, out.Len()})
		}
	}
	out.Write(src.text[done:])
	return out.Bytes(), places
}

// A place is a piece of a rendered file.
type place struct {
	of       *mutant
	from, to int
}

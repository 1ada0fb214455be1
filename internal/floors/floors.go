// Package floors holds the table of rooms and floors as law: which packages exist in this repository and which of them may
// import which. Its test reads the source of every room, for all operating systems at once, and is red when a package is
// not in the table, when an import goes up or sideways, or when the table names a room that nobody built.
//
// It is not for style or for defects inside a room; the linters look at those. Its central type is [Room], one row of
// the table.
package floors

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Apart is the floor of a tool of the workshop: nobody imports it and it imports no room.
const Apart = -1

// A Room is one row of the table: a package, with what belongs to it.
//
// The directories internal/... and <name>test directly below a room are part of it, so that store/storetest is the room
// store. Between directories of one room every import is allowed.
type Room struct {
	Path  string // directory from the repository's root, with slashes; "." is the root itself
	Floor int    // a room imports only rooms on strictly lower floors; Apart stands outside
	For   string // what the room is for, in half a line
	Tree  bool   // every directory below belongs to the room too
	Own   bool   // a module of its own, which may import libraries
	Waits bool   // may use the waiting functions of the packages time and context
	Tests bool   // for tests: only tests and other such rooms import it, and it may import test libraries
}

// A Finding is one breach of the law.
type Finding struct {
	Where string // "dir", or "file:line" with slashes
	What  string // what is wrong and what would be right
}

// String returns the finding as one line.
func (f Finding) String() string { return f.Where + ": " + f.What }

// waiting are the functions of the standard library that wait for a time or that make something wait for it.
var waiting = map[string][]string{
	"time":    {"After", "AfterFunc", "NewTicker", "NewTimer", "Sleep", "Tick"},
	"context": {"WithDeadline", "WithDeadlineCause", "WithTimeout", "WithTimeoutCause"},
}

// nameless are names that say nothing about what a room is for.
var nameless = []string{"common", "helper", "helpers", "misc", "model", "models", "type", "types", "util", "utils"}

// Check holds the source tree fsys, whose root is the repository's, to the table, where module is the path of the core
// module. It returns the findings ordered by place, or an error where the tree can't be read or parsed. Build constraints
// are ignored on purpose: a file for another operating system counts like any other.
func Check(fsys fs.FS, module string, table []Room) ([]Finding, error) {
	c := &checker{fsys: fsys, module: module, table: table, lived: map[string]bool{}, modules: map[string]bool{}}
	c.checkTable()
	if err := fs.WalkDir(fsys, ".", c.visit); err != nil {
		return nil, fmt.Errorf("walk source tree: %w", err)
	}
	for _, r := range table {
		switch {
		case !c.lived[r.Path]:
			c.find(r.Path, "the table names this room but it has no Go file; take the row out until the room is built")
		case r.Own != c.modules[r.Path]:
			c.find(r.Path, "the table says Own: %t, but a go.mod in the room: %t", r.Own, c.modules[r.Path])
		}
	}
	slices.SortFunc(c.found, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return c.found, nil
}

// checker is the state of one Check.
type checker struct {
	fsys    fs.FS
	module  string
	table   []Room
	lived   map[string]bool // rooms with at least one Go file
	modules map[string]bool // directories with a go.mod, without the root
	found   []Finding
}

func (c *checker) find(where, format string, args ...any) {
	c.found = append(c.found, Finding{Where: where, What: fmt.Sprintf(format, args...)})
}

func (c *checker) checkTable() {
	seen := map[string]bool{}
	for _, r := range c.table {
		if seen[r.Path] {
			c.find(r.Path, "the table names this room twice")
		}
		seen[r.Path] = true
		if r.For == "" {
			c.find(r.Path, "the table does not say what this room is for")
		}
		if r.Floor < Apart {
			c.find(r.Path, "floor %d; floors are 0 and up, or Apart", r.Floor)
		}
	}
}

// visit looks at one entry of the tree. Directories that the go command passes over are passed over.
func (c *checker) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := path.Base(name)
	if d.IsDir() {
		if name != "." && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir
		}
		return nil
	}
	dir := path.Dir(name)
	if base == "go.mod" && dir != "." {
		c.modules[dir] = true
		if r, ok := c.room(dir); !ok || r.Path != dir {
			c.find(dir, "a module that is not a room; give it a row with Own: true in internal/floors/table.go")
		}
	}
	if path.Ext(base) != ".go" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return nil
	}
	src, err := fs.ReadFile(c.fsys, name)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, 0)
	if err != nil {
		return err
	}
	c.checkName(dir, file.Name.Name)
	room, ok := c.room(dir)
	if !ok {
		c.find(dir, "not in the table of rooms; move it into a room, or give it a row in internal/floors/table.go")
		return nil
	}
	c.lived[room.Path] = true
	c.checkFile(fset, room, file, strings.HasSuffix(base, "_test.go"))
	return nil
}

// checkName refuses names that say nothing, for the directories and for the package clause.
func (c *checker) checkName(dir, pkg string) {
	for _, name := range append(strings.Split(dir, "/"), strings.TrimSuffix(pkg, "_test")) {
		if slices.Contains(nameless, name) || (strings.HasSuffix(name, "util") && name != "util") {
			c.find(dir, "the name %q does not say what the room is for; name it after that", name)
			return
		}
	}
}

// room returns the room that the directory belongs to: the row with the longest path that claims it.
func (c *checker) room(dir string) (Room, bool) {
	var best Room
	found := false
	for _, r := range c.table {
		if r.claims(dir) && (!found || len(r.Path) > len(best.Path)) {
			best, found = r, true
		}
	}
	return best, found
}

func (r Room) claims(dir string) bool {
	if dir == r.Path {
		return true
	}
	below, ok := strings.CutPrefix(dir, r.Path+"/")
	if !ok {
		return false // also for the root ".": its only directory is itself
	}
	first, _, _ := strings.Cut(below, "/")
	return r.Tree || first == "internal" || below == path.Base(r.Path)+"test"
}

func (c *checker) checkFile(fset *token.FileSet, room Room, file *ast.File, isTest bool) {
	for _, spec := range file.Imports {
		where := place(fset, spec.Pos())
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			c.find(where, "import path %s is no string", spec.Path.Value)
			continue
		}
		dir, inside := c.dir(imported)
		switch {
		case inside:
			c.checkImport(where, room, dir, isTest)
		case !isTest && !room.Own && !room.Tests && !standard(imported) && !under(imported, "golang.org/x/sys"):
			c.find(where, "imports %s; the core module imports the standard library and golang.org/x/sys only", imported)
		case waiting[imported] != nil && !isTest && !room.Waits:
			c.checkWaiting(fset, file, spec, imported)
		}
	}
}

// checkImport holds one import of a directory of the repository to the floors. A test may also use its own floor.
func (c *checker) checkImport(where string, room Room, dir string, isTest bool) {
	to, ok := c.room(dir)
	switch {
	case !ok:
		c.find(where, "imports %s, which is not in the table of rooms", dir)
	case to.Path == room.Path:
	case to.Floor == Apart:
		c.find(where, "imports %s, a tool that stands apart; nobody imports it", to.Path)
	case room.Floor == Apart:
		c.find(where, "imports %s; a room that stands apart imports no other room", to.Path)
	case to.Tests && !isTest && !room.Tests:
		c.find(where, "imports %s, which is for tests", to.Path)
	case to.Floor > room.Floor, to.Floor == room.Floor && !isTest:
		c.find(where, "%s on floor %d imports %s on floor %d; imports go to strictly lower floors",
			room.Path, room.Floor, to.Path, to.Floor)
	}
}

// checkWaiting finds the uses, called or not, of functions that wait behind the clock's back.
func (c *checker) checkWaiting(fset *token.FileSet, file *ast.File, spec *ast.ImportSpec, imported string) {
	name := imported
	if spec.Name != nil {
		name = spec.Name.Name
	}
	if name == "." {
		c.find(place(fset, spec.Pos()), "imports %s with a dot, which hides who waits; import it by name", imported)
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if ok && x.Name == name && slices.Contains(waiting[imported], sel.Sel.Name) {
			c.find(place(fset, sel.Pos()), "uses %s.%s; only rooms that the table says wait may, others ask the engine", imported, sel.Sel.Name)
		}
		return true
	})
}

// dir returns the directory of an import path of this repository, and whether it is one.
func (c *checker) dir(imported string) (string, bool) {
	if imported == c.module {
		return ".", true
	}
	return strings.CutPrefix(imported, c.module+"/")
}

// standard reports whether the import path is the standard library's: its first element has no dot. C is not a part of
// it: cgo would take cross-compiling away from everybody who imports the core.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return imported != "C" && !strings.Contains(first, ".")
}

func under(imported, root string) bool {
	return imported == root || strings.HasPrefix(imported, root+"/")
}

func place(fset *token.FileSet, pos token.Pos) string {
	p := fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

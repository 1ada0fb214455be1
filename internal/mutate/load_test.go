//go:build unix

package mutate_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed testdata/switch.go
var switchFile string

// A code is a package as the go command lists it.
type code struct {
	ImportPath, Dir, Export string
	GoFiles                 []string

	rel     string // directory from the root, with slashes
	sources []*source
}

// load lists a package of the module in root, reads its files, and finds its mutants. Only files of this system count.
func load(root, rel string) (*code, []*mutant, types.Importer, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "./"+rel, "os", "strconv", "syscall")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("list packages: %w", err)
	}
	exports := map[string]string{}
	var own *code
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		c := new(code)
		if err := dec.Decode(c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, nil, err
		}
		exports[c.ImportPath] = c.Export
		if c.Dir == filepath.Join(root, filepath.FromSlash(rel)) {
			own = c
		}
	}
	if own == nil {
		return nil, nil, nil, fmt.Errorf("package %s is not in the module of %s", rel, root)
	}
	own.rel = rel
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	mutants, err := own.read(fset, imports)
	return own, mutants, imports, err
}

func (c *code) read(fset *token.FileSet, imports types.Importer) ([]*mutant, error) {
	var files []*ast.File
	for _, name := range c.GoFiles {
		text, err := os.ReadFile(filepath.Join(c.Dir, name))
		if err != nil {
			return nil, err
		}
		syntax, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, syntax)
		c.sources = append(c.sources, &source{name: strings.TrimPrefix(c.rel+"/"+name, "./"), text: text, syntax: syntax, imports: map[string]string{}})
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{}}
	if _, err := (&types.Config{Importer: imports}).Check(c.ImportPath, fset, files, info); err != nil {
		return nil, err
	}
	var found []*mutant
	for _, src := range c.sources {
		for _, spec := range src.syntax.Imports {
			path, _ := strconv.Unquote(spec.Path.Value) // it was parsed
			if spec.Name != nil {
				src.imports[path] = spec.Name.Name
			} else if name, ok := info.Implicits[spec].(*types.PkgName); ok {
				src.imports[path] = name.Name()
			}
		}
		found = append(found, find(fset, info, src)...)
	}
	return found, nil
}

// switchOf is the file that turns mutants on, for n numbers.
func (c *code) switchOf(n int) string {
	name := c.sources[0].syntax.Name.Name
	return strings.NewReplacer("PACKAGE", name, "MUTANTS", strconv.Itoa(n+1)).Replace(switchFile)
}

// compilable returns the mutants with which the package can be compiled. What is wrong is laid at the innermost mutant around
// it, or at those of its line; what is wrong about a whole function, as that it may not return, at its loops.
func (c *code) compilable(mutants []*mutant, imports types.Importer) ([]*mutant, error) {
	const tries = 60
	for range tries {
		bad, err := c.check(mutants, imports)
		if err != nil || len(bad) == 0 {
			return mutants, err
		}
		var good []*mutant
		for _, m := range mutants {
			if !bad[m] {
				good = append(good, m)
			}
		}
		mutants = good
	}
	return nil, fmt.Errorf("%s: after leaving mutants out %d times it still does not compile", c.rel, tries)
}

func (c *code) check(mutants []*mutant, imports types.Importer) (map[*mutant]bool, error) {
	of := map[*source][]*mutant{}
	for _, m := range mutants {
		of[m.source] = append(of[m.source], m)
	}
	fset := token.NewFileSet()
	help, err := parser.ParseFile(fset, "switch.go", c.switchOf(len(mutants)), parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	files := []*ast.File{help}
	places := map[string][]place{}
	texts := map[string][]byte{}
	for _, src := range c.sources {
		text, where := render(src, of[src])
		syntax, err := parser.ParseFile(fset, src.name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("a mutant is no Go: %w", err)
		}
		files, places[src.name], texts[src.name] = append(files, syntax), where, text
	}
	bad := map[*mutant]bool{}
	var lost error
	config := types.Config{Importer: imports, Error: func(err error) {
		var wrong types.Error
		if !errors.As(err, &wrong) {
			lost = err
			return
		}
		at := fset.Position(wrong.Pos)
		blamed := blame(places[at.Filename], texts[at.Filename], at.Offset, strings.Contains(wrong.Msg, "missing return"), of, at.Filename, at.Line)
		if len(blamed) == 0 {
			lost = fmt.Errorf("no mutant to blame: %w", err)
		}
		for _, m := range blamed {
			bad[m] = true
		}
	}}
	_, _ = config.Check(c.ImportPath, fset, files, nil) // its errors came one by one
	if len(bad) > 0 {
		lost = nil // what it says may come of those
	}
	return bad, lost
}

// blame returns the mutants to leave out for an error at an offset of a rendered file.
func blame(places []place, text []byte, at int, returns bool, of map[*source][]*mutant, file string, line int) []*mutant {
	if returns {
		var loops []*mutant
		for src, mutants := range of {
			for _, m := range mutants {
				from, to := src.lines(m.in)
				if src.name == file && from <= line && line <= to && strings.Contains(m.id, " loop: ") {
					loops = append(loops, m)
				}
			}
		}
		return loops
	}
	var inner *place
	from, to := bytes.LastIndexByte(text[:at], '\n'), bytes.IndexByte(text[at:], '\n')+at
	var line1 []*mutant
	for i, p := range places {
		if p.from <= at && at < p.to && (inner == nil || p.to-p.from < inner.to-inner.from) {
			inner = &places[i]
		}
		if p.from > from && p.from < to {
			line1 = append(line1, p.of)
		}
	}
	if inner != nil {
		return []*mutant{inner.of}
	}
	return line1
}

// lines are the first and the last line of a node.
func (s *source) lines(n ast.Node) (from, to int) {
	start, base := int(s.syntax.FileStart), s.text
	return bytes.Count(base[:int(n.Pos())-start], []byte("\n")) + 1, bytes.Count(base[:int(n.End())-start], []byte("\n")) + 1
}

// Package readme is for holding documents to their word, README.md first: it takes a document apart into blocks, turns the
// shell lines into scripts and finds the Go blocks again among the examples. Its test runs what it takes out. It is not for
// judging prose. Its central type is [Block], one fenced block of a document.
package readme

import (
	"errors"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Block is one fenced block of a document.
type Block struct {
	Line int    // of the opening fence, from 1
	Lang string // the word after the fence
	Text string // without the fences; ends in a newline unless empty
}

// langs are the words that may stand after a fence. A block whose language nobody checks would be a hole in the check, so
// anything else is refused; text is for drawings, transcript for output whose numbers differ from run to run.
var langs = []string{"console", "go", "output", "sh", "text", "transcript"}

// Blocks returns the fenced blocks of a Markdown document in order. It is an error if a fence stays open, or if its
// language is missing or not one of those that are checked.
func Blocks(markdown string) ([]Block, error) {
	var (
		blocks []Block
		open   *Block
		indent string
		errs   []error
	)
	number := 0
	for line := range strings.Lines(markdown) {
		number++
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimLeft(line, " \t")
		switch {
		case open != nil && trimmed == "```":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			open = &Block{Line: number, Lang: strings.TrimSpace(trimmed[3:])}
			indent = line[:len(line)-len(trimmed)]
			if !slices.Contains(langs, open.Lang) || trimmed[0] != '`' {
				errs = append(errs, fmt.Errorf("line %d: fence %q; want ``` and one of %s", number, trimmed, strings.Join(langs, ", ")))
			}
		}
	}
	if open != nil {
		errs = append(errs, fmt.Errorf("line %d: the fence is never closed", open.Line))
	}
	return blocks, errors.Join(errs...)
}

// Output returns what the document says that block i prints, and whether it says so: the text of an output block that
// comes next.
func Output(blocks []Block, i int) (string, bool) {
	if i+1 < len(blocks) && (blocks[i+1].Lang == "output" || blocks[i+1].Lang == "transcript") {
		return blocks[i+1].Text, true
	}
	return "", false
}

// varies are a number with its unit and the blanks on either side, by which columns keep their places.
var varies = regexp.MustCompile(` *[0-9]+(\.[0-9]+)?(µs|ms|s)? *`)

// excuses are why something was late, which on a busy machine more is.
var excuses = regexp.MustCompile(` late: .*`)

// Shape returns what of a transcript does not differ from run to run: numbers and the units of seconds are replaced, and reasons to be late
// left out.
func Shape(transcript string) string {
	return varies.ReplaceAllString(excuses.ReplaceAllString(transcript, " late"), " N ")
}

// A Place is where a reader types a command.
type Place int

// The places, and Elsewhere for commands that are only compared with the truth, not run.
const (
	Clone     Place = iota // the root of a clone
	Reader                 // the root of the reader's own module
	Elsewhere              // not run here
	Beside                 // the root of a clone, in a terminal of its own: it goes on while the others are typed
)

// A Command is one command of a shell block.
type Command struct {
	Line   string
	Place  Place
	Output string // what it prints, where Prints
	Prints bool
	Shape  bool // only the shape of Output counts
}

// plain are the lines that a script runs exactly as a shell would. Between single quotes either leaves * alone.
var plain = regexp.MustCompile(`^([A-Za-z0-9_./:@=, -]|'[A-Za-z0-9_./:@=,*?#() -]*')+$`)

// Commands takes a sh or console block apart, for the module with the given path. In a sh block each line is a command;
// in a console block the commands follow "$ " and the other lines are what the command above them prints. A line must be
// one plain command, because anything cleverer could not be typed into every shell either.
func Commands(b Block, module string) ([]Command, error) {
	var commands []Command
	number := b.Line
	for line := range strings.Lines(b.Text) {
		number++
		line = strings.TrimRight(line, "\n")
		command, typed := strings.CutPrefix(line, "$ ")
		switch {
		case b.Lang == "sh" && (line == "" || strings.HasPrefix(line, "#")):
			continue
		case b.Lang == "sh" && typed:
			return nil, fmt.Errorf("line %d: a prompt in a sh block; call the block console", number)
		case b.Lang == "console" && !typed && len(commands) == 0:
			return nil, fmt.Errorf("line %d: output before the first command; begin commands with \"$ \"", number)
		case b.Lang == "console" && !typed:
			last := &commands[len(commands)-1]
			last.Output += line + "\n"
			last.Prints = true
			continue
		}
		if !plain.MatchString(command) {
			return nil, fmt.Errorf("line %d: %q is more than one plain command", number, command)
		}
		place, err := placeOf(command, module)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		commands = append(commands, Command{Line: command, Place: place})
	}
	return commands, nil
}

// placeOf tells where a command is typed. Cloning needs a network, so its address is compared instead; the test command
// would start the test that asks.
func placeOf(command, module string) (Place, error) {
	words := strings.Fields(command)
	switch {
	case words[0] == "git":
		if want := "git clone https://" + module; command != want {
			return 0, fmt.Errorf("%q cannot be checked; want %q", command, want)
		}
		return Elsewhere, nil
	case words[0] == "cd":
		if want := "cd " + path.Base(module); command != want {
			return 0, fmt.Errorf("%q leads out of the clone; want %q", command, want)
		}
		return Elsewhere, nil
	case strings.HasPrefix(command, "go test"):
		return Elsewhere, nil
	case strings.HasPrefix(command, "go get "):
		return Reader, nil
	case strings.HasSuffix(command, " serve"):
		return Beside, nil
	}
	return Clone, nil
}

// Script returns the commands as a testscript that expects the directories $CLONE and $READER, and a command shape that compares two
// files by their Shape. What runs beside the others is left to the caller.
func Script(commands []Command) string {
	var script, files strings.Builder
	for i, c := range commands {
		switch c.Place {
		case Elsewhere, Beside:
			continue
		case Reader:
			script.WriteString("cd $READER\n")
		case Clone:
			script.WriteString("cd $CLONE\n")
		}
		fmt.Fprintf(&script, "exec %s\n", c.Line)
		if c.Prints {
			compare := "cmp"
			if c.Shape {
				compare = "shape"
			}
			fmt.Fprintf(&script, "%s stdout $WORK/want%d\n", compare, i)
			fmt.Fprintf(&files, "-- want%d --\n%s", i, c.Output)
		}
	}
	return script.String() + files.String()
}

// A Source is one Go file of the repository that a fragment may come from.
type Source struct {
	Name string
	Text string
}

// Origin finds the file and line that a fragment of Go repeats, indentation aside: in an Example with an Output comment,
// or anywhere in a program below examples/. The output is the Example's, and empty for a program.
func Origin(fragment string, sources []Source) (where, output string, err error) {
	want := dedent(strings.Split(strings.Trim(fragment, "\n"), "\n"))
	for _, src := range sources {
		spans, err := spansOf(src)
		if err != nil {
			return "", "", err
		}
		lines := strings.Split(src.Text, "\n")
		for _, s := range spans {
			for i := s.first; i+len(want) <= s.last+1; i++ {
				if slices.Equal(dedent(lines[i:i+len(want)]), want) {
					return fmt.Sprintf("%s:%d", src.Name, i+1), s.output, nil
				}
			}
		}
	}
	return "", "", errors.New("neither a program nor a part of a runnable example; begin with package main, or copy from an Example with Output")
}

// span is a run of lines, from 0 and both inclusive, that a fragment may repeat.
type span struct {
	first, last int
	output      string
}

func spansOf(src Source) ([]span, error) {
	if !strings.HasSuffix(src.Name, "_test.go") {
		if strings.HasPrefix(src.Name, "examples/") {
			return []span{{last: strings.Count(src.Text, "\n")}}, nil
		}
		return nil, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, src.Name, src.Text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	outputs := map[string]string{}
	for _, e := range doc.Examples(file) {
		if e.Output != "" && !e.Unordered {
			outputs["Example"+e.Name] = e.Output
		}
	}
	var spans []span
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && outputs[f.Name.Name] != "" {
			spans = append(spans, span{
				first:  fset.Position(f.Body.Lbrace).Line, // the line after the brace, counted from 0
				last:   fset.Position(f.Body.Rbrace).Line - 2,
				output: outputs[f.Name.Name],
			})
		}
	}
	return spans, nil
}

// dedent returns the lines without the tabs that all of them begin with, and without trailing blanks.
func dedent(lines []string) []string {
	shared := -1
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if n := len(line) - len(strings.TrimLeft(line, "\t")); shared < 0 || n < shared {
			shared = n
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		if strings.TrimSpace(line) != "" {
			out[i] = strings.TrimRight(line[shared:], " \t\r")
		}
	}
	return out
}

// link is an inline link or picture; its first group is the target.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// Links returns the targets of the document's inline links that lie in the repository, without their anchors, as written.
func Links(markdown string) []string {
	var targets []string
	for _, m := range link.FindAllStringSubmatch(markdown, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target != "" && !strings.Contains(target, ":") {
			targets = append(targets, target)
		}
	}
	return targets
}

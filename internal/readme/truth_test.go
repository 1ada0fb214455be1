package readme_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"go/format"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dulyhq/duly/internal/readme"
)

const module = "github.com/dulyhq/duly"

// patience is how long one command or program of the README may take, a cold build on a busy machine included.
const patience = 3 * time.Minute

// TestREADME_Commands types the README's commands: those for a clone in this one, those for the reader's own module in a
// fresh one for which this repository stands in for the published module. Nothing is fetched.
func TestREADME_Commands(t *testing.T) {
	t.Parallel()
	root := clone(t)
	dir := t.TempDir()
	var files, beside []string
	blocks := blocksOf(t, root)
	for i, b := range blocks {
		if b.Lang != "sh" && b.Lang != "console" {
			continue
		}
		commands, err := readme.Commands(b, module)
		if err != nil {
			t.Errorf("README.md: %v", err)
			continue
		}
		if out, ok := readme.Output(blocks, i); ok && len(commands) > 0 {
			last := &commands[len(commands)-1]
			last.Output, last.Prints, last.Shape = out, true, blocks[i+1].Lang == "transcript"
		}
		for _, c := range commands {
			if c.Place == readme.Beside {
				beside = append(beside, c.Line)
			}
		}
		name := filepath.Join(dir, fmt.Sprintf("line%d.txtar", b.Line))
		writeFile(t, name, readme.Script(commands))
		files = append(files, name)
	}
	if len(files) == 0 {
		t.Fatal("README.md has no commands")
	}
	home := t.TempDir()
	if len(beside) != 1 {
		t.Fatalf("README.md has %q to run in a terminal of their own, want one", beside)
	}
	serve(t, root, home, beside[0])
	testscript.Run(t, testscript.Params{
		Files:    files,
		Deadline: time.Now().Add(patience),
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"shape": func(ts *testscript.TestScript, _ bool, args []string) {
				got, want := ts.ReadFile(args[0]), ts.ReadFile(args[1])
				if readme.Shape(got) != readme.Shape(want) {
					ts.Fatalf("printed\n%s\nbut README.md says\n%s", got, want)
				}
			},
		},
		Setup: func(env *testscript.Env) error {
			for _, kv := range goEnv(t, "GOCACHE", "GOMODCACHE", "GOPATH", "GOROOT") {
				name, value, _ := strings.Cut(kv, "=")
				env.Setenv(name, value)
			}
			env.Setenv("GOPROXY", "off")
			env.Setenv("GOTOOLCHAIN", "local")
			env.Setenv("CLONE", root)
			env.Setenv("HOME", home)
			reader := filepath.Join(env.WorkDir, "reader")
			env.Setenv("READER", reader)
			return layReader(reader, root)
		},
	})
}

// serve types the README's command that goes on, and returns when it says where it listens. It ends with the test.
func serve(t *testing.T, root, home, line string) {
	t.Helper()
	words := strings.Fields(line)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir = root
	cmd.Env = append(goEnv(t, "GOCACHE", "GOMODCACHE", "GOPATH", "GOROOT"), "HOME="+home, "PATH="+os.Getenv("PATH"), "GOPROXY=off", "GOTOOLCHAIN=local",
		"DULY_LISTEN=127.0.0.1:0") // the usual port may be somebody's
	apart(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end(cmd)
		_ = cmd.Wait() // it was killed
	})
	said := bufio.NewScanner(out)
	for said.Scan() {
		if strings.Contains(said.Text(), "duly.sock") {
			go io.Copy(io.Discard, out) //nolint:errcheck // it is read so that it does not block
			return
		}
	}
	_ = cmd.Wait() // what it has written tells more
	t.Fatalf("%s: it ended before it said where it listens: %s", line, complaints.String())
}

// TestREADME_TestCommandIsWhatCIRuns: the test command cannot be run from a test that it would start, so CI has to begin
// with exactly that line.
func TestREADME_TestCommandIsWhatCIRuns(t *testing.T) {
	root := clone(t)
	ci := readFile(t, filepath.Join(root, ".ci", "run"))
	found := 0
	for _, b := range blocksOf(t, root) {
		if b.Lang != "sh" && b.Lang != "console" {
			continue
		}
		commands, err := readme.Commands(b, module)
		if err != nil {
			t.Fatalf("README.md: %v", err)
		}
		for _, c := range commands {
			if !strings.HasPrefix(c.Line, "go test") {
				continue
			}
			found++
			if !regexp.MustCompile(`(?m)^step '[^']*' ` + regexp.QuoteMeta(c.Line) + `$`).MatchString(ci) {
				t.Errorf("README.md says %q, but .ci/run has no step with that line", c.Line)
			}
		}
	}
	if found != 1 {
		t.Errorf("README.md names %d test commands, want one", found)
	}
}

// TestREADME_Go runs the README's programs in a module of their own and finds its fragments again in examples that run.
func TestREADME_Go(t *testing.T) {
	t.Parallel()
	root := clone(t)
	sources := sourcesOf(t, root)
	blocks := blocksOf(t, root)
	for i, b := range blocks {
		if b.Lang != "go" {
			continue
		}
		t.Run(fmt.Sprintf("line%d", b.Line), func(t *testing.T) {
			want, says := readme.Output(blocks, i)
			got, err := runBlock(t.Context(), t.TempDir(), root, b, sources)
			if err != nil {
				t.Fatal(err)
			}
			if says && strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("output\n%s\nbut README.md says\n%s", got, want)
			}
		})
	}
}

// TestDocs_LinksLeadSomewhere looks at every document, not only at the README.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	root := clone(t)
	seen := 0
	for _, name := range walk(t, root, ".md") {
		seen++
		for _, target := range readme.Links(readFile(t, filepath.Join(root, name))) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: link to %s: %v", name, target, err)
			}
		}
	}
	if seen < 3 {
		t.Errorf("%d documents found, want at least README, CONTRIBUTING and CHANGELOG", seen)
	}
}

// TestRunBlock shows the check of Go blocks failing, each time for the reason it should.
func TestRunBlock(t *testing.T) {
	t.Parallel()
	root := clone(t)
	const program = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(%s) }\n"
	tests := []struct {
		name, text, want, wantErr string
	}{
		{name: "a program", text: fmt.Sprintf(program, `"on time"`), want: "on time\n"},
		{name: "does not compile", text: fmt.Sprintf(program, "late"), wantErr: "undefined: late"},
		{name: "ends badly", text: fmt.Sprintf(program, `[]int{}[len("x")]`), wantErr: "index out of range"},
		{name: "not formatted", text: "package main\nfunc  main() {}\n", wantErr: "not formatted"},
		{name: "another package", text: "package duly\n", wantErr: "begin with package main"},
		{name: "made up", text: "timer.MadeUp()\n", wantErr: "neither a program nor a part"},
		{
			name:    "imports what no reader may",
			text:    "package main\n\nimport _ \"github.com/dulyhq/duly/internal/floors\"\n\nfunc main() {}\n",
			wantErr: "use of internal package",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := runBlock(t.Context(), t.TempDir(), root, readme.Block{Line: 1, Lang: "go", Text: tt.text}, nil)
			if got != tt.want {
				t.Errorf("output %q, want %q", got, tt.want)
			}
			if (err == nil) != (tt.wantErr == "") || (err != nil && !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("error %v, want one with %q", err, tt.wantErr)
			}
		})
	}
}

// runBlock returns what a Go block prints. A program is run in a module of its own in dir, as a reader would; a fragment
// has to be a part of an example, which the tests of the example's package run.
func runBlock(ctx context.Context, dir, root string, b readme.Block, sources []readme.Source) (string, error) {
	if !strings.HasPrefix(b.Text, "package main\n") {
		_, output, err := readme.Origin(b.Text, sources)
		if err != nil {
			return "", fmt.Errorf("README.md:%d: %w", b.Line, err)
		}
		return output, nil
	}
	formatted, err := format.Source([]byte(b.Text))
	if err != nil {
		return "", fmt.Errorf("README.md:%d: %w", b.Line, err)
	}
	if string(formatted) != b.Text {
		return "", fmt.Errorf("README.md:%d: the program is not formatted; want\n%s", b.Line, formatted)
	}
	if err := layReader(dir, root); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), formatted, 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("README.md:%d: go run: %w\n%s", b.Line, err, stderr.String())
	}
	return stdout.String(), nil
}

// layReader makes dir a reader's module, for which the clone stands in for every published version of duly.
func layReader(dir, root string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	mod := fmt.Sprintf("module example.com/reader\n\ngo 1.26.0\n\nreplace %[1]s => %[2]q\n", module, root)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600)
}

// sourcesOf returns the files that fragments may come from.
func sourcesOf(t *testing.T, root string) []readme.Source {
	t.Helper()
	var sources []readme.Source
	for _, name := range walk(t, root, ".go") {
		sources = append(sources, readme.Source{Name: filepath.ToSlash(name), Text: readFile(t, filepath.Join(root, name))})
	}
	return sources
}

// walk returns the files with the extension, relative to root, without hidden directories and testdata.
func walk(t *testing.T, root, ext string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if !d.IsDir() && filepath.Ext(name) == ext {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			names = append(names, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func blocksOf(t *testing.T, root string) []readme.Block {
	t.Helper()
	blocks, err := readme.Blocks(readFile(t, filepath.Join(root, "README.md")))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	return blocks
}

// clone returns the root of the repository.
func clone(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// goEnv returns the named settings of the go command, which scripts do not inherit, as NAME=value.
func goEnv(t *testing.T, names ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	values := strings.Split(strings.TrimRight(string(out), "\r\n"), "\n")
	for i := range values {
		values[i] = names[i] + "=" + strings.TrimRight(values[i], "\r")
	}
	return values
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

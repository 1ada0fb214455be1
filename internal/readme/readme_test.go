package readme_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/readme"
)

func TestBlocks(t *testing.T) {
	tests := []struct {
		name, doc string
		want      []readme.Block
		wantErr   string
	}{
		{name: "none", doc: "# duly\n"},
		{
			name: "two, with prose between",
			doc:  "text\n```sh\ngo version\n```\nmore\n\n```output\nx\n\ny\n```\n",
			want: []readme.Block{{Line: 2, Lang: "sh", Text: "go version\n"}, {Line: 7, Lang: "output", Text: "x\n\ny\n"}},
		},
		{
			name: "indented in a list",
			doc:  "1. first\n   ```go\n   if x {\n   \ty()\n   }\n   ```\n",
			want: []readme.Block{{Line: 2, Lang: "go", Text: "if x {\n\ty()\n}\n"}},
		},
		{name: "no language", doc: "```\nx\n```\n", want: []readme.Block{{Line: 1, Text: "x\n"}}, wantErr: "line 1: fence"},
		{name: "a language that nobody checks", doc: "\n```bash\n```\n", want: []readme.Block{{Line: 2, Lang: "bash"}}, wantErr: "line 2: fence"},
		{name: "never closed", doc: "```sh\nls\n", wantErr: "line 1: the fence is never closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readme.Blocks(tt.doc)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("blocks (-want +got):\n%s", diff)
			}
			checkError(t, err, tt.wantErr)
		})
	}
}

func TestCommands(t *testing.T) {
	tests := []struct {
		name, lang, text string
		want             []readme.Command
		wantErr          string
	}{
		{
			name: "each in its place", lang: "sh",
			text: "git clone https://example.com/org/tool\ncd tool\n\n# look\ngo run ./examples/one\ngo run ./tool serve\ngo test ./...\ngo get example.com/org/tool\n",
			want: []readme.Command{
				{Line: "git clone https://example.com/org/tool", Place: readme.Elsewhere},
				{Line: "cd tool", Place: readme.Elsewhere},
				{Line: "go run ./examples/one", Place: readme.Clone},
				{Line: "go run ./tool serve", Place: readme.Beside},
				{Line: "go test ./...", Place: readme.Elsewhere},
				{Line: "go get example.com/org/tool", Place: readme.Reader},
			},
		},
		{
			name: "a session with output", lang: "console",
			text: "$ go run ./x\na\nb\n$ go run ./y\n",
			want: []readme.Command{{Line: "go run ./x", Prints: true, Output: "a\nb\n"}, {Line: "go run ./y"}},
		},
		{
			name: "a quoted star", lang: "sh", text: "go run ./x next '0 9 * * mon-fri'\n",
			want: []readme.Command{{Line: "go run ./x next '0 9 * * mon-fri'"}},
		},
		{name: "a star that the shell sees", lang: "sh", text: "go run ./x next 0 9 * * mon-fri\n", wantErr: "more than one plain command"},
		{name: "a quote that stays open", lang: "sh", text: "go run ./x 'y\n", wantErr: "more than one plain command"},
		{name: "another address", lang: "sh", text: "git clone https://example.com/fork/tool\n", wantErr: "line 2:"},
		{name: "out of the clone", lang: "sh", text: "cd ..\n", wantErr: "leads out of the clone"},
		{name: "a pipe", lang: "sh", text: "go run ./x | less\n", wantErr: "more than one plain command"},
		{name: "a variable", lang: "sh", text: "go run $X\n", wantErr: "more than one plain command"},
		{name: "a prompt in sh", lang: "sh", text: "$ ls\n", wantErr: "call the block console"},
		{name: "output of nothing", lang: "console", text: "x\n$ ls\n", wantErr: "output before the first command"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readme.Commands(readme.Block{Line: 1, Lang: tt.lang, Text: tt.text}, "example.com/org/tool")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			checkError(t, err, tt.wantErr)
		})
	}
}

func TestScript(t *testing.T) {
	got := readme.Script([]readme.Command{
		{Line: "cd duly", Place: readme.Elsewhere},
		{Line: "go run ./x", Prints: true, Output: "hello\n"},
		{Line: "go get y", Place: readme.Reader},
		{Line: "go run ./z serve", Place: readme.Beside},
		{Line: "go run ./z", Prints: true, Shape: true, Output: "after 3.1ms\n"},
	})
	want := "cd $CLONE\nexec go run ./x\ncmp stdout $WORK/want1\ncd $READER\nexec go get y\ncd $CLONE\nexec go run ./z\n" +
		"shape stdout $WORK/want4\n-- want1 --\nhello\n-- want4 --\nafter 3.1ms\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("script (-want +got):\n%s", diff)
	}
}

func TestShape(t *testing.T) {
	for _, same := range [][2]string{
		{"A  3.1ms late", "A  870µs late"},
		{"A    3ms late", "A  1.02s late"},
		{"A  3ms late\nB  2ms late\n", "A  1.02s late: nobody was there\nB  2ms late\n"},
		{"kill -9 7     D is pending", "kill -9 4711  D is pending"},
	} {
		if got, want := readme.Shape(same[0]), readme.Shape(same[1]); got != want {
			t.Errorf("%q has the shape %q, and %q has %q", same[0], got, same[1], want)
		}
	}
	if readme.Shape("A  3ms late") == readme.Shape("A  3ms early") {
		t.Error("what is not a number makes no difference")
	}
}

func TestOrigin(t *testing.T) {
	sources := []readme.Source{
		{Name: "a/a.go", Text: "package a\n\nfunc f() {\n\tlibrary()\n}\n"},
		{Name: "examples/one/main.go", Text: "package main\n\nfunc main() {\n\tone()\n}\n"},
		{Name: "a/example_test.go", Text: `package a_test

func Example() {
	if x {
		first()

		second()
	}
	// Output: done
}

func ExampleNever() {
	never()
}

func help() {
	hidden()
}
`},
	}
	tests := []struct {
		name, fragment, where, output, wantErr string
	}{
		{name: "in an Example", fragment: "first()\n\nsecond()\n", where: "a/example_test.go:5", output: "done\n"},
		{name: "the Example's first line", fragment: "if x {\n\tfirst()\n", where: "a/example_test.go:4", output: "done\n"},
		{name: "in a program", fragment: "func main() {\n\tone()\n}\n", where: "examples/one/main.go:3"},
		{name: "other indentation inside", fragment: "if x {\nfirst()\n", wantErr: "neither"},
		{name: "the signature is no part of it", fragment: "func Example() {\n", wantErr: "neither"},
		{name: "lines left out", fragment: "first()\nsecond()\n", wantErr: "neither"},
		{name: "in an Example that never runs", fragment: "never()\n", wantErr: "neither"},
		{name: "in a helper of the tests", fragment: "hidden()\n", wantErr: "neither"},
		{name: "in the library itself", fragment: "library()\n", wantErr: "neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			where, output, err := readme.Origin(tt.fragment, sources)
			if where != tt.where || output != tt.output {
				t.Errorf("Origin = %q, %q; want %q, %q", where, output, tt.where, tt.output)
			}
			checkError(t, err, tt.wantErr)
		})
	}
}

func TestLinks(t *testing.T) {
	got := readme.Links("[a](docs/a.md) [b](https://example.com/b) [c](#here) ![d](d.png) [e](e.md#there)")
	if diff := cmp.Diff([]string{"docs/a.md", "d.png", "e.md"}, got); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

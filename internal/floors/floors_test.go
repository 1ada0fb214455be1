package floors_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/floors"
)

// TestFloors holds this repository to its own table.
func TestFloors(t *testing.T) {
	findings, err := floors.Check(os.DirFS("../.."), floors.Module, floors.Table)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
}

// TestLayering_NoRawTimers: no room of the house waits behind the engine's back, whatever the table says of it. Only the clock,
// the engine and the waiters' list may, and programs, which wait as a user's would.
//
// requirement: F27.
func TestLayering_NoRawTimers(t *testing.T) {
	may := []string{"clock", "timer", "internal/park", "store/postgres", "examples", "examples/cluster", "examples/durable", "bench"}
	strict := slices.Clone(floors.Table)
	for i := range strict {
		strict[i].Waits = slices.Contains(may, strict[i].Path)
	}
	findings, err := floors.Check(os.DirFS("../.."), floors.Module, strict)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
	if strict[slices.IndexFunc(strict, func(r floors.Room) bool { return r.Path == "schedule" })].Waits {
		t.Error("the arithmetic of schedules waits")
	}
}

// TestTable_ModuleIsThatOfGoMod: with another module path every import would count as foreign and none would be checked.
func TestTable_ModuleIsThatOfGoMod(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "module " + floors.Module + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not contain %q", want)
	}
}

// house is a small repository that keeps the law; each case of TestCheck adds files to it or replaces some.
var house = map[string]string{
	"go.mod":                        "module m\n",
	"low/low.go":                    "package low\nimport _ \"time\"\n",
	"low/low_test.go":               "package low_test\nimport (\n_ \"m/low\"\n_ \"github.com/google/go-cmp/cmp\"\n)\n",
	"mid/mid.go":                    "package mid\nimport (\n_ \"m/low\"\n_ \"m/mid/internal/part\"\n)\n",
	"mid/internal/part/part.go":     "package part\nimport _ \"golang.org/x/sys/unix\"\n",
	"mid/midtest/midtest.go":        "package midtest\nimport _ \"m/mid\"\n",
	"side/side.go":                  "package side\n",
	"suite/suite.go":                "package suite\nimport (\n_ \"m/mid\"\n_ \"github.com/google/go-cmp/cmp\"\n)\n",
	"heavy/heavy_test.go":           "package heavy_test\nimport _ \"m/suite\"\n",
	"heavy/heavy.go":                "package heavy\nimport (\n_ \"example.com/big\"\n_ \"m/mid\"\n)\n",
	"heavy/go.mod":                  "module m/heavy\n",
	"waits/waits.go":                "package waits\nimport \"time\"\nfunc f() { time.Sleep(1) }\n",
	"programs/one/main.go":          "package main\nimport _ \"m/mid\"\n",
	"internal/tool/tool.go":         "package tool\n",
	"mid/testdata/x/util/broken.go": "this is no Go",
	"_old/old.go":                   "package old\nimport _ \"example.com/big\"\n",
}

var plan = []floors.Room{
	{Path: "low", Floor: 0, For: "x"},
	{Path: "mid", Floor: 1, For: "x"},
	{Path: "side", Floor: 1, For: "x"},
	{Path: "suite", Floor: 2, Tests: true, For: "x"},
	{Path: "waits", Floor: 1, Waits: true, For: "x"},
	{Path: "heavy", Floor: 2, Own: true, For: "x"},
	{Path: "programs", Floor: 9, Tree: true, For: "x"},
	{Path: "internal/tool", Floor: floors.Apart, For: "x"},
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string // "" removes the file
		rows  []floors.Room
		want  []string
	}{
		{name: "a house that keeps the law"},
		{
			name:  "a suite for tests in a program",
			files: map[string]string{"programs/one/main.go": "package main\nimport _ \"m/suite\"\n"},
			want:  []string{"programs/one/main.go:2: imports suite, which is for tests"},
		},
		{
			name:  "unknown room",
			files: map[string]string{"attic/a.go": "package attic\n"},
			want:  []string{"attic: not in the table of rooms; move it into a room, or give it a row in internal/floors/table.go"},
		},
		{
			name:  "unknown directory below a room",
			files: map[string]string{"low/deep/d.go": "package deep\n"},
			want:  []string{"low/deep: not in the table of rooms; move it into a room, or give it a row in internal/floors/table.go"},
		},
		{
			name:  "files in the root are a room of their own",
			files: map[string]string{"root.go": "package m\n"},
			want:  []string{".: not in the table of rooms; move it into a room, or give it a row in internal/floors/table.go"},
		},
		{
			name:  "the root as a room claims only itself",
			files: map[string]string{"root.go": "package m\nimport _ \"m/mid\"\n", "attic/a.go": "package attic\n"},
			rows:  []floors.Room{{Path: ".", Floor: 5, For: "x"}},
			want:  []string{"attic: not in the table of rooms; move it into a room, or give it a row in internal/floors/table.go"},
		},
		{
			name:  "import upwards",
			files: map[string]string{"low/up.go": "package low\nimport _ \"m/mid\"\n"},
			want:  []string{"low/up.go:2: low on floor 0 imports mid on floor 1; imports go to strictly lower floors"},
		},
		{
			name:  "import sideways",
			files: map[string]string{"side/s.go": "package side\nimport _ \"m/mid\"\n"},
			want:  []string{"side/s.go:2: side on floor 1 imports mid on floor 1; imports go to strictly lower floors"},
		},
		{
			name:  "import upwards in a file for another operating system",
			files: map[string]string{"low/up_plan9.go": "//go:build never\n\npackage low\nimport _ \"m/mid\"\n"},
			want:  []string{"low/up_plan9.go:4: low on floor 0 imports mid on floor 1; imports go to strictly lower floors"},
		},
		{
			name:  "a test may look sideways",
			files: map[string]string{"side/s_test.go": "package side\nimport _ \"m/mid\"\n"},
		},
		{
			name:  "a test may not look up",
			files: map[string]string{"low/up_test.go": "package low_test\nimport _ \"m/mid\"\n"},
			want:  []string{"low/up_test.go:2: low on floor 0 imports mid on floor 1; imports go to strictly lower floors"},
		},
		{
			name:  "import of a room that is not there",
			files: map[string]string{"mid/m.go": "package mid\nimport _ \"m/gone\"\n"},
			want:  []string{"mid/m.go:2: imports gone, which is not in the table of rooms"},
		},
		{
			name:  "a tool is imported by nobody",
			files: map[string]string{"mid/m.go": "package mid\nimport _ \"m/internal/tool\"\n"},
			want:  []string{"mid/m.go:2: imports internal/tool, a tool that stands apart; nobody imports it"},
		},
		{
			name:  "a tool imports no room",
			files: map[string]string{"internal/tool/t.go": "package tool\nimport _ \"m/low\"\n"},
			want:  []string{"internal/tool/t.go:2: imports low; a room that stands apart imports no other room"},
		},
		{
			name:  "ghost in the table",
			files: map[string]string{"side/side.go": ""},
			want:  []string{"side: the table names this room but it has no Go file; take the row out until the room is built"},
		},
		{
			name: "mistakes in the table",
			rows: []floors.Room{{Path: "low", Floor: -2}},
			want: []string{
				"low: floor -2; floors are 0 and up, or Apart",
				"low: the table does not say what this room is for",
				"low: the table names this room twice",
			},
		},
		{
			name:  "a library in the core",
			files: map[string]string{"mid/m.go": "package mid\nimport _ \"github.com/google/go-cmp/cmp\"\n"},
			want:  []string{"mid/m.go:2: imports github.com/google/go-cmp/cmp; the core module imports the standard library and golang.org/x/sys only"},
		},
		{
			name:  "a module whose name only begins like an allowed one",
			files: map[string]string{"mid/m.go": "package mid\nimport _ \"golang.org/x/system\"\n"},
			want:  []string{"mid/m.go:2: imports golang.org/x/system; the core module imports the standard library and golang.org/x/sys only"},
		},
		{
			name:  "cgo in the core",
			files: map[string]string{"mid/m.go": "package mid\nimport \"C\"\n"},
			want:  []string{"mid/m.go:2: imports C; the core module imports the standard library and golang.org/x/sys only"},
		},
		{
			name:  "a module without a row",
			files: map[string]string{"mid/midtest/go.mod": "module m/mid/midtest\n"},
			want:  []string{"mid/midtest: a module that is not a room; give it a row with Own: true in internal/floors/table.go"},
		},
		{
			name:  "a module that the table takes for a part of the core",
			files: map[string]string{"mid/go.mod": "module m/mid\n"},
			want:  []string{"mid: the table says Own: false, but a go.mod in the room: true"},
		},
		{
			name:  "a part of the core that the table takes for a module",
			files: map[string]string{"heavy/go.mod": ""},
			want:  []string{"heavy: the table says Own: true, but a go.mod in the room: false"},
		},
		{
			name: "waiting behind the clock's back",
			files: map[string]string{
				"mid/m.go": "package mid\nimport wall \"time\"\nfunc f() {\n<-wall.After(1)\nwall.AfterFunc(1, f)\nwall.NewTicker(1)\n" +
					"wall.NewTimer(1)\ng := wall.Sleep\ng(1)\nwall.Tick(1)\n_ = wall.Now\n}\n",
			},
			want: []string{
				"mid/m.go:10: uses time.Tick; only rooms that the table says wait may, others ask the engine",
				"mid/m.go:4: uses time.After; only rooms that the table says wait may, others ask the engine",
				"mid/m.go:5: uses time.AfterFunc; only rooms that the table says wait may, others ask the engine",
				"mid/m.go:6: uses time.NewTicker; only rooms that the table says wait may, others ask the engine",
				"mid/m.go:7: uses time.NewTimer; only rooms that the table says wait may, others ask the engine",
				"mid/m.go:8: uses time.Sleep; only rooms that the table says wait may, others ask the engine",
			},
		},
		{
			name:  "a context that makes a timer",
			files: map[string]string{"mid/m.go": "package mid\nimport \"context\"\nvar f, g = context.WithTimeout, context.WithCancel\nvar h = context.WithDeadlineCause\n"},
			want: []string{
				"mid/m.go:3: uses context.WithTimeout; only rooms that the table says wait may, others ask the engine",
				"mid/m.go:4: uses context.WithDeadlineCause; only rooms that the table says wait may, others ask the engine",
			},
		},
		{
			name:  "waiting hidden by a dot",
			files: map[string]string{"mid/m.go": "package mid\nimport . \"time\"\nfunc f() { Sleep(1) }\n"},
			want:  []string{"mid/m.go:2: imports time with a dot, which hides who waits; import it by name"},
		},
		{
			name:  "a test may sleep, the linters look after it",
			files: map[string]string{"mid/m_test.go": "package mid\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"},
		},
		{
			name:  "a name that says nothing",
			files: map[string]string{"mid/internal/util/u.go": "package util\n"},
			want:  []string{`mid/internal/util: the name "util" does not say what the room is for; name it after that`},
		},
		{
			name:  "a name that says nothing, in the package clause",
			files: map[string]string{"mid/internal/x/x.go": "package timeutil\n"},
			want:  []string{`mid/internal/x: the name "timeutil" does not say what the room is for; name it after that`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings, err := floors.Check(tree(house, tt.files), "m", slices.Concat(plan, tt.rows))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheck_SourceThatDoesNotParse(t *testing.T) {
	_, err := floors.Check(tree(house, map[string]string{"low/bad.go": "package"}), "m", plan)
	if err == nil || !strings.Contains(err.Error(), "low/bad.go:1") {
		t.Errorf("Check: error %v, want one that names low/bad.go:1", err)
	}
}

// tree lays files one set over the other; the content "" leaves a file out.
func tree(sets ...map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, set := range sets {
		for name, content := range set {
			if content == "" {
				delete(fsys, name)
				continue
			}
			fsys[name] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	return fsys
}

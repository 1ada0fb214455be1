package readme_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// attacks are what docs/security.md has to have a row for, in its sections: words of the row's first cell.
var attacks = map[string][]string{
	"Tokens and scopes": {"no token", "an empty one", "in the query", "off by a byte", "scopes"},
	"Browsers":          {"Host tricks", "Origin tricks", "content types", "method overrides"},
	"Names and bodies":  {"`..`", "%2e", "empty", "64 KiB", "RTL", "invalid UTF-8", "CRLF and NUL", "JSON bombs", "malformed requests"},
	"Exhaustion":        {"slow connections, 5,000", "event-stream readers that never read, 10,000", "schedule bombs"},
	"Callbacks": {
		"decimal", "hex", "v4-mapped", "localhost.", "169.254.169.254", "a resolver that rebinds", "redirect chains", "endless", "headers", "slow", "a gzip bomb",
	},
	"Commands":   {"argument injection", "environment leaks", "descriptor leaks", "NUL"},
	"Secrets":    {"secrets in the log", "metrics", "dump", "a backup"},
	"Signatures": {"replay", "rotation"},
}

// TestDocs_AttacksAreTried holds docs/security.md to the tests of this tree.
func TestDocs_AttacksAreTried(t *testing.T) {
	root := clone(t)
	sources := map[string]string{}
	for _, name := range walk(t, root, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			sources[filepath.ToSlash(name)] = readFile(t, filepath.Join(root, name))
		}
	}
	tests, err := triedIn(sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range untried(readFile(t, filepath.Join(root, "docs", "security.md")), attacks, tests) {
		t.Errorf("docs/security.md: %s", problem)
	}
}

// A tried is what a package's tests are made of.
type tried struct {
	tests map[string]bool // their names
	words map[string]bool // texts that a case could be named by
}

// triedIn returns the tests of each package, by its directory.
func triedIn(sources map[string]string) (map[string]tried, error) {
	all := map[string]tried{}
	for name, text := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		dir := path.Dir(name)
		if all[dir].tests == nil {
			all[dir] = tried{tests: map[string]bool{}, words: map[string]bool{}}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					all[dir].tests[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					all[dir].words[strings.ReplaceAll(s, " ", "_")] = true
				}
			}
			return true
		})
	}
	return all, nil
}

var (
	attackRow  = regexp.MustCompile(`^\| (.+) \| (.+) \| (.+) \|$`)
	attackTest = regexp.MustCompile("`([\\w/.]+): ((?:Test|Fuzz)\\w+)(?:/([^`]+))?`")
)

// untried returns what is wrong with the document: attacks that have no row, rows without a test, tests that are not there.
func untried(doc string, attacks map[string][]string, tests map[string]tried) []string {
	var problems []string
	rows := map[string]string{} // the first cells of each section
	section := ""
	for line := range strings.Lines(doc) {
		line = strings.TrimSuffix(line, "\n")
		if title, ok := strings.CutPrefix(line, "### "); ok {
			section = title
			continue
		}
		m := attackRow.FindStringSubmatch(line)
		if m == nil || section == "" || m[3] == "test" || strings.HasPrefix(m[1], "---") {
			continue
		}
		rows[section] += m[1] + "\n"
		links := attackTest.FindAllStringSubmatch(m[3], -1)
		if len(links) == 0 {
			problems = append(problems, fmt.Sprintf("%s: %q names no test", section, m[1]))
		}
		for _, l := range links {
			if p := tests[l[1]]; !p.tests[l[2]] || l[3] != "" && !p.words[l[3]] {
				problems = append(problems, fmt.Sprintf("%s: %q: there is no %s", section, m[1], l[0]))
			}
		}
	}
	for _, section := range slices.Sorted(maps.Keys(attacks)) {
		for _, attack := range attacks[section] {
			if !strings.Contains(rows[section], attack) {
				problems = append(problems, fmt.Sprintf("%s: no row for %q", section, attack))
			}
		}
	}
	return problems
}

func TestUntried(t *testing.T) {
	tests, err := triedIn(map[string]string{"a/b/c_test.go": "package b\nfunc TestOne(t *testing.T) { t.Run(\"a case\", nil) }\nfunc (s) TestTwo() {}\n"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"Doors": {"a kick", "a key"}}
	good := "### Doors\n\n| attack | what | test |\n|---|---|---|\n| a kick | holds | `a/b: TestOne` |\n| a key | turns | `a/b: TestOne/a_case` |\n"
	for _, tt := range []struct {
		name, doc string
		want      []string
	}{
		{"as it should be", good, nil},
		{"an attack without a row", strings.Replace(good, "a key", "a lock", 1), []string{`Doors: no row for "a key"`}},
		{"a row in another section", strings.Replace(good, "| a key", "### Windows\n\n| a key", 1), []string{`Doors: no row for "a key"`}},
		{"a row without a test", strings.Replace(good, "`a/b: TestOne` ", "later ", 1), []string{`Doors: "a kick" names no test`}},
		{"another package", strings.Replace(good, "a/b: TestOne`", "a/c: TestOne`", 1), []string{"Doors: \"a kick\": there is no `a/c: TestOne`"}},
		{"a method", strings.Replace(good, "TestOne`", "TestTwo`", 1), []string{"Doors: \"a kick\": there is no `a/b: TestTwo`"}},
		{"another case", strings.Replace(good, "a_case", "b_case", 1), []string{"Doors: \"a key\": there is no `a/b: TestOne/b_case`"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, untried(tt.doc, want, tests)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

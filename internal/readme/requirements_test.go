package readme_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ids is how many requirements of each document there are; they are numbered from 1 without gaps.
var ids = []struct {
	letter string
	n      int
}{{"E", 18}, {"D", 20}, {"F", 29}, {"P", 36}, {"J", 31}, {"X", 75}}

// rules are the rules of the contract.
var rules = strings.Fields("A1 A2 A3 A4 A5 A6 A7 B1 B2 B3 B4 C1 C2 C3 C4 C5 C6 D1 D2 D3 D4 D5 D6 E1 E2 " +
	"E3 E4 E5 F1 F2 F3 G1 G2 G3 G4 G5 H1 H2 H3 H4 I1 I2 I3 I4 I5 I6 J1 J2 J3 K1 K2")

// TestDocs_RequirementsAreMet holds docs/requirements.md to the tests of this tree.
func TestDocs_RequirementsAreMet(t *testing.T) {
	root := clone(t)
	tests := map[string]carried{}
	for _, name := range walk(t, root, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			found, err := testsOf(filepath.ToSlash(name), readFile(t, filepath.Join(root, name)))
			if err != nil {
				t.Fatal(err)
			}
			for test, contract := range found {
				tests[filepath.ToSlash(name)+" "+test] = contract
			}
		}
	}
	var want []string
	for _, d := range ids {
		for i := range d.n {
			want = append(want, fmt.Sprintf("%s%02d", d.letter, i+1))
		}
	}
	for _, problem := range unmet(readFile(t, filepath.Join(root, "docs", "requirements.md")), want, rules, tests) {
		t.Errorf("docs/requirements.md: %s", problem)
	}
}

// carried are the rules in the contract comments of a test.
type carried []string

var (
	tableRow = regexp.MustCompile(`^\| ([A-Z]\d{1,2}) \|.*\| ([^|]*) \|$`)
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z_]\w*`)
	testLink = regexp.MustCompile(`\[(\w+)\]\(\.\./([^()\s]+_test\.go)\)`)
	// contract is a comment as "contract: C1 and C6" or "contract: A3, A4. More of it".
	contract = regexp.MustCompile(`contract: ([A-K]\d(?:(?:, and|,| and) [A-K]\d)*)\b`)
	rule     = regexp.MustCompile(`[A-K]\d`)
)

// unmet returns what is wrong with the document: ids that are not there exactly once, rows that nothing meets, and tests
// that do not exist where the link says, or that do not carry the rule that they are named for. The keys of tests are file
// and name.
func unmet(doc string, ids, rules []string, tests map[string]carried) []string {
	var problems []string
	rows := map[string]int{}
	for line := range strings.Lines(doc) {
		id, cell := "", ""
		if m := tableRow.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			id, cell = m[1], m[2]
			rows[id]++
		}
		links := testLink.FindAllStringSubmatch(line, -1)
		for _, l := range links {
			contract, ok := tests[l[2]+" "+l[1]]
			switch {
			case !ok:
				problems = append(problems, fmt.Sprintf("%s: no %s in %s", id, l[1], l[2]))
			case slices.Contains(rules, id) && !slices.Contains(contract, id):
				problems = append(problems, fmt.Sprintf("%s: %s has no comment // contract: %s", id, l[1], id))
			}
		}
		if n := len(testName.FindAllString(testLink.ReplaceAllString(line, ""), -1)); n > 0 {
			problems = append(problems, fmt.Sprintf("%s: %d tests are named without a link", id, n))
		}
		later := strings.HasPrefix(cell, "with ") || strings.HasPrefix(cell, "in its sense: ")
		if id != "" && len(links) == 0 && (slices.Contains(rules, id) || !later) {
			problems = append(problems, fmt.Sprintf("%s: %q names no test", id, cell))
		}
	}
	for _, id := range slices.Concat(ids, rules) {
		if rows[id] != 1 {
			problems = append(problems, fmt.Sprintf("%s has %d rows, want 1", id, rows[id]))
		}
		delete(rows, id)
	}
	for id := range rows {
		problems = append(problems, id+" is no requirement and no rule")
	}
	return problems
}

// testsOf returns the tests of a file, with the rules that they carry.
func testsOf(name, text string) (map[string]carried, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	tests := map[string]carried{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || testName.FindString(f.Name.Name) != f.Name.Name || f.Name.Name == "TestMain" {
			continue
		}
		begin := f.Pos()
		if f.Doc != nil {
			begin = f.Doc.Pos()
		}
		tests[f.Name.Name] = nil
		for _, c := range file.Comments {
			if c.Pos() < begin || c.End() > f.End() {
				continue
			}
			for _, m := range contract.FindAllStringSubmatch(c.Text(), -1) {
				tests[f.Name.Name] = append(tests[f.Name.Name], rule.FindAllString(m[1], -1)...)
			}
		}
	}
	return tests, nil
}

func TestUnmet(t *testing.T) {
	tests := map[string]carried{"a/b_test.go TestOne": {"C1"}, "a/b_test.go TestTwo": nil}
	file := "(../" + path.Join("a", "b_test.go") + ")"
	good := "| E01 | once | `x` | [TestTwo]" + file + " |\n| E02 | | | with wait |\n| C1 | never early | [TestOne]" + file + " |\n"
	for _, tt := range []struct {
		name, doc string
		want      []string
	}{
		{"as it should be", good, nil},
		{"in its sense", strings.Replace(good, "with wait", "in its sense: so", 1), nil},
		{"a row is missing", strings.Replace(good, "| E02 |", "- E02", 1), []string{"E02 has 0 rows, want 1"}},
		{"a row is twice", good + "| E02 | | | with wait |\n", []string{"E02 has 2 rows, want 1"}},
		{"an unknown row", good + "| E99 | | | with wait |\n", []string{"E99 is no requirement and no rule"}},
		{"no test", strings.Replace(good, "with wait", "no test yet", 1), []string{`E02: "no test yet" names no test`}},
		{
			"a rule for later", strings.Replace(good, "[TestOne]"+file, "with wait", 1),
			[]string{`C1: "with wait" names no test`},
		},
		{"a test that is not there", strings.Replace(good, "[TestTwo]", "[TestThree]", 1), []string{"E01: no TestThree in a/b_test.go"}},
		{"a test elsewhere", strings.Replace(good, file, "(../c_test.go)", 1), []string{"E01: no TestTwo in c_test.go"}},
		{"a test without a link", good + "See TestOne.\n", []string{": 1 tests are named without a link"}},
		{"another rule", strings.Replace(good, "[TestOne]", "[TestTwo]", 1), []string{"C1: TestTwo has no comment // contract: C1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, unmet(tt.doc, []string{"E01", "E02"}, []string{"C1"}, tests)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTestsOf(t *testing.T) {
	got, err := testsOf("x_test.go", `package x

// contract: A3, A4, and B1 — and never C9.
func TestRules(t *testing.T) {
	// contract: C1 and C6. Invariant 3.
}

// contract: K1
func helper() {}

func (s) TestMethod() {}

func Test_plain(t *testing.T) {}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]carried{"TestRules": {"A3", "A4", "B1", "C1", "C6"}, "Test_plain": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
}

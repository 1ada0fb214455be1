package storetest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocument_ShowsTheCodeThatRan: docs/writing-a-store.md shows the journal piece by piece, and leaves out no piece of it.
func TestDocument_ShowsTheCodeThatRan(t *testing.T) {
	code, err := os.ReadFile("storetest_journal_test.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/writing-a-store.md")
	if err != nil {
		t.Fatal(err)
	}
	pieces := regexp.MustCompile(`(?s)// doc: (\w+)\n\n(.*?)\n\n// doc: end\n`).FindAllStringSubmatch(string(code), -1)
	if len(pieces) < 5 {
		t.Fatalf("%d pieces in the code, want its marks", len(pieces))
	}
	shown := string(doc)
	for _, p := range pieces {
		block := "```go\n" + p[2] + "\n```\n"
		if !strings.Contains(shown, block) {
			t.Errorf("the document does not show the piece %q as it is:\n%s", p[1], block)
		}
		shown = strings.Replace(shown, block, "", 1)
	}
	for _, name := range regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(\w+)`).FindAllStringSubmatch(shown, -1) {
		if name[1] != "TestContract" {
			t.Errorf("the document shows %s, which is no piece of the code", name[1])
		}
	}
}

package store_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
)

// TestStates_document compares the table of docs/states.md with Arrows, and looks for every state and verb in its drawing.
func TestStates_document(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "docs", "states.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	rows := regexp.MustCompile(`(?m)^\| (\w+) \| (\w+) \| (\w+) \| (.+) \|$`).FindAllStringSubmatch(text, -1)
	var got, want []string
	for _, r := range rows {
		if r[1] == "from" {
			continue
		}
		got = append(got, strings.Join(r[1:], " | "))
	}
	for _, a := range store.Arrows() {
		want = append(want, strings.Join([]string{a.From.String(), a.To.String(), a.Verb.String(), a.When}, " | "))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/states.md and Arrows (-Arrows +document):\n%s", d)
	}
	drawing, _, ok := strings.Cut(text[strings.Index(text, "```")+3:], "```")
	if !ok {
		t.Fatal("docs/states.md has no drawing")
	}
	for _, a := range store.Arrows() {
		for _, word := range []string{a.From.String(), a.To.String(), a.Verb.String()} {
			if !regexp.MustCompile(`\b` + word + `\b`).MatchString(drawing) {
				t.Errorf("the drawing lacks %q", word)
			}
		}
	}
}

// TestLegal tells every arrow from all that are none.
func TestLegal(t *testing.T) {
	arrows := map[[3]int]bool{}
	for _, a := range store.Arrows() {
		id := [3]int{int(a.From), int(a.To), int(a.Verb)}
		if arrows[id] {
			t.Errorf("%v to %v by %v is there twice", a.From, a.To, a.Verb)
		}
		arrows[id] = true
	}
	for from := store.None; from <= store.Skipped+1; from++ {
		for to := store.None; to <= store.Skipped+1; to++ {
			for v := store.Verb(0); v <= store.VerbAlign+1; v++ {
				if got, want := store.Legal(from, to, v), arrows[[3]int{int(from), int(to), int(v)}]; got != want {
					t.Errorf("%v to %v by %v: legal %t, want %t", from, to, v, got, want)
				}
			}
		}
	}
}

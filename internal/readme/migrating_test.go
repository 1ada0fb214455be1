package readme_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/readme"
)

// TestDocs_MigratingCompiles finds what the pages of docs/migrating show of duly again in programs that are built and tested. What they
// show of others is text: their modules are none of ours.
func TestDocs_MigratingCompiles(t *testing.T) {
	root := clone(t)
	var sources []readme.Source
	for _, s := range sourcesOf(t, root) {
		if strings.HasPrefix(s.Name, "examples/") {
			sources = append(sources, s)
		}
	}
	pages := walk(t, filepath.Join(root, "docs", "migrating"), ".md")
	if len(pages) < 5 {
		t.Errorf("%d pages, want one for each of the five that people come from", len(pages))
	}
	for _, name := range pages {
		blocks, err := readme.Blocks(readFile(t, filepath.Join(root, "docs", "migrating", name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown := 0
		for _, b := range blocks {
			if b.Lang == "sh" && strings.Contains(b.Text, "duly ") {
				shown++ // where people come from another command; the scripts of cmd/duly type such lines
			}
			if b.Lang != "go" {
				continue
			}
			shown++
			if _, _, err := readme.Origin(b.Text, sources); err != nil {
				t.Errorf("%s:%d: in no program below examples: %v", name, b.Line, err)
			}
		}
		if shown == 0 {
			t.Errorf("%s shows nothing of duly", name)
		}
	}
}

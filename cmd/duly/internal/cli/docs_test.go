package cli

import (
	goflag "flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

var update = goflag.Bool("update", false, "write what docs/cli.md shows of the commands")

// TestDocs_Commands holds docs/cli.md to the help of the commands: below its mark it is written by this test, with -update.
func TestDocs_Commands(t *testing.T) {
	path, text := document(t, "cli.md")
	const mark = "<!-- What follows is the help of the commands, written by: go test ./internal/cli -run TestDocs_Commands -update -->\n"
	head, tail, ok := strings.Cut(text, mark)
	if !ok {
		t.Fatalf("docs/cli.md has no line %q", mark)
	}
	want := commandsText(t)
	if diff := cmp.Diff(want, tail); diff != "" && !*update {
		t.Errorf("docs/cli.md (-help +document), to be written with -update:\n%s", diff)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range visible(t) {
		if link := "(#" + anchor(cmd) + ")"; !strings.Contains(head, link) {
			t.Errorf("the overview of docs/cli.md has no link %s", link)
		}
	}
}

// visible are the commands that help lists.
func visible(t *testing.T) []*cobra.Command {
	t.Helper()
	root := newRoot(newSession(Process{Now: time.Now}))
	var list []*cobra.Command
	for _, cmd := range root.Commands() {
		if !cmd.Hidden && cmd.Name() != "help" {
			list = append(list, cmd)
		}
	}
	slices.SortFunc(list, func(a, b *cobra.Command) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

func anchor(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// commandsText is what docs/cli.md shows of the commands.
func commandsText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	var root *cobra.Command
	for _, cmd := range visible(t) {
		root = cmd.Root()
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```sh\n%s\n```\n", cmd.CommandPath(), cmd.Short, unindent(cmd.Example))
		fmt.Fprintf(&b, "\n```text\n%s\n", cmd.UseLine())
		if cmd.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(cmd.Long))
		}
		flags := cmd.LocalNonPersistentFlags()
		flags.SortFlags = cmd.Flags().SortFlags
		if flags := flags.FlagUsages(); flags != "" {
			fmt.Fprintf(&b, "\n%s", flags)
		}
		b.WriteString("```\n")
	}
	fmt.Fprintf(&b, "\n## The flags of every command\n\n```text\n%s```\n", root.PersistentFlags().FlagUsages())
	return b.String()
}

// unindent takes off the blanks by which help indents an example.
func unindent(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, "\n  ", "\n"), "  ")
}

// TestHelp_Examples holds the examples to the commands: each line is one that the command would parse.
func TestHelp_Examples(t *testing.T) {
	for _, cmd := range visible(t) {
		lines := 0
		for line := range strings.SplitSeq(unindent(cmd.Example), "\n") {
			if !strings.Contains(line, "duly "+cmd.Name()) {
				continue
			}
			lines++
			for _, word := range regexp.MustCompile(`(^| )--?([a-zA-Z][a-z-]*)`).FindAllStringSubmatch(strings.Split(line, " -- ")[0], -1) {
				known := cmd.Flags().Lookup(word[2]) != nil || cmd.InheritedFlags().Lookup(word[2]) != nil
				if len(word[2]) == 1 {
					known = cmd.Flags().ShorthandLookup(word[2]) != nil
				}
				if !known {
					t.Errorf("%s: the example %q has a flag %q that the command does not have", cmd.CommandPath(), line, word[2])
				}
			}
		}
		if lines == 0 {
			t.Errorf("%s: the example does not use it", cmd.CommandPath())
		}
	}
}

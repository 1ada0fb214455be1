package figures

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// observations is the heading from which on a report file belongs to the people who read the figures.
const observations = "## Observations"

// WriteReport writes text to the file at path, in a folder that need not exist yet, and keeps what the file has under
// Observations. Errors are those of the file system, with what was done.
func WriteReport(path, text string) error {
	kept := observations + "\n\nNone yet.\n"
	if old, err := os.ReadFile(path); err == nil {
		if i := bytes.Index(old, []byte(observations+"\n")); i >= 0 {
			kept = string(old[i:])
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder of report: %w", err)
	}
	if err := os.WriteFile(path, []byte(text+kept), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Arguments gives the command's arguments that change what is measured, so not where the report goes.
func Arguments(all []string) string {
	var args []string
	for i := 0; i < len(all); i++ {
		flag := strings.TrimLeft(all[i], "-")
		switch {
		case flag == "out":
			i++ // and its value
		case !strings.HasPrefix(flag, "out="):
			args = append(args, all[i])
		}
	}
	if len(args) == 0 {
		return "(none)"
	}
	return strings.Join(args, " ")
}

// Chosen reads a flag such as "a,b" that limits a run to some of the known names, and refuses others with an error that calls
// them what; nil means all.
func Chosen(what, text string, known []string) (map[string]bool, error) {
	if text == "" {
		return nil, nil
	}
	set := make(map[string]bool)
	for part := range strings.SplitSeq(text, ",") {
		name := strings.TrimSpace(part)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s %q: want one of %s", what, name, strings.Join(known, ", "))
		}
		set[name] = true
	}
	return set, nil
}

// A Table is lines of cells, all of the same length. The first one is the heading, which must be there.
type Table [][]string

// Markdown gives the table for a file, with an empty line behind it.
func (t Table) Markdown() string {
	var b strings.Builder
	for i, line := range t {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(line)))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// Aligned gives the table for a terminal, with an empty line behind it.
func (t Table) Aligned() string {
	widths := make([]int, len(t[0]))
	for _, line := range t {
		for i, text := range line {
			widths[i] = max(widths[i], len(text))
		}
	}
	var b strings.Builder
	for _, line := range t {
		var cells strings.Builder
		for i, text := range line {
			fmt.Fprintf(&cells, "%-*s  ", widths[i], text)
		}
		fmt.Fprintln(&b, " ", strings.TrimRight(cells.String(), " "))
	}
	b.WriteString("\n")
	return b.String()
}

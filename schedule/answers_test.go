package schedule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write into testdata/*.txt what texts are answered with, to be reviewed as a difference")

// What a text is answered with is held whole: where the mistake is and what would be right, or what it means in words, its canonical form
// after =, its warnings after !, and when it is due in 2026, on either side of its beginning.
//
// In the files a text begins its line, quoted where it must be, and what is indented below it is the answer.
//
// contract: A6.
func TestAnswers(t *testing.T) {
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		t.Skipf("no time zone database on this machine: %v", err)
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "\t") {
				continue
			}
			fmt.Fprintln(&out, line)
			if line == "" || line[0] == '#' {
				continue
			}
			text := line
			if line[0] == '"' {
				if text, err = strconv.Unquote(line); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
			for _, a := range answer(text) {
				fmt.Fprintf(&out, "\t%s\n", a)
			}
		}
		if *rewrite {
			if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(strings.Split(string(b), "\n"), strings.Split(out.String(), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// answer is what a text is answered with, line by line.
func answer(text string) (lines []string) {
	s, err := Parse(text)
	if err != nil {
		return []string{strings.NewReplacer(formsWant, "(forms)", fieldsWant, "(fields)").Replace(strings.TrimPrefix(err.Error(), "schedule: "))}
	}
	if s.kind.civil() && !strings.HasPrefix(text, s.kind.String()) {
		return []string{"= " + s.String()} // in plain words, or an interval: what it is read as says the rest
	}
	lines = append(lines, s.Words())
	if canonical := s.String(); canonical != text {
		lines = append(lines, "= "+canonical)
	}
	for _, w := range s.Warnings() {
		lines = append(lines, "! "+w)
	}
	if !s.kind.civil() && s.kind != KindUnion {
		return lines
	}
	const layout = "2006-01-02T15:04:05.999999999"
	from, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	r := s.Bind("report", time.Time{})
	due := []string{"|"}
	if at := r.Prev(from); !at.IsZero() {
		due = []string{at.Format(layout), "|"}
	}
	at := from.Add(-1)
	for range 3 {
		if at = r.Next(at); at.IsZero() {
			break
		}
		due = append(due, at.Format(layout))
	}
	return append(lines, fmt.Sprintf("%s, %d in the year", strings.Join(due, " "), r.Count(from.Add(-1), end.Add(-1))))
}

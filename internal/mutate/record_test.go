//go:build unix

package mutate_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A result is what a run has found about a target.
type result struct {
	target        string
	total, broken int
	fates         []*fate
	verdicts      map[string]verdict
	seed          uint64
	commit        string
	at            time.Time
	took          time.Duration
	before        *earlier // what the run goes on from
}

// earlier is what a record says of a target, for a run that puts its survivors before tests again: before those that are new since.
type earlier struct {
	score

	total     int
	paragraph string
	reached   map[string]int // of those that are listed, by id
}

// A score is a result in numbers.
type score struct{ sample, equivalent, killed, slow, survived, unreached int }

func (r *result) score() (s score) {
	if r.before != nil {
		s.sample, s.killed, s.slow = r.before.killed, r.before.killed, r.before.slow
	}
	for _, f := range r.fates {
		s.sample++
		switch {
		case f.killed:
			s.killed++
			if f.slow {
				s.slow++
			}
		case r.verdicts[f.id].equivalent:
			s.equivalent++
		default:
			s.survived++
			if f.reached == 0 {
				s.unreached++
			}
		}
	}
	return s
}

// rate is the part of the mutants that can be told from the code that was killed, in percent, with Wilson's interval for
// what it is of all, at 95 %.
func (s score) rate() (rate, low, high float64) {
	n := float64(s.sample - s.equivalent)
	if n == 0 {
		return 0, 0, 0
	}
	const z = 1.96
	p := float64(s.killed) / n
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return 100 * p, 100 * (middle - half), 100 * (middle + half)
}

const recordHead = `# Mutation check

Written by ` + "`make mutate`" + ` (package ` + "`internal/mutate`" + `), which replaces what it has run for. Each package is changed in small ways, one at a
time, and the tests that reach the change are run, the quickest first. A mutant is killed when one of them fails, or takes more than four times
as long and five seconds while without the mutant it does not. The rest has survived: tests that take 20 s of a processor don't see it. What was changed and what not is
in the package's comment. The rate is that of a sample, drawn by a seed, with the interval that holds the rate of all mutants with 95 %. A mutant that nothing
can tell from the code is excluded one by one, by its name and with a reason. Such are counted as equivalent.

| package | mutants | of them drawn | equivalent | killed | by time | survived | reached by no test | killed of what can be | interval |
|---|---|---|---|---|---|---|---|---|---|
`

func (r *result) row() string {
	s := r.score()
	rate, low, high := s.rate()
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %.1f %% | %.1f to %.1f %% |\n", r.target, r.total, s.sample, s.equivalent, s.killed, s.slow, s.survived, s.unreached, rate, low, high)
}

func (r *result) section() string {
	var b strings.Builder
	when := r.at.UTC().Format("2006-01-02 15:04 UTC") + ", of commit " + r.commit
	if r.before != nil {
		fmt.Fprintf(&b, "\n## %s\n\n%s Those that had survived met newer tests on %s. Such are written with them in view: what the sample says of all mutants is what it said before.\n",
			r.target, r.before.paragraph, when)
	} else {
		fmt.Fprintf(&b, "\n## %s\n\nOn %s, in %s, with seed %d, %d of %d were killed. %d more mutants do not compile.\n",
			r.target, when, r.took.Round(time.Second), r.seed, r.score().killed, len(r.fates), r.broken)
	}
	for _, equivalent := range []bool{false, true} {
		var list strings.Builder
		for _, f := range r.fates {
			v := r.verdicts[f.id]
			if f.killed || v.equivalent != equivalent {
				continue
			}
			why := v.reason
			if why == "" {
				why = "Open."
			}
			fmt.Fprintf(&list, "- `%s` (line %s, reached by %d tests). %s\n", listedAs(f.id), f.where[strings.LastIndex(f.where, ":")+1:], f.reached, why)
		}
		if list.Len() > 0 {
			head := map[bool]string{false: "Survived", true: "Equivalent"}[equivalent]
			b.WriteString("\n" + head + ":\n\n" + list.String())
		}
	}
	return b.String()
}

// record puts results into the file, in the order of the targets, and leaves what it says of other targets.
func record(name string, results []*result) error {
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var rows, sections strings.Builder
	for _, of := range targets {
		row, section := kept(string(old), of.name)
		for _, r := range results {
			if r.target == of.name {
				row, section = r.row(), r.section()
			}
		}
		rows.WriteString(row)
		sections.WriteString(section)
	}
	return os.WriteFile(name, []byte(recordHead+rows.String()+sections.String()), 0o644)
}

// kept is what a record says of a target.
func kept(old, target string) (row, section string) {
	for line := range strings.Lines(old) {
		if strings.HasPrefix(line, "| "+target+" |") {
			row = line
		}
	}
	if _, after, ok := strings.Cut(old, "\n## "+target+"\n"); ok {
		if next := strings.Index(after, "\n## "); next >= 0 {
			after = after[:next]
		}
		section = "\n## " + target + "\n" + after
	}
	return row, section
}

var (
	rowNumbers = regexp.MustCompile(`^\| \S+ \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|`)
	listed     = regexp.MustCompile("(?m)^- `(.*)` \\(line \\d+, reached by (\\d+) tests\\)")
)

// readEarlier reads what a record says of a target.
func readEarlier(name, target string) (*earlier, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	row, section := kept(string(text), target)
	numbers := rowNumbers.FindStringSubmatch(row)
	paragraph, _, ok := strings.Cut(strings.TrimPrefix(section, "\n## "+target+"\n\n"), "\n")
	if numbers == nil || !ok {
		return nil, fmt.Errorf("%s says nothing of %s", name, target)
	}
	paragraph, _, _ = strings.Cut(paragraph, " Those that had survived")
	e := &earlier{paragraph: paragraph, reached: map[string]int{}}
	for i, into := range []*int{&e.total, &e.sample, &e.equivalent, &e.killed, &e.slow} {
		*into, _ = strconv.Atoi(numbers[i+1]) // they are digits
	}
	for _, l := range listed.FindAllStringSubmatch(section, -1) {
		e.reached[l[1]], _ = strconv.Atoi(l[2])
	}
	return e, nil
}

// listedAs is an id as the record has it.
func listedAs(id string) string { return strings.ReplaceAll(id, "`", "'") }

func commit(root string) string {
	cmd := exec.Command("git", "rev-parse", "--short", "HEAD")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

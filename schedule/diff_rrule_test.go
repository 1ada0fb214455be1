//go:build diff

package schedule_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const readingForm = "20060102T150405"

// A recurQuestion is one case, in the form that internal/diffrrule/answer.py reads.
type recurQuestion struct {
	ID    int    `json:"id"`
	Rule  string `json:"rule"`
	Start string `json:"start"`
	End   string `json:"end"`
	N     int    `json:"n"`

	start, end time.Time
}

func (q recurQuestion) String() string {
	return fmt.Sprintf("%s from %s to %s", q.Rule, q.Start, q.End)
}

// A recurAnswer is a line of what it writes.
type recurAnswer struct {
	ID      int      `json:"id"`
	At      []string `json:"at"`
	Error   string   `json:"error"`
	Over    bool     `json:"over"` // its time was
	Version string   `json:"version"`
}

// askDateutil puts the questions to it.
func askDateutil(t *testing.T, questions []recurQuestion) (answers []recurAnswer) {
	t.Helper()
	var in bytes.Buffer
	e := json.NewEncoder(&in)
	for _, q := range questions {
		if err := e.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("python3", "answer.py")
	cmd.Dir = filepath.Join("..", "internal", "diffrrule")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ask dateutil, of the package python3-dateutil: %v", err)
	}
	scan := bufio.NewScanner(bytes.NewReader(out))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var a recurAnswer
		if err := json.Unmarshal(scan.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		if a.Version != "" {
			t.Log(a.Version)
			continue
		}
		answers = append(answers, a)
	}
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

// recurLiberties are the ways in which dateutil reads a rule otherwise than we do. Their names are those of the rules in docs/schedules.md.
var recurLiberties = []struct {
	name string
	take func(n *naiveRule)
}{
	{"set-positions", func(n *naiveRule) { n.weekFromStart = true }},
	{"weeks-around-the-new-year", func(n *naiveRule) { n.ownWeekOnly = true }},
	{"days-add", func(n *naiveRule) { n.daysTogether = true }},
}

// ours gives the readings of the schedule that a question asks for; with says which liberties the oracle takes.
func (q recurQuestion) ours() (at []string, refused error) {
	s := recurring(q.Rule, q.start)
	if s.Err() != nil && !s.Never() {
		return nil, s.Err()
	}
	r := s.Bind("", time.Time{})
	for next := r.First(); !next.IsZero() && !next.After(q.end) && len(at) < q.N; next = r.Next(next) {
		at = append(at, next.Format(readingForm))
	}
	return at, nil
}

func (q recurQuestion) with(liberties int) (at []string) {
	n := readNaiveRule(q.Rule, q.start.Unix())
	for i, l := range recurLiberties {
		if liberties>>i&1 == 1 {
			l.take(n)
		}
	}
	n.readings(q.end.Unix(), func(c int64) bool {
		at = append(at, time.Unix(c, 0).UTC().Format(readingForm))
		return len(at) < q.N
	})
	return at
}

// compare gives the reason for which dateutil differs, what begins with "agrees", or with "unexplained".
func (q recurQuestion) compare(a recurAnswer) string {
	ours, refused := q.ours()
	switch {
	case refused != nil:
		return "unexplained: we refuse"
	case a.Over:
		return "no answer in 0.1 s"
	case a.Error != "" && len(ours) == 0:
		return "agrees: never"
	case strings.HasPrefix(a.Error, "IndexError"): // dateutil's own, of numbers in BYDAY beyond the month
		return "differs: what-exists-is-found"
	case a.Error != "":
		return "unexplained: it refuses"
	case slices.Equal(ours, a.At):
		return "agrees"
	}
	for liberties := 1; liberties < 1<<len(recurLiberties); liberties++ {
		if !slices.Equal(q.with(liberties), a.At) {
			continue
		}
		var names []string
		for i, l := range recurLiberties {
			if liberties>>i&1 == 1 {
				names = append(names, l.name)
			}
		}
		return "differs: " + strings.Join(names, ", ")
	}
	return "unexplained: occurrences"
}

// horizons, in years, bound the search of dateutil, which goes through all periods.
var horizons = map[string]int{"YEARLY": 24, "MONTHLY": 12, "WEEKLY": 6, "DAILY": 4, "HOURLY": 1, "MINUTELY": 0, "SECONDLY": 0}

// Fresh random cases, put to ours and to dateutil: every disagreement has a reason that is written down. DIFF_CASES
// says how many, DIFF_SEED which.
func TestDiffRRule(t *testing.T) {
	cases, seed := int(envInt("DIFF_CASES", 100_000)), uint64(envInt("DIFF_SEED", time.Now().UnixNano()))
	t.Logf("%d cases; again with DIFF_SEED=%d", cases, seed)
	w := ruleWriter{rand.New(rand.NewPCG(seed, 3)), true}
	questions := make([]recurQuestion, cases)
	for i := range questions {
		q := recurQuestion{ID: i, N: 12, start: w.start()}
		q.Rule = w.rule(q.start)
		freq, _, _ := strings.Cut(strings.TrimPrefix(q.Rule, "FREQ="), ";")
		switch q.end = q.start.AddDate(horizons[freq], 0, 0); freq {
		case "MINUTELY":
			q.end = q.start.AddDate(0, 0, 40)
		case "SECONDLY":
			q.end = q.start.AddDate(0, 0, 2)
		}
		q.Start, q.End = q.start.Format(readingForm), q.end.Format(readingForm)
		// It searches for one more to the end of time, so that it is asked for one more only where it knows that there is none.
		ours, _ := q.ours()
		if q.N = max(len(ours), 1); strings.Contains(q.Rule, "COUNT=") {
			q.N++
		}
		questions[i] = q
	}
	text, err := os.ReadFile(filepath.Join("..", "docs", "schedules.md"))
	if err != nil {
		t.Fatal(err)
	}
	counts, unexplained := tally{}, 0
	for i, a := range askDateutil(t, questions) {
		q := questions[i]
		why := q.compare(a)
		counts[why]++
		if strings.HasPrefix(why, "unexplained") {
			if unexplained++; unexplained <= 20 {
				ours, err := q.ours()
				t.Errorf("%s %v: ours %v %v, theirs %v %s", why, q, ours, err, a.At, a.Error)
			}
		}
	}
	counts.log(t, "dateutil")
	for why := range counts {
		if _, rules, ok := strings.Cut(why, "differs: "); ok {
			for rule := range strings.SplitSeq(rules, ", ") {
				if !strings.Contains(string(text), "**"+rule+"**") {
					t.Errorf("docs/schedules.md has no rule **%s**", rule)
				}
			}
		}
	}
}

//go:build diff

package schedule_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const readingForm = "20060102T150405"

// A recurQuestion is one case, in the form that the programs in internal/diffrrule read.
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

func (a recurAnswer) program() string { return a.Version }

// recurLiberties are the ways in which others read a rule otherwise than we do. Their names are those of the rules in docs/schedules.md.
var recurLiberties = []recurLiberty{
	{"set-positions", func(n *naiveRule) { n.weekFromStart = true }, nil},
	{"weeks-around-the-new-year", func(n *naiveRule) { n.ownWeekOnly = true }, nil},
	{"days-add", func(n *naiveRule) { n.daysTogether = true }, nil},
	{"positions-that-are", func(n *naiveRule) { n.positions = anyPositions }, nil},
	{"easter", func(*naiveRule) {}, easterEveryYear},
	{"intervals-keep-their-phase", func(n *naiveRule) { n.steps = (*naiveRule).carried }, nil},
}

type recurLiberty struct {
	name string
	take func(n *naiveRule)
	rule func(rule string) string // nil: as it is
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
	rule := q.Rule
	for i, l := range recurLiberties {
		if liberties>>i&1 == 1 && l.rule != nil {
			rule = l.rule(rule)
		}
	}
	n := readNaiveRule(rule, q.start.Unix())
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

// compare gives the reason for which another package differs, what begins with "agrees", or with "unexplained".
func (p recurPeer) compare(q recurQuestion, a recurAnswer) string {
	ours, refused := q.ours()
	switch {
	case refused != nil:
		return "unexplained: we refuse"
	case a.Over:
		return "no answer in 0.1 s"
	case a.Error != "" && len(ours) == 0:
		return "agrees: never"
	case p.fails != "" && strings.HasPrefix(a.Error, p.fails):
		return "differs: what-exists-is-found"
	case a.Error != "":
		return "unexplained: it refuses"
	case slices.Equal(ours, a.At):
		return "agrees"
	}
	for _, liberties := range p.liberties() {
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

// recurPeers are the packages that are asked.
var recurPeers = []recurPeer{
	{"dateutil", "the package python3-dateutil", []string{"python3", "answer.py"}, "IndexError", 3}, // of numbers in BYDAY beyond the month
	{"rrule", "node, and npm ci there", []string{"node", "answer.mjs"}, "", len(recurLiberties)},
}

type recurPeer struct {
	name, needs string
	command     []string
	fails       string // what its own mistakes begin with
	takes       int    // so many of recurLiberties
}

// liberties are the sets of those that it may take, the smallest first.
func (p recurPeer) liberties() (sets []int) {
	for set := 1; set < 1<<p.takes; set++ {
		sets = append(sets, set)
	}
	slices.SortStableFunc(sets, func(a, b int) int { return bits.OnesCount(uint(a)) - bits.OnesCount(uint(b)) })
	return sets
}

// horizons, in years, bound the search of dateutil, which goes through all periods.
var horizons = map[string]int{"YEARLY": 24, "MONTHLY": 12, "WEEKLY": 6, "DAILY": 4, "HOURLY": 1, "MINUTELY": 0, "SECONDLY": 0}

// Fresh random cases, put to ours and to two other packages: every disagreement has a reason that is written down. DIFF_CASES
// says how many, DIFF_SEED which.
func TestDiffRRule(t *testing.T) {
	cases, seed := int(envInt("DIFF_CASES", 100_000)), uint64(envInt("DIFF_SEED", time.Now().UnixNano()))
	t.Logf("%d cases; again with DIFF_SEED=%d", cases, seed)
	w := ruleWriter{rand.New(rand.NewPCG(seed, 3)), true}
	text, err := os.ReadFile(filepath.Join("..", "docs", "schedules.md"))
	if err != nil {
		t.Fatal(err)
	}
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
	for _, p := range recurPeers {
		t.Run(p.name, func(t *testing.T) {
			counts, unexplained := tally{}, 0
			for i, a := range ask[recurQuestion, recurAnswer](t, "diffrrule", p.needs, questions, p.command[0], p.command[1:]...) {
				q := questions[i]
				why := p.compare(q, a)
				counts[why]++
				if strings.HasPrefix(why, "unexplained") {
					if unexplained++; unexplained <= 20 {
						ours, err := q.ours()
						t.Errorf("%s %v: ours %v %v, theirs %v %s", why, q, ours, err, a.At, a.Error)
					}
				}
			}
			counts.log(t, p.name)
			for why := range counts {
				if _, rules, ok := strings.Cut(why, "differs: "); ok {
					for rule := range strings.SplitSeq(rules, ", ") {
						if !strings.Contains(string(text), "**"+rule+"**") {
							t.Errorf("docs/schedules.md has no rule **%s**", rule)
						}
					}
				}
			}
		})
	}
}

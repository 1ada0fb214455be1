//go:build diff

package schedule_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A question is one case of the differential test, in the form that internal/diffcron/answer.mjs reads.
type question struct {
	ID   int     `json:"id"`
	Expr string  `json:"expr,omitempty"`
	Zone string  `json:"zone"`
	From int64   `json:"from"` // in milliseconds since 1970, as At
	N    int     `json:"n"`
	At   []int64 `json:"at,omitempty"`
}

func (q question) String() string {
	return fmt.Sprintf("%s in %s from %s", q.Expr, q.Zone, time.UnixMilli(q.From).UTC().Format(time.RFC3339))
}

// An answer is a line of what it writes.
type answer struct {
	ID      int     `json:"id"`
	Croner  reply   `json:"croner"`
	Parser  reply   `json:"parser"`
	Offsets []int64 `json:"offsets"`
	Node    string  `json:"node"`
	Zones   string  `json:"zones"`
}

type reply struct {
	At    []int64 `json:"at"`
	Error string  `json:"error"`
	Took  float64 `json:"took"` // milliseconds
}

func (a answer) program() string {
	if a.Node == "" {
		return ""
	}
	return fmt.Sprintf("node %s with zone data %s; ours is %s", a.Node, a.Zones, schedule.TZData())
}

// A liberty is a way in which another package reads an expression or a zone otherwise than we do. Its name is that of the rule
// in docs/schedules.md.
type liberty struct {
	name string
	take func(m *reading)
}

// A reading is how an expression is understood: ours, or with liberties.
type reading struct {
	rule *naive
	gap  schedule.Gap
	fold schedule.Fold
}

var (
	sundays = liberty{"sunday-to-sunday", func(m *reading) {
		m.rule.dow = strings.ReplaceAll(strings.ReplaceAll(m.rule.dow, "-sun", "-7"), "sun-", "0-")
		clear(m.rule.days)
	}}
	toSunday = liberty{"steps-end-on-saturday", func(m *reading) {
		items := strings.Split(m.rule.dow, ",")
		for i, item := range items {
			if base, step, ok := strings.Cut(item, "/"); ok && base != "*" && base != "?" && !strings.Contains(base, "-") {
				items[i] = base + "-7/" + step
			}
		}
		m.rule.dow = strings.Join(items, ",")
		clear(m.rule.days)
	}}
	bareStars = liberty{"star-does-not-restrict", func(m *reading) { m.rule.bareStars = true; clear(m.rule.days) }}
	interval  = liberty{"pinned-is-by-the-hour", func(m *reading) { m.rule.pinned = false }}
	skips     = liberty{"gap-after", func(m *reading) { m.gap = schedule.GapSkip }}
	shifts    = liberty{"gap-after", func(m *reading) { m.gap = schedule.GapShift }}
	byAnHour  = liberty{"gap-after", func(m *reading) { m.rule.hourShift = true }}
	pins      = liberty{"gap-open-hours", func(m *reading) { m.rule.pinned = true }}
	twice     = liberty{"fold-first", func(m *reading) { m.fold = schedule.FoldBoth }}
	late      = liberty{"fold-first", func(m *reading) { m.fold = schedule.FoldSecond }}
)

// A peer is another package: the forms that it does not speak, by what it says of them, and the liberties it takes.
type peer struct {
	name    string
	reply   func(a answer) reply
	refuses map[string]string // a part of its error: the name of the class
	days    [][]liberty       // with the days, tried in this order
	clock   [][]liberty       // with changes of the clocks, each tried with each of days
	loses   bool              // loses readings beside a change of the clocks
}

var peers = []peer{
	{
		name:  "croner",
		reply: func(a answer) reply { return a.Croner },
		refuses: map[string]string{
			"From value is larger than to value": "ranges-wrap",
			"stepping with numeric prefix":       "steps-from-a-value",
			"L has to be a value of its own":     "last-day-forms",
			"LW can not be in a list":            "last-day-forms",
		},
		days:  [][]liberty{nil, {bareStars}, {sundays}, {sundays, bareStars}},
		clock: [][]liberty{nil, {interval}, {skips}},
	},
	{
		name:  "cron-parser",
		reply: func(a answer) reply { return a.Parser },
		refuses: map[string]string{
			"Invalid range":                            "ranges-wrap",
			"duplicate values found":                   "lists-may-overlap",
			"got range NaN-":                           "last-day-forms",
			"Invalid characters":                       "last-day-forms",
			"special characters are incompatible":      "lists-add",
			"Invalid explicit day of month definition": "never-is-told",
			"loop limit exceeded":                      "what-exists-is-found",
		},
		days: [][]liberty{nil, {bareStars}, {toSunday}, {toSunday, bareStars}},
		clock: [][]liberty{
			nil, {shifts}, {pins, shifts}, {interval}, {skips}, {twice}, {late}, {pins}, {byAnHour}, {pins, byAnHour},
		},
		loses: true,
	},
}

func envInt(name string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// Fresh random cases, put to ours and to two packages of another language: every disagreement has a reason that is written
// down. DIFF_CASES says how many, DIFF_SEED which.
func TestDiffCron(t *testing.T) {
	cases, seed := int(envInt("DIFF_CASES", 100_000)), uint64(envInt("DIFF_SEED", time.Now().UnixNano()))
	t.Logf("%d cases; again with DIFF_SEED=%d", cases, seed)
	questions := writeQuestions(t, cases, seed)
	answers := ask[question, answer](t, "diffcron", "node, and npm ci there", questions, "node", "answer.mjs")
	tallies := map[string]tally{}
	unexplained := map[string][]question{}
	for _, p := range peers {
		tallies[p.name] = tally{}
	}
	slowest := tally{}
	for i, q := range questions {
		ours := answerOurs(t, q)
		for _, p := range peers {
			r := p.reply(answers[i])
			if r.Took > 100 {
				slowest[p.name+": answers that take longer than 100 ms"]++
			}
			why := p.compare(q, ours, r)
			tallies[p.name][why]++
			if strings.HasPrefix(why, "unexplained") {
				unexplained[p.name] = append(unexplained[p.name], q)
				if len(unexplained[p.name]) <= 20 {
					t.Errorf("%s: %s %v: ours %v, theirs %v %s", p.name, why, q, instants(q, ours), instants(q, r.At), r.Error)
				}
			}
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "docs", "schedules.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		tallies[name].log(t, name)
		for why := range tallies[name] {
			if _, rules, ok := strings.Cut(why, ": "); ok {
				for rule := range strings.SplitSeq(rules, ", ") {
					if !strings.Contains(string(text), "**"+rule+"**") {
						t.Errorf("docs/schedules.md has no rule **%s**", rule)
					}
				}
			}
		}
	}
	slowest.log(t, "slow")
}

func instants(q question, all []int64) (texts []string) {
	loc, _ := time.LoadLocation(q.Zone)
	for _, ms := range all {
		texts = append(texts, time.UnixMilli(ms).In(loc).Format(time.RFC3339))
	}
	return texts
}

func writeQuestions(t *testing.T, cases int, seed uint64) (questions []question) {
	t.Helper()
	plain := writer{Rand: rand.New(rand.NewPCG(seed, 1)), steps: true}
	all := fullWriter(plain.Rand)
	all.years = false
	both := writer{Rand: plain.Rand, seconds: true, lastDay: true, nth: true, distinct: true}
	zones := append([]string{"UTC"}, namedZones...)
	changes := map[string][]int64{}
	for _, zone := range zones {
		changes[zone] = transitions(mustZone(t, zone))
	}
	for i := range cases {
		w := both // mostly what both packages know
		switch i % 10 {
		case 0:
			w = all
		case 1, 2:
			w = plain
		}
		zone := zones[w.IntN(len(zones))]
		from := w.instant(changes[zone]).Unix() * 1000
		questions = append(questions, question{ID: i, Expr: w.expr(), Zone: zone, From: from, N: 2})
	}
	return questions
}

func answerOurs(t *testing.T, q question) (all []int64) {
	t.Helper()
	s := schedule.Cron(q.Expr).In(q.Zone)
	if s.Err() != nil && !s.Never() {
		t.Errorf("%v: %v", q, s.Err())
		return nil
	}
	r := s.Bind("", time.Time{})
	for at := r.Next(time.UnixMilli(q.From)); !at.IsZero() && len(all) < q.N; at = r.Next(at) {
		all = append(all, at.UnixMilli())
	}
	return all
}

// compare gives the reason for which a package differs, "agrees", or what begins with "unexplained".
func (p peer) compare(q question, ours []int64, r reply) string {
	if r.Error != "" {
		for _, part := range slices.Sorted(maps.Keys(p.refuses)) {
			if strings.Contains(r.Error, part) {
				return "refused: " + p.refuses[part]
			}
		}
		return "unexplained refusal"
	}
	if slices.Equal(ours, r.At) {
		return "agrees"
	}
	if own, err := q.read(nil); err != nil || !slices.Equal(own, ours) {
		return fmt.Sprintf("unexplained, and the oracle says %v %v", instants(q, own), err)
	}
	for _, days := range p.days {
		for _, clock := range p.clock {
			l := slices.Concat(days, clock)
			if theirs, err := q.read(l); err == nil && slices.Equal(theirs, r.At) {
				return "differs: " + strings.Join(names(l), ", ")
			}
		}
	}
	for _, days := range p.days {
		for _, clock := range p.clock {
			l := slices.Concat(days, clock)
			if read, err := q.read(l); p.loses && err == nil && q.loses(read, r.At, days) {
				return "differs: " + strings.Join(append(names(l), "what-exists-is-found"), ", ")
			}
		}
	}
	return "unexplained"
}

func names(l []liberty) (all []string) {
	for _, l := range l {
		all = append(all, l.name)
	}
	return all
}

// loses says that the first of ours that theirs has not is an occurrence by any policy.
func (q question) loses(ours, theirs []int64, days []liberty) bool {
	for i := range min(len(ours), len(theirs)) {
		if ours[i] != theirs[i] {
			return ours[i] < theirs[i] && q.certain(ours[i], days)
		}
	}
	return false
}

// certain says that an instant is an occurrence whatever the policies are, and whether or not the rule pins the hour.
func (q question) certain(at int64, days []liberty) bool {
	loc, err := time.LoadLocation(q.Zone)
	if err != nil {
		return false
	}
	spans := walk(loc, at/1000-30*3600, at/1000+30*3600)
	for _, p := range policies {
		for _, l := range [][]liberty{days, append([]liberty{interval}, days...)} {
			rule, err := readNaive(q.Expr, schedule.DaysOr)
			if err != nil {
				return false
			}
			m := &reading{rule: rule}
			for _, l := range l {
				l.take(m)
			}
			if len(m.rule.occurrences(spans, at/1000, at/1000, p.gap, p.fold)) != 1 {
				return false
			}
		}
	}
	return true
}

// read lets the oracle answer with liberties taken.
func (q question) read(l []liberty) (all []int64, err error) {
	rule, err := readNaive(q.Expr, schedule.DaysOr)
	if err != nil {
		return nil, err
	}
	m := &reading{rule: rule, gap: schedule.GapAfter, fold: schedule.FoldFirst}
	for _, l := range l {
		l.take(m)
	}
	loc, err := time.LoadLocation(q.Zone)
	if err != nil {
		return nil, err
	}
	at := time.UnixMilli(q.From).UTC()
	for range q.N {
		next, ok := m.rule.near(at, loc, m.gap, m.fold, true)
		if !ok {
			break
		}
		at = next
		all = append(all, at.UnixMilli())
	}
	return all, nil
}

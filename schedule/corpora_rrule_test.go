package schedule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A recurRow is one case of the corpus of recurrences.
type recurRow struct {
	ID        string            `json:"id"`
	Kind      string            `json:"kind"`
	Rule      string            `json:"rrule"`
	Start     string            `json:"dtstart"`
	Expr      string            `json:"expr"`
	Expect    []string          `json:"expect"`
	Complete  bool              `json:"complete"`
	Consensus string            `json:"consensus"`
	Oracles   map[string]string `json:"oracles"`
	RDates    []string          `json:"rdate"`
	ExDates   []string          `json:"exdate"`
	Rules     []struct {
		Type  string `json:"type"`
		Rule  string `json:"rrule"`
		Start string `json:"dtstart"`
	} `json:"rules"`
}

// block writes the row as the lines of iCalendar.
func (r recurRow) block() string {
	var lines []string
	start := r.Start
	if r.Rule != "" {
		lines = append(lines, "RRULE:"+r.Rule)
	}
	for _, rule := range r.Rules {
		start = rule.Start
		lines = append(lines, rule.Type+":"+rule.Rule)
	}
	for _, d := range r.RDates {
		lines = append(lines, "RDATE:"+d)
	}
	for _, d := range r.ExDates {
		lines = append(lines, "EXDATE:"+d)
	}
	if start != "" {
		lines = append([]string{"DTSTART:" + start}, lines...)
	}
	return strings.Join(lines, "\n")
}

func recurRows(t *testing.T, file string) (rows []recurRow) {
	t.Helper()
	corpusRows(t, file) // skips where there are none
	folder := os.Getenv("DULY_CORPORA")
	if folder == "" {
		folder = filepath.Join("..", "..", "shared", "corpora", "dev")
	}
	text, err := os.ReadFile(filepath.Join(folder, file+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r recurRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// recurDeviations are the reasons for which our written rule differs from the answer of the project that a row comes from. The names
// are those of docs/schedules.md.
var recurDeviations = []struct {
	name string
	is   func(r recurRow) bool
}{
	{"weeks-are-whole", func(r recurRow) bool {
		return strings.Contains(r.Rule, "FREQ=YEARLY") && strings.Contains(r.Rule, "BYWEEKNO") && !strings.Contains(r.Rule, "BYDAY")
	}},
	{"weeks-by-the-calendar-year", func(r recurRow) bool {
		return strings.Contains(r.Rule, "BYWEEKNO") && strings.Contains(r.Rule, "INTERVAL")
	}},
	{"days-of-every-month", func(r recurRow) bool {
		return strings.Contains(r.Rule, "FREQ=YEARLY") && strings.Contains(r.Rule, "BYMONTHDAY") && !strings.Contains(r.Rule, "BYMONTH=")
	}},
}

// The rows of the corpus of recurrences.
//
// contract: I6.
func TestCorporaRRule(t *testing.T) {
	agreed, deviated := tally{}, tally{}
	for _, r := range recurRows(t, "rrule") {
		s := schedule.RRule(r.block())
		if s.Err() != nil && !s.Never() {
			t.Errorf("%s %q: refused: %v", r.ID, r.block(), s.Err())
			continue
		}
		var got []string
		rule := s.Bind("", time.Time{})
		for at := rule.First(); !at.IsZero() && len(got) < len(r.Expect)+1; at = rule.Next(at) {
			got = append(got, at.Format("20060102T150405"))
		}
		if !r.Complete && len(got) > len(r.Expect) {
			got = got[:len(r.Expect)]
		}
		var want []string
		for _, e := range r.Expect {
			if e = strings.TrimSuffix(e, "Z"); len(e) == 8 {
				e += "T000000"
			}
			want = append(want, e)
		}
		class := r.Consensus
		if class == "" {
			class = "no consensus recorded"
		}
		if slices.Equal(got, want) {
			agreed[class]++
			continue
		}
		why := ""
		for _, d := range recurDeviations {
			if why == "" && d.is(r) {
				why = d.name
			}
		}
		if r.Consensus == "unanimous" || why == "" {
			t.Errorf("%s %q (%s, %v):\n got %v\nwant %v", r.ID, r.block(), class, r.Oracles, got, want)
			continue
		}
		deviated[class+": "+why]++
	}
	agreed.log(t, "as expected by the other project")
	deviated.log(t, "deviates by our rule")
}

// Every recurrence that another project refuses is refused, but for the reasons listed.
func TestCorporaInvalidRRule(t *testing.T) {
	refused, taken := tally{}, tally{}
	for _, r := range recurRows(t, "invalid-rrule") {
		if r.Rule == "" {
			r.Rule = r.Expr
		}
		text := r.Expr
		if !strings.Contains(text, "RRULE") {
			text = r.block()
		}
		s := schedule.RRule(text)
		switch {
		case s.Err() != nil && !s.Never():
			refused["refused"]++
		case strings.Contains(r.Rule, "BYWEEKNO"):
			taken["weeks-beside-other-parts"]++
		default:
			t.Errorf("%s %q: accepted as %v", r.ID, text, s)
		}
	}
	refused.log(t, "refused")
	taken.log(t, "accepted")
}

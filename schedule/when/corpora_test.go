package when_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule/when"
)

// A textRow is one case of the corpora of instants.
type textRow struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Expr    string   `json:"expr"`
	Grammar string   `json:"grammar"`
	Zone    string   `json:"tz"`
	From    string   `json:"from"`
	Expect  []string `json:"expect"`
}

func (r textRow) String() string {
	return fmt.Sprintf("%s %s %q (%s) in %s from %s", r.ID, r.Kind, r.Expr, r.Grammar, r.Zone, r.From)
}

// textRows reads a file of the corpora, or skips the test where there are none.
func textRows(t *testing.T, file string) (rows []textRow) {
	t.Helper()
	folder := os.Getenv("DULY_CORPORA")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "shared", "corpora", "dev")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("SKIPPED: there are no corpora at %s; DULY_CORPORA says where they are", folder)
	}
	f, err := os.Open(filepath.Join(folder, file+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		var r textRow
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		rows = append(rows, r)
	}
	return rows
}

// A verdict says why a row is answered otherwise than expected; the names are those of docs/schedules.md.
type verdict struct {
	name string
	is   func(r textRow, err error) bool
}

// says makes a verdict about rows that are refused with these words.
func says(name string, words ...string) verdict {
	return verdict{name, func(_ textRow, err error) bool {
		return err != nil && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(err.Error(), w) })
	}}
}

// judged counts rows by what became of them.
type judged map[string]int

// judge counts a row that is answered otherwise than expected, by the first verdict that knows it.
func (j judged) judge(t *testing.T, r textRow, verdicts []verdict, got any, err error) {
	t.Helper()
	for _, v := range verdicts {
		if v.is(r, err) {
			j[v.name]++
			t.Logf("%v: by rule %s: got %v, %v", r, v.name, got, err)
			return
		}
	}
	t.Errorf("%v: got %v, %v; want %v", r, got, err, r.Expect)
}

// check holds the counts to those of the half that is developed against; the other half has other counts.
func (j judged) check(t *testing.T, rows, dev int, want judged) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(j)) {
		t.Logf("%4d %s", j[name], name)
	}
	if rows == dev && !maps.Equal(j, want) {
		t.Errorf("got %#v, want %#v", map[string]int(j), map[string]int(want))
	}
}

// whenVerdicts are the reasons for which an instant is read otherwise than in the project that it comes from, or not at all.
var whenVerdicts = []verdict{
	{"utc-is-utc", func(r textRow, err error) bool {
		return err == nil && strings.Contains(r.Expr, "UTC")
	}},
	says("midnight-has-two-ends", "beginning or the end of the day"),
	says("today-is-that-day", "today is a "),
	says("next-of-this-week-or-the-next", "next may be"),
	says("a-day-needs-its-time", "the time of day is missing"),
	says("years-have-four-digits", "a year of four digits"),
	{"dots-are-dates", func(r textRow, err error) bool {
		return err != nil && strings.Count(r.Expr, ".") == 1 && strings.Trim(r.Expr, "0123456789.") == ""
	}},
	says("days-the-month-has", " has 28 days", " has 29 days", " has 30 days", " has 31 days", "there is no month"),
	says("times-that-are", "no time of day"),
	says("in-is-a-length", "how long, not when"),
	says("zones-by-name", "is no zone here"),
	{"no-leap-seconds", func(r textRow, err error) bool { return err != nil && strings.Contains(r.Expr, ":60") }},
	{"nothing-is-rounded", func(r textRow, err error) bool {
		_, frac, _ := strings.Cut(r.Expr, ".")
		return err != nil && len(strings.TrimRight(frac, "Z")) > 9 && strings.Trim(frac, "0123456789Z") == ""
	}},
	{"plain-words-only", func(r textRow, err error) bool { return err != nil && r.Grammar == "english" }},
	{"half-past-is-morning-or-afternoon", func(_ textRow, err error) bool {
		return err != nil && strings.Contains(err.Error(), "morning or in the afternoon")
	}},
}

// anyYear are instants that their project refuses because of its year or its calendar, and that are instants all the same.
func anyYear(r textRow) bool {
	return strings.HasPrefix(r.Expr, "1937-") || strings.HasPrefix(r.Expr, "2038-") || strings.HasPrefix(r.Expr, "1969-") || strings.HasSuffix(r.Expr, "2147483648 minutes")
}

// The rows of at(1), of the timestamps of systemd and of English: what must be refused is, the rest is read as expected, or not for a
// reason that is written down.
func TestCorporaInstants(t *testing.T) {
	for _, file := range []struct {
		name string
		dev  int
		want judged
	}{
		{"timespec-at", 213, judged{
			"read as expected": 124, "refused, as expected": 34, "a-day-needs-its-time": 21, "midnight-has-two-ends": 18,
			"years-have-four-digits": 5, "today-is-that-day": 3, "half-past-is-morning-or-afternoon": 2, "times-that-are": 2, "utc-is-utc": 2,
			"days-the-month-has": 1, "dots-are-dates": 1,
		}},
		{"timespec-systemd", 116, judged{
			"read as expected": 84, "refused, as expected": 5, "zones-by-name": 20, "a-day-needs-its-time": 3, "any-year": 2,
			"no-leap-seconds": 1, "nothing-is-rounded": 1,
		}},
		{"timespec-english", 42, judged{
			"read as expected": 5, "refused, as expected": 1, "a-day-needs-its-time": 9, "in-is-a-length": 3, "plain-words-only": 24,
		}},
	} {
		t.Run(file.name, func(t *testing.T) {
			rows, got := textRows(t, file.name), judged{}
			for _, r := range rows {
				now := time.Date(2014, 3, 1, 12, 0, 0, 0, time.UTC) // where a row does not say
				if r.From != "" {
					var err error
					if now, err = time.Parse(time.RFC3339Nano, r.From); err != nil {
						t.Fatal(err)
					}
				}
				loc := time.UTC
				if r.Zone != "" {
					var err error
					if loc, err = time.LoadLocation(r.Zone); err != nil {
						t.Fatal(err)
					}
				}
				read := when.Read
				if r.From == "" || strings.HasSuffix(r.Expr, " ago") || strings.Contains(r.Expr, "yesterday") {
					read = when.ReadAny
				}
				at, err := read(r.Expr, now, loc)
				same := r.Kind == "valid" || r.Kind == "instant" && slices.Equal([]string{at.UTC().Format(time.RFC3339Nano)}, r.Expect)
				switch refusable := r.Kind == "error" || r.Kind == "no_match"; {
				case refusable && err != nil:
					got["refused, as expected"]++
				case refusable && anyYear(r):
					got["any-year"]++
				case refusable:
					t.Errorf("%v: read as %v", r, at)
				case err == nil && same:
					got["read as expected"]++
				default:
					got.judge(t, r, whenVerdicts, at, err)
				}
			}
			got.check(t, len(rows), file.dev, file.want)
		})
	}
}

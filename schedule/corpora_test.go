package schedule_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A row is one case of the corpora: an input taken from another project, and what that project answers.
type row struct {
	ID           string            `json:"id"`
	Kind         string            `json:"kind"`
	Expr         string            `json:"expr"`
	Fields       any               `json:"fields"`
	Dialect      string            `json:"dialect"`
	Zone         string            `json:"tz"`
	From         string            `json:"from"`
	Inclusive    bool              `json:"inclusive"`
	Expect       []string          `json:"expect"`
	ExpectMatch  bool              `json:"expect_match"`
	ExpectNormal string            `json:"expect_normal"`
	N            int               `json:"n"`
	DomDow       string            `json:"dom_dow"`
	Direction    string            `json:"direction"`
	Consensus    string            `json:"consensus"`
	Oracles      map[string]string `json:"oracles"`
	Tags         []string          `json:"tags"`
	Bounds       []int             `json:"bounds"`
	FieldParser  string            `json:"field_parser"`
	DST          []string          `json:"dst"`
	Test         string            `json:"test"`
	Options      struct {
		ExpandFromStartTime bool `json:"expand_from_start_time"`
	} `json:"options"`
}

// corpusRows reads the given files of the corpora, or skips the test where they are not.
func corpusRows(t *testing.T, files ...string) (rows []row) {
	t.Helper()
	folder := os.Getenv("DULY_CORPORA")
	if folder == "" {
		folder = filepath.Join("..", "..", "shared", "corpora", "dev")
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("SKIPPED: there are no corpora at %s; DULY_CORPORA says where they are", folder)
	}
	for _, file := range files {
		f, err := os.Open(filepath.Join(folder, file+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		scan := bufio.NewScanner(f)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			var r row
			if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			rows = append(rows, r)
		}
		if err := scan.Err(); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		_ = f.Close()
	}
	return rows
}

func (r row) String() string {
	return fmt.Sprintf("%s %s %q in %s from %s (%s, %s, %s)", r.ID, r.Kind, r.Expr, r.Zone, r.From, r.Dialect, r.Consensus, r.DomDow)
}

// field gives one of the row's fields counted from the right of "second minute hour dom month dow", without the year.
func (r row) field(i int) string {
	f := strings.Fields(strings.ToLower(r.Expr))
	if len(f) == 5 {
		f = append([]string{"0"}, f...)
	}
	if i >= len(f) {
		return ""
	}
	return f[i]
}

func (r row) dom() string { return r.field(3) }
func (r row) dow() string { return r.field(5) }

// bothDays says that the row restricts both day fields, by the rule of crontab(5).
func (r row) bothDays() bool {
	return r.dow() != "" && !open(r.dom()) && !open(r.dow())
}

// days is how the row's project joins the two day fields.
func (r row) days() schedule.Days {
	if r.DomDow == "and" || strings.HasPrefix(r.Dialect, "cronos") {
		return schedule.DaysAnd
	}
	return schedule.DaysOr
}

func (r row) is(dialect string) bool { return strings.HasPrefix(r.Dialect, dialect) }

func (r row) matches(pattern string) bool {
	ok, err := regexp.MatchString("(?i)"+pattern, r.Expr)
	return ok && err == nil
}

// A reason is a named class of rows; the names are those of docs/schedules.md.
type reason struct {
	name string
	is   func(r row) bool
}

// by says that the row's project answers what the oracle answers with another policy.
func (r row) by(gap schedule.Gap, fold schedule.Fold) bool {
	loc, err := time.LoadLocation(r.Zone)
	from, wrong := time.Parse(time.RFC3339Nano, r.From)
	if err != nil || wrong != nil {
		return false
	}
	all, err := oracleAnswer(r, from, loc, gap, fold)
	return err == nil && slices.Equal(all, r.expectation())
}

// pinned says that the row's hour field does not begin with a star.
func (r row) pinned() bool { return !open(r.field(2)) }

// unspoken are the dialects, or parts of them, that duly does not speak: their rows are counted and not answered.
var unspoken = []reason{
	{"fixed-offset", func(r row) bool { return strings.HasPrefix(r.Zone, "FIXED") }},
	{"quartz-weekdays", func(r row) bool {
		ok, _ := regexp.MatchString(`(^|[^#0-9])[0-9]|^l$|/`, r.dow())
		return ok && (r.is("quartz") || r.is("go-quartz"))
	}},
	{"fugit-extras", func(r row) bool { return r.is("fugit") && r.matches(`[&%]|last|#l|#-|(^|[ ,])-[0-9]`) }},
	{"l-before-the-day", func(r row) bool { return r.is("croniter") && r.matches(`\bl[0-7]`) }},
	{"range-before-#", func(r row) bool { return r.matches(`-[a-z0-9]+#`) }},
	{"l-in-a-range", func(r row) bool { return r.matches(`-l\b`) }},
	{"own-macros", func(r row) bool {
		return r.matches(`^ *@(every_minute|every_second|always|5minutes|10minutes|15minutes|30minutes)`)
	}},
	{"long-names", func(r row) bool { return r.matches(`[a-z]{3}day|january|february`) }},
	{"steps-too-long", func(r row) bool { return r.matches(`/([6-9][0-9]|[0-9]{3})`) && r.field(6) == "" }},
	{"hour-24", func(r row) bool { return r.field(2) == "24" }},
	{"year-as-sixth", func(r row) bool {
		return r.is("hashicorp-6") || r.is("gronx") && len(strings.Fields(r.Expr)) == 6 && r.matches(` [0-9]{4}$`)
	}},
}

// classOf gives the name of the first reason that holds.
func classOf(r row, reasons []reason) string {
	for _, c := range reasons {
		if c.is(r) {
			return c.name
		}
	}
	return ""
}

// A tally counts rows by class, aloud.
type tally map[string]int

func (n tally) log(t *testing.T, title string) {
	t.Helper()
	total := 0
	for _, k := range slices.Sorted(maps.Keys(n)) {
		t.Logf("%s: %4d %s", title, n[k], k)
		total += n[k]
	}
	t.Logf("%s: %4d in all", title, total)
}

// asker asks a rule and notes calls that take too long; the shortest of three counts, since the machine may be busy.
type asker struct {
	t    *testing.T
	row  row
	rule schedule.Rule
}

const tooLong = 100 * time.Millisecond

func (a asker) next(at time.Time) time.Time { return a.timed("Next", a.rule.Next, at) }
func (a asker) prev(at time.Time) time.Time { return a.timed("Prev", a.rule.Prev, at) }

func (a asker) timed(name string, ask func(time.Time) time.Time, at time.Time) (answer time.Time) {
	a.t.Helper()
	for range 3 {
		start := time.Now()
		answer = ask(at)
		if time.Since(start) < tooLong {
			return answer
		}
	}
	a.t.Errorf("%v: %s(%v) takes longer than %v", a.row, name, at, tooLong)
	return answer
}

// answer gives what ours says to a row, in the form of the row's expectation.
func (a asker) answer(from time.Time) (all []string) {
	a.t.Helper()
	r := a.row
	ask, inclusive := a.next, from.Add(-1)
	backwards := strings.HasPrefix(r.Kind, "prev") || r.Direction == "prev"
	if backwards {
		ask, inclusive = a.prev, from.Add(1)
	}
	n := max(len(r.Expect), 1)
	if r.Kind == "nth" {
		n = r.N
	}
	at := from
	if r.Inclusive || r.Kind == "match" {
		at = inclusive
	}
	for range n {
		was := at
		at = ask(at)
		if at.IsZero() {
			break
		}
		if !backwards && !at.After(was) || backwards && !at.Before(was) {
			a.t.Errorf("%v: answers %v to %v", r, at, was)
			break
		}
		all = append(all, at.Format(time.RFC3339Nano))
	}
	if r.Kind == "nth" && len(all) == n {
		all = all[n-1:]
	}
	if r.Kind == "match" {
		return []string{strconv.FormatBool(len(all) == 1 && all[0] == from.Format(time.RFC3339Nano))}
	}
	return all
}

// oracleAnswer gives what the oracle says to a row.
func oracleAnswer(r row, from time.Time, loc *time.Location, gap schedule.Gap, fold schedule.Fold) (all []string, err error) {
	o, err := readNaive(r.Expr, r.days())
	if err != nil {
		return nil, err
	}
	backwards := strings.HasPrefix(r.Kind, "prev") || r.Direction == "prev"
	at := from
	if r.Inclusive || r.Kind == "match" {
		at = at.Add(-1)
		if backwards {
			at = from.Add(1)
		}
	}
	n := max(len(r.Expect), 1)
	if r.Kind == "nth" {
		n = r.N
	}
	for range n {
		var ok bool
		if at, ok = o.near(at, loc, gap, fold, !backwards); !ok {
			break
		}
		all = append(all, at.Format(time.RFC3339Nano))
	}
	if r.Kind == "nth" && len(all) == n {
		all = all[n-1:]
	}
	if r.Kind == "match" {
		return []string{strconv.FormatBool(len(all) == 1 && all[0] == from.Format(time.RFC3339Nano))}, nil
	}
	return all, nil
}

// expectation gives the row's own answer in the same form.
func (r row) expectation() []string {
	switch r.Kind {
	case "match":
		return []string{strconv.FormatBool(r.ExpectMatch)}
	case "never":
		return nil
	}
	return r.Expect
}

// The rows of the five corpora of cron expressions.
//
// contract: I1, I2, I3, I4, I5, I6.
func TestCorporaCron(t *testing.T) {
	rows := corpusRows(t, "cron-5field", "cron-6field", "cron-7field", "cron-dst", "cron-macro")
	skipped, agreed, deviated := tally{}, tally{}, tally{}
	for _, r := range rows[:sampled(len(rows))] {
		why := classOf(r, unspoken)
		s := schedule.Cron(r.Expr)
		if why == "" && r.days() == schedule.DaysAnd {
			s = s.Days(schedule.DaysAnd)
		}
		if why == "" && r.Zone != "" {
			s = s.In(r.Zone)
		}
		if s.Err() != nil && !s.Never() {
			if why == "" {
				t.Errorf("%v: refused: %v", r, s.Err())
			}
			skipped["unspoken: "+why]++
			continue
		}
		if why != "" {
			if r.From != "" && !strings.HasPrefix(r.Zone, "FIXED") { // only what holds in any dialect: asker fails if not
				asker{t, r, s.Bind("", time.Time{})}.answer(mustTime(t, r.From))
			}
			skipped["unspoken: "+why]++
			continue
		}
		if r.Kind == "valid" {
			agreed["valid"]++
			continue
		}
		class, deviation := checkRow(t, r, s)
		if deviation == "" {
			agreed[class]++
		} else {
			deviated[class+": "+deviation]++
		}
	}
	skipped.log(t, "skipped")
	agreed.log(t, "as expected by the other project")
	deviated.log(t, "deviates by our rule")
}

func mustTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// deviations are the reasons for which our written rule, which the oracle follows, too, differs from the answer of the project
// that a row comes from. The names are those of docs/schedules.md.
var deviations = []reason{
	{"gap-after", func(r row) bool {
		return r.pinned() && (r.by(schedule.GapSkip, schedule.FoldFirst) || r.by(schedule.GapShift, schedule.FoldFirst))
	}},
	{"fold-first", func(r row) bool {
		return r.pinned() && (r.by(schedule.GapAfter, schedule.FoldSecond) || r.by(schedule.GapAfter, schedule.FoldBoth))
	}},
	{"gap-never-before", func(r row) bool { return r.is("go-quartz") && r.Zone != "UTC" && r.pinned() }},
	{"gap-open-hours", func(r row) bool { return !r.pinned() && slices.ContainsFunc(r.DST, isGap) }},
	{"fold-open-hours", func(r row) bool { return r.is("fugit") && !r.pinned() && len(r.DST) > 0 }},
	{"star-does-not-restrict", func(r row) bool {
		return !r.bothDays() && strings.HasPrefix(r.dom()+" "+r.dow(), "*/") != strings.HasPrefix(r.dow(), "*/")
	}},
	{"nearest-weekday-of-a-day-that-is", func(r row) bool { return r.matches(`\b(29|30|31)w`) }},
	{"steps-from-the-field", func(r row) bool { return r.Options.ExpandFromStartTime }},
	{"sunday-to-sunday", func(r row) bool { return r.matches(`sun-sun`) }},
	{"lists-add", func(r row) bool { return r.matches(`\*,[a-z]+#`) }},
	{"seven-is-sunday", func(r row) bool { return r.is("gronx") && r.matches(`-7$`) }},
	{"inclusive-is-inclusive", func(r row) bool { return r.is("cronos") && strings.Contains(r.Test, "FromIsNotRound") }},
}

func isGap(dst string) bool { return strings.HasPrefix(dst, "gap") }

// outvoted are the only reasons for which a row may be answered in another way that all others agree on; see docs/schedules.md.
var outvoted = []string{"fold-first", "fold-open-hours"}

// checkRow asks ours, the oracle and the row, and gives the row's class and the reason of a deviation.
func checkRow(t *testing.T, r row, s schedule.Schedule) (class, deviation string) {
	t.Helper()
	from := mustTime(t, r.From)
	loc := mustZone(t, r.Zone)
	class = "no consensus recorded"
	if r.Consensus != "" {
		class = r.Consensus
	}
	if r.Kind == "never" {
		class = "never"
	}
	got := asker{t, r, s.Bind("", time.Time{})}.answer(from)
	if want, err := oracleAnswer(r, from, loc, schedule.GapAfter, schedule.FoldFirst); err != nil {
		t.Errorf("%v: %v", r, err)
	} else if !slices.Equal(got, want) {
		t.Errorf("%v: got %v, the oracle says %v", r, got, want)
	}
	if slices.Equal(got, r.expectation()) {
		return class, ""
	}
	deviation = classOf(r, deviations)
	switch {
	case r.Consensus == "unanimous" && slices.Contains(outvoted, deviation):
		t.Logf("%v: by rule %s got %v, all others %v", r, deviation, got, r.expectation())
	case r.Consensus == "unanimous" || r.Kind == "never":
		t.Errorf("%v: got %v, want %v", r, got, r.expectation())
	case deviation == "":
		t.Errorf("%v: unexplained: got %v, they say %v, others %v", r, got, r.Expect, r.Oracles)
	}
	return class, deviation
}

// What nine implementations do not agree on: no expectation, but ours must agree with the oracle.
func TestCorporaProbes(t *testing.T) {
	answered, refused := 0, 0
	for _, r := range corpusRows(t, "cron-probes") {
		s := schedule.Cron(r.Expr).In(r.Zone)
		if s.Kind() != schedule.KindCron {
			answered++
			continue
		}
		if s.Err() != nil && !s.Never() {
			if s.In(r.Zone).Err() == nil {
				t.Errorf("%v: refused without a mistake", r)
			}
			refused++
			t.Logf("refused %q: %v", r.Expr, s.Err())
			continue
		}
		answered++
		r.Kind = "next"
		loc, from := mustZone(t, r.Zone), mustTime(t, r.From)
		want, err := oracleAnswer(r, from, loc, schedule.GapAfter, schedule.FoldFirst)
		if err != nil {
			t.Logf("%v: %v", r, err)
			continue
		}
		if got := (asker{t, r, s.Bind("", time.Time{})}).answer(from); !slices.Equal(got, want) {
			t.Errorf("%v: got %v, the oracle says %v", r, got, want)
		}
	}
	t.Logf("%d answered, %d refused", answered, refused)
}

// tolerated are the reasons for which duly takes an expression that another project refuses.
var tolerated = []reason{
	{"question-mark-anywhere", func(r row) bool { return r.is("croniter") && r.matches(`^\* \? `) }},
	{"every-below-a-second", func(r row) bool { return r.is("netresearch") && r.matches(`^@every [0-9]+ms$`) }},
	{"steps-longer-than-a-range", func(r row) bool { return r.is("netresearch") && r.Expr == "0-2/5" }},
	{"lists-add", func(r row) bool { return r.matches(`#[0-9],|,[0-9]+#|,[0-9]+w`) }},
	{"seven-fields", func(r row) bool { return r.is("cronos") && len(strings.Fields(r.Expr)) == 7 }},
	{"weekdays-from-zero", func(r row) bool { return r.is("go-quartz") && r.matches(`\b0l`) }},
	{"field-parser-of-l-and-#-only", func(r row) bool { return r.is("spring") && r.FieldParser != "" && r.Expr == "1" }},
}

// fieldOf puts a single field into an expression, or gives "" where it belongs to none.
func fieldOf(r row) string {
	switch {
	case r.FieldParser == "parseDaysOfMonth":
		return "0 0 " + r.Expr + " * *"
	case r.FieldParser == "parseDaysOfWeek":
		return "0 0 * * " + r.Expr
	case r.FieldParser == "parseMonth":
		return "0 0 1 " + r.Expr + " *"
	case slices.Equal(r.Bounds, []int{0, 59}):
		return r.Expr + " * * * *"
	}
	return ""
}

// Every expression that another project refuses is refused, but for the reasons listed.
func TestCorporaInvalid(t *testing.T) {
	refused, taken := tally{}, tally{}
	for _, r := range corpusRows(t, "invalid-cron") {
		expr := r.Expr
		if r.Kind == "error_field" {
			if expr = fieldOf(r); expr == "" {
				taken["bounds-of-no-field"]++
				continue
			}
		}
		s := schedule.Cron(expr)
		if s.Err() != nil && !s.Never() {
			refused[r.Dialect]++
			continue
		}
		why := classOf(r, tolerated)
		if why == "" {
			t.Errorf("%v: accepted as %v", r, s)
		}
		taken[why]++
	}
	refused.log(t, "refused")
	taken.log(t, "accepted")
}

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// Each reason that a test gives is a rule that docs/schedules.md names.
func TestReasonsAreWritten(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "schedules.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range calendarDeviations {
		if !strings.Contains(string(text), "**"+d.name+"**") {
			t.Errorf("docs/schedules.md has no rule **%s**", d.name)
		}
	}
	for _, c := range slices.Concat(unspoken, deviations, tolerated) {
		if c.name == "field-parser-of-l-and-#-only" {
			continue // is about Spring's tests alone
		}
		if !strings.Contains(string(text), "**"+c.name+"**") {
			t.Errorf("docs/schedules.md has no rule **%s**", c.name)
		}
	}
}

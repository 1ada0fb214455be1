package schedule_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A textRow is one case of the corpora of lengths, instants and recurrences in words.
type textRow struct {
	ID            string         `json:"id"`
	Kind          string         `json:"kind"`
	Expr          string         `json:"expr"`
	Grammar       string         `json:"grammar"`
	Zone          string         `json:"tz"`
	From          string         `json:"from"`
	Expect        []string       `json:"expect"`
	ExpectISO     string         `json:"expect_iso"`
	ExpectSeconds *float64       `json:"expect_seconds"`
	ExpectParts   any            `json:"expect_components"`
	ExpectLocal   any            `json:"expect_local"`
	ExpectCron    string         `json:"expect_cron"`
	Start         string         `json:"start"`
	Duration      map[string]int `json:"duration"`
	Evidence      string         `json:"evidence"`
	TODO          bool           `json:"upstream_todo"`
}

func (r textRow) String() string {
	return fmt.Sprintf("%s %s %q (%s) in %s from %s", r.ID, r.Kind, r.Expr, r.Grammar, r.Zone, r.From)
}

// textRows reads a file of the corpora, or skips the test where there are none.
func textRows(t *testing.T, file string) (rows []textRow) {
	t.Helper()
	folder := os.Getenv("DULY_CORPORA")
	if folder == "" {
		folder = filepath.Join("..", "..", "shared", "corpora", "dev")
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
	t.Errorf("%v: got %v, %v; want %v %v %v %v %v", r, got, err, r.Expect, r.ExpectISO, r.ExpectParts, r.ExpectLocal, r.ExpectCron)
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

// spanVerdicts are the reasons for which a length is read otherwise than in the project that it comes from.
var spanVerdicts = []verdict{
	says("a-number-needs-its-unit", "a unit behind"),
	says("one-sign-in-front", "one sign"),
	says("digits-around-the-point", "digits after the point"),
	says("nothing-is-rounded", "whole nanoseconds", "whole months"),
	says("up-to-292-years", "at most 2562047h"),
	{"no-alternative-format", func(r textRow, err error) bool {
		return err != nil && strings.Count(r.Expr, "-") >= 2 && strings.Contains(r.Expr, "T")
	}},
	{"one-sign-in-front", func(r textRow, err error) bool {
		return err != nil && strings.HasPrefix(r.Expr, "-") && r.Grammar != "iso8601"
	}},
	{"no-infinity", func(r textRow, err error) bool { return err != nil && strings.TrimSpace(r.Expr) == "infinity" }},
	{"months-are-of-the-calendar", func(r textRow, err error) bool {
		s, _ := schedule.ParseSpan(r.Expr)
		return err == nil && r.Grammar == "systemd-timespan" && s.Months != 0
	}},
}

// seconds is the length of a span as most who give it one take it.
func seconds(s schedule.Span) float64 {
	return float64(s.Months/12*365+s.Months%12*30+s.Days)*86400 + s.Time.Seconds()
}

// components are what a span consists of, as two projects tell it.
func components(v any) (s schedule.Span, ok bool) {
	switch v := v.(type) {
	case string:
		list, found := strings.CutPrefix(strings.TrimSuffix(v, ")"), "Duration(")
		var n [9]int
		for i, part := range strings.Split(list, ", ") {
			if years, named := strings.CutPrefix(part, "years="); named {
				i, part = 8, years
			}
			n[i], _ = strconv.Atoi(part)
		}
		// days, seconds, microseconds, milliseconds, minutes, hours, weeks, months, years
		s.Months, s.Days = n[8]*12+n[7], n[6]*7+n[0]
		s.Time = time.Duration(n[5])*time.Hour + time.Duration(n[4])*time.Minute + time.Duration(n[1])*time.Second
		return s, found
	case []any:
		var text strings.Builder
		text.WriteString("P")
		for _, pair := range v {
			p, _ := pair.([]any)
			if p[1] == "Hours" {
				text.WriteString("T")
			}
			text.WriteString(p[0].(string) + p[1].(string)[:1]) //nolint:forcetypeassert // the corpus has nothing else
		}
		s, err := schedule.ParseSpan(text.String())
		return s, err == nil
	}
	return s, false
}

// asExpected says whether a span is what a row expects.
func (r textRow) asExpected(s schedule.Span) bool {
	if r.ExpectISO != "" {
		if want, err := schedule.ParseSpan(r.ExpectISO); err == nil {
			return s == want
		}
	}
	if r.ExpectParts != nil {
		want, ok := components(r.ExpectParts)
		return ok && s == want
	}
	return r.ExpectSeconds != nil && seconds(s) == *r.ExpectSeconds
}

// The rows of ISO 8601 and of spans: what must be refused is, the rest is read as expected, or not for a reason that is written down.
func TestCorporaSpans(t *testing.T) {
	rows, got := textRows(t, "iso8601"), judged{}
	for _, r := range rows {
		switch r.Kind {
		case "error":
			if s, err := schedule.ParseSpan(r.Expr); err == nil {
				t.Errorf("%v: read as %v", r, s)
			}
			got["refused, as expected"]++
		case "add":
			s := schedule.Span{
				Months: r.Duration["years"]*12 + r.Duration["months"], Days: r.Duration["weeks"]*7 + r.Duration["days"],
				Time: time.Duration(r.Duration["hours"])*time.Hour + time.Duration(r.Duration["minutes"])*time.Minute + time.Duration(r.Duration["seconds"])*time.Second,
			}
			if at := s.From(mustTime(t, r.Start+"Z")); fmt.Sprint(r.ExpectLocal) != "["+at.Format("2006-01-02T15:04:05")+"]" {
				t.Errorf("%v: %s and %s is %v, want %v", r, r.Start, s, at, r.ExpectLocal)
			}
			got["added as expected"]++
		case "repeat":
			continue // TestCorporaRepeats
		default:
			s, err := schedule.ParseSpan(r.Expr)
			if err == nil && r.asExpected(s) {
				got["read as expected"]++
				continue
			}
			got.judge(t, r, spanVerdicts, s, err)
		}
	}
	got.check(t, len(rows), 114, judged{
		"read as expected": 54, "added as expected": 10, "refused, as expected": 27,
		"one-sign-in-front": 10, "a-number-needs-its-unit": 3, "nothing-is-rounded": 3, "no-alternative-format": 1, "up-to-292-years": 1,
	})
}

// repeatVerdicts are the reasons for which a repeating interval is read otherwise.
var repeatVerdicts = []verdict{
	{"months-are-clamped", func(r textRow, err error) bool { return err == nil && strings.HasSuffix(r.Expr, "M") }},
}

// The rows of repeating intervals, whose offset is replaced by the zone that they name beside it.
func TestCorporaRepeats(t *testing.T) {
	rows, got := textRows(t, "iso8601"), judged{}
	for _, r := range rows {
		if r.Kind != "repeat" {
			continue
		}
		parts := strings.Split(r.Expr, "/")
		parts[1] += "[" + r.Zone + "]"
		s, err := schedule.Parse(strings.Join(parts, "/"))
		var all []string
		rule := s.Bind("", mustTime(t, r.From).Add(-1))
		for at := rule.Next(mustTime(t, r.From)); !at.IsZero() && len(all) < len(r.Expect); at = rule.Next(at) {
			all = append(all, at.Format(time.RFC3339))
		}
		if err == nil && slices.Equal(all, r.Expect) {
			got["repeated as expected"]++
			continue
		}
		got.judge(t, r, repeatVerdicts, all, err)
	}
	got.check(t, len(rows), 114, judged{"repeated as expected": 4, "months-are-clamped": 1})
}

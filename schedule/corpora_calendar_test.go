package schedule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// calendar reads a row of systemd's: what is at the end of its expression wins, and a zone that is none has nothing to say.
func (r row) calendar() schedule.Schedule {
	s := schedule.Calendar(r.Expr)
	if r.Zone == "" || r.Zone == "IST" || strings.HasPrefix(r.Expr, "@") {
		return s
	}
	if last := r.Expr[strings.LastIndexByte(r.Expr, ' ')+1:]; strings.EqualFold(last, "UTC") || strings.Contains(last, "/") && last[0] >= 'A' {
		return s
	}
	return s.In(r.Zone)
}

// systemdForm is the normalised form as systemd prints it, with the zone behind it that the row's expression names.
func systemdForm(r row, s schedule.Schedule) string {
	text := strings.TrimPrefix(s.String(), "calendar ")
	text = strings.Replace(text, " in ", " ", 1)
	if strings.HasSuffix(strings.ToLower(r.Expr), " utc") || r.Expr[0] == '@' {
		text += " UTC"
	}
	return text
}

// calendarDeviations are the reasons for which we answer otherwise than systemd. The names are those of docs/schedules.md.
var calendarDeviations = []struct {
	name string
	is   func(r row, s schedule.Schedule, got []string) bool
}{
	{"gap-after", func(r row, s schedule.Schedule, _ []string) bool {
		return slices.Equal(calendarAnswer(r, s.DST(schedule.GapSkip, schedule.FoldFirst)), r.expectation())
	}},
	{"fold-open-hours", func(r row, s schedule.Schedule, got []string) bool {
		pinned := slices.DeleteFunc(calendarAnswer(r, s, 8), func(at string) bool { return isSecondPass(at, r.Zone) })
		return len(pinned) >= len(got) && slices.Equal(pinned[:len(got)], r.expectation())
	}},
	{"fractions-are-told", func(r row, _ schedule.Schedule, got []string) bool {
		whole := make([]string, len(got))
		for i, at := range got {
			t, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				return false
			}
			whole[i] = t.Truncate(time.Second).Format(time.RFC3339Nano)
		}
		return slices.Equal(whole, r.expectation())
	}},
}

// isSecondPass says whether the clock of a zone shows at an instant what it has shown before.
func isSecondPass(at, zone string) bool {
	loc, err := time.LoadLocation(zone)
	t, wrong := time.Parse(time.RFC3339Nano, at)
	if err != nil || wrong != nil {
		return false
	}
	_, now := t.In(loc).Zone()
	for back := time.Minute; back <= 3*time.Hour; back += time.Minute {
		before := t.Add(-back).In(loc)
		if _, offset := before.Zone(); offset-now >= int(back/time.Second) {
			return true
		}
	}
	return false
}

// calendarAnswer is what a schedule says to a row, or the first n of it.
func calendarAnswer(r row, s schedule.Schedule, n ...int) (all []string) {
	want := max(len(r.Expect), 1)
	if len(n) > 0 {
		want = n[0]
	}
	from, err := time.Parse(time.RFC3339Nano, r.From)
	if err != nil {
		return nil
	}
	if r.Inclusive {
		from = from.Add(-1)
	}
	rule := s.Bind("", time.Time{})
	for at := rule.Next(from); !at.IsZero() && len(all) < want; at = rule.Next(at) {
		all = append(all, at.Format(time.RFC3339Nano))
	}
	return all
}

// The rows of the corpus of calendar event expressions: every normalised form is that of systemd, and every answer is, or differs
// for a reason that is written down.
//
// contract: I1, I2, I3, I4, I6.
func TestCorporaCalendar(t *testing.T) {
	agreed, deviated := tally{}, tally{}
	for _, r := range corpusRows(t, "systemd-calendar") {
		s := r.calendar()
		if s.Err() != nil && !s.Never() {
			t.Errorf("%v: refused: %v", r, s.Err())
			continue
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Errorf("%v prints as %q, which reads as %q: %v", r, s, again, err)
		}
		if r.Kind == "normalise" {
			if got := systemdForm(r, s); got != r.ExpectNormal {
				t.Errorf("%v: normalised to %q, want %q", r, got, r.ExpectNormal)
			}
			agreed[r.Kind]++
			continue
		}
		got := asker{t, r, s.Bind("", time.Time{})}.answer(mustTime(t, r.From))
		if slices.Equal(got, r.expectation()) {
			agreed[r.Kind]++
			continue
		}
		class := ""
		for _, d := range calendarDeviations {
			if class == "" && d.is(r, s, got) {
				class = d.name
			}
		}
		if class == "" {
			t.Errorf("%v: got %v, want %v", r, got, r.Expect)
			continue
		}
		t.Logf("%v: by rule %s got %v, systemd says %v", r, class, got, r.expectation())
		deviated[r.Kind+": "+class]++
	}
	agreed.log(t, "as expected by systemd")
	deviated.log(t, "deviates by our rule")
}

// Every expression that systemd refuses is refused, with a place and what would be right.
func TestCorporaCalendarInvalid(t *testing.T) {
	n := 0
	for _, r := range corpusRows(t, "invalid-systemd") {
		n++
		expr := strings.ReplaceAll(r.Expr, `\n`, "\n")
		s, err := schedule.Parse("calendar " + expr)
		if err == nil {
			t.Errorf("%v: accepted as %v", r, s)
			continue
		}
		t.Logf("%q: %v", expr, err)
		if s := schedule.Calendar(expr); s.Err() == nil || s.Never() || s.Kind() != schedule.KindCalendar {
			t.Errorf("%v: accepted as %v", r, s)
		}
	}
	if n == 0 {
		t.Error("no rows")
	}
}

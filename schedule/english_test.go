package schedule_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

func TestEnglish(t *testing.T) {
	tests := []struct{ text, want string }{
		{"every weekday at 9", "cron 0 9 * * mon-fri"},
		{"every 12h", "every 12h"},
		{"on the 1st at 6:30", "cron 30 6 1 * *"},
		{"every day at noon", "cron 0 12 * * *"},
		{"every day at midnight", "cron 0 0 * * *"},
		{"every day at 5:30 pm", "cron 30 17 * * *"},
		{"every day at 12am", "cron 0 0 * * *"},
		{"every day at 12 noon", "cron 0 12 * * *"},
		{"every day at 18:00, 18:15, 20:00, and 20:15", "cron 0,15 18,20 * * *"},
		{"every Monday to Thursday at 18:20", "cron 20 18 * * mon-thu"},
		{"every mon, wed and Fri at 9am and 5pm", "cron 0 9,17 * * mon,wed,fri"},
		{"every monday 18:24", "cron 24 18 * * mon"},
		{"every week on sunday at 9", "cron 0 9 * * sun"},
		{"on mondays and fridays at 9", "cron 0 9 * * mon,fri"},
		{"on weekdays at 9", "cron 0 9 * * mon-fri"},
		{"every month on the 1st and the last at 12:00 pm", "cron 0 12 1,l * *"},
		{"every day at 9 and noon", "cron 0 9,12 * * *"},
		{"every day at noon and 17:00", "cron 0 12,17 * * *"},
		{"every day at 05:30 and 6:30pm", "cron 30 5,18 * * *"},
		{"on the 2nd, 3rd, 11th and 31st at 9", "cron 0 9 2,3,11,31 * *"},
		{"every month on day 2 at 10:00", "cron 0 10 2 * *"},
		{"every month on day 31 and day 12 at 10:00", "cron 0 10 12,31 * *"},
		{"every month on day last at 10:00", "cron 0 10 l * *"},
		{"every month on the first, the 2nd, third, fourth, 5th and 6th at 10:00", "cron 0 10 1-6 * *"},
		{"every 15th of the month at 9", "cron 0 9 15 * *"},
		{"every first of the month at 0:00", "cron 0 0 1 * *"},
		{"every last day of the month at 17:00", "cron 0 17 l * *"},
		{"on the 1st and 15th of every month at 6:30", "cron 30 6 1,15 * *"},
		{"every hour", "every 1h"},
		{"every minute jitter 10s", "every 1m jitter 10s"},
		{"every weekday at 9 in Europe/Berlin until 2027-01-01", "cron 0 9 * * mon-fri in Europe/Berlin until 2027-01-01T00:00:00Z"},
		{"(every monday at 9) or (on the 1st at 6:30)", "(cron 0 9 * * mon) or (cron 30 6 1 * *)"},
	}
	for _, tt := range tests {
		got, err := schedule.Parse(tt.text)
		if err != nil || got.String() != tt.want {
			t.Errorf("%q: got %v, %v; want %s", tt.text, got, err, tt.want)
		}
	}
}

func TestEnglishRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"every day", `at byte 10: every "day": want a time of day, as in "every day at 9:00", or "every 24h" for every 24 hours from now`},
		{"every weekday", `want a time of day, as in "every weekday at 9:00"`},
		{"every week", `want the day, as in "every week on monday at 9:00", or "every 168h" for every 7 days from now`},
		{"every month at 9", `at byte 13: every "month at 9": want the day, as in "every month on the 1st at 9:00"`},
		{"every year", `want the date, in a cron expression: cron 0 9 1 1 *`},
		{"every monday at midnight", `at byte 17: every "monday at midnight": want 0:00, or another day: midnight may be the beginning or the end of it`},
		{"every day at 5pm and 11", `at byte 22: every "day at 5pm and 11": want 11am or 11pm, beside others that say which half of the day they are in`},
		{"every day at 5:30 and 6pm", `at byte 14: every "day at 5:30 and 6pm": want 5:30am or 5:30pm, beside`},
		{"every day at noon and 5", `at byte 23: every "day at noon and 5": want 5am or 5pm, beside`},
		{"every monday to monday at 9", `at byte 17: every "monday to monday at 9": want another day than the first, or "every day"`},
		{"on the mondays at 9", `at byte 4: on "the mondays at 9": want "mondays"`},
		{"every the monday at 9", `at byte 7: every "the monday at 9": want "monday"`},
		{"every week on the 1st at 9", `at byte 19: every "week on the 1st at 9": want "day", "weekday", days of the week`},
		{"on the 2st at 9", `at byte 8: on "the 2st at 9": want "2nd"`},
		{"on the 11st at 9", `want "11th"`},
		{"on the 99th at 9", `want a day of the month`},
		{"every wekday at 9", `at byte 7: every "wekday at 9": want "weekday"`},
		{"every mondy to fridy at 9", `want "monday"`},
		{"every monday to fridy at 9", `at byte 17: every "monday to fridy at 9": want "friday"`},
		{"on wekdays at 9", `at byte 4: on "wekdays at 9": want "weekdays"`},
		{"every day at nooon", `at byte 14: every "day at nooon": want "noon"`},
		{"every F\u0130day at 9", `want "friday"`},
		{"every wee\u212a on monday at 9", `want "week"`},
		{"every day at \u0669", `want a time of day`},
		{"every day at 18:00 and 20:15", `18:15 was not asked for`},
		{"every day at 24:00", `at byte 14: every "day at 24:00": want a time of day: 9, 9:30, 5pm or noon`},
		{"every day at 13pm", `want a time of day`},
		{"every day at five", `want a time of day`},
		{"every day at", `want a time of day`},
		{"every day at 9 sharp", `at byte 16: every "day at 9 sharp": want the end or another time of day`},
		{"on monday at 9", `at byte 4: on "monday at 9": want "every monday at 9:00", or "at monday 9:00" for once`},
		{"on the 32nd at 9", `at byte 8: on "the 32nd at 9": want a day of the month: "the 1st", "the 15th" or "the last"`},
		{"on the 0th at 9", `at byte 8: on "the 0th at 9": want a day of the month`},
		{"on 3th at 9", `at byte 4: on "3th at 9": want "3rd"`},
		{"on the 31th at 9", `want "31st"`},
		{"every 1th at 9", `at byte 7: every "1th at 9": want "1st"`},
		{"every month on the 3th at 9", `at byte 20: every "month on the 3th at 9": want "3rd"`},
		{"every month on the 3 at 9", `at byte 20: every "month on the 3 at 9": want "3rd"`},
		{"every month on 22th at 9", `want "22nd"`},
		{"every month on the 31th at 9", `want "31st"`},
		{"every month on the 011th at 9", `want "11th"`},
		{"every month on the 32nd at 9", `at byte 20: every "month on the 32nd at 9": want a day of the month`},
		{"every month on the 0th at 9", `want a day of the month`},
		{"every month on the +5th at 9", `want a day of the month`},
		{"every month on the stth at 9", `want a day of the month`},
		{"every month on the 1xth at 9", `want a day of the month`},
		{"every month on the at 9", `want a day of the month`},
		{"every month on the", `want a day of the month`},
		{"every month on day", `want a day of the month`},
		{"every month on day 32 at 9", `want a day of the month`},
		{"every month on day 0 at 9", `want a day of the month`},
		{"every month on day 002 at 9", `want a day of the month`},
		{"every month on day last at 9 day", `want the end or another time of day`},
		{"every 99999999999999999999th at 9", `want a day of the month`},
		{"every hour from 8am to 5pm", `from`},
		{"every 2 weeks", `want hours, since days and weeks belong to calendars: 336h`},
		{"every blue moon", `at byte 7: every "blue moon": want "day", "weekday"`},
		{"every mon-fri at 9", `want "day", "weekday"`},
		{"on", `want "day", "weekday"`},
	}
	for _, tt := range tests {
		got, err := schedule.Parse(tt.text)
		if err == nil {
			t.Errorf("%q: accepted as %v", tt.text, got)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got  %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// What is said in words is what the expression says, and is never stored in words.
//
// contract: I6.
func TestEnglishRoundTrip(t *testing.T) {
	days := []string{"day", "weekday", "monday", "tue and thursday", "mon to fri", "month on the 1st", "month on the 15th and the last", "sat, sun"}
	times := []string{"9", "9:30", "5pm", "11:59 pm", "noon", "0:00", "7am and 7pm", "8, 12 and 16"}
	rapid.Check(t, func(t *rapid.T) {
		text := "every " + rapid.SampledFrom(days).Draw(t, "days") + " at " + rapid.SampledFrom(times).Draw(t, "times")
		s, err := schedule.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || s.Kind() != schedule.KindCron {
			t.Fatalf("%q is %v, which reads as %v: %v", text, s, again, err)
		}
	})
}

// The rows of what recurs in words: each is read as the cron expression that is expected, or not for a reason that is written down.
func TestCorporaRecurring(t *testing.T) {
	verdicts := []verdict{
		{"every-is-a-grid", func(r textRow, err error) bool {
			s, _ := schedule.Parse(r.Expr)
			return err == nil && s.Kind() == schedule.KindEvery
		}},
		{"at-is-once", func(r textRow, err error) bool { return err != nil && strings.HasPrefix(r.Expr, "at ") }},
		says("months-have-no-length", "months differ"),
		says("days-have-no-length", "belong to calendars"),
		{"no-hours-of-the-day", func(r textRow, err error) bool {
			return err != nil && (strings.Contains(r.Expr, " to 5pm") || strings.Contains(r.Expr, "starting at") || strings.Contains(r.Expr, " from "))
		}},
		{"no-seconds", func(r textRow, err error) bool { return err != nil && strings.Contains(r.Expr, "second") }},
		says("midnight-has-two-ends", "midnight may be"),
		{"one-word-for-a-time", func(r textRow, err error) bool {
			return err != nil && (strings.HasSuffix(r.Expr, "midnight") || strings.HasSuffix(r.Expr, "noon") || strings.HasSuffix(r.Expr, "midday"))
		}},
		says("a-day-needs-its-time", "want a time of day, as in", "want the day, as in", "want the date"),
		{"words-of-the-text-form", func(r textRow, err error) bool {
			return err != nil && (strings.Contains(r.Expr, " or ") || strings.Contains(r.Expr, " days ") || strings.HasPrefix(r.Expr, "from ") || strings.Contains(r.Expr, "every 2 days"))
		}},
		says("which-half-of-the-day", "which half of the day"),
		{"numbers-in-digits", func(r textRow, err error) bool {
			return err != nil && strings.Contains(err.Error(), "want a time of day: 9")
		}},
		{"plain-words-only", func(r textRow, err error) bool { return err != nil && !strings.HasPrefix(r.Expr, "every ") }},
	}
	rows, got := textRows(t, "timespec-english-recurring"), judged{}
	for _, r := range rows {
		s, err := schedule.Parse(r.Expr)
		switch {
		case r.Kind == "error" && err != nil:
			got["refused, as expected"]++
		case r.Kind == "error":
			t.Errorf("%v: read as %v", r, s)
		case err == nil && s.Equal(schedule.Cron(r.ExpectCron)):
			got["read as expected"]++
		default:
			got.judge(t, r, verdicts, s, err)
		}
	}
	got.check(t, len(rows), 82, judged{
		"read as expected": 32, "refused, as expected": 2, "every-is-a-grid": 9, "at-is-once": 9, "no-hours-of-the-day": 8, "a-day-needs-its-time": 6,
		"numbers-in-digits": 5, "one-word-for-a-time": 3, "words-of-the-text-form": 3, "months-have-no-length": 2, "no-seconds": 2,
		"midnight-has-two-ends": 1,
	})
}

package schedule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWords(t *testing.T) {
	tests := []struct{ text, want string }{
		{"cron 0 9 * * mon-fri in Europe/Berlin", "at 09:00, Monday to Friday, in Europe/Berlin"},
		{"cron */15 * * * *", "every 15 minutes, in UTC"},
		{"cron * * * * *", "every minute, in UTC"},
		{"cron * * * * * *", "every second, in UTC"},
		{"cron */10 * * * * *", "every 10 seconds, in UTC"},
		{"cron 0 * * * *", "every hour at minute 0, in UTC"},
		{"cron 0 */2 * * *", "every 2 hours at minute 0, in UTC"},
		{"cron 5,50 */2 * * *", "every 2 hours at minutes 5 and 50, in UTC"},
		{"cron 30 3 1 * *", "at 03:30 on day 1 of the month, in UTC"},
		{"cron 0 0 * * 5L", "at 00:00 on the last Friday of the month, in UTC"},
		{"cron 0 0 * 1,6 5L", "at 00:00 on the last Friday of January and June, in UTC"},
		{"cron */7 9-17 * * *", "at every 7th minute from 0 to 56 of hours 9 to 17 every day, in UTC"},
		{"cron */15 9-17 * * *", "every 15 minutes during hours 9 to 17, in UTC"},
		{"cron */15 3 * * *", "every 15 minutes during hour 3, in UTC"},
		{"cron 0,30 3 * * *", "at 03:00 and 03:30 every day, in UTC"},
		{"cron 0,20,50 3 * * *", "at 03:00, 03:20 and 03:50 every day, in UTC"},
		{"cron 15 8-18 * * sat,sun", "every hour from 08:15 to 18:15 on Saturday and Sunday, in UTC"},
		{"cron 0 9-17/2 * * *", "every 2 hours from 09:00 to 17:00, in UTC"},
		{"cron 1,2,3,10,20,30,40 22-2 * * *", "at minutes 1 to 3, 10, 20, 30 and 40 of hours 0 to 2, 22 and 23 every day, in UTC"},
		{"cron 30 0 12 * * *", "at 12:00:30 every day, in UTC"},
		{"cron 59 59 23 * * *", "at 23:59:59 every day, in UTC"},
		{"cron 30 * * * * *", "at second 30 of every minute, in UTC"},
		{"cron 30 5 * * * *", "at second 30 of minute 5 of every hour, in UTC"},
		{"cron */5 30 3 * * *", "every 5 seconds during minute 30 of hour 3, in UTC"},
		{"cron 0 0 12 1 1 * 2027", "at 12:00 on day 1 of January, in 2027, in UTC"},
		{"cron 0 0 12 * * * 2027-2030,2050/5", "at 12:00 every day, in 2027 to 2030 and every 5th year from 2050 on, in UTC"},
		{"cron 0 9 * 12 *", "at 09:00 every day, in December, in UTC"},
		{"cron */5 * * nov-feb *", "every 5 minutes, in January, February, November and December, in UTC"},
		{"cron 0 9 * 12 fri-tue", "at 09:00 on Monday, Tuesday and Friday to Sunday, in December, in UTC"},
		{"cron 0 9 13 * fri", "at 09:00 on day 13 of the month or on Friday, in UTC"},
		{"cron 0 9 13 * fri days and", "at 09:00 on day 13 of the month, only where that is Friday, in UTC"},
		{"cron 0 9 */2 * 1,5L", "at 09:00 on every 2nd day from 1 to 31 of the month, only where that is Monday or the last Friday of the month, in UTC"},
		{"cron 0 9 1-31 * mon", "at 09:00 every day, in UTC"},
		{"cron 0 9 1-31 * mon days and", "at 09:00 on Monday, in UTC"},
		{"cron 0 9 13 * *", "at 09:00 on day 13 of the month, in UTC"},
		{"cron 0 9 */3 * *", "at 09:00 on every 3rd day from 1 to 31 of the month, in UTC"},
		{"cron 0 0 1,lw,l-3,15w * *", "at 00:00 on day 1, on the 3rd day before the last, on the last day from Monday to Friday and on the day from Monday to Friday nearest to day 15 of the month, in UTC"},
		{"cron 0 0 l,l-1w * *", "at 00:00 on the last day and on the day from Monday to Friday nearest to the 1st day before the last of the month, in UTC"},
		{"cron 0 0 * 1,6 mon#2,fri,tue#5", "at 00:00 on Friday, the 2nd Monday of the month and the 5th Tuesday of the month, in January and June, in UTC"},
		{"cron H 9 * * *", "at a minute that follows from the task's name, of hour 9, every day, in UTC"},
		{"cron H h * * *", "at a minute that follows from the task's name, of an hour that follows from the task's name, every day, in UTC"},
		{"cron H(0-29)/10,45 * * * *", "every hour at minute 45, and every 10th minute from 0 to 29, counted from one up to 9 that follows from the task's name, in UTC"},
		{"cron 0 0 H,5 2 *", "at 00:00 on day 5, and a day from 1 to 28 that follows from the task's name, of February, in UTC"},
		{"cron 0 0 H h H(1-5)", "at 00:00 on a day from 1 to 28 that follows from the task's name, of the month or on a day of the week from Monday to Friday that follows from the task's name, in a month that follows from the task's name, in UTC"},
		{"cron 30 2 * * * in Europe/Berlin gap skip fold both", "at 02:30 every day, in Europe/Berlin, left out where clocks are put forward over it, both times where clocks are put back over it"},
		{"cron 30 2 * * * in Europe/Berlin gap shift fold second", "at 02:30 every day, in Europe/Berlin, as much later as clocks are put forward over it, the second time where clocks are put back over it"},
		{"cron 30 * * * * in Europe/Berlin gap skip fold both", "every hour at minute 30, in Europe/Berlin"}, // does not pin the hour
		{"cron 0 0 30 2 *", "at 00:00 on day 30 of February, in UTC"},
		{
			"cron 0 9 * * mon-fri except (cron * * 25 12 *) except (at 2026-05-01) from 2026-01-01 until 2030-01-01 times 5 jitter 1m",
			"at 09:00, Monday to Friday, in UTC, not before 2026-01-01T00:00:00Z, except (on day 25 of December, in UTC), except (once, at 2026-05-01T00:00:00Z), " +
				"until 2030-01-01T00:00:00Z, 5 starts at most, delayed by a fixed time of less than 1 minute that follows from the task's name",
		},
		{"cron 0 * * * * except (cron * * * * sat,sun)", "every hour at minute 0, in UTC, except (on Saturday and Sunday, in UTC)"},
		{"cron 0 * * * * except (cron * * * * * * 2027)", "every hour at minute 0, in UTC, except (in 2027, in UTC)"},
		{"cron 0 * * * * except (cron 30 * * * *)", "every hour at minute 0, in UTC, except (every hour at minute 30, in UTC)"},
		{"(cron 0 9 * * 1-5 in Europe/Berlin) or (cron 0 12 * * sat)", "at 09:00, Monday to Friday, in Europe/Berlin; or at 12:00 on Saturday, in UTC"},
		{"(cron 0 9 * * 1-5) or (every 1h) until 2027-01-01", "(at 09:00, Monday to Friday, in UTC) or (every hour, counted from when it is accepted), until 2027-01-01T00:00:00Z"},
		{"(cron 0 9 * * 1-5) or (every 1h until 2027-01-01)", "(at 09:00, Monday to Friday, in UTC) or (every hour, counted from when it is accepted, until 2027-01-01T00:00:00Z)"},
		{"every 1h", "every hour, counted from when it is accepted"},
		{"every 1h30m times 1", "every 1 hour 30 minutes, counted from when it is accepted, 1 start at most"},
		{"every 1.25s from 2026-01-01", "every 1 second 250ms, first at 2026-01-01T00:00:00Z"},
		{"every 1m align 2000-01-01", "every minute, in phase with 2000-01-01T00:00:00Z"},
		{"every 1m align 2000-01-01 from 2026-01-01", "every minute, in phase with 2000-01-01T00:00:00Z, not before 2026-01-01T00:00:00Z"},
		{"every 1h from 2026-01-01 except (cron * 0-5 * * *)", "every hour, counted from 2026-01-01T00:00:00Z, except (every minute during hours 0 to 5, in UTC)"},
		{"pace 10s", "10 seconds after the end of each run, first 10 seconds after it is accepted"},
		{"pace-from-start 1h from 2026-01-01", "1 hour after the start of each run, first at 2026-01-01T00:00:00Z"},
		{"in 36h", "once, 36 hours after it is accepted"},
		{"in -5m", "once, as soon as it is accepted"},
		{"at 2026-12-24T17:00:00Z", "once, at 2026-12-24T17:00:00Z"},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		if got := s.Words(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
	if got := Cron("x").Words(); got != "" {
		t.Errorf("words of a schedule that is none: %q", got)
	}
}

// What sounds the same must be the same: expressions that differ in when they match have different words. Zones aside, since
// whether a rule pins the hour is not told.
func TestWordsTellApart(t *testing.T) {
	seen := map[string][2]string{} // by words: what matches, and the expression
	var times, dates []string
	for _, m := range []string{"0", "*", "30", "*/15", "*/7", "5/15", "0,30", "0-10", "1-59/2", "0,1,2,30-59/3", "*/40", "*/20,7", "0,2,4,6,8,10,14", "0-10/2"} {
		for _, h := range []string{"*", "9", "*/2", "*/5", "9-17", "9-17/2", "0,12", "0,12,23", "1-23/2", "22-2", "0,2,6", "0,2,4,6,10", "0-4/2"} {
			times = append(times, m+" "+h)
			for _, s := range []string{"*", "30", "*/10", "0,30", "1-59/7"} {
				times = append(times, s+" "+m+" "+h)
			}
		}
	}
	for _, dom := range []string{"*", "1-31", "1", "1,15", "*/2", "10-20", "l", "lw", "l-3", "15w", "l-2w,1"} {
		for _, month := range []string{"*", "2", "1-3", "*/5"} {
			for _, dow := range []string{"*", "0-6", "mon", "mon-fri", "sun,sat", "fri-tue", "*/2", "fril", "mon#2", "mon,fril", "mon,tue,thu", "mon-wed"} {
				dates = append(dates, dom+" "+month+" "+dow)
			}
		}
	}
	tell := func(text, what string) {
		words := Cron(text).Words()
		if had, ok := seen[words]; ok && had[0] != what {
			t.Errorf("%q and %q are not the same, and both are %q", text, had[1], words)
		}
		seen[words] = [2]string{what, text}
	}
	for _, text := range times {
		k := Cron(text + " * * *").more.cron
		tell(text+" * * *", fmt.Sprint(k.second, k.minute, k.hour))
	}
	for _, text := range dates {
		r, at := Cron("0 0 "+text).Bind("", year27), year27
		var b strings.Builder
		for range 400 {
			at = r.Next(at)
			fmt.Fprint(&b, at.Unix(), " ")
		}
		tell("0 0 "+text, b.String())
	}
	if len(seen) < 500 {
		t.Errorf("%d phrases only", len(seen))
	}
}

// Where H is, words hold whatever the name; and nothing that can be drawn breaks their form.
func TestWordsForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := aCalendar(1, false).Draw(t, "s")
		w := s.Words()
		for _, bad := range []string{"  ", " ,", ",,", "on ,", "of ,", "()", "%!"} {
			if strings.Contains(w, bad) {
				t.Fatalf("%s: %q in %q", s, bad, w)
			}
		}
		if strings.HasPrefix(w, " ") || strings.HasPrefix(w, ",") || strings.HasSuffix(w, " ") || strings.HasSuffix(w, ".") {
			t.Fatalf("%s: %q", s, w)
		}
	})
}

func TestWarnings(t *testing.T) {
	const (
		either = `day of month 13 and day of week fri are both restricted, and a day that matches either counts: add "days and" for days that match both`
		day31  = "day 31 is not in every month: it is left out in February, April, June, September and November"
	)
	tests := []struct {
		text string
		want []string
	}{
		{"cron 0 9 * * mon-fri in Europe/Berlin", nil},
		{"cron 30 2 * * * in Europe/Berlin", nil},
		{"every 1h", nil},
		{"in 5m", nil},
		{"cron 0 9 13 * fri", []string{either}},
		{"cron 15 0 9 13 * fri *", []string{either}},
		{"cron 0 9 13 * fri days and", nil},
		{"cron 0 9 */2 * fri days and", []string{"day */2 is counted anew each month: the last interval depends on how long the month is"}},
		{"cron */15 */6 * */3 *", nil},
		{"cron */7 * * * *", []string{"minute */7 is counted anew each hour: the last interval is 4 minutes, not 7"}},
		{"cron */40 * * * *", []string{"minute */40 is counted anew each hour: the last interval is 20 minutes, not 40"}},
		{"cron 0,40 * * * *", nil},
		{"cron 10-50/20 * * * *", nil},
		{"cron 0 9-17/3 * * *", nil},
		{"cron 0 1-23/2 * * *", nil},
		{"cron 3/7 * * * *", []string{"minute 3-59/7 is counted anew each hour: the last interval is 4 minutes, not 7"}},
		{"cron */25 */7 */5 * */5 */3", []string{
			"second */25 is counted anew each minute: the last interval is 10 seconds, not 25",
			"minute */7 is counted anew each hour: the last interval is 4 minutes, not 7",
			"hour */5 is counted anew each day: the last interval is 4 hours, not 5",
			"month */5 is counted anew each year: the last interval is 2 months, not 5",
			"day of the week */3 is counted anew each week: the last interval is 1 day, not 3",
		}},
		{"cron 0 0 31 * *", []string{day31}},
		{"cron 0 0 31W * *", []string{day31}},
		{"cron 0 0 31 jan,mar *", nil},
		{"cron 0 0 28-31 * *", nil}, // the end of the month
		{"cron 0 0 1-31 * *", nil},
		{"cron 0 0 29,30 2,3 *", []string{
			"day 29 is not in every month: it is left out in February but in leap years",
			"day 30 is not in every month: it is left out in February",
		}},
		{"cron 0 0 L-30 * *", []string{"the 30th day before the last is not in every month: it is left out in February, April, June, September and November"}},
		{"cron 0 0 * * fri#5", []string{`the 5th Friday is in some months only: the others are left out, unlike with "fril", the last one`}},
		{"cron * 3 * * *", []string{`it runs 60 times in each hour that it names: did you mean "cron 0 3 * * *"?`}},
		{"cron 0 * 3,12 * * *", []string{`it runs 60 times in each hour that it names: did you mean "cron 0 0 3,12 * * *"?`}},
		{"cron * * 3 * * *", []string{`it runs 3600 times in each hour that it names: did you mean "cron 0 0 3 * * *"?`}},
		{"cron * 30 3 * * *", []string{`it runs 60 times in each minute that it names: did you mean "cron 0 30 3 * * *"?`}},
		{"cron * 9-17 * * *", nil}, // may well be meant so
		{"cron * * 1 * *", nil},
		{"cron 0 0 30 2 *", []string{`"cron 0 0 30 2 *" never matches: no year has such a day`}},
		{"cron 0 9 * * * except (cron * * 25 12 *)", nil},
		{"cron 0 9 * * * except (cron * 9 1 * *)", nil},
		{"cron 0 9 * * * in Asia/Tokyo except (cron * * 25 12 * in Asia/Tokyo)", nil},
		{"every 1h except (cron * * 25 12 * in Asia/Tokyo)", nil},
		{"(cron 0 9 13 * fri) or (cron 0 12 13 * fri) or (cron 0 0 30 2 *)", []string{either, `"cron 0 0 30 2 *" never matches: no year has such a day`}},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(tt.want, s.Warnings()); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.text, diff)
		}
	}
	if got := Cron("x").Warnings(); got != nil {
		t.Errorf("warnings of a schedule that is none: %q", got)
	}
}

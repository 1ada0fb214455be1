package schedule

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bitsOf makes a set of values.
func bitsOf(values ...int) (set uint64) {
	for _, v := range values {
		set |= 1 << v
	}
	return set
}

const (
	allMinutes = 1<<60 - 1
	allHours   = 1<<24 - 1
	allDays    = 1<<32 - 2
	allMonths  = 1<<13 - 2
	allWeek    = 1<<7 - 1
)

func TestParseCronSets(t *testing.T) {
	everyDay := fieldSet(1<<fieldDom | 1<<fieldMonth | 1<<fieldDow)
	tests := []struct {
		expr string
		want cron
	}{
		{"0 9 * * *", cron{
			second: 1, minute: 1, hour: 1 << 9, dom: allDays, month: allMonths, dow: allWeek, stars: everyDay, field: 5,
		}},
		{"*/20 22-2/2 25-5/3 nov-feb fri-tue/2", cron{
			second: 1, minute: bitsOf(0, 20, 40), hour: bitsOf(22, 0, 2), dom: bitsOf(25, 28, 31, 3), month: bitsOf(11, 12, 1, 2),
			dow: bitsOf(5, 0, 2), stars: 1 << fieldMinute, field: 5,
		}},
		{"? 50-10/7 ? 31-1 6-7 ?", cron{ // wraps of 60, the month of one day on either side
			second: allMinutes, minute: bitsOf(50, 57, 4), hour: allHours, dom: bitsOf(31, 1), month: bitsOf(6, 7), dow: allWeek,
			stars: 1<<fieldSecond | 1<<fieldHour | 1<<fieldDow, field: 6,
		}},
		{"0 0 0 l,l-3,lw,l-2w,1w,31w,7 * 0L,sat#5,3 2030-2040/3,2020-2021,1999", cron{
			second: 1, minute: 1, hour: 1, dom: 1 << 7, lastDay: bitsOf(0, 3), lastWeekday: bitsOf(0, 2), nearestWeekday: bitsOf(1, 31),
			month: allMonths, dow: 1 << 3, nth: [7]uint8{0: 1, 6: 1 << 5}, stars: 1 << fieldMonth, field: 7,
			years: []yearRange{{1999, 1999, 1}, {2020, 2021, 1}, {2030, 2039, 3}},
		}},
		{"0 0 0 1 1 7 */40", cron{
			second: 1, minute: 1, hour: 1, dom: 1 << 1, month: 1 << 1, dow: 1, field: 7, years: []yearRange{{1970, 9970, 40}},
		}},
		{"0 0 0 1 1 * *", cron{
			second: 1, minute: 1, hour: 1, dom: 1 << 1, month: 1 << 1, dow: allWeek, stars: 1 << fieldDow, field: 7,
		}},
		{"H H(9-17)/2 H * H", cron{
			second: 1, month: allMonths, stars: 1 << fieldMonth, field: 5,
			hashed: []hashItem{{fieldMinute, 0, 59, 0}, {fieldHour, 9, 17, 2}, {fieldDom, 1, 28, 0}, {fieldDow, 0, 6, 0}},
		}},
		{"5,h/10 h(3-3) * * *", cron{
			second: 1, minute: 1 << 5, hour: 1 << 3, dom: allDays, month: allMonths, dow: allWeek, stars: everyDay, field: 5,
			hashed: []hashItem{{fieldMinute, 0, 59, 10}},
		}},
	}
	for _, tt := range tests {
		got, err := parseCron(tt.expr)
		if err != nil {
			t.Errorf("parseCron(%q): %v", tt.expr, err)
			continue
		}
		if diff := cmp.Diff(&tt.want, got, equalCron); diff != "" {
			t.Errorf("parseCron(%q) (-want +got):\n%s", tt.expr, diff)
		}
	}
}

// Whatever H stands for lies where it is asked for, and a step has as many values as its first allows.
func TestParseCronHash(t *testing.T) {
	k, err := parseCron("h h(9-17)/2 h(5-7) h(2-3) h(mon-fri)")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "a", "report", "backup-7"} {
		r := k.resolve(name)
		for f, within := range map[field]uint64{
			fieldMinute: allMinutes, fieldHour: span(9, 17), fieldDom: span(5, 7), fieldMonth: span(2, 3), fieldDow: span(1, 5),
		} {
			if set := *r.set(f); set == 0 || set&^within != 0 {
				t.Errorf("h of task %q, %s: %b, want some of %b", name, cronFields[f].name, set, within)
			}
		}
		if r.hour != every(9, 17, 2) && r.hour != every(10, 17, 2) {
			t.Errorf("h(9-17)/2 of task %q: %b, want every second hour", name, r.hour)
		}
	}
}

// A month without the day makes way for the next one that has it, over the end of those that are asked for, too.
func TestCron_MonthOfHash(t *testing.T) {
	monthOf := func(expr, name string) time.Month {
		return Cron(expr).Bind(name, time.Time{}).Next(year27).Month()
	}
	moved := 0
	for i := range 60 {
		name := "task-" + strconv.Itoa(i)
		for _, months := range []struct{ field, long string }{{"h", "1,3,5,7,8,10,12"}, {"h(2-6)", "3,5"}, {"h(9-12)", "10,12"}, {"h(4-8)", "5,7,8"}} {
			lo, hi := 1, 12
			if months.field != "h" {
				ends := strings.Split(strings.Trim(months.field, "h()"), "-")
				lo, _ = strconv.Atoi(ends[0])
				hi, _ = strconv.Atoi(ends[1])
			}
			want := int(monthOf("0 0 1 "+months.field+" *", name))
			for !slices.Contains(strings.Split(months.long, ","), strconv.Itoa(want)) {
				moved++
				if want++; want > hi {
					want = lo
				}
			}
			if got := monthOf("0 0 31 "+months.field+" *", name); int(got) != want {
				t.Errorf("%s, %s: in %v, want %v", months.field, name, got, time.Month(want))
			}
		}
	}
	if moved < 60 {
		t.Errorf("%d moved only", moved)
	}
}

// rareYears are n items of three years each that have no shorter form.
func rareYears(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = strconv.Itoa(2000+20*i) + "-" + strconv.Itoa(2010+20*i) + "/5"
	}
	return strings.Join(items, ",")
}

func TestParseCronRefused(t *testing.T) {
	const (
		minutes = "0 to 59"
		hours   = "0 to 23"
		days    = "1 to 31, or l for the last"
		months  = "1 to 12 or jan to dec"
		week    = "0 to 7 (sunday is both) or sun to sat"
		years   = "1970 to 9999"
		last    = "l, l-0 to l-30, lw or l-3w"
	)
	tests := []struct {
		expr, field, value string
		pos                int
		want               string
	}{
		// The number of fields.
		{"", "cron", "", 1, fieldsWant + ", not 0"},
		{" \t ", "cron", "", 4, fieldsWant + ", not 0"},
		{"0 9 * *", "cron", "0 9 * *", 1, fieldsWant + ", not 4"},
		{"  0 9 * * ", "cron", "0 9 * *", 3, fieldsWant + ", not 4"},
		{"0 0 9 * * * * *", "cron", "0 0 9 * * * * *", 1, fieldsWant + ", not 8"},

		// Out of range.
		{"60 * * * *", "minute", "60", 1, minutes + "; the full hour is minute 0"},
		{"60 * * * * *", "second", "60", 1, minutes + "; the full minute is second 0"},
		{"61 * * * *", "minute", "61", 1, minutes},
		{"0 24 * * *", "hour", "24", 3, hours + "; midnight is 0"},
		{"0 25 * * *", "hour", "25", 3, hours},
		{"0 1,2,30-31 * * *", "hour", "30-31", 7, hours},
		{"0 1-99 * * *", "hour", "1-99", 5, hours},
		{"0 0 0 * *", "day of month", "0", 5, days},
		{"0 0 32 * *", "day of month", "32", 5, days},
		{"0 0 32W * *", "day of month", "32W", 5, days},
		{"0 0 0W * *", "day of month", "0W", 5, days},
		{"0 0 * 0 *", "month", "0", 7, months + "; january is 1"},
		{"0 0 * 13 *", "month", "13", 7, months},
		{"0 0 * * 8", "day of week", "8", 9, week},
		{"0 0 * * 8L", "day of week", "8L", 9, week},
		{"0 9 * * * 2026", "day of week", "2026", 11, week + "; a year is the last of 7 fields, seconds first"},
		{"0 0 0 1 * * 1000", "year", "1000", 13, years},
		{"0 0 0 1 * * 99999", "year", "99999", 13, years},
		{"0-10000000000000000000000 * * * *", "minute", "0-10000000000000000000000", 3, minutes},

		// Steps.
		{"*/60 * * * *", "minute", "*/60", 3, `a step from 1 to 59; for every 60 minutes use "every 1h"`},
		{"*/90 * * * *", "minute", "*/90", 3, `a step from 1 to 59; for every 90 minutes use "every 1h30m"`},
		{"0 1/24 * * *", "hour", "1/24", 5, `a step from 1 to 23; for every 24 hours use "every 24h"`},
		{"*/90 * * * * *", "second", "*/90", 3, `a step from 1 to 59; for every 90 seconds use "every 1m30s"`},
		{"*/99999999999999999999 * * * *", "minute", "*/99999999999999999999", 3, "a step from 1 to 59"},
		{"*/0 * * * *", "minute", "*/0", 3, "a step from 1 to 59"},
		{"*/ * * * *", "minute", "*/", 3, "a step from 1 to 59"},
		{"5/-2 * * * *", "minute", "5/-2", 3, "a step from 1 to 59"},
		{"0-10/error * * * *", "minute", "0-10/error", 6, "a step from 1 to 59"},
		{"0 0 */32 * *", "day of month", "*/32", 7, "a step from 1 to 31"},
		{"0 0 * */13 *", "month", "*/13", 9, "a step from 1 to 12"},
		{"0 0 * * */8", "day of week", "*/8", 11, "a step from 1 to 7"},
		{"0 0 * * 6-0/0", "day of week", "6-0/0", 13, "a step from 1 to 7"},
		{"0 0 0 1 1 * */0", "year", "*/0", 15, "a step from 1 to 9999"},
		{"1/2/3 * * * *", "minute", "1/2/3", 4, `one "/" only`},
		{"/5 * * * *", "minute", "/5", 1, `"*/5"`},
		{"/ * * * *", "minute", "/", 1, `a value before the "/", as in */5`},
		{"*5 * * * *", "minute", "*5", 2, `"*/5"`},
		{"?/5 * * * *", "minute", "?/5", 1, `"?" as a whole field, or "*"`},
		{"0 0 L/2 * *", "day of month", "L/2", 6, last},
		{"0 0 15w/2 * *", "day of month", "15w/2", 8, `no step after "15w"`},

		// Lists and ranges.
		{"1, * * * *", "minute", "1,", 3, "a value after the last comma, or no comma"},
		{",1 * * * *", "minute", ",1", 1, "a value before the comma"},
		{", * * * *", "minute", ",", 1, "a value before the comma"},
		{"0 1,,2 * * *", "hour", "1,,2", 5, "a value between the commas"},
		{"?,5 * * * *", "minute", "?", 1, `"?" as a whole field, or "*"`},
		{"5,? * * * *", "minute", "?", 3, `"?" as a whole field, or "*"`},
		{"5- * * * *", "minute", "5-", 3, `a value after the "-"`},
		{"- * * * *", "minute", "-", 1, `a value before the "-"`},
		{"-5 * * * *", "minute", "-5", 1, `a value before the "-"`},
		{"+5 * * * *", "minute", "+5", 1, minutes + ", without a sign"},
		{"1-2-3 * * * *", "minute", "1-2-3", 4, `one "-" only`},
		{"5--7 * * * *", "minute", "5--7", 3, minutes},
		{"0~30 * * * *", "minute", "0~30", 2, `"h(0-30)"`},
		{"1k * * * *", "minute", "1k", 2, minutes},
		{"1.5 * * * *", "minute", "1.5", 2, "whole numbers"},
		{"5* * * * *", "minute", "5*", 2, minutes},
		{"0 0 0 1 1 * 2030-2020", "year", "2030-2020", 18, "a year not before 2030"},
		{"0 0 0 1 1 * H", "year", "H", 13, years},
		{"0 0 0 1 1 * " + strings.Repeat("2000,", 64) + "2000", "year", clip(strings.Repeat("2000,", 64)), 13, "at most 64 years and ranges of years, not 65"},
		{"0 0 0 1 1 * 1990," + rareYears(22), "year", clip("1990," + rareYears(22)), 13, "at most 64 years and ranges of years, not 67"},

		// Names.
		{"0 9 * * monday", "day of week", "monday", 9, `"mon"`},
		{"0 9 * * mon-friday", "day of week", "mon-friday", 13, `"fri"`},
		{"0 9 * * sut", "day of week", "sut", 9, `"sun" or "sat"`},
		{"0 9 * * TEU", "day of week", "TEU", 9, `"tue" or "thu"`},
		{"0 9 * * wen", "day of week", "wen", 9, `"wed"`},
		{"0 9 * * t", "day of week", "t", 9, `"tue" or "thu"`},
		{"0 9 * * jan", "day of week", "jan", 9, week + "; jan is a month"},
		{"0 9 * * mon..fri", "day of week", "mon..fri", 12, `"-" for a range, as in mon-fri`},
		{"0 9 * * x", "day of week", "x", 9, week},
		{"* * * janu-jun *", "month", "janu-jun", 7, `"jan"`},
		{"* * * juk *", "month", "juk", 7, `"jun" or "jul"`},
		{"* * * mon *", "month", "mon", 7, months + "; mon is a day of the week"},
		{"mon * * * *", "minute", "mon", 1, minutes + "; mon is a day of the week"},
		{"a * * * *", "minute", "a", 1, minutes},

		// Days counted from the end, or near a weekday.
		{"L * * * *", "minute", "L", 1, minutes + `; "l" belongs to the days`},
		{"* 10#1 * * *", "hour", "10#1", 5, hours + `; "#" belongs to the day of week`},
		{"* * W * *", "day of month", "W", 5, `one day before the "w", as in 15w, or lw`},
		{"* * 1W-3 * *", "day of month", "1W-3", 7, `no range with "1w"`},
		{"* * 1,2-5W * *", "day of month", "2-5W", 10, `one day before the "w", as in 15w, or lw`},
		{"* * 1LW * *", "day of month", "1LW", 6, "l alone for the last day, or l-3"},
		{"* * 25-L * *", "day of month", "25-L", 8, "l alone for the last day, or l-3"},
		{"* * L-31 * *", "day of month", "L-31", 7, last},
		{"* * L- * *", "day of month", "L-", 7, last},
		{"* * last * *", "day of month", "last", 6, last},
		{"* * MON * *", "day of month", "MON", 5, days + "; mon is a day of the week"},
		{"* * * * L", "day of week", "L", 9, `one day before the "l", as in fril; the month's last day is l as the day of month`},
		{"* * * * L5", "day of week", "L5", 9, `one day before the "l", as in fril; the month's last day is l as the day of month`},
		{"* * * * lw", "day of week", "lw", 9, `one day before the "l", as in fril; the month's last day is l as the day of month`},
		{"* * * * 15w", "day of week", "15w", 9, week},
		{"* * * * 1w", "day of week", "1w", 10, week + `; "w" belongs to the day of month`},
		{"* * * * *#1", "day of week", "*#1", 10, `one day before the "#", as in mon#2`},
		{"* * * * #1", "day of week", "#1", 9, `one day before the "#", as in mon#2`},
		{"* * * * mon-fri#1", "day of week", "mon-fri#1", 16, `one day before the "#", as in mon#2`},
		{"* * * * sun#6", "day of week", "sun#6", 13, "a number from 1 to 5 after the #"},
		{"* * * * SUN#050", "day of week", "SUN#050", 13, "a number from 1 to 5 after the #"},
		{"* * * * 1#", "day of week", "1#", 11, "a number from 1 to 5 after the #"},
		{"* * * * mon#2l", "day of week", "mon#2l", 14, `one day before the "l", as in fril; the month's last day is l as the day of month`},

		// H.
		{"h( * * * *", "minute", "h(", 3, `a value after the "("`},
		{"H(5) * * * *", "minute", "H(5)", 4, "a range in parentheses, as in h(1-5)"},
		{"H(0-29 * * * *", "minute", "H(0-29", 7, `a ")" after the range`},
		{"H(30-10) * * * *", "minute", "H(30-10)", 3, "a range that does not go over the end, which for h is 59"},
		{"* * H(1-31) * *", "day of month", "H(1-31)", 7, "a range that does not go over the end, which for h is 28"},
		{"* * * * H(5-7)", "day of week", "H(5-7)", 11, "a range that does not go over the end, which for h is 6"},
		{strings.Repeat("H,", 8) + "H/3 * * * *", "minute", "H/3", 17, "at most 8 h in a field"},
		{"H-5 * * * *", "minute", "H-5", 2, `no range with "h"`},
		{"H/60 * * * *", "minute", "H/60", 3, `a step from 1 to 59; for every 60 minutes use "every 1h"`},

		// What is not ASCII, or cannot be seen.
		{"0\u00a09 * * *", "cron", "0\u00a09", 2, "spaces or tabs only, not U+00A0 (no-break space)"},
		{"0 9 * * *\n", "cron", "*\n", 10, "spaces or tabs only, not U+000A (line feed)"},
		{"0 9 * * *\u200b", "cron", "*\u200b", 10, "spaces or tabs only, not U+200B (zero width space)"},
		{"0 9 * * *\u2003*", "cron", "*\u2003*", 10, "spaces or tabs only, not U+2003 (white space)"},
		{"0 9 * * 1\u20135", "day of week", "1\u20135", 10, `"-" in ASCII, not U+2013 (en dash)`},
		{"0 ٣ * * *", "hour", "٣", 3, `"3" in ASCII, not U+0663 (a digit of another script)`},
		{"0 1𝟗 * * *", "hour", "1𝟗", 4, `"9" in ASCII, not U+1D7D7 (a digit of another script)`},
		{"0 ５ * * *", "hour", "５", 3, `"5" in ASCII, not U+FF15 (a digit of another script)`},
		{"＊ 0 * * *", "minute", "＊", 1, `"*" in ASCII, not U+FF0A`},
		{"0 9 * * ſun", "day of week", "ſun", 9, "ASCII, not U+017F"},
		{"0 9 * * mär", "day of week", "mär", 10, "ASCII, not U+00E4"},
		{"0 \xff * * *", "hour", "\xff", 3, "ASCII, not the byte 0xff"},
		{"0 \x00 * * *", "hour", "\x00", 3, hours},

		// Macros.
		{"@reboot", "cron", "@reboot", 1, "a time: only the daemon knows when it starts"},
		{" @Reboot", "cron", "@Reboot", 2, "a time: only the daemon knows when it starts"},
		{"@midn", "cron", "@midn", 1, `"@midnight"`},
		{"@dialy", "cron", "@dialy", 1, `"@daily"`},
		{"@ymonthly", "cron", "@ymonthly", 1, `"@monthly"`},
		{"@always", "cron", "@always", 1, `@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly or "@every 1h30m"`},
		{"@", "cron", "@", 1, `@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly or "@every 1h30m"`},
		{"@daily 9", "cron", "9", 8, "nothing after @daily"},

		{strings.Repeat("*", maxText+1), "cron", clip(strings.Repeat("*", maxText+1)), maxText + 1, "at most 4096 bytes, not 4097"},
	}
	for _, tt := range tests {
		k, err := parseCron(tt.expr)
		if err == nil {
			t.Errorf("parseCron(%q) = %s, want an error", clip(tt.expr), k.appendText(nil))
			continue
		}
		want := &Error{Field: tt.field, Value: tt.value, Want: tt.want, Pos: tt.pos}
		if diff := cmp.Diff(want, err); diff != "" {
			t.Errorf("parseCron(%q) (-want +got):\n%s", clip(tt.expr), diff)
		}
	}
}

func TestCron(t *testing.T) {
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		t.Skipf("no time zone database on this machine: %v", err)
	}
	tests := []struct {
		expr string
		want Schedule
		text string
	}{
		{"0 9 * * mon-fri", Cron("0 9 * * 1-5"), "cron 0 9 * * mon-fri"},
		{"TZ=Europe/Berlin 0 9 * * *", Cron("0 9 * * *").In("Europe/Berlin"), "cron 0 9 * * * in Europe/Berlin"},
		{"\tCRON_TZ=Europe/Berlin   @daily", Cron("0 0 * * *").In("Europe/Berlin"), "cron 0 0 * * * in Europe/Berlin"},
		{"@every 90m", Every(90 * time.Minute), "every 1h30m"},
		{" @EVERY\t1h30m ", Every(90 * time.Minute), "every 1h30m"},
	}
	for _, tt := range tests {
		got := Cron(tt.expr)
		if err := got.Err(); err != nil {
			t.Errorf("Cron(%q): %v", tt.expr, err)
			continue
		}
		if !got.Equal(tt.want) || got.String() != tt.text {
			t.Errorf("Cron(%q) = %v, want %v, printed as %q", tt.expr, got, tt.want, tt.text)
		}
	}
}

// An expression without a match is a schedule that is well formed and never due.
func TestCronNever(t *testing.T) {
	tests := map[string]bool{
		"0 0 30 2 *":              true,
		"0 0 31 feb,apr *":        true,
		"0 0 0 29 2 * 2021-2023":  true,
		"0 0 l-30 2 *":            true,
		"0 0 29 2 *":              false,
		"0 0 30 2 mon":            false, // either day
		"0 0 h 2 *":               false,
		"0 0 0 29 2 * 2021-2024":  false,
		"0 0 0 31w * * 2021-2024": false,
	}
	for expr, want := range tests {
		if got := Cron(expr).Never(); got != want {
			t.Errorf("Cron(%q).Never() = %v, want %v", expr, got, want)
		}
	}
}

func TestCronRefused(t *testing.T) {
	tests := []struct {
		expr, field, value string
		pos                int
		want               string
	}{
		{"0 25 * * *", "hour", "25", 3, "0 to 23"},
		{"TZ=UTC 0 25 * * *", "hour", "25", 10, "0 to 23"},
		{" CRON_TZ=UTC\t", "cron", "", 14, fieldsWant + ", not 0"},
		{"TZ=UTC", "cron", "", 7, fieldsWant + ", not 0"},
		{"TZ=Mars/Olympus 0 9 * * *", "in", "Mars/Olympus", 4, "a zone of the IANA database, such as Europe/Berlin"},
		{"TZ= 0 9 * * *", "in", "", 4, "a zone of the IANA database, such as Europe/Berlin"},
		{"TZ=UTC\u00a00 9 * * *", "cron", "TZ=UTC\u00a00", 7, "spaces or tabs only, not U+00A0 (no-break space)"},
		{"TZ=UTC @every 1h", "in", "UTC", 4, `it on "cron", "calendar" and "rrule" only: "every" does not go by a wall clock`},
		{"PATH=/bin 9 * * *", "minute", "PATH=/bin", 1, "0 to 59"},
		{"@every", "cron", "", 7, durationWant},
		{"@every 1d", "cron", "1d", 9, "hours, since days and weeks belong to calendars: 24h"},
		{"@every -1h", "cron", "-1h", 8, "a period longer than 0"},
		{"@every 1h and", "cron", "and", 11, "nothing after the duration"},
		{"@reboot", "cron", "@reboot", 1, "a time: only the daemon knows when it starts"},
	}
	for _, tt := range tests {
		s := Cron(tt.expr)
		want := &Error{Field: tt.field, Value: tt.value, Want: tt.want, Pos: tt.pos}
		if diff := cmp.Diff(error(want), s.Err()); diff != "" {
			t.Errorf("Cron(%q).Err() (-want +got):\n%s", tt.expr, diff)
		}
		if s.Kind() != KindCron && s.Kind() != KindEvery {
			t.Errorf("Cron(%q).Kind() = %v", tt.expr, s.Kind())
		}
	}
}

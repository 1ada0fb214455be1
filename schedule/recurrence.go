package schedule

import "math/bits"

// recurrence is an RRULE or EXRULE of RFC 5545, section 3.3.10, read. The sets hold a bit for each value, and are empty where the
// rule does not have the part. It is never changed once made.
type recurrence struct {
	freq     freq
	interval int64 // at least 1
	limit    int64 // COUNT; 0: none
	until    stamp // the zero stamp: no end
	wkst     int   // the first day of the week, 0 (Sunday) to 6

	daytime
	month       uint64
	dom, domEnd uint64    // days of the month, and counted from its end: the last is 1
	dow         uint64    // days of the week without a number, 0 (Sunday) to 6
	nth, nthEnd [7]uint64 // for each day of the week, those that are chosen by number, also from the end
	week        uint64    // weeks of the year
	weekEnd     uint64    // counted from its end
	yearDay     yearDays  // days of the year
	yearDayEnd  yearDays  // counted from its end
	easter      []int     // days after Easter Sunday, sorted
	setpos      []int     // sorted; negative from the end

	wholeYear bool // once settled: numbered days of the week are counted within the year, not within the month
	pinned    bool // once settled: the rule names hours, or its start does
}

// freq is the FREQ of a recurrence.
type freq uint8

const (
	yearly freq = 1 + iota
	monthly
	weekly
	daily
	hourly
	minutely
	secondly
)

var freqNames = [...]string{"", "YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}

// A stamp is a DATE or DATE-TIME: what a wall clock reads.
type stamp struct {
	at   civil // of a date its midnight
	kind stampKind
	zone *zone // of a localStamp whose TZID is another than that of the rule; nil: the rule's
}

type stampKind uint8

const (
	noStamp    stampKind = iota
	dateStamp            // 20260130
	localStamp           // 20260130T090000, in the rule's zone
	utcStamp             // 20260130T090000Z
)

// yearDays is a set of days of a year, 1 to 366.
type yearDays [6]uint64

func (s *yearDays) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *yearDays) has(n int) bool { return s[n/64]>>(n%64)&1 == 1 }
func (s *yearDays) empty() bool    { return *s == yearDays{} }

// window returns the bits from n on, as bits from 0 on.
func (s *yearDays) window(n int) uint64 {
	w := s[n/64] >> (n % 64)
	if n/64 < len(s)-1 {
		w |= s[n/64+1] << (64 - n%64)
	}
	return w
}

// numbered says whether days of the week are chosen by number.
func (k *recurrence) numbered() bool { return k.nth != [7]uint64{} || k.nthEnd != [7]uint64{} }

// byYearDay says whether BYYEARDAY chooses days.
func (k *recurrence) byYearDay() bool { return !k.yearDay.empty() || !k.yearDayEnd.empty() }

// picksDays says whether a part chooses days, apart from BYMONTH.
func (k *recurrence) picksDays() bool {
	return k.dom|k.domEnd|k.dow|k.week|k.weekEnd != 0 || k.numbered() || k.byYearDay() || k.easter != nil
}

// settle fills in what the rule leaves to its start: the day if no part chooses any, and the time of day.
func (k *recurrence) settle(start stamp) {
	day, second := start.at.split()
	k.wholeYear = k.freq == yearly && k.month == 0
	if !k.picksDays() {
		d := dateOf(day)
		switch k.freq {
		case yearly:
			if k.month == 0 {
				k.month = 1 << d.month
			}
			k.dom = 1 << d.day
		case monthly:
			k.dom = 1 << d.day
		case weekly:
			k.dow = 1 << weekday(day)
		default: // the period is a day at most
		}
	}
	if start.kind == dateStamp {
		k.daytime = daytime{}
	}
	k.pinned = k.freq < hourly || k.hour != 0
	settleTime(&k.hour, k.freq < hourly, second/3600, 24)
	settleTime(&k.minute, k.freq < minutely, second/60%60, 60)
	settleTime(&k.second, k.freq < secondly, second%60, 60)
	if k.month == 0 {
		k.month = span(1, 12)
	}
}

// settleTime fills in a field of the time of day: one value, or all that there are.
func settleTime(set *uint64, one bool, value, size int) {
	switch {
	case *set != 0:
	case one:
		*set = 1 << value
	default:
		*set = 1<<size - 1
	}
}

// monthDays returns the days of a month that BYMONTH names that the rule's other parts choose, bits 1 to 31, whatever its interval.
func (k *recurrence) monthDays(year, month int) uint64 {
	n := monthLength(year, month)
	days := uint64(1)<<(n+1) - 2
	if k.dom|k.domEnd != 0 {
		days &= k.dom | bits.Reverse64(k.domEnd)>>(62-n)
		if days == 0 {
			return 0
		}
	}
	first := dayOf(date{year, month, 1})
	if k.dow != 0 || k.numbered() {
		days &= k.weekdays(year, n, first)
	}
	if k.week|k.weekEnd != 0 {
		days &= k.weeks(year, n, first)
	}
	if k.easter != nil || k.byYearDay() {
		days &= k.daysOfYear(year, int(first-dayOf(date{year, 1, 1})))
	}
	return days
}

// weekdays are the days that BYDAY chooses in a month of n days.
func (k *recurrence) weekdays(year, n int, firstDay int64) (chosen uint64) {
	first, all := weekday(firstDay), uint64(1)<<(n+1)-2
	for d := range 7 {
		days := daysOf(d, first) & all
		pos, end := k.nth[d], k.nthEnd[d]
		switch {
		case k.dow>>d&1 == 1:
			chosen |= days
		case pos|end == 0:
		case k.wholeYear:
			jan1 := dayOf(date{year, 1, 1})
			total := yearLength(year)
			at := (d - weekday(jan1) + 7) % 7 // the first such day of the year, from 0
			last := (total-1-at)/7 + 1
			for set := days; set != 0; set &= set - 1 {
				i := (int(firstDay-jan1)+bits.TrailingZeros64(set)-1-at)/7 + 1
				if pos>>i&1 == 1 || end>>(last+1-i)&1 == 1 {
					chosen |= set & -set
				}
			}
		default:
			last := bits.OnesCount64(days)
			for i, set := 1, days; set != 0; i, set = i+1, set&(set-1) {
				if pos>>i&1 == 1 || end>>(last+1-i)&1 == 1 {
					chosen |= set & -set
				}
			}
		}
	}
	return chosen
}

func yearLength(year int) int {
	if leap(year) {
		return 366
	}
	return 365
}

// firstWeek returns the day on which the first week of a year begins: the first with at least four days in it.
func (k *recurrence) firstWeek(year int) int64 { return k.weekStart(dayOf(date{year, 1, 4})) }

// weekStart returns the first day of the week of a day.
func (k *recurrence) weekStart(day int64) int64 {
	return day - int64((weekday(day)-k.wkst+7)%7)
}

// weeks are the days of a month of n days that BYWEEKNO chooses. Around the turn of the year a day may belong to a week of the
// year before or after.
func (k *recurrence) weeks(year, n int, firstDay int64) (chosen uint64) {
	y := year
	begin, next := k.firstWeek(y), k.firstWeek(y+1)
	for start := k.weekStart(firstDay); start < firstDay+int64(n); start += 7 {
		for start < begin {
			y--
			begin, next = k.firstWeek(y), begin
		}
		for start >= next {
			y++
			begin, next = next, k.firstWeek(y+1)
		}
		i, last := (start-begin)/7+1, (next-begin)/7
		if k.week>>i&1 == 1 || k.weekEnd>>(last+1-i)&1 == 1 {
			if at := start - firstDay + 1; at > 0 {
				chosen |= 127 << at
			} else {
				chosen |= 127 >> -at
			}
		}
	}
	return chosen
}

// daysOfYear are the days of a month, which so many of the year are before, that BYYEARDAY and BYEASTER choose.
func (k *recurrence) daysOfYear(year, before int) uint64 {
	days := ^uint64(0)
	if k.byYearDay() {
		days = k.yearDay.window(before)
		end := yearLength(year) + 1 - before
		for day := 1; day <= 31; day++ {
			if k.yearDayEnd.has(end - day) {
				days |= 1 << day
			}
		}
	}
	if k.easter != nil {
		var chosen uint64
		sunday := easter(year)
		for _, after := range k.easter {
			if d := sunday + after - before; d > 0 && d < 32 {
				chosen |= 1 << d
			}
		}
		days &= chosen
	}
	return days
}

// easter returns the day of the year of Easter Sunday, by the Gregorian calendar (the anonymous algorithm of 1876).
func easter(year int) int {
	a, b, c := year%19, year/100, year%100
	h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
	l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return int(dayOf(date{year, n / 31, n%31 + 1})-dayOf(date{year, 1, 1})) + 1
}

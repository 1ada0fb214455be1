package when

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
)

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "tues": time.Tuesday, "wed": time.Wednesday, "weds": time.Wednesday,
	"thu": time.Thursday, "thur": time.Thursday, "thurs": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
	"sunday": time.Sunday, "monday": time.Monday, "tuesday": time.Tuesday, "wednesday": time.Wednesday, "thursday": time.Thursday,
	"friday": time.Friday, "saturday": time.Saturday,
}

var months = map[string]int{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "sept": 9, "oct": 10, "nov": 11, "dec": 12,
	"january": 1, "february": 2, "march": 3, "april": 4, "june": 6, "july": 7, "august": 8, "september": 9, "october": 10,
	"november": 11, "december": 12,
}

// parse reads the text into what it says of the day and of the time of day.
func (r *reader) parse() error {
	text := trim(r.text)
	if start, end, ok := cutInterval(text); ok {
		return r.interval(start, end)
	}
	text, err := r.cutZone(text)
	if err != nil {
		return err
	}
	text = r.cutWeekday(text)
	if full, ok := saysZone(text); ok && !r.foreign {
		local, err := r.absolute(full)
		if err != nil || local == "" {
			return err
		}
		text = local
	}
	words := strings.Fields(strings.ToLower(strings.ReplaceAll(text, ",", " ")))
	if len(words) == 0 {
		return r.unknown(text)
	}
	if words[len(words)-1] == "now" && (len(words) == 1 || len(words) == 2 && words[0] == "at") {
		r.exact, r.isNow = r.now, true
		return nil
	}
	if len(words) == 1 {
		if date, clock, ok := strings.Cut(words[0], "t"); ok && len(date) == len("2026-12-24") && strings.Count(date, "-") == 2 {
			words = []string{date, clock}
		}
	}
	if length, ok := delay(text); ok {
		return r.fail("that is how long, not when; for once after it: duly in " + length)
	}
	for len(words) > 0 {
		n, err := r.take(words)
		if err != nil {
			return err
		}
		words = words[n:]
	}
	return r.yearOrTime()
}

// yearOrTime refuses four digits beside a date without a year that are as good a year as a time of day: 24.12. 2027.
func (r *reader) yearOrTime() error {
	if !digits(r.clock.written, 4, 4) || r.day.form != yearly && (r.day.form != twoDates || r.day.year != 0) {
		return nil
	}
	year, _ := strconv.Atoi(r.clock.written) // four digits
	if first := r.now.In(r.loc).Year(); year < first && !r.past || year < first-10 || year >= 2100 {
		return nil
	}
	dates, _ := r.dates()
	var at []time.Time
	for _, d := range dates {
		at = append(at, r.at(d, 0)...)
		at = append(at, instants(year, int(d.month), d.day, 0, 0, 0, r.loc)...)
	}
	return r.fail(fmt.Sprintf("%s may be the year, or %02d:%02d", r.clock.written, r.clock.hour, r.clock.min), at...)
}

// cutZone takes a zone off the end of a text: UTC, Europe/Berlin, +02:00, -0600 or -06, each a word of its own.
func (r *reader) cutZone(text string) (string, error) {
	i := strings.LastIndexAny(text, " \t")
	if i < 0 {
		return text, nil
	}
	word, rest := text[i+1:], trim(text[:i])
	switch {
	case strings.EqualFold(word, "utc"):
		r.loc = time.UTC
	case strings.Contains(word, "/") && (word[0] >= 'A' && word[0] <= 'Z' || word[0] >= 'a' && word[0] <= 'z'):
		loc, ok := loadZone(word)
		if !ok {
			return "", r.fail(fmt.Sprintf("%q is no zone of the IANA database, such as Europe/Berlin", shorten(word)))
		}
		r.loc = loc
	default:
		offset, ok := readOffset(word)
		if !ok {
			return text, nil
		}
		r.loc = time.FixedZone("", offset)
	}
	r.foreign = true
	return rest, nil
}

// readOffset reads +02:00, +0200 or +02, in seconds.
func readOffset(word string) (seconds int, ok bool) {
	if word[0] != '+' && word[0] != '-' {
		return 0, false
	}
	number := strings.Replace(word[1:], ":", "", 1)
	if len(word) == len("+02:00") != (number != word[1:]) || !digits(number, 2, 4) || len(number) == 3 {
		return 0, false
	}
	number += "00"
	hours, _ := strconv.Atoi(number[:2])
	minutes, _ := strconv.Atoi(number[2:4])
	if seconds = hours*3600 + minutes*60; word[0] == '-' {
		seconds = -seconds
	}
	return seconds, hours < 24 && minutes < 60
}

// cutWeekday takes a day of the week off the beginning of a text that goes on with a date, and keeps it to be compared.
func (r *reader) cutWeekday(text string) string {
	word, rest := text, ""
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		word, rest = text[:i], trim(text[i:])
	}
	day, ok := weekdays[strings.ToLower(strings.TrimRight(word, ".,"))]
	first, _, _ := strings.Cut(strings.ToLower(rest), " ")
	first, _, _ = strings.Cut(first, "t")
	if n, _ := numeric(first); !ok || n == 0 {
		return text
	}
	r.weekday, r.onWeekday = day, true
	return rest
}

// saysZone says whether a text begins with a date and says where its clock stands, and returns it with a T between them.
func saysZone(text string) (string, bool) {
	const date = len("2026-12-24")
	if len(text) <= date || text[4] != '-' || text[7] != '-' || text[date] != 'T' && text[date] != 't' && text[date] != ' ' {
		return "", false
	}
	clock := text[date+1:]
	if !strings.ContainsAny(clock, "Zz+-[") {
		return "", false
	}
	return text[:date] + "T" + clock, true
}

// delay says whether a text is a length of time, and returns it as it would be typed.
func delay(text string) (string, bool) {
	length := text
	if len(length) > 3 && strings.EqualFold(length[:3], "in ") {
		length = trim(length[3:])
	}
	if _, err := schedule.ParseSpan(length); err != nil {
		return "", false
	}
	if strings.ContainsAny(length, " \t") {
		return strconv.Quote(length), true
	}
	return length, true
}

// take reads a part of the text from the first words, and returns how many they are.
func (r *reader) take(words []string) (int, error) {
	word := words[0]
	if word == "at" || word == "on" {
		if len(words) == 1 {
			return 0, r.unknown(word)
		}
		return 1, nil
	}
	if n, c, ok := readClock(words); ok {
		if r.clock.said {
			return 0, r.fail("it has two times of day, " + r.clock.written + " and " + c.written)
		}
		if c.hour > 24 || c.hour == 24 && (c.min > 0 || c.sec > 0) || c.min > 59 || c.sec > 59 {
			return 0, r.fail(c.written + " is no time of day; want 00:00 to 23:59")
		}
		r.clock = c
		return n, nil
	}
	n, d, err := r.readDay(words)
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, r.bare(words)
	case r.day.form == weekday && !r.onWeekday && (d.form == dated || d.form == yearly):
		r.weekday, r.onWeekday = r.day.weekday, true
	case r.day.form != noDay:
		return 0, r.fail("it has two days")
	}
	r.day = d
	return n, nil
}

// readClock reads a time of day: 17:00, 17:00:30, 5pm, 5:30 pm, noon, midnight.
func readClock(words []string) (n int, c clock, ok bool) {
	word := words[0]
	c = clock{said: true, written: word}
	switch word {
	case "noon":
		c.hour = 12
		return 1, c, true
	case "teatime":
		c.hour = 16
		return 1, c, true
	case "midnight":
		c.midnight = true
		return 1, c, true
	}
	n = 1
	if digits(word, 4, 4) { // as at(1) takes it: hours and minutes
		c.hour, c.min = int(word[0]-'0')*10+int(word[1]-'0'), int(word[2]-'0')*10+int(word[3]-'0')
		return 1, c, true
	}
	half, rest := cutHalf(word)
	if half == "" && len(words) > 1 {
		if h, left := cutHalf(words[1]); h != "" && left == "" {
			half, n = h, 2
			c.written += " " + words[1]
		}
	}
	rest, frac, pointed := strings.Cut(rest, ".")
	parts := strings.Split(rest, ":")
	if pointed && (len(parts) != 3 || !digits(frac, 1, 9)) {
		return 0, c, false
	}
	c.nsec, _ = strconv.Atoi((frac + "000000000")[:9])
	if len(parts) > 3 || len(parts) == 1 && half == "" || !digits(parts[0], 1, 2) {
		return 0, c, false
	}
	for i, to := range []*int{&c.hour, &c.min, &c.sec}[:len(parts)] {
		if i > 0 && !digits(parts[i], 2, 2) {
			return 0, c, false
		}
		*to, _ = strconv.Atoi(parts[i]) // one or two digits
	}
	c.halved = half == "" && c.hour >= 1 && c.hour <= 12 && parts[0][0] != '0'
	if half == "" {
		return n, c, true
	}
	if c.hour < 1 || c.hour > 12 {
		c.hour = 99 // such as 17pm, which is refused as no time of day
		return n, c, true
	}
	c.hour %= 12
	if half == "p" {
		c.hour += 12
	}
	return n, c, true
}

// cutHalf takes am or pm off a word.
func cutHalf(word string) (half, rest string) {
	for _, end := range []string{"am", "pm", "a.m.", "p.m."} {
		if rest, ok := strings.CutSuffix(word, end); ok {
			return end[:1], rest
		}
	}
	return "", word
}

func digits(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && strings.Trim(text, "0123456789") == ""
}

// readDay reads a day from the first words. No words are read if they are none.
func (r *reader) readDay(words []string) (n int, d day, err error) {
	word := words[0]
	switch word {
	case "today":
		return 1, day{form: relative}, nil
	case "tomorrow":
		return 1, day{form: relative, days: 1}, nil
	case "yesterday":
		return 1, day{form: relative, days: -1}, nil
	case "next":
		if len(words) > 1 {
			if w, ok := weekdays[words[1]]; ok {
				return 2, day{form: nextWeekday, weekday: w}, nil
			}
			switch words[1] {
			case "week":
				return 2, day{form: relative, days: 7}, nil
			case "month":
				return 2, day{form: monthsOn, month: 1}, nil
			case "year":
				return 2, day{form: monthsOn, month: 12}, nil
			}
		}
		if len(words) > 1 {
			if e := r.misspelt(words[1], "next is not for "+strconv.Quote(words[1]), "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "week", "month", "year"); e != nil {
				return 0, d, e
			}
		}
		return 0, d, r.fail("next is for a weekday, a week, a month or a year, as in \"next monday 9:00\"")
	}
	if w, ok := weekdays[strings.TrimSuffix(word, ".")]; ok {
		return 1, day{form: weekday, weekday: w}, nil
	}
	if n, d = monthFirst(words); n == 0 {
		if n, d = dayFirst(words); n == 0 {
			if n, d = numeric(word); n > 0 {
				d = r.eitherYear(word, d)
			}
		}
	}
	if n == 0 {
		return r.digitDate(word)
	}
	return n, d, r.checkDate(d)
}

// eitherYear makes several dates of 27-12-28, which is 2027-12-28 for systemd, where the other way round it is ahead, too.
func (r *reader) eitherYear(word string, d day) day {
	if len(word) > len("27-12-28") || strings.Count(word, "-") != 2 || r.past || r.checkDate(d) != nil {
		return d
	}
	last := word[strings.LastIndexByte(word, '-')+1:]
	if len(last) != 2 {
		return d
	}
	dates := []date{{d.year, time.Month(d.month), d.date}, {2000 + d.date, time.Month(d.month), d.year % 100}}
	y, m, dd := time.Date(dates[1].year, dates[1].month, dates[1].day, 12, 0, 0, 0, time.UTC).Date()
	if (date{y, m, dd}) != dates[1] || dates[0] == dates[1] || !time.Date(y, m, dd+1, 0, 0, 0, 0, r.loc).After(r.now) {
		return d
	}
	return day{form: severalDates, dates: dates}
}

// digitDate reads a date of eight digits, in whichever order of year, month and day makes one.
func (r *reader) digitDate(word string) (n int, d day, err error) {
	if digits(word, 6, 6) && r.clock.said {
		return 0, d, r.fail("want a year of four digits")
	}
	if !digits(word, 8, 8) {
		return 0, d, nil
	}
	num := func(from, to int) int { x, _ := strconv.Atoi(word[from:to]); return x }
	d = day{form: severalDates}
	for _, x := range []date{
		{num(0, 4), time.Month(num(4, 6)), num(6, 8)},
		{num(4, 8), time.Month(num(0, 2)), num(2, 4)},
		{num(4, 8), time.Month(num(2, 4)), num(0, 2)},
	} {
		y, m, dd := time.Date(x.year, x.month, x.day, 12, 0, 0, 0, time.UTC).Date()
		if x.year >= 1000 && (date{y, m, dd}) == x && !slices.Contains(d.dates, x) {
			d.dates = append(d.dates, x)
		}
	}
	switch len(d.dates) {
	case 0:
		return 0, d, r.fail(word + " is no date in any order of year, month and day")
	case 1:
		x := d.dates[0]
		return 1, day{form: dated, year: x.year, month: int(x.month), date: x.day}, nil
	}
	return 1, d, nil
}

// checkDate refuses dates that are in no calendar.
func (r *reader) checkDate(d day) error {
	if d.form == severalDates {
		return nil // each of which is one
	}
	if d.form == dated && d.year < 1000 {
		return r.fail("want a year of four digits")
	}
	year := d.year
	if d.form != dated {
		year = 2024 // has a 29 February, as every date has some year
	}
	if d.month < 1 || d.month > 12 {
		return r.fail(fmt.Sprintf("there is no month %d", d.month))
	}
	if last := time.Date(year, time.Month(d.month)+1, 0, 12, 0, 0, 0, time.UTC).Day(); d.date < 1 || d.date > last {
		in := time.Month(d.month).String()
		if d.form == dated {
			in += " " + strconv.Itoa(year)
		}
		return r.fail(fmt.Sprintf("%s has %d days", in, last))
	}
	return nil
}

// monthFirst reads "dec 24" and "dec 24 2026".
func monthFirst(words []string) (int, day) {
	month, ok := months[strings.TrimSuffix(words[0], ".")]
	if !ok || len(words) < 2 {
		return 0, day{}
	}
	date, ok := ordinal(words[1])
	if !ok {
		return 0, day{}
	}
	return withYear(words, 2, day{form: yearly, month: month, date: date})
}

// dayFirst reads "24 dec" and "24 dec 2026".
func dayFirst(words []string) (int, day) {
	date, ok := ordinal(words[0])
	if !ok || len(words) < 2 {
		return 0, day{}
	}
	n := 2
	if words[1] == "of" && len(words) > 2 {
		n = 3
	}
	month, ok := months[strings.TrimSuffix(words[n-1], ".")]
	if !ok {
		return 0, day{}
	}
	return withYear(words, n, day{form: yearly, month: month, date: date})
}

// withYear adds the year, if the next word is one.
func withYear(words []string, n int, d day) (int, day) {
	if len(words) > n && digits(words[n], 4, 4) {
		d.form, d.loose = dated, true
		d.year, _ = strconv.Atoi(words[n]) // four digits
		n++
	}
	return n, d
}

// ordinal reads a day of the month: 24, 24., 24th.
func ordinal(word string) (int, bool) {
	number := strings.TrimRight(word, "stndrh.")
	n, _ := strconv.Atoi(number) // digits are checked below
	end := "th"
	if n/10 != 1 && n%10 >= 1 && n%10 <= 3 {
		end = [...]string{"st", "nd", "rd"}[n%10-1]
	}
	rest := word[len(number):]
	return n, digits(number, 1, 2) && (rest == "" || rest == "." || rest == end)
}

// numeric reads 2026-12-24, 24.12.2026, 24.12., 12/24 and 12/24/2026. With slashes either may come first.
func numeric(word string) (int, day) {
	for _, sep := range []string{"-", ".", "/"} {
		parts := strings.Split(word, sep)
		if sep == "." && len(parts) == 3 && parts[2] == "" {
			parts = parts[:2]
		}
		var n [3]int
		switch {
		case len(parts) == 3 && sep == "-" && digits(parts[0], 4, 4) && digits(parts[1], 1, 2) && digits(parts[2], 1, 2):
			parts[0], parts[2] = parts[2], parts[0]
		case len(parts) == 3 && sep == "-" && digits(parts[0], 2, 2) && digits(parts[1], 1, 2) && digits(parts[2], 1, 2):
			century := "20" // as systemd and at(1) take it
			if parts[0] >= "69" {
				century = "19"
			}
			parts[0], parts[2] = parts[2], century+parts[0]
		case len(parts) == 3 && sep != "-" && digits(parts[0], 1, 2) && digits(parts[1], 1, 2) && digits(parts[2], 1, 4):
		case len(parts) == 2 && sep != "-" && digits(parts[0], 1, 2) && digits(parts[1], 1, 2):
		default:
			continue
		}
		for i := range parts {
			n[i], _ = strconv.Atoi(parts[i]) // digits
		}
		d := day{form: yearly, date: n[0], month: n[1], year: n[2]}
		if len(parts) == 3 {
			d.form = dated
		}
		if sep == "/" {
			switch {
			case n[0] <= 12 && n[1] <= 12 && n[0] != n[1]:
				d.form = twoDates
			case n[1] > 12:
				d.date, d.month = n[1], n[0]
			}
			if len(parts) == 3 && len(parts[2]) != 4 {
				d.form, d.year = dated, 0 // which is refused
			}
		}
		return 1, d
	}
	return 0, day{}
}

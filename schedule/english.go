package schedule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/internal/spelling"
)

const (
	subjectWant = `"day", "weekday", days of the week, "month on the 1st", or a length such as 15m, and then a time of day`
	clockWant   = `a time of day: 9, 9:30, 5pm or noon`
	ordinalWant = `a day of the month: "the 1st", "the 15th" or "the last"`
)

// english reads how often in plain words, as far as they can be read in one way only:
//
//	every weekday at 9          every monday to thursday at 18:20      every mon, wed and fri at 9am and 5pm
//	every day at noon           on mondays at 9:00                     every week on monday at 9:00
//	on the 1st at 6:30          every month on the 1st and 15th at 9   every last of the month at 17:00
//
// What it returns is a cron expression. A number alone is an hour of the 24.
type english struct {
	words []string // in lower case; commas are words
	at    []int    // where each begins
	next  int
}

// plain reads what follows "every" or "on" as plain words. The parser stands behind that word.
func (p *parser) plain(word string) (Schedule, *Error) {
	start := p.next
	e := &english{}
	for _, w := range splitWords(p.fields()) {
		e.words = append(e.words, lower(w.text))
		e.at = append(e.at, w.at)
	}
	text, m := e.read(word)
	if m.want != "" {
		p.at = start
		value := strings.TrimSpace(p.text[start:p.next])
		return Schedule{}, p.fail(word, value, m.off, m.want)
	}
	if text[0] == '@' { // a length
		d, _ := parseDuration(text[1:])
		return Every(d), nil
	}
	return Cron(text), nil // which reads, since the words did
}

// A placed word is a word of a text, and where it begins.
type placed struct {
	text string
	at   int
}

// splitWords splits a text at blanks, and takes commas for words of their own.
func splitWords(text string) (words []placed) {
	begin := -1
	for i := 0; i <= len(text); i++ {
		if i < len(text) && !isSpace(text[i]) && text[i] != ',' {
			if begin < 0 {
				begin = i
			}
			continue
		}
		if begin >= 0 {
			words = append(words, placed{text[begin:i], begin})
			begin = -1
		}
		if i < len(text) && text[i] == ',' {
			words = append(words, placed{",", i})
		}
	}
	return words
}

// word returns the next word without reading it, and "" at the end.
func (e *english) word() string {
	if e.next < len(e.words) {
		return e.words[e.next]
	}
	return ""
}

// take reads the next word if it is one of those given.
func (e *english) take(words ...string) bool {
	if w := e.word(); w == "" || !slices.Contains(words, w) {
		return false
	}
	e.next++
	return true
}

// miss is a mistake at the next word.
func (e *english) miss(want string) miss {
	switch {
	case e.next < len(e.at):
		return miss{want, e.at[e.next]}
	case len(e.at) > 0:
		return miss{want, e.at[len(e.at)-1] + len(e.words[len(e.words)-1])}
	}
	return miss{want, 0}
}

// guess is a mistake at the next word, which is nearly one of those given, or is not and then wants what is said.
func (e *english) guess(want string, words ...string) miss {
	w := e.word()
	if meant, ok := spelling.Closest(w, words); ok && len(w) > 3 {
		return e.miss(strconv.Quote(meant))
	}
	return e.miss(want)
}

// subjects are the words for days, of which a slip of the fingers may have made another.
var subjects = []string{
	"day", "weekday", "hour", "minute", "second", "week", "month", "year", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
}

// read returns the cron expression, or a length behind an @.
func (e *english) read(first string) (string, miss) {
	dom, dow, m := e.days(first)
	if m.want != "" {
		return "", m
	}
	if strings.HasPrefix(dom, "@") {
		if e.word() != "" {
			return "", e.miss("the end, or a cron expression: hours of the day are its second field")
		}
		return dom, miss{}
	}
	daily := dom == "*" && dow == "*"
	if !e.take("at") && e.word() == "" {
		return "", e.miss(timelessWant(first, daily, e.words))
	}
	minute, hour, m := e.times(daily)
	return minute + " " + hour + " " + dom + " * " + dow, m
}

// timelessWant says what would be right where the time of day is missing.
func timelessWant(first string, daily bool, words []string) string {
	want := `a time of day, as in "` + first + " " + strings.ReplaceAll(strings.Join(words, " "), " ,", ",") + ` at 9:00"`
	if daily {
		want += `, or "every 24h" for every 24 hours from now`
	}
	return want
}

// days reads which days, as two fields of a cron expression.
func (e *english) days(first string) (dom, dow string, m miss) {
	every := first == "every"
	switch {
	case every && e.take("day"):
		return "*", "*", miss{}
	case every && e.take("weekday"), !every && e.take("weekdays"):
		return "*", "1-5", miss{}
	case every && e.take("hour"):
		return "@1h", "", miss{}
	case every && e.take("minute"):
		return "@1m", "", miss{}
	case every && e.take("second"):
		return "@1s", "", miss{}
	case every && e.take("week"):
		if !e.take("on") {
			return "", "", e.miss(`the day, as in "every week on monday at 9:00", or "every 168h" for every 7 days from now`)
		}
		return e.weekdays(false)
	case every && e.take("month"):
		if !e.take("on") {
			return "", "", e.miss(`the day, as in "every month on the 1st at 9:00"`)
		}
		return e.ordinals(false)
	case every && e.take("year"):
		return "", "", e.miss(`the date, in a cron expression: cron 0 9 1 1 *`)
	}
	if e.isOrdinal() {
		return e.ordinals(every)
	}
	return e.weekdays(!every)
}

// weekdays reads days of the week: monday, mon to fri, "mon, wed and fri". Behind "on" they must be plural, since "on monday" may be once.
func (e *english) weekdays(plural bool) (dom, dow string, m miss) {
	var list []string
	for {
		n, many := weekdayOf(e.word())
		switch {
		case n < 0:
			return "", "", e.noSubject(plural)
		case plural && !many:
			w := e.word()
			return "", "", e.miss(`"every ` + w + ` at 9:00", or "at ` + w + ` 9:00" for once`)
		}
		e.next++
		item := strconv.Itoa(n)
		if e.take("to", "through") {
			last, _ := weekdayOf(e.word())
			switch {
			case last < 0:
				return "", "", e.guess("a day of the week", subjects[8:]...)
			case last == n:
				return "", "", e.miss(`another day than the first, or "every day"`)
			}
			e.next++
			item += "-" + strconv.Itoa(last)
		}
		if list = append(list, item); !e.joint(func() bool { n, _ := weekdayOf(e.word()); return n >= 0 }) {
			return "*", strings.Join(list, ","), miss{}
		}
	}
}

// noSubject is the mistake of a word that says no days. Behind "on" they are plural.
func (e *english) noSubject(plural bool) miss {
	the := e.take("the")
	w := e.word()
	if w != "" && isDigit(w[0]) && len(w)-len(strings.TrimRight(w, "stndrh")) == 2 && !e.isOrdinal() {
		return e.noOrdinal()
	}
	words := slices.Clone(subjects)
	if plural {
		words = nil
		for _, day := range append([]string{"weekday"}, subjects[8:]...) {
			words = append(words, day+"s")
		}
	}
	if slices.Contains(words, w) {
		if the {
			e.next--
			return e.miss(strconv.Quote(w))
		}
		return e.miss("a day of the week")
	}
	return e.guess(subjectWant, words...)
}

// noOrdinal is the mistake of a word that is no day of the month.
func (e *english) noOrdinal() miss {
	digits := strings.TrimRight(e.word(), "stndrh")
	if n, err := strconv.Atoi(digits); err == nil && n >= 1 && n <= 31 && isDigit(digits[0]) {
		return e.miss(strconv.Quote(strconv.Itoa(n) + ordinalEnd(n)))
	}
	return e.miss(ordinalWant)
}

// ordinalEnd is what stands behind the digits of a day of the month.
func ordinalEnd(n int) string {
	if n/10 != 1 && n%10 >= 1 && n%10 <= 3 {
		return [...]string{"st", "nd", "rd"}[n%10-1]
	}
	return "th"
}

// joint reads what stands between two items of a list, if another one follows.
func (e *english) joint(item func() bool) bool {
	begin := e.next
	comma := e.take(",")
	if !e.take("and") && !comma || !item() {
		e.next = begin
		return false
	}
	return true
}

// weekdayOf returns the number of a day of the week, and -1 if the word is none. Many is for mondays.
func weekdayOf(word string) (n int, many bool) {
	full := [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	for n := range full {
		switch word {
		case full[n], dayNames[n]:
			return n, false
		case full[n] + "s":
			return n, true
		}
	}
	return -1, false
}

// isOrdinal says whether a day of the month follows.
func (e *english) isOrdinal() bool {
	ahead := *e
	ahead.take("the")
	return ahead.ordinal() != ""
}

// ordinal reads 1st, first, last or "day 2", as an item of a cron field; "" if it is none.
func (e *english) ordinal() string {
	names := [...]string{"first", "second", "third", "fourth", "fifth"}
	w := e.word()
	if w == "day" && e.next+1 < len(e.words) {
		w = e.words[e.next+1]
		if n, _ := strconv.Atoi(w); len(w) <= 2 { // of what is no number it makes 0th, which is no day
			w = strconv.Itoa(n) + ordinalEnd(n)
		}
	}
	item := ""
	if i := slices.Index(names[:], w); i >= 0 {
		item = strconv.Itoa(i + 1)
	} else if w == "last" {
		item = "L"
	} else if digits := strings.TrimRight(w, "stndrh"); len(w)-len(digits) == 2 && len(digits) <= 2 && strings.Trim(digits, "0123456789") == "" {
		if n, err := strconv.Atoi(digits); err == nil && n >= 1 && n <= 31 && w[len(digits):] == ordinalEnd(n) {
			item = strconv.Itoa(n)
		}
	}
	if item != "" {
		e.take("day")
		e.next++
	}
	return item
}

// ordinals reads days of the month, and behind them "of the month", which must be there if asked for.
func (e *english) ordinals(of bool) (dom, dow string, m miss) {
	var list []string
	for {
		e.take("the")
		item := e.ordinal()
		if item == "" {
			return "", "", e.noOrdinal()
		}
		if list = append(list, item); !e.joint(e.isOrdinal) {
			break
		}
	}
	e.take("day")
	if e.take("of") {
		e.take("the", "every", "each")
		if !e.take("month") {
			return "", "", e.miss(`"of the month"`)
		}
	} else if of {
		return "", "", e.miss(`"of the month", as in "every 1st of the month at 9:00"`)
	}
	return strings.Join(list, ","), "*", miss{}
}

// times reads times of day, as two fields of a cron expression: each minute with each hour.
func (e *english) times(daily bool) (minute, hour string, m miss) {
	var all [][2]int // hour, minute
	open, halved, noon := -1, false, false
	for {
		at := e.next
		t, half, m := e.clock(daily)
		if m.want != "" {
			return "", "", m
		}
		switch w := e.words[at]; {
		case w == "noon":
			noon = true
		case !half && t[0] >= 1 && t[0] <= 12 && w[0] != '0' && open < 0:
			if open = at; noon && !strings.Contains(w, ":") {
				halved = true // noon and 5: after noon
			}
		}
		halved = halved || half
		if all = append(all, t); !e.joint(func() bool { return e.word() != "" }) {
			break
		}
	}
	if e.word() != "" {
		return "", "", e.miss("the end or another time of day")
	}
	if open >= 0 && halved {
		w := e.words[open]
		return "", "", miss{w + "am or " + w + "pm, beside others that say which half of the day they are in", e.at[open]}
	}
	var hours, minutes []int
	for _, t := range all {
		hours, minutes = append(hours, t[0]), append(minutes, t[1])
	}
	slices.Sort(hours)
	slices.Sort(minutes)
	hours, minutes = slices.Compact(hours), slices.Compact(minutes)
	for _, h := range hours {
		for _, m := range minutes {
			if !slices.Contains(all, [2]int{h, m}) {
				return "", "", miss{"a schedule for each, (S) or (S), since cron has each minute in each hour: " +
					strconv.Itoa(h) + ":" + strconv.Itoa(100 + m)[1:] + " was not asked for", e.at[e.next-1]}
			}
		}
	}
	return numberList(minutes), numberList(hours), miss{}
}

func numberList(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

// clock reads a time of day: 9, 09:30, 5pm, 5:30 pm, noon, midnight. Half says that it tells in which half of the day it is.
func (e *english) clock(daily bool) (t [2]int, half bool, m miss) {
	wrong := e.guess(clockWant, "noon", "midnight")
	w := e.word()
	switch w {
	case "noon":
		e.next++
		return [2]int{12, 0}, false, miss{}
	case "midnight":
		if !daily {
			return [2]int{}, false, e.miss("0:00, or another day: midnight may be the beginning or the end of it")
		}
		e.next++
		return t, false, miss{}
	}
	e.next++
	for _, end := range [...]string{"am", "pm"} {
		if rest, ok := strings.CutSuffix(w, end); ok && rest != "" {
			return clockOf(rest, end, wrong)
		}
	}
	switch next := e.word(); next {
	case "am", "pm":
		e.next++
		return clockOf(w, next, wrong)
	case "noon":
		if w == "12" || w == "12:00" {
			e.next++
			return [2]int{12, 0}, true, miss{}
		}
	}
	return clockOf(w, "", wrong)
}

// clockOf reads digits, as of the half of a day that is told.
func clockOf(w, half string, wrong miss) (t [2]int, halved bool, m miss) {
	hour, minute, colon := strings.Cut(w, ":")
	if len(hour) < 1 || len(hour) > 2 || colon && len(minute) != 2 || strings.Trim(hour+minute, "0123456789") != "" {
		return [2]int{}, false, wrong
	}
	t[0], _ = strconv.Atoi(hour)
	t[1], _ = strconv.Atoi(minute) // 0 if there is none
	if half != "" && (t[0] < 1 || t[0] > 12) || t[0] > 23 || t[1] > 59 {
		return [2]int{}, false, wrong
	}
	if half != "" {
		t[0] %= 12
	}
	if half == "pm" {
		t[0] += 12
	}
	return t, half != "", miss{}
}

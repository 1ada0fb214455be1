package schedule

import (
	"strconv"
	"strings"
)

// Cron follows a cron expression, on the wall clock of UTC or of the zone that [Schedule.In] names.
//
// The fields are minute, hour, day of month, month and day of week; six begin with a second, and seven end with a year. In
// them * and ? are all values; names (jan, mon), lists (1,15), ranges (mon-fri, and over the end: 22-2) and steps (*/15, 10/5)
// are as in crontab(5). Sunday is 0 and 7. Days of the month are also l (the last), l-3, 15w (the weekday nearest to it) and
// lw, days of the week also fril (the last of the month) and mon#2. H is a value that follows from the task's name, as in
// h, h(0-29) and h/10. If both kinds of days are restricted either may match, as in crontab(5); see [Schedule.Days]. @yearly,
// @annually, @monthly, @weekly, @daily, @midnight and @hourly are short for five fields, "@every 1h30m" is [Every], and a
// prefix "TZ=Zone " or "CRON_TZ=Zone " is In. The dialect is described in docs/schedules.md, with what is refused and why.
//
// An expression that does not read is a mistake, which [Schedule.Err] reports; Pos counts in expr.
func Cron(expr string) Schedule {
	s, err := readCron(expr)
	if err != nil {
		return Schedule{kind: KindCron, more: &more{err: err}}
	}
	return s
}

func readCron(expr string) (Schedule, *Error) {
	if err := plainBlanks(expr); err != nil {
		return Schedule{}, err
	}
	p := parser{text: expr}
	word := p.word()
	prefix, zone, ok := strings.Cut(word, "=")
	if !ok || prefix != "TZ" && prefix != "CRON_TZ" {
		return readCronFrom(expr, 0)
	}
	s, err := readCronFrom(expr, p.next)
	if err != nil {
		return Schedule{}, err
	}
	p.at += len(prefix) + 1
	return p.accept(s.In(zone))
}

func readCronFrom(expr string, start int) (Schedule, *Error) {
	p := parser{text: expr, next: start}
	if word := p.word(); !strings.EqualFold(word, "@every") {
		k, err := parseCronFrom(expr, start)
		if err != nil {
			return Schedule{}, err
		}
		return Schedule{kind: KindCron, more: &more{cron: k, never: k.empty()}}, nil
	}
	d, err := p.duration("cron")
	if err != nil {
		return Schedule{}, err
	}
	s, err := p.accept(Every(d))
	if err != nil {
		err.Field = "cron"
		return Schedule{}, err
	}
	if extra := p.word(); extra != "" {
		return Schedule{}, p.fail("cron", extra, 0, "nothing after the duration")
	}
	return s, nil
}

// cronFields says what the fields of a cron expression hold, by field.
var cronFields = [...]struct {
	name    string
	lo, hi  int
	maxStep int
	names   []string // in lower case; the first is lo
	want    string
}{
	fieldSecond: {"second", 0, 59, 59, nil, "0 to 59"},
	fieldMinute: {"minute", 0, 59, 59, nil, "0 to 59"},
	fieldHour:   {"hour", 0, 23, 23, nil, "0 to 23"},
	fieldDom:    {"day of month", 1, 31, 31, nil, "1 to 31, or l for the last"},
	fieldMonth:  {"month", 1, 12, 12, monthNames, "1 to 12 or jan to dec"},
	fieldDow:    {"day of week", 0, 6, 7, dayNames, "0 to 7 (sunday is both) or sun to sat"},
	fieldYear:   {"year", minYear, lastYear, lastYear, nil, "1970 to 9999"},
}

var (
	dayNames   = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	monthNames = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
)

const (
	minYear    = 1970 // of a year field; a rule without one has occurrences before it, too
	maxYears   = 64   // items in a year field, as written and in canonical form: each is looked at in every search
	maxHashes  = 8    // H in one field
	maxHashDay = 28   // so that every month has the day that H stands for

	fieldsWant = "5 fields (minute hour day-of-month month day-of-week), 6 with seconds first or 7 with the year last"
)

// cronMacros are the words that stand for five fields.
var cronMacros = [...]struct{ name, fields string }{
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"},
}

// cronParser reads a cron expression, in which position and value of a mistake are those of an item of a list.
type cronParser struct {
	text   string
	k      cron
	years  []yearRange
	field  field
	hashes int    // H in the field so far
	item   string // what stands between commas, in lower case once it is known to be ASCII
	at     int    // where the item begins in text
	i      int    // how far the item is read
}

// parseCron reads a cron expression of 5, 6 or 7 fields, or a macro other than @every. It takes time linear in the text.
func parseCron(text string) (*cron, *Error) { return parseCronFrom(text, 0) }

// parseCronFrom is parseCron of what text holds from start on.
func parseCronFrom(text string, start int) (*cron, *Error) {
	if len(text) > maxText {
		want := "at most " + strconv.Itoa(maxText) + " bytes, not " + strconv.Itoa(len(text))
		return nil, &Error{Field: "cron", Value: clip(text), Want: want, Pos: maxText + 1}
	}
	if err := plainBlanks(text); err != nil {
		return nil, err
	}
	w := parser{text: text, next: start}
	if first := w.word(); strings.HasPrefix(first, "@") {
		return parseMacro(&w, first)
	}
	n := len(strings.Fields(text[start:])) // blanks only, as was checked
	if n < 5 || n > 7 {
		whole := strings.TrimSpace(text[start:])
		return nil, w.fail("cron", whole, 0, fieldsWant+", not "+strconv.Itoa(n))
	}
	p := cronParser{text: text}
	p.k.field, p.k.second = n, 1
	p.field = fieldMinute
	if n > 5 {
		p.field, p.k.second = fieldSecond, 0
	}
	w.next = start
	for ; n > 0; n-- {
		if err := p.readField(w.word(), &w); err != nil {
			return nil, err
		}
		p.field++
	}
	p.k.normalise()
	return &p.k, nil
}

func parseMacro(w *parser, word string) (*cron, *Error) {
	lower := strings.ToLower(word)
	for _, m := range cronMacros {
		if m.name != lower {
			continue
		}
		if extra := w.word(); extra != "" {
			return nil, w.fail("cron", extra, 0, "nothing after "+lower)
		}
		return parseCron(m.fields)
	}
	return nil, w.fail("cron", word, 0, macroHint(lower))
}

// readField reads the items of a list; w is where it was read from.
func (p *cronParser) readField(list string, w *parser) *Error {
	name := cronFields[p.field].name
	if p.field != fieldYear && (list == "?" || list[0] == '*') {
		p.k.stars |= 1 << p.field
	}
	if list == "?" {
		list = "*"
	}
	p.hashes = 0
	for from := 0; from <= len(list); from += len(p.item) + 1 {
		p.item, _, _ = strings.Cut(list[from:], ",")
		p.at, p.i = w.at+from, 0
		if p.item == "" {
			return w.fail(name, list, from, commaHint(from, len(list)))
		}
		if err := p.foreign(); err != nil {
			return err
		}
		p.item = strings.ToLower(p.item)
		if err := p.readItem(); err != nil {
			return err
		}
	}
	if p.field != fieldYear {
		return nil
	}
	if len(p.years) <= maxYears {
		p.k.years = normalYears(p.years)
	}
	if n := max(len(p.years), yearItems(p.k.years)); n > maxYears {
		return w.fail(name, list, 0, "at most "+strconv.Itoa(maxYears)+" years and ranges of years, not "+strconv.Itoa(n))
	}
	return nil
}

// fail is a mistake off bytes into the item.
func (p *cronParser) fail(off int, want string) *Error {
	return &Error{Field: cronFields[p.field].name, Value: clip(p.text[p.at : p.at+len(p.item)]), Want: want, Pos: p.at + off + 1}
}

// peek returns the next byte of the item, 0 at its end.
func (p *cronParser) peek() byte {
	if p.i == len(p.item) {
		return 0
	}
	return p.item[p.i]
}

// skip moves over c if it is the next byte.
func (p *cronParser) skip(c byte) bool {
	if p.peek() != c || c == 0 {
		return false
	}
	p.i++
	return true
}

// end is a mistake unless the item is read to its end.
func (p *cronParser) end() *Error {
	if p.i == len(p.item) {
		return nil
	}
	return p.unexpected()
}

func (p *cronParser) readItem() *Error {
	spec := &cronFields[p.field]
	switch c := p.peek(); {
	case c == '*':
		p.i++
		return p.readStep(spec.lo, spec.hi)
	case c == 'h' && p.field != fieldYear:
		return p.readHash()
	case c == 'l' && p.field == fieldDom:
		return p.readLast()
	}
	lo, err := p.value()
	if err != nil {
		return err
	}
	switch c := p.peek(); {
	case c == '-':
		return p.readRange(lo)
	case c == '/':
		if lo > spec.hi { // 7 for Sunday
			lo = spec.lo
		}
		return p.readStep(lo, spec.hi)
	case c == 'w' && p.field == fieldDom:
		p.i++
		p.k.nearestWeekday |= 1 << lo
		return p.end()
	case (c == 'l' || c == '#') && p.field == fieldDow:
		return p.readNth(lo)
	}
	p.add(lo, lo, 1)
	return p.end()
}

// value reads a number or a name.
func (p *cronParser) value() (int, *Error) {
	spec := &cronFields[p.field]
	from := p.i
	if p.i = skipDigits(p.item, p.i); p.i > from {
		n, hi := smallInt(p.item[from:p.i]), spec.hi
		if p.field == fieldDow {
			hi = 7
		}
		if n < spec.lo || n > hi {
			return 0, p.fail(from, p.rangeHint(n))
		}
		return n, nil
	}
	word := p.item[from:skipLetters(p.item, from)]
	if len(word) == 4 && word[3] == 'l' && p.field == fieldDow {
		word = word[:3]
	}
	for i, name := range spec.names {
		if word == name {
			p.i = from + len(word)
			return spec.lo + i, nil
		}
	}
	return 0, p.fail(from, p.valueHint(word))
}

// readRange reads what follows the first value of a range. A range over the end goes on at the beginning, but for years.
func (p *cronParser) readRange(lo int) *Error {
	p.i++
	from := p.i
	hi, err := p.value()
	if err != nil {
		return err
	}
	if p.field == fieldYear && hi < lo {
		return p.fail(from, "a year not before "+strconv.Itoa(lo))
	}
	if p.field == fieldDow && lo == 7 {
		lo, hi = 0, hi%7
	}
	if spec := &cronFields[p.field]; hi < lo {
		hi += spec.hi - spec.lo + 1
	}
	return p.readStep(lo, hi)
}

// readStep reads the end of an item that is a range, and adds its values.
func (p *cronParser) readStep(lo, hi int) *Error {
	step := 1
	if p.peek() == '/' {
		var err *Error
		if step, err = p.step(); err != nil {
			return err
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	if p.field == fieldYear && p.item[0] == '*' && step == 1 {
		lo, hi = firstYear, lastYear
	}
	p.add(lo, hi, step)
	return nil
}

func (p *cronParser) step() (int, *Error) {
	limit := cronFields[p.field].maxStep
	p.i++
	from := p.i
	p.i = skipDigits(p.item, from)
	n := smallInt(p.item[from:p.i])
	if n < 1 || n > limit {
		return 0, p.fail(from, stepHint(p.field, limit, n))
	}
	return n, nil
}

// add puts every step-th value from lo to hi into the set; values beyond the field's last go on at its first.
func (p *cronParser) add(lo, hi, step int) {
	if p.field == fieldYear {
		p.years = append(p.years, yearRange{lo, hi, step})
		return
	}
	spec, set := &cronFields[p.field], p.k.set(p.field)
	for v := lo; v <= hi; v += step {
		if v > spec.hi {
			*set |= 1 << (v - (spec.hi - spec.lo + 1))
			continue
		}
		*set |= 1 << v
	}
}

// readHash reads h, h/n, h(a-b) and h(a-b)/n.
func (p *cronParser) readHash() *Error {
	spec := &cronFields[p.field]
	h := hashItem{field: p.field, lo: spec.lo, hi: spec.hi}
	if p.field == fieldDom {
		h.hi = maxHashDay
	}
	p.i++
	var err *Error
	if p.skip('(') {
		if h.lo, h.hi, err = p.hashRange(); err != nil {
			return err
		}
	}
	if p.peek() == '/' {
		if h.step, err = p.step(); err != nil {
			return err
		}
	}
	if err = p.end(); err != nil {
		return err
	}
	if p.hashes++; p.hashes > maxHashes {
		return p.fail(0, "at most "+strconv.Itoa(maxHashes)+" h in a field")
	}
	p.k.hashed = append(p.k.hashed, h)
	return nil
}

// hashRange reads what stands in parentheses, and the closing one.
func (p *cronParser) hashRange() (lo, hi int, err *Error) {
	from := p.i
	if lo, err = p.value(); err != nil {
		return 0, 0, err
	}
	if !p.skip('-') {
		return 0, 0, p.fail(p.i, "a range in parentheses, as in h(1-5)")
	}
	if hi, err = p.value(); err != nil {
		return 0, 0, err
	}
	last := cronFields[p.field].hi
	if p.field == fieldDom {
		last = maxHashDay
	}
	if hi < lo || hi > last {
		return 0, 0, p.fail(from, "a range that does not go over the end, which for h is "+strconv.Itoa(last))
	}
	if !p.skip(')') {
		return 0, 0, p.fail(p.i, `a ")" after the range`)
	}
	return lo, hi, nil
}

// readLast reads l, l-n, lw and l-nw.
func (p *cronParser) readLast() *Error {
	const want = "l, l-0 to l-30, lw or l-3w"
	p.i++
	n, set := 0, &p.k.lastDay
	if p.skip('-') {
		from := p.i
		p.i = skipDigits(p.item, from)
		if n = smallInt(p.item[from:p.i]); p.i == from || n > 30 {
			return p.fail(from, want)
		}
	}
	if p.skip('w') {
		set = &p.k.lastWeekday
	}
	if p.i < len(p.item) {
		return p.fail(p.i, want)
	}
	*set |= 1 << n
	return nil
}

// readNth reads what follows d in dl and d#n.
func (p *cronParser) readNth(d int) *Error {
	which := &p.k.nth[d%7]
	if p.skip('l') {
		*which |= 1
		return p.end()
	}
	p.i++
	from := p.i
	p.i = skipDigits(p.item, from)
	if p.i != from+1 || p.item[from] < '1' || p.item[from] > '5' {
		return p.fail(from, "a number from 1 to 5 after the #")
	}
	*which |= 1 << (p.item[from] - '0')
	return p.end()
}

// smallInt reads digits; a number too large for anything here is one too large by far.
func smallInt(digits string) (n int) {
	for i := range len(digits) {
		n = min(n*10+int(digits[i]-'0'), 1_000_000)
	}
	return n
}

func skipLetters(s string, i int) int {
	for i < len(s) && 'a' <= s[i] && s[i] <= 'z' {
		i++
	}
	return i
}

package schedule

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// ical is what the lines of an iCalendar block say of a recurrence (RFC 5545, 3.8.5). It is never changed once made.
type ical struct {
	start           stamp // DTSTART; the zero stamp: none
	rules, exrules  []*recurrence
	rdates, exdates []stamp // sorted
}

// icalParser reads the lines, and the parts of a rule, from left to right.
type icalParser struct {
	k     *ical
	zone  *zone // of DTSTART
	folds []int // where in the text that is read a fold was taken out of the text that was given
	width []int // and how long it was

	dates  []zonedDate // of RDATE and EXDATE, until DTSTART is known
	untils []word      // of the rules
}

// A word is a piece of the text, and where it begins.
type word struct {
	text string
	at   int
}

// A zonedDate is a date of RDATE or EXDATE.
type zonedDate struct {
	word
	stamp  stamp
	zone   *zone // of its TZID
	except bool
}

const (
	linesWant = `a rule such as FREQ=WEEKLY;BYDAY=MO, or the lines DTSTART, RRULE, RDATE, EXRULE and EXDATE`
	dateWant  = "a date or a time such as 20260130, 20260130T090000 or 20260130T090000Z"
)

// cut divides a word at the first of a character; the rest is empty, and found false, if there is none.
func (w word) cut(sep byte) (head, rest word, found bool) {
	i := strings.IndexByte(w.text, sep)
	if i < 0 {
		return w, word{"", w.at + len(w.text)}, false
	}
	return word{w.text[:i], w.at}, word{w.text[i+1:], w.at + i + 1}, true
}

// fail is a mistake about a word.
func (p *icalParser) fail(field string, w word, want string) *Error {
	at := w.at
	for i, fold := range p.folds {
		if fold <= w.at {
			at += p.width[i]
		}
	}
	return &Error{Field: field, Value: clip(w.text), Want: want, Pos: at + 1}
}

// unfold joins lines of which the later begins with a blank to the one before, as RFC 5545 has it.
func (p *icalParser) unfold(text string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '\n')
		if i < 0 || i+1 == len(text) || !isSpace(text[i+1]) {
			if i < 0 {
				b.WriteString(text)
				return b.String()
			}
			b.WriteString(text[:i+1])
			text = text[i+1:]
			continue
		}
		end := i
		if end > 0 && text[end-1] == '\r' {
			end--
		}
		b.WriteString(text[:end])
		p.folds, p.width = append(p.folds, b.Len()), append(p.width, i+2-end)
		text = text[i+2:]
	}
}

// block reads a rule, or lines. Lines are separated by line breaks, or all of them by blanks.
func (p *icalParser) block(text string) *Error {
	p.k = &ical{}
	lines := strings.ContainsRune(text, '\n')
	if lines {
		text = p.unfold(text)
	}
	for at := 0; at < len(text); {
		if strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
			continue
		}
		end := strings.IndexAny(text[at:], " \t\r\n")
		if lines {
			end = strings.IndexByte(text[at:], '\n')
		}
		if end < 0 {
			end = len(text) - at
		}
		w := word{strings.TrimRight(text[at:at+end], " \t\r"), at}
		if i := strings.IndexAny(w.text, " \t\r"); i >= 0 {
			return p.fail("rrule", word{w.text[i:], w.at + i}, "no blanks within a line")
		}
		if err := p.line(w); err != nil {
			return err
		}
		at += end
	}
	return p.finish(word{text, 0})
}

// line reads a line, or a rule alone.
func (p *icalParser) line(w word) *Error {
	head, value, ok := w.cut(':')
	if !ok {
		if !strings.Contains(w.text, "=") {
			return p.fail("rrule", w, linesWant)
		}
		return p.rule(w, false)
	}
	name, rest, more := head.cut(';')
	upper := strings.ToUpper(name.text)
	var params params
	if upper == "DTSTART" || upper == "RDATE" || upper == "EXDATE" {
		for more {
			var param word
			param, rest, more = rest.cut(';')
			if err := p.param(&params, param); err != nil {
				return err
			}
		}
	}
	switch {
	case more:
		return p.fail(upper, rest, "no parameters")
	case upper == "RRULE" || upper == "EXRULE":
		return p.rule(value, upper == "EXRULE")
	case upper == "DTSTART":
		return p.start(name, value, params)
	case upper == "RDATE" || upper == "EXDATE":
		for more = true; more; {
			var w word
			w, value, more = value.cut(',')
			s, err := p.stamp(upper, w, params)
			if err != nil {
				return err
			}
			p.dates = append(p.dates, zonedDate{w, s, params.zone, upper == "EXDATE"})
		}
		return nil
	}
	return p.fail("rrule", name, "the lines DTSTART, RRULE, RDATE, EXRULE and EXDATE only")
}

// params are the parameters of a line.
type params struct {
	zone *zone
	date bool // VALUE=DATE
}

func (p *icalParser) param(to *params, w word) *Error {
	name, value, _ := w.cut('=')
	value.text = strings.Trim(value.text, `"`)
	switch upper := strings.ToUpper(name.text); {
	case upper == "TZID":
		z, m := loadZone(value.text)
		if m.want != "" {
			return p.fail("TZID", value, m.want)
		}
		to.zone = z
		return nil
	case upper == "VALUE" && strings.EqualFold(value.text, "DATE"):
		to.date = true
		return nil
	case upper == "VALUE" && strings.EqualFold(value.text, "DATE-TIME"):
		return nil
	case upper == "VALUE":
		return p.fail("VALUE", value, "DATE or DATE-TIME")
	}
	return p.fail("rrule", w, "the parameters TZID and VALUE only")
}

// start reads DTSTART.
func (p *icalParser) start(name, value word, params params) *Error {
	if p.k.start.kind != noStamp {
		return p.fail("DTSTART", name, "it once only")
	}
	s, err := p.stamp("DTSTART", value, params)
	if err != nil {
		return err
	}
	p.k.start, p.zone = s, params.zone
	if s.kind == utcStamp {
		p.zone = utc
	}
	return nil
}

// stamp reads a date or a time.
func (p *icalParser) stamp(field string, w word, params params) (s stamp, err *Error) {
	s, ok := parseStamp(w.text)
	switch {
	case !ok:
		want := dateWant
		if strings.Contains(w.text, "/") {
			want = "a time without an end"
		}
		return s, p.fail(field, w, want)
	case params.date && s.kind != dateStamp:
		return s, p.fail(field, w, "a date such as 20260130, since VALUE=DATE says so")
	case params.zone != nil && params.zone != utc && s.kind == utcStamp:
		return s, p.fail(field, w, "a time without Z, or no TZID")
	}
	return s, nil
}

// parseStamp reads 20260130, 20260130T090000 or 20260130T090000Z.
func parseStamp(text string) (s stamp, ok bool) {
	digits := strings.TrimSuffix(strings.TrimSuffix(text, "Z"), "z")
	s.kind = dateStamp
	second := 0
	if len(digits) == len("20060102T150405") && (digits[8] == 'T' || digits[8] == 't') {
		h, m, sec := number(digits[9:11]), number(digits[11:13]), number(digits[13:15])
		if h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 {
			return s, false
		}
		s.kind = localStamp
		if len(digits) < len(text) {
			s.kind = utcStamp
		}
		second, digits = h*3600+m*60+min(sec, 59), digits[:8]
	}
	if len(digits) != 8 || s.kind == dateStamp && len(text) != 8 {
		return s, false
	}
	d := date{number(digits[:4]), number(digits[4:6]), number(digits[6:])}
	if d.year < firstYear || d.month < 1 || d.month > 12 || d.day < 1 || d.day > monthLength(d.year, d.month) {
		return s, false
	}
	s.at = makeCivil(dayOf(d), second)
	return s, true
}

// number reads digits; it is -1 if there is anything else, or too many for 31 bits.
func number(text string) int {
	n := int64(0)
	for i := range len(text) {
		if !isDigit(text[i]) {
			return -1
		}
		if n = n*10 + int64(text[i]-'0'); n > maxInterval {
			return -1
		}
	}
	if text == "" {
		return -1
	}
	return int(n)
}

// finish checks what lines have to do with each other.
func (p *icalParser) finish(whole word) *Error {
	k := p.k
	for _, d := range p.dates {
		s := d.stamp
		if start := k.start.kind; start == dateStamp != (s.kind == dateStamp) && (start != noStamp || s.kind == dateStamp) {
			field, want := "RDATE", "a time, as DTSTART has one"
			if d.except {
				field = "EXDATE"
			}
			if start == dateStamp {
				want = "a date, as DTSTART is one"
			}
			return p.fail(field, d.word, want)
		}
		if d.zone != nil && d.zone != p.zone && s.kind == localStamp {
			if s.zone = d.zone; s.zone == utc {
				s.kind, s.zone = utcStamp, nil
			}
		}
		if d.except {
			k.exdates = append(k.exdates, s)
		} else {
			k.rdates = append(k.rdates, s)
		}
	}
	k.rdates, k.exdates = sortStamps(k.rdates), sortStamps(k.exdates)
	for _, w := range p.untils {
		if err := p.until(w); err != nil {
			return err
		}
	}
	switch n := len(k.rules) + len(k.exrules); {
	case len(k.rules) == 0 && len(k.rdates) == 0:
		return p.fail("rrule", word{"", whole.at}, linesWant)
	case n > maxMembers:
		return p.fail("rrule", word{strconv.Itoa(n) + " rules", whole.at}, "at most "+strconv.Itoa(maxMembers))
	}
	return nil
}

// until checks that the end of a rule is told in the way in which its start is.
func (p *icalParser) until(w word) *Error {
	s, _ := parseStamp(w.text)
	day := w.text[:len("20060102")]
	switch start := p.k.start.kind; {
	case start == dateStamp && s.kind != dateStamp:
		return p.fail("UNTIL", w, "a date, as DTSTART is one: "+day)
	case start != dateStamp && s.kind == dateStamp:
		return p.fail("UNTIL", w, "a time, as the start has one: "+day+"T235959 for that day and all of it, "+day+"T000000 for its beginning")
	case s.kind == localStamp && start == localStamp && p.zone != nil:
		return p.fail("UNTIL", w, "a time in UTC, as DTSTART has a TZID: "+
			string(stamp{at: civil(p.zone.ready().instant(s.at)), kind: utcStamp}.appendText(nil)))
	case s.kind == localStamp && start == utcStamp:
		return p.fail("UNTIL", w, "a time in UTC, as DTSTART is: "+w.text+"Z")
	}
	return nil
}

func sortStamps(list []stamp) []stamp {
	slices.SortFunc(list, func(a, b stamp) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.zoneName(), b.zoneName()), cmp.Compare(a.at, b.at))
	})
	return slices.Compact(list)
}

// instant returns the second at which the zone's clock shows a reading: the first where it does twice, and where it never does, the
// one at which it would had it not been put forward, as RFC 5545 says.
func (z *zone) instant(c civil) int64 {
	for s := z.at(int64(c) - near); ; s = z.at(s.end) {
		if s.end == noEnd || int64(c) < s.end+s.offset || int64(c) < s.end+z.at(s.end).offset {
			return int64(c) - s.offset
		}
	}
}

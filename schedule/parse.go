package schedule

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxText bounds what Parse reads, in bytes.
const maxText = 4096

const (
	formsWant = `"in 5m", "at 2026-12-24T17:00:00Z", "every 1h30m", "pace 10s", "pace-from-start 10s", ` +
		`"cron 0 9 * * mon-fri", "calendar Mon..Fri 09:00", "rrule FREQ=MONTHLY;BYDAY=-1FR" or "(S) or (S)"`
	durationWant = "a duration such as 1h30m, 90s or 250ms"
	timesWant    = "a whole number, at least 1"
)

// forms are the words that a schedule begins with.
var forms = [...]string{"in", "at", "every", "pace", "pace-from-start", "cron", "calendar", "rrule"}

// clauses are the words that follow a form, of which "or" joins whole schedules. None of them is part of a cron
// or calendar expression, so the first of them ends it.
var clauses = [...]string{"in", "gap", "fold", "days", "except", "from", "until", "times", "jitter", "align", "or"}

// Parse reads the text form of a schedule, described in the package comment. Words are separated by one or more spaces or
// tabs; clauses may come in any order, each at most once but for except. The error is an *[Error] with Pos set; the
// schedule returned beside it is invalid and carries the same error. A schedule that is well formed and has no occurrence
// in all time is returned without an error; see [Schedule.Never].
//
// A zone is looked up in the system's time zone database, or in that of time/tzdata where a program imports it.
func Parse(text string) (Schedule, error) {
	p := parser{text: text, work: &effort{}}
	s, err := p.whole()
	if err != nil {
		return Schedule{more: &more{err: err}}, err
	}
	return s, nil
}

// UnmarshalText is [Parse]. It leaves s as it was where the text is refused.
func (s *Schedule) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// parser reads words from left to right.
type parser struct {
	text  string // up to the end of the group that is being read
	next  int    // where the next word is looked for
	at    int    // where the last word began
	depth int    // how many groups are open
	work  *effort
	said  string // why the bounds of the schedule can't be given again; empty where they can
}

// word returns the next word, or "" at the end.
func (p *parser) word() string {
	p.skipSpace()
	p.at = p.next
	for p.next < len(p.text) && !isSpace(p.text[p.next]) {
		p.next++
	}
	return p.text[p.at:p.next]
}

// token is word where parentheses are words of their own: everywhere but in the fields of a cron expression.
func (p *parser) token() string {
	w := p.word()
	if i := strings.IndexAny(w, "()"); i >= 0 {
		w = w[:max(i, 1)]
		p.next = p.at + len(w)
	}
	return w
}

// peek returns the next token without reading it.
func (p *parser) peek() string {
	ahead := *p
	return ahead.token()
}

func (p *parser) skipSpace() {
	for p.next < len(p.text) && isSpace(p.text[p.next]) {
		p.next++
	}
}

// fail is a mistake off bytes into the last word.
func (p *parser) fail(field, value string, off int, want string) *Error {
	return &Error{Field: field, Value: clip(value), Want: want, Pos: p.at + off + 1}
}

// whole reads the text, or what is in a pair of parentheses: a form and its clauses.
func (p *parser) whole() (Schedule, *Error) {
	if len(p.text) > maxText {
		return Schedule{}, p.fail("schedule", p.text, maxText, "at most "+strconv.Itoa(maxText)+" bytes, not "+strconv.Itoa(len(p.text)))
	}
	outer := p.said
	p.said = ""
	s, err := p.form()
	said := p.said
	p.said = outer
	var seen []string
	for err == nil {
		word := p.token()
		switch {
		case word == "":
			return s, nil
		case said != "" && (word == "from" || word == "until" || word == "align"):
			return Schedule{}, p.fail(word, "", 0, said)
		case word == "or", !slices.Contains(clauses[:], word):
			return Schedule{}, p.fail("schedule", word, 0, s.clauseHint(word))
		case slices.Contains(seen, word):
			return Schedule{}, p.fail(word, "", 0, "it once only")
		}
		if word != "except" {
			seen = append(seen, word)
		}
		s, err = p.clause(s, word)
	}
	return Schedule{}, err
}

// form reads the words that say which rule it is. A form of later days joins here.
func (p *parser) form() (Schedule, *Error) {
	word := p.token()
	var s Schedule
	switch word {
	case "(":
		return p.union()
	case "cron":
		return p.expression(Cron)
	case "calendar":
		return p.expression(Calendar)
	case "rrule":
		return p.expression(func(text string) Schedule { return readRRule(text, p.work) })
	case "at":
		t, err := p.instant(word)
		if err != nil {
			return Schedule{}, err
		}
		s = At(t)
	case "on":
		return p.plain(word)
	case "in", "every", "pace", "pace-from-start":
		if word == "every" && p.words() {
			return p.plain(word)
		}
		d, err := p.duration(word)
		if err != nil {
			return Schedule{}, err
		}
		switch word {
		case "in":
			s = After(d)
		case "every":
			s = Every(d)
		case "pace":
			s = Pace(d)
		default:
			s = PaceFromStart(d)
		}
	default:
		if isRepeat(word) {
			return p.repeat(word)
		}
		if err := p.mistake(word); err != nil {
			return Schedule{}, err
		}
		return Schedule{}, p.fail("schedule", word, 0, p.formHint(word))
	}
	return p.accept(s)
}

// repeat reads a repeating interval, which is one word.
func (p *parser) repeat(word string) (Schedule, *Error) {
	s, m := repeat(word, p.work)
	if m.want != "" {
		return Schedule{}, p.fail("R", word, m.off, m.want)
	}
	if s.kind == KindEvery {
		p.said = "none: the interval says its bounds itself, " + clip(s.String())
	}
	return p.accept(s)
}

// words says that a word follows and no length.
func (p *parser) words() bool {
	w := p.peek()
	for _, end := range [...]string{"st", "nd", "rd", "th"} {
		if strings.HasSuffix(w, end) && strings.Trim(w[:len(w)-2], "0123456789") == "" {
			return true
		}
	}
	return w != "" && w[0] != 'P' && strings.IndexByte("0123456789.+-(", w[0]) < 0 && !slices.Contains(clauses[:], w) && w[0] < 0x80
}

// union reads (S) or (S), of which the first parenthesis has been read.
func (p *parser) union() (Schedule, *Error) {
	open := p.at
	var members []Schedule
	for {
		m, err := p.group("union")
		if err == nil {
			_, err = p.accept(Union(m))
		}
		if err != nil {
			return Schedule{}, err
		}
		members = append(members, m)
		if p.peek() != "or" {
			break
		}
		word := p.token()
		if len(members) == maxMembers {
			return Schedule{}, p.fail("union", word, 0, "at most "+strconv.Itoa(maxMembers)+" schedules")
		}
		if word = p.token(); word != "(" {
			return Schedule{}, p.fail("union", word, 0, "another schedule in parentheses, as in (S) or (S)")
		}
	}
	p.at = open
	return p.accept(Union(members...))
}

// group reads a schedule in parentheses, of which the first has been read. The last word is that parenthesis again, so
// that a mistake about the schedule as a whole is shown there.
func (p *parser) group(field string) (Schedule, *Error) {
	open, text := p.at, p.text
	if p.depth == maxDepth {
		return Schedule{}, p.fail(field, "(", 0, "at most "+strconv.Itoa(maxDepth)+" unions and exceptions within each other")
	}
	closing := p.closing(open)
	if closing < 0 {
		return Schedule{}, p.fail(field, "(", 0, "a closing parenthesis for it")
	}
	p.text = text[:closing]
	p.depth++
	s, err := p.whole()
	p.depth--
	p.text, p.next, p.at = text, closing+1, open
	return s, err
}

// closing returns where the parenthesis at open is closed, or -1. Those of a cron expression, as in H(0-29), count.
func (p *parser) closing(open int) int {
	level := 0
	for i := open; i < len(p.text); i++ {
		switch p.text[i] {
		case '(':
			level++
		case ')':
			if level--; level == 0 {
				return i
			}
		}
	}
	return -1
}

// expression reads the fields of an expression: everything up to a clause or the end.
func (p *parser) expression(read func(string) Schedule) (Schedule, *Error) {
	p.skipSpace()
	p.at = p.next
	fields := p.fields()
	if i := strayParen(fields); i >= 0 {
		return Schedule{}, p.fail("schedule", ")", i, "an opening parenthesis before it")
	}
	s := read(fields)
	if s.more != nil && s.more.err != nil {
		e := *s.more.err
		e.Value = clip(e.Value)
		e.Pos = p.at + max(e.Pos, 1)
		return Schedule{}, &e
	}
	return s, nil
}

// fields returns the text up to a clause or the end, and leaves the parser there. Only spaces separate words here, since
// parentheses belong to fields.
func (p *parser) fields() string {
	start, end := p.next, p.next
	for p.skipSpace(); p.next < len(p.text); p.skipSpace() {
		at := p.next
		for p.next < len(p.text) && !isSpace(p.text[p.next]) {
			p.next++
		}
		word, _, _ := strings.Cut(p.text[at:p.next], "(")
		if slices.Contains(clauses[:], strings.ToLower(word)) { // in the wrong case, too: it is told apart there
			p.next = at
			break
		}
		end = p.next
	}
	return p.text[start:end]
}

// strayParen returns where text closes a parenthesis that it has not opened, or -1.
func strayParen(text string) int {
	level := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			level++
		case ')':
			if level--; level < 0 {
				return i
			}
		}
	}
	return -1
}

// clause reads what follows the word of a clause and adds the clause to s.
func (p *parser) clause(s Schedule, word string) (Schedule, *Error) {
	switch word {
	case "in":
		return p.zone(s)
	case "gap", "fold", "days":
		return p.policy(s, word)
	case "except":
		if w := p.token(); w != "(" {
			return Schedule{}, p.fail(word, w, 0, "a schedule in parentheses, such as (cron * * 25 12 *)")
		}
		other, err := p.group(word)
		if err != nil {
			return Schedule{}, err
		}
		return p.accept(s.Except(other))
	case "times":
		return p.times(s)
	case "jitter":
		d, err := p.duration(word)
		if err != nil {
			return Schedule{}, err
		}
		return p.accept(s.Jitter(d))
	}
	t, err := p.instant(word)
	if err != nil {
		return Schedule{}, err
	}
	switch word {
	case "from":
		s = s.startFrom(t, p.work)
	case "until":
		s = s.Until(t)
	default:
		s = s.AlignTo(t)
	}
	return p.accept(s)
}

// zone reads the zone of an expression.
func (p *parser) zone(s Schedule) (Schedule, *Error) {
	w := p.token()
	if s.kind.civil() && s.more.zone != nil {
		return Schedule{}, p.fail("in", w, 0, "the zone once: the expression itself says "+s.more.zone.name)
	}
	return p.accept(s.In(w))
}

// policy reads what becomes of times that do not exist, or exist twice, or how the day fields are joined. Each leaves the
// others as they are.
func (p *parser) policy(s Schedule, word string) (Schedule, *Error) {
	w := p.token()
	if word != "days" {
		if s = s.civil(word, w); s.broken() {
			return p.accept(s)
		}
	}
	switch word {
	case "gap":
		for g := GapAfter; g <= GapShift; g++ {
			if w == g.String() {
				return p.accept(s.DST(g, s.more.fold))
			}
		}
		return Schedule{}, p.fail(word, w, 0, `"after", "skip" or "shift"`)
	case "fold":
		for f := FoldFirst; f <= FoldBoth; f++ {
			if w == f.String() {
				return p.accept(s.DST(s.more.gap, f))
			}
		}
		return Schedule{}, p.fail(word, w, 0, `"first", "second" or "both"`)
	}
	for d := DaysOr; d <= DaysAnd; d++ {
		if w == d.String() {
			return p.accept(s.Days(d))
		}
	}
	return Schedule{}, p.fail(word, w, 0, `"or" or "and"`)
}

// times reads a number of starts.
func (p *parser) times(s Schedule) (Schedule, *Error) {
	w := p.token()
	for i := range len(w) {
		if !isDigit(w[i]) {
			return Schedule{}, p.fail("times", w, i, timesWant)
		}
	}
	n, err := strconv.Atoi(w)
	if err != nil {
		if w == "" {
			return Schedule{}, p.fail("times", w, 0, timesWant)
		}
		return Schedule{}, p.fail("times", w, 0, "at most "+strconv.Itoa(math.MaxInt))
	}
	return p.accept(s.Times(n))
}

// accept gives the mistake that s carries the place of the last word.
func (p *parser) accept(s Schedule) (Schedule, *Error) {
	if s.more != nil && s.more.err != nil {
		e := *s.more.err
		e.Value = clip(e.Value)
		e.Pos = p.at + 1
		return Schedule{}, &e
	}
	return s, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// clip shortens a value for an error.
func clip(s string) string {
	const limit = 48
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

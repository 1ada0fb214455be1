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
	formsWant    = `"in 5m", "at 2026-12-24T17:00:00Z", "every 1h30m", "pace 10s" or "pace-from-start 10s"`
	clausesWant  = `"from T", "until T", "times N", "jitter D" or "align T"`
	durationWant = "a duration such as 1h30m, 90s or 250ms"
	timesWant    = "a whole number, at least 1"
)

// clauses are the words that a bound begins with.
var clauses = [...]string{"from", "until", "times", "jitter", "align"}

// Parse reads the text form of a schedule, described in the package comment. Words are separated by one or more spaces or
// tabs; clauses may come in any order, each at most once. The error is an *[Error] with Pos set; the schedule returned
// beside it is invalid and carries the same error.
//
// A zone in brackets is looked up in the system's time zone database, or in that of time/tzdata where a program imports it.
func Parse(text string) (Schedule, error) {
	p := parser{text: text}
	s, err := p.schedule()
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
	text string
	next int // where the next word is looked for
	at   int // where the last word began
}

// word returns the next word, or "" at the end.
func (p *parser) word() string {
	for p.next < len(p.text) && isSpace(p.text[p.next]) {
		p.next++
	}
	p.at = p.next
	for p.next < len(p.text) && !isSpace(p.text[p.next]) {
		p.next++
	}
	return p.text[p.at:p.next]
}

// fail is a mistake off bytes into the last word.
func (p *parser) fail(field, value string, off int, want string) *Error {
	return &Error{Field: field, Value: clip(value), Want: want, Pos: p.at + off + 1}
}

func (p *parser) schedule() (Schedule, *Error) {
	if len(p.text) > maxText {
		return Schedule{}, p.fail("schedule", p.text, maxText, "at most "+strconv.Itoa(maxText)+" bytes, not "+strconv.Itoa(len(p.text)))
	}
	s, err := p.form()
	var seen []string
	for err == nil {
		word := p.word()
		if word == "" {
			return s, nil
		}
		if !slices.Contains(clauses[:], word) {
			want := "the end or " + clausesWant
			if !s.Recurring() {
				want = `the end or "jitter D"`
			}
			return s, p.fail("schedule", word, 0, want)
		}
		if slices.Contains(seen, word) {
			return s, p.fail(word, "", 0, "it once only")
		}
		seen = append(seen, word)
		s, err = p.clause(s, word)
	}
	return s, err
}

// form reads the words that say which rule it is. A form of later days joins here.
func (p *parser) form() (Schedule, *Error) {
	word := p.word()
	var s Schedule
	switch word {
	case "at":
		t, err := p.instant(word)
		if err != nil {
			return s, err
		}
		s = At(t)
	case "in", "every", "pace", "pace-from-start":
		d, err := p.duration(word)
		if err != nil {
			return s, err
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
		return s, p.fail("schedule", word, 0, formHint(word))
	}
	return p.accept(s)
}

// formHint says what would be right in place of a first word that is none.
func formHint(word string) string {
	switch lower := strings.ToLower(word); lower {
	case "in", "at", "every", "pace", "pace-from-start":
		return `lower case: "` + lower + `"`
	}
	if _, m := parseDuration(word); m.want == "" && word != "0" {
		return `"in ` + word + `" for once or "every ` + word + `" for again and again`
	}
	if _, m := parseInstant(word); m.want == "" {
		return `"at ` + word + `"`
	}
	return formsWant
}

// clause reads what follows the word of a bound and adds the bound to s.
func (p *parser) clause(s Schedule, word string) (Schedule, *Error) {
	switch word {
	case "times":
		arg := p.word()
		for i := range len(arg) {
			if !isDigit(arg[i]) {
				return s, p.fail(word, arg, i, timesWant)
			}
		}
		n, err := strconv.Atoi(arg)
		if err != nil {
			if arg == "" {
				return s, p.fail(word, arg, 0, timesWant)
			}
			return s, p.fail(word, arg, 0, "at most "+strconv.Itoa(math.MaxInt))
		}
		return p.accept(s.Times(n))
	case "jitter":
		d, err := p.duration(word)
		if err != nil {
			return s, err
		}
		return p.accept(s.Jitter(d))
	}
	t, err := p.instant(word)
	if err != nil {
		return s, err
	}
	switch word {
	case "from":
		s = s.From(t)
	case "until":
		s = s.Until(t)
	default:
		s = s.AlignTo(t)
	}
	return p.accept(s)
}

// accept gives the mistake that s carries the place of the last word.
func (p *parser) accept(s Schedule) (Schedule, *Error) {
	if s.more != nil && s.more.err != nil {
		e := *s.more.err
		e.Pos = p.at + 1
		return s, &e
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

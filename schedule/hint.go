package schedule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/internal/spelling"
)

// formHint says what would be right in place of a first word that is none: what comes to mind of other tools is told in
// the words of this one.
func (p *parser) formHint(word string) string {
	if lower := strings.ToLower(word); slices.Contains(forms[:], lower) {
		return `lower case: "` + lower + `"`
	}
	if hint := p.spanHint(); hint != "" {
		return hint
	}
	if _, m := parseDuration(word); m.want == "" && word != "0" {
		return `"in ` + word + `" for once or "every ` + word + `" for again and again`
	}
	if _, m := parseInstant(word); m.want == "" {
		return `"at ` + word + `"`
	}
	if hint := intervalWant(word); hint != "" {
		return hint
	}
	if hint := p.cronHint(); hint != "" {
		return hint
	}
	if hint := p.calendarHint(); hint != "" {
		return hint
	}
	return formsWant
}

// spanHint says how to write a length of time alone, and is empty if the text is none.
func (p *parser) spanHint() string {
	ahead := *p
	ahead.next = p.at
	text := ahead.lengths()
	s, m := parseSpan(text)
	text = clip(text)
	switch {
	case m.want != "" || s == (Span{}) || strings.HasPrefix(text, "-"):
		return ""
	case s.Months != 0:
		return `"at now + ` + text + `" for once, or R/START/` + s.String() + ` for again and again`
	case s.Days != 0:
		return `"in ` + text + `" for once, or R/START/` + s.String() + ` for again and again`
	}
	return `"in ` + text + `" for once or "every ` + text + `" for again and again`
}

// mistake finds what is wrong within a text that says what it is without the word for it: an instant, or a calendar line.
func (p *parser) mistake(word string) *Error {
	if !strings.ContainsAny(word, "*/,") && !strings.Contains(word, "..") {
		if _, m := parseInstant(word); m.want != "" && m.want != formatWant {
			return p.fail("at", word, m.off, m.want)
		}
	}
	ahead := *p
	ahead.next = p.at
	if !looksLikeCalendar(ahead.fields()) {
		return nil
	}
	ahead.next = p.at
	_, err := ahead.expression(Calendar)
	if err != nil {
		err.Want += `; and "calendar" before the whole`
	}
	return err
}

// looksLikeCalendar says whether a text begins with a day of the week or an asterisk of a date or a time, and goes on as a calendar line.
func looksLikeCalendar(text string) bool {
	text = strings.TrimSpace(text)
	if i := strings.LastIndexByte(text, ' '); i >= 0 && (text[i+1:] == "UTC" || strings.Contains(text[i:], "/") && strings.Trim(text[i+1:i+2], "0123456789*") != "") {
		text = text[:i] // a zone
	}
	first, rest, _ := strings.Cut(text, " ")
	if !strings.ContainsAny(text, ":-") || strings.Trim(strings.TrimLeft(rest, " "), "0123456789*:-~./,") != "" {
		return false
	}
	if strings.HasPrefix(first, "*-") || strings.HasPrefix(first, "*:") {
		return strings.Trim(first, "0123456789*:-~./,") == ""
	}
	name := lower(first[:len(first)-len(strings.TrimLeft(first, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))])
	n, _ := weekdayOf(name)
	return n >= 0 && rest != ""
}

// cronHint says how to write what looks like a cron expression without its word, and is empty if nothing does.
func (p *parser) cronHint() string {
	ahead := *p
	ahead.next = p.at
	words := strings.FieldsFunc(ahead.fields(), func(r rune) bool { return r == ' ' || r == '\t' })
	text := strings.Join(words, " ")
	s := Cron(text)
	switch {
	case s.broken() && strings.HasPrefix(text, "@"):
		return s.more.err.Want
	case s.broken() && !looksLikeCron(words):
		return ""
	case !s.broken() && s.kind == KindEvery:
		return `"` + s.String() + `"`
	}
	return `"cron ` + clip(text) + `"`
}

// looksLikeCron says whether words may be a cron expression with a mistake in it: so many, the first without letters but
// those of H, and none with what no field has.
func looksLikeCron(words []string) bool {
	const signs = "*,-/?#()"
	if len(words) < 4 || len(words) > 8 || strings.Trim(words[0], signs+"0123456789hH") != "" {
		return false
	}
	for _, w := range words {
		if strings.Trim(w, signs+"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return false
		}
	}
	return true
}

// clauseHint says what would be right behind s in place of a word that is no clause, or joins schedules that are not in
// parentheses.
func (s Schedule) clauseHint(word string) string {
	if lower := strings.ToLower(word); lower != word && slices.Contains(clauses[:], lower) {
		return `lower case: "` + lower + `"`
	}
	if meant, ok := spelling.Closest(word, clauses[:]); ok && len(word) > 3 && word != "or" {
		return strconv.Quote(meant)
	}
	switch {
	case word == "or" && s.kind == KindUnion:
		return "it before the clauses of the whole"
	case word == "or":
		return "parentheses around each schedule: (S) or (S)"
	}
	const (
		bounds = `"from T", "until T", "times N"`
		except = `"except (S)"`
	)
	switch s.kind {
	case KindEvery:
		return "the end or " + bounds + `, "jitter D", "align T" or ` + except
	case KindPace, KindPaceFromStart:
		return "the end or " + bounds + ` or "jitter D"`
	case KindCron:
		return `the end or "in ZONE", "gap", "fold", "days", ` + except + ", " + bounds + ` or "jitter D"`
	case KindCalendar, KindRRule:
		return `the end or "in ZONE", "gap", "fold", ` + except + ", " + bounds + ` or "jitter D"`
	case KindUnion:
		return `the end or "or (S)", ` + except + ", " + bounds + ` or "jitter D"`
	default:
		return `the end or "jitter D"`
	}
}

package schedule

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// plainBlanks is a mistake where text holds white space other than spaces and tabs, or what cannot be seen.
func plainBlanks(text string) *Error {
	for i, r := range text {
		if r == ' ' || r == '\t' || !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r) {
			continue
		}
		from := strings.LastIndexAny(text[:i], " \t") + 1
		word := text[from:]
		if end := strings.IndexAny(text[i:], " \t"); end >= 0 {
			word = text[from : i+end]
		}
		return &Error{Field: "cron", Value: clip(word), Want: "spaces or tabs only, not " + runeName(r), Pos: i + 1}
	}
	return nil
}

// foreign is a mistake where the item is not ASCII.
func (p *cronParser) foreign() *Error {
	for i, r := range p.item {
		if r < utf8.RuneSelf {
			continue
		}
		if _, size := utf8.DecodeRuneInString(p.item[i:]); size == 1 {
			return p.fail(i, "ASCII, not the byte 0x"+strconv.FormatUint(uint64(p.item[i]), 16))
		}
		if plain := plainRune(r); plain != 0 {
			return p.fail(i, strconv.Quote(string(plain))+" in ASCII, not "+runeName(r))
		}
		return p.fail(i, "ASCII, not "+runeName(r))
	}
	return nil
}

// rangeHint says what would be right in place of a number out of range.
func (p *cronParser) rangeHint(n int) string {
	want := cronFields[p.field].want
	switch f := p.field; {
	case f == fieldSecond && n == 60:
		return want + "; the full minute is second 0"
	case f == fieldMinute && n == 60:
		return want + "; the full hour is minute 0"
	case f == fieldHour && n == 24:
		return want + "; midnight is 0"
	case f == fieldMonth && n == 0:
		return want + "; january is 1"
	case f == fieldDow && p.k.field == 6 && n >= minYear && n <= lastYear:
		return want + "; a year is the last of 7 fields, seconds first"
	}
	return want
}

// valueHint says what would be right in place of what is no value, and begins with word.
func (p *cronParser) valueHint(word string) string {
	spec := &cronFields[p.field]
	switch c := p.peek(); {
	case c == 0 && p.i > 0:
		return "a value after the " + strconv.Quote(p.item[p.i-1:])
	case c == '+':
		return spec.want + ", without a sign"
	case c == '-' && p.i == 0:
		return `a value before the "-"`
	case c == '/' && p.i == 0 && len(p.item) > 1:
		return strconv.Quote("*" + p.item)
	case c == '/' && p.i == 0:
		return `a value before the "/", as in */5`
	case c == '?':
		return `"?" as a whole field, or "*"`
	case c == '#' || word == "l" || word == "lw" || c == 'w' && p.field == fieldDom:
		return p.dayHint(c)
	}
	return nameHint(word, spec.names, spec.want)
}

// unexpected is the mistake that the item goes on where it should end.
func (p *cronParser) unexpected() *Error {
	spec := &cronFields[p.field]
	done, rest, want := p.item[:p.i], p.item[p.i:], spec.want
	switch c := rest[0]; {
	case c == '/' && strings.Contains(done, "/"), c == '-' && strings.Contains(done, "-"):
		want = "one " + strconv.Quote(rest[:1]) + " only"
	case c == '/':
		want = "no step after " + strconv.Quote(done)
	case c == '-':
		want = "no range with " + strconv.Quote(done)
	case c == '#' || c == 'w' || c == 'l':
		want = p.dayHint(c)
	case strings.HasPrefix(rest, ".."):
		want = `"-" for a range, as in ` + done + "-" + strings.TrimLeft(rest, ".")
	case c == '.':
		want = "whole numbers"
	case c == '~':
		want = strconv.Quote("h(" + done + "-" + rest[1:] + ")")
	case done == "*" && isDigit(c):
		want = strconv.Quote("*/" + rest)
	}
	return p.fail(p.i, want)
}

// dayHint says where #, l or w is right.
func (p *cronParser) dayHint(c byte) string {
	switch {
	case c == '#' && p.field == fieldDow:
		return `one day before the "#", as in mon#2`
	case c == 'l' && p.field == fieldDow:
		return `one day before the "l", as in fril; the month's last day is l as the day of month`
	case c == 'l' && p.field == fieldDom:
		return "l alone for the last day, or l-3"
	case c == 'w' && p.field == fieldDom:
		return `one day before the "w", as in 15w, or lw`
	case c == '#':
		return cronFields[p.field].want + `; "#" belongs to the day of week`
	case c == 'w':
		return cronFields[p.field].want + `; "w" belongs to the day of month`
	}
	return cronFields[p.field].want + `; "l" belongs to the days`
}

func commaHint(from, n int) string {
	switch from {
	case 0:
		return "a value before the comma"
	case n:
		return "a value after the last comma, or no comma"
	}
	return "a value between the commas"
}

func stepHint(f field, limit, n int) string {
	want := "a step from 1 to " + strconv.Itoa(limit)
	if n <= limit || n >= 1_000_000 || f > fieldHour {
		return want
	}
	unit := [...]time.Duration{time.Second, time.Minute, time.Hour}[f]
	return want + "; for every " + strconv.Itoa(n) + " " + cronFields[f].name + `s use "every ` + durationText(time.Duration(n)*unit) + `"`
}

func macroHint(word string) string {
	if word == "@reboot" {
		return "a time: only the daemon knows when it starts"
	}
	names := make([]string, 0, len(cronMacros))
	for _, m := range cronMacros {
		names = append(names, m.name)
	}
	if s := suggest(word, names); s != "" {
		return s
	}
	return strings.Join(names, ", ") + ` or "@every 1h30m"`
}

// nameHint says what would be right in place of a word that is no name.
func nameHint(word string, names []string, want string) string {
	start := word[:min(len(word), 3)]
	switch {
	case slices.Contains(names, start):
		return strconv.Quote(start)
	case slices.Contains(dayNames, start):
		return want + "; " + start + " is a day of the week"
	case slices.Contains(monthNames, start):
		return want + "; " + start + " is a month"
	}
	return cmp.Or(suggest(start, names), want)
}

// suggest returns the words that word may be meant to be; none if there are many.
func suggest(word string, words []string) string {
	var near []string
	for _, w := range words {
		if strings.HasPrefix(w, word) || oneSlip(word, w) {
			near = append(near, strconv.Quote(w))
		}
	}
	if len(near) > 3 {
		return ""
	}
	return strings.Join(near, " or ")
}

// oneSlip says whether one slip of the fingers made a of b: a letter too many, too few or another, or two swapped.
func oneSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	switch len(a) - len(b) {
	case 0:
		return len(a) > 0 && a[1:] == b[1:] || len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
	case 1:
		return a[1:] == b
	case -1:
		return a == b[1:]
	}
	return false
}

// plainRune returns the ASCII character that r is another form of, 0 for none.
func plainRune(r rune) rune {
	switch {
	case '！' <= r && r <= '～': // the full-width forms, in the order of ASCII
		return r - '！' + '!'
	case unicode.Is(unicode.Pd, r) || r == '\u2212': // dashes, and the minus sign
		return '-'
	case r == '\u2217' || r == '\u204e':
		return '*'
	case !unicode.IsDigit(r):
		return 0
	}
	// Digits of a script come in tens, and every range of the table begins with a zero.
	for _, t := range unicode.Nd.R16 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return '0' + (r-rune(t.Lo))%10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return '0' + (r-rune(t.Lo))%10
		}
	}
	return 0
}

// runeName names a character that may not be visible.
func runeName(r rune) string {
	code := strings.ToUpper(strconv.FormatInt(int64(r), 16))
	code = "U+" + strings.Repeat("0", max(0, 4-len(code))) + code
	switch name := map[rune]string{
		'\n': "line feed", '\r': "carriage return", '\u00a0': "no-break space", '\u00ad': "soft hyphen",
		'\u2007': "figure space", '\u200b': "zero width space", '\u202f': "narrow no-break space",
		'\u3000': "ideographic space", '\ufeff': "byte order mark", '\u2013': "en dash", '\u2014': "em dash",
	}[r]; {
	case name != "":
		return code + " (" + name + ")"
	case unicode.IsDigit(r):
		return code + " (a digit of another script)"
	case unicode.IsSpace(r):
		return code + " (white space)"
	case unicode.Is(unicode.Cf, r):
		return code + " (invisible)"
	}
	return code
}

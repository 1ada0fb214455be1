package when

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/spelling"
	"github.com/dulyhq/duly/schedule"
)

// bare is the error for a word that is nothing. A number that looks as if it were a time of day is shown as one.
func (r *reader) bare(words []string) error {
	word := words[0]
	n, err := strconv.Atoi(word)
	if len(words) > 1 || r.day.form != noDay || r.clock.said || err != nil || n < 0 || word[0] == '+' {
		return r.unknown(word)
	}
	var at []time.Time
	add := func(hour, minute int) {
		at = append(at, r.next(hour, minute)...)
	}
	switch {
	case len(word) <= 2 && n >= 1 && n <= 12:
		add(n%12, 0)
		add(n%12+12, 0)
	case len(word) <= 2 && n < 24:
		add(n, 0)
	default:
		return r.unknown(word)
	}
	return r.fail("a number alone says neither a time of day nor a date", at...)
}

// next are the next instants at a time of day, today's or tomorrow's.
func (r *reader) next(hour, minute int) []time.Time {
	for days := range 2 {
		y, m, d := addDays(r.now.In(r.loc), days)
		at := instants(y, int(m), d, hour, minute, 0, r.loc)
		if len(at) > 0 && at[len(at)-1].After(r.now) {
			return at
		}
	}
	return nil
}

func (r *reader) unknown(word string) error {
	switch strings.TrimRight(word, ".") {
	case "gmt", "bst", "wet", "west", "cet", "cest", "eet", "eest", "msk", "est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "ist", "jst", "kst", "z":
		return r.fail(fmt.Sprintf("%q is no zone here; --zone takes one of the IANA database, and 2026-12-24T18:00:00+01:00 has an offset", word))
	case "ago", "last", "past":
		return r.fail("that has passed")
	case "every", "each", "daily", "hourly", "weekly":
		return r.fail("that is more than once: duly every 1h, or duly cron '0 9 * * mon-fri'")
	}
	why := fmt.Sprintf("%q is neither a day nor a time of day", shorten(word))
	if e := r.misspelt(word, why, words...); e != nil {
		return e
	}
	return r.fail(why + "; want " + Examples)
}

// words are those that a slip of the fingers may be meant to be.
var words = []string{
	"noon", "teatime", "midnight", "today", "tomorrow", "yesterday", "next",
	"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
	"january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
}

// misspelt is the error for a word that is nearly one of those given, with what the text then means; nil if it is not.
func (r *reader) misspelt(word, why string, words ...string) *Error {
	meant, ok := spelling.Closest(word, words)
	if !ok || meant == word || len(word) < 4 { // a month without a day is a word, too
		return nil
	}
	fields := strings.Fields(r.text)
	i := slices.IndexFunc(fields, func(f string) bool { return strings.EqualFold(strings.Trim(f, ","), word) })
	if i < 0 {
		return nil
	}
	fields[i] = meant
	why += ", but " + strconv.Quote(meant) + " is"
	again := &reader{text: strings.Join(fields, " "), now: r.now, loc: r.loc, past: r.past}
	at, err := again.read()
	if err != nil {
		return r.fail(why)
	}
	return r.fail(why, at)
}

// cutInterval splits an interval of ISO 8601: two instants, or one and a length, with a slash between them that is not one of a zone's.
func cutInterval(text string) (start, end string, ok bool) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 || strings.LastIndexByte(text, ']') > i {
		return "", "", false
	}
	begins := func(s string) bool { // as an instant does, or a length
		return len(s) > 1 && s[0] == 'P' || len(s) >= len("2026-12-24") && digits(s[:4], 4, 4) && s[4] == '-'
	}
	start, end, _ = strings.Cut(text, "/")
	if strings.Count(text, "/") > 1 {
		start, end = text[:i], text[i+1:]
	}
	return start, end, begins(start) && begins(end)
}

// interval is the error for an interval, which is no instant, with the instants at its ends.
func (r *reader) interval(start, end string) error {
	read := func(text string) (t time.Time, span schedule.Span, long bool) {
		if span, err := schedule.ParseSpan(text); err == nil {
			return t, span, true
		}
		one := &reader{text: text, now: r.now, loc: r.loc, past: true}
		t, err := one.read()
		if err != nil {
			return time.Time{}, span, false
		}
		return t.In(one.loc), span, false
	}
	first, before, backward := read(start)
	last, after, forward := read(end)
	switch {
	case forward && !first.IsZero():
		last = after.From(first)
	case backward && !last.IsZero():
		first = schedule.Span{Months: -before.Months, Days: -before.Days, Time: -before.Time}.From(last)
	}
	return r.fail("that is an interval, of which either end may be meant", slices.DeleteFunc([]time.Time{first, last}, time.Time.IsZero)...)
}

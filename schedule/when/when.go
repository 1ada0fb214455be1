// Package when reads the texts by which people name an instant: "17:00", "tomorrow 9:30", "next monday 9:00", "24 dec 18:00".
//
// It is not for what recurs, and for what a schedule's text says by itself: that is package schedule. It is pure: the same text, instant and
// zone give the same answer. Its central function is [Read], which never guesses: a text that can mean two instants is an error that offers them.
package when

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/internal/zonedb"
	"github.com/dulyhq/duly/schedule"
)

// An Error says why a text names no instant, or more than one.
type Error struct {
	Text     string
	Why      string    // a clause: "today is a monday"
	Readings []Reading // what may have been meant, the earliest first
}

// A Reading is an instant that may have been meant, with a text that means no other: [Read] accepts it at the same instant and in the
// same zone.
type Reading struct {
	Text string
	At   time.Time
}

// Error returns the message: one line.
func (e *Error) Error() string {
	s := strconv.Quote(shorten(e.Text)) + ": " + e.Why
	if offers := e.offers(); offers != "" {
		s += "; want " + offers
	}
	return s
}

// Want says what would be right, for a message that names the text itself.
func (e *Error) Want() string {
	if offers := e.offers(); offers != "" {
		return offers + ": " + e.Why
	}
	return "an instant such as " + Examples + ": " + e.Why
}

// offers lists the texts of the readings.
func (e *Error) offers() string {
	offers := make([]string, len(e.Readings))
	for i, r := range e.Readings {
		offers[i] = strconv.Quote(r.Text)
	}
	switch last := len(offers) - 1; last {
	case -1:
		return ""
	case 0:
		return offers[0]
	default:
		return strings.Join(offers[:last], ", ") + " or " + offers[last]
	}
}

// Examples are texts of each form, for help and errors.
const Examples = `17:00, "tomorrow 17:00", "next monday 9:00", "24 dec 18:00", "2026-12-24 18:00" or 2026-12-24T18:00:00+01:00`

// maxText bounds a text, in bytes.
const maxText = 100

// Read returns the instant that the text names, which is after now. What has neither offset nor zone is read in loc. The error is an
// *[Error].
//
//   - A time of day alone is the next one: 17:00, 1700, 5pm, 5:30 pm, noon, teatime (16:00), midnight. Without am or pm and without a
//     leading zero 5:00 is taken for the morning if that is still ahead.
//   - A day goes before or after it: today, tomorrow, monday, next monday, next week, next month, 2026-12-24, 24 dec, dec 24 2026, 24.12.,
//     24.12.2026, 12/24, 12242026. Without a year it is the next such day. Next monday is that of the next week; where the one before it is
//     still to come, the text has two readings. A day of the week before a date must be that of the date.
//   - RFC 3339, also with a zone in brackets: 2026-12-24T18:00:00+01:00, 2026-12-24T18:00[Europe/Berlin]. A zone or an offset may also stand
//     behind all forms: 2026-12-24 18:00 Europe/Berlin, 17:00 UTC, 17:00 -0600.
//   - now, and @1767225600, the seconds since 1970.
//   - Any of these and a length as [schedule.ParseSpan] reads it: now + 3 days, 4pm + 1 week, noon tomorrow - 1 hour. Days, weeks and
//     months are counted by the calendar of loc, at the same time of day. A length after a sign counts from now: +3h30min.
func Read(text string, now time.Time, loc *time.Location) (time.Time, error) {
	r := &reader{text: text, now: now, loc: loc}
	t, err := r.read()
	switch {
	case err != nil:
		return time.Time{}, err
	case !t.After(now) && !r.isNow:
		return time.Time{}, r.fail("it has passed")
	}
	return t, nil
}

// ReadAny is [Read] for instants that may have passed: what names a date or an instant means just that, and so do yesterday 17:00,
// 5 min ago and -5s. A time of day alone is still the next one.
func ReadAny(text string, now time.Time, loc *time.Location) (time.Time, error) {
	r := &reader{text: text, now: now, loc: loc, past: true}
	return r.read()
}

// Schedule is [schedule.Parse], and reads more: what follows "at" may be any text that [Read] reads. It becomes an instant here and now.
// The error is an *[Error] or a *[schedule.Error].
func Schedule(text string, now time.Time, loc *time.Location) (schedule.Schedule, error) {
	s, err := schedule.Parse(text)
	word, rest, _ := strings.Cut(strings.TrimLeft(text, " \t"), " ")
	word, blank, tabbed := strings.Cut(word, "\t")
	if tabbed {
		rest = blank + " " + rest
	}
	if err == nil || word != "at" {
		return s, err
	}
	instant, clause := rest, ""
	if i := strings.Index(rest, " jitter "); i >= 0 {
		instant, clause = rest[:i], rest[i:]
	}
	t, wrong := Read(instant, now, loc)
	if wrong != nil {
		return s, wrong
	}
	return schedule.Parse("at " + t.UTC().Format(time.RFC3339Nano) + clause)
}

// A reader reads one text.
type reader struct {
	text string
	now  time.Time
	loc  *time.Location
	// foreign: loc is the text's own, so that readings must say it.
	foreign bool
	past    bool           // an instant that has passed may be named
	isNow   bool           // the text is now
	offset  *time.Location // of an instant that says its own; nil for loc

	weekday   time.Weekday // that the date must be, if
	onWeekday bool

	exact time.Time // the text says all; nothing of the following is set
	day   day
	clock clock
}

// The instants that a schedule can name, in seconds since 1970: they end with the year 9999.
const (
	firstSecond = -62135596800 + 1
	lastSecond  = 253402300799
)

func inRange(t time.Time) bool { return t.Unix() >= firstSecond && t.Unix() <= lastSecond }

// Which form a day has.
type dayForm int

const (
	noDay    dayForm = iota
	relative         // so many days from today
	weekday
	nextWeekday
	dated        // with a year
	yearly       // without one
	twoDates     // month and day in either order
	severalDates // eight digits that make more than one
	monthsOn     // so many months from today
)

// A day is what a text says of one.
type day struct {
	form        dayForm
	days        int // relative
	weekday     time.Weekday
	year        int // 0: the next that fits
	month, date int // of twoDates: the two numbers, of which neither is above 12; of monthsOn how many months
	dates       []date
	loose       bool // the year is a word of its own, which may be a time of day
}

// A clock is what a text says of a time of day.
type clock struct {
	said           bool
	hour, min, sec int // hour 24 is the end of the day
	nsec           int
	halved         bool   // it is from 1 to 12 o'clock, and the text does not say of which half of the day
	midnight       bool   // the word: the beginning of a day, or its end
	written        string // as it was
}

// fail returns an Error with those readings that are still ahead.
func (r *reader) fail(why string, at ...time.Time) *Error {
	e := &Error{Text: r.text, Why: why}
	for _, t := range at {
		if !t.After(r.now) && !r.past || !inRange(t) {
			continue
		}
		e.insert(Reading{Text: r.write(t), At: t})
	}
	return e
}

// insert keeps the readings in order, each once.
func (e *Error) insert(x Reading) {
	i := 0
	for ; i < len(e.Readings) && !x.At.Before(e.Readings[i].At); i++ {
		if x.At.Equal(e.Readings[i].At) {
			return
		}
	}
	e.Readings = append(e.Readings[:i], append([]Reading{x}, e.Readings[i:]...)...)
}

// write returns a text that means this instant only.
func (r *reader) write(t time.Time) string {
	t = t.In(r.loc)
	y, m, d := t.Date()
	if y < 1 || y > 9999 {
		return t.UTC().Format(time.RFC3339Nano)
	}
	if _, offset := t.Zone(); offset%60 != 0 { // which RFC 3339 can't say
		return t.UTC().Format(time.RFC3339Nano)
	}
	if r.foreign || t.Nanosecond() != 0 || len(instants(y, int(m), d, t.Hour(), t.Minute(), t.Second(), r.loc)) != 1 {
		return t.Format(time.RFC3339Nano)
	}
	layout := "15:04"
	if t.Second() != 0 {
		layout = "15:04:05"
	}
	switch sameDay := func(days int) bool {
		ny, nm, nd := addDays(r.now.In(r.loc), days)
		return y == ny && m == nm && d == nd
	}; {
	case sameDay(0):
		return "today " + t.Format(layout)
	case sameDay(1):
		return "tomorrow " + t.Format(layout)
	}
	return t.Format("2006-01-02 " + layout)
}

// addDays returns the date so many days after that of t.
func addDays(t time.Time, days int) (int, time.Month, int) {
	y, m, d := t.Date()
	return time.Date(y, m, d+days, 12, 0, 0, 0, time.UTC).Date()
}

// shorten cuts a text for an error.
func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}

// absolute reads a text that says its offset or its zone. If it is by the clocks of a zone, it returns what they show.
func (r *reader) absolute(text string) (local string, err error) {
	s, err := schedule.Parse("at " + text)
	if e, ok := errors.AsType[*schedule.Error](err); ok {
		return "", r.fail("want " + e.Want)
	} else if err != nil {
		return "", r.fail(err.Error())
	}
	t, ok := s.PlainAt()
	if !ok {
		return "", r.fail("want an instant alone")
	}
	shown, zone, ok := strings.Cut(text, "[")
	if ok {
		if r.offset, ok = loadZone(strings.TrimSuffix(zone, "]")); ok && !strings.ContainsAny(shown[len("2026-12-24T"):], "Zz+-") {
			r.loc, r.foreign = r.offset, true
			return shown, nil
		}
	}
	if !t.After(r.now) && !r.past {
		return "", r.fail("it has passed")
	}
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if own, err := time.Parse(layout, shown); err == nil && r.offset == nil {
			r.offset = own.Location()
		}
	}
	r.exact = t
	return "", nil
}

// loadZone finds a zone by a name that a schedule takes, too.
func loadZone(name string) (*time.Location, bool) {
	if schedule.Cron("@daily").In(name).Err() != nil {
		return nil, false
	}
	loc, err := zonedb.Current().Load(name)
	return loc, err == nil
}

// trim takes off the blanks around a text, and the end of a line.
func trim(text string) string { return strings.Trim(text, " \t\r\n") }

func (r *reader) check() error {
	switch {
	case len(r.text) > maxText:
		return r.fail(fmt.Sprintf("it has %d bytes, want at most %d", len(r.text), maxText))
	case !utf8.ValidString(r.text):
		return r.fail("it is not UTF-8")
	}
	text := trim(r.text)
	if text == "" {
		return r.fail("it is empty; want " + Examples)
	}
	for i, c := range text {
		if (c < ' ' || c > '~') && c != '\t' && c != '\u00b5' && c != '\u03bc' { // microseconds, by either sign
			return r.fail(fmt.Sprintf("it has U+%04X at byte %d; want letters, digits and signs of ASCII, and blanks between words", c, strings.Index(r.text, text)+i+1))
		}
	}
	return nil
}

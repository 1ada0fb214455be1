// Package when reads the texts by which people name an instant: "17:00", "tomorrow 9:30", "next monday 9:00", "24 dec 18:00".
//
// It is not for schedules, whose text form belongs to package schedule. It is pure: the same text, instant and zone give the same
// answer. Its central function is [Read], which never guesses: a text that can mean two instants is an error that offers them.
package when

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
	offers := make([]string, len(e.Readings))
	for i, r := range e.Readings {
		offers[i] = strconv.Quote(r.Text)
	}
	s := strconv.Quote(shorten(e.Text)) + ": " + e.Why
	switch last := len(offers) - 1; last {
	case -1:
		return s
	case 0:
		return s + "; want " + offers[0]
	default:
		return s + "; want " + strings.Join(offers[:last], ", ") + " or " + offers[last]
	}
}

// Examples are texts of each form, for help and errors.
const Examples = `17:00, "tomorrow 17:00", "next monday 9:00", "24 dec 18:00", "2026-12-24 18:00" or 2026-12-24T18:00:00+01:00`

// maxText bounds a text, in bytes.
const maxText = 100

// Read returns the instant that the text names, which is after now. What has neither offset nor zone is read in loc. The error is an
// *[Error].
//
//   - A time of day alone is the next one: 17:00, 5pm, 5:30 pm, noon, midnight. Without am or pm and without a leading zero 5:00 is taken
//     for the morning if that is still ahead.
//   - A day goes before or after it: today, tomorrow, monday, next monday, 2026-12-24, 24 dec, dec 24 2026, 24.12., 24.12.2026, 12/24.
//     Without a year it is the next such day. Next monday is that of the next week; where the one before it is still to come, the text
//     has two readings.
//   - RFC 3339, also with a zone in brackets: 2026-12-24T18:00:00+01:00, 2026-12-24T18:00[Europe/Berlin].
//   - now.
func Read(text string, now time.Time, loc *time.Location) (time.Time, error) {
	r := &reader{text: text, now: now, loc: loc}
	if err := r.parse(); err != nil {
		return time.Time{}, err
	}
	t, err := r.resolve()
	if err != nil {
		return time.Time{}, err
	}
	return t, nil
}

// A reader reads one text.
type reader struct {
	text string
	now  time.Time
	loc  *time.Location
	// foreign: loc is the text's own, so that readings must say it.
	foreign bool

	exact time.Time // the text says all; nothing of the following is set
	day   day
	clock clock
}

// Which form a day has.
type dayForm int

const (
	noDay    dayForm = iota
	relative         // so many days from today
	weekday
	nextWeekday
	dated    // with a year
	yearly   // without one
	twoDates // month and day in either order
)

// A day is what a text says of one.
type day struct {
	form        dayForm
	days        int // relative
	weekday     time.Weekday
	year        int // 0: the next that fits
	month, date int // of twoDates: the two numbers, of which neither is above 12
}

// A clock is what a text says of a time of day.
type clock struct {
	said           bool
	hour, min, sec int    // hour 24 is the end of the day
	halved         bool   // it is from 1 to 12 o'clock, and the text does not say of which half of the day
	midnight       bool   // the word: the beginning of a day, or its end
	written        string // as it was
}

// fail returns an Error with those readings that are still ahead.
func (r *reader) fail(why string, at ...time.Time) *Error {
	e := &Error{Text: r.text, Why: why}
	for _, t := range at {
		if !t.After(r.now) {
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
	if r.foreign || t.Nanosecond() != 0 || len(instants(y, int(m), d, t.Hour(), t.Minute(), t.Second(), r.loc)) != 1 || y > 9999 {
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
	if shown, zone, ok := strings.Cut(text, "["); ok && !strings.ContainsAny(shown[len("2026-12-24T"):], "Zz+-") {
		loc, err := time.LoadLocation(strings.TrimSuffix(zone, "]"))
		if err == nil {
			r.loc, r.foreign = loc, true
			return shown, nil
		}
	}
	if !t.After(r.now) {
		return "", r.fail("it has passed")
	}
	r.exact = t
	return "", nil
}

func (r *reader) check() error {
	switch {
	case len(r.text) > maxText:
		return r.fail(fmt.Sprintf("it has %d bytes, want at most %d", len(r.text), maxText))
	case !utf8.ValidString(r.text):
		return r.fail("it is not UTF-8")
	case strings.TrimSpace(r.text) == "":
		return r.fail("it is empty; want " + Examples)
	}
	return nil
}

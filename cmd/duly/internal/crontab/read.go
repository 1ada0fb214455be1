package crontab

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// blanks are what cron takes for white space between fields, and spaces what it takes for it around the names and values of settings.
const (
	blanks = " \t"
	spaces = " \t\v\f\r"
)

// A reader is in the middle of a crontab.
type reader struct {
	o Options
	t Table

	n    int    // the line, counted from 1
	text string // without its end
	crlf bool   // it was said that lines end so
	over bool   // there is more of something than may be, so that the rest is not read

	last        *setting // the last setting so far
	settings    int
	environ     int // bytes of all of them
	zone        string
	shell, home string
	delay       time.Duration
	changes     map[string]*changes // by zone
}

// Read reads a crontab. What is wrong in one line keeps none of the others from being read; after a thousand mistakes it gives up.
func Read(text string, o Options) *Table {
	if o.Zone == "" {
		o.Zone = "UTC"
	}
	r := &reader{o: o, zone: o.Zone, changes: map[string]*changes{}}
	if len(text) > MaxFile {
		r.n = 1
		r.fail(0, "the crontab is longer than %d bytes: it is probably another file", MaxFile)
		return &r.t
	}
	text, marked := strings.CutPrefix(text, "\uFEFF")
	if marked {
		r.n = 1
		r.warn(0, "the file begins with a byte order mark: here it is left out, but cron takes it for a part of the first line")
		r.n = 0
	}
	for rest, more := text, text != ""; more && !r.over; {
		r.text, rest, more = strings.Cut(rest, "\n")
		if !more && r.text == "" {
			break // behind the last end of a line
		}
		r.n++
		r.endings(more)
		r.line()
		if len(r.t.Findings) >= maxFindings {
			r.fail(0, "this is all that is said of a crontab: it may be no crontab at all")
			break
		}
	}
	return &r.t
}

// endings looks at how the line ends, and takes off what does not belong to it.
func (r *reader) endings(ended bool) {
	if line, ok := strings.CutSuffix(r.text, "\r"); ok {
		r.text = line
		if !r.crlf {
			r.crlf = true
			r.warn(len(line), "lines end as on Windows; here that is left out, but cron makes the carriage return a part of the command")
		}
	}
	if line := strings.TrimLeft(r.text, blanks); !ended && line != "" && line[0] != '#' {
		r.warn(len(r.text), "the last line does not end with a line break: cron passes it over, or the whole crontab; here it is taken")
	}
}

func (r *reader) say(at int, s Severity, ignored bool, format string, args []any) {
	r.t.Findings = append(r.t.Findings, Finding{
		Line: r.n, Column: at + 1, Severity: s, Ignored: ignored, Text: strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD"),
	})
}

// fail, warn and ignore say what is wrong, what may not be meant, and what has no effect, at a byte of the line counted from 0.
func (r *reader) fail(at int, format string, args ...any) { r.say(at, Error, false, format, args) }

func (r *reader) warn(at int, format string, args ...any) { r.say(at, Warning, false, format, args) }

func (r *reader) ignore(at int, format string, args ...any) { r.say(at, Warning, true, format, args) }

// line reads a line.
func (r *reader) line() {
	at := len(r.text) - len(strings.TrimLeft(r.text, blanks))
	if at == len(r.text) || r.text[at] == '#' {
		return
	}
	if len(r.text) > maxLine {
		r.fail(maxLine, "the line is %d bytes long: want at most %d, which is what a process can be handed", len(r.text), maxLine)
		return
	}
	if i := strings.IndexByte(r.text, 0); i >= 0 {
		r.fail(i, "there is a byte 0: want text")
		return
	}
	if !utf8.ValidString(r.text) {
		r.fail(invalid(r.text), "there is a byte that is not UTF-8: want UTF-8, into which iconv(1) translates")
		return
	}
	if s, ok := cutSetting(r.text, at); ok {
		r.set(s)
		return
	}
	if len(r.t.Entries) == maxEntries {
		r.over = true
		r.fail(at, "there are more than %d lines to run: want several crontabs", maxEntries)
		return
	}
	r.entry(at)
}

// invalid returns where the first byte is that is not UTF-8.
func invalid(text string) int {
	for i, c := range text {
		if c == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return len(text)
}

// word returns the word that begins at a byte of the line, and where the next one begins.
func (r *reader) word(at int) (word string, next int) {
	end := len(r.text)
	if i := strings.IndexAny(r.text[at:], blanks); i >= 0 {
		end = at + i
	}
	next = len(r.text) - len(strings.TrimLeft(r.text[end:], blanks))
	return r.text[at:end], next
}

// quote shows a value in a finding.
func quote(text string) string {
	const most = 48
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strconv.Quote(text)
}

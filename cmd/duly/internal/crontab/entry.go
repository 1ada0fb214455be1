package crontab

import (
	"errors"
	"slices"
	"strings"

	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/schedule"
)

// macros are the words that stand for five fields.
var macros = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@reboot"}

// entry reads a line that is to run.
func (r *reader) entry(at int) {
	if r.text[at] == '-' {
		r.ignore(at, "the - is passed over: it keeps cronie from logging the line, and duly keeps the history of everything")
		at += 1 + len(r.text[at+1:]) - len(strings.TrimLeft(r.text[at+1:], blanks))
	}
	e := Entry{Line: r.n, Shell: r.shell, Home: r.home, zone: r.zone, last: r.last}
	var w when
	var ok bool
	if strings.HasPrefix(r.text[at:], "@") {
		w, ok = r.macro(at)
	} else {
		w, ok = r.fields(at)
	}
	if !ok {
		return
	}
	at = w.next
	if r.o.System {
		if at, ok = r.user(&e, at); !ok {
			return
		}
	}
	if !r.command(&e, at) {
		return
	}
	if w.reboot {
		r.ignore(w.at, "@reboot: no schedule is of the start of the machine; let a unit of systemd run it (Type=oneshot, After=duly.service) "+
			"or put it (duly in 0s -- CMD): docs/migrating/crontab.md shows one")
		return
	}
	if r.schedule(&e, &w) {
		r.t.Entries = append(r.t.Entries, e)
	}
}

// When is what a line says of it: a macro or five fields.
type when struct {
	at     int // a byte of the line
	fields []field
	reboot bool
	next   int // the byte where the rest begins
}

// A field is one of them.
type field struct {
	text string // as it is read here
	at   int    // a byte of the line
	same bool   // it stands there as it is read
}

// macro reads a word that begins with @.
func (r *reader) macro(at int) (w when, ok bool) {
	word, next := r.word(at)
	w = when{at: at, next: next}
	lower := strings.ToLower(word)
	if !slices.Contains(macros, lower) {
		want := "one of " + strings.Join(macros, ", ")
		if meant, ok := wording.Closest(lower, macros); ok {
			want += "; did you mean " + meant + "?"
		}
		if lower == "@every" || strings.HasPrefix(lower, "@every_") {
			want += "; duly every runs something every so often"
		}
		r.fail(at, "%s: want %s", quote(word), want)
		return w, false
	}
	w.reboot = lower == "@reboot"
	w.fields = []field{{lower, at, true}}
	return w, true
}

// fields reads the five fields.
func (r *reader) fields(at int) (w when, ok bool) {
	if name, value, ok := unclosed(r.text, at); ok {
		r.fail(len(r.text)-len(value), "%s: want the quote %s closed at the end of the value, and nothing behind it", name, value[:1])
		return w, false
	}
	w.at = at
	for len(w.fields) < len(units) {
		if at == len(r.text) {
			r.fail(w.at, "%s: want NAME=VALUE, or five fields (minute hour day-of-month month day-of-week) and a command", quote(r.text[w.at:]))
			return w, false
		}
		word, next := r.word(at)
		w.fields = append(w.fields, field{word, at, true})
		at = next
	}
	w.next = at
	return w, true
}

// user reads the user of a system's crontab.
func (r *reader) user(e *Entry, at int) (next int, ok bool) {
	if at == len(r.text) {
		r.fail(at, "the user is missing: want one before the command, in a system's crontab")
		return at, false
	}
	e.userAt = at + 1
	e.User, next = r.word(at)
	switch {
	case next == len(r.text):
		r.fail(at, "%s stands alone: want a user and a command, in a system's crontab", quote(e.User))
	case strings.ContainsAny(e.User, "*/:%;|&$\"'`(){}<>=\\"):
		r.fail(at, "%s: want a user before the command; a user's own crontab has none, and is read without --system", quote(e.User))
	default:
		return next, true
	}
	return next, false
}

// command reads the rest of the line.
func (r *reader) command(e *Entry, at int) bool {
	at = r.options(at)
	e.commandAt, e.Text = at+1, r.text[at:]
	var cut int
	e.Command, e.Stdin, cut = split(e.Text)
	switch {
	case e.Text == "":
		r.fail(at, "the command is missing")
		return false
	case strings.HasPrefix(e.Text, "*"):
		r.fail(at, "the command begins with *: want five fields before it, minute first")
		return false
	case strings.Trim(e.Command, spaces) == "":
		r.fail(at, `there is no command before the %%: want one, or \%% for a percent sign`)
		return false
	}
	if word, next := r.word(at); !r.o.System && word == "root" && next < len(r.text) {
		r.warn(at, "the command is called root: of a system's crontab, whose lines have a user, --system says so")
	}
	if cut >= 0 && (strings.HasSuffix(e.Command, "+") || open(e.Command)) {
		r.warn(at+cut, `the %% ends the command, and what follows is its standard input: want \%% for a percent sign`)
	}
	return true
}

// options passes over what stands before a command for cron, and not for the shell.
func (r *reader) options(at int) int {
	for {
		word, next := r.word(at)
		why, ok := options[word]
		if !ok || next == len(r.text) {
			if strings.HasPrefix(word, "-") {
				r.warn(at, "%s: the command begins with -, and no program is called so; cronie refuses it as an option that it does not know", quote(word))
			}
			return at
		}
		r.ignore(at, "the %s is passed over: %s", word, why)
		at = next
	}
}

// options are what cronie and the crons of BSD take before a command.
var options = map[string]string{
	"-n": "it asks for mail only of what has failed, and duly sends no mail",
	"-q": "it keeps BSD's cron from logging the line, and duly keeps the history of everything",
	"-s": "it keeps OpenBSD's cron from starting what still runs; --overlap skip does it here, for all lines",
}

// split takes a command from its standard input, which an unescaped % begins. \% is a percent sign, and each further % ends a line of the input,
// which ends with a line break. The cut is where the first % is, or -1.
func split(text string) (command, stdin string, cut int) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '%':
			return b.String(), input(text[i+1:]), i
		case text[i] == '\\' && i+1 < len(text):
			i++
			if text[i] != '%' {
				b.WriteByte('\\')
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), "", -1
}

// input is what stands behind the first %, as it is read.
func input(text string) string {
	text = strings.ReplaceAll(text, `\%`, "\x00") // there is none in a line
	text = strings.ReplaceAll(text, "%", "\n")
	text = strings.ReplaceAll(text, "\x00", "%")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// open says whether a shell would look for the end of a quote.
func open(command string) bool {
	var in byte
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '\\' && in != '\'':
			i++
		case in == 0 && (c == '\'' || c == '"' || c == '`'):
			in = c
		case c == in:
			in = 0
		}
	}
	return in != 0
}

// schedule says when an entry is due.
func (r *reader) schedule(e *Entry, w *when) bool {
	var expr strings.Builder
	starts := make([]int, len(w.fields))
	given := slices.Clone(w.fields)
	if len(w.fields) > 1 {
		if !r.translate(w.fields) {
			return false
		}
		e.hour = w.fields[hour].text
	}
	for i, f := range w.fields {
		if i > 0 {
			expr.WriteByte(' ')
		}
		starts[i] = expr.Len()
		expr.WriteString(f.text)
	}
	s := schedule.Cron(expr.String())
	if err, ok := errors.AsType[*schedule.Error](s.Err()); ok && !s.Never() {
		at := w.at
		for i, f := range w.fields {
			if err.Pos-1 >= starts[i] {
				at = f.at
				if f.same {
					at += err.Pos - 1 - starts[i]
				}
			}
		}
		r.fail(min(at, len(r.text)), "%s %s: want %s", err.Field, quote(err.Value), err.Want)
		return false
	}
	if s.Never() {
		r.ignore(w.at, "it never runs: no year has such a day")
		return false
	}
	s = s.In(e.zone)
	if r.delay > 0 {
		s = s.Jitter(r.delay)
	}
	if err := s.Err(); err != nil {
		r.fail(w.at, "want %s", wantOf(err))
		return false
	}
	e.Schedule = s
	r.dialect(given)
	r.remark(e, w)
	return true
}

func wantOf(err error) string {
	if e, ok := errors.AsType[*schedule.Error](err); ok {
		return e.Want
	}
	return err.Error()
}

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dulyhq/duly/schedule"
)

// A refusal says what is wrong with a request: where, what, and what would be right.
type refusal struct {
	field string // the part that is wrong: of the schedule, or a flag
	value string // what was given
	want  string // what would be right
	text  string // what was read; empty where there is no place to show
	pos   int    // where in text, in bytes from 0; below 0 for nowhere
	hint  string // what was probably meant
}

// flag is the name of a flag as a refusal's field. A request line calls the same thing by the same word, without dashes.
func flag(name string) string { return "--" + name }

// refuseText makes a mistake that was found behind a prefix of the text one of the text itself.
func refuseText(text string, prefix int, err error) *refusal {
	e, ok := errors.AsType[*schedule.Error](err)
	if !ok {
		return &refusal{field: "schedule", value: text, want: err.Error(), pos: -1}
	}
	r := &refusal{field: e.Field, value: e.Value, want: e.Want, text: text, pos: -1}
	if e.Pos > 0 {
		r.pos = min(max(e.Pos-1-prefix, 0), len(text))
	}
	if hint := hintFor(text, e); hint != "" && !strings.Contains(e.Want, strings.TrimPrefix(strings.TrimSuffix(hint, "?"), didYouMean)) {
		r.hint = hint
	}
	return r
}

// refuseFlag makes a mistake of the schedule one of the flag that brought it about.
func refuseFlag(name, value string, err error) *refusal {
	r := &refusal{field: flag(name), value: value, want: err.Error(), pos: -1}
	if e, ok := errors.AsType[*schedule.Error](err); ok {
		r.want, r.hint = e.Want, hintFor("", e)
	}
	return r
}

// Error is one line, for an answer in JSON.
func (r *refusal) Error() string {
	var b strings.Builder
	if r.pos >= 0 && !strings.HasPrefix(r.field, "--") {
		fmt.Fprintf(&b, "at byte %d: ", r.pos+1)
	}
	b.WriteString(strings.ReplaceAll(strings.TrimPrefix(r.field, "--"), "-", "_"))
	if r.value != "" {
		b.WriteString(" " + strconv.Quote(clip(r.value)))
	}
	b.WriteString(": want " + r.want)
	if r.hint != "" {
		b.WriteString("; " + r.hint)
	}
	return b.String()
}

// explain is the refusal for a person: the text, with a caret under the place.
func (r *refusal) explain() string {
	what := r.field
	if r.value != "" {
		what += " " + strconv.Quote(clip(r.value))
	}
	if r.pos < 0 {
		return "duly: " + what + ": want " + r.want + "\n" + hintLine(r.hint)
	}
	verdict := "is not right"
	if r.value == "" && r.pos == len(r.text) {
		verdict = "is incomplete"
	}
	text, pad := frame(r.text, r.pos)
	return fmt.Sprintf("duly: %s %s\n    %s\n    %s^\n    want %s\n%s", what, verdict, text, pad, r.want, hintLine(r.hint))
}

// refusals are those of several expressions.
type refusals []*refusal

func (rs refusals) Error() string {
	lines := make([]string, len(rs))
	for i, r := range rs {
		lines[i] = r.Error()
	}
	return strings.Join(lines, "\n")
}

func (rs refusals) explain() string {
	var b strings.Builder
	for _, r := range rs {
		b.WriteString(r.explain())
	}
	return b.String()
}

// unique leaves out what was said before: a wrong flag is wrong for each expression.
func (rs refusals) unique() refusals {
	var out refusals
	for _, r := range rs {
		if r.pos >= 0 || !slices.ContainsFunc(out, func(o *refusal) bool { return *o == *r }) {
			out = append(out, r)
		}
	}
	return out
}

// around is how many characters of a long text are shown on either side of the place.
const around = 60

// frame returns the text as a terminal can show it, cut to the surroundings of the place, and what takes as much room as
// what stands before the place.
func frame(text string, pos int) (shown, pad string) {
	var line, blank strings.Builder
	before, after := utf8.RuneCountInString(text[:pos]), 0
	n := 0
	for i, r := range text {
		if n++; n <= before-around {
			continue
		}
		if i >= pos {
			after++
		}
		if after > around {
			line.WriteString("...")
			break
		}
		if before > around && n == before-around+1 {
			line.WriteString("...")
			blank.WriteString("   ")
		}
		if r != '\t' && !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) || r == utf8.RuneError {
			r = '?' // what a terminal might obey, or not show at all
		}
		line.WriteRune(r)
		switch {
		case i >= pos:
		case r == '\t':
			blank.WriteByte('\t')
		default:
			blank.WriteString(strings.Repeat(" ", width(r)))
		}
	}
	return line.String(), blank.String()
}

// wide are the characters that take two columns, as far as anybody will paste them into an expression.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0xa4cf, Stride: 1}, {Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

// width is how many columns of a terminal a character takes.
func width(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A printer writes what a command says: for people where it is a terminal, and plain elsewhere: columns end at tabs, there is no
// head and no colour, and instants are RFC 3339.
type printer struct {
	w        io.Writer
	terminal bool
	colour   bool
	width    int // columns; 0: as many as it takes
	now      time.Time
	local    *time.Location
}

// printer returns the printer of standard output.
func (s *session) printer() *printer { return s.printerTo(s.Stdout) }

// stderr returns the printer of what is said beside the output.
func (s *session) stderr() *printer { return s.printerTo(s.Stderr) }

func (s *session) printerTo(w io.Writer) *printer {
	p := &printer{w: w, now: s.Now(), local: s.Local}
	fd, ok := terminal(w)
	if !ok {
		return p
	}
	p.terminal = true
	p.colour = s.getenv("NO_COLOR") == "" && s.getenv("TERM") != "dumb"
	if width, _, err := term.GetSize(fd); err == nil && width > 0 {
		p.width = width
	}
	return p
}

// outputFlag adds -o. Its value is table at first.
func outputFlag(cmd *cobra.Command, to *string) {
	*to = "table"
	choice(cmd, to, "output", "o", "table, json (indented objects) or jsonl (one line each)", outputs)
}

// A style is how a text looks on a terminal that has colours.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint returns the text in a style, which must be clean already.
func (p *printer) paint(st style, text string) string {
	if !p.colour || st == plain || text == "" {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

// A cell is a field of a table.
type cell struct {
	text  string // whatever it holds, it is printed on one line
	style style
}

// cells are plain ones.
func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i] = cell{text: text}
	}
	return row
}

// table prints rows: on a terminal under a head, aligned, a column that is empty in all rows left out, lines cut at its width;
// elsewhere as fields that end at tabs, all of them, without the head.
func (p *printer) table(head []string, rows [][]cell) error {
	var b strings.Builder
	if !p.terminal {
		for _, row := range rows {
			for i, c := range row {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(clean(c.text))
			}
			b.WriteByte('\n')
		}
		return p.write(b.String())
	}
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(head))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], columns(clean(c.text)))
		}
	}
	titles := make([]cell, len(head))
	for i, title := range head {
		titles[i] = cell{title, dim}
		if widths[i] > 0 {
			widths[i] = max(widths[i], columns(title))
		}
	}
	for _, row := range append([][]cell{titles}, rows...) {
		p.row(&b, row, widths)
	}
	return p.write(b.String())
}

// row appends a line of a table for a terminal, which no blanks end.
func (p *printer) row(b *strings.Builder, row []cell, widths []int) {
	at, gap, first := 0, 0, true
	for i, c := range row {
		if widths[i] == 0 {
			continue
		}
		if !first {
			gap += 2
		}
		first = false
		text := clean(c.text)
		if p.width > 0 && text != "" && at+gap+columns(text) > p.width {
			text = cut(text, p.width-at-gap)
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", gap))
			b.WriteString(p.paint(c.style, text))
			at, gap = at+gap+columns(text), 0
		}
		gap += widths[i] - columns(text)
	}
	b.WriteByte('\n')
}

// object prints a wire object as JSON: indented for json, a line for jsonl.
func (p *printer) object(form string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if form == "json" {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	return p.write(safeJSON(b.String()))
}

// linef prints a line for people. Its arguments are cleaned, if they are strings, and its format may be painted.
func (p *printer) linef(format string, args ...any) error {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = clean(text)
		}
	}
	return p.write(fmt.Sprintf(format+"\n", args...))
}

func (p *printer) write(text string) error {
	_, err := io.WriteString(p.w, text)
	return err
}

// instant is an instant for a table: on a terminal as short as it can be and still right, elsewhere RFC 3339 with the local offset.
func (p *printer) instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if !p.terminal {
		return t.In(p.local).Format(time.RFC3339Nano)
	}
	return localTime(t, p.now, p.local)
}

// distance is how far an instant is away: "in 5m", "3s ago".
func (p *printer) distance(t time.Time) string {
	switch d := t.Sub(p.now); {
	case t.IsZero():
		return ""
	case t.Year()-p.now.Year() > 2: // which may be more than a duration can be
		return away(p.now, t)
	case d >= time.Second/2:
		return away(p.now, p.now.Add(d.Round(time.Second)))
	case d > -time.Second:
		return "now"
	case p.now.Year()-t.Year() > 2:
		return strings.TrimPrefix(away(t, p.now), "in ") + " ago"
	default:
		return spanText(-d.Truncate(time.Second)) + " ago"
	}
}

// localTime is an instant on the clock of whoever looks: without the date if it is today, with the offset if it is not now's.
func localTime(t, now time.Time, local *time.Location) string {
	t, now = t.In(local), now.In(local)
	layout := "15:04:05"
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
	case t.Year() == now.Year() || t.Sub(now).Abs() < 180*24*time.Hour:
		layout = "Mon 2 Jan 15:04:05"
	default:
		layout = "Mon 2 Jan 2006 15:04:05"
	}
	if t.Second() == 0 && t.Sub(now).Abs() > time.Minute {
		layout = strings.TrimSuffix(layout, ":05")
	}
	_, offset := t.Zone()
	if _, usual := now.Zone(); offset != usual {
		return t.Format(layout) + " " + offsetText(offset)
	}
	return t.Format(layout)
}

// lateness is how late something was, with three digits at most: "0.8ms", "12ms", "1.25s".
func lateness(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + lateness(-d)
	case d < time.Microsecond:
		return d.String()
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + "ms"
	case d < time.Second:
		return strconv.Itoa(int(d.Round(time.Millisecond)/time.Millisecond)) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + "s"
	}
	return spanText(d)
}

// clean makes what a terminal might obey, or might show as something else than it is, visible: names, reasons and commands come
// from whoever put the task.
func clean(text string) string {
	if strings.IndexFunc(text, unsafe) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unsafe(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unsafe(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cleanLines is clean, of a text in which lines and tabs are what they are.
func cleanLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, ended := strings.CutSuffix(line, "\n")
		for i, part := range strings.Split(strings.TrimSuffix(line, "\r"), "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(clean(part))
		}
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// unsafe says whether a terminal must not get the character: controls of both tables, marks that turn the direction of writing,
// line separators.
func unsafe(r rune) bool {
	return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x2028 || r == 0x2029
}

// safeJSON escapes what encoding/json leaves and a terminal might obey. Such characters are in strings only, so the value stays.
func safeJSON(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r != '\n' && unsafe(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if r != '\n' && unsafe(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// columns is how many columns of a terminal a text takes.
func columns(text string) (n int) {
	for _, r := range text {
		n += width(r)
	}
	return n
}

// cut shortens a text to so many columns, the last of which says that there was more.
func cut(text string, limit int) string {
	if limit <= 0 {
		return ""
	}
	n := 0
	for i, r := range text {
		if n+width(r) > limit-1 {
			return text[:i] + "…"
		}
		n += width(r)
	}
	return text
}

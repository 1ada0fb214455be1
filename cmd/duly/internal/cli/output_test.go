package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

// TestClean: what a terminal might obey is shown and not sent.
func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"tea":                   "tea",
		"日本 é":                  "日本 é",
		"\x1b[31mred":           `\x1b[31mred`,
		"a\nb\tc\rd":            `a\nb\tc\x0dd`,
		"\u009b31m":             `\x9b31m`,
		"\x7f":                  `\x7f`,
		"\xff\xfe":              `\xff\xfe`,
		"\ufffd":                "\ufffd",
		"\u202egnp.exe":         `\u202egnp.exe`,
		"\u2066\u200f\u2028end": `\u2066\u200f\u2028end`,
	} {
		if got := clean(text); got != want {
			t.Errorf("clean(%q) = %q, want %q", text, got, want)
		}
	}
}

// FuzzClean: whatever comes, nothing that a terminal obeys goes.
func FuzzClean(f *testing.F) {
	f.Add("a\x1b]0;x\x07\u009b\xff")
	f.Fuzz(func(t *testing.T, text string) {
		if got := clean(text); strings.IndexFunc(got, unsafe) >= 0 {
			t.Errorf("clean(%q) = %q", text, got)
		}
		b, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		safe := safeJSON(string(b))
		var back, want string
		if err := errors.Join(json.Unmarshal([]byte(safe), &back), json.Unmarshal(b, &want)); err != nil || back != want || strings.IndexFunc(safe, unsafe) >= 0 {
			t.Errorf("safeJSON(%q) = %q, %v", b, safe, err)
		}
	})
}

func TestTable(t *testing.T) {
	rows := [][]cell{
		{{"tea", bold}, {"", plain}, {"in 5m", plain}},
		{{"a\x1b[2J", plain}, {"", plain}, {"日本語日本語", plain}},
	}
	tests := []struct {
		name string
		p    printer
		want string
	}{
		{"elsewhere", printer{}, "tea\t\tin 5m\n" + `a\x1b[2J` + "\t\t日本語日本語\n"},
		{"terminal", printer{terminal: true}, "NAME      WHEN\ntea       in 5m\n" + `a\x1b[2J  日本語日本語` + "\n"},
		{"narrow", printer{terminal: true, width: 16}, "NAME      WHEN\ntea       in 5m\n" + `a\x1b[2J  日本…` + "\n"},
		{"colour", printer{terminal: true, colour: true}, "\x1b[2mNAME\x1b[0m      \x1b[2mWHEN\x1b[0m\n\x1b[1mtea\x1b[0m       in 5m\n" + `a\x1b[2J  日本語日本語` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			tt.p.w = &b
			if err := tt.p.table([]string{"NAME", "EMPTY", "WHEN"}, rows); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestObject(t *testing.T) {
	v := struct {
		Name string `json:"name"`
	}{"<a>\u009b\x1b"}
	for form, want := range map[string]string{
		"json":  "{\n  \"name\": \"<a>\\u009b\\u001b\"\n}\n",
		"jsonl": "{\"name\":\"<a>\\u009b\\u001b\"}\n",
	} {
		var b strings.Builder
		if err := (&printer{w: &b}).object(form, v); err != nil || b.String() != want {
			t.Errorf("%s: got %q, %v, want %q", form, b.String(), err, want)
		}
	}
}

func TestInstant(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 24, 12, 0, 0, 500, berlin)
	tests := []struct {
		at                        time.Time
		terminal, plain, distance string
	}{
		{now.Add(5 * time.Minute), "12:05", "2026-10-24T12:05:00.0000005+02:00", "in 5m"},
		{now.Add(30 * time.Second), "12:00:30", "2026-10-24T12:00:30.0000005+02:00", "in 30s"},
		{now.Add(-90 * time.Second), "11:58:30", "2026-10-24T11:58:30.0000005+02:00", "1m 30s ago"},
		{now.Add(100 * time.Millisecond), "12:00:00", "2026-10-24T12:00:00.1000005+02:00", "now"},
		{now.Add(24 * time.Hour), "Sun 25 Oct 11:00 +01:00", "2026-10-25T11:00:00.0000005+01:00", "in 1d"},
		{time.Date(2029, 1, 1, 9, 0, 0, 0, berlin), "Mon 1 Jan 2029 09:00 +01:00", "2029-01-01T09:00:00+01:00", "in 2y 68d"},
		{time.Date(9999, 1, 1, 9, 0, 0, 0, berlin), "Fri 1 Jan 9999 09:00 +01:00", "9999-01-01T09:00:00+01:00", "in 7972y 68d"},
		{time.Time{}, "", "", ""},
	}
	for _, tt := range tests {
		p := printer{now: now, local: berlin}
		if got := p.instant(tt.at); got != tt.plain {
			t.Errorf("plain: %s, want %s", got, tt.plain)
		}
		p.terminal = true
		if got := p.instant(tt.at); got != tt.terminal {
			t.Errorf("terminal: %s, want %s", got, tt.terminal)
		}
		if got := p.distance(tt.at); got != tt.distance {
			t.Errorf("distance of %v: %s, want %s", tt.at, got, tt.distance)
		}
	}
}

func TestLateness(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 300 * time.Nanosecond: "300ns", 840 * time.Microsecond: "0.8ms", 12345 * time.Microsecond: "12ms", 1254 * time.Millisecond: "1.25s",
		90 * time.Second: "1m 30s", -840 * time.Microsecond: "-0.8ms",
	} {
		if got := lateness(d); got != want {
			t.Errorf("lateness(%v) = %s, want %s", d, got, want)
		}
	}
}

// TestExplain holds errors to their statuses.
func TestExplain(t *testing.T) {
	problem := func(slug string) error {
		return api.ErrorOf(&api.Problem{Slug: slug, Detail: slug + " it is"})
	}
	tests := []struct {
		err    error
		status int
		text   string
	}{
		{problem("invalid"), exitUsage, "duly: invalid it is\n"},
		{problem("not-found"), exitNotFound, "duly: not-found it is\nhint: duly ls lists what there is\n"},
		{problem("exists"), exitConflict, "duly: exists it is\n"},
		{problem("condition"), exitConflict, "duly: condition it is\n"},
		{problem("running"), exitConflict, "duly: running it is\n"},
		{problem("finished"), exitConflict, "duly: finished it is\n"},
		{problem("kind-mismatch"), exitConflict, "duly: kind-mismatch it is\n"},
		{problem("forbidden"), exitNotAllowed, "duly: forbidden it is\n"},
		{problem("kind-off"), exitNotAllowed, "duly: kind-off it is\n"},
		{problem("no-output"), exitNotFound, "duly: no-output it is\n"},
		{problem("internal"), exitFailed, "duly: internal it is\n"},
		{fmt.Errorf("put: %w: EOF", duly.ErrUnknown), exitFailed, "duly: put: it is not known whether this was written: EOF\nhint: duly ls shows whether it was\n"},
		{errors.New("\x1b[31mred"), exitFailed, `duly: \x1b[31mred` + "\n"},
		{&failure{status: 42}, 42, ""},
		{
			&client.UnreachableError{Network: "unix", Address: "/run/duly.sock", Err: errors.New("no such file")}, exitNoDaemon,
			"duly: no daemon answers at /run/duly.sock\nhint: start one: duly serve\n",
		},
		{
			&client.UnreachableError{Network: "tcp", Address: "127.0.0.1:4280", Err: errors.New("connection refused")}, exitNoDaemon,
			"duly: nobody answers at 127.0.0.1:4280: connection refused\nhint: is the address right? duly serve prints it when it starts\n",
		},
	}
	for _, tt := range tests {
		text, status := newSession(Process{}).explain(tt.err)
		if text != tt.text || status != tt.status {
			t.Errorf("%v: %q, status %d, want %q, status %d", tt.err, text, status, tt.text, tt.status)
		}
	}
}

func TestQuoteArg(t *testing.T) {
	for word, want := range map[string]string{"tea": "tea", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "a/b=c,d": "a/b=c,d", "*": "'*'"} {
		if got := wording.Quote(word); got != want {
			t.Errorf("wording.Quote(%q) = %s, want %s", word, got, want)
		}
	}
}

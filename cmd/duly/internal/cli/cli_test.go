package cli

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/schedule"
)

// at is a clock that stands still, between two seconds.
func at(t testing.TB, text string) func() time.Time {
	t.Helper()
	now, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return func() time.Time { return now.Add(678 * time.Millisecond) }
}

// run is a run of the command without input.
func run(t *testing.T, now func() time.Time, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err strings.Builder
	status = Run(Process{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Now: now, Local: time.UTC})
	return out.String(), err.String(), status
}

// TestNext_Rows reads the rows of the table, which end where the warnings begin.
func TestNext_Rows(t *testing.T) {
	tests := []struct {
		name string
		now  string
		args []string
		want string
	}{
		{
			name: "now is a whole second", now: "2026-11-22T02:00:00Z", args: []string{"every 90m", "-n", "2"},
			want: `
  Sun  2026-11-22  03:30:00  +00:00  UTC  in 1h 30m
  Sun  2026-11-22  05:00:00  +00:00  UTC  in 3h
`,
		},
		{
			name: "what is due this second has passed", now: "2026-11-22T09:00:00Z", args: []string{"0 9 * * *", "-n", "1"},
			want: `
  Mon  2026-11-23  09:00:00  +00:00  UTC  in 1d
`,
		},
		{
			name: "clocks are changed between two rows", now: "2026-03-28T00:00:00Z", args: []string{"0 12 * * *", "--zone", "Europe/Berlin", "-n", "3"},
			want: `
  Sat  2026-03-28  12:00:00  +01:00  CET   in 11h
  Sun  2026-03-29  12:00:00  +02:00  CEST  in 1d 10h  clocks were put forward by 1h
  Mon  2026-03-30  12:00:00  +02:00  CEST  in 2d 10h
`,
		},
		{
			name: "a gap of a whole day", now: "2011-12-29T00:00:00Z", args: []string{"0 8 30 12 *", "--zone", "Pacific/Apia", "-n", "1"},
			want: `
  Sat  2011-12-31  00:00:00  +14:00  in 1d 10h  moved: clocks go from 2011-12-30 00:00 to 2011-12-31 00:00
`,
		},
		{
			name: "half an hour", now: "2026-04-04T00:00:00Z", args: []string{"45 1 * * *", "--zone", "Australia/Lord_Howe", "--dst-fold", "second", "-n", "2"},
			want: `
  Sun  2026-04-05  01:45:00  +10:30  in 15h 15m  second time: clocks went back from 02:00 to 01:30
  Mon  2026-04-06  01:45:00  +10:30  in 1d 15h
`,
		},
		{
			name: "every second pass is real to a rule that names no hour", now: "2026-10-25T00:00:00Z",
			args: []string{"30 * * * *", "--zone", "Europe/Berlin", "-n", "2"},
			want: `
  Sun  2026-10-25  02:30:00  +02:00  CEST  in 30m
  Sun  2026-10-25  02:30:00  +01:00  CET   in 1h 30m  second time: clocks went back from 03:00 to 02:00
`,
		},
		{
			name: "local mean time", now: "1880-01-01T00:00:00Z", args: []string{"0 0 1 1 *", "--zone", "Europe/Berlin", "-n", "1"},
			want: `
  Sat  1881-01-01  00:00:00  +00:53:28  LMT  in 365d 23h
`,
		},
		{
			name: "far away", now: "2026-11-22T00:00:00Z", args: []string{"0 0 0 29 2 * 2096", "-n", "2"},
			want: `
  Wed  2096-02-29  00:00:00  +00:00  UTC  in 69y 99d
  then never again
`,
		},
		{
			name: "jitter in milliseconds", now: "2026-11-22T00:00:00Z", args: []string{"every 1m jitter 50s", "--name", "x", "-n", "1"},
			want: `
  Sun  2026-11-22  00:01:01.297  +00:00  UTC  in 1m 1s  jitter 1s
`,
		},
		{
			name: "at once", now: "2026-11-22T00:00:00Z", args: []string{"in 0"},
			want: `
  Sun  2026-11-22  00:00:00  +00:00  UTC  at once
  then never again
`,
		},
		{
			name: "never again", now: "2026-11-22T00:00:00Z", args: []string{"every 1h times 2"},
			want: `
  Sun  2026-11-22  01:00:00  +00:00  UTC  in 1h
  Sun  2026-11-22  02:00:00  +00:00  UTC  in 2h
  then never again
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, status := run(t, at(t, tt.now), append([]string{"next"}, tt.args...)...)
			if stderr != "" || status != exitOK {
				t.Fatalf("status %d, standard error %q", status, stderr)
			}
			_, rows, _ := strings.Cut(stdout, "\n\n")
			rows, _, _ = strings.Cut(rows, "warning: ")
			if diff := cmp.Diff(tt.want[1:], rows); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnswer looks at what the table does not tell: which instants there are, and whether nothing is left.
func TestAnswer(t *testing.T) {
	day := func(d string) string { return "2026-12-" + d + "T12:00:00Z" }
	tests := []struct {
		name  string
		req   request
		want  []string
		never bool
	}{
		{name: "strictly after", req: request{expr: "0 12 * * *", from: day("01"), n: 2}, want: []string{day("02"), day("03")}},
		{name: "or at it", req: request{expr: "0 12 * * *", from: day("01"), n: 2, inclusive: true}, want: []string{day("01"), day("02")}},
		{name: "at it in a union", req: request{expr: "(cron 0 12 * * *) or (at 2026-12-01T13:00Z)", from: day("01"), n: 2, inclusive: true}, want: []string{day("01"), "2026-12-01T13:00:00Z"}},
		{name: "an instant", req: request{expr: "at 2026-12-01T12:00Z", from: day("01"), n: 2}, never: true},
		{name: "an instant, at it", req: request{expr: "at 2026-12-01T12:00Z", from: day("01"), n: 2, inclusive: true}, want: []string{day("01")}},
		{name: "a grid counts from it", req: request{expr: "every 24h", from: day("01"), n: 1, inclusive: true}, want: []string{day("02")}},
		{name: "an aligned grid does not", req: request{expr: "every 24h align 2026-01-01T12:00Z", from: day("01"), n: 1, inclusive: true}, want: []string{day("01")}},
		{name: "a number of starts, at it", req: request{expr: "cron 0 12 * * * times 2", from: day("01"), n: 5, inclusive: true}, want: []string{day("01"), day("02")}},
		{name: "until is the last", req: request{expr: "0 12 * * *", from: day("01"), until: day("02"), n: 5}, want: []string{day("02")}},
		{name: "none until then, but later", req: request{expr: "0 12 * * *", from: day("01"), until: "2026-12-01T12:00:01Z", n: 5}},
		{name: "all is left out", req: request{expr: "cron 0 0 12 * * * 2026 except (cron * * * * *)", from: day("30"), n: 5}, never: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := tt.req.answer(at(t, "2026-11-22T00:00:00Z"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range a.Occurrences {
				if len(o.Marks) == 0 {
					got = append(got, o.UTC)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("occurrences (-want +got):\n%s", diff)
			}
			if a.Never != tt.never {
				t.Errorf("never %t, want %t", a.Never, tt.never)
			}
		})
	}
}

// TestAnswer_LeftOut: of a long row that is left out the beginning is shown, and what follows it.
func TestAnswer_LeftOut(t *testing.T) {
	req := request{expr: "cron * * * * * except (cron * 0-22 * * *)", from: "2026-12-01", n: 1}
	a, err := req.answer(at(t, "2026-11-22T00:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Occurrences) != maxExcluded+1 {
		t.Fatalf("%d occurrences, want %d", len(a.Occurrences), maxExcluded+1)
	}
	if got := a.Occurrences[maxExcluded]; got.UTC != "2026-12-01T23:00:00Z" || len(got.Marks) != 0 {
		t.Errorf("the last is %+v, want 23:00 without marks", got)
	}
	if !strings.Contains(strings.Join(a.Warnings, "\n"), "left out the first 100 are shown") {
		t.Errorf("warnings %q, want one that some are not shown", a.Warnings)
	}
}

// TestRun_Unwritable: what could not be printed is no success.
func TestRun_Unwritable(t *testing.T) {
	for _, args := range [][]string{{"next", "@daily"}, {"next", "@daily", "-o", "json"}, {"next", "--stdin"}, {"version"}} {
		var stderr strings.Builder
		status := Run(Process{
			Args: args, Stdin: strings.NewReader(`{"expr":"@daily"}`), Stdout: unwritable{}, Stderr: &stderr, Now: at(t, "2026-11-22T00:00:00Z"),
		})
		if status != exitFailed || !strings.Contains(stderr.String(), "full") {
			t.Errorf("%q: status %d, standard error %q; want %d and the reason", args, status, stderr.String(), exitFailed)
		}
	}
}

// TestRun_Unreadable: input that breaks off is no end.
func TestRun_Unreadable(t *testing.T) {
	var stdout, stderr strings.Builder
	status := Run(Process{
		Args: []string{"next", "--stdin"}, Stdin: iotest.ErrReader(errors.New("broken pipe")), Stdout: &stdout, Stderr: &stderr,
		Now: at(t, "2026-11-22T00:00:00Z"),
	})
	if status != exitFailed || stderr.String() != "duly: read requests: broken pipe\n" {
		t.Errorf("status %d, standard error %q", status, stderr.String())
	}
}

type unwritable struct{}

func (unwritable) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFrame(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct{ name, text, before, shown, pad string }{
		{name: "the beginning", text: "abc", before: "", shown: "abc", pad: ""},
		{name: "the end", text: "abc", before: "abc", shown: "abc", pad: "   "},
		{name: "tabs", text: "\ta\tb", before: "\ta\t", shown: "\ta\tb", pad: "\t \t"},
		{name: "two columns each", text: "日本 x", before: "日本 ", shown: "日本 x", pad: "     "},
		{name: "no column", text: "e\u0301 x", before: "e\u0301 ", shown: "e\u0301 x", pad: "  "},
		{name: "what a terminal obeys", text: "\x1b[0m\n\xff", before: "\x1b[0m", shown: "?[0m??", pad: "    "},
		{name: "a space of another kind", text: "0\u00a09", before: "0", shown: "0\u00a09", pad: " "},
		{name: "far into a long text", text: long + "!" + long, before: long, shown: "..." + long[:60] + "!" + long[:59] + "...", pad: strings.Repeat(" ", 63)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shown, pad := frame(tt.text, len(tt.before))
			if shown != tt.shown || pad != tt.pad {
				t.Errorf("frame = %q, %q; want %q, %q", shown, pad, tt.shown, tt.pad)
			}
		})
	}
}

func TestClosest(t *testing.T) {
	tests := []struct{ text, want string }{
		{"evry", "every"},
		{"everz", "every"},
		{"EVERY", "every"},
		{"crn", "cron"},
		{"corn", "cron"},
		{"pase", "pace"},
		{"x", ""},
		{"hourly", ""},
		{strings.Repeat("e", 100), ""},
	}
	for _, tt := range tests {
		if got, _ := wording.Closest(tt.text, forms); got != tt.want {
			t.Errorf("wording.Closest(%.20q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestZoneHint(t *testing.T) {
	if len(zoneNames()) == 0 {
		if got := zoneHint("Europe/Berln"); got != "" {
			t.Errorf("zoneHint without a list of zones = %q, want none", got)
		}
		return
	}
	tests := []struct{ name, want string }{
		{"Europe/Berln", "Europe/Berlin"},
		{"europe/berlin", "Europe/Berlin"},
		{"Berlin", "Europe/Berlin"},
		{"berln", "Europe/Berlin"},
		{"America/New York", "America/New_York"},
		{"utc", "UTC"},
		{"Mars/Olympus_Mons", ""},
		{"", ""},
	}
	for _, tt := range tests {
		want := ""
		if tt.want != "" {
			want = "did you mean " + tt.want + "?"
		}
		if got := zoneHint(tt.name); got != want {
			t.Errorf("zoneHint(%q) = %q, want %q", tt.name, got, want)
		}
	}
}

// A guess that the error makes already is not made a second time below it.
func TestHintFor_saysNothingTwice(t *testing.T) {
	e := &schedule.Error{Field: "in", Value: "europe/berlin", Want: "a zone of the IANA database: did you mean Europe/Berlin?"}
	if got := hintFor("cron 0 9 * * * in europe/berlin", e); got != "" {
		t.Errorf("hint %q below %v", got, e)
	}
}

package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// glanced is the instant at which the tests of this file look.
var glanced = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// screen is a printer of a terminal without colours, and what it has printed.
func screen(width int) (*printer, *strings.Builder) {
	var b strings.Builder
	return &printer{w: &b, terminal: true, width: width, now: glanced, local: time.UTC}, &b
}

// someTasks are a task of each kind that a list can show.
func someTasks() []api.Task {
	in := glanced.Add
	return []api.Task{
		{Name: "backup", Kind: "command", State: "pending", Schedule: "cron 0 3 * * *", Recurring: true, DueAt: in(15 * time.Hour), Starts: 3, Command: &target.Command{Args: []string{"./backup", "--token=abc", "a b"}}},
		{Name: "evil\x1b[2J\nname", Kind: "command", State: "pending", Schedule: "in 5m", DueAt: in(5 * time.Minute), Command: &target.Command{Shell: "echo \x07 | cat"}},
		{Name: "flaky", Kind: "http", State: "pending", Schedule: "in 1s", Runs: []api.Run{{State: "pending", Attempt: 2, DueAt: in(30 * time.Second), Reason: "status 500"}}, HTTP: &target.Callback{URL: "https://me:pw@example.com/hook"}},
		{Name: "gone", Kind: "command", State: "dead", Schedule: "in 1s", Runs: []api.Run{{State: "dead", Attempt: 1, DueAt: in(-time.Hour), Reason: "exit status 3: no space"}}, Command: &target.Command{Args: []string{"false"}}},
		{Name: "sync", Kind: "command", State: "pending", Schedule: "every 1h", Recurring: true, DueAt: in(time.Minute), PausedAt: in(-time.Hour), PausedWhy: "moving", Command: &target.Command{Args: []string{"./sync"}}},
		{Name: "work", Kind: "command", State: "running", Schedule: "in 0", Runs: []api.Run{{State: "running", Attempt: 1, DueAt: in(-2 * time.Second)}}, Command: &target.Command{Args: []string{"sleep", "60"}}},
	}
}

func TestGlance(t *testing.T) {
	p, b := screen(0)
	v := &glance{p: p, last: map[taskName]api.Event{}}
	v.tell(&api.Event{Seq: 4, Name: "backup", From: "running", To: "done", Verb: "settle", At: glanced.Add(-9 * time.Hour)})
	v.tell(&api.Event{Seq: 5, Name: "sync", From: "pending", To: "pending", Verb: "pause", At: glanced})
	if v.newest != 5 {
		t.Errorf("the newest entry is %d, want 5", v.newest)
	}
	var rows [][]cell
	for _, task := range someTasks() {
		rows = append(rows, v.row(&task))
	}
	if err := p.table(v.head(), rows); err != nil {
		t.Fatal(err)
	}
	const want = `
NAME               KIND     STATE     DUE                       SCHEDULE        LAST                     WHAT
backup             command  pending   Sun 29 Nov 03:00  in 15h  cron 0 3 * * *  done 9h ago              ./backup '--token=[redacted]' 'a b'
evil\x1b[2J\nname  command  pending   12:05             in 5m   once                                     echo \x07 | cat
flaky              http     retrying  12:00:30          in 30s  once            attempt 2: status 500    POST https://me:[redacted]@example.com/hook
gone               command  dead      11:00             1h ago  once            exit status 3: no space  false
sync               command  paused    12:01:00          in 1m   every 1h                                 ./sync
work               command  running   11:59:58          2s ago  once                                     sleep 60
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// TestGlance_Narrow has room for how it went and what it does on a terminal of 80 columns.
func TestGlance_Narrow(t *testing.T) {
	p, b := screen(80)
	v := &glance{p: p, last: map[taskName]api.Event{{"", "backup"}: {From: "running", To: "done", At: glanced.Add(-9 * time.Hour)}}}
	task := someTasks()[0]
	task.Schedule += " in America/Argentina/Buenos_Aires"
	if err := p.table(v.head(), [][]cell{v.row(&task)}); err != nil {
		t.Fatal(err)
	}
	const want = `
NAME    STATE    DUE                       SCHEDULE              LAST         W…
backup  pending  Sun 29 Nov 03:00  in 15h  cron 0 3 * * * in A…  done 9h ago  .…
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// TestGlance_Piped is what a script reads: fields between tabs, no head, instants with their zone.
func TestGlance_Piped(t *testing.T) {
	var b strings.Builder
	p := &printer{w: &b, now: glanced, local: time.FixedZone("", 3600)}
	v := &glance{p: p, everywhere: true}
	task := someTasks()[1]
	task.Namespace = "n"
	if err := p.table(v.head(), [][]cell{v.row(&task)}); err != nil {
		t.Fatal(err)
	}
	const want = "n\tevil\\x1b[2J\\nname\tcommand\tpending\t2026-11-28T13:05:00+01:00\tin 5m\tonce\t\techo \\x07 | cat\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestPortrait(t *testing.T) {
	code := 3
	berlin := time.FixedZone("CET", 3600)
	task := api.Task{
		Name: "backup", Kind: "command", State: "pending", Schedule: "cron 30 2 * * * in Europe/Berlin", Words: "at 02:30 every day, in Europe/Berlin", Recurring: true,
		Generation: 7, AcceptedAt: glanced.Add(-24 * time.Hour), DueAt: time.Date(2027, 3, 27, 1, 30, 0, 0, time.UTC), Starts: 1,
		Command: &target.Command{Args: []string{"./backup", "a b"}, Dir: "/srv", Env: map[string]string{"PATH": "/bin", "API_KEY": target.Redaction, "BAD": "x\x1b[31m"}},
		Policy:  api.Policy{Attempts: 3, Backoff: api.Duration(90 * time.Second), Timeout: api.Duration(time.Hour)},
		Tags:    []string{"nightly", "disk"},
		Runs:    []api.Run{{ID: "r1", State: "pending", Attempt: 1, DueAt: glanced.Add(time.Minute), ScheduledFor: glanced.Add(-time.Hour), Reason: "exit status 3: no space"}},
	}
	p, _ := screen(0)
	v := &portrait{p: p, t: &task, next: api.Preview{Zone: "Europe/Berlin", Occurrences: []api.Occurrence{
		{At: time.Date(2027, 3, 27, 2, 30, 0, 0, berlin)},
		{At: time.Date(2027, 3, 28, 3, 0, 0, 0, time.FixedZone("CEST", 7200)), Marks: []string{"gap-moved"}},
		{At: time.Date(2027, 3, 29, 2, 30, 0, 0, time.FixedZone("CEST", 7200)), Marks: []string{"jittered"}},
	}}, attempts: []api.Attempt{{
		RunID: "r1", Attempt: 1, StartedAt: glanced.Add(-time.Hour), EndedAt: glanced.Add(-time.Hour + 1500*time.Millisecond), Lateness: api.Duration(400 * time.Microsecond),
		Outcome: "failed", ExitCode: &code, Reason: "exit status 3: no space", Bytes: 12,
	}}}
	const want = `
backup
  state       retrying
  due         12:01:00, in 1m
  command     ./backup 'a b'
  directory   /srv
  variables   API_KEY=[redacted]
              BAD=x\x1b[31m
              PATH=/bin
  schedule    cron 30 2 * * * in Europe/Berlin
              at 02:30 every day, in Europe/Berlin
  policy      attempts 3, backoff 1m30s, timeout 1h
  tags        nightly, disk
  accepted    Fri 27 Nov 12:00, 1d ago, generation 7
  started     1 time

next, in Europe/Berlin
  Sat  2027-03-27  02:30:00  +01:00  CET   in 118d 13h
  Sun  2027-03-28  03:00:00  +02:00  CEST  in 119d 13h  moved: clocks go from 02:00 to 03:00
  Mon  2027-03-29  02:30:00  +02:00  CEST  in 120d 12h  jittered

runs
  STATE     SINCE            ATTEMPT    SCHEDULED FOR  RUN  REASON
  retrying  12:01:00  in 1m  attempt 1  11:00          r1   exit status 3: no space

last attempts
  STARTED          ATTEMPT  LATE   TOOK   OUTCOME         PRINTED  REASON
  11:00    1h ago  1        0.4ms  1.50s  failed, exit 3  12 B     exit status 3: no space
`
	if diff := cmp.Diff(want[1:], v.text()); diff != "" {
		t.Errorf("portrait (-want +got):\n%s", diff)
	}
}

// TestPortrait_Usual says nothing of what is so by default, and shows the times of a rule without a zone on the clock of whoever looks.
func TestPortrait_Usual(t *testing.T) {
	task := api.Task{
		Name: "sync", Kind: "command", State: "pending", Schedule: "every 1h", Words: "every hour", Recurring: true, AcceptedAt: glanced,
		DueAt: glanced.Add(time.Hour), Command: &target.Command{Args: []string{"./sync"}}, Policy: api.Policy{Attempts: 1},
	}
	p, _ := screen(0)
	p.local = time.FixedZone("X", -3*3600)
	v := &portrait{p: p, t: &task, next: api.Preview{Zone: "UTC", Never: true, Occurrences: []api.Occurrence{{At: glanced.Add(time.Hour)}}}}
	const want = `
sync
  state       pending
  due         10:00, in 1h
  command     ./sync
  directory   /
  schedule    every 1h
              every hour
  accepted    09:00:00, now, generation 0
  started     0 times

next
  Sat  2026-11-28  10:00:00  -03:00  X  in 1h
  then never again
`
	if diff := cmp.Diff(want[1:], v.text()); diff != "" {
		t.Errorf("portrait (-want +got):\n%s", diff)
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "", time.Second: "1s", 90 * time.Second: "1m30s", time.Hour: "1h", 10 * time.Minute: "10m", 100 * time.Minute: "1h40m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := durationText(api.Duration(d)); got != want {
			t.Errorf("durationText(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestEventRow(t *testing.T) {
	p, b := screen(0)
	late := api.Duration(1500 * time.Microsecond)
	err := printEvents(p, "table", []api.Event{
		{Seq: 1, At: glanced.Add(-time.Minute), Name: "tea", Verb: "settle", From: "running", To: "done", Attempt: 1, Lateness: &late},
		{Seq: 2, At: glanced, Name: "a\tb", Verb: "claim", From: "pending", To: "skipped", Missed: 3, Reason: "folded"},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `
WHEN              NAME  WHAT    FROM     TO       ATTEMPT  LATE   REASON
11:59:00  1m ago  tea   settle  running  done     1        1.5ms
12:00:00  now     a\tb  claim   pending  skipped                  folded, 3 missed
`
	if diff := cmp.Diff(want[1:], b.String()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// TestStream_Wide has a name that is wider than its column.
func TestStream_Wide(t *testing.T) {
	p, b := screen(0)
	if err := p.stream(cells("12:00", "", strings.Repeat("n", 30), "settle"), []int{8, 0, 20, 8}); err != nil {
		t.Fatal(err)
	}
	if want := "12:00     " + strings.Repeat("n", 30) + "  settle\n"; b.String() != want {
		t.Errorf("line %q, want %q", b, want)
	}
}

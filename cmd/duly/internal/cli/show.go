package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

const showLong = `Show all that is known of a task: what it does, with the directory and the variables it does that in, its schedule in words, when it
runs next and what daylight saving does to that, how it is run where that is not by default, and how its last attempts went.

What looks like a secret is not shown. duly logs prints what the attempts have printed, duly why tells why it does not run now.`

const showExample = `  duly show backup
  duly show backup -n 3
  duly show backup -o json`

type showFlags struct {
	n      int
	output string
}

func newShow(s *session) *cobra.Command {
	f := showFlags{n: 10}
	cmd := &cobra.Command{
		Use:                   "show [flags] NAME",
		Short:                 "Show all that is known of a task",
		Long:                  showLong,
		Example:               showExample,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE:                  func(cmd *cobra.Command, args []string) error { return s.show(cmd.Context(), args[0], &f) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().VarP((*thousand)(&f.n), "number", "n", "show the next `N` occurrences, 1 to 1000")
	outputFlag(cmd, &f.output)
	return cmd
}

// lastAttempts is how many of the last attempts are shown.
const lastAttempts = 5

func (s *session) show(ctx context.Context, name string, f *showFlags) error {
	c, err := s.connectToRead()
	if err != nil {
		return err
	}
	p := s.printer()
	t, err := c.Get(ctx, name)
	switch {
	case errors.Is(err, duly.ErrFinished) && f.output == "table":
		return showEnded(ctx, c, p, name)
	case err != nil:
		return err
	case f.output != "table":
		return p.object(f.output, t)
	}
	v := &portrait{p: p, t: &t}
	if !t.Ended {
		if v.next, err = c.PreviewTask(ctx, name, client.PreviewQuery{N: f.n}); err != nil {
			return err
		}
	}
	if t.Command != nil || t.HTTP != nil {
		if v.attempts, err = attemptsOf(ctx, c, name); err != nil {
			return err
		}
	}
	return p.write(v.text())
}

// showEnded prints what is left of a task that has ended: how it did, and its last attempts.
func showEnded(ctx context.Context, c *client.Client, p *printer, name string) error {
	events, err := c.History(ctx, client.HistoryQuery{Name: name, Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	v := &portrait{p: p}
	if v.attempts, err = attemptsOf(ctx, c, name); err != nil {
		return err
	}
	fmt.Fprintf(&v.b, "%s\n", p.paint(bold, clean(name)))
	for i := range events {
		word, st := outcomeOf(&events[i])
		text := word + " since " + v.instant(events[i].At)
		if reason := events[i].Reason; reason != "" {
			text += ": " + reason
		}
		v.painted("state", text, st)
		if hint := whyHint(name, word); hint != "" && p.terminal {
			v.painted("", hint, dim)
		}
	}
	v.lasts()
	return p.write(v.b.String())
}

// attemptsOf returns the last attempts of a task, as far as they are kept.
func attemptsOf(ctx context.Context, c *client.Client, name string) ([]api.Attempt, error) {
	attempts, err := c.Attempts(ctx, name, lastAttempts)
	if errors.Is(err, api.ErrNoOutput) {
		return nil, nil
	}
	return attempts, err
}

// A portrait is what `duly show` prints of a task.
type portrait struct {
	p        *printer
	t        *api.Task
	next     api.Preview
	attempts []api.Attempt // the newest first
	b        strings.Builder
}

func (v *portrait) text() string {
	t := v.t
	name := t.Name
	if t.Namespace != "" {
		name += "  (namespace " + t.Namespace + ")"
	}
	fmt.Fprintf(&v.b, "%s\n", v.p.paint(bold, clean(name)))
	v.state()
	v.what()
	v.when()
	v.how()
	v.field("tags", strings.Join(t.Tags, ", "))
	v.field("accepted", v.instant(t.AcceptedAt)+", generation "+strconv.FormatInt(t.Generation, 10))
	v.field("started", counted(t.Starts, "time", "times"))
	v.occurrences()
	v.runs()
	v.lasts()
	return v.b.String()
}

// field prints a line unless there is nothing to say.
func (v *portrait) field(label, text string) { v.painted(label, text, plain) }

func (v *portrait) painted(label, text string, st style) {
	if text == "" {
		return
	}
	const labels = 12
	fmt.Fprintf(&v.b, "  %s%s%s\n", v.p.paint(dim, label), strings.Repeat(" ", max(labels-columns(label), 1)), v.p.paint(st, clean(text)))
}

// instant is an instant and how far it is away.
func (v *portrait) instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return v.p.instant(t) + ", " + v.p.distance(t)
}

func (v *portrait) state() {
	t := v.t
	word, st := stateOf(t)
	switch {
	case t.Ended:
		word += "; the schedule has ended"
	case !t.PausedAt.IsZero():
		if word = "paused since " + v.instant(t.PausedAt); t.PausedWhy != "" {
			word += ": " + t.PausedWhy
		}
	}
	v.painted("state", word, st)
	if due := dueOf(t); t.State != "running" || !t.DueAt.IsZero() {
		v.field("due", v.instant(due))
	}
}

// what says what the task does.
func (v *portrait) what() {
	t := v.t
	switch {
	case t.Command != nil:
		v.field("command", whatOf(t))
		v.field("directory", orElse(t.Command.Dir, "/"))
		v.pairs("variables", "=", t.Command.Env)
		if t.Command.Stdin != "" {
			v.field("input", counted(int64(len(t.Command.Stdin)), "byte", "bytes"))
		}
		v.field("grace", durationText(t.Command.Grace))
		if codes := t.Command.LaterCodes; codes != nil {
			v.field("later codes", orElse(strings.Trim(fmt.Sprint(codes), "[]"), "none"))
		}
	case t.HTTP != nil:
		v.field("request", whatOf(t))
		v.pairs("headers", ": ", t.HTTP.Header)
		if t.HTTP.Body != "" {
			const most = 200
			v.field("body", cut(t.HTTP.Body, most))
		}
	default:
		const most = 400
		v.field("kind", t.Kind)
		v.field("payload", cut(string(t.Payload), most))
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// pairs prints variables or headers, sorted, one a line.
func (v *portrait) pairs(label, between string, pairs map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		v.field(label, name+between+redactText(pairs[name]))
		label = ""
	}
}

func (v *portrait) when() {
	v.field("schedule", v.t.Schedule)
	v.field("", v.t.Words)
}

// usualAttempts are those that the daemon gives its own kinds.
var usualAttempts = map[string]int{target.KindCommand: 1, target.KindHTTP: 10}

// how says how the task is run, where that is not by default.
func (v *portrait) how() {
	var words []string
	say := func(name, value string) {
		if value != "" {
			words = append(words, name+" "+value)
		}
	}
	number := func(name string, n int) {
		if n != 0 {
			say(name, strconv.Itoa(n))
		}
	}
	flag := func(name string, set bool) {
		if set {
			words = append(words, name)
		}
	}
	p := &v.t.Policy
	if p.Attempts != usualAttempts[v.t.Kind] {
		number("attempts", p.Attempts)
	}
	say("backoff", durationText(p.Backoff))
	say("max backoff", durationText(p.MaxBackoff))
	say("max elapsed", durationText(p.MaxElapsed))
	say("overlap", p.Overlap)
	say("catch-up", p.CatchUp)
	say("window", durationText(p.Window))
	say("grace", durationText(p.Grace))
	say("start within", durationText(p.StartWithin))
	say("timeout", durationText(p.Timeout))
	say("key", v.t.Key)
	number("key limit", p.KeyLimit)
	number("priority", v.t.Priority)
	flag("at most once", p.AtMostOnce)
	flag("stop on error", p.StopOnError)
	flag("resume missed", p.ResumeMissed)
	v.field("policy", strings.Join(words, ", "))
}

// durationText is a duration, empty for none.
func durationText(d api.Duration) string {
	if d == 0 {
		return ""
	}
	text := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len("0s")]
		}
	}
	return text
}

// occurrences shows when the task runs next, as `duly next` does.
func (v *portrait) occurrences() {
	if len(v.next.Occurrences) == 0 {
		if v.next.Never && v.t.Recurring {
			fmt.Fprintf(&v.b, "\n%s\n  never again\n", v.p.paint(dim, "next"))
		}
		return
	}
	loc, title := v.nextIn()
	a := &answer{loc: loc, from: v.p.now.Truncate(time.Second)}
	before := a.from
	var rows [][]string
	for _, o := range v.next.Occurrences {
		marks := schedule.Marks(0)
		var notes []string
		for _, m := range o.Marks {
			switch m {
			case schedule.MarkGap.String():
				marks |= schedule.MarkGap
			case schedule.MarkFold.String():
				marks |= schedule.MarkFold
			case schedule.MarkExcluded.String():
				marks |= schedule.MarkExcluded
			default:
				notes = append(notes, m)
			}
		}
		row := a.row(schedule.Occurrence{At: o.At, Due: o.At, Marks: marks})
		last := &row[len(row)-1]
		if *last = strings.Join(append(notes, nonEmpty(*last)...), "; "); *last == "" {
			*last = a.shift(before, o.At)
		}
		if o.At.Before(a.from) {
			row[len(row)-2] = v.p.distance(o.At)
		}
		rows = append(rows, row)
		before = o.At
	}
	fmt.Fprintf(&v.b, "\n%s\n", v.p.paint(dim, title))
	align(&v.b, rows)
	if v.next.Never {
		v.b.WriteString("  then never again\n")
	}
}

// nextIn returns the zone in which the next occurrences are shown: that of the rule, or of whoever looks if the rule reads no clock.
func (v *portrait) nextIn() (loc *time.Location, title string) {
	if loc, err := loadZone(v.next.Zone); err == nil && (strings.Contains(v.t.Schedule, "cron ") ||
		strings.Contains(v.t.Schedule, "calendar ") || strings.Contains(v.t.Schedule, "rrule ")) {
		return loc, "next, in " + clean(v.next.Zone)
	}
	return v.p.local, "next"
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// runs shows what has started and is not settled, or is dead.
func (v *portrait) runs() {
	if len(v.t.Runs) == 0 {
		return
	}
	var rows [][]cell
	for i := range v.t.Runs {
		r := &v.t.Runs[i]
		state, st := r.State, plain
		since := r.StartedAt
		switch {
		case r.State == "running" && r.Stopping:
			state, st = "stopping", yellow
		case r.State == "running":
			st = green
		case r.State == "dead":
			st = red
		case r.Attempt > 0:
			state, st, since = "retrying", yellow, r.DueAt
		}
		rows = append(rows, []cell{
			{state, st},
			{v.p.instant(since), plain},
			{v.p.distance(since), plain},
			{"attempt " + strconv.Itoa(r.Attempt), plain},
			{v.p.instant(r.ScheduledFor), plain},
			{r.ID, dim},
			{r.Reason, plain},
		})
	}
	v.section("runs", []string{"STATE", "SINCE", "", "ATTEMPT", "SCHEDULED FOR", "RUN", "REASON"}, rows)
}

// lasts shows how the last attempts went, the newest first.
func (v *portrait) lasts() {
	if len(v.attempts) == 0 {
		return
	}
	rows := make([][]cell, len(v.attempts))
	for i := range v.attempts {
		rows[i] = attemptRow(v.p, &v.attempts[i])
	}
	v.section("last attempts", attemptHead, rows)
}

// section prints a table under a title.
func (v *portrait) section(title string, head []string, rows [][]cell) {
	fmt.Fprintf(&v.b, "\n%s\n", v.p.paint(dim, title))
	var b strings.Builder
	p := *v.p
	p.w, p.width = &b, max(p.width-len(indent), 0)
	_ = p.table(head, rows) // a builder takes all
	for line := range strings.Lines(b.String()) {
		v.b.WriteString(indent + line)
	}
}

// indent is what stands before the lines below a title.
const indent = "  "

var attemptHead = []string{"STARTED", "", "ATTEMPT", "LATE", "TOOK", "OUTCOME", "PRINTED", "REASON"}

// attemptRow is an attempt as a line of a table.
func attemptRow(p *printer, a *api.Attempt) []cell {
	took := ""
	if !a.EndedAt.IsZero() {
		took = lateness(a.EndedAt.Sub(a.StartedAt))
	}
	outcome, st := a.Outcome, red
	switch a.Outcome {
	case "":
		if outcome = "lost"; a.Running {
			outcome, st = "running", green
		}
	case "done":
		st = green
	case "later":
		st = yellow
	}
	switch {
	case a.Signal != "":
		outcome += ", " + a.Signal
	case a.ExitCode != nil:
		outcome += ", exit " + strconv.Itoa(*a.ExitCode)
	case a.Status != 0:
		outcome += ", status " + strconv.Itoa(a.Status)
	}
	printed := strconv.FormatInt(a.Bytes, 10) + " B"
	return []cell{
		{p.instant(a.StartedAt), plain},
		{p.distance(a.StartedAt), plain},
		{strconv.Itoa(a.Attempt), plain},
		{lateness(time.Duration(a.Lateness)), plain},
		{took, plain},
		{outcome, st},
		{printed, plain},
		{a.Reason, plain},
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

const lsLong = `List the tasks that are to run or that run, in the order of their names: what each is in, when it is due, by which schedule, and
how it went last. With PREFIX only those whose names begin so.

What has ended is not listed: duly history tells of it. Runs that are dead, because all their attempts failed, are kept beside
the tasks: --state dead lists them, and duly redrive has them tried again.

--watch goes on and shows each change as it happens, and what is new within two seconds: on a terminal as a picture that is drawn
anew, the soonest first, until Ctrl-C; elsewhere as a line for each task that has changed, the last with the state in which it has
ended.`

const lsExample = `  duly ls
  duly ls backup- --state running
  duly ls --due-within 1h --tag nightly
  duly ls -w`

// lsFlags are the flags of `duly ls`.
type lsFlags struct {
	kind, tag, state string
	paused           bool
	within           time.Duration
	everywhere       bool
	watch            bool
	output           string
}

// lsPage is how many tasks are asked for at a time, and how many lines a terminal gets under one head.
const lsPage = 1000

func newLs(s *session) *cobra.Command {
	f := lsFlags{}
	cmd := &cobra.Command{
		Use:                   "ls [flags] [PREFIX]",
		Aliases:               []string{"list"},
		Short:                 "List what is going to run",
		Long:                  lsLong,
		Example:               lsExample,
		DisableFlagsInUseLine: true,
		Args:                  atMostOne("PREFIX"),
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := f.query(s.Now(), args)
			if f.watch {
				return s.watch(cmd.Context(), q, &f)
			}
			return s.list(cmd.Context(), q, &f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&f.watch, "watch", "w", false, "go on, and show each change as it happens")
	choice(cmd, &f.state, "state", "", "only tasks in this state: pending, running or dead (the runs that have failed for good)", listStates)
	flags.StringVar(&f.kind, "kind", "", "only tasks of the `KIND`, such as command or http")
	flags.StringVar(&f.tag, "tag", "", "only tasks with the `TAG`")
	flags.BoolVar(&f.paused, "paused", false, "only tasks that are paused")
	flags.Var((*span)(&f.within), "due-within", "only tasks due within `D` from now, such as 90s or 24h")
	flags.BoolVarP(&f.everywhere, "all-namespaces", "A", false, "tasks of all namespaces")
	outputFlag(cmd, &f.output)
	complete(cmd, "kind", func() []string { return kindNames })
	return cmd
}

var (
	listStates = []string{"pending", "running", "dead"}
	kindNames  = []string{"command", "http"}
)

func (f *lsFlags) query(now time.Time, args []string) client.Query {
	q := client.Query{AllNamespaces: f.everywhere, Kind: f.kind, Tag: f.tag, State: f.state, Paused: f.paused, Limit: lsPage}
	if len(args) > 0 {
		q.Prefix = args[0]
	}
	if f.within > 0 {
		q.DueUntil = now.Add(f.within)
	}
	return q
}

// list is `duly ls`.
func (s *session) list(ctx context.Context, q client.Query, f *lsFlags) error {
	c, err := s.connectToRead()
	if err != nil {
		return err
	}
	p := s.printer()
	if f.output != "table" {
		for t, err := range c.List(ctx, q) {
			if err == nil {
				err = p.object(f.output, t)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	v, err := newGlance(ctx, c, p, f.everywhere)
	if err != nil {
		return err
	}
	var rows [][]cell
	listed := 0
	for t, err := range c.List(ctx, q) {
		if err != nil {
			return err
		}
		rows = append(rows, v.row(&t))
		listed++
		if len(rows) < lsPage {
			continue
		}
		if err := p.table(v.head(), rows); err != nil {
			return err
		}
		rows = rows[:0]
	}
	if err := p.table(v.head(), rows); err != nil {
		return err
	}
	return afterList(ctx, c, p, f, listed)
}

// afterList says on a terminal what the list does not show.
func afterList(ctx context.Context, c *client.Client, p *printer, f *lsFlags, n int) error {
	if !p.terminal {
		return nil
	}
	if n == 0 {
		what := "no task is as asked for"
		switch *f {
		case lsFlags{output: f.output, everywhere: f.everywhere}:
			what = "nothing is going to run"
		case lsFlags{output: f.output, everywhere: f.everywhere, state: "dead"}:
			what = "no run is dead"
		}
		if err := p.linef("%s", what); err != nil {
			return err
		}
	}
	if f.state == "dead" {
		return nil
	}
	stats, err := c.Stats(ctx)
	if err != nil || stats.Dead == 0 {
		return nil //nolint:nilerr // the list is whole without it
	}
	return p.write(p.paint(dim, counted(stats.Dead, "run is", "runs are")+" dead: duly ls --state dead") + "\n")
}

// A glance is what is shown of tasks in one line each.
type glance struct {
	p          *printer
	everywhere bool
	last       map[taskName]api.Event // how the last run of a task went, as far as the newest entries of the history know
	newest     int64                  // the last entry that was looked at
}

// A taskName is a task's name with its namespace.
type taskName struct{ namespace, name string }

// glanceBack is how many entries of the history are looked at for how runs went: one page, however many tasks there are.
const glanceBack = 1000

func newGlance(ctx context.Context, c *client.Client, p *printer, everywhere bool) (*glance, error) {
	v := &glance{p: p, everywhere: everywhere, last: map[taskName]api.Event{}}
	events, err := c.History(ctx, client.HistoryQuery{Newest: true, Limit: glanceBack})
	if err != nil {
		return nil, err
	}
	for i := len(events) - 1; i >= 0; i-- {
		v.tell(&events[i])
	}
	return v, nil
}

// tell has the glance know of an entry of the history.
func (v *glance) tell(e *api.Event) {
	v.newest = max(v.newest, e.Seq)
	if e.From == "running" && e.To != "running" || e.To == "skipped" || e.To == "expired" || e.To == "dead" || e.To == "cancelled" {
		v.last[taskName{e.Namespace, e.Name}] = *e
	}
}

func (v *glance) head() []string {
	head := []string{"NAME", "KIND", "STATE", "DUE", "", "SCHEDULE", "LAST", "WHAT"}
	if v.everywhere {
		return append([]string{"NAMESPACE"}, head...)
	}
	return head
}

func (v *glance) row(t *api.Task) []cell {
	state, st := stateOf(t)
	due := dueOf(t)
	row := []cell{
		{t.Name, bold},
		{v.kindOf(t), plain},
		{state, st},
		{v.p.instant(due), plain},
		{v.p.distance(due), plain},
		{v.scheduleOf(t), plain},
		v.lastOf(t),
		{whatOf(t), dim},
	}
	if v.everywhere {
		return append([]cell{{t.Namespace, plain}}, row...)
	}
	return row
}

// stateOf is a task's state in a word, and how it looks.
func stateOf(t *api.Task) (string, style) {
	switch {
	case t.State == "dead":
		return "dead", red
	case t.State == "running":
		return "running", green
	case t.State != "pending":
		return t.State, dim // of one that has ended while it was watched
	case !t.PausedAt.IsZero():
		return "paused", yellow
	case retrying(t) != nil:
		return "retrying", yellow
	}
	return t.State, plain
}

// retrying returns the run of a task that waits for its next attempt, or nil.
func retrying(t *api.Task) *api.Run {
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == "pending" && r.Attempt > 0 {
			return r
		}
	}
	return nil
}

// dueOf is when the next attempt of a task is due; of one that has no other, when the one that runs or is dead was.
func dueOf(t *api.Task) time.Time {
	due := t.DueAt
	for i := range t.Runs {
		if r := &t.Runs[i]; due.IsZero() || r.State == "pending" && r.DueAt.Before(due) || t.State == "dead" {
			due = r.DueAt
		}
	}
	return due
}

// narrow says whether a line has no room for everything: then how it went is worth more than the kind, which is seen by what it does.
func (v *glance) narrow() bool {
	const enough = 100
	return v.p.width > 0 && v.p.width < enough
}

func (v *glance) kindOf(t *api.Task) string {
	if v.narrow() && whatOf(t) != "" {
		return ""
	}
	return t.Kind
}

// scheduleOf is a schedule in few words.
func (v *glance) scheduleOf(t *api.Task) string {
	most := 40
	if v.narrow() {
		most = 20
	}
	if !t.Recurring {
		return "once"
	}
	return cut(t.Schedule, most)
}

// whatOf is what a task does, in one line.
func whatOf(t *api.Task) string {
	switch {
	case t.Command != nil && t.Command.Shell != "":
		return redactText(t.Command.Shell)
	case t.Command != nil:
		return quoteArgs(redactArgs(t.Command.Args))
	case t.HTTP != nil:
		return methodOf(t.HTTP.Method) + " " + redactText(t.HTTP.URL)
	}
	return ""
}

func methodOf(method string) string {
	if method == "" {
		return "POST"
	}
	return method
}

// lastOf says how the last run of a task went.
func (v *glance) lastOf(t *api.Task) cell {
	if t.State == "dead" && len(t.Runs) > 0 {
		return cell{t.Runs[0].Reason, red}
	}
	if r := retrying(t); r != nil {
		return cell{fmt.Sprintf("attempt %d: %s", r.Attempt, r.Reason), yellow}
	}
	e, ok := v.last[taskName{t.Namespace, t.Name}]
	if !ok {
		return cell{}
	}
	word, st := outcomeOf(&e)
	return cell{word + " " + v.p.distance(e.At), st}
}

// outcomeOf is how an attempt or an occurrence ended, in a word.
func outcomeOf(e *api.Event) (string, style) {
	switch {
	case e.To == "done":
		return "done", green
	case e.Verb == "snooze":
		return "later", yellow
	case e.Verb == "release":
		return "released", yellow
	case e.Verb == "rescue" && e.To == "pending":
		return "lost", yellow
	case e.Verb == "retry":
		return "failed", yellow
	case e.To == "dead":
		return "dead", red
	}
	return e.To, dim
}

// counted is a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + many
}

// atMostOne refuses a second argument.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return &usageError{what: fmt.Sprintf("%s takes one %s, but got %q as well", cmd.CommandPath(), what, args[1])}
		}
		return nil
	}
}

// oneName asks for a task's name and nothing else.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &usageError{what: cmd.CommandPath() + " takes the name of a task", hint: "duly ls lists them"}
	}
	return atMostOne("name")(cmd, args)
}

// span is the value of a flag that is a length of time.
type span time.Duration

func (d *span) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *span) Type() string { return "D" }

func (d *span) Set(text string) error {
	var v api.Duration
	if err := v.UnmarshalText([]byte(text)); err != nil || v <= 0 {
		return errors.New("want a length of time such as 90s, 15m or 24h, longer than none")
	}
	*d = span(v)
	return nil
}

// thousand is the value of a flag that says how many the daemon is asked for at once.
type thousand int

func (n *thousand) String() string { return strconv.Itoa(int(*n)) }

func (n *thousand) Type() string { return "N" }

func (n *thousand) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 || v > lsPage {
		return fmt.Errorf("want a whole number from 1 to %d", lsPage)
	}
	*n = thousand(v)
	return nil
}

package cli

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

const historyLong = `Show what became of tasks: of one, or of all. Each line is a move from one state to another: when, of which task, what moved it, how
late the attempt had started, and why. The newest stands last.

Putting a task and starting an attempt have no line of their own; the one of what comes after them says when they were. What has
ended is kept for seven days.`

const historyExample = `  duly history backup
  duly history -n 100 --since 24h
  duly history backup -o jsonl`

type historyFlags struct {
	n      int
	after  int64
	since  time.Duration
	output string
}

func newHistory(s *session) *cobra.Command {
	f := historyFlags{n: 30}
	cmd := &cobra.Command{
		Use:                   "history [flags] [NAME]",
		Short:                 "Show what became of tasks",
		Long:                  historyLong,
		Example:               historyExample,
		DisableFlagsInUseLine: true,
		Args:                  atMostOne("name"),
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.history(cmd.Context(), firstOf(args), &f, cmd.Flags().Changed("number"))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.VarP((*count)(&f.n), "number", "n", "show the last `N` entries, 1 to 10000; all with --after or --since")
	flags.Var((*sequence)(&f.after), "after", "show those after the entry `SEQ`, the oldest first")
	flags.Var((*span)(&f.since), "since", "show those of the last `D`, such as 90m or 24h")
	outputFlag(cmd, &f.output)
	return cmd
}

func firstOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// historyPage is how many entries are asked for at a time.
const historyPage = 1000

func (s *session) history(ctx context.Context, name string, f *historyFlags, limited bool) error {
	c, err := s.connectToRead()
	if err != nil {
		return err
	}
	p := s.printer()
	q := client.HistoryQuery{Name: name, After: f.after}
	if f.since > 0 {
		q.Since = s.Now().Add(-f.since)
	}
	limit := f.n
	forward := f.after > 0 || f.since > 0
	if forward && !limited {
		limit = 0
	}
	shown := 0
	show := func(events []api.Event) error {
		shown += len(events)
		return printEvents(p, f.output, events)
	}
	if forward && (f.after > 0 || limit == 0) {
		err = historyForward(ctx, c, q, limit, show)
	} else {
		err = historyBack(ctx, c, q, limit, show)
	}
	if err != nil || shown > 0 || name == "" {
		return err
	}
	if _, err := c.Get(ctx, name); err != nil && !errors.Is(err, duly.ErrFinished) {
		return err // the name is unknown
	}
	return nil
}

// historyForward shows entries from the oldest on; a limit of 0 is none.
func historyForward(ctx context.Context, c *client.Client, q client.HistoryQuery, limit int, show func([]api.Event) error) error {
	for left := limit; limit == 0 || left > 0; {
		q.Limit = historyPage
		if limit > 0 {
			q.Limit = min(left, historyPage)
		}
		events, err := c.History(ctx, q)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := show(events); err != nil {
			return err
		}
		left -= len(events)
		q.After = events[len(events)-1].Seq
	}
	return nil
}

// historyBack shows the newest entries, the newest last.
func historyBack(ctx context.Context, c *client.Client, q client.HistoryQuery, limit int, show func([]api.Event) error) error {
	all := make([]api.Event, limit)
	left := limit
	for q.Newest = true; left > 0; {
		q.Limit = min(left, historyPage)
		events, err := c.History(ctx, q)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			left--
			all[left] = e
		}
		q.Before = events[len(events)-1].Seq
	}
	return show(all[left:])
}

var eventHead = []string{"WHEN", "", "NAME", "WHAT", "FROM", "TO", "ATTEMPT", "LATE", "REASON"}

// printEvents prints entries of the history.
func printEvents(p *printer, output string, events []api.Event) error {
	if output != "table" {
		for _, e := range events {
			if err := p.object(output, e); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]cell, len(events))
	for i := range events {
		rows[i] = eventRow(p, &events[i])
	}
	return p.table(eventHead, rows)
}

// eventRow is an entry of the history as a line of a table.
func eventRow(p *printer, e *api.Event) []cell {
	attempt, late := "", ""
	if e.Attempt > 0 {
		attempt = strconv.Itoa(e.Attempt)
	}
	if e.Lateness != nil {
		late = lateness(time.Duration(*e.Lateness))
	}
	reason := e.Reason
	if e.Missed > 0 {
		if reason != "" {
			reason += ", "
		}
		reason += counted(e.Missed, "missed", "missed")
	}
	_, st := outcomeOf(e)
	return []cell{
		{p.instant(e.At), plain},
		{p.distance(e.At), plain},
		{e.Name, bold},
		{e.Verb, plain},
		{e.From, plain},
		{e.To, st},
		{attempt, plain},
		{late, plain},
		{reason, plain},
	}
}

// sequence is the value of a flag that is the number of an entry of the history.
type sequence int64

func (n *sequence) String() string { return strconv.FormatInt(int64(*n), 10) }

func (n *sequence) Type() string { return "SEQ" }

func (n *sequence) Set(text string) error {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return errors.New("want the number of an entry, which -o jsonl shows as seq")
	}
	*n = sequence(v)
	return nil
}

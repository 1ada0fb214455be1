package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

const eventsLong = `Print what happens to tasks: to one, or to all; each line is a move from one state to another, as duly history shows them. Without
--follow it prints what is kept and ends. With --follow it prints what happens from now on, or after the entry that --after names,
until Ctrl-C. A daemon that is restarted meanwhile loses nothing of it: it goes on where it was.`

const eventsExample = `  duly events -f
  duly events -f backup
  duly events -f --after 0 -o jsonl`

type eventsFlags struct {
	follow bool
	after  int64
	output string
}

func newEvents(s *session) *cobra.Command {
	f := eventsFlags{}
	cmd := &cobra.Command{
		Use:                   "events [flags] [NAME]",
		Short:                 "Print what happens to tasks, as it happens",
		Long:                  eventsLong,
		Example:               eventsExample,
		DisableFlagsInUseLine: true,
		Args:                  atMostOne("name"),
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !f.follow {
				h := historyFlags{after: f.after, output: f.output}
				return s.eventsKept(cmd.Context(), firstOf(args), &h)
			}
			if !cmd.Flags().Changed("after") {
				f.after = client.FromNow
			}
			return s.events(cmd.Context(), firstOf(args), &f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on, and print what happens")
	flags.Var((*sequence)(&f.after), "after", "begin after the entry `SEQ`; 0 is the oldest that is kept")
	outputFlag(cmd, &f.output)
	return cmd
}

// eventsKept prints all that is kept.
func (s *session) eventsKept(ctx context.Context, name string, f *historyFlags) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	p := s.printer()
	return historyForward(ctx, c, client.HistoryQuery{Name: name, After: f.after}, 0, func(events []api.Event) error {
		return printEvents(p, f.output, events)
	})
}

// events prints what happens until Ctrl-C, which is how it is ended.
func (s *session) events(ctx context.Context, name string, f *eventsFlags) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	s.lost = func(error) {
		if _, ok := terminal(s.Stderr); ok {
			_, _ = fmt.Fprintln(s.Stderr, "duly: the daemon does not answer; trying again") // that nobody reads
		}
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	p := s.printer()
	for e, err := range c.Events(ctx, f.after, name) {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		p.now = s.Now()
		if f.output == "table" {
			err = p.stream(eventRow(p, &e), eventWidths)
		} else {
			err = p.object(f.output, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eventWidths are the columns of an entry that is printed as it comes, when it is not known how wide the next will be. The distance to
// now is left out: it is none.
var eventWidths = []int{8, 0, 20, 8, 8, 10, 2, 7, 1}

// stream prints a line of a table without an end: on a terminal in columns as wide as is said, elsewhere as table does.
func (p *printer) stream(row []cell, widths []int) error {
	if !p.terminal {
		return p.table(nil, [][]cell{row})
	}
	widths = slices.Clone(widths)
	for i, c := range row {
		if widths[i] > 0 {
			widths[i] = max(widths[i], columns(clean(c.text)))
		}
	}
	var b strings.Builder
	p.row(&b, row, widths)
	return p.write(b.String())
}

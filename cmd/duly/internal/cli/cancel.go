package cli

import (
	"context"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

const cancelLong = `Cancel tasks: of what has not begun nothing will, a wait for the next attempt included; a recurring task has no further occurrence. What
runs may finish and is not tried again; --running also asks it to stop: a command's processes get SIGTERM, and SIGKILL after its
grace.

Several names are cancelled one by one, and the outcome of each is printed: cancelled, running (it had started), finished (it had
ended), unknown. Tasks that flags select are counted first, and on a terminal you are asked; elsewhere --yes must be there.

Exit status: 3 if a name is unknown, and the others are cancelled all the same.`

const cancelExample = `  duly cancel backup tea
  duly cancel --running backup
  duly cancel --tag nightly --yes`

type cancelFlags struct {
	choosing

	running bool
	output  string
}

func newCancel(s *session) *cobra.Command {
	f := cancelFlags{}
	cmd := &cobra.Command{
		Use:                   "cancel [flags] NAME...",
		Short:                 "Cancel tasks that have not started",
		Long:                  cancelLong,
		Example:               cancelExample,
		DisableFlagsInUseLine: true,
		Args:                  f.check,
		ValidArgsFunction:     s.completeNames(client.Query{}, 0),
		RunE:                  func(cmd *cobra.Command, args []string) error { return s.cancel(cmd.Context(), args, &f) },
	}
	cmd.Flags().BoolVar(&f.running, "running", false, "also ask what runs to stop")
	f.register(cmd)
	outputFlag(cmd, &f.output)
	return cmd
}

func (s *session) cancel(ctx context.Context, names []string, f *cancelFlags) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	p := s.printer()
	if len(names) == 0 {
		if names, err = hit(ctx, c, f.query(), func(t *api.Task) bool { return !t.Ended }); err != nil {
			return err
		}
		if len(names) == 0 {
			return nothingHit(p, f.output)
		}
		verb := "cancels"
		if f.running {
			verb = "cancels, and stops what runs of,"
		}
		if err := s.confirmHit(verb, "task", "tasks", names, f.yes); err != nil {
			return err
		}
	}
	return s.cancelAll(ctx, c, p, once(names), f)
}

// once leaves out what was there before.
func once(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		defer func() { seen[name] = true }()
		return seen[name]
	})
}

// nothingHit says on a terminal that flags select no task, which is no failure: afterwards all is as asked for.
func nothingHit(p *printer, output string) error {
	if output != "table" {
		return nil
	}
	return p.linef("no task is selected")
}

// atOnce is how many tasks are cancelled at the same time, so that they share the store's syncs.
const atOnce = 16

// A cancelled is the answer of one cancel.
type cancelled struct {
	api.Cancelled

	err error
}

// cancelAll cancels tasks, and prints the outcomes in their order.
func (s *session) cancelAll(ctx context.Context, c *client.Client, p *printer, names []string, f *cancelFlags) error {
	do := c.Cancel
	if f.running {
		do = c.CancelRunning
	}
	answers := make([]chan cancelled, len(names))
	for i := range answers {
		answers[i] = make(chan cancelled, 1)
	}
	ctx, stop := context.WithCancel(ctx)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(atOnce, len(names)) {
		workers.Go(func() {
			for i := range next {
				x, err := do(ctx, names[i])
				answers[i] <- cancelled{x, err}
			}
		})
	}
	workers.Go(func() {
		defer close(next)
		for i := range names {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	defer workers.Wait()
	defer stop()
	var unknown []string
	for i, name := range names {
		var x cancelled
		select {
		case x = <-answers[i]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if x.err != nil {
			return x.err
		}
		if x.Outcome == "unknown" {
			unknown = append(unknown, name)
		}
		if err := printCancelled(p, name, &x.Cancelled, f); err != nil {
			return err
		}
	}
	return s.unknown(ctx, unknown, f.output)
}

// printCancelled prints the outcome of one cancel.
func printCancelled(p *printer, name string, x *api.Cancelled, f *cancelFlags) error {
	if f.output != "table" {
		return p.object(f.output, x)
	}
	if !p.terminal {
		return p.table(nil, [][]cell{cells(name, x.Outcome)})
	}
	switch {
	case x.Outcome == "running" && f.running:
		return p.linef("%s: running; it is asked to stop, and not tried again", name)
	case x.Outcome == "running":
		return p.linef("%s: running; it may finish, and is not tried again (--running also asks it to stop)", name)
	case x.Outcome == "finished":
		return p.linef("%s: finished; it had ended before", name)
	case x.Outcome == "unknown":
		return p.linef("%s: unknown; there is no such task", name)
	}
	return p.linef("%s: %s", name, x.Outcome)
}

package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

const pauseLong = `Pause tasks: nothing of them begins until duly resume. What runs goes on. --why is the reason that duly show and duly why tell whoever
wonders.

Tasks that flags select are counted first, and on a terminal you are asked; elsewhere --yes must be there.

Exit status: 3 if a name is unknown, and the others are paused all the same.`

const pauseExample = `  duly pause backup --why 'the disk is being moved'
  duly pause --tag nightly --yes
  duly pause --all`

const resumeLong = `Resume tasks that are paused. What was due only once meanwhile starts now; occurrences of recurring tasks that fell into the pause are
passed by, unless the task was put with resume_missed over the HTTP API.

Tasks that flags select are counted first, and on a terminal you are asked; elsewhere --yes must be there.

Exit status: 3 if a name is unknown, and the others are resumed all the same.`

const resumeExample = `  duly resume backup
  duly resume --tag nightly --yes`

// A steering is a command that does something to tasks, by name or selected, and counts them.
type steering struct {
	does string // "pauses"
	did  string // "paused"
	none string // what is said of a task of a name that it did nothing to
	one  string // what is counted
	many string
	dead bool // it is for runs that are dead
	want func(*api.Task) bool
	call func(*client.Client, context.Context, api.Selection) (int, error)
}

type steerFlags struct {
	choosing

	why    string
	output string
}

func newPause(s *session) *cobra.Command {
	pause := &steering{
		does: "pauses", did: "paused", none: "is paused already", one: "task", many: "tasks",
		want: func(t *api.Task) bool { return t.PausedAt.IsZero() && !t.Ended },
		call: (*client.Client).Pause,
	}
	cmd, f := pause.command(s, client.Query{})
	cmd.Use, cmd.Short, cmd.Long, cmd.Example = "pause [flags] NAME...", "Let nothing of tasks begin until they are resumed", pauseLong, pauseExample
	cmd.Flags().StringVar(&f.why, "why", "", "the `REASON`, shown to whoever wonders")
	return cmd
}

func newResume(s *session) *cobra.Command {
	resume := &steering{
		does: "resumes", did: "resumed", none: "is not paused", one: "task", many: "tasks",
		want: func(t *api.Task) bool { return !t.PausedAt.IsZero() && !t.Ended },
		call: (*client.Client).Resume,
	}
	cmd, _ := resume.command(s, client.Query{Paused: true})
	cmd.Use, cmd.Short, cmd.Long, cmd.Example = "resume [flags] NAME...", "Let tasks begin again that were paused", resumeLong, resumeExample
	return cmd
}

// command returns the command, which completes the names that the query selects.
func (x *steering) command(s *session, names client.Query) (*cobra.Command, *steerFlags) {
	f := &steerFlags{}
	cmd := &cobra.Command{
		DisableFlagsInUseLine: true,
		Args:                  f.check,
		ValidArgsFunction:     s.completeNames(names, 0),
		RunE:                  func(cmd *cobra.Command, args []string) error { return x.run(cmd.Context(), s, args, f) },
	}
	f.register(cmd)
	outputFlag(cmd, &f.output)
	return cmd, f
}

func (x *steering) run(ctx context.Context, s *session, names []string, f *steerFlags) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	p := s.printer()
	if len(names) > 0 {
		return x.named(ctx, s, c, p, names, f)
	}
	q := f.query()
	if x.dead {
		q.State = "dead"
	}
	hits, err := hit(ctx, c, q, x.want)
	if err != nil {
		return err
	}
	n := 0
	if len(hits) > 0 {
		if err := s.confirmHit(x.does, x.one, x.many, hits, f.yes); err != nil {
			return err
		}
		sel := f.selection()
		sel.Why = f.why
		if n, err = x.call(c, ctx, sel); err != nil {
			return err
		}
	}
	if f.output != "table" {
		return p.object(f.output, api.Count{Count: n})
	}
	return p.linef("%s %s", x.did, counted(int64(n), x.one, x.many))
}

// named does it to tasks by their names, one by one, and says of each what was done.
func (x *steering) named(ctx context.Context, s *session, c *client.Client, p *printer, names []string, f *steerFlags) error {
	all := 0
	var unknown []string
	for _, name := range once(names) {
		n, err := x.call(c, ctx, api.Selection{Names: []string{name}, Why: f.why})
		if err != nil {
			return err
		}
		all += n
		text := x.did
		switch {
		case x.dead && n > 1:
			text += " " + counted(int64(n), x.one, x.many)
		case n == 0:
			if text, err = x.nothing(ctx, c, name); err != nil {
				return err
			}
			if text == "unknown" {
				unknown = append(unknown, name)
			}
		}
		if f.output != "table" {
			continue
		}
		if !p.terminal {
			err = p.table(nil, [][]cell{cells(name, text)})
		} else {
			err = p.linef("%s: %s", name, text)
		}
		if err != nil {
			return err
		}
	}
	if f.output != "table" {
		if err := p.object(f.output, api.Count{Count: all}); err != nil {
			return err
		}
	}
	return s.unknown(ctx, unknown, f.output)
}

// nothing says why nothing was done to a name.
func (x *steering) nothing(ctx context.Context, c *client.Client, name string) (string, error) {
	_, err := c.Get(ctx, name)
	switch {
	case errors.Is(err, duly.ErrNotFound):
		return "unknown", nil
	case errors.Is(err, duly.ErrFinished) && !x.dead:
		return "finished", nil
	case err != nil && !errors.Is(err, duly.ErrFinished):
		return "", err
	}
	return x.none, nil
}

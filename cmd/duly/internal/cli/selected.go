package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/store"
)

// A choosing is how the commands that steer are told which tasks are meant: by their names, or by what all the flags say.
type choosing struct {
	all               bool
	prefix, kind, tag string
	yes               bool
}

func (f *choosing) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.prefix, "prefix", "", "the tasks whose names begin with `TEXT`")
	flags.StringVar(&f.kind, "kind", "", "the tasks of the `KIND`, such as command or http")
	flags.StringVar(&f.tag, "tag", "", "the tasks with the `TAG`")
	flags.BoolVar(&f.all, "all", false, "all tasks of the namespace")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask whether what the flags select is meant")
	complete(cmd, "kind", func() []string { return kindNames })
}

// check refuses what says nothing, or twice what is meant.
func (f *choosing) check(cmd *cobra.Command, names []string) error {
	selects := f.prefix != "" || f.kind != "" || f.tag != ""
	switch {
	case len(names) > 0 && (selects || f.all):
		return &usageError{
			what: cmd.CommandPath() + " takes names, or flags that select tasks, but got both",
			hint: "duly ls with --prefix, --kind or --tag lists what flags select",
		}
	case f.all && selects:
		return &usageError{what: "--all beside flags that select some", hint: "leave one of them out"}
	case len(names) == 0 && !selects && !f.all:
		return &usageError{
			what: cmd.CommandPath() + " takes the names of tasks, or --prefix, --kind, --tag or --all",
			hint: "duly ls lists them",
		}
	}
	return possible(names)
}

// possible refuses a name that no task can have, before anything is done to the others.
func possible(names []string) error {
	for _, name := range names {
		err := (&store.Cancel{Key: store.Key{Name: name}}).Check() // of what has a key it has nothing else to check
		if e, ok := errors.AsType[*store.Error](err); ok {
			return &usageError{what: "the name " + e.Value + ": want " + e.Want, hint: "nothing was done; duly ls lists the names that there are"}
		}
	}
	return nil
}

func (f *choosing) query() client.Query {
	return client.Query{Prefix: f.prefix, Kind: f.kind, Tag: f.tag, Limit: lsPage}
}

func (f *choosing) selection() api.Selection {
	return api.Selection{All: f.all, Prefix: f.prefix, Kind: f.kind, Tag: f.tag}
}

// fewHit is how many names are said before something is done to many tasks.
const fewHit = 5

// hit finds the names of the tasks that a query selects, and for which want is true.
func hit(ctx context.Context, c *client.Client, q client.Query, want func(*api.Task) bool) ([]string, error) {
	var names []string
	for t, err := range c.List(ctx, q) {
		if err != nil {
			return nil, err
		}
		if want(&t) {
			names = append(names, t.Name)
		}
	}
	return names, nil
}

// confirmHit says what a command would hit, and asks whether that is meant. The words are such as "cancels", "task", "tasks".
func (s *session) confirmHit(verb, one, many string, names []string, yes bool) error {
	few := names[:min(len(names), fewHit)]
	if len(names) == fewHit+1 {
		few = names // as long as "and 1 more"
	}
	shown := make([]string, len(few))
	for i, name := range few {
		shown[i] = clean(name)
	}
	text := fmt.Sprintf("this %s %s: %s", verb, counted(int64(len(names)), one, many), strings.Join(shown, ", "))
	if more := len(names) - len(few); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return s.confirm(text, yes)
}

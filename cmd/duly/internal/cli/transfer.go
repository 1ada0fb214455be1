package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/transfer"
	"github.com/dulyhq/duly/store"
)

const exportLong = `Print tasks as lines of JSON, for duly import into another place: a data directory, or a PostgreSQL database. Each line is a task with all
that its schedule needs to go on as it would have: docs/cli-json.md says what is in it. Nothing is changed.

Without --store they are the daemon's, as of one moment: it hands out a backup, over the net to whoever has the scope backup, and works on.
Where none runs in the directory, or --data names a backup, they are read where they are. Those in a database are read there, page by page, while its daemons work.

To move them: end the daemons, export, import, start daemons on the new place, and never again on the old one, or everything runs twice.

What can't be moved is said: attempts that run, and dead runs. The history and what commands have printed stay behind. The lines hold what
tasks hold, secrets among them: umask 077.

Exit status: 1 if something of the tasks stays behind.`

const exportExample = `  duly export > tasks.jsonl
  duly export --data /backups/duly-2026-11-29 --tag nightly > nightly.jsonl
  duly export --store postgres://duly@db.example.com/duly --namespace shop > shop.jsonl`

const importLong = `Put the tasks that duly export has printed, read from standard input, into a data directory in which no daemon runs, or into a
PostgreSQL database, on which daemons may run. A task is due when it was, and its schedule goes on as it would have.

It can be done again, also after it was cut off: what is there already is left alone. A name that has another task is refused unless
--on-conflict says otherwise, and so is a line that is wrong; the others are imported all the same.

Exit status: 4 if names were refused because they have another task, 1 if lines were refused for another reason.`

const importExample = `  duly import --store postgres://duly@db.example.com/duly < tasks.jsonl
  duly export --data old | duly import --data new --on-conflict keep`

func newExport(s *session) *cobra.Command {
	var where storeFlags
	var c transfer.Choice
	cmd := &cobra.Command{
		Use:                   "export [flags]",
		Short:                 "Print tasks as lines, to be imported elsewhere",
		Long:                  exportLong,
		Example:               exportExample,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ns := s.or(s.namespace, "DULY_NAMESPACE"); ns != "" {
				c.Namespace = &ns
			}
			ctx, stop := untilEnded(cmd.Context())
			defer stop()
			err := s.export(ctx, &where, c)
			switch {
			case err != nil && ctx.Err() != nil:
				return &failure{status: exitInterrupted}
			case errors.Is(err, syscall.EPIPE):
				return &failure{status: exitFailed} // whoever reads has gone, and knows
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	where.register(cmd)
	flags.StringVar(&c.Prefix, "prefix", "", "only the tasks whose names begin with `TEXT`")
	flags.StringVar(&c.Kind, "kind", "", "only the tasks of the `KIND`, such as command or http")
	flags.StringVar(&c.Tag, "tag", "", "only the tasks with the `TAG`")
	complete(cmd, "kind", func() []string { return kindNames })
	return cmd
}

func newImport(s *session) *cobra.Command {
	var where storeFlags
	var conflict, output string
	cmd := &cobra.Command{
		Use:                   "import [flags] < FILE",
		Short:                 "Put tasks that were exported elsewhere",
		Long:                  importLong,
		Example:               importExample,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.importLines(cmd.Context(), &where, importConflicts[conflict], output)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	where.register(cmd)
	conflict = "fail"
	choice(cmd, &conflict, "on-conflict", "", "if a name has another task: fail (refuse the line), keep (what is there), replace", []string{"fail", "keep", "replace"})
	outputFlag(cmd, &output)
	return cmd
}

var importConflicts = map[string]store.Conflict{"fail": store.Fail, "keep": store.Keep, "replace": store.Replace}

// source opens what is exported: tasks in a database, those of a daemon, or those in a directory in which none runs.
func (s *session) source(ctx context.Context, f *storeFlags) (store.Store, error) {
	named := s.getenv("DULY_STORE")
	if f.store != "" || s.data == "" && s.socket == "" && s.url == "" && named != "" && named != "directory" {
		return s.place(ctx, f, false)
	}
	if s.data != "" && s.socket == "" && s.url == "" {
		st, err := daemon.OpenStopped(s.data) //nolint:contextcheck // the store lives longer than ctx
		if !errors.Is(err, store.ErrLocked) {
			return st, err
		}
	}
	dir, err := os.MkdirTemp("", "duly-export-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // it is temporary
	s.closing = append(s.closing, remove)
	context.AfterFunc(ctx, remove) // at once: what is told to end may be ended otherwise while it waits for whoever reads
	if _, err := s.takeBackup(ctx, dir); err != nil {
		return nil, err
	}
	return daemon.OpenStopped(dir) //nolint:contextcheck // as above
}

// place opens where the tasks are that a command moves itself.
func (s *session) place(ctx context.Context, f *storeFlags, makes bool) (store.Store, error) {
	named := s.getenv("DULY_STORE")
	switch {
	case f.store != "" && s.data != "":
		return nil, &usageError{what: "--data and --store say two places", hint: "give one of them"}
	case s.data != "":
		data, err := home.Data(s.data, s.getenv)
		if err != nil {
			return nil, &usageError{what: err.Error()}
		}
		return daemon.OpenDirectory(data) //nolint:contextcheck // the store lives longer than ctx
	case f.store == "" && (named == "" || named == "directory"):
		return nil, &usageError{
			what: "it is not said where the tasks are to be put",
			hint: "--data DIR, whose daemon has ended, or --store postgres://user@host/database",
		}
	}
	a, err := f.address(s)
	if err != nil {
		return nil, err
	}
	o, err := f.options(s)
	if err != nil {
		return nil, err
	}
	return daemon.OpenDatabase(ctx, a, o, makes)
}

func (s *session) export(ctx context.Context, f *storeFlags, c transfer.Choice) (err error) {
	from, err := s.source(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	out := bufio.NewWriterSize(s.Stdout, 64<<10)
	behind, say := 0, s.stderr()
	n, err := transfer.Out(ctx, from, c, out, func(l transfer.Left) error {
		behind++
		return say.linef("%s: %s", l.Key.String(), l.Why)
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if behind > 0 {
		return &failure{exitFailed, fmt.Sprintf("%s exported; %s behind", counted(int64(n), "task", "tasks"), counted(int64(behind), "thing stays", "things stay")), ""}
	}
	return say.linef("%s exported", counted(int64(n), "task", "tasks"))
}

func (s *session) importLines(ctx context.Context, f *storeFlags, conflict store.Conflict, output string) (err error) {
	if _, ok := terminal(s.Stdin); ok {
		return &usageError{what: "duly import reads lines from standard input", hint: "duly import --store URL < tasks.jsonl"}
	}
	to, err := s.place(ctx, f, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	status, say := exitOK, s.stderr()
	count, err := transfer.In(ctx, to, s.Stdin, transfer.InOptions{OnConflict: conflict, Refused: func(r transfer.Refusal) error {
		switch {
		case !errors.Is(r.Err, store.ErrExists):
			status = exitFailed
		case status == exitOK:
			status = exitConflict
		}
		if r.Key.Name == "" {
			return say.linef("line %d: %s", r.Line, r.Err.Error())
		}
		return say.linef("line %d: %s: %s", r.Line, r.Key.String(), r.Err.Error())
	}})
	if err != nil {
		return &failure{exitFailed, err.Error(), "it can be done again from the beginning: what is there already is left alone"}
	}
	p := s.printer()
	if output != "table" {
		err = p.object(output, &count)
	} else {
		err = p.linef("%s imported, %d replaced, %d there already, %d kept, %d refused", counted(int64(count.Imported), "task", "tasks"), count.Replaced,
			count.Unchanged, count.Kept, count.Refused)
	}
	if err == nil && status != exitOK {
		err = &failure{status: status}
	}
	return err
}

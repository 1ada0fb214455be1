package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

const backupLong = `Take a backup of the daemon's tasks and their history into DIR, which must be empty or not exist. The daemon works on meanwhile; the backup
is as of one moment, and holds all that was acknowledged before. Where no daemon runs in the directory, that is copied itself.

DIR has a backup in it only when all of it is there, has been read, and would survive a loss of power: one that was cut off is none, and
duly restore does not take it. The backup holds what tasks hold, secrets among them, and only you can read it. It holds neither
the token nor what commands have printed. duly ls --data DIR shows what is in it.

Over the net the token needs the scope backup. Tasks in a PostgreSQL database are backed up by the database's own programs, such as pg_dump.`

const backupExample = `  duly backup /backups/duly-2026-11-29
  duly backup /backups/duly-2026-11-29 --url https://duly.example.com --token-file token`

const restoreLong = `Make a data directory of what duly backup has made: that of --data, which must be empty or not exist. All of the backup is read and compared
with what it was, and it stays as it is, so that it can be restored again.

What has run since the backup was taken runs again when a daemon is started on what was restored: recurring tasks as their catch-up policy
says, and what was due once whatever its lateness. So look first: duly ls --data DIR. What was put since then is missing. The daemon that
the backup is of must not go on beside the new one, or everything runs twice.`

const restoreExample = `  duly restore /backups/duly-2026-11-29 --data /var/lib/duly`

func newBackup(s *session) *cobra.Command {
	return &cobra.Command{
		Use:                   "backup DIR",
		Short:                 "Take a backup while the daemon works",
		Long:                  backupLong,
		Example:               backupExample,
		DisableFlagsInUseLine: true,
		Args:                  oneDirectory("the directory that the backup is to be in"),
		ValidArgsFunction:     directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupt(cmd.Context())
			defer stop()
			return s.backup(ctx, args[0])
		},
	}
}

func newRestore(s *session) *cobra.Command {
	return &cobra.Command{
		Use:                   "restore BACKUP",
		Short:                 "Make a data directory of a backup",
		Long:                  restoreLong,
		Example:               restoreExample,
		DisableFlagsInUseLine: true,
		Args:                  oneDirectory("the directory that duly backup has made"),
		ValidArgsFunction:     directories,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupt(cmd.Context())
			defer stop()
			return s.restore(ctx, args[0])
		},
	}
}

// directories has the shell complete them.
func directories(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// oneDirectory asks for a directory and nothing else.
func oneDirectory(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "" {
			return &usageError{what: cmd.CommandPath() + " takes " + what, hint: cmd.CommandPath() + " --help tells more"}
		}
		return atMostOne("directory")(cmd, args)
	}
}

// backup is `duly backup`.
func (s *session) backup(ctx context.Context, dir string) error {
	made, err := s.takeBackup(ctx, dir)
	if err != nil {
		return err
	}
	return s.printer().linef("%s in %s, %s", copied(&made), dir, made.Sized())
}

// takeBackup takes one from the daemon, or where none runs in the directory that is meant, of that.
func (s *session) takeBackup(ctx context.Context, dir string) (made daemon.Copy, err error) {
	c, err := s.connect()
	if err != nil {
		return made, err
	}
	defer c.Close()
	body, err := c.Backup(ctx)
	if _, away := errors.AsType[*client.UnreachableError](err); away {
		if data, ok := s.atHome(); ok {
			return daemon.CopyStopped(ctx, data, dir)
		}
	}
	if err != nil {
		return made, err
	}
	made, err = daemon.Receive(ctx, body, dir)
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	return made, err
}

// copied says what is in a copy.
func copied(c *daemon.Copy) string {
	return fmt.Sprintf("%s, %s and %s", counted(c.Tasks, "task", "tasks"), counted(c.Dead, "dead run", "dead runs"),
		counted(c.History, "entry of history", "entries of history"))
}

// restore is `duly restore`.
func (s *session) restore(ctx context.Context, backup string) error {
	data, err := home.Data(s.data, s.getenv)
	if err != nil {
		return &usageError{what: err.Error()}
	}
	made, err := daemon.Restore(ctx, backup, data)
	if err != nil {
		return err
	}
	if err := s.printer().linef("%s restored into %s", copied(&made), data); err != nil {
		return err
	}
	at, due := " --data "+wording.Quote(data), "none of them is due yet"
	if made.Due > 0 {
		due = counted(made.Due, "of them is due already, and starts", "of them are due already, and start") + " when the daemon does"
	}
	say := s.stderr()
	if err := say.linef("%s; what has run since the backup was taken runs again", due); err != nil {
		return err
	}
	return say.linef("to look first: %s ls%s; to go on: %s serve%s, and not beside the daemon that the backup is of", s.Name, at, s.Name, at)
}

// Package cli is the command line of duly: what it reads, what it prints, and the status it exits with.
//
// It is not for deciding when anything is due; that is package schedule's, and the daemon's. Its central function is [Run], which
// takes all that a process has, so that a test can be the process. What -o json and --stdin print, and the statuses, are a promise,
// in docs/cli-json.md.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // where the system has no zone data

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

// A Process is what a run of the command has of the process that it is.
type Process struct {
	Args           []string  // without the name of the program
	Stdin          io.Reader // an *os.File if it may be a terminal, as Stdout and Stderr
	Stdout, Stderr io.Writer
	Environ        []string // as os.Environ
	// Now is asked where an instant is left out.
	Now func() time.Time
	// Local is the zone of whoever looks at the output. Nil is time.Local.
	Local *time.Location
	// Name is how the command is called in lines that are printed to be typed. Empty is duly.
	Name string
	// As is at, atq or atrm where the command is called as one of those: see [CalledAs].
	As string
}

// Called returns the Name of a process: how whoever started it can start it again.
func Called() string { return calledBy() }

// Run does what the arguments say and returns the exit status.
func Run(p Process) int {
	s := newSession(p)
	run := s.runAt
	if p.As == "" {
		root := newRoot(s)
		root.SetArgs(p.Args)
		root.SetIn(p.Stdin)
		root.SetOut(p.Stdout)
		root.SetErr(p.Stderr)
		run = root.ExecuteContext
	}
	err := run(context.Background())
	for _, end := range s.closing {
		end()
	}
	if err == nil {
		return exitOK
	}
	text, status := s.explain(err)
	_, _ = io.WriteString(p.Stderr, text) // where it is not heard, the status says it
	return status
}

const rootLong = `duly runs things later, by name: once, again and again, or by the calendar. What it has accepted survives kill -9 and power loss.

  duly demo                          see it work, in ten seconds
  duly serve                         start the daemon: nothing to configure
  duly in 5m -- notify-send tea      from another terminal
  duly ls                            what is going to run`

// The groups of commands, in the order in which help lists them.
const (
	groupPut   = "put"
	groupLook  = "look"
	groupSteer = "steer"
	groupServe = "serve"
)

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:                   "duly",
		Short:                 "duly runs things later, by name",
		Long:                  rootLong,
		Version:               versionText(),
		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		Args:                  knownCommand,
		PersistentPreRun:      func(_ *cobra.Command, args []string) { s.args = args },
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupPut, Title: "Have something run:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupSteer, Title: "Steer:"},
		&cobra.Group{ID: groupServe, Title: "The daemon:"},
	)
	s.target(root)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(groupPut, append(putting(s), newCrontab(s))...)
	add(groupLook, newLs(s), newShow(s), newWhy(s), newLogs(s), newHistory(s), newEvents(s), newNext(s.Now))
	add(groupSteer, newRun(s), newMove(s), newCancel(s), newPause(s), newResume(s), newRedrive(s))
	add(groupServe, newServe(s), newDemo(s), newDoctor(s), newStats(s), newMigrate(s), newBackup(s), newRestore(s), newExport(s), newImport(s))
	root.AddCommand(newVersion(), newCompletion())
	return root
}

// knownCommand refuses what is left on the command line when no command was found.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := &usageError{what: fmt.Sprintf("%q is no command", args[0]), hint: "duly help lists them"}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, args[0]) }); i >= 0 {
		e.hint = "did you mean duly " + names[i] + "?"
	} else if name, ok := wording.Closest(args[0], names); ok {
		e.hint = "did you mean duly " + name + "?"
	} else if strings.ContainsAny(args[0], " *@") {
		e.hint = "to see when an expression fires: duly next '" + args[0] + "'"
	}
	return e
}

// elsewhere are flags by the names that others have for them.
var elsewhere = map[string]string{"http": "post", "webhook": "post", "callback": "post"}

// flagError makes a mistake of the flags ours, with the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if !cmd.HasParent() { // which is also where a command is looked for that is not there, and it may have had this flag
		if err := knownCommand(cmd, cmd.Flags().Args()); err != nil {
			return err
		}
	}
	e := &usageError{what: err.Error(), hint: cmd.CommandPath() + " --help lists the flags"}
	if missing, ok := errors.AsType[*pflag.NotExistError](err); ok && len(missing.GetSpecifiedName()) > 1 {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		said := missing.GetSpecifiedName()
		if name := elsewhere[said]; name != "" && slices.Contains(names, name) {
			e.hint = "did you mean --" + name + "?"
		} else if name, ok := wording.Closest(said, names); ok {
			e.hint = "did you mean --" + name + "?"
		}
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		name := "--" + invalid.GetFlag().Name
		if short := invalid.GetFlag().Shorthand; short != "" {
			name = "-" + short
		}
		e.what, e.hint = fmt.Sprintf("%s %q: %v", name, invalid.GetValue(), errors.Unwrap(invalid)), ""
	}
	return e
}

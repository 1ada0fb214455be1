// Package cli is the command line of duly: what it reads, what it prints, and the status it exits with.
//
// It is not for deciding when anything is due; that is package schedule's. Its central function is [Run], which takes all
// that a process has, so that a test can be the process. What -o json and --stdin print is a promise, in docs/cli-json.md.
package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	_ "time/tzdata" // where the system has no zone data

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // the work could not be done, such as writing the output
	exitUsage  = 2 // what was asked for is wrong: an expression, a flag, a command
)

// Run does what the arguments say, which come without the name of the program, and returns the exit status. now is asked
// where an instant is left out.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer, now func() time.Time) int {
	root := newRoot(now)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	text, status := "duly: "+err.Error()+"\n", exitFailed
	var wrong interface{ explain() string }
	if errors.As(err, &wrong) {
		text, status = wrong.explain(), exitUsage
	}
	_, _ = io.WriteString(stderr, text) // where it is not heard, the status says it
	return status
}

// A usageError is a mistake on the command line that is not one in an expression.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

func (e *usageError) explain() string { return "duly: " + e.what + "\n" + hintLine(e.hint) }

func hintLine(hint string) string {
	if hint == "" {
		return ""
	}
	return "hint: " + hint + "\n"
}

func newRoot(now func() time.Time) *cobra.Command {
	root := &cobra.Command{
		Use:                   "duly",
		Short:                 "duly shows when a schedule will run",
		Long:                  "duly shows when a schedule will run: in any zone, across every change of the clocks, offline.",
		Version:               versionText(),
		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		Args:                  knownCommand,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newNext(now), newVersion())
	return root
}

// knownCommand refuses what is left on the command line when no command was found.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := &usageError{what: fmt.Sprintf("%q is no command", args[0]), hint: "duly help lists them"}
	cmd.SuggestionsMinimumDistance = 2
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		e.hint = "did you mean duly " + strings.Join(meant, " or duly ") + "?"
	} else if strings.ContainsAny(args[0], " *@") {
		e.hint = "to see when an expression fires: duly next '" + args[0] + "'"
	}
	return e
}

// flagError makes a mistake of the flags ours, with the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	e := &usageError{what: err.Error(), hint: cmd.CommandPath() + " --help lists the flags"}
	if missing, ok := errors.AsType[*pflag.NotExistError](err); ok && len(missing.GetSpecifiedName()) > 1 {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if name, ok := closest(missing.GetSpecifiedName(), names); ok {
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

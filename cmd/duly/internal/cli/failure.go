package cli

import (
	"context"
	"errors"

	"github.com/dulyhq/duly"
)

// The exit statuses, a promise of docs/cli-json.md. A command that was waited for gives its own in their place.
const (
	exitOK          = 0
	exitFailed      = 1 // the work could not be done, such as writing the output
	exitUsage       = 2 // what was asked for is wrong: an expression, a flag, a command
	exitNotFound    = 3 // no task, run or output of this name
	exitConflict    = 4 // the name is taken, a condition does not hold, the task has started or ended
	exitNoDaemon    = 5 // nobody answers
	exitNotAllowed  = 6 // the token is missing or wrong, or it does not allow this
	exitInterrupted = 130
)

// A failure is an error that says itself which status it is.
type failure struct {
	status int
	what   string // empty: all is said already, but for the hint
	hint   string
}

func (f *failure) Error() string { return f.what }

// A usageError is a mistake on the command line that is not one in an expression.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

func (e *usageError) explain() string { return "duly: " + clean(e.what) + "\n" + hintLine(e.hint) }

func hintLine(hint string) string {
	if hint == "" {
		return ""
	}
	return "hint: " + clean(hint) + "\n"
}

// statuses say by which status the command ends that an error ended; the first that fits.
var statuses = []struct {
	err    error
	status int
	hint   string
}{
	{duly.ErrUnknown, exitFailed, "duly ls shows whether it was"},
	{duly.ErrInvalid, exitUsage, ""},
	{duly.ErrNotFound, exitNotFound, ""}, // the name that was meant
	{duly.ErrExists, exitConflict, ""},
	{duly.ErrKindMismatch, exitConflict, ""},
	{duly.ErrCondition, exitConflict, ""},
	{duly.ErrRunning, exitConflict, ""},
	{duly.ErrFinished, exitConflict, ""},
}

// explain returns what is printed of an error, and the exit status.
func (s *session) explain(err error) (text string, status int) {
	var wrong interface{ explain() string }
	if errors.As(err, &wrong) {
		return wrong.explain(), exitUsage
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if f.what == "" {
			return hintLine(f.hint), f.status
		}
		return "duly: " + clean(f.what) + "\n" + hintLine(f.hint), f.status
	}
	if f, ok := s.explainDaemon(err); ok {
		return s.explain(f)
	}
	for _, row := range statuses {
		if !errors.Is(err, row.err) {
			continue
		}
		if row.status == exitNotFound {
			row.hint = s.meant(context.Background(), firstOf(s.args))
		}
		return s.explain(&failure{row.status, err.Error(), row.hint})
	}
	if errors.Is(err, context.Canceled) {
		return "", exitInterrupted // whoever did it knows
	}
	return s.explain(&failure{status: exitFailed, what: err.Error()})
}

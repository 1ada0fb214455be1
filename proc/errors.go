package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/park"
)

// What can go wrong, beside what the operating system and the contexts say. Every error of the package is an [*Error] or
// an [*ExitError].
var (
	// ErrInvalid is what a Spec gets that cannot be run; nothing was started.
	ErrInvalid = errors.New("invalid argument")
	// ErrTimeout is a Timeout that has passed, or the time of WaitFor. It is a net.Error whose Timeout is true, and errors.Is
	// says that it is context.DeadlineExceeded and os.ErrDeadlineExceeded.
	ErrTimeout = park.ErrTimeout
	// ErrStopped is the end of a process that Stop or Kill ended.
	ErrStopped = errors.New("stopped")
	// ErrPipesHeld says that the process has ended and somebody else held its pipes open, or that a writer of the
	// output did not return: there may have been more output.
	ErrPipesHeld = errors.New("the process has ended, but its output was held open by another one")
	// ErrNotRunning is what a signal to a process gets that has ended.
	ErrNotRunning = errors.New("the process has ended")
)

// Error says what could not be done with which command. Err is one of the package's errors, the operating system's, or the
// cause of a context.
type Error struct {
	Op    string        // "start", "run", "wait", "signal"
	Args  []string      // the command
	After time.Duration // the Timeout, if that has passed
	Field string        // what is wrong with the Spec, if it is that
	Value string        // its value
	Want  string        // what would be right
	Err   error
}

func (e *Error) Error() string {
	s := "proc: " + e.Op + " " + command(e.Args) + ": "
	if e.Field != "" {
		s += e.Field + " is " + e.Value + ", want " + e.Want
		if e.Err == ErrInvalid { //nolint:errorlint // only the bare sentinel adds nothing to what was said
			return s
		}
		s += ": "
	}
	s += e.Err.Error()
	if e.After > 0 {
		s += fmt.Sprintf(": not done after %v", e.After)
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout says whether a time was up: the Timeout, that of WaitFor or the context's.
func (e *Error) Timeout() bool {
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, os.ErrDeadlineExceeded)
}

// Is makes every end by a deadline equal to context.DeadlineExceeded and os.ErrDeadlineExceeded.
func (e *Error) Is(target error) bool {
	return (target == context.DeadlineExceeded || target == os.ErrDeadlineExceeded) && e.Timeout()
}

// ExitError says that a process has ended by itself, or by somebody else's signal, and not well.
type ExitError struct {
	Args   []string
	Code   int       // the exit status; -1 if a signal ended it
	Signal os.Signal // nil if it exited
	Last   string    // the last line of its standard error, if that was captured; 200 bytes at most
}

func (e *ExitError) Error() string {
	s := "proc: run " + command(e.Args) + ": exit status " + strconv.Itoa(e.Code)
	if e.Signal != nil {
		s = "proc: run " + command(e.Args) + ": ended by signal " + strconv.Quote(e.Signal.String())
	}
	if e.Last != "" {
		s += ": " + e.Last
	}
	return s
}

// command is how errors name a command: in quotes, and in 100 bytes.
func command(args []string) string {
	s := strings.Join(args, " ")
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:97], "") + "..."
	}
	return strconv.Quote(s)
}

package timer

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/dulyhq/duly/schedule"
)

// What can go wrong, by moment. Every error of this package wraps one of these, an error of package schedule, or the
// caller's context's.
var (
	ErrInvalid        = errors.New("invalid argument")
	ErrClosed         = errors.New("engine is closed")
	ErrBroken         = errors.New("engine has failed")
	ErrFull           = errors.New("too many tasks are pending")
	ErrExists         = errors.New("a task of this name exists")
	ErrCondition      = errors.New("the condition does not hold")
	ErrUnknown        = errors.New("no task of this name")
	ErrRunning        = errors.New("the task has started")
	ErrFinished       = errors.New("the task has ended")
	ErrReplaced       = errors.New("the task was replaced by a newer one of its name")
	ErrCancelled      = errors.New("the task was cancelled")
	ErrSelfWait       = errors.New("a task cannot wait for its own end")
	ErrAlreadyStarted = errors.New("engine has been started")
	ErrBubble         = errors.New("engine belongs to the other side of a testing/synctest bubble's edge")
	ErrGoexit         = errors.New("the handler called runtime.Goexit")
	ErrTimeout        = errors.New("the task's timeout has passed")
	ErrOverlapped     = errors.New("a newer occurrence takes over")
)

var errNotMade = fmt.Errorf("%w: the engine is a zero value, want one made by New", ErrInvalid)

// Error says what was refused: the operation, the task's name, the argument with its value and what would be right.
// Err is one of the package's errors; errors.Is finds it.
type Error struct {
	Op    string // "put", "move", "close", ...
	Name  string // the task's name, if there is one
	Field string // the argument at fault, if it was one
	Value string // its value
	Want  string // what would be right
	Err   error
}

func (e *Error) Error() string {
	s := "timer: " + e.Op
	if e.Name != "" {
		s += fmt.Sprintf(" %q", e.Name)
	}
	if e.Field != "" {
		s += ": " + e.Field
		if e.Value != "" {
			s += " is " + e.Value
		}
		if e.Want != "" {
			s += ", want " + e.Want
		}
		if e.Err == ErrInvalid { //nolint:errorlint // only the bare sentinel adds nothing to what was said
			return s
		}
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

func opError(op, name string, err error) error { return &Error{Op: op, Name: name, Err: err} }

func badArg(op, name, field, value, want string) error {
	return &Error{Op: op, Name: name, Field: field, Value: value, Want: want, Err: ErrInvalid}
}

func badSchedule(op, name string, err error) error {
	if _, ok := errors.AsType[*schedule.Error](err); ok {
		return &Error{Op: op, Name: name, Err: fmt.Errorf("%w: %w", ErrInvalid, err)}
	}
	return opError(op, name, err)
}

// maxName is the length limit of contract A7, in bytes.
const maxName = 255

func checkName(op, name string) error {
	if n := len(name); uint(n-1) < maxName && name[0] != '.' {
		i := 0
		for i < n && name[i]-0x20 < 0x5f { // printable ASCII
			i++
		}
		if i == n {
			return nil
		}
	}
	return checkNameSlow(op, name)
}

func checkNameSlow(op, name string) error {
	const want = "1 to 255 bytes of UTF-8 without control characters, not . or .."
	switch {
	case name == "":
		return badArg(op, "", "name", "empty", want)
	case len(name) > maxName:
		return badArg(op, "", "name", fmt.Sprintf("%d bytes long (%q...)", len(name), name[:16]), want)
	case name == "." || name == ".." || !utf8.ValidString(name):
		return badArg(op, "", "name", fmt.Sprintf("%q", name), want)
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return badArg(op, "", "name", fmt.Sprintf("%q", name), want)
		}
	}
	return nil
}

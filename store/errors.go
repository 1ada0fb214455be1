package store

import (
	"context"
	"errors"
	"fmt"
)

// What can go wrong, by moment. Every error of a store wraps one of these, or the cause of the caller's context.
var (
	// Of one row: nothing of it was written.

	ErrInvalid      = errors.New("invalid argument")
	ErrExists       = errors.New("a task of this name exists")
	ErrKindMismatch = errors.New("the name belongs to a task of another kind")
	ErrCondition    = errors.New("the condition does not hold")
	ErrNotFound     = errors.New("no task of this name")
	ErrRunning      = errors.New("the task has started")
	ErrFinished     = errors.New("the task has ended")
	ErrChanged      = errors.New("the task is not what it was")
	ErrNotDue       = errors.New("not due yet")
	ErrBusy         = errors.New("an attempt of this name runs")
	ErrPaused       = errors.New("the task is paused")
	ErrTooLate      = errors.New("the start deadline has passed")
	ErrFenced       = errors.New("the lease belongs to somebody else, or the run has been settled")
	ErrNotOwner     = errors.New("the shard belongs to somebody else")

	// Of a whole call: nothing of it was written, but for ErrUnknown.

	ErrClosed   = errors.New("store is closed")
	ErrNoSpace  = errors.New("too little space is left")
	ErrReadOnly = errors.New("storage is read-only")
	ErrBroken   = errors.New("storage has failed")
	ErrCorrupt  = errors.New("stored data is damaged")
	ErrLocked   = errors.New("another process has the store open")
	ErrFormat   = errors.New("the format is not one this version knows")

	// ErrUnknown: what was handed in may have been written or not, and may still be. Whoever needs to know looks, or repeats a
	// call that does no harm twice.
	ErrUnknown = errors.New("it is not known whether this was written")
)

// Error says what was refused: the operation, the task, the argument at fault with its value and what would be right. Err is
// one of the package's errors; errors.Is finds it, and what that wraps.
type Error struct {
	Op    string // "put", "claim", ...
	Key   Key    // the task, if it was one
	Field string // the argument at fault, if it was one
	Value string
	Want  string
	Err   error
}

// Error returns the message: one line.
func (e *Error) Error() string {
	s := "store: " + e.Op
	if e.Key != (Key{}) {
		s += fmt.Sprintf(" %q", e.Key.String())
	}
	if e.Field != "" {
		s += ": " + e.Field + " is " + e.Value
		if e.Want != "" {
			s += ", want " + e.Want
		}
		if e.Err == ErrInvalid { //nolint:errorlint // only the bare sentinel adds nothing to what was said
			return s
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Unknown returns the error of a call whose caller stopped waiting for its outcome.
func Unknown(op string, ctx context.Context) error { //nolint:revive // the context is what happened, not what limits this call
	return &Error{Op: op, Err: fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))}
}

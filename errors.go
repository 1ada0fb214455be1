package duly

import (
	"errors"
	"fmt"

	"github.com/dulyhq/duly/store"
)

// What can go wrong, by moment. Those that a store returns are the store's own, so that errors.Is finds either.
var (
	ErrInvalid      = store.ErrInvalid      // an argument is wrong; the error names it
	ErrExists       = store.ErrExists       // OnConflict(Fail), and the name is taken
	ErrKindMismatch = store.ErrKindMismatch // the name belongs to a task of another kind
	ErrCondition    = store.ErrCondition    // IfAbsent, IfPending or IfGeneration does not hold
	ErrNotFound     = store.ErrNotFound     // no task of this name
	ErrRunning      = store.ErrRunning      // the task has started
	ErrFinished     = store.ErrFinished     // the task has ended
	ErrUnknown      = store.ErrUnknown      // the write may have taken place or not: look, or repeat what does no harm twice
	ErrNoSpace      = store.ErrNoSpace      // too little space is left: nothing is lost, nothing new is taken

	ErrClosed    = errors.New("scheduler is closed")
	ErrActive    = errors.New("scheduler runs already")
	ErrNoHandler = errors.New("nobody here handles this kind")
	ErrNoTx      = errors.New("the store has no transactions")

	// Causes of the end of an attempt's context.

	ErrLeaseLost = errors.New("the lease is lost")
	ErrTimeout   = errors.New("the task's timeout has passed")
	ErrStopped   = errors.New("the attempt is asked to stop")
	ErrClosing   = errors.New("the scheduler is being closed")

	// Of a handler that did not return.

	ErrGoexit = errors.New("the handler called runtime.Goexit")
)

// An Error says what was refused: the operation, the task, the argument at fault with its value and what would be right.
type Error = store.Error

// A PanicError is how an attempt ended whose handler panicked.
type PanicError struct {
	Value any
	Stack string
}

// Error returns the value that was panicked with, and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

func invalid(op string, k store.Key, field, value, want string) error {
	return &store.Error{Op: op, Key: k, Field: field, Value: value, Want: want, Err: store.ErrInvalid}
}

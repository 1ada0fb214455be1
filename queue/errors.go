package queue

import (
	"errors"

	"github.com/dulyhq/duly/internal/park"
)

// What calls of this package fail with, besides the cause of the caller's context and the reason of an engine that is closed.
var (
	// ErrTimeout is returned when the time that a call was given is up. It is a net.Error whose Timeout is true, and errors.Is
	// says that it is context.DeadlineExceeded and os.ErrDeadlineExceeded.
	ErrTimeout = park.ErrTimeout
	// ErrClosed is returned by calls on something that was closed and that has nothing left for them.
	ErrClosed = park.ErrClosed
	// ErrFull is returned by Mailbox.Send if the mailbox holds as much as it may.
	ErrFull = errors.New("mailbox is full")
	// ErrSelfCall is returned by Call.Call to a server that calls itself and would wait for its own answer.
	ErrSelfCall = errors.New("a server cannot call itself from inside of its own handler")
	// ErrNoReply is returned by Call.Call if the handler of Call.Serve panicked or called runtime.Goexit.
	ErrNoReply = errors.New("the handler ended without a reply")
)

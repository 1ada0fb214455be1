package wait

import (
	"errors"

	"github.com/dulyhq/duly/internal/park"
)

// What calls of this package fail with, besides the cause of the caller's context and the reason of an engine that is closed.
// They are returned as they are or wrapped; errors.Is finds them.
var (
	// ErrTimeout is returned when the time that a call was given is up. It is a net.Error whose Timeout is true, and errors.Is
	// says that it is context.DeadlineExceeded and os.ErrDeadlineExceeded.
	ErrTimeout = park.ErrTimeout
	// ErrClosed is returned by calls on something that was closed.
	ErrClosed = park.ErrClosed
	// ErrTooMany is returned to those who ask a semaphore for more permits than it has.
	ErrTooMany = errors.New("more permits than there are")
)

package deadline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Limit names what ended an operation.
type Limit string

// The limits. All but LimitContext and LimitEngine are timeouts.
const (
	LimitIdle     Limit = "idle"     // no byte in either direction for the time of Idle
	LimitRead     Limit = "read"     // no byte came for the time of ReadTimeout
	LimitWrite    Limit = "write"    // no byte was taken for the time of WriteTimeout
	LimitTotal    Limit = "total"    // the time of Total is over
	LimitRate     Limit = "rate"     // fewer bytes than MinRate wants
	LimitDeadline Limit = "deadline" // the deadline that SetDeadline, SetReadDeadline or SetWriteDeadline set
	LimitContext  Limit = "context"  // the context has ended
	LimitEngine   Limit = "engine"   // the engine, which would have told when a limit is reached, was closed
)

// Error says which operation ended and which limit ended it. It is a net.Error. If the limit is one of time, Timeout is true,
// and errors.Is says that it is os.ErrDeadlineExceeded and context.DeadlineExceeded; an ended context gives its cause.
type Error struct {
	Op    string        // "read" or "write"
	Limit Limit         //
	After time.Duration // what the limit was; 0 for a deadline, a context and the engine
	Err   error         // the underlying stream's error, the context's cause or the engine's reason; may be nil
}

func (e *Error) Error() string {
	s := "deadline: " + e.Op + ": "
	switch e.Limit {
	case LimitDeadline:
		return s + "the deadline that was set has passed"
	case LimitContext:
		return fmt.Sprintf("%sthe context has ended: %v", s, e.Err)
	case LimitEngine:
		return fmt.Sprintf("%sthe limit cannot be kept: %v", s, e.Err)
	case LimitIdle:
		s += "no byte in either direction"
	case LimitRead:
		s += "no byte came"
	case LimitWrite:
		s += "no byte was taken"
	case LimitTotal:
		s += "not done"
	case LimitRate:
		s += "too few bytes"
	}
	return fmt.Sprintf("%s for %v (limit: %s)", s, e.After, e.Limit)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout says whether a time was up: always, but for a context that was cancelled and an engine that was closed.
func (e *Error) Timeout() bool {
	switch e.Limit {
	case LimitContext:
		return errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, os.ErrDeadlineExceeded)
	case LimitEngine:
		return false
	default:
		return true
	}
}

// Temporary says the same as Timeout: after a timeout the stream can be used again.
func (e *Error) Temporary() bool { return e.Timeout() }

// Is makes a timeout equal to os.ErrDeadlineExceeded and context.DeadlineExceeded.
func (e *Error) Is(target error) bool {
	return (target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded) && e.Timeout()
}

package target

import (
	"strconv"
	"strings"

	"github.com/dulyhq/duly"
)

// An Error says what in a command, a callback or an option cannot be right. It wraps [duly.ErrInvalid].
type Error struct {
	Field string // as it is written in JSON, with its place: "args[0]", "env.PATH"
	Value string // what was given, shortened if it is long, and left out if it may be a secret
	Want  string // what would be right
}

// Error returns one line: where, what, and what would be right.
func (e *Error) Error() string {
	s := "target: " + e.Field + " is "
	if e.Value == "" {
		s += "empty"
	} else {
		s += e.Value
	}
	return s + ", want " + e.Want
}

// Unwrap returns [duly.ErrInvalid].
func (*Error) Unwrap() error { return duly.ErrInvalid }

func invalid(field, value, want string) *Error { return &Error{Field: field, Value: value, Want: want} }

// quoteMost is how many bytes of a value an error repeats.
const quoteMost = 60

// quote returns a value as errors show it: with its quotation marks, nothing that a terminal would act on, and not all of a long one.
func quote(s string) string {
	if len(s) > quoteMost {
		s = strings.ToValidUTF8(s[:quoteMost], "") + "..."
	}
	return strconv.Quote(s)
}

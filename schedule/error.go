package schedule

import "strconv"

// Error is the one error of this package: it names what was wrong, the value that was given, and what would be right.
type Error struct {
	// Field is the part that was wrong: a constructor's argument or a clause by its word in the text form ("every",
	// "until", "jitter", ...), or "schedule" for the whole.
	Field string
	// Value is what was given, shortened if it is long; empty where nothing was given.
	Value string
	// Want says what would be right.
	Want string
	// Pos is where the value begins in the text that was parsed, in bytes counted from 1. It is 0 where there was no text.
	Pos int
}

// Error returns one line: where, what, and what would be right.
func (e *Error) Error() string {
	b := make([]byte, 0, 96)
	b = append(b, "schedule: "...)
	if e.Pos > 0 {
		b = append(b, "at byte "...)
		b = strconv.AppendInt(b, int64(e.Pos), 10)
		b = append(b, ": "...)
	}
	b = append(b, e.Field...)
	if e.Value != "" {
		b = append(b, ' ')
		b = strconv.AppendQuote(b, e.Value)
	}
	b = append(b, ": want "...)
	b = append(b, e.Want...)
	return string(b)
}

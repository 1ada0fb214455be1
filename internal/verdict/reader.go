package verdict

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// A LineError says which line of a log is no record.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error returns the line and what is wrong with it.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// A Reader reads the records of a log in their order. It is for one goroutine.
type Reader struct {
	in   *bufio.Reader
	scan scanner
	line int
	torn int
	err  error // for ever
}

// NewReader returns a Reader of what in holds. It reads ahead.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(in, maxLine)} }

// Torn returns how many torn lines were left out so far: one that has no end, and those of which a start record says that it
// found them.
func (r *Reader) Torn() int { return r.torn }

// Next returns the next record. At the end of the log it returns [io.EOF], and for a line that is no record a *[LineError], or else
// the error of what is read; after an error it returns the same again.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	rec, err := r.next()
	if err != nil {
		r.err = err
		return Record{}, err
	}
	return rec, nil
}

// next reads on to a record, past one line that a start record behind it explains.
func (r *Reader) next() (Record, error) {
	var (
		bad    *LineError
		badLen int
	)
	for {
		line, err := r.in.ReadSlice('\n')
		ended := err == nil
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			err = fmt.Errorf("longer than %d bytes", maxLine)
			return Record{}, first(bad, &LineError{Line: r.line + 1, Err: err})
		case err != nil && !errors.Is(err, io.EOF):
			return Record{}, fmt.Errorf("read log: %w", err)
		case !ended && len(line) == 0:
			return Record{}, first(bad, io.EOF)
		case ended:
			line = line[:len(line)-1]
		}
		r.line++
		rec, err := r.scan.line(line)
		switch {
		case err == nil && bad == nil:
			rec.Line = r.line
			return rec, nil
		case err == nil && rec.Op == Start && rec.Torn > 0 && (badLen == 0 || int64(badLen) == rec.Torn):
			// An empty line is left where another process had ended the line in the meantime.
			if badLen > 0 {
				r.torn++
			}
			rec.Line = r.line
			return rec, nil
		case err == nil:
			return Record{}, bad
		case bad != nil:
			return Record{}, bad
		case !ended:
			r.torn++
			return Record{}, io.EOF
		default:
			bad, badLen = &LineError{Line: r.line, Err: err}, len(line)
		}
	}
}

// first returns the line's error, if there is one, and else the other.
func first(bad *LineError, other error) error {
	if bad != nil {
		return bad
	}
	return other
}

// ReadAll reads a log to its end, and returns its records in their order and how many torn lines were left out. Its errors are those
// of [Reader.Next], with what was read before.
func ReadAll(in io.Reader) (records []Record, torn int, err error) {
	r := NewReader(in)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return records, r.Torn(), nil
		}
		if err != nil {
			return records, r.Torn(), err
		}
		records = append(records, rec)
	}
}

// ReadFile is ReadAll for the file at path. Its errors name the path.
func ReadFile(path string) (records []Record, torn int, err error) {
	f, err := os.Open(path) //nolint:gosec // a log is where the test wants it
	if err != nil {
		return nil, 0, fmt.Errorf("read log: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if records, torn, err = ReadAll(f); err != nil {
		return records, torn, fmt.Errorf("read log %s: %w", path, err)
	}
	return records, torn, nil
}

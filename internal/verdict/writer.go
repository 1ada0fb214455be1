package verdict

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// WriterOptions say who writes.
type WriterOptions struct {
	Incarnation       // of this process; Boot is 1 or more
	At          int64 // µs: when it started, that is now
	NoSync      bool  // do not wait for the disk: what was appended survives a kill, but not a loss of power
}

// A Writer appends records to a log. It is safe for concurrent use, and other processes may append to the same file at the same time.
// After the first error that the file gives, all further calls return it: nothing may stand behind a line that is torn.
type Writer struct {
	inc    Incarnation
	noSync bool

	mu      sync.Mutex
	file    *os.File
	buf     []byte
	err     error
	serial  int64
	written int64 // records

	syncMu sync.Mutex // is taken before mu
	synced int64      // records
}

// An Attempt is a run that has begun and that End ends.
type Attempt struct {
	w *Writer
	r Record
}

// OpenWriter opens the log, makes it if there is none, readable by its owner only, and appends the start of the incarnation. A torn line
// that it finds at the end is ended first. Close the Writer when nothing more is to be appended; a process may also just die.
func OpenWriter(path string, o WriterOptions) (*Writer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // a log is where the test wants it
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	w := &Writer{inc: o.Incarnation, noSync: o.NoSync, file: f}
	tail, err := tornTail(f)
	if err == nil {
		if tail > 0 {
			w.buf = append(w.buf, '\n') // goes out with the record, in one write
		}
		err = w.Append(Record{Op: Start, At: o.At, Pid: int64(os.Getpid()), Torn: tail})
	}
	if err != nil {
		_ = f.Close() // the first error counts
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
	return w, nil
}

// tornTail returns how many bytes stand behind the last end of a line.
func tornTail(f *os.File) (int64, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	tail := make([]byte, min(size, maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return 0, err
	}
	last := bytes.LastIndexByte(tail, '\n')
	if last < 0 && size >= maxLine {
		return 0, fmt.Errorf("no end of a line in its last %d bytes: it is no log", maxLine)
	}
	return int64(len(tail) - last - 1), nil
}

// Append writes one record, and returns when it is on the disk, or with NoSync when the system has it. A record whose Boot is 0 is
// of the Writer's own incarnation. Errors are those of a record that can't be written, of which nothing was, and those of the
// file, after which it is open whether it stands there.
func (w *Writer) Append(r Record) error {
	if r.Boot == 0 {
		r.Incarnation = w.inc
	}
	if len(r.Error) > maxError {
		r.Error = r.Error[:maxError]
	}
	if err := checkRecord(&r); err != nil {
		return fmt.Errorf("append record: %w", err)
	}
	n, err := w.write(&r)
	if err == nil && !w.noSync {
		err = w.sync(n)
	}
	if err != nil {
		return fmt.Errorf("append record: %w", err)
	}
	return nil
}

// write returns the number of the record that it has written.
func (w *Writer) write(r *Record) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.buf = appendLine(w.buf, r) // behind what OpenWriter may have put there
	defer func() { w.buf = w.buf[:0] }()
	if len(w.buf) > maxLine {
		return 0, fmt.Errorf("a line of %d bytes, more than %d", len(w.buf), maxLine)
	}
	if _, err := w.file.Write(w.buf); err != nil {
		w.err = err
		return 0, err
	}
	w.written++
	return w.written, nil
}

// sync waits until the n-th record is on the disk. Whoever comes first does it for all that were written by then.
func (w *Writer) sync(n int64) error {
	w.syncMu.Lock()
	defer w.syncMu.Unlock()
	if w.synced >= n {
		return nil
	}
	w.mu.Lock()
	written, err := w.written, w.err
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
		return err
	}
	w.synced = written
	return nil
}

// Begin appends that an attempt begins, at the instant at (µs), with what the scheduler says of it, and gives it a serial. A handler
// calls it before it does anything, and must not go on if it returns an error: then the log does not tell the truth.
func (w *Writer) Begin(at int64, run Run, due, fence int64) (Attempt, error) {
	w.mu.Lock()
	w.serial++
	n := w.serial
	w.mu.Unlock()
	r := Record{Op: Begin, At: at, Run: run, Due: due, Fence: fence, Serial: n}
	return Attempt{w: w, r: r}, w.Append(r)
}

// End appends that the attempt ends, at the instant at (µs), with what the handler is about to return. It is called once. Its errors
// are those of [Writer.Append].
func (a Attempt) End(at int64, outcome error) error {
	a.r.Op, a.r.At, a.r.Completed = End, at, outcome == nil
	if outcome != nil {
		a.r.Error = outcome.Error()
	}
	return a.w.Append(a.r)
}

// Close closes the file. It does not append anything: how an incarnation ends is told by others. A second Close returns an error.
func (w *Writer) Close() error {
	w.syncMu.Lock()
	defer w.syncMu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = os.ErrClosed
	}
	return w.file.Close()
}

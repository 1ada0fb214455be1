package deadline

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// Reader is an io.ReadCloser with limits. Make one with [NewReader]. All methods are safe from several goroutines.
type Reader struct {
	r io.Reader
	g guard
}

// NewReader returns r with a limit of d for each Read that waits, as by [ReadTimeout], and with what the options say;
// Idle is the same limit here. A d that is not positive is no limit. A deadline that was set on r before is forgotten.
//
// A Read that blocks must have an end: r needs a SetReadDeadline that works, as pipes, sockets and files that can be polled
// have, or else a Close that ends a Read, as io.PipeReader and the body of a client's HTTP response have; such an r
// is closed when a limit is reached, and every Read after that returns the same error. For any other r, a regular file or a
// bytes.Buffer among them, NewReader returns an error that is os.ErrNoDeadline: to read in a goroutine and to leave it behind would
// steal what comes later.
func NewReader(r io.Reader, d time.Duration, opts ...Option) (*Reader, error) {
	x := &Reader{r: r}
	x.g.close, x.g.goneErr = closer(r), os.ErrClosed
	if y, ok := r.(interface{ SetReadDeadline(t time.Time) error }); ok && y.SetReadDeadline(time.Time{}) == nil {
		x.g.read.set = y.SetReadDeadline
	} else if err := closes("NewReader", "Read", r); err != nil {
		return nil, err
	}
	x.g.init(configure(append([]Option{ReadTimeout(d)}, opts...)))
	return x, nil
}

// Read reads, and ends with an *[Error] when a limit is reached.
func (r *Reader) Read(p []byte) (int, error) {
	return r.g.doRead(r.r, nil, p)
}

// ReadContext is Read that also ends with ctx, with its cause in an *[Error]. A nil ctx is context.Background().
func (r *Reader) ReadContext(ctx context.Context, p []byte) (int, error) {
	return r.g.readContext(ctx, r.r, p)
}

// SetReadTimeout changes the limit of a Read, also of one that waits, counting from its beginning. 0 is no limit.
func (r *Reader) SetReadTimeout(d time.Duration) { r.g.setTimeout(&r.g.read, d) }

// SetTotal lets every Read end when d has passed from now. 0 is no limit.
func (r *Reader) SetTotal(d time.Duration) { r.g.setTotal(d) }

// SetMinRate changes the rate of [MinRate]. If n or per is 0 there is no limit.
func (r *Reader) SetMinRate(n int64, per time.Duration) { r.g.setRate(n, per) }

// SetReadDeadline sets a deadline beside the limits. It is os.ErrNoDeadline if the underlying reader has none.
func (r *Reader) SetReadDeadline(t time.Time) error { return r.g.setDeadline(&r.g.read, t) }

// Close closes the underlying reader, if it has a Close.
func (r *Reader) Close() error { return r.g.shut() }

// Writer is an io.WriteCloser with limits. Make one with [NewWriter]. All methods are safe from several goroutines.
type Writer struct {
	w io.Writer
	g guard
}

// NewWriter returns w with a limit of d for each Write that moves no byte, as by [WriteTimeout], and with what the options
// say. It asks of w what [NewReader] asks of a reader: SetWriteDeadline, or a Close that ends a Write.
func NewWriter(w io.Writer, d time.Duration, opts ...Option) (*Writer, error) {
	x := &Writer{w: w}
	x.g.close, x.g.goneErr = closer(w), os.ErrClosed
	if y, ok := w.(interface{ SetWriteDeadline(t time.Time) error }); ok && y.SetWriteDeadline(time.Time{}) == nil {
		x.g.write.set = y.SetWriteDeadline
		x.g.write.resumable = resumable(w)
	} else if err := closes("NewWriter", "Write", w); err != nil {
		return nil, err
	}
	x.g.init(configure(append([]Option{WriteTimeout(d)}, opts...)))
	return x, nil
}

// Write writes, and ends with an *[Error] when a limit is reached. It returns how much was written.
func (w *Writer) Write(p []byte) (int, error) {
	return w.g.doWrite(w.w, nil, p)
}

// WriteContext is Write that also ends with ctx, with its cause in an *[Error]. A nil ctx is context.Background().
func (w *Writer) WriteContext(ctx context.Context, p []byte) (int, error) {
	return w.g.writeContext(ctx, w.w, p)
}

// SetWriteTimeout changes the limit of a Write, also of one that waits, counting from its last byte. 0 is no limit.
func (w *Writer) SetWriteTimeout(d time.Duration) { w.g.setTimeout(&w.g.write, d) }

// SetTotal lets every Write end when d has passed from now. 0 is no limit.
func (w *Writer) SetTotal(d time.Duration) { w.g.setTotal(d) }

// SetMinRate changes the rate of [MinRate]. If n or per is 0 there is no limit.
func (w *Writer) SetMinRate(n int64, per time.Duration) { w.g.setRate(n, per) }

// SetWriteDeadline sets a deadline beside the limits. It is os.ErrNoDeadline if the underlying writer has none.
func (w *Writer) SetWriteDeadline(t time.Time) error { return w.g.setDeadline(&w.g.write, t) }

// Close closes the underlying writer, if it has a Close.
func (w *Writer) Close() error { return w.g.shut() }

func closer(x any) func() error {
	if c, ok := x.(io.Closer); ok {
		return c.Close
	}
	return func() error { return nil }
}

// closes says what is wrong if Close cannot be expected to end an operation.
func closes(op, method string, x any) error {
	_, file := x.(*os.File) // Close does not end a system call that has begun
	if _, ok := x.(io.Closer); ok && !file {
		return nil
	}
	return fmt.Errorf("deadline: %s: nothing ends a %s of %T that blocks, want one with Set%sDeadline or Close: %w",
		op, method, x, method, os.ErrNoDeadline)
}

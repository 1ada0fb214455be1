package proc

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
)

// pipes are what connects a process with readers and writers that are no files, and the goroutines that copy.
type pipes struct {
	childs  []*os.File // the process's ends, to be closed when it has them
	stdin   *os.File   // where Stdin is copied to
	outputs []output
	stdout  *capture
	stderr  *capture
	copied  chan struct{} // closed when all of the output has been copied
	running atomic.Int32  // goroutines that copy it
	cut     atomic.Bool   // nobody wants the output any more

	mu  sync.Mutex
	err error
}

// output is one pipe that the process writes to.
type output struct {
	from *os.File
	to   io.Writer
}

// open makes what the process is started with.
func (x *pipes) open(s *Spec, cmd *exec.Cmd) error {
	x.copied = make(chan struct{})
	switch r := s.Stdin.(type) {
	case nil:
	case *os.File:
		cmd.Stdin = r
	default:
		pr, pw, err := os.Pipe()
		if err != nil {
			return err
		}
		x.childs = append(x.childs, pr)
		x.stdin, cmd.Stdin = pw, pr
	}
	stdout, stderr := s.Stdout, s.Stderr
	if stdout == nil {
		x.stdout = &capture{limit: s.Limit}
		stdout = x.stdout
	}
	if stderr == nil {
		x.stderr = &capture{limit: s.Limit}
		stderr = x.stderr
	}
	var err error
	if cmd.Stdout, err = x.out(stdout); err != nil {
		return err
	}
	if reflect.ValueOf(stdout).Comparable() && stdout == stderr {
		cmd.Stderr = cmd.Stdout
		return nil
	}
	cmd.Stderr, err = x.out(stderr)
	return err
}

// out returns what the process is given for a writer.
func (x *pipes) out(w io.Writer) (io.Writer, error) {
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	if w == io.Discard {
		return nil, nil //nolint:nilnil // os/exec's way to say it
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	x.childs = append(x.childs, pw)
	x.outputs = append(x.outputs, output{from: pr, to: w})
	return pw, nil
}

// abandon closes everything when the process was not started.
func (x *pipes) abandon() {
	x.closeChilds()
	x.closeStdin()
	x.closeOutput()
}

func (x *pipes) closeChilds() {
	for _, f := range x.childs {
		_ = f.Close()
	}
	x.childs = nil
}

func (x *pipes) closeStdin() {
	if x.stdin != nil {
		_ = x.stdin.Close()
	}
}

// closeOutput ends the reading of what others hold open.
func (x *pipes) closeOutput() {
	for _, o := range x.outputs {
		_ = o.from.Close()
	}
}

// detach keeps copies that hang in a Write from making another one.
func (x *pipes) detach() { x.cut.Store(true) }

// copy begins to copy, now that the process runs.
func (x *pipes) copy(stdin io.Reader) {
	x.closeChilds()
	if x.stdin != nil {
		go func() {
			_, err := io.Copy(x.stdin, stdin)
			if !errors.Is(err, syscall.EPIPE) { // a process need not read all
				x.note(err)
			}
			_ = x.stdin.Close() // noted before that: it may be what the process ends by
		}()
	}
	if len(x.outputs) == 0 {
		close(x.copied)
		return
	}
	x.running.Store(int32(len(x.outputs)))
	for _, o := range x.outputs {
		go func() {
			_, err := io.Copy(sink{x, o.to}, o.from)
			_ = o.from.Close() // after an error of the writer the process shall not block
			x.note(err)
			if x.running.Add(-1) == 0 {
				close(x.copied)
			}
		}()
	}
}

// sink writes as long as somebody wants the output, and hides what else the writer can do.
type sink struct {
	x *pipes
	w io.Writer
}

func (s sink) Write(p []byte) (int, error) {
	if s.x.cut.Load() {
		return 0, os.ErrClosed
	}
	return s.w.Write(p)
}

// note keeps the first error that is not of our own closing.
func (x *pipes) note(err error) {
	if err == nil || errors.Is(err, os.ErrClosed) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil {
		x.err = err
	}
}

func (x *pipes) firstErr() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

func (x *pipes) captured() (stdout, stderr Output) {
	if x.stdout != nil {
		stdout = x.stdout.output()
	}
	if x.stderr != nil {
		stderr = x.stderr.output()
	}
	return stdout, stderr
}

package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/timer"
)

// Group says which processes belong together.
type Group int

const (
	// NewGroup makes the process the leader of a group of its own: what it starts ends with it. A key like Ctrl-C at the terminal
	// does not reach it. It is the default.
	NewGroup Group = iota
	// NewSession makes it the leader of a session of its own too, without a terminal.
	NewSession
	// SameGroup leaves it in the group of this program, as os/exec does. It alone is signalled in the end, and
	// what it has started goes on.
	SameGroup
)

// The defaults of a Spec.
const (
	DefaultGrace     = 5 * time.Second
	DefaultPipeDelay = time.Second
	DefaultLimit     = 1 << 20
)

// Spec says what to run. Only Args must be given.
type Spec struct {
	// Engine keeps the times. Nil is a default engine, shared by all.
	Engine *timer.Engine

	// Args are the program and its arguments, as the program gets them: no shell looks at them (but see [Shell]). A program
	// without a separator in its name is looked up in this program's PATH; one with is relative to Dir.
	Args []string
	// Env is the environment, as "NAME=value"; of several the last holds. Nil is this program's own.
	Env []string
	// Dir is where it runs. Empty is where this program does.
	Dir string

	// Stdin is what it reads. Nil is nothing. An *os.File is given to it as it is; anything else is copied by a goroutine,
	// which lives until a Read of it returns, even if the process has ended before.
	Stdin io.Reader
	// Stdout and Stderr are where its output goes. Nil captures it, see Limit. An *os.File is given to it as it is. Anything else
	// gets it from a goroutine, one for both if they are equal, until the process has ended; a Write should not block for long.
	Stdout, Stderr io.Writer
	// Limit is how many bytes of Stdout, and of Stderr, are captured: half of them from the beginning, half from the
	// end. 0 is DefaultLimit, a negative one captures nothing.
	Limit int

	// Timeout is how long it may take in all, to run and to have its output read. 0 is no limit.
	Timeout time.Duration
	// Grace is how long after SIGTERM the group has before SIGKILL. 0 is DefaultGrace, a negative one is none: SIGKILL at once.
	Grace time.Duration
	// PipeDelay is how long after the end of the process its output is waited for, if another process holds it open. 0 is
	// DefaultPipeDelay.
	PipeDelay time.Duration
	// Group says which processes end together.
	Group Group
	// Sweep ends what is left in the group also when the process has ended by itself.
	Sweep bool
}

// prepare checks the spec, fills in the defaults, and returns the path of the program.
func (s *Spec) prepare() (path string, err error) {
	bad := func(field, value, want string) (string, error) {
		return "", &Error{Op: "start", Args: s.Args, Field: field, Value: value, Want: want, Err: ErrInvalid}
	}
	if len(s.Args) == 0 || s.Args[0] == "" {
		return bad("Args[0]", "empty", "a program")
	}
	for i, a := range s.Args {
		if strings.ContainsRune(a, 0) {
			return bad("Args["+strconv.Itoa(i)+"]", strconv.Quote(a), "no byte 0")
		}
	}
	for i, v := range s.Env {
		if strings.ContainsRune(v, 0) || !strings.Contains(v, "=") {
			return bad("Env["+strconv.Itoa(i)+"]", strconv.Quote(v), "NAME=value without byte 0")
		}
	}
	switch {
	case s.Timeout < 0:
		return bad("Timeout", s.Timeout.String(), "a positive duration, or 0 for no limit")
	case s.PipeDelay < 0:
		return bad("PipeDelay", s.PipeDelay.String(), "a positive duration, or 0 for the default")
	case s.Group < NewGroup || s.Group > SameGroup:
		return bad("Group", strconv.Itoa(int(s.Group)), "NewGroup, NewSession or SameGroup")
	case strings.ContainsRune(s.Dir, 0):
		return bad("Dir", strconv.Quote(s.Dir), "no byte 0")
	}
	if s.Dir != "" {
		info, err := os.Stat(s.Dir)
		if err == nil && !info.IsDir() {
			err = ErrInvalid
		}
		if err != nil {
			return "", &Error{Op: "start", Args: s.Args, Field: "Dir", Value: strconv.Quote(s.Dir), Want: "a directory", Err: err}
		}
	}
	s.Args, s.Env = slices.Clone(s.Args), slices.Clone(s.Env)
	s.Grace = orDefault(s.Grace, DefaultGrace)
	s.PipeDelay = orDefault(s.PipeDelay, DefaultPipeDelay)
	s.Limit = orDefault(s.Limit, DefaultLimit)
	return s.lookUp()
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return max(v, 0)
}

// lookUp finds the program before anything is made for it.
func (s *Spec) lookUp() (string, error) {
	name := s.Args[0]
	if filepath.Base(name) != name && !filepath.IsAbs(name) && s.Dir != "" {
		name = filepath.Join(s.Dir, name)
	}
	path, err := exec.LookPath(name)
	if err == nil && !filepath.IsAbs(path) {
		path, err = filepath.Abs(path) // Dir must not change what it means
	}
	if err == nil {
		return path, nil
	}
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err // the command is named already
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%s may not be run: %w", name, err)
	}
	return "", &Error{Op: "start", Args: s.Args, Err: err}
}

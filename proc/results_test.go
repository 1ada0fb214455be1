//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/proc"
	"github.com/dulyhq/duly/timer"
)

func TestRun_Results(t *testing.T) {
	need(t, "sh", "cat")
	run := func(t *testing.T, spec proc.Spec) (*proc.Result, error) {
		t.Helper()
		spec.Timeout = time.Minute
		return proc.Run(t.Context(), spec)
	}
	t.Run("a good one", func(t *testing.T) {
		before := time.Now()
		r, err := run(t, proc.Spec{Args: proc.Shell("echo out; echo err >&2")})
		if err != nil {
			t.Fatal(err)
		}
		got := []any{r.Code, r.Signal, r.Stdout.String(), r.Stderr.String(), r.Stdout.Truncated(), r.Killed, r.Held}
		if diff := cmp.Diff([]any{0, nil, "out\n", "err\n", false, false, false}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if r.StartedAt.Before(before.Add(-time.Minute)) || r.EndedAt.Before(r.StartedAt) || r.EndedAt.After(time.Now().Add(time.Minute)) || r.Pid == 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("CPU time", func(t *testing.T) {
		r, err := run(t, proc.Spec{Args: proc.Shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")})
		if err != nil || r.User+r.System <= 0 {
			t.Errorf("%v CPU, %v", r.User+r.System, err)
		}
	})
	t.Run("an exit status", func(t *testing.T) {
		r, err := run(t, proc.Spec{Args: proc.Shell("echo no such luck >&2; exit 7")})
		e, ok := errors.AsType[*proc.ExitError](err)
		if !ok || e.Code != 7 || r.Code != 7 || e.Signal != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if want := `proc: run "/bin/sh -c echo no such luck >&2; exit 7 sh": exit status 7: no such luck`; err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
	t.Run("a signal of its own", func(t *testing.T) {
		r, err := run(t, proc.Spec{Args: proc.Shell("kill -USR1 $$")})
		e, ok := errors.AsType[*proc.ExitError](err)
		if !ok || e.Signal != syscall.SIGUSR1 || r.Signal != syscall.SIGUSR1 || r.Code != -1 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("stdin and large output", func(t *testing.T) {
		in := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // what no pipe holds
		var out bytes.Buffer
		r, err := run(t, proc.Spec{Args: []string{"cat"}, Stdin: bytes.NewReader(in), Stdout: &out})
		if err != nil || !bytes.Equal(in, out.Bytes()) || len(r.Stdout.Bytes()) != 0 {
			t.Errorf("%d bytes came back of %d: %v", out.Len(), len(in), err)
		}
		r, err = run(t, proc.Spec{Args: []string{"cat"}, Stdin: bytes.NewReader(in), Limit: 31})
		if err != nil || string(r.Stdout.Head) != string(in[:16]) || string(r.Stdout.Tail) != string(in[len(in)-15:]) || r.Stdout.Omitted != int64(len(in)-31) {
			t.Errorf("%+v, %v", r.Stdout, err)
		}
	})
	t.Run("stdin that is not read", func(t *testing.T) {
		if _, err := run(t, proc.Spec{Args: []string{"true"}, Stdin: bytes.NewReader(make([]byte, 1<<20))}); err != nil {
			t.Error(err)
		}
	})
	t.Run("stdin that fails", func(t *testing.T) {
		broken := errors.New("broken")
		if _, err := run(t, proc.Spec{Args: []string{"cat"}, Stdin: io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken))}); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	t.Run("a writer that fails", func(t *testing.T) {
		broken := errors.New("broken")
		r, err := run(t, proc.Spec{
			Args:   proc.Shell("trap '' PIPE; echo x; i=0; while [ $i -lt 20000 ]; do echo more of it 2>/dev/null; i=$((i+1)); done; exit 0"),
			Stdout: writerFunc(func([]byte) (int, error) { return 0, broken }),
		})
		if !errors.Is(err, broken) {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("one writer for both", func(t *testing.T) {
		var out bytes.Buffer
		if _, err := run(t, proc.Spec{Args: proc.Shell("echo a; echo b >&2; echo c"), Stdout: &out, Stderr: &out}); err != nil || out.String() != "a\nb\nc\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
	t.Run("files", func(t *testing.T) {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // what was written is read
		if _, err := run(t, proc.Spec{Args: proc.Shell("echo in a file; echo nowhere >&2"), Stdout: f, Stderr: io.Discard}); err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(f.Name()); string(b) != "in a file\n" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	})
	t.Run("environment, directory, arguments", func(t *testing.T) {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		r, err := run(t, proc.Spec{
			Args: proc.Shell(`pwd; echo "$COLOUR"; echo "$1"; echo "${HOME-none}"`, `$(not run) "'; *`), Dir: dir, Env: []string{"COLOUR=red", "COLOUR=blue"},
		})
		if want := dir + "\nblue\n$(not run) \"'; *\nnone\n"; err != nil || r.Stdout.String() != want {
			t.Errorf("%q, %v", r.Stdout.String(), err)
		}
		script := filepath.Join(dir, "script")
		if err := os.WriteFile(script, []byte("#!/bin/sh\necho ran in $PWD\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if r, err = run(t, proc.Spec{Args: []string{"./script"}, Dir: dir}); err != nil || r.Stdout.String() != "ran in "+dir+"\n" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestStart_Refuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := timer.New()
	if _, err := closed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec  proc.Spec
		is    error
		field string
	}{
		"nothing":            {proc.Spec{}, proc.ErrInvalid, "Args[0]"},
		"no program":         {proc.Spec{Args: []string{""}}, proc.ErrInvalid, "Args[0]"},
		"not found":          {proc.Spec{Args: []string{"duly-no-such-program"}}, exec.ErrNotFound, ""},
		"not found, by path": {proc.Spec{Args: []string{"./duly-no-such-program"}}, fs.ErrNotExist, ""},
		"not to be run":      {proc.Spec{Args: []string{file}}, fs.ErrPermission, ""},
		"a directory":        {proc.Spec{Args: []string{dir}}, nil, ""},
		"no directory":       {proc.Spec{Args: []string{"true"}, Dir: filepath.Join(dir, "none")}, fs.ErrNotExist, "Dir"},
		"a file for a Dir":   {proc.Spec{Args: []string{"true"}, Dir: file}, proc.ErrInvalid, "Dir"},
		"byte 0 in Args":     {proc.Spec{Args: []string{"echo", "a\x00b"}}, proc.ErrInvalid, "Args[1]"},
		"byte 0 in Env":      {proc.Spec{Args: []string{"true"}, Env: []string{"A=\x00"}}, proc.ErrInvalid, "Env[0]"},
		"byte 0 in Dir":      {proc.Spec{Args: []string{"true"}, Dir: "\x00"}, proc.ErrInvalid, "Dir"},
		"no variable":        {proc.Spec{Args: []string{"true"}, Env: []string{"A"}}, proc.ErrInvalid, "Env[0]"},
		"Timeout":            {proc.Spec{Args: []string{"true"}, Timeout: -1}, proc.ErrInvalid, "Timeout"},
		"PipeDelay":          {proc.Spec{Args: []string{"true"}, PipeDelay: -1}, proc.ErrInvalid, "PipeDelay"},
		"Group":              {proc.Spec{Args: []string{"true"}, Group: 3}, proc.ErrInvalid, "Group"},
		"a closed engine":    {proc.Spec{Args: []string{"true"}, Timeout: 1, Engine: closed}, timer.ErrClosed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := proc.Start(t.Context(), c.spec)
			e, ok := errors.AsType[*proc.Error](err)
			if p != nil || !ok || e.Op != "start" || e.Field != c.field || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v", err)
			}
		})
	}
}

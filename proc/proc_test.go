//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/proc"
	"github.com/dulyhq/duly/timer"
)

// mark returns a variable for a command's environment, which tells it and all that it starts from everybody else.
func mark(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("DULY_PROC_TEST=%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))
}

func marked(t *testing.T) []string { return append(os.Environ(), mark(t)) }

// survivors returns the processes that carry the test's mark and are no zombies. It needs /proc.
func survivors(t *testing.T) (pids []string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, NOT TESTED: survivors are looked for in /proc, which only Linux has in this form")
	}
	names, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(names) == 0 {
		t.Fatal("no /proc", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil && slices.Contains(strings.Split(string(b), "\x00"), mark(t)) { // a zombie's is empty
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
			pids = append(pids, filepath.Base(filepath.Dir(name))+" "+string(cmdline))
		}
	}
	return pids
}

func wantNoSurvivors(t *testing.T) {
	t.Helper()
	if s := survivors(t); len(s) > 0 {
		t.Errorf("survivors: %q", s)
	}
}

// wantDeadline checks that an error says that a deadline was it, and names the command.
func wantDeadline(t *testing.T, err error, command string) {
	t.Helper()
	var ne net.Error
	e, ok := errors.AsType[*proc.Error](err)
	if !ok || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) || !e.Timeout() ||
		!errors.As(errors.Unwrap(err), &ne) || !ne.Timeout() {
		t.Errorf("got %v, want a deadline", err)
	} else if !strings.Contains(err.Error(), command) {
		t.Errorf("%q does not name %q", err, command)
	}
}

// within checks that a real process was ended in time. The upper limit is no figure to be proud of: it is what a busy machine
// needs, and shorter than what would have passed without the timeout.
func within(t *testing.T, start time.Time, from, to time.Duration) {
	t.Helper()
	if took := time.Since(start); took < from || took > to {
		t.Errorf("took %v, want %v to %v", took, from, to)
	}
}

// requirement: F22
func TestProcessTimeouts(t *testing.T) {
	need(t, "bash", "sh", "sleep")
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		r, err := proc.Run(t.Context(), proc.Spec{Args: []string{"sleep", "60"}, Timeout: time.Second})
		wantDeadline(t, err, "sleep 60")
		within(t, start, time.Second, 30*time.Second)
		if r.Code != -1 || r.Signal != syscall.SIGTERM || r.Killed {
			t.Errorf("got %+v, want the end by SIGTERM", r)
		}
	})
	for name, group := range map[string]proc.Group{"NewGroup": proc.NewGroup, "NewSession": proc.NewSession} {
		t.Run("a shell with children, "+name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := proc.Run(t.Context(), proc.Spec{
				Args: []string{"bash", "-c", "sleep 61 & sleep 62 & (sleep 63 & sleep 64) & sleep 65"}, Env: marked(t),
				Timeout: time.Second / 2, Group: group, PipeDelay: time.Minute,
			})
			wantDeadline(t, err, "bash -c")
			within(t, start, time.Second/2, 30*time.Second)
			wantNoSurvivors(t)
		})
	}
	t.Run("SameGroup leaves the grandchild", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: []string{"bash", "-c", "sleep 66 & wait"}, Env: marked(t),
			Timeout: time.Second / 2, Group: proc.SameGroup, PipeDelay: 10 * time.Millisecond,
		})
		wantDeadline(t, err, "bash -c")
		within(t, start, time.Second/2, 30*time.Second)
		if !r.Held {
			t.Error("the grandchild holds the output, and the result does not say so")
		}
		left := survivors(t)
		if len(left) != 1 {
			t.Errorf("survivors: %q, want the one that is documented", left)
		}
		for _, s := range left {
			var pid int
			_, _ = fmt.Sscan(s, &pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	t.Run("TERM, then KILL after Grace", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		var out atomicBuffer
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: []string{"bash", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done"}, Env: marked(t),
			Stdout: &out, Timeout: time.Second, Grace: time.Second / 2,
		})
		wantDeadline(t, err, "bash")
		within(t, start, 3*time.Second/2, 30*time.Second)
		if r.Signal != syscall.SIGKILL || !r.Killed {
			t.Errorf("got %+v, want SIGKILL", r)
		}
		if out.String() != "ready\nasked\n" {
			t.Errorf("it printed %q", out.String())
		}
		wantNoSurvivors(t)
	})
	t.Run("a child has the Grace though its parent has left", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		var out atomicBuffer
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: []string{"bash", "-c", "bash -c 'trap \"sleep 0.2; echo cleaned up; exit\" TERM; echo ready; while :; do sleep 0.05; done' & wait"},
			Env:  marked(t), Stdout: &out, Timeout: time.Second, Grace: time.Minute,
		})
		wantDeadline(t, err, "bash")
		within(t, start, time.Second, 40*time.Second)
		if out.String() != "ready\ncleaned up\n" || r.Killed {
			t.Errorf("it printed %q; killed: %v", out.String(), r.Killed)
		}
		wantNoSurvivors(t)
	})
	t.Run("and is killed if it does not use it", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: []string{"bash", "-c", "bash -c 'trap : TERM; while :; do sleep 0.05; done' & sleep 0.3; wait"},
			Env:  marked(t), Timeout: time.Second, Grace: time.Second / 2, PipeDelay: time.Minute,
		})
		wantDeadline(t, err, "bash")
		within(t, start, 3*time.Second/2, 40*time.Second)
		if r.Signal != syscall.SIGTERM || !r.Killed {
			t.Errorf("got %+v", r)
		}
		wantNoSurvivors(t)
	})
	t.Run("no grace", func(t *testing.T) {
		t.Parallel()
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: []string{"bash", "-c", "trap '' TERM; sleep 67 & sleep 68"}, Env: marked(t), Timeout: time.Second / 4, Grace: -1,
		})
		wantDeadline(t, err, "bash")
		if r.Signal != syscall.SIGKILL || !r.Killed {
			t.Errorf("got %+v", r)
		}
		wantNoSurvivors(t)
	})
	t.Run("by a context", func(t *testing.T) {
		t.Parallel()
		cause := errors.New("the client has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second/4, func() { cancel(cause) })
		_, err := proc.Run(ctx, proc.Spec{Args: []string{"bash", "-c", "sleep 69 & sleep 70"}, Env: marked(t)})
		if e, ok := errors.AsType[*proc.Error](err); !ok || !errors.Is(err, cause) || e.Timeout() {
			t.Errorf("got %v", err)
		}
		wantNoSurvivors(t)
		timed, cancelTimed := context.WithTimeout(t.Context(), time.Second/4)
		defer cancelTimed()
		_, err = proc.Run(timed, proc.Spec{Args: []string{"sleep", "71"}})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err = proc.Run(timed, proc.Spec{Args: []string{"true"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
	t.Run("while it prints without end", func(t *testing.T) {
		t.Parallel()
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: proc.Shell("echo first; while :; do echo more; done"), Env: marked(t), Timeout: time.Second / 2, Limit: 1000,
		})
		wantDeadline(t, err, "/bin/sh")
		if o := r.Stdout; !o.Truncated() || len(o.Head) != 500 || len(o.Tail) != 500 || !bytes.HasPrefix(o.Head, []byte("first\nmore\n")) {
			t.Errorf("got %q, %d bytes left out", o.String(), o.Omitted)
		}
		wantNoSurvivors(t)
	})
	t.Run("a process that is stopped", func(t *testing.T) {
		t.Parallel()
		p, err := proc.Start(t.Context(), proc.Spec{Args: []string{"sleep", "72"}, Grace: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		p.Stop()
		if r, err := p.WaitFor(50 * time.Second); !errors.Is(err, proc.ErrStopped) || r.Signal != syscall.SIGTERM {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A writer that a test may read while it is written.
type atomicBuffer struct{ p atomic.Pointer[[]byte] }

func (b *atomicBuffer) Write(p []byte) (int, error) {
	s := []byte(b.String() + string(p))
	b.p.Store(&s)
	return len(p), nil
}

func (b *atomicBuffer) String() string {
	if s := b.p.Load(); s != nil {
		return string(*s)
	}
	return ""
}

// What a process leaves behind on purpose does not hold up who waits, and lives.
func TestOutputHeldOpen(t *testing.T) {
	need(t, "bash", "sleep")
	start := time.Now()
	spec := proc.Spec{Args: []string{"bash", "-c", "echo out; sleep 60 & exit 0"}, Env: marked(t), PipeDelay: time.Second / 4, Timeout: time.Minute}
	r, err := proc.Run(t.Context(), spec)
	if !errors.Is(err, proc.ErrPipesHeld) || errors.Is(err, context.DeadlineExceeded) || r.Code != 0 || !r.Held || r.Stdout.String() != "out\n" {
		t.Errorf("got %+v, %v", r, err)
	}
	within(t, start, time.Second/4, 30*time.Second)
	if left := survivors(t); len(left) != 1 {
		t.Errorf("%q, want the one that was left on purpose", left)
	} else {
		var pid int
		_, _ = fmt.Sscan(left[0], &pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	spec.Sweep, spec.PipeDelay = true, 40*time.Second
	start = time.Now()
	r, err = proc.Run(t.Context(), spec)
	if err != nil || r.Code != 0 || r.Held || r.Stdout.String() != "out\n" {
		t.Errorf("swept: %+v, %v", r, err)
	}
	within(t, start, 0, 30*time.Second)
	wantNoSurvivors(t)
}

// A writer that never returns does not hold up who waits.
func TestWriterHangs(t *testing.T) {
	need(t, "sh")
	let := make(chan struct{})
	defer close(let)
	r, err := proc.Run(t.Context(), proc.Spec{
		Args: proc.Shell("echo out"), PipeDelay: 10 * time.Millisecond,
		Stdout: writerFunc(func(p []byte) (int, error) { <-let; return len(p), nil }),
	})
	if !errors.Is(err, proc.ErrPipesHeld) || !r.Held {
		t.Errorf("got %+v, %v", r, err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestProcess(t *testing.T) {
	need(t, "sleep", "bash")
	t.Run("waiting does not touch it", func(t *testing.T) {
		p, err := proc.Start(t.Context(), proc.Spec{Args: []string{"sleep", "60"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.WaitFor(0); !errors.Is(err, proc.ErrTimeout) {
			t.Error(err)
		}
		r, err := p.WaitFor(10 * time.Millisecond)
		wantDeadline(t, err, "sleep 60")
		if r != nil {
			t.Error("a result before the end")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		time.AfterFunc(time.Millisecond, func() { cancel(cause) })
		if _, err := p.Wait(ctx); !errors.Is(err, cause) {
			t.Error(err)
		}
		select {
		case <-p.Done():
			t.Error("it has ended")
		default:
		}
		p.Kill()
		p.Kill()
		p.Stop()
		for range 2 {
			r, err := p.Wait(t.Context())
			if !errors.Is(err, proc.ErrStopped) || errors.Is(err, context.DeadlineExceeded) || r.Pid != p.Pid() {
				t.Errorf("%+v, %v", r, err)
			}
		}
		if _, err := p.Wait(ctx); !errors.Is(err, cause) {
			t.Errorf("a context that has ended, though there is a result: %v", err)
		}
		if r, err := p.WaitFor(0); r == nil || !errors.Is(err, proc.ErrStopped) {
			t.Error(r, err)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, proc.ErrNotRunning) {
			t.Error(err)
		}
	})
	t.Run("Kill after Stop", func(t *testing.T) {
		var out atomicBuffer
		p, err := proc.Start(t.Context(), proc.Spec{Args: []string{"bash", "-c", "trap : TERM; echo ready; while :; do sleep 0.05; done"}, Env: marked(t), Stdout: &out, Grace: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		for out.String() == "" {
			if _, err := p.WaitFor(10 * time.Millisecond); !errors.Is(err, proc.ErrTimeout) {
				t.Fatal(err)
			}
		}
		p.Stop()
		if _, err := p.WaitFor(100 * time.Millisecond); !errors.Is(err, proc.ErrTimeout) {
			t.Fatal(err)
		}
		p.Kill()
		if r, err := p.Wait(t.Context()); !errors.Is(err, proc.ErrStopped) || r.Signal != syscall.SIGKILL {
			t.Errorf("%+v, %v", r, err)
		}
		wantNoSurvivors(t)
	})
	t.Run("one signal", func(t *testing.T) {
		p, err := proc.Start(t.Context(), proc.Spec{Args: []string{"sleep", "60"}})
		if err != nil {
			t.Fatal(err)
		}
		// Not SIGINT, which a shell has its background commands ignore, of which these tests may be one.
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_, err = p.Wait(t.Context())
		if e, ok := errors.AsType[*proc.ExitError](err); !ok || e.Signal != syscall.SIGTERM {
			t.Error(err)
		}
	})
}

// On a clock moved by hand nothing ends before its time, however slow the machine.
func TestTimes(t *testing.T) {
	need(t, "bash")
	hand := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	e := timer.New(timer.Options{Clock: hand})
	defer e.Close(t.Context()) //nolint:errcheck // nothing runs
	var out atomicBuffer
	p, err := proc.Start(t.Context(), proc.Spec{
		Engine: e, Args: []string{"bash", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done"}, Env: marked(t),
		Stdout: &out, Timeout: time.Hour, Grace: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	until := func(want string) {
		t.Helper()
		for begin := time.Now(); out.String() != want; time.Sleep(time.Millisecond) {
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("it printed %q, want %q", out.String(), want)
			}
		}
	}
	until("ready\n")
	hand.Advance(time.Hour - 1)
	select {
	case <-p.Done():
		t.Error("ended before its time")
	case <-time.After(100 * time.Millisecond):
	}
	if out.String() != "ready\n" {
		t.Errorf("asked before its time: %q", out.String())
	}
	hand.Advance(1)
	until("ready\nasked\n")
	hand.Advance(time.Minute - 1)
	select {
	case <-p.Done():
		t.Error("killed before its time")
	case <-time.After(100 * time.Millisecond):
	}
	hand.Advance(1)
	for { // what was killed is looked at until it is gone
		select {
		case <-p.Done():
		case <-time.After(10 * time.Millisecond):
			hand.Advance(50 * time.Millisecond)
			continue
		}
		break
	}
	r, err := p.Wait(t.Context())
	wantDeadline(t, err, "bash")
	if took := r.EndedAt.Sub(r.StartedAt); took < time.Hour+time.Minute || took > time.Hour+2*time.Minute {
		t.Errorf("by the engine's clock it took %v", took)
	}
	wantNoSurvivors(t)
}

// An end and a timeout at the same moment are one or the other.
func TestEndAndTimeoutRace(t *testing.T) {
	need(t, "sh", "sleep")
	ended, timedOut := 0, 0
	for i := range 40 {
		d := time.Duration(20+i%10) * time.Millisecond
		r, err := proc.Run(t.Context(), proc.Spec{
			Args: proc.Shell("sleep 0.0$1", strconv.Itoa(20+i%10)), Env: marked(t), Timeout: d + time.Duration(i%7)*time.Millisecond,
		})
		switch {
		case err == nil && r.Code == 0 && r.Signal == nil:
			ended++
		case errors.Is(err, proc.ErrTimeout) && !r.Held:
			timedOut++
		default:
			t.Errorf("neither nor: %+v, %v", r, err)
		}
	}
	t.Logf("%d ended, %d timed out", ended, timedOut)
	wantNoSurvivors(t)
}

// A context that ends while a command is started leaves nothing behind, whether it was started or not.
func TestStopDuringStart(t *testing.T) {
	need(t, "bash", "sleep")
	for i := range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Duration(i) * 100 * time.Microsecond)
			cancel()
		}()
		if _, err := proc.Run(ctx, proc.Spec{Args: []string{"bash", "-c", "sleep 60 & sleep 60"}, Env: marked(t)}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	wantNoSurvivors(t)
}

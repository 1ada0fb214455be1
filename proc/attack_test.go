//go:build unix

package proc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/proc"
	"github.com/dulyhq/duly/timer"
)

// killSurvivors ends those that are left on purpose, and says how many there were.
func killSurvivors(t *testing.T) (n int) {
	t.Helper()
	for _, s := range survivors(t) {
		var pid int
		_, _ = fmt.Sscan(s, &pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
		n++
	}
	return n
}

// What ends a command is heard also when the process has ended and only its output is still held open: then what is left of the
// group ends too.
func TestReasonWhileOutputIsHeld(t *testing.T) {
	need(t, "bash", "sleep")
	cause := errors.New("the client has left")
	for name, c := range map[string]struct {
		script  string
		timeout time.Duration
		end     func(p *proc.Process, cancel context.CancelCauseFunc)
		want    error
		killed  bool
	}{
		"Timeout": {script: "echo out; sleep 60 & exit 0", timeout: 300 * time.Millisecond, want: proc.ErrTimeout},
		"context": {
			script: "echo out; (sleep 61 & sleep 62 &) ; exit 0", want: cause,
			end: func(_ *proc.Process, cancel context.CancelCauseFunc) { cancel(cause) },
		},
		"Stop": {
			script: "echo out; sleep 63 & sleep 64 & exit 0", want: proc.ErrStopped,
			end: func(p *proc.Process, _ context.CancelCauseFunc) { p.Stop() },
		},
		"Kill": {
			script: "(trap '' TERM; echo out; sleep 65) & exit 0", want: proc.ErrStopped, killed: true,
			end: func(p *proc.Process, _ context.CancelCauseFunc) { p.Kill() },
		},
		"Stop of one that ignores it": {
			script: "(trap '' TERM; echo out; sleep 66) & exit 0", want: proc.ErrStopped, killed: true,
			end: func(p *proc.Process, _ context.CancelCauseFunc) { p.Stop() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var out atomicBuffer
			p, err := proc.Start(ctx, proc.Spec{
				Args: []string{"bash", "-c", c.script}, Env: marked(t), Stdout: &out,
				Timeout: c.timeout, PipeDelay: time.Hour, Grace: 100 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.end != nil {
				// Until it has ended, and what holds the output has set its trap.
				for p.Signal(syscall.Signal(0)) == nil || out.String() == "" {
					time.Sleep(time.Millisecond)
				}
				c.end(p, cancel)
			}
			r, err := p.WaitFor(30 * time.Second)
			if r == nil || !errors.Is(err, c.want) {
				p.Kill()
				t.Fatalf("%+v, %v", r, err)
			}
			if r.Code != 0 || r.Held || r.Killed != c.killed || out.String() != "out\n" {
				t.Errorf("%+v, output %q", r, out.String())
			}
			wantNoSurvivors(t)
		})
	}
}

// Who has left the group and holds the output open is not found, and holds nobody up for longer than PipeDelay; after Kill not
// for as long.
func TestOutputHeldFromOutside(t *testing.T) {
	need(t, "setsid", "sleep", "bash")
	script := []string{"bash", "-c", "setsid bash -c 'echo out; exec sleep 60' & wait"}
	t.Run("Timeout", func(t *testing.T) {
		t.Parallel()
		start := time.Now()
		r, err := proc.Run(t.Context(), proc.Spec{Args: script, Env: marked(t), Timeout: 400 * time.Millisecond, PipeDelay: 100 * time.Millisecond})
		wantDeadline(t, err, "bash")
		within(t, start, 500*time.Millisecond, 30*time.Second)
		if n := killSurvivors(t); !r.Held || r.Stdout.String() != "out\n" || n != 1 {
			t.Errorf("%+v, %d survivors, want the one that has left", r, n)
		}
	})
	t.Run("Kill", func(t *testing.T) {
		t.Parallel()
		var out atomicBuffer
		p, err := proc.Start(t.Context(), proc.Spec{Args: script, Env: marked(t), PipeDelay: time.Hour, Stdout: &out})
		if err != nil {
			t.Fatal(err)
		}
		for out.String() == "" {
			time.Sleep(time.Millisecond)
		}
		p.Stop()
		if _, err := p.WaitFor(50 * time.Millisecond); !errors.Is(err, proc.ErrTimeout) {
			t.Errorf("Stop does not wait for the output: %v", err)
		}
		p.Kill()
		r, err := p.WaitFor(30 * time.Second)
		if n := killSurvivors(t); !errors.Is(err, proc.ErrStopped) || !r.Held || n != 1 {
			t.Errorf("%+v, %v, %d survivors", r, err, n)
		}
	})
}

// slowError is asked what it is, and takes its time: what ends a process must be noted before it ends by it.
type slowError struct{}

func (slowError) Error() string { return "broken" }
func (slowError) Is(error) bool { time.Sleep(100 * time.Millisecond); return false }
func (slowError) Read([]byte) (int, error) {
	return 0, slowError{}
}

func TestStdinErrorIsNoted(t *testing.T) {
	need(t, "cat")
	_, err := proc.Run(t.Context(), proc.Spec{Args: []string{"cat"}, Stdin: slowError{}, Timeout: time.Minute})
	if _, ok := errors.AsType[slowError](err); !ok {
		t.Errorf("got %v, want the error of the Stdin", err)
	}
}

func TestNilContext(t *testing.T) {
	need(t, "true")
	var none context.Context
	p, err := proc.Start(none, proc.Spec{Args: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Wait(none); err != nil || r.Code != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := proc.Run(none, proc.Spec{Args: []string{"true"}}); err != nil {
		t.Error(err)
	}
}

// An engine that is closed ends a command that has a Timeout, which could not be kept, and no Grace or PipeDelay early.
func TestEngineClosed(t *testing.T) {
	need(t, "bash", "sleep")
	start := func(t *testing.T, spec proc.Spec) (*proc.Process, *timer.Engine, *atomicBuffer) {
		t.Helper()
		var out atomicBuffer
		e := timer.New()
		spec.Engine, spec.Env, spec.Stdout = e, marked(t), &out
		p, err := proc.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		for out.String() == "" {
			time.Sleep(time.Millisecond)
		}
		return p, e, &out
	}
	closeIt := func(t *testing.T, e *timer.Engine) {
		t.Helper()
		if _, err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Run("with a Timeout", func(t *testing.T) {
		t.Parallel()
		p, e, _ := start(t, proc.Spec{Args: []string{"bash", "-c", "echo ready; sleep 60 & sleep 60"}, Timeout: time.Hour})
		closeIt(t, e)
		if r, err := p.WaitFor(time.Minute); !errors.Is(err, timer.ErrClosed) { // it may have ended by then, for the same reason
			t.Errorf("WaitFor on a closed engine: %+v, %v", r, err)
		}
		if _, err := p.Wait(t.Context()); !errors.Is(err, timer.ErrClosed) {
			t.Error(err)
		}
		wantNoSurvivors(t)
	})
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		p, e, _ := start(t, proc.Spec{Args: []string{"bash", "-c", "echo ready; sleep 0.1; exit 3"}})
		closeIt(t, e)
		if r, err := p.Wait(t.Context()); r.Code != 3 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("in the Grace", func(t *testing.T) {
		t.Parallel()
		p, e, out := start(t, proc.Spec{
			Args:  []string{"bash", "-c", "trap 'echo asked; sleep 0.3; echo cleaned up; exit' TERM; echo ready; while :; do sleep 0.02; done"},
			Grace: 30 * time.Second,
		})
		p.Stop()
		for !strings.Contains(out.String(), "asked") {
			time.Sleep(time.Millisecond)
		}
		closeIt(t, e)
		r, err := p.Wait(t.Context())
		if !errors.Is(err, proc.ErrStopped) || r.Killed || out.String() != "ready\nasked\ncleaned up\n" {
			t.Errorf("%+v, %v, output %q", r, err, out.String())
		}
	})
}

// Commands of all kinds, many at a time, ended at any moment in any way: no process, no zombie and no file is left.
func TestNothingIsLeft(t *testing.T) {
	need(t, "bash", "sh", "sleep")
	scripts := []string{
		"sleep 1000 & sleep 1000 & wait",
		"(sleep 1000 & sleep 1000 &) & sleep 1000", // forked twice
		"trap '' TERM; sleep 1000 & wait",
		"sleep 1000 & exit 0", // holds the output after the end
		"sleep 1000 & exit 3",
		"sh -c 'sh -c \"sleep 1000 & wait\" & wait' | cat",
		"while :; do echo more; done",                                    // past the limit, and blocked on it
		"head -c 200000 /dev/zero; sleep 1000",                           // past the limit, and silent
		"bash -c 'trap : TERM; while :; do sleep 0.01; done' & sleep 99", // asked in vain
		"kill -STOP $$",
		"exit 0",
	}
	run := func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		spec := proc.Spec{
			Args: []string{"bash", "-c", scripts[i%len(scripts)]}, Env: marked(t), Limit: 100, Sweep: i%3 == 0,
			Grace: time.Duration(1+rand.IntN(20)) * time.Millisecond, PipeDelay: time.Second,
		}
		if i%2 == 0 {
			spec.Group = proc.NewSession
		}
		after := time.Duration(rand.IntN(30_000)) * time.Microsecond
		switch i % 4 {
		case 0:
			spec.Timeout = max(after, 1)
		case 1:
			time.AfterFunc(after, cancel)
		}
		p, err := proc.Start(ctx, spec)
		if err != nil {
			if !errors.Is(err, context.Canceled) && !errors.Is(err, proc.ErrTimeout) {
				t.Error(err)
			}
			return
		}
		switch i % 4 {
		case 2:
			time.AfterFunc(after, p.Stop)
		case 3:
			time.AfterFunc(after, p.Kill)
		}
		r, err := p.Wait(t.Context())
		if r == nil {
			t.Errorf("%q: no result: %v", spec.Args[2], err)
		}
	}
	files := func() int {
		names, _ := os.ReadDir("/proc/self/fd")
		return len(names)
	}
	for i := range 8 { // what is opened once and stays: the poller's files, the default engine's alarm
		run(i)
	}
	before := files()
	var all sync.WaitGroup
	next := make(chan int)
	for range 8 {
		all.Go(func() {
			for i := range next {
				run(i)
			}
		})
	}
	for i := range 100 {
		next <- i
	}
	close(next)
	all.Wait()
	// A command that has ended well before its reason came has left its child behind on purpose.
	wantNoSurvivors(t)
	after := files()
	for range 500 { // a pipe is closed by the goroutine that reads it, in its own time
		if after <= before {
			break
		}
		time.Sleep(10 * time.Millisecond)
		after = files()
	}
	if after > before {
		t.Errorf("%d files are open, there were %d", after, before)
	}
	if z := zombies(); len(z) > 0 {
		t.Errorf("zombies: %q", z)
	}
}

// zombies returns the children of this process that nobody has waited for.
func zombies() (names []string) {
	procs, _ := os.ReadDir("/proc")
	for _, p := range procs {
		b, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			names = append(names, string(b))
		}
	}
	return names
}

package timer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// patience is how long a test on the real clock waits before it calls something hung. Nothing depends on its length.
const patience = 30 * time.Second

// newEngine makes an engine that is closed when the test ends: in a bubble, before the bubble does.
func newEngine(t testing.TB, opts ...timer.Options) *timer.Engine {
	t.Helper()
	e := timer.New(opts...)
	t.Cleanup(func() { closeEngine(t, e) })
	return e
}

// closeEngine closes the engine, and fails the test if runs do not end, or if the engine ever ran something early or broke.
func closeEngine(t testing.TB, e *timer.Engine) {
	t.Helper()
	if _, err := e.Close(patient(t)); err != nil {
		t.Errorf("Close: %v", err)
	}
	if early := e.Stats().Early; early != 0 {
		t.Errorf("Stats().Early is %d, want 0", early)
	}
	if err := e.Err(); err != nil {
		t.Errorf("Err: %v", err)
	}
}

// newManual makes an engine on a clock that is moved by hand and shows epoch.
func newManual(t testing.TB, opts timer.Options) (*timer.Engine, *clock.Manual) {
	t.Helper()
	m := clock.NewManual(epoch)
	opts.Clock = m
	return newEngine(t, opts), m
}

// epoch is what a manual clock shows at first.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// patient is a context that ends with the test, or when something hangs. It also ends outside of it when the test is
// already over, as it is in a Cleanup.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// sleep lets the bubble's time pass, and then everything that this brought about.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// run moves a manual clock and waits for what the driver does at each deadline on the way; handlers may still be running.
func run(t testing.TB, m *clock.Manual, d time.Duration) {
	t.Helper()
	if err := m.Run(patient(t), d); err != nil {
		t.Fatalf("run %v: %v", d, err)
	}
}

// put is Put that must succeed.
func put(t testing.TB, e *timer.Engine, name string, s schedule.Schedule, fn timer.Handler, opts ...timer.Option) timer.Task {
	t.Helper()
	task, err := e.Put(name, s, fn, opts...)
	if err != nil {
		t.Fatalf("Put %q %v: %v", name, s, err)
	}
	return task
}

// after is put with a delay and a function that only takes note, in j.
func after(t testing.TB, e *timer.Engine, j *journal, name string, d time.Duration, opts ...timer.Option) timer.Task {
	t.Helper()
	return put(t, e, name, schedule.After(d), j.handler(name), opts...)
}

// recv waits for a value on the real clock.
func recv[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

// same compares got and want.
func same(t testing.TB, what string, got, want any, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantErr checks that the error wraps the target and is a *timer.Error.
func wantErr(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: error is %v, want %v", what, err, target)
		return
	}
	var te *timer.Error
	if target != nil && !errors.As(err, &te) {
		t.Errorf("%s: error is a %T, want a *timer.Error", what, err)
	}
}

// A journal takes note of what happened and how long after its start: in a bubble "C@1s".
type journal struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func newJournal() *journal { return &journal{start: time.Now()} }

// note adds a line with the time.
func (j *journal) note(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%s@%v", what, time.Since(j.start)))
}

// add adds a line as it is.
func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// handler notes that it ran.
func (j *journal) handler(what string) timer.Handler {
	return func(context.Context) error {
		j.note(what)
		return nil
	}
}

// read returns a copy of what was noted so far; nil if nothing.
func (j *journal) read() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// want compares what was noted so far.
func (j *journal) want(t testing.TB, lines ...string) {
	t.Helper()
	same(t, "journal", j.read(), lines)
}

// nothing is a handler that does nothing.
func nothing(context.Context) error { return nil }

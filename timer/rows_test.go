package timer_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// rows2Bubble runs f in a bubble with an engine that is closed afterwards, and holds the engine to what must be true at
// every end: it closes, nothing was early.
func rows2Bubble(t *testing.T, o timer.Options, f func(*testing.T, *timer.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := timer.New(o)
		defer rows2Close(t, e)
		f(t, e)
	})
}

func rows2Close(t *testing.T, e *timer.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if _, err := e.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if s := e.Stats(); s.Early != 0 || s.Pending != 0 || s.Running != 0 || s.Goroutines != 0 {
		t.Errorf("after Close: early %d, pending %d, running %d, goroutines %d, want none", s.Early, s.Pending, s.Running, s.Goroutines)
	}
}

// rows2Trace notes what happens when, as "what@time since the trace was made".
type rows2Trace struct {
	start time.Time
	since func() time.Duration
	round time.Duration // times are cut to it
	mu    sync.Mutex
	notes []string
}

func rows2NewTrace() *rows2Trace {
	start := time.Now()
	return &rows2Trace{start: start, since: func() time.Duration { return time.Since(start) }}
}

func (tr *rows2Trace) note(what string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.notes = append(tr.notes, what+"@"+tr.since().Truncate(tr.round).String())
}

// run is a handler that notes its task's name and takes d.
func (tr *rows2Trace) run(d time.Duration) timer.Handler {
	return func(ctx context.Context) error {
		a, _ := timer.TaskFrom(ctx)
		tr.note(a.Name)
		time.Sleep(d)
		return nil
	}
}

// take returns the notes and forgets them. Those of one instant are sorted: their order is not promised.
func (tr *rows2Trace) take() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	notes := tr.notes
	tr.notes = nil
	return rows2SortTies(notes)
}

func rows2SortTies(notes []string) []string {
	at := func(s string) string { return s[strings.LastIndexByte(s, '@'):] }
	for i := 0; i < len(notes); {
		j := i + 1
		for j < len(notes) && at(notes[j]) == at(notes[i]) {
			j++
		}
		slices.Sort(notes[i:j])
		i = j
	}
	return notes
}

func (tr *rows2Trace) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(rows2SortTies(want), tr.take()); diff != "" {
		t.Errorf("what ran (-want +got):\n%s", diff)
	}
}

func rows2Put(t *testing.T, e *timer.Engine, name string, s schedule.Schedule, fn timer.Handler, opts ...timer.Option) timer.Task {
	t.Helper()
	task, err := e.Put(name, s, fn, opts...)
	if err != nil {
		t.Fatalf("put: %v", err)
	}
	return task
}

func rows2Nothing(context.Context) error { return nil }

// rows2Is reports errors that do not wrap what they should; nil stands for none.
func rows2Is(t *testing.T, what string, err, want error) {
	t.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func rows2Goroutine() string {
	var b [64]byte
	return strings.Fields(string(b[:runtime.Stack(b[:], false)]))[1]
}

func rows2Names(infos func(func(timer.Info) bool)) []string {
	names := []string{}
	for info := range infos {
		names = append(names, info.Name)
	}
	slices.Sort(names)
	return names
}

func rows2Goexit() { runtime.Goexit() }

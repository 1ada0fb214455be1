package wait_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/wait"
)

// A line is what a Semaphore and a RWMutex must be like: a queue of calls and what they want, told one thing at a time, in a
// bubble, where all that follows has happened before the next. It is the specification, by the dullest means.
type line struct {
	size, held int64
	queue      []*queued
	ended      map[int]string // how each call has ended
	calls      int
}

type queued struct {
	id   int
	want int64
	at   time.Time // when it gives up; zero is never
}

func (l *line) add(want int64, at time.Time) int {
	l.calls++
	if want == 0 {
		l.ended[l.calls] = "granted" // nothing is always to be had
		return l.calls
	}
	l.queue = append(l.queue, &queued{id: l.calls, want: want, at: at})
	return l.calls
}

// settle lets in whom it can.
func (l *line) settle() {
	var rest []*queued
	full := false
	for _, q := range l.queue {
		switch {
		case q.want > l.size: // keeps its place, and nobody out
			rest = append(rest, q)
		case !full && q.want <= l.size-l.held:
			l.held += q.want
			l.ended[q.id] = "granted"
		default:
			full = true
			rest = append(rest, q)
		}
	}
	l.queue = rest
}

func (l *line) end(id int, how string) {
	var rest []*queued
	for _, q := range l.queue {
		if q.id == id {
			l.ended[id] = how
		} else {
			rest = append(rest, q)
		}
	}
	l.queue = rest
	l.settle()
}

// try says whether a call that does not wait is let in.
func (l *line) try(want int64) bool {
	id := l.add(want, time.Time{})
	l.settle()
	granted := l.ended[id] == "granted"
	l.end(id, "refused")
	delete(l.ended, id)
	return granted
}

// passTo lets time pass: calls give up in the order of their ends, and others are let in meanwhile.
func (l *line) passTo(now time.Time) {
	for {
		var first *queued
		for _, q := range l.queue {
			if !q.at.IsZero() && !q.at.After(now) && (first == nil || q.at.Before(first.at)) {
				first = q
			}
		}
		if first == nil {
			return
		}
		l.end(first.id, "timed out")
	}
}

// A record is what really happened to the calls.
type record struct {
	mu      sync.Mutex
	ended   map[int]string
	cancels map[int]func()
}

func (r *record) note(id int, err error) {
	how := "granted"
	switch {
	case errors.Is(err, wait.ErrTimeout):
		how = "timed out"
	case errors.Is(err, errEnough):
		how = "cancelled"
	case err != nil:
		how = err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.ended[id]; ok {
		how = was + ", then " + how
	}
	r.ended[id] = how
}

// cancelOne cancels one of the calls that wait in the model, if it can be cancelled.
func (r *record) cancelOne(t *rapid.T, model *line) {
	t.Helper()
	if len(model.queue) == 0 {
		t.Skip("nobody waits")
	}
	id := rapid.SampledFrom(model.queue).Draw(t, "whom").id
	if cancel := r.cancels[id]; cancel != nil {
		cancel()
		model.end(id, "cancelled")
	}
}

// over ends what still waits, so that the bubble can.
func (r *record) over() {
	for _, cancel := range r.cancels {
		cancel()
	}
	time.Sleep(time.Minute)
}

// Any sequence of calls that wait, for a time, for a context or as a callback, of ends, releases and changes of the size does
// to a Semaphore what it does to the line.
func TestSemaphore_IsALine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, semaphoreProperty) })
}

func semaphoreProperty(t *rapid.T) {
	size := rapid.Int64Range(0, 5).Draw(t, "size")
	s := wait.NewSemaphore(size)
	model := &line{size: size, ended: map[int]string{}}
	really := &record{ended: map[int]string{}, cancels: map[int]func(){}}
	defer really.over()
	wants := rapid.Int64Range(0, 4)
	fits := func(n int64) bool { return n <= model.size }
	t.Repeat(map[string]func(*rapid.T){
		"acquire": func(t *rapid.T) {
			n := wants.Draw(t, "n")
			ctx, cancel := context.WithCancelCause(context.Background())
			if !fits(n) {
				cancel(nil)
				if err := s.Acquire(context.Background(), n); !errors.Is(err, wait.ErrTooMany) {
					t.Errorf("acquire %d of %d: %v", n, model.size, err)
				}
				return
			}
			id := model.add(n, time.Time{})
			really.cancels[id] = func() { cancel(errEnough) }
			go func() { really.note(id, s.Acquire(ctx, n)) }()
		},
		"acquire for a time": func(t *rapid.T) {
			n := wants.Draw(t, "n")
			if !fits(n) {
				t.Skip("see acquire")
			}
			// An odd number of nanoseconds of its own, so that no two calls give up at one instant.
			d := time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds"))*time.Second + time.Duration(model.calls+1)
			id := model.add(n, time.Now().Add(d))
			go func() { really.note(id, s.AcquireFor(d, n)) }()
		},
		"acquire for a callback": func(t *rapid.T) {
			n := wants.Draw(t, "n")
			id := model.add(n, time.Time{})
			stop := s.AcquireFunc(n, func() { really.note(id, nil) })
			really.cancels[id] = func() {
				if stop() {
					really.note(id, errEnough)
				}
			}
		},
		"try": func(t *rapid.T) {
			n := wants.Draw(t, "n")
			want := model.try(n)
			if got := s.TryAcquire(n); got != want {
				t.Errorf("TryAcquire(%d) is %t, want %t", n, got, want)
			}
		},
		"cancel": func(t *rapid.T) { really.cancelOne(t, model) },
		"release": func(t *rapid.T) {
			n := rapid.Int64Range(0, model.held).Draw(t, "n")
			s.Release(n)
			model.held -= n
		},
		"resize": func(t *rapid.T) {
			model.size = rapid.Int64Range(0, 5).Draw(t, "n")
			s.Resize(model.size)
		},
		"pass": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)
			model.passTo(time.Now())
		},
		"": func(t *rapid.T) {
			synctest.Wait()
			model.settle()
			really.mu.Lock()
			defer really.mu.Unlock()
			if diff := cmp.Diff(model.ended, really.ended); diff != "" {
				t.Fatalf("how calls have ended (-want +got):\n%s", diff)
			}
			if s.Size() != model.size || s.Held() != model.held || s.Waiting() != len(model.queue) {
				t.Fatalf("size %d, held %d, waiting %d, want %d, %d, %d", s.Size(), s.Held(), s.Waiting(), model.size, model.held, len(model.queue))
			}
		},
	})
}

// A RWMutex is a line as well, of so many permits that a reader wants one and a writer all of them.
func TestRWMutex_IsALine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, rwMutexProperty) })
}

func rwMutexProperty(t *rapid.T) {
	const all = 1 << 20
	var rw wait.RWMutex
	model := &line{size: all, ended: map[int]string{}}
	really := &record{ended: map[int]string{}, cancels: map[int]func(){}}
	defer really.over()
	kind := rapid.SampledFrom([]int64{1, 1, all})
	t.Repeat(map[string]func(*rapid.T){
		"lock": func(t *rapid.T) {
			want := kind.Draw(t, "want")
			ctx, cancel := context.WithCancelCause(context.Background())
			id := model.add(want, time.Time{})
			really.cancels[id] = func() { cancel(errEnough) }
			go func() {
				if want == all {
					really.note(id, rw.LockContext(ctx))
				} else {
					really.note(id, rw.RLockContext(ctx))
				}
			}()
		},
		"lock for a time": func(t *rapid.T) {
			want := kind.Draw(t, "want")
			d := time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds"))*time.Second + time.Duration(model.calls+1)
			id := model.add(want, time.Now().Add(d))
			go func() {
				if want == all {
					really.note(id, rw.LockFor(d))
				} else {
					really.note(id, rw.RLockFor(d))
				}
			}()
		},
		"try": func(t *rapid.T) {
			want := kind.Draw(t, "want")
			wantOK := model.try(want)
			got := want == all && rw.TryLock() || want == 1 && rw.TryRLock()
			if got != wantOK {
				t.Errorf("try for %d: %t, want %t", want, got, wantOK)
			}
		},
		"cancel": func(t *rapid.T) { really.cancelOne(t, model) },
		"unlock": func(t *rapid.T) {
			switch model.held {
			case 0:
				t.Skip("not locked")
			case all:
				rw.Unlock()
				model.held = 0
			default:
				rw.RUnlock()
				model.held--
			}
		},
		"pass": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)
			model.passTo(time.Now())
		},
		"": func(t *rapid.T) {
			synctest.Wait()
			model.settle()
			really.mu.Lock()
			defer really.mu.Unlock()
			if diff := cmp.Diff(model.ended, really.ended); diff != "" {
				t.Fatalf("how calls have ended (-want +got):\n%s", diff)
			}
			if model.held != 0 && rw.TryLock() {
				t.Fatal(fmt.Sprint("a writer beside ", model.held))
			}
		},
	})
}

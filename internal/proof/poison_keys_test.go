package proof_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/contract"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/pebble"
)

// A jam is a scheduler some of whose tasks hang on one key, while others are to be as punctual as if they did not. It lives in a bubble.
type jam struct {
	s    *duly.Scheduler
	st   *pebble.Store
	free *duly.Kind[int]
	hang *duly.Kind[int]
	ran  chan error

	release chan struct{} // closed: what hangs returns, and what comes after does not hang

	mu      sync.Mutex
	hanging int
	order   []int // payloads of those that were to hang, as they began
	late    map[string]time.Duration
}

func newJam(t *testing.T) *jam {
	t.Helper()
	st, err := pebble.Open("store", pebble.Options{FS: vfs.NewMem(), MinFree: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	j := &jam{s: s, st: st, ran: make(chan error, 1), release: make(chan struct{}), late: map[string]time.Duration{}}
	j.free = duly.Handle(s, "free", func(_ context.Context, a *duly.Attempt[int]) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.late[a.RunID] = max(time.Since(a.Due), a.Started.Sub(a.Due))
		return nil
	})
	j.hang = duly.Handle(s, "hang", func(ctx context.Context, a *duly.Attempt[int]) error {
		j.mu.Lock()
		j.hanging++
		j.order = append(j.order, a.Payload)
		j.mu.Unlock()
		defer func() {
			j.mu.Lock()
			j.hanging--
			j.mu.Unlock()
		}()
		select {
		case <-j.release:
			if a.Payload%100 == 99 {
				time.Sleep(time.Microsecond) // else all have their turn before the test looks again
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return j
}

// put puts n tasks that hang, due now, and others that are due one by one within a minute, on ten keys and on none.
func (j *jam) put(t *testing.T, n, limit, others int) {
	t.Helper()
	from := time.Now().Add(-time.Hour)
	jammed := func(yield func(duly.Item[int]) bool) {
		for i := range n {
			at := schedule.At(from.Add(time.Duration(i) * time.Millisecond))
			if !yield(duly.Item[int]{Name: fmt.Sprintf("hang-%06d", i), Payload: i, Schedule: at, Options: []duly.PutOption{duly.Key("k", limit)}}) {
				return
			}
		}
	}
	free := func(yield func(duly.Item[int]) bool) {
		due := time.Duration(0)
		for i := range others {
			due += time.Duration(1+rand.Int64N(2*int64(time.Minute/time.Microsecond)/int64(others))) * time.Microsecond
			it := duly.Item[int]{Name: fmt.Sprintf("free-%06d", i), Schedule: schedule.After(due)}
			if i%11 > 0 {
				it.Options = []duly.PutOption{duly.Key(fmt.Sprintf("k%d", i%11), 1)}
			}
			if !yield(it) {
				return
			}
		}
	}
	for _, put := range []func() ([]duly.Entry, error){
		func() ([]duly.Entry, error) { return j.hang.PutMany(t.Context(), iter.Seq[duly.Item[int]](jammed)) },
		func() ([]duly.Entry, error) { return j.free.PutMany(t.Context(), iter.Seq[duly.Item[int]](free)) },
	} {
		es, err := put()
		for i := range es {
			err = errors.Join(err, es[i].Err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.free.Put(t.Context(), "free-again", 0, schedule.Every(time.Second), duly.Key("k0", 1)); err != nil {
		t.Fatal(err)
	}
}

// watch runs the scheduler for two minutes, in which all the others have run, and returns the most that it had in memory.
func (j *jam) watch(t *testing.T, others int) (near int) {
	t.Helper()
	go func() { j.ran <- j.s.Run(context.WithoutCancel(t.Context())) }()
	for range 121 {
		time.Sleep(time.Second)
		n, err := j.s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		near = max(near, n.Near)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if want := others + 121; len(j.late) < want-1 || len(j.late) > want {
		t.Errorf("%d others have run, want %d", len(j.late), want)
	}
	for id, late := range j.late {
		if late != 0 {
			t.Errorf("%s began %v late, want on time", id, late)
			break
		}
	}
	return near
}

func (j *jam) end(t *testing.T) {
	t.Helper()
	if err := errors.Join(j.s.Close(t.Context()), <-j.ran, j.st.Close()); err != nil {
		t.Error(err)
	}
}

// TestHanging: a thousand handlers that hang on one key make nobody on another key late, whether they all run or most wait for the few.
//
// contract: J2
// contract: D6
func TestHanging(t *testing.T) {
	const n, others = 1000, 500
	for _, limit := range []int{n, 10, 1} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJam(t)
				j.put(t, n, limit, others)
				j.watch(t, others)
				j.mu.Lock()
				if j.hanging != limit {
					t.Errorf("%d hang, want %d", j.hanging, limit)
				}
				j.mu.Unlock()
				j.end(t)
			})
		})
	}
}

// TestSaturatedKey: of a hundred thousand tasks that are due and wait for one key, few are in memory, nobody on another key is late, and
// when the one that hangs ends they all have their turn, in order.
//
// contract: J2
// contract: C3
func TestSaturatedKey(t *testing.T) {
	n, turns := 100_000, 300
	const others = 500
	switch {
	case long():
		turns = n
	case contract.UnderRace:
		n, turns = 20_000, 100
	}
	synctest.Test(t, func(t *testing.T) {
		j := newJam(t)
		j.put(t, n, 1, others)
		if near := j.watch(t, others); near > others {
			t.Errorf("%d tasks in memory, want no more than %d", near, others)
		}
		close(j.release)
		for began := 0; began < turns; {
			time.Sleep(10 * time.Microsecond)
			j.mu.Lock()
			if began == len(j.order) {
				t.Errorf("%d have had their turn, and nobody is running", began)
				began = turns
			}
			began = max(began, len(j.order))
			j.mu.Unlock()
		}
		j.mu.Lock()
		for i, got := range j.order {
			if got != i {
				t.Errorf("number %d has begun as number %d", got, i)
				break
			}
		}
		j.mu.Unlock()
		j.end(t)
	})
}

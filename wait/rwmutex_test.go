package wait_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// Readers are inside together, a writer alone.
func TestRWMutex_ReadersShare(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		rw := &wait.RWMutex{Engine: v.Engine}
		rw.RLock()
		if !rw.TryRLock() || rw.RLockFor(0) != nil || rw.RLockContext(t.Context()) != nil {
			t.Error("readers do not share")
		}
		if rw.TryLock() || !errors.Is(rw.LockFor(0), wait.ErrTimeout) {
			t.Error("a writer among readers")
		}
		parktest.MustPanic(t, rw.Unlock)
		for range 3 {
			rw.RUnlock()
			if rw.TryLock() {
				t.Error("a writer while a reader is left")
			}
		}
		rw.RUnlock()
		parktest.MustPanic(t, rw.RUnlock)
		if !rw.TryLock() {
			t.Error("not free")
		}
		if rw.TryRLock() || rw.TryLock() || !errors.Is(rw.RLockFor(-1), wait.ErrTimeout) {
			t.Error("somebody beside a writer")
		}
		parktest.MustPanic(t, rw.RUnlock)
		rw.Unlock()
		parktest.MustPanic(t, rw.Unlock)
	})
}

// A writer that waits keeps new readers out, and they enter together when it has left.
func TestRWMutex_ReadersWaitBehindAWriter(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		rw := &wait.RWMutex{Engine: v.Engine}
		rw.RLock()
		write := call(func() error { return rw.LockFor(time.Hour) })
		synctest.Wait()
		var readers []<-chan error
		for range 5 {
			readers = append(readers, call(func() error { return rw.RLockContext(t.Context()) }))
		}
		synctest.Wait()
		later := call(func() error { return rw.LockContext(t.Context()) })
		v.Pass(time.Minute)
		if rw.TryRLock() {
			t.Error("a newcomer overtakes the writer")
		}
		rw.RUnlock()
		synctest.Wait()
		if err, ok := returned(write); !ok || err != nil {
			t.Fatalf("the writer: returned %t, %v", ok, err)
		}
		for i, c := range readers {
			if err, ok := returned(c); ok {
				t.Errorf("reader %d beside the writer: %v", i, err)
			}
		}
		rw.Unlock()
		synctest.Wait()
		for range readers {
			rw.RUnlock() // panics if it was not inside
		}
		for i, c := range readers {
			if err, ok := returned(c); !ok || err != nil {
				t.Errorf("reader %d: returned %t, %v", i, ok, err)
			}
		}
		if err := <-later; err != nil {
			t.Errorf("the second writer: %v", err)
		}
		rw.Unlock()
	})
}

// A writer that gives up lets the readers in that came behind it, and is itself no writer.
func TestRWMutex_WriterThatGivesUp(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		rw := &wait.RWMutex{Engine: v.Engine}
		ctx, cancel := context.WithCancelCause(t.Context())
		for _, giveUp := range []struct {
			lock func() error
			end  func()
			want error
		}{
			{func() error { return rw.LockFor(time.Minute) }, func() { v.Pass(time.Minute) }, wait.ErrTimeout},
			{func() error { return rw.LockContext(ctx) }, func() { cancel(errEnough) }, errEnough},
		} {
			rw.RLock()
			write := call(giveUp.lock)
			synctest.Wait()
			first := call(func() error { return rw.RLockFor(time.Hour) })
			second := call(func() error { return rw.RLockFor(time.Hour) })
			v.Pass(0)
			if _, ok := returned(first); ok {
				t.Error("a reader has overtaken the writer")
			}
			giveUp.end()
			if err := <-write; !errors.Is(err, giveUp.want) {
				t.Errorf("the writer: %v, want %v", err, giveUp.want)
			}
			synctest.Wait()
			for _, c := range []<-chan error{first, second} {
				if err, ok := returned(c); !ok || err != nil {
					t.Errorf("a reader: returned %t, %v", ok, err)
				}
			}
			for range 3 {
				rw.RUnlock()
			}
			if !rw.TryLock() {
				t.Error("not free")
			}
			rw.Unlock()
		}
	})
}

// A reader that gives up lets the readers behind it wait on for the writer inside.
func TestRWMutex_ReaderThatGivesUp(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		rw := &wait.RWMutex{Engine: v.Engine}
		rw.Lock()
		short := call(func() error { return rw.RLockFor(time.Second) })
		long := call(func() error { return rw.RLockFor(time.Hour) })
		v.Pass(time.Second)
		if err, ok := returned(short); !ok || !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("short: returned %t, %v", ok, err)
		}
		if err, ok := returned(long); ok {
			t.Errorf("long: beside the writer: %v", err)
		}
		rw.Unlock()
		if err := <-long; err != nil {
			t.Errorf("long: %v", err)
		}
		rw.RUnlock()
	})
}

func TestRWMutex_RLocker(t *testing.T) {
	var rw wait.RWMutex
	l := rw.RLocker()
	l.Lock()
	if rw.TryLock() || !rw.TryRLock() {
		t.Error("not a reader's lock")
	}
	rw.RUnlock()
	l.Unlock()
	if !rw.TryLock() {
		t.Error("not unlocked")
	}
	parktest.MustPanic(t, l.Unlock)
	rw.Unlock()
}

// No writer starves among readers that are never all outside, and no reader among writers.
func TestRWMutex_NobodyStarves(t *testing.T) {
	var rw wait.RWMutex
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if i%2 == 0 {
					through(rw.RLocker())
				} else {
					through(&rw)
				}
			}
		})
	}
	for range parktest.Rounds(5000) { // hangs, if somebody starves
		through(&rw)
		through(rw.RLocker())
	}
	stop.Store(true)
	wg.Wait()
}

// However calls end, no reader is inside with a writer, no two writers are, and nothing is held in the end.
func TestRWMutex_Conserves(t *testing.T) {
	const callers = 32
	var rw wait.RWMutex
	var state atomic.Int64 // readers, or -1 for a writer
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range parktest.Rounds(1000) {
				reads := rand.IntN(3) > 0
				lock, lockFor, unlock, step := rw.LockContext, rw.LockFor, rw.Unlock, int64(-1)
				if reads {
					lock, lockFor, unlock, step = rw.RLockContext, rw.RLockFor, rw.RUnlock, 1
				}
				if limited(lock, lockFor) != nil {
					continue
				}
				if n := state.Add(step); reads && n < 1 || !reads && n != -1 {
					t.Errorf("reads: %t, and the state is %d", reads, n)
				}
				if rand.IntN(8) == 0 {
					_ = wait.Sleep(t.Context(), 20*time.Microsecond)
				}
				state.Add(-step)
				unlock()
			}
		})
	}
	wg.Wait()
	if !rw.TryLock() {
		t.Error("not free in the end")
	}
}

// limited calls a blocking operation with a limit taken at random: a context that may be cancelled meanwhile, or a time.
func limited(untilDone func(context.Context) error, within func(time.Duration) error) error {
	switch rand.IntN(4) {
	case 0:
		return within(time.Duration(rand.IntN(200)-20) * time.Microsecond)
	case 1:
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		return untilDone(ctx)
	case 2:
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		pause := time.Duration(rand.IntN(200)) * time.Microsecond
		slept := make(chan struct{})
		go func() {
			_ = wait.Sleep(ctx, pause)
			cancel()
			close(slept)
		}()
		err := untilDone(ctx)
		cancel()
		<-slept // so that it has no deadline any more
		return err
	default:
		return untilDone(context.Background())
	}
}

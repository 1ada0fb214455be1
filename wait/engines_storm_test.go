package wait_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// The real engine is closed in the middle of calls of all kinds, with and without times and contexts: each call is answered,
// nobody has what somebody else has, and in the end everything is free.
func TestEngineCloses_InAStorm(t *testing.T) {
	var closed atomic.Int64
	for range parktest.Rounds(160) {
		e := timer.New()
		s := newStormed(e)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 60 {
					err := s.one(t)
					switch {
					case errors.Is(err, timer.ErrClosed):
						closed.Add(1)
					case err != nil && !errors.Is(err, wait.ErrTimeout) && !errors.Is(err, context.Canceled):
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for range rand.IntN(300) {
				runtime.Gosched()
			}
			if _, err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		s.check(t)
	}
	if closed.Load() == 0 {
		t.Error("no call has met the close")
	}
	t.Logf("%d calls have met the close", closed.Load())
}

// stormed is what a storm is about.
type stormed struct {
	m      *wait.Mutex
	rw     *wait.RWMutex
	sem    *wait.Semaphore
	group  *wait.Group
	pool   *wait.Pool
	cond   *wait.Cond
	count  int // guarded by m, and changed by who holds it for writing
	inside atomic.Int64

	mu   sync.Mutex
	futs []*wait.Future[int]
}

func newStormed(e *timer.Engine) *stormed {
	s := &stormed{m: &wait.Mutex{Engine: e}, rw: &wait.RWMutex{Engine: e}, sem: wait.NewSemaphore(3), group: &wait.Group{Engine: e}, pool: newPool(e, 2, 2)}
	s.sem.Engine = e
	s.group.SetLimit(2)
	s.cond = &wait.Cond{Engine: e, L: s.m}
	return s
}

// one makes one call.
func (s *stormed) one(t *testing.T) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := time.Duration(rand.IntN(4)-1) * 50 * time.Microsecond
	if rand.IntN(3) == 0 {
		d = time.Hour
	}
	byContext := rand.IntN(4) == 0
	if byContext && rand.IntN(2) == 0 {
		go cancel()
	}
	switch rand.IntN(7) {
	case 0:
		f := func() { s.count++; s.cond.Signal(); runtime.Gosched() }
		if byContext {
			return s.m.DoContext(ctx, f)
		}
		return s.m.DoFor(d, f)
	case 1:
		return had(func() { runtime.Gosched(); s.rw.Unlock() })(s.rw.LockFor(d))
	case 2:
		return had(func() { runtime.Gosched(); s.rw.RUnlock() })(s.rw.RLockFor(d))
	case 3:
		n := rand.Int64N(3) + 1
		give := had(func() {
			if got := s.inside.Add(n); got > 3 {
				t.Errorf("%d of 3 permits are held", got)
			}
			runtime.Gosched()
			s.inside.Add(-n)
			s.sem.Release(n)
		})
		if byContext {
			return give(s.sem.Acquire(ctx, n))
		}
		return give(s.sem.AcquireFor(d, n))
	case 4:
		return s.group.GoFor(d, func() error { runtime.Gosched(); return nil })
	case 5:
		return s.submit(d)
	}
	s.m.Lock()
	defer s.m.Unlock()
	if d == time.Hour { // nobody might come after the close
		d = 100 * time.Microsecond
	}
	seen := s.count
	return s.cond.WaitUntilFor(d, func() bool { return s.count > seen })
}

func (s *stormed) submit(d time.Duration) error {
	var opts []wait.SubmitOption
	if rand.IntN(2) == 0 {
		opts = append(opts, wait.StartWithin(time.Duration(rand.IntN(100))*time.Microsecond))
	}
	f, err := wait.SubmitFor(context.Background(), d, s.pool, func(context.Context) (int, error) { runtime.Gosched(); return 1, nil }, opts...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.futs = append(s.futs, f)
	s.mu.Unlock()
	if rand.IntN(3) == 0 {
		f.Cancel()
	}
	return nil
}

// check wants everything to be free, and answered.
func (s *stormed) check(t *testing.T) {
	t.Helper()
	if err := s.group.Wait(); err != nil {
		t.Error(err)
	}
	if err := s.pool.Join(t.Context()); err != nil {
		t.Error(err)
	}
	for _, f := range s.futs {
		if _, ok, _ := f.TryGet(); !ok {
			t.Error("a future is not answered")
		}
	}
	if !s.m.TryLock() || !s.rw.TryLock() || !s.sem.TryAcquire(3) || !s.group.TryGo(func() error { return nil }) {
		t.Error("not everything is free")
	}
	if n := s.sem.Waiting() + s.cond.Waiting() + s.pool.Queued() + s.pool.Running(); n != 0 {
		t.Errorf("%d are left", n)
	}
	if err := s.group.Wait(); err != nil {
		t.Error(err)
	}
}

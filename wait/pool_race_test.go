package wait_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// Everything at once, on the real clock: what was accepted is answered once, by its result or by why it did not run; what was
// called off has not run; there are never more at a time than the size, and nothing is left.
func TestPool_Conserves(t *testing.T) {
	for name, end := range map[string]func(*wait.Pool, context.Context) error{"Drain": (*wait.Pool).Drain, "Close": (*wait.Pool).Close} {
		t.Run(name, func(t *testing.T) {
			const size, callers = 3, 8
			p := wait.NewPool(size, wait.PoolOptions{Queue: 5})
			var ran, inside, over, accepted, answered, valued atomic.Int64
			var wg, told sync.WaitGroup
			var mu sync.Mutex
			var all []*wait.Future[int]
			work := func(ctx context.Context) (int, error) {
				if inside.Add(1) > size {
					over.Add(1)
				}
				defer inside.Add(-1)
				ran.Add(1)
				switch rand.IntN(20) {
				case 0:
					panic("work")
				case 1:
					runtime.Goexit()
				case 2:
					time.Sleep(10 * time.Microsecond)
				}
				return 1, ctx.Err()
			}
			for range callers {
				wg.Go(func() {
					for range parktest.Rounds(3_000) {
						ctx, cancel := context.WithCancel(t.Context())
						opts := []wait.SubmitOption{wait.Priority(rand.IntN(3))}
						if rand.IntN(2) == 0 {
							opts = append(opts, wait.StartWithin(time.Duration(rand.IntN(40))*time.Microsecond))
						}
						f, err := wait.SubmitFor(ctx, time.Duration(rand.IntN(100))*time.Microsecond, p, work, opts...)
						if err == nil {
							accepted.Add(1)
							mu.Lock()
							all = append(all, f)
							mu.Unlock()
							told.Add(1)
							f.Then(func(int, error) { answered.Add(1); told.Done() })
							switch rand.IntN(4) {
							case 0:
								cancel()
							case 1:
								f.Cancel()
							case 2:
								_, _ = f.GetFor(time.Duration(rand.IntN(20)) * time.Microsecond)
							}
							told.Go(func() {
								_, err := f.Get(context.WithoutCancel(ctx))
								_, panicked := errors.AsType[*timer.PanicError](err)
								if err == nil || panicked || errors.Is(err, timer.ErrGoexit) {
									valued.Add(1)
								}
								cancel()
							})
						} else {
							cancel()
						}
					}
				})
			}
			if name == "Close" {
				time.Sleep(time.Millisecond)
			} else {
				wg.Wait()
			}
			if err := end(p, t.Context()); err != nil {
				t.Error(err)
			}
			if p.Running() != 0 || p.Queued() != 0 || inside.Load() != 0 {
				t.Errorf("%d run, %d are queued, %d are inside", p.Running(), p.Queued(), inside.Load())
			}
			atEnd := ran.Load()
			wg.Wait()
			for _, f := range all {
				if _, ok, _ := f.TryGet(); !ok {
					t.Errorf("%s has returned before an answer", name)
				}
			}
			told.Wait()
			if ran.Load() != atEnd || over.Load() != 0 || accepted.Load() != answered.Load() || valued.Load() > ran.Load() {
				t.Errorf("%d ran after the end, %d times too many at a time; %d accepted, %d answered; %d values, %d ran",
					ran.Load()-atEnd, over.Load(), accepted.Load(), answered.Load(), valued.Load(), ran.Load())
			}
			t.Logf("%d accepted, %d ran", accepted.Load(), ran.Load())
		})
	}
}

// A deadline, a context and a Cancel race with the start, tens of thousands of times: exactly one wins, and it is what the future
// says.
func TestPool_StartRaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := wait.NewPool(1, wait.PoolOptions{Queue: 1})
		counts := map[string]int{}
		for range parktest.Rounds(20_000) {
			end := make(chan struct{})
			mustSubmit(t, p, func(context.Context) (int, error) { <-end; return 0, nil })
			ctx, cancel := context.WithCancelCause(t.Context())
			ran := false
			f, err := wait.Submit(ctx, p, func(context.Context) (int, error) { ran = true; return 1, nil }, wait.StartWithin(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range rand.Perm(3) {
				switch i {
				case 0:
					go func() { time.Sleep(time.Second); close(end) }()
				case 1:
					if rand.IntN(2) == 0 {
						time.AfterFunc(time.Second, func() { cancel(io.EOF) })
					}
				case 2:
					if rand.IntN(2) == 0 {
						time.AfterFunc(time.Second, func() { f.Cancel() })
					}
				}
			}
			if err := p.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, ok, _ := f.TryGet(); !ok {
				t.Fatal("joined before the answer")
			}
			v, err := f.Get(t.Context())
			switch {
			case err == nil && v == 1 && ran:
				counts["ran"]++
			case errors.Is(err, wait.ErrTimeout) && !ran:
				counts["lapsed"]++
			case errors.Is(err, io.EOF) && !ran:
				counts["its context"]++
			case errors.Is(err, wait.ErrCancelled) && !ran:
				counts["cancelled"]++
			default:
				t.Fatalf("ran: %v; %v, %v", ran, v, err)
			}
			cancel(nil)
		}
		t.Log(counts)
	})
}

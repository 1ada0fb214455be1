package wait_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// What a client of a semaphore calls, and what it is told.
type (
	asked struct {
		op string // acquire, release, resize, held
		n  int64
	}
	told struct {
		err error // of acquire
		n   int64 // of held
	}
	permits struct{ size, held int64 }
)

var errRefused = errors.New("refused by a try")

// permitsModel is a semaphore of one call at a time. If strict, a call for one permit can time out, or be refused, only at a moment
// at which all are held; that is so where every call is for one and nobody resizes.
func permitsModel(size int64, strict bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return permits{size: size} },
		Step: func(state, input, output any) (bool, any) {
			p, in, out := state.(permits), input.(asked), output.(told)
			free := p.size - p.held
			switch in.op {
			case "acquire":
				switch {
				case out.err == nil:
					p.held += in.n
					return in.n <= free, p
				case errors.Is(out.err, errEnough):
					return true, p
				case errors.Is(out.err, wait.ErrTooMany):
					return in.n > p.size, p
				default:
					return !strict || free <= 0, p
				}
			case "release":
				p.held -= in.n
				return p.held >= 0, p
			case "resize":
				p.size = in.n
				return true, p
			default:
				return out.n == p.held, p
			}
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprint(input, output) },
	}
}

// A history is what clients have called and were told, with the order of all calls and returns.
type history struct {
	ticks atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) do(client int, in asked, f func() told) told {
	called := h.ticks.Add(1)
	out := f()
	ended := h.ticks.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: called, Return: ended})
	return out
}

func (h *history) check(t *testing.T, model porcupine.Model) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := porcupine.CheckOperationsTimeout(model, h.ops, time.Minute); got != porcupine.Ok {
		slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range h.ops {
			t.Logf("%4d-%4d client %d: %v", op.Call, op.Return, op.ClientId, model.DescribeOperation(op.Input, op.Output))
		}
		t.Errorf("not the history of any order of these calls: %s", got)
	}
}

// client takes and gives back, in all ways, so many times. acquire and release are what it works on.
func (h *history) client(id, calls int, most int64, s *wait.Semaphore, l lock) {
	try, acquire, acquireFor, release := s.TryAcquire, s.Acquire, s.AcquireFor, s.Release
	if l != nil {
		try = func(int64) bool { return l.TryLock() }
		acquire = func(ctx context.Context, _ int64) error { return l.LockContext(ctx) }
		acquireFor = func(d time.Duration, _ int64) error { return l.LockFor(d) }
		release = func(int64) { l.Unlock() }
	}
	for range calls {
		n := 1 + rand.Int64N(most)
		out := h.do(id, asked{"acquire", n}, func() told {
			switch rand.IntN(4) {
			case 0:
				if try(n) {
					return told{}
				}
				return told{err: errRefused}
			case 1:
				ctx, cancel := context.WithCancelCause(context.Background())
				go func() {
					if rand.IntN(2) == 0 {
						_ = wait.Sleep(context.Background(), time.Duration(rand.IntN(100))*time.Microsecond)
					}
					cancel(errEnough)
				}()
				return told{err: acquire(ctx, n)}
			default:
				return told{err: acquireFor(time.Duration(rand.IntN(150)-10)*time.Microsecond, n)}
			}
		})
		if out.err != nil {
			continue
		}
		if rand.IntN(2) == 0 {
			_ = wait.Sleep(context.Background(), time.Duration(rand.IntN(50))*time.Microsecond)
		} else {
			runtime.Gosched()
		}
		h.do(id, asked{"release", n}, func() told { release(n); return told{} })
	}
}

// Mixed calls, timed out, cancelled and refused, have an order in which they could have come one after the other.
func TestLinearizable(t *testing.T) {
	const clients, calls = 8, 25
	run := func(t *testing.T, model porcupine.Model, setUp func() (h *history, client func(id int))) {
		t.Helper()
		granted, not := 0, 0
		for range parktest.Rounds(80) {
			h, client := setUp()
			var wg sync.WaitGroup
			for id := range clients {
				wg.Go(func() { client(id) })
			}
			wg.Wait()
			h.check(t, model)
			for _, op := range h.ops {
				if op.Input.(asked).op == "acquire" {
					if op.Output.(told).err == nil {
						granted++
					} else {
						not++
					}
				}
			}
		}
		if granted == 0 || not == 0 {
			t.Errorf("nothing was mixed: %d granted, %d not", granted, not)
		}
	}
	for name, newLock := range locks {
		t.Run(name, func(t *testing.T) {
			run(t, permitsModel(1, true), func() (*history, func(int)) {
				h, l := &history{}, newLock(nil)
				return h, func(id int) { h.client(id, calls, 1, nil, l) }
			})
		})
	}
	t.Run("Semaphore of three", func(t *testing.T) {
		run(t, permitsModel(3, true), func() (*history, func(int)) {
			h, s := &history{}, wait.NewSemaphore(3)
			return h, func(id int) { h.client(id, calls, 1, s, nil) }
		})
	})
	t.Run("Semaphore with weights", func(t *testing.T) {
		run(t, permitsModel(4, false), func() (*history, func(int)) {
			h, s := &history{}, wait.NewSemaphore(4)
			return h, func(id int) { h.client(id, calls, 4, s, nil) }
		})
	})
	t.Run("Semaphore that is resized and looked at", func(t *testing.T) {
		run(t, permitsModel(4, false), func() (*history, func(int)) {
			h, s := &history{}, wait.NewSemaphore(4)
			return h, func(id int) {
				if id > 1 {
					h.client(id, calls, 4, s, nil)
					return
				}
				for range calls {
					if id == 0 {
						n := 1 + rand.Int64N(5)
						h.do(id, asked{"resize", n}, func() told { s.Resize(n); return told{} })
					} else {
						h.do(id, asked{"held", 0}, func() told { return told{n: s.Held()} })
					}
					_ = wait.Sleep(t.Context(), time.Duration(rand.IntN(100))*time.Microsecond)
				}
			}
		})
	})
}

package wait_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// A bubbleT is a T of a bubble for rapid, which asks for a deadline that a bubble does not tell.
type bubbleT struct{ *testing.T }

func (bubbleT) Deadline() (time.Time, bool) { return time.Time{}, false }

// A crowd is calls that wait for one thing, each with a number, and beside them a list that says what should have become of each.
type crowd struct {
	start   time.Time
	waiting []int // in the order in which they came
	ends    map[int]time.Duration
	cancels map[int]context.CancelFunc
	want    map[int]string

	mu  sync.Mutex
	got map[int]string
}

func newCrowd() *crowd {
	return &crowd{start: time.Now(), ends: map[int]time.Duration{}, cancels: map[int]context.CancelFunc{}, want: map[int]string{}, got: map[int]string{}}
}

// come lets another call wait: for ever, until it is cancelled, or for some seconds.
func (c *crowd) come(rt *rapid.T, forever func(), until func(context.Context) error, within func(time.Duration) error) {
	id := len(c.want) + len(c.waiting)
	c.waiting = append(c.waiting, id)
	f := func() error { forever(); return nil }
	switch rapid.IntRange(0, 2).Draw(rt, "kind") {
	case 1:
		ctx, cancel := context.WithCancel(context.Background())
		c.cancels[id] = cancel
		f = func() error { return until(ctx) }
	case 2:
		d := time.Duration(rapid.IntRange(1, 4).Draw(rt, "seconds")) * time.Second
		c.ends[id] = time.Since(c.start) + d
		f = func() error { return within(d) }
	}
	go func() {
		outcome := "let go"
		switch err := f(); {
		case errors.Is(err, wait.ErrTimeout):
			outcome = "timeout"
		case err != nil:
			outcome = err.Error()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[id] += outcome
	}()
	synctest.Wait()
}

func (c *crowd) leave(id int, outcome string) {
	c.want[id] = outcome
	c.waiting = slices.DeleteFunc(c.waiting, func(other int) bool { return other == id })
}

// letGo is what the n that have waited longest see.
func (c *crowd) letGo(n int) {
	for _, id := range slices.Clone(c.waiting[:min(max(n, 0), len(c.waiting))]) {
		c.leave(id, "let go")
	}
}

func (c *crowd) cancelOne(rt *rapid.T) {
	var who []int
	for _, id := range c.waiting {
		if c.cancels[id] != nil {
			who = append(who, id)
		}
	}
	if len(who) == 0 {
		return
	}
	id := rapid.SampledFrom(who).Draw(rt, "who")
	c.cancels[id]()
	c.leave(id, context.Canceled.Error())
}

func (c *crowd) second(*rapid.T) {
	time.Sleep(time.Second)
	for id, at := range c.ends {
		if at <= time.Since(c.start) && slices.Contains(c.waiting, id) {
			c.leave(id, "timeout")
		}
	}
}

func (c *crowd) check(rt *rapid.T, count func() int) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := count()
	if diff := cmp.Diff(c.want, c.got); diff != "" || waiting != len(c.waiting) {
		rt.Fatalf("%d wait, want %d (-want +got):\n%s", waiting, len(c.waiting), diff)
	}
}

// Random signals, cancels and times on a Cond end exactly those waits that a list says, in its order.
func TestCond_Model(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbleT{t}, func(rt *rapid.T) {
			var mu sync.Mutex
			c, cond := newCrowd(), wait.NewCond(&mu)
			defer func() { // whatever has failed, the bubble must end
				cond.Broadcast()
				for _, cancel := range c.cancels {
					cancel()
				}
			}()
			locked := func(f func() error) error { mu.Lock(); defer mu.Unlock(); return f() }
			rt.Repeat(map[string]func(*rapid.T){
				"wait": func(rt *rapid.T) {
					c.come(rt, func() { _ = locked(func() error { cond.Wait(); return nil }) },
						func(ctx context.Context) error { return locked(func() error { return cond.WaitContext(ctx) }) },
						func(d time.Duration) error { return locked(func() error { return cond.WaitFor(d) }) })
				},
				"signal": func(rt *rapid.T) {
					n := rapid.IntRange(-1, 3).Draw(rt, "n")
					cond.SignalN(n)
					c.letGo(n)
				},
				"broadcast": func(*rapid.T) {
					cond.Broadcast()
					c.letGo(len(c.waiting))
				},
				"cancel": c.cancelOne,
				"second": c.second,
				"":       func(rt *rapid.T) { c.check(rt, cond.Waiting) },
			})
		})
	})
}

// The same with Set, Clear and Pulse of an Event.
func TestEvent_Model(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbleT{t}, func(rt *rapid.T) {
			var event wait.Event
			c, isSet := newCrowd(), false
			defer func() {
				event.Set()
				for _, cancel := range c.cancels {
					cancel()
				}
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"wait": func(rt *rapid.T) {
					c.come(rt, event.Wait, event.WaitContext, event.WaitFor)
					if isSet {
						c.letGo(1)
					}
				},
				"set": func(*rapid.T) {
					event.Set()
					isSet = true
					c.letGo(len(c.waiting))
				},
				"clear": func(*rapid.T) {
					event.Clear()
					isSet = false
				},
				"pulse": func(*rapid.T) {
					event.Pulse()
					isSet = false
					c.letGo(len(c.waiting))
				},
				"cancel": c.cancelOne,
				"second": c.second,
				"": func(rt *rapid.T) {
					c.check(rt, event.Waiting)
					if event.IsSet() != isSet {
						rt.Fatalf("set: %v, want %v", event.IsSet(), isSet)
					}
				},
			})
		})
	})
}

// What a pool with one worker runs, in random order of submitting, cancelling, letting time pass and letting the worker go on, is
// what a list by priority says.
func TestPool_Model(t *testing.T) {
	type entry struct {
		id, priority int
		until        time.Duration
		fut          *wait.Future[int]
	}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbleT{t}, func(rt *rapid.T) {
			const places = 4
			p := wait.NewPool(1, wait.PoolOptions{Queue: places})
			proceed := make(chan struct{})
			start := time.Now()
			var queue []entry
			var got, want []string
			n, busy := 0, false
			defer func() {
				close(proceed)
				if err := p.Close(context.Background()); err != nil { //nolint:usetesting // rt's end is inside of the bubble
					rt.Error(err)
				}
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"submit": func(rt *rapid.T) {
					e := entry{id: n, priority: rapid.IntRange(0, 2).Draw(rt, "priority"), until: 1 << 62}
					opts := []wait.SubmitOption{wait.Priority(e.priority)}
					if d := time.Duration(rapid.IntRange(0, 3).Draw(rt, "seconds")) * time.Second; d > 0 {
						opts = append(opts, wait.StartWithin(d))
						e.until = time.Since(start) + d
					}
					fut, ok := wait.TrySubmit(t.Context(), p, func(context.Context) (int, error) {
						got = append(got, fmt.Sprint("run ", e.id))
						<-proceed
						return e.id, nil
					}, opts...)
					if ok != (!busy || len(queue) < places) {
						rt.Fatalf("accepted: %v with %d queued", ok, len(queue))
					}
					if !ok {
						return
					}
					n++
					if e.fut = fut; busy {
						queue = append(queue, e)
						return
					}
					busy = true
					want = append(want, fmt.Sprint("run ", e.id))
				},
				"go on": func(*rapid.T) {
					if !busy {
						return
					}
					proceed <- struct{}{}
					if len(queue) == 0 {
						busy = false
						return
					}
					next := 0
					for i, e := range queue {
						if e.priority > queue[next].priority {
							next = i
						}
					}
					want = append(want, fmt.Sprint("run ", queue[next].id))
					queue = slices.Delete(queue, next, next+1)
				},
				"cancel": func(rt *rapid.T) {
					if len(queue) > 0 {
						i := rapid.IntRange(0, len(queue)-1).Draw(rt, "which")
						if !queue[i].fut.Cancel() {
							rt.Fatal("not cancelled")
						}
						queue = slices.Delete(queue, i, i+1)
					}
				},
				"second": func(*rapid.T) {
					time.Sleep(time.Second)
					synctest.Wait()
					queue = slices.DeleteFunc(queue, func(e entry) bool {
						_, answered, err := e.fut.TryGet()
						lapsed := e.until <= time.Since(start)
						if answered != lapsed || lapsed && !errors.Is(err, wait.ErrTimeout) {
							rt.Fatalf("%d: answered: %v, %v; lapsed: %v", e.id, answered, err, lapsed)
						}
						return lapsed
					})
				},
				"": func(rt *rapid.T) {
					synctest.Wait()
					if diff := cmp.Diff(want, got); diff != "" || p.Queued() != len(queue) {
						rt.Fatalf("%d queued, want %d (-want +got):\n%s", p.Queued(), len(queue), diff)
					}
				},
			})
		})
	})
}

// What does not have to wait allocates nothing.
func TestSignals_NoAllocations(t *testing.T) {
	if parktest.UnderRace {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	var event wait.Event
	var p wait.Promise[int]
	var group wait.Group
	var latch wait.Latch
	cond, pool := wait.NewCond(new(sync.Mutex)), wait.NewPool(1)
	event.Set()
	p.Resolve(1, nil)
	yes := func() bool { return true }
	for name, f := range map[string]func() error{
		"Event":  func() error { event.Wait(); return errors.Join(event.WaitContext(ctx), event.WaitFor(time.Hour)) },
		"Latch":  func() error { return errors.Join(latch.WaitContext(ctx), latch.WaitFor(time.Hour)) },
		"Future": func() error { _, err := p.Future().GetFor(time.Hour); return err },
		"Cond": func() error {
			cond.L.Lock()
			defer cond.L.Unlock()
			return errors.Join(cond.WaitUntil(ctx, yes), cond.WaitUntilFor(time.Hour, yes))
		},
		"Group": func() error { return group.WaitFor(time.Hour) },
		"Pool":  func() error { return pool.JoinFor(time.Hour) },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dulyhq/duly/internal/park/parktest"
)

// An operation of the history: put or get, what it put, what it got, and whether it failed.
type queueIn struct {
	put bool
	v   int
}

type queueOut struct {
	v      int
	failed bool // it gave up: nothing has happened
}

// queueModelOf is a bounded queue in one thread. An operation that gave up may do so at any moment, and changes nothing.
func queueModelOf(kind string, capacity int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return [8]int{} }, // the number of values, and the values
		Step: func(state, input, output any) (bool, any) {
			s, in, out := state.([8]int), input.(queueIn), output.(queueOut)
			n := s[0]
			switch {
			case out.failed:
				return true, s
			case in.put:
				if n == capacity {
					return false, s
				}
				s[n+1] = in.v
				s[0]++
				return true, s
			case n == 0:
				return false, s
			}
			at := 1
			switch kind {
			case "lifo":
				at = n
			case "priority":
				for i := 2; i <= n; i++ {
					if s[i] < s[at] {
						at = i
					}
				}
			}
			if s[at] != out.v {
				return false, s
			}
			copy(s[at:], s[at+1:])
			s[len(s)-1] = 0
			s[0]--
			return true, s
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
	}
}

// Whatever several goroutines see of a queue, with calls that time out and that are cancelled among them, they could have seen
// one after the other.
func TestLinearizable_Queue(t *testing.T) {
	if n := linearizeRounds(t); n == 0 {
		t.Error("no call has given up: the history is too tame")
	}
}

// The check can fail: of a queue that doubles values it says so.
func TestLinearizable_ModelRefuses(t *testing.T) {
	ops := []porcupine.Operation{
		{ClientId: 0, Input: queueIn{true, 1}, Call: 0, Output: queueOut{}, Return: 1},
		{ClientId: 0, Input: queueIn{}, Call: 2, Output: queueOut{v: 1}, Return: 3},
		{ClientId: 1, Input: queueIn{}, Call: 4, Output: queueOut{v: 1}, Return: 5},
	}
	if porcupine.CheckOperations(queueModelOf("fifo", 3), ops) {
		t.Error("a doubled value was not noticed")
	}
}

// recorder notes the history of one round.
type recorder struct {
	mu    sync.Mutex
	tick  atomic.Int64
	ops   []porcupine.Operation
	quits int
}

// linearizeRounds checks history after history and returns how many calls gave up.
func linearizeRounds(t *testing.T) (quits int) {
	t.Helper()
	for round := range parktest.Rounds(400) {
		for kind, k := range kinds {
			capacity := 1 + round%3
			q := k.fresh(capacity)
			rec := &recorder{}
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for client := range 5 {
				all.Go(func() {
					r := rand.New(rand.NewPCG(uint64(round), uint64(client)))
					for i := range 6 {
						in := queueIn{put: r.IntN(2) == 0, v: r.IntN(10)*1000 + client*100 + i}
						var v int
						called := rec.tick.Add(1)
						err := impatient(ctx, r, func(ctx context.Context) (err error) {
							if in.put {
								return q.Put(ctx, in.v)
							}
							v, err = q.Get(ctx)
							return err
						}, func(d time.Duration) (err error) {
							if in.put {
								return q.PutFor(d, in.v)
							}
							v, err = q.GetFor(d)
							return err
						})
						returned := rec.tick.Add(1)
						rec.mu.Lock()
						rec.ops = append(rec.ops, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: queueOut{v, err != nil}, Return: returned})
						if err != nil {
							rec.quits++
						}
						rec.mu.Unlock()
					}
				})
			}
			stop := time.AfterFunc(2*time.Millisecond, cancel) // or those who wait for more than comes would wait for ever
			all.Wait()
			stop.Stop()
			cancel()
			quits += rec.quits
			if res, _ := porcupine.CheckOperationsVerbose(queueModelOf(kind, capacity), rec.ops, 10*time.Second); res != porcupine.Ok {
				t.Fatalf("round %d, %s of %d: %s: %v", round, kind, capacity, res, rec.ops)
			}
		}
	}
	return quits
}

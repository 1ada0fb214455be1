package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// A held session answers when it is told to.
type heldSession struct{ begun, end chan struct{} }

func (h heldSession) do(context.Context, ...stmt) error {
	close(h.begun)
	<-h.end
	return nil
}

// Who stops waiting is let go also while the server is asked, in the midst of its call, for what the history knows. The batch is made anew without
// it then: nothing that it has handed in is looked at any more.
func TestBatch_AsksWithoutTheCaller(t *testing.T) {
	for _, name := range []string{"Ran", "Finished", "Dead"} {
		t.Run(name, func(t *testing.T) {
			q := heldSession{make(chan struct{}), make(chan struct{})}
			b := newBatch(t.Context(), &Store{o: Options{Schema: defaultSchema}}, q, 0)
			b.locks = true
			key := store.Key{Name: "n"}
			c := &call{rows: []row{{key: key, apply: func(*store.Task, *store.Moment) store.Change {
				var err error
				switch name {
				case "Ran":
					_, err = b.Ran(key, store.Identity{}, 0)
				case "Finished":
					_, err = b.Finished(key)
				case "Dead":
					_, err = b.Dead(store.RunID{Key: key})
				}
				if err == nil {
					t.Error("the question is answered for somebody who has gone")
				}
				return store.Change{}
			}}}}
			b.rows = c.rows
			b.gather()
			done := make(chan error)
			go func() { done <- b.applyCall(c) }()
			<-q.begun
			if free := c.mu.TryLock(); !free {
				t.Error("the caller can't go before the server has answered")
			} else {
				c.gone = true
				c.mu.Unlock()
			}
			close(q.end)
			if err := <-done; !errors.Is(err, errReread) {
				t.Fatalf("applyCall returns %v, want what has the batch made anew", err)
			}
			if err := b.applyCall(c); err != nil {
				t.Errorf("without the caller: %v", err)
			}
		})
	}
}

// What is remembered of tasks that run is bounded by what it takes, whatever takes it.
func TestHeld_IsBoundedByWhatItTakes(t *testing.T) {
	run := store.Run{State: store.Running}
	large := strings.Repeat("x", mostHeldSize)
	for name, task := range map[string]*store.Task{
		"a payload": {Spec: store.Spec{Payload: []byte(large)}},
		"a policy":  {Spec: store.Spec{Policy: []byte(large)}},
		"a reason":  {Runs: []store.Run{{Reason: large}}},
		"runs":      {Runs: make([]store.Run, store.MaxRuns)},
		"nothing":   {},
	} {
		task.Runs = append(task.Runs, run)
		key := store.Key{Name: "n"}
		h := held{rows: map[store.Key]heldRow{}}
		h.keep([]*cell{{key: key, now: task}}, "(0,1)7", 1)
		if _, kept := h.rows[key]; kept != (name == "nothing") {
			t.Errorf("a task whose size is in %s: kept %v", name, kept)
		}
	}
}

// Who waits for somebody else's transaction has no turn any more once nobody waits for its answer, or the store is closed: others wait for theirs.
func TestWaitAlone_TakesNoTurn(t *testing.T) {
	for name, end := range map[string]func(s *Store, c *call){
		"gone":   func(_ *Store, c *call) { c.gone = true },
		"closed": func(s *Store, _ *call) { s.closed = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := &Store{life: t.Context()} // it has no server that could be asked
			s.queue.init(batchLeast, mostAlone)
			c := &call{rows: []row{{key: store.Key{Name: "n"}}}, done: make(chan struct{})}
			end(s, c)
			s.waitAlone(c)
			s.running.Wait()
			if <-c.done; !errors.Is(c.err, store.ErrClosed) {
				t.Errorf("the answer is %v, want ErrClosed", c.err)
			}
		})
	}
}

// What a call has waited for in vain keeps no batch again: a call that needs it waits by itself at once, until it is known to be free.
func TestBarred_KeepsNoBatchTwice(t *testing.T) {
	clk := clock.NewManual(time.Unix(0, 0))
	s := &Store{life: t.Context(), closed: true} // it has no server that could be asked
	s.nodes.clk = clk
	s.barred.alone = map[store.Key]int64{}
	s.queue.init(batchLeast, mostAlone)
	n := row{key: store.Key{Name: "n"}}
	s.barred.waited(&call{rows: []row{n}}, true, clk.Read().Boot)
	c := &call{rows: []row{{key: store.Key{Name: "other"}}, n}, done: make(chan struct{})}
	if !s.barred.holds(c.rows, clk.Read().Boot) {
		t.Error("it is taken to be free to insert")
	}
	s.queue.add(c)
	s.queue.close()
	(&writer{s: s}).work()
	s.running.Wait()
	if <-c.done; !errors.Is(c.err, store.ErrClosed) {
		t.Errorf("the call that waits is answered by %v, want ErrClosed", c.err)
	}
	claims := n
	claims.busy = func() {}
	if rest := s.apart([]*call{{rows: []row{claims}}}); len(rest) != 1 {
		t.Error("a call that does not wait for a row is made to wait")
	}
	s.barred.waited(&call{rows: []row{n}}, false, clk.Read().Boot)
	if s.barred.holds(c.rows, clk.Read().Boot) || len(s.apart([]*call{c})) != 1 {
		t.Error("it is held for ever")
	}
}

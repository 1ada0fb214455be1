package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// A Put of a name that a transaction has put waits for it, and is what it would be after it.
//
// contract: A2, A5, B1
func TestTx_PutElsewhereWaits(t *testing.T) {
	for _, c := range []struct {
		name    string
		commits bool
		same    bool
		want    store.PutOutcome
	}{
		{"commit", true, false, store.Replaced},
		{"the same, commit", true, true, store.Unchanged},
		{"rollback", false, false, store.Created},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, both, func(t *testing.T, w way) {
				d := newDesk(t)
				x := w.begin(t, d.url, "")
				mine := due("n", "mine", time.Hour)
				first := x.put(d.s, mine)
				theirs := mine
				if !c.same {
					theirs.Payload = []byte("theirs")
				}
				var res []store.PutResult
				done := make(chan error, 1)
				go func() {
					var err error
					res, err = d.other.Put(context.WithoutCancel(t.Context()), []store.Put{theirs})
					done <- err
				}()
				d.waits(1, done)
				x.end(c.commits)
				if err := <-done; err != nil || res[0].Err != nil {
					t.Fatalf("Put: %+v, error %v", res, err)
				}
				got := get(t, d.s, "n")
				if res[0].Outcome != c.want || string(got.Payload) != string(theirs.Payload) {
					t.Errorf("Put: %v, and there is %+v; want %v", res[0].Outcome, got, c.want)
				}
				if (got.Generation == first.Task.Generation) != c.same || got.Generation < first.Task.Generation {
					t.Errorf("generation %d after %d", got.Generation, first.Task.Generation)
				}
				if n := d.look().Stats.Tasks; n != 1 {
					t.Errorf("%d tasks are counted, want 1", n)
				}
			})
		})
	}
}

// Two transactions put one name: the second waits, sees what the first has done, and goes on.
//
// contract: A2
func TestTx_TwoWait(t *testing.T) {
	for _, there := range []bool{false, true} {
		for _, commits := range []bool{true, false} {
			t.Run(fmt.Sprintf("there %v, commits %v", there, commits), func(t *testing.T) {
				eachWay(t, both, func(t *testing.T, w way) {
					d := newDesk(t)
					if there {
						put(t, d.s, due("n", "old", time.Hour))
					}
					x, y := w.begin(t, d.url, ""), w.begin(t, d.url, "")
					x.put(d.s, due("n", "first", time.Hour))
					var res []store.PutResult
					done := make(chan error, 1)
					go func() {
						var err error
						res, err = d.other.PutTx(context.WithoutCancel(t.Context()), y.tx, []store.Put{
							due("a", "second", time.Hour), due("n", "second", time.Hour), due("z", "second", time.Hour),
						})
						done <- err
					}()
					d.waits(1, done)
					x.end(commits)
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					want := store.Created
					if there || commits {
						want = store.Replaced
					}
					if res[0].Outcome != store.Created || res[1].Outcome != want || res[2].Outcome != store.Created {
						t.Errorf("PutTx: %+v, want the second row %v", res, want)
					}
					y.lives("PutTx of a name that another transaction had put")
					y.end(true)
					for i, name := range []string{"a", "n", "z"} {
						if got := get(t, d.s, name); got == nil || string(got.Payload) != "second" || got.Generation != res[i].Task.Generation {
							t.Errorf("%s is %+v, want what PutTx has answered, %+v", name, got, res[i].Task)
						}
					}
					if n := d.look().Stats.Tasks; n != 3 {
						t.Errorf("%d tasks are counted, want 3", n)
					}
				})
			})
		}
	}
}

// What waits for rows of a transaction holds nobody up who does not need them.
//
// contract: A2
func TestTx_HoldsNobodyElseUp(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		held := []string{"new", "changed", "cancelled", "h4", "h5", "h6", "h7"}
		put(t, d.s, due("changed", "", time.Hour))
		put(t, d.s, due("cancelled", "", time.Hour))
		x := w.begin(t, d.url, "")
		if _, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "cancelled"}}}); err != nil {
			t.Fatal(err)
		}
		for _, name := range held {
			if name != "cancelled" {
				x.put(d.s, due(name, "theirs", time.Hour))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		answers := func(names []string) <-chan error {
			all := make(chan error, len(names))
			for _, name := range names {
				go func() {
					res, err := d.s.Put(ctx, []store.Put{due(name, "ours", time.Hour)})
					if err == nil {
						err = res[0].Err
					}
					all <- err
				}()
			}
			return all
		}
		waiting := answers(held)
		var others []string
		for i := range 100 {
			others = append(others, fmt.Sprint("other", i))
		}
		free := answers(others)
		for range others {
			if err := <-free; err != nil {
				t.Fatalf("Put of a name that nobody holds: %v", err)
			}
		}
		d.waits(1, waiting)
		for range 10 {
			put(t, d.s, due("one more", rand(t), time.Hour))
		}
		x.end(true)
		for range held {
			if err := <-waiting; err != nil {
				t.Errorf("Put of a name that was held: %v", err)
			}
		}
		if n := d.look().Stats.Tasks; n != int64(len(held)+len(others)+1) {
			t.Errorf("%d tasks are counted", n)
		}
		for _, name := range held {
			if got := get(t, d.other, name); got == nil || string(got.Payload) != "ours" {
				t.Errorf("%s is %+v, want what was put last", name, got)
			}
		}
	})
}

// Of many calls that wait for rows, those go on whose rows are free again.
//
// contract: A2
func TestTx_WaitingIsNoQueue(t *testing.T) {
	d := newDesk(t)
	x, y := both[0].begin(t, d.url, ""), both[0].begin(t, d.url, "")
	y.put(d.s, due("freed", "y", time.Hour))
	calls := func(names ...string) <-chan error {
		all := make(chan error, len(names))
		for _, name := range names {
			go func() {
				_, err := d.s.Put(context.WithoutCancel(t.Context()), []store.Put{due(name, "ours", time.Hour)})
				all <- err
			}()
		}
		return all
	}
	var held []string
	for i := range 12 {
		held = append(held, fmt.Sprint("held", i))
		x.put(d.s, due(held[i], "x", time.Hour))
	}
	waiting := calls(held...)
	d.waits(4, waiting)
	freed := calls("freed")
	d.waits(4, freed)
	y.end(true)
	if err := <-freed; err != nil {
		t.Errorf("Put of a name that is free again: %v", err)
	}
	d.waits(1, waiting)
	x.end(true)
	for range held {
		if err := <-waiting; err != nil {
			t.Errorf("Put of a name that was held: %v", err)
		}
	}
}

// rand returns a text that no other call does.
func rand(t *testing.T) string { t.Helper(); return strconv.FormatInt(schemas.Add(1), 10) }

// Two transactions that wait for each other: the server ends one's wait by an error, and that one can be rolled back or go on.
//
// contract: A2
func TestTx_Deadlock(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		x, y := w.begin(t, d.url, ""), w.begin(t, d.url, "")
		x.put(d.s, due("a", "x", time.Hour))
		y.put(d.s, due("b", "y", time.Hour))
		type end struct {
			x   *txn
			err error
		}
		ends := make(chan end, 2)
		cross := func(x *txn, name string) {
			_, err := d.s.PutTx(context.WithoutCancel(t.Context()), x.tx, []store.Put{due(name, "cross", time.Hour)})
			ends <- end{x, err}
		}
		go cross(x, "b")
		d.waits(1, nil)
		go cross(y, "a")
		lost := <-ends
		if codeOf(lost.err) != "40P01" {
			t.Fatalf("the first answer is %v, want the deadlock", lost.err)
		}
		lost.x.lives("a deadlock")
		lost.x.end(false)
		won := <-ends
		if won.err != nil {
			t.Errorf("who was waited for has got %v", won.err)
		}
		won.x.end(true)
		for _, name := range []string{"a", "b"} {
			if get(t, d.s, name) == nil {
				t.Errorf("%s is not there", name)
			}
		}
	})
}

// A transaction is never the one that loses against a call of the store that waits for it: that gives its rows back now and then.
//
// contract: A2
func TestTx_WinsOverBatches(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		for _, name := range []string{"a", "z"} {
			put(t, d.s, due(name, "", time.Hour))
		}
		x := w.begin(t, d.url, "")
		x.put(d.s, due("z", "x", time.Hour))
		done := make(chan error, 1)
		go func() {
			_, err := d.other.Put(context.WithoutCancel(t.Context()), []store.Put{due("a", "call", time.Hour), due("z", "call", time.Hour)})
			done <- err
		}()
		d.waits(1, done)
		x.put(d.s, due("a", "x", time.Hour))
		x.end(true)
		if err := <-done; err != nil {
			t.Errorf("the call: %v", err)
		}
		for _, name := range []string{"a", "z"} {
			if got := get(t, d.s, name); got == nil || string(got.Payload) != "call" {
				t.Errorf("%s is %+v, want what the call has put after the transaction", name, got)
			}
		}
	})
}

// Close waits for nobody's transaction: what waits for one is told that nothing of it was written.
//
// contract: A1
func TestTx_CloseDoesNotWait(t *testing.T) {
	d := newDesk(t)
	x := both[0].begin(t, d.url, "")
	x.put(d.s, due("n", "mine", time.Hour))
	done := make(chan error, 1)
	go func() {
		_, err := d.other.Put(context.WithoutCancel(t.Context()), []store.Put{due("n", "theirs", time.Hour)})
		done <- err
	}()
	d.waits(1, done)
	if err := d.other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Put: %v, want that the store is closed", err)
	}
	x.end(true)
	if got := get(t, d.s, "n"); got == nil || string(got.Payload) != "mine" {
		t.Errorf("there is %+v, want what the transaction has put", got)
	}
}

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
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

// A heldRow is a kind of call that is made of many rows at once by whoever runs tasks. Each row is told for itself.
type heldRow struct {
	name string
	runs bool // of tasks that run
	do   func(ctx context.Context, s *postgres.Store, runs []store.ClaimResult) ([]error, error)
}

var heldRows = []heldRow{
	{"claim", false, func(ctx context.Context, s *postgres.Store, runs []store.ClaimResult) ([]error, error) {
		var rows []store.Claim
		for _, r := range runs {
			rows = append(rows, store.Claim{RunID: r.RunID, Lease: time.Hour, Owner: "me"})
		}
		res, err := s.Claim(ctx, rows)
		return errsOf(res, func(r store.ClaimResult) error { return r.Err }), err
	}},
	{"edit", false, func(ctx context.Context, s *postgres.Store, runs []store.ClaimResult) ([]error, error) {
		var rows []store.Edit
		for _, r := range runs {
			rows = append(rows, store.Edit{Verb: store.VerbBury, Key: r.RunID.Key, Generation: r.RunID.Generation, For: r.RunID.For})
		}
		res, err := s.Edit(ctx, rows)
		return errsOf(res, func(r store.EditResult) error { return r.Err }), err
	}},
	{"renew", true, func(ctx context.Context, s *postgres.Store, runs []store.ClaimResult) ([]error, error) {
		var rows []store.Renewal
		for _, r := range runs {
			rows = append(rows, store.Renewal{RunID: r.RunID, Fence: r.Fence, Lease: time.Hour})
		}
		res, err := s.Renew(ctx, rows)
		return errsOf(res, func(r store.RenewResult) error { return r.Err }), err
	}},
	{"settle", true, func(ctx context.Context, s *postgres.Store, runs []store.ClaimResult) ([]error, error) {
		var rows []store.Settlement
		for _, r := range runs {
			rows = append(rows, store.Settlement{RunID: r.RunID, Fence: r.Fence, Verb: store.VerbSettle, State: store.Done})
		}
		res, err := s.Settle(ctx, rows)
		return errsOf(res, func(r store.SettleResult) error { return r.Err }), err
	}},
}

func errsOf[R any](res []R, err func(r R) error) (errs []error) {
	for _, r := range res {
		errs = append(errs, err(r))
	}
	return errs
}

// runsOf puts tasks that are due, claims them if they are to run, and returns the runs that are there, or are to be claimed.
func runsOf(t *testing.T, s *postgres.Store, claimed bool, names ...string) (runs []store.ClaimResult) {
	t.Helper()
	for _, name := range names {
		task := put(t, s, due(name, "", -time.Minute)).Task
		r := store.ClaimResult{RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}}
		if claimed {
			r = claim(t, s, task)
		}
		runs = append(runs, r)
	}
	return runs
}

// Who runs tasks hands many rows over at once. A transaction that holds one of them holds the others up in nothing, and that one is told for what it
// is, each time, until the transaction ends.
//
// contract: A2
func TestTx_HoldsNoOtherRowUp(t *testing.T) {
	for _, h := range heldRows {
		t.Run(h.name, func(t *testing.T) {
			eachWay(t, both, func(t *testing.T, w way) {
				d := newDesk(t)
				runs := runsOf(t, d.s, h.runs, "a", "held", "z")
				x := w.begin(t, d.url, "")
				if _, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "held"}}}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				errs, err := h.do(ctx, d.s, runs)
				if err != nil || len(errs) != 3 {
					t.Fatalf("the call is answered by %v, error %v", errs, err)
				}
				if errs[0] != nil || errs[2] != nil {
					t.Errorf("those that nobody holds: %v", errs)
				}
				for range 2 {
					if !errors.Is(errs[1], store.ErrBusy) || errors.Is(errs[1], store.ErrFenced) {
						t.Errorf("the one that is held: %v, want ErrBusy", errs[1])
					}
					one, err := h.do(ctx, d.s, runs[1:2])
					if err != nil {
						t.Fatal(err)
					}
					errs[1] = one[0]
				}
				x.lives("calls that have met its row")
				x.end(false)
				if errs, err := h.do(ctx, d.s, runs[1:2]); err != nil || errs[0] != nil {
					t.Errorf("when it is free again: %v, error %v", errs, err)
				}
			})
		})
	}
}

// That a row is held is seen once by waiting for it. Whoever asks again, and whatever is written with that, does not wait.
//
// contract: A2
func TestTx_HeldIsRemembered(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{})
	s := opened(t, srv.URL("postgres"), quiet(t))
	runs := runsOf(t, s, false, "a", "b", "c", "held")
	x := both[0].begin(t, srv.URL("postgres"), "")
	x.put(s, due("held", "x", -time.Minute))
	for i := range 3 {
		errs, err := heldRows[0].do(t.Context(), s, []store.ClaimResult{runs[i], runs[3]})
		if err != nil || errs[0] != nil || !errors.Is(errs[1], store.ErrBusy) {
			t.Errorf("Claim: %v, error %v; want only that the second is busy", errs, err)
		}
	}
	x.end(true)
	errs, err := heldRows[0].do(t.Context(), s, runs[3:])
	if err != nil || !errors.Is(errs[0], store.ErrChanged) {
		t.Errorf("Claim of what was replaced: %v, error %v; want ErrChanged", errs, err)
	}
	if n := strings.Count(srv.Log(), "lock timeout"); n != 1 {
		t.Errorf("a row was waited for in vain %d times, want once", n)
	}
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
	d.waitsAlone(d.s, len(held))
	freed := calls("freed")
	d.waitsAlone(d.s, len(held)+1)
	y.end(true)
	if err := <-freed; err != nil {
		t.Errorf("Put of a name that is free again: %v", err)
	}
	d.waitsAlone(d.s, len(held))
	x.end(true)
	for range held {
		if err := <-waiting; err != nil {
			t.Errorf("Put of a name that was held: %v", err)
		}
	}
}

// A call of several rows that waits for one of them holds none of the others meanwhile: the transaction that it waits for may go on for long.
//
// contract: A2
func TestTx_WaitingHoldsNoOtherRow(t *testing.T) {
	for _, there := range []bool{true, false} {
		t.Run(fmt.Sprintf("there %v", there), func(t *testing.T) {
			d := newDesk(t)
			run, toClaim := runsOf(t, d.s, true, "a")[0], runsOf(t, d.s, false, "b")
			if there {
				put(t, d.s, due("z", "", time.Hour))
			}
			x := both[0].begin(t, d.url, "") // it knows of z alone
			x.put(d.s, due("z", "x", time.Hour))
			done := make(chan error, 1)
			go func() {
				_, err := d.other.Put(context.WithoutCancel(t.Context()), []store.Put{due("a", "ours", time.Hour), due("b", "ours", -time.Minute), due("z", "ours", time.Hour)})
				done <- err
			}()
			d.waitsAlone(d.other, 1)
			const renewals = 20
			busy := 0
			for range renewals {
				res, err := d.s.Renew(t.Context(), []store.Renewal{{RunID: run.RunID, Fence: run.Fence, Lease: time.Hour}})
				switch {
				case err != nil:
					t.Fatal(err)
				case errors.Is(res[0].Err, store.ErrBusy): // that it is locked for a moment may be met
					busy++
				case res[0].Err != nil:
					t.Fatal(res[0].Err)
				}
			}
			if busy > renewals/2 {
				t.Errorf("%d of %d times the lease of a task that the transaction knows nothing of could not be prolonged", busy, renewals)
			}
			for n := 1; ; n++ {
				errs, err := heldRows[0].do(t.Context(), d.s, toClaim)
				if err == nil && errs[0] == nil {
					break
				}
				if err != nil || n == 5 {
					t.Fatalf("Claim of a task that the transaction knows nothing of: %v, error %v", errs, err)
				}
			}
			x.end(false)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// What waits for a transaction does not wait then, with all others that do, for one writer of another process whose commit takes long.
func TestTx_WaitingNeedsNotOneCounter(t *testing.T) {
	d := newDesk(t)
	put(t, d.s, due("n", "", time.Hour))
	x := both[0].begin(t, d.url, "")
	x.put(d.s, due("n", "x", time.Hour))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := d.s.Put(ctx, []store.Put{due("n", "ours", time.Hour)})
		done <- err
	}()
	d.waitsAlone(d.s, 1)
	slow := admin(t, d.url)
	exec(t, slow, "begin; select from "+d.schema+".counter where lane = 0 for update") // the last thing that a writer does before it commits
	x.end(true)
	if err := <-done; err != nil {
		t.Errorf("Put of a name that is free again: %v", err)
	}
	exec(t, slow, "commit")
}

// A transaction ends a task and puts it anew: who waits for it means what it has put. That is another row than the one that was waited for.
//
// contract: A2, A5
func TestTx_WaitsForWhatIsPutAnew(t *testing.T) {
	for _, how := range []string{"cancelled", "completed"} {
		for _, by := range []string{"Cancel", "CancelTx"} {
			t.Run(how+", "+by, func(t *testing.T) {
				d := newDesk(t)
				run := runsOf(t, d.s, how == "completed", "n")[0]
				x, y := both[0].begin(t, d.url, ""), both[0].begin(t, d.url, "")
				if how == "completed" { // as a handler does that completes, and puts its own name
					res, err := d.s.SettleTx(t.Context(), x.tx, []store.Settlement{{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Done}})
					if err != nil || res[0].Err != nil {
						t.Fatal(res, err)
					}
				} else if _, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "n"}}}); err != nil {
					t.Fatal(err)
				}
				x.put(d.s, due("n", "anew", time.Hour))
				var res []store.CancelResult
				done := make(chan error, 1)
				go func() {
					var err error
					n := []store.Cancel{{Key: store.Key{Name: "n"}}}
					if by == "Cancel" {
						res, err = d.other.Cancel(context.WithoutCancel(t.Context()), n)
					} else {
						res, err = d.other.CancelTx(context.WithoutCancel(t.Context()), y.tx, n)
					}
					done <- err
				}()
				if by == "Cancel" {
					d.waitsAlone(d.other, 1)
				}
				d.waits(1, done)
				x.end(true)
				if err := <-done; err != nil || res[0].Err != nil {
					t.Fatal(res, err)
				}
				y.end(true)
				if got := get(t, d.s, "n"); res[0].Outcome != store.CancelCancelled || got != nil {
					t.Errorf("%s: %v, and there is %+v; want that it is cancelled", by, res[0].Outcome, got)
				}
			})
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
		d.waitsAlone(d.other, 1)
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

// Nor does it wait for a call in a transaction that waits for another: that uses a connection of its own, and goes on.
//
// contract: A1
func TestTx_CloseDoesNotWaitForIt(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		x, y := w.begin(t, d.url, ""), w.begin(t, d.url, "")
		x.put(d.s, due("n", "x", time.Hour))
		done := make(chan error, 1)
		go func() {
			_, err := d.other.PutTx(context.WithoutCancel(t.Context()), y.tx, []store.Put{due("n", "y", time.Hour)})
			done <- err
		}()
		d.waits(1, done)
		closed := make(chan error, 1)
		go func() { closed <- d.other.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience / 4):
			t.Error("Close waits for somebody else's transaction")
		}
		x.end(true)
		if err := <-done; err != nil {
			t.Errorf("PutTx: %v", err)
		}
		y.end(true)
		if got := get(t, d.s, "n"); got == nil || string(got.Payload) != "y" {
			t.Errorf("there is %+v, want what was put last", got)
		}
		if _, err := d.other.PutTx(t.Context(), w.begin(t, d.url, "").tx, []store.Put{due("n", "z", time.Hour)}); !errors.Is(err, store.ErrClosed) {
			t.Errorf("PutTx afterwards: %v, want that the store is closed", err)
		}
	})
}

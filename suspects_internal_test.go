package duly

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// crashed puts tasks of a kind and claims them for a process that is gone.
func crashed(t *testing.T, st store.Store, name string, next store.Occurrence, lease time.Duration) store.ClaimResult {
	t.Helper()
	ts, err := st.Get(t.Context(), []store.Key{{Name: name}})
	if err != nil || ts[0] == nil {
		t.Fatal(err)
	}
	c := store.Claim{RunID: store.RunID{Key: ts[0].Key, Generation: ts[0].Generation, For: ts[0].Next.For}, Next: next, Lease: lease, Overlap: true, Owner: "gone"}
	res, err := st.Claim(t.Context(), []store.Claim{c})
	if err != nil || res[0].Err != nil {
		t.Fatal(err, res)
	}
	return res[0]
}

func occ(at time.Time) store.Occurrence {
	return store.Occurrence{For: store.At(at), Due: store.At(at)}
}

// What starts beside a lost run that waits was late by what it was late, and not since that was seen.
func TestSuspects_Lateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st})
		long, every := r.handle("long"), r.handle("every")
		r.put(long, "1h long", 0, 0)
		if _, err := every.Put(t.Context(), "1s every", nil, schedule.Every(10*time.Second), Overlap(Allow)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		crashed(t, st, "1h long", store.Occurrence{}, time.Second)
		crashed(t, st, "1s every", occ(r.begun.Add(20*time.Second)), time.Second)
		time.Sleep(2 * time.Second)
		r.work()
		time.Sleep(35 * time.Second)
		synctest.Wait()
		all, err := r.s.Stats(t.Context())
		k := all.Kinds["every"]
		if err != nil || k.Started != 3 {
			t.Errorf("%d have started, want those of 20s, 30s and 40s: %v", k.Started, err)
		}
		if k.Slot.Sum > time.Second || k.Total.Sum > time.Second {
			t.Errorf("each began when it was due, and they have waited %v for a worker, %v in all", k.Slot.Sum, k.Total.Sum)
		}
		if err := errors.Join(r.s.Close(t.Context()), <-r.ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// However many lost runs wait, none of them holds back the next occurrence of its schedule.
func TestSuspects_Many(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st})
		long, every := r.handle("long"), r.handle("every")
		r.put(long, "1h long", 0, 0)
		const n = gateMost + 6
		for i := range n {
			if _, err := every.Put(t.Context(), "1s every "+strconv.Itoa(i), nil, schedule.Every(10*time.Second), Overlap(Allow)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		crashed(t, st, "1h long", store.Occurrence{}, time.Second)
		for i := range n {
			crashed(t, st, "1s every "+strconv.Itoa(i), occ(r.begun.Add(20*time.Second)), time.Second)
		}
		time.Sleep(2 * time.Second)
		r.work()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		late := 0
		for i := range n {
			if r.when("1s every "+strconv.Itoa(i)) != "20s" {
				late++
			}
		}
		if late > 0 {
			t.Errorf("%d of %d schedules whose runs may overlap wait for a suspect, want none", late, n)
		}
		if err := errors.Join(r.s.Close(t.Context()), <-r.ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// The turn of a lost run that something else of its task has used is handed on.
func TestSuspects_TurnIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st, Workers: 2})
		k := r.handle("k")
		r.put(k, "88s long", 0, 0)
		if _, err := k.Put(t.Context(), "1h every", nil, schedule.Every(10*time.Second), Overlap(Allow), Key("x", 1)); err != nil {
			t.Fatal(err)
		}
		r.put(k, "1s other", 0, 11*time.Second)
		r.put(k, "99s filler", 0, 50*time.Second)
		time.Sleep(10 * time.Second)
		failed := crashed(t, st, "1h every", occ(r.begun.Add(20*time.Second)), time.Second)
		if res, err := st.Settle(t.Context(), []store.Settlement{{RunID: failed.RunID, Fence: failed.Fence, Verb: store.VerbRetry, When: store.In(50*time.Second, 0), Reason: "failed"}}); err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		time.Sleep(10 * time.Second)
		crashed(t, st, "88s long", store.Occurrence{}, time.Second)
		crashed(t, st, "1h every", occ(r.begun.Add(10*time.Hour)), time.Second)
		crashed(t, st, "1s other", store.Occurrence{}, time.Second)
		time.Sleep(2 * time.Second)
		r.work() // at 22s: long, until 110s; the filler runs from 50s to 149s
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := r.when("1s other"); got == "never" {
			t.Errorf("other has not begun, though since 110s no suspect runs, and since 149s a worker is free; every at %s, long at %s, filler at %s", r.when("1h every"), r.when("88s long"), r.when("99s filler"))
		} else {
			t.Logf("other began at %s; every at %s, long at %s, filler at %s", got, r.when("1h every"), r.when("88s long"), r.when("99s filler"))
		}
		if err := errors.Join(r.s.Close(t.Context()), <-r.ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A run that is not to be tried again, and was lost, is counted as cancelled.
func TestStats_CancelledAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st})
		r.put(r.handle("k"), "1s a", 0, 0)
		crashed(t, st, "1s a", store.Occurrence{}, time.Second)
		if o, err := r.s.Cancel(t.Context(), "1s a"); o != Running || err != nil {
			t.Fatal(o, err)
		}
		time.Sleep(2 * time.Second)
		r.work()
		time.Sleep(time.Minute)
		synctest.Wait()
		all, err := r.s.Stats(t.Context())
		if k := all.Kinds["k"]; err != nil || k.Lost != 1 || k.Cancelled != 1 || k.Dead != 0 || k.Started != 0 {
			t.Errorf("%d lost, %d cancelled, %d dead, %d started; want 1, 1, 0, 0: %v", k.Lost, k.Cancelled, k.Dead, k.Started, err)
		}
		if err := errors.Join(r.s.Close(t.Context()), <-r.ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// However many lost runs wait of tasks that have nothing else to do, few of them are in memory, and each has its turn.
func TestSuspects_ManyOneOffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		r := newHeldRig(t, Options{Store: st})
		k := r.handle("k")
		const n = gateMost + 6
		for i := range n {
			r.put(k, "10s "+strconv.Itoa(i), 0, 0, Overlap(Allow))
		}
		time.Sleep(time.Second)
		for i := range n {
			crashed(t, st, "10s "+strconv.Itoa(i), store.Occurrence{}, time.Second)
		}
		time.Sleep(2 * time.Second)
		r.work()
		time.Sleep(time.Second)
		synctest.Wait()
		if all, err := r.s.Stats(t.Context()); err != nil || all.Near > gateMost+1 {
			t.Errorf("%d are in memory, %v; want the one that runs, and at most %d that wait", all.Near, err, gateMost)
		}
		for range n {
			if err := r.s.Invariants(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		all, err := r.s.Stats(t.Context())
		if c := all.Kinds["k"]; err != nil || c.Succeeded != n || c.Started != n {
			t.Errorf("%d have started, and %d have succeeded, %v; want %d", c.Started, c.Succeeded, err, n)
		}
		r.end()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What waits for its key waits for nothing else, though a retry of its task is to come.
func TestGate_BesideARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		k := r.handle("k")
		var began []time.Duration
		failing := Handle(r.s, "failing", func(context.Context, *Attempt[[]byte]) error {
			began = append(began, time.Since(r.begun))
			if len(began) == 1 {
				return RetryAfter(time.Minute, errors.New("not now"))
			}
			return nil
		})
		r.work()
		if _, err := failing.Put(t.Context(), "a", nil, schedule.Every(10*time.Second).Times(2), Overlap(Allow), Key("x", 1)); err != nil {
			t.Fatal(err)
		}
		r.put(k, "1h other", 10, 15*time.Second, Key("x", 1))
		for _, at := range []time.Duration{25 * time.Second, 65 * time.Second, 80 * time.Second, 30 * time.Minute} {
			time.Sleep(at - time.Since(r.begun))
			synctest.Wait()
			if err := r.s.Invariants(); err != nil {
				t.Errorf("after %v: %v", at, err)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if free := 15*time.Second + time.Hour; len(began) != 3 || began[1] != free || began[2] != free {
			t.Errorf("attempts began after %v, want the retry and the next when the key is free", began)
		}
		r.end()
	})
}

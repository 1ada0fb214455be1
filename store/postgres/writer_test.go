package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// A process that stands still in the middle of a transaction loses it to the server, which keeps nobody else from its rows for that long.
// The call is not lost by it: it is known that nothing was written, and everything is made anew.
func TestWrite_StandsStill(t *testing.T) {
	d := newDesk(t)
	to := newWire(t, d.url)
	o := quiet(t)
	o.Schema = d.schema
	s := opened(t, to.url, o)
	x := both[0].begin(t, d.url, "")
	x.put(d.s, due("n", "x", time.Hour))
	done := make(chan error, 1)
	go func() {
		_, err := s.Put(context.WithoutCancel(t.Context()), []store.Put{due("n", "ours", time.Hour)})
		done <- err
	}()
	d.waits(1, done)
	to.hush(false)
	x.end(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for open := 1; open > 0; { // until the server has ended what stands still in a transaction
		if _, err := d.admin.Exec(ctx, "select pg_sleep(0.01)"); err != nil {
			t.Fatal(err)
		}
		err := d.admin.QueryRow(ctx, `select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
and application_name = 'duly' and xact_start is not null`).Scan(&open)
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, d.s, due("n", "others", time.Hour))
	to.mend()
	if err := <-done; err != nil {
		t.Errorf("Put: %v", err)
	}
	if got := get(t, d.s, "n"); got == nil || string(got.Payload) != "ours" {
		t.Errorf("there is %+v, want what was put by who stood still", got)
	}
}

// A dead run that is being forgotten is not tried again, and counted once.
func TestEdit_RedriveOfWhatIsForgotten(t *testing.T) {
	d := newDesk(t)
	run := claim(t, d.s, put(t, d.s, due("n", "", -time.Minute)).Task)
	set, err := d.s.Settle(t.Context(), []store.Settlement{{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Dead}})
	if err != nil || set[0].State != store.Dead {
		t.Fatalf("Settle: %+v, error %v", set, err)
	}
	exec(t, d.admin, "begin; delete from "+d.schema+".dead; update "+d.schema+".counter set dead = dead - 1 where lane = 63") // as Trim does
	done := make(chan error, 1)
	go func() {
		res, err := d.s.Edit(context.WithoutCancel(t.Context()), []store.Edit{{Verb: store.VerbRedrive, Key: run.RunID.Key, Generation: run.RunID.Generation, For: run.RunID.For}})
		if err == nil {
			err = res[0].Err
		}
		done <- err
	}()
	d.waits(1, done)
	exec(t, d.admin, "commit")
	if err := <-done; !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Redrive: %v, want ErrNotFound", err)
	}
	if got := d.look().Stats; got.Dead != 0 || got.Tasks != 0 {
		t.Errorf("counted %+v, want nothing", got)
	}
}

// Who has claimed settles without reading what it has written, and it need not be that any more: another process may have renewed, or
// settled, and claimed again.
//
// contract: D3
func TestSettle_WhatOthersHaveWritten(t *testing.T) {
	d := newDesk(t)
	run := claim(t, d.s, put(t, d.s, due("n", "x", -time.Minute)).Task)
	settle := func(s *postgres.Store, fence int64, verb store.Verb, to store.State) store.SettleResult {
		t.Helper()
		x := store.Settlement{RunID: run.RunID, Fence: fence, Verb: verb, State: to}
		if verb == store.VerbRetry {
			x.When = store.On(store.Occurrence{For: run.RunID.For})
		}
		res, err := s.Settle(t.Context(), []store.Settlement{x})
		if err != nil {
			t.Fatal(err)
		}
		return res[0]
	}
	retry := func(s *postgres.Store, fence int64) {
		t.Helper()
		if got := settle(s, fence, store.VerbRetry, 0); got.Err != nil || got.State != store.Pending {
			t.Fatalf("settled as %+v, want pending", got)
		}
	}
	again := func(s *postgres.Store) int64 {
		t.Helper()
		res, err := s.Claim(t.Context(), []store.Claim{{RunID: run.RunID, Lease: time.Hour, Owner: "me"}})
		if err != nil || res[0].Err != nil {
			t.Fatal(res, err)
		}
		return res[0].Fence
	}
	renewed, err := d.other.Renew(t.Context(), []store.Renewal{{RunID: run.RunID, Fence: run.Fence, Lease: time.Hour}})
	if err != nil || renewed[0].Err != nil {
		t.Fatal(renewed, err)
	}
	retry(d.s, run.Fence)
	old := again(d.s)
	retry(d.other, old)
	fence := again(d.other)
	if got := settle(d.s, old, store.VerbSettle, store.Done); !errors.Is(got.Err, store.ErrFenced) {
		t.Errorf("by the fence of an attempt that has ended it was settled as %+v, want ErrFenced", got)
	}
	retry(d.other, fence)
	retry(d.other, again(d.s)) // what d.s has written last is an older attempt from now on
	if got := settle(d.s, again(d.other), store.VerbSettle, store.Done); got.Err != nil || got.State != store.Done {
		t.Errorf("by the fence of an attempt that another has claimed it was settled as %+v, want done", got)
	}
	if got := d.look().Stats; got.Tasks != 0 || got.Running != 0 {
		t.Errorf("counted %+v, want nothing", got)
	}
}

// Another transaction changes the row while a settlement waits for it: what that has written stays.
func TestSettle_WhatIsChangedMeanwhile(t *testing.T) {
	d := newDesk(t)
	run := claim(t, d.s, put(t, d.s, due("n", "old", -time.Minute)).Task)
	x := both[0].begin(t, d.url, "")
	x.put(d.other, due("n", "new", time.Hour))
	done := make(chan error, 1)
	go func() {
		res, err := d.s.Settle(context.WithoutCancel(t.Context()), []store.Settlement{{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Done}})
		if err == nil {
			err = res[0].Err
		}
		done <- err
	}()
	d.waits(1, done)
	x.end(true)
	if err := <-done; err != nil {
		t.Errorf("Settle: %v", err)
	}
	if got := get(t, d.s, "n"); got == nil || string(got.Payload) != "new" || len(got.Runs) != 0 {
		t.Errorf("there is %+v, want what was put meanwhile, and no run", got)
	}
}

package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
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

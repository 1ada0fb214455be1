package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// What is done in a transaction is there for nobody until it commits, and for everybody then. If it does not, nothing is left of it.
//
// contract: A2
func TestTx_ExistsIfItCommits(t *testing.T) {
	eachWay(t, ways, func(t *testing.T, w way) {
		d := newDesk(t)
		put(t, d.s, due("cancelled", "", time.Hour))
		run := claim(t, d.s, put(t, d.s, due("run", "", -time.Minute)).Task)
		before := d.look()
		work := func() *txn {
			t.Helper()
			x := w.begin(t, d.url, "")
			got := x.put(d.s, due("new", `p"\`, time.Hour))
			if got.Outcome != store.Created || got.Task.Generation == 0 {
				t.Errorf("PutTx: %v, task %+v", got.Outcome, got.Task)
			}
			c, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "cancelled"}}, {Key: store.Key{Name: "nobody"}}})
			if err != nil || c[0].Outcome != store.CancelCancelled || c[1].Outcome != store.CancelUnknown {
				t.Errorf("CancelTx: %+v, error %v", c, err)
			}
			s, err := d.s.SettleTx(t.Context(), x.tx, []store.Settlement{
				{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Done},
				{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Done},
			})
			if err != nil || s[0].State != store.Done || !errors.Is(s[1].Err, store.ErrFenced) {
				t.Errorf("SettleTx: %+v, error %v", s, err)
			}
			if diff := cmp.Diff(before, d.look()); diff != "" {
				t.Errorf("others see what has not been committed (-before +now):\n%s", diff)
			}
			return x
		}
		work().end(false)
		if diff := cmp.Diff(before, d.look()); diff != "" {
			t.Errorf("a transaction that was rolled back has left something (-before +now):\n%s", diff)
		}
		work().end(true)
		if got := get(t, d.other, "new"); got == nil || string(got.Payload) != `p"\` {
			t.Errorf("the task that was put is %+v", got)
		}
		if c, r := get(t, d.other, "cancelled"), get(t, d.other, "run"); c != nil || r != nil {
			t.Errorf("what was cancelled is %+v, what was settled %+v; want none", c, r)
		}
		if c, r := movesOf(t, d.other, "cancelled"), movesOf(t, d.other, "run"); c != "pending>cancelled cancel" || r != "running>done settle" {
			t.Errorf("the history says %q and %q", c, r)
		}
		if got, want := d.look().Stats, (store.Stats{Tasks: 1, History: 2}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

// Nobody is told of what was rolled back, and both this process and others of what was committed.
//
// contract: A2
func TestTx_TellsWhenItCommits(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		var hints []<-chan store.Hint
		for _, s := range []*postgres.Store{d.s, d.other} {
			h, stop := s.Hints()
			defer stop()
			hints = append(hints, h)
			for !s.Health().Listening {
				if _, err := d.admin.Exec(t.Context(), "select pg_sleep(0.01)"); err != nil {
					t.Fatal(err)
				}
			}
			heard(t, h)
		}
		x := w.begin(t, d.url, "")
		x.put(d.s, due("early", "", -time.Hour))
		x.end(false)
		x = w.begin(t, d.url, "")
		want := x.put(d.s, due("late", "", time.Minute)).Task.Position() // nobody knows how late it commits
		x.end(true)
		for i, h := range hints {
			if got := heard(t, h); got.At != want || got.Shards == (store.Shards{}) {
				t.Errorf("store %d has heard %+v first, want what is due at %v", i, got, want)
			}
		}
	})
}

// What is no transaction of this store is refused by name, and what goes wrong leaves the transaction as it was.
func TestTx_RefusesWhatIsNone(t *testing.T) {
	d := newDesk(t)
	db := stdlib.OpenDB(*config(t, d.url, pgx.QueryExecModeCacheStatement))
	defer func() { _ = db.Close() }()
	puts := []store.Put{due("n", "", time.Hour)}
	for _, tx := range []any{nil, "begin", 7, d.admin, db, (*sql.Tx)(nil), pgx.Tx(nil), (*pgxpool.Tx)(nil), pgx.Tx((*pgxpool.Tx)(nil))} {
		_, perr := d.s.PutTx(t.Context(), tx, puts)
		_, cerr := d.s.CancelTx(t.Context(), tx, nil)
		_, serr := d.s.SettleTx(t.Context(), tx, nil)
		for _, err := range []error{perr, cerr, serr} {
			se, ok := errors.AsType[*store.Error](err)
			if !ok || !errors.Is(err, store.ErrInvalid) || se.Field != "tx" || se.Want == "" {
				t.Errorf("%T: %v, want ErrInvalid that names tx", tx, err)
			}
		}
	}
}

func TestTx_LeavesTheTransactionAsItWas(t *testing.T) {
	eachWay(t, ways, func(t *testing.T, w way) {
		d := newDesk(t)
		closed := opened(t, d.url, postgres.Options{Schema: d.schema})
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, c := range []struct {
			name string
			s    *postgres.Store
			ctx  context.Context //nolint:containedctx // one column of the table
			set  string
			want error
			code string
		}{
			{"read only", d.s, t.Context(), "set transaction read only", store.ErrReadOnly, "25006"},
			{"a store that is closed", closed, t.Context(), "select 1", store.ErrClosed, ""},
			{"a context that has ended", d.s, ended, "select 1", context.Canceled, ""},
			{"no tables", d.s, t.Context(), "alter table " + d.schema + ".task rename to away", store.ErrFormat, "42P01"},
			{"a wait that is limited", d.s, t.Context(), "set local lock_timeout = 10", store.ErrBroken, "55P03"},
		} {
			x, holder := w.begin(t, d.url, ""), w.begin(t, d.url, "")
			if c.code == "55P03" {
				holder.put(d.s, due("n", "held", time.Hour))
			}
			if err := x.exec(t.Context(), c.set); err != nil {
				t.Fatal(err)
			}
			_, err := c.s.PutTx(c.ctx, x.tx, []store.Put{due("n", "", time.Hour)})
			if !errors.Is(err, c.want) || codeOf(err) != c.code {
				t.Errorf("%s: %v, want %v by %q", c.name, err, c.want, c.code)
			}
			x.lives(c.name)
			x.end(false)
			holder.end(false)
		}
		x := w.begin(t, d.url, "")
		res, err := d.s.PutTx(t.Context(), x.tx, []store.Put{due("", "", 0), due("m", "", time.Hour)})
		if err != nil || !errors.Is(res[0].Err, store.ErrInvalid) || res[1].Err != nil {
			t.Errorf("a row with a name that is none: %+v, error %v; want it refused and the other one taken", res, err)
		}
		if err := x.exec(t.Context(), "select 1/0"); err == nil {
			t.Error("1/0 is no error")
		}
		if _, err := d.s.PutTx(t.Context(), x.tx, []store.Put{due("n", "", time.Hour)}); codeOf(err) != "25P02" {
			t.Errorf("in a transaction that has failed: %v", err)
		}
		x.end(false)
		if _, err := d.s.PutTx(t.Context(), x.tx, []store.Put{due("n", "", time.Hour)}); !errors.Is(err, pgx.ErrTxClosed) && !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("in a transaction that has ended: %v", err)
		}
		if got := d.look(); len(got.Tasks) != 0 || got.Stats != (store.Stats{}) {
			t.Errorf("there is %+v, want nothing", got)
		}
	})
}

// What is stricter than read committed works, and is told by the server that it has to be tried again where others were faster.
//
// contract: A2
func TestTx_Isolation(t *testing.T) {
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			eachWay(t, both, func(t *testing.T, w way) {
				d := newDesk(t)
				x := w.begin(t, d.url, level)
				x.put(d.s, due("n", "x", time.Hour))
				if got := x.put(d.s, due("n", "again", time.Hour)); got.Outcome != store.Replaced {
					t.Errorf("Put of what this transaction has put: %+v", got)
				}
				x.end(true)
				for _, c := range []struct {
					name  string
					there bool
					do    func() error
				}{
					{"put", false, func() error { put(t, d.other, due("put", "other", time.Hour)); return nil }},
					{"changed", true, func() error { put(t, d.other, due("changed", "other", time.Hour)); return nil }},
					{"gone", true, func() error {
						_, err := d.other.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "gone"}}})
						return err
					}},
				} {
					if c.there {
						put(t, d.s, due(c.name, "old", time.Hour))
					}
					x := w.begin(t, d.url, level)
					if err := x.exec(t.Context(), "select from "+d.schema+".task"); err != nil { // it sees from now on what is there now
						t.Fatal(err)
					}
					if err := c.do(); err != nil {
						t.Fatal(err)
					}
					mine := []store.Put{due(c.name, "mine", time.Hour)}
					if _, err := d.s.PutTx(t.Context(), x.tx, mine); codeOf(err) != "40001" {
						t.Errorf("%s meanwhile: %v, want what says that the transaction has to be tried again", c.name, err)
					}
					x.lives("a conflict")
					x.end(false)
					x = w.begin(t, d.url, level)
					x.put(d.s, mine[0])
					x.end(true)
					if got := get(t, d.other, c.name); got == nil || string(got.Payload) != "mine" {
						t.Errorf("%s meanwhile: there is %+v", c.name, got)
					}
				}
			})
		})
	}
}

// A transaction sees what it has done, and a savepoint takes back what was done after it.
//
// contract: A2
func TestTx_SeesItself(t *testing.T) {
	eachWay(t, ways, func(t *testing.T, w way) {
		d := newDesk(t)
		x := w.begin(t, d.url, "")
		res, err := d.s.PutTx(t.Context(), x.tx, []store.Put{due("a", "1", time.Hour), due("a", "2", time.Hour)})
		if err != nil || res[0].Outcome != store.Created || res[1].Outcome != store.Replaced {
			t.Errorf("PutTx of one name twice: %+v, error %v", res, err)
		}
		if got := x.put(d.s, due("a", "3", time.Hour)); got.Outcome != store.Replaced || got.Task.Generation <= res[1].Task.Generation {
			t.Errorf("PutTx of it once more: %+v", got)
		}
		if err := x.exec(t.Context(), "savepoint duly"); err != nil { // it may have the name that ours has
			t.Fatal(err)
		}
		x.put(d.s, due("b", "", time.Hour))
		if _, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "a"}}}); err != nil {
			t.Error(err)
		}
		if err := x.exec(t.Context(), "rollback to savepoint duly"); err != nil {
			t.Fatal(err)
		}
		c, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "a"}, IfGeneration: 1}, {Key: store.Key{Name: "b"}}})
		if err != nil || !errors.Is(c[0].Err, store.ErrCondition) || c[1].Outcome != store.CancelUnknown {
			t.Errorf("CancelTx: %+v, error %v; want a to be there and b not to be known", c, err)
		}
		x.end(true)
		if got := get(t, d.other, "a"); got == nil || string(got.Payload) != "3" {
			t.Errorf("there is %+v, want what was put last", got)
		}
		if got, want := d.look().Stats, (store.Stats{Tasks: 1, History: 2}); got != want { // it was replaced twice
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

// Who follows the history misses nothing of a transaction that is longer than others.
//
// contract: K2
func TestTx_FollowersMissNothing(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		for _, name := range []string{"a", "slow", "z"} {
			put(t, d.s, due(name, "", time.Hour))
		}
		cancel := func(name string) {
			if _, err := d.s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: name}}}); err != nil {
				t.Fatal(err)
			}
		}
		var last int64
		var seen []string
		follow := func() {
			events, err := d.other.History(t.Context(), store.HistoryQuery{After: last})
			if err != nil {
				t.Fatal(err)
			}
			for i := range events {
				seen, last = append(seen, events[i].Name), events[i].Seq
			}
		}
		cancel("a")
		follow()
		x := w.begin(t, d.url, "")
		if _, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "slow"}}}); err != nil {
			t.Fatal(err)
		}
		cancel("z")
		follow()
		if got := movesOf(t, d.other, "z"); got != "pending>cancelled cancel" {
			t.Errorf("who asks for one name is told %q while a transaction is open", got)
		}
		x.end(true)
		follow()
		slices.Sort(seen)
		if diff := cmp.Diff([]string{"a", "slow", "z"}, seen); diff != "" {
			t.Errorf("followed (-want +got):\n%s", diff)
		}
	})
}

// The first to write after the server has lost its last commits may be somebody's transaction.
func TestTx_RaisesNumbers(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		d := newDesk(t)
		for level := range levels {
			exec(t, d.admin, "delete from "+d.schema+".raised")
			x := w.begin(t, d.url, level)
			x.put(d.s, due("n "+level, "", time.Hour))
			x.end(true)
			if get(t, d.other, "n "+level) == nil {
				t.Errorf("%q: the task is not there", level)
			}
		}
	})
}

// endsAt is a transaction whose context ends before a statement is sent.
type endsAt struct {
	pgx.Tx
	left int
	end  context.CancelFunc
}

func (x *endsAt) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if x.left--; x.left == 0 {
		x.end()
	}
	return x.Tx.SendBatch(ctx, b)
}

// A context that ends between two statements leaves the connection alive, and the transaction as it was: whoever commits it all the same has
// not put what PutTx says was not put.
//
// contract: A2
func TestTx_ContextEndsBetweenStatements(t *testing.T) {
	d := newDesk(t)
	put(t, d.s, due("other", "", time.Hour)) // so that numbers are raised
	for left := 1; ; left++ {
		x := viaPgx(pgx.QueryExecModeCacheStatement)(t, d.url, "")
		ctx, cancel := context.WithCancel(t.Context())
		tx := &endsAt{x.tx.(pgx.Tx), left, cancel}
		_, err := d.s.PutTx(ctx, tx, []store.Put{due("n", "", time.Hour)})
		cancel()
		if err == nil {
			if x.end(false); left != 5 {
				t.Errorf("a put is %d exchanges, want 4", left-1)
			}
			return
		}
		x.lives("a context that has ended")
		x.end(true)
		if got := get(t, d.s, "n"); !errors.Is(err, context.Canceled) || got != nil {
			t.Errorf("at exchange %d: %v, and there is %+v; want that nothing was put", left, err, got)
		}
	}
}

// However many calls a transaction makes, one lock holds back who follows the history: the table of locks is shared by the whole server.
func TestTx_HoldsOneLockForTheHistory(t *testing.T) {
	eachWay(t, ways, func(t *testing.T, w way) {
		d := newDesk(t)
		const n = 5
		for i := range n {
			put(t, d.s, due(string(rune('a'+i)), "", time.Hour))
		}
		x := w.begin(t, d.url, "")
		cancelTx := func(name string) {
			t.Helper()
			if res, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: name}}}); err != nil || res[0].Outcome != store.CancelCancelled {
				t.Fatalf("CancelTx: %+v, error %v", res, err)
			}
		}
		locks := func() (held int) {
			t.Helper()
			err := d.admin.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and objsubid = 2 and classid = $1::bigint::oid`,
				int64(d.s.EntriesClass())).Scan(&held)
			if err != nil {
				t.Fatal(err)
			}
			return held
		}
		if err := x.exec(t.Context(), "savepoint s"); err != nil {
			t.Fatal(err)
		}
		cancelTx("a")
		if err := x.exec(t.Context(), "rollback to savepoint s"); err != nil {
			t.Fatal(err)
		}
		if got := locks(); got != 0 {
			t.Errorf("after what was taken back: %d locks", got)
		}
		for i := range n {
			cancelTx(string(rune('a' + i)))
		}
		if got := locks(); got != 1 {
			t.Errorf("%d locks, want one", got)
		}
		x.end(true)
		if got := len(follow(t, d.s, 0)); got != n {
			t.Errorf("%d entries, want %d", got, n)
		}
	})
}

// ranElsewhere has another process put a one-off, run it, and write that it is done.
func ranElsewhere(t *testing.T, d *desk, p store.Put) {
	t.Helper()
	r := claim(t, d.other, put(t, d.other, p).Task)
	res, err := d.other.Settle(t.Context(), []store.Settlement{{RunID: r.RunID, Fence: r.Fence, Verb: store.VerbSettle, State: store.Done}})
	if err != nil || res[0].Err != nil {
		t.Fatal(res, err)
	}
}

// What was to run once, and has, is not put again by a transaction that does not see it because it began before.
//
// contract: A2
func TestTx_WhatRanSinceTheSnapshot(t *testing.T) {
	eachWay(t, both, func(t *testing.T, w way) {
		for level := range levels {
			d := newDesk(t)
			x := w.begin(t, d.url, level)
			x.lives("it has begun") // by which it has its snapshot
			c := due("c", "", -time.Minute)
			ranElsewhere(t, d, c)
			res, err := d.s.PutTx(t.Context(), x.tx, []store.Put{due("b", "", -time.Minute), c, due("d", "", time.Hour)})
			if err != nil || res[0].Outcome != store.Created || res[1].Outcome != store.AlreadyRan || res[2].Outcome != store.Created {
				t.Errorf("%s: PutTx: %+v, error %v; want that the second has already run", level, res, err)
			}
			x.end(true)
			if got := get(t, d.other, "c"); got != nil || get(t, d.s, "b") == nil || get(t, d.s, "d") == nil {
				t.Errorf("%s: there is %+v, and not what was put beside it", level, got)
			}
		}
	})
}

// Nor by a call that has asked whether it has, or had no need to because it was not due yet, and waits then for another name of the same call.
//
// contract: A2
func TestTx_WhatRanWhileItWaited(t *testing.T) {
	for _, how := range []string{"Put", "PutTx"} {
		for when, in := range map[string]time.Duration{"due": -time.Minute, "due meanwhile": time.Second} {
			t.Run(how+" "+when, func(t *testing.T) {
				clk := clock.NewManual(time.Now())
				d := newDeskAt(t, clk)
				var there int64
				if how == "Put" {
					there = put(t, d.s, due("b", "", time.Hour)).Task.Generation
				}
				x, y := both[0].begin(t, d.url, ""), both[0].begin(t, d.url, "")
				x.put(d.s, due("b", "x", time.Hour)) // it knows nothing of c
				c := plainPut("c")
				c.When = store.On(store.Occurrence{For: store.Instant(clk.Read().Wall / 1000).Add(in)})
				puts := []store.Put{due("b", "ours", time.Hour), c}
				puts[0].IfGeneration = there // else a Put waits before it asks
				var res []store.PutResult
				done := make(chan error, 1)
				go func() {
					var err error
					if how == "Put" {
						res, err = d.s.Put(context.WithoutCancel(t.Context()), puts)
					} else {
						res, err = d.s.PutTx(context.WithoutCancel(t.Context()), y.tx, puts)
					}
					done <- err
				}()
				d.waits(1, done)
				clk.Advance(2 * time.Second)
				ranElsewhere(t, d, c)
				x.end(false)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				y.end(true)
				if got := get(t, d.other, "c"); res[1].Outcome != store.AlreadyRan || got != nil {
					t.Errorf("%s of what has run meanwhile: %v, and there is %+v; want that it has already run", how, res[1].Outcome, got)
				}
			})
		}
	}
}

// Nor by a call whose names are all free, which asks nothing of what is due later and inserts its names one after the other: one that comes due
// meanwhile is another's to run.
//
// contract: A5
func TestPut_WhatRanWhileItInserted(t *testing.T) {
	clk := clock.NewManual(time.Now())
	d := newDeskAt(t, clk)
	do := func(sql string, args ...any) {
		t.Helper()
		if _, err := d.admin.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	put(t, d.s, due("a", "", time.Hour)) // numbers are raised, and the clock is known
	slow := pgx.Identifier{d.schema, "slow"}.Sanitize() + "()"
	do("create function " + slow + ` returns trigger language plpgsql as
'begin perform set_config(''lock_timeout'', ''0'', true), pg_advisory_xact_lock_shared(1); return new; end'`)
	do("create trigger slow before insert on " + pgx.Identifier{d.schema, "task"}.Sanitize() + " for each row when (new.name = 'b') execute function " + slow)
	do("select pg_advisory_lock(1)")
	c := plainPut("c")
	c.When = store.On(store.Occurrence{For: store.Instant(clk.Read().Wall / 1000).Add(15 * time.Second)})
	var res []store.PutResult
	done := make(chan error, 1)
	go func() {
		var err error
		res, err = d.s.Put(context.WithoutCancel(t.Context()), []store.Put{due("b", "", time.Hour), c})
		done <- err
	}()
	d.waits(1, done)
	clk.Advance(16 * time.Second)
	ranElsewhere(t, d, c)
	do("select pg_advisory_unlock(1)")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := get(t, d.other, "c"); res[0].Outcome != store.Created || res[1].Outcome != store.AlreadyRan || got != nil {
		t.Errorf("Put of a free name, and of what has run meanwhile: %v, %v, and there is %+v; want that the second has already run",
			res[0].Outcome, res[1].Outcome, got)
	}
}

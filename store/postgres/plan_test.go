package postgres_test

import (
	"fmt"
	neturl "net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// many is how many rows there are when the table has grown.
const many = 20_000

// grow makes many tasks, m1 and so on, of each that is there.
func grow(t *testing.T, adm *pgx.Conn, schema string) {
	t.Helper()
	exec(t, adm, fmt.Sprintf(`insert into %[1]s.task select ns, 'm' || i, shard, due, generation, kind, tags, paused, running, attempt, body, payload
from %[1]s.task, generate_series(1, %[2]d) i`, schema, many))
}

// What a server plans while the table is a few pages is to read all of it, or of an index. Whoever keeps such a plan reads all of it for each
// name when the table has grown, and nobody gets a claim or an outcome through until the server looks at the table again.
func TestPlans_FollowTheTable(t *testing.T) {
	o, url := quiet(t), pgtest.Shared(t).URL("postgres") // a kept session would not tell what it has counted
	o.Writers = 1
	name := "duly, " + o.Schema
	s := opened(t, url+"&application_name="+neturl.QueryEscape(name), o)
	adm := admin(t, url)
	exec(t, adm, "alter table "+o.Schema+".task set (autovacuum_enabled = false)")
	pause := func(name string) {
		t.Helper()
		for _, v := range []store.Verb{store.VerbPause, store.VerbResume} {
			res, err := s.Edit(t.Context(), []store.Edit{{Verb: v, Key: store.Key{Name: name}}})
			if err != nil || res[0].Err != nil {
				t.Fatal(err, res)
			}
		}
		get(t, s, name)
	}
	put(t, s, due("n", "", time.Hour))
	exec(t, adm, "vacuum analyze "+o.Schema+".task")
	for range 10 { // more than a server tries plans before it keeps one
		pause("n")
	}
	grow(t, adm, o.Schema)
	for i := range 10 {
		pause(fmt.Sprintf("m%d", i+1))
	}
	if err := s.Close(); err != nil { // what a session has counted is known when it has ended
		t.Fatal(err)
	}
	open, read := 1, 0
	for open > 0 {
		err := adm.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = $1", name).Scan(&open)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := adm.QueryRow(t.Context(), "select seq_tup_read from pg_stat_user_tables where relid = $1::regclass", o.Schema+".task").Scan(&read); err != nil {
		t.Fatal(err)
	}
	if read >= many {
		t.Errorf("%d rows were read by looking through the whole table, want those of when it was small", read)
	}
}

// The same holds for what is put in a transaction of the application's, on its own connection, whose driver may keep our statements prepared.
func TestTx_PlansFollowTheTable(t *testing.T) {
	eachWay(t, ways, func(t *testing.T, w way) {
		d := newDesk(t)
		exec(t, d.admin, "alter table "+d.schema+".task set (autovacuum_enabled = false)")
		put(t, d.s, due("n", "", time.Hour))
		exec(t, d.admin, "vacuum analyze "+d.schema+".task")
		x := w.begin(t, d.url, "")
		pass := func(name string) {
			t.Helper()
			for _, payload := range []string{"1", "2"} { // the first to find it there, the second to find it changed
				x.put(d.s, due(name, payload, time.Hour))
			}
		}
		for range 10 {
			pass("n")
		}
		grow(t, d.admin, d.schema)
		for i := range 10 {
			pass(fmt.Sprintf("m%d", i+1))
		}
		err := x.exec(t.Context(), fmt.Sprintf(`do $$ declare n bigint; begin
select seq_tup_read into n from pg_stat_xact_user_tables where relid = '%s.task'::regclass;
if n >= %d then raise '%% rows were read by looking through the whole table', n; end if; end $$`, d.schema, many))
		if err != nil {
			t.Error(err)
		}
		x.end(false)
	})
}

// How the application has its own statements planned stays as it has it, whatever becomes of a
// call in its transaction.
func TestTx_LeavesHowPlansAreMade(t *testing.T) {
	eachWay(t, ways, func(t *testing.T, w way) {
		d := newDesk(t)
		is := func(x *txn, want, when string) {
			t.Helper()
			err := x.exec(t.Context(), "select 1 / (current_setting('plan_cache_mode') = '"+want+"')::int")
			if err != nil {
				t.Errorf("plan_cache_mode is not %s %s: %v", want, when, err)
			}
		}
		for set, want := range map[string]string{
			"select 1": "auto", "set plan_cache_mode = force_generic_plan": "force_generic_plan", "set local plan_cache_mode = force_custom_plan": "force_custom_plan",
		} {
			for _, level := range []string{"", "repeatable read", "serializable"} {
				x := w.begin(t, d.url, level)
				if err := x.exec(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				x.put(d.s, due("n"+level+set, "", time.Hour))
				is(x, want, "after a put")
				if err := x.exec(t.Context(), "savepoint mine"); err != nil {
					t.Fatal(err)
				}
				x.put(d.s, due("m", "", time.Hour))
				if err := x.exec(t.Context(), "rollback to savepoint mine"); err != nil {
					t.Fatal(err)
				}
				is(x, want, "where a put is taken back")
				if err := x.exec(t.Context(), "set transaction read only"); err != nil {
					t.Fatal(err)
				}
				if _, err := d.s.PutTx(t.Context(), x.tx, []store.Put{due("m", "", time.Hour)}); err == nil {
					t.Error("a put in a transaction that is read only is no error")
				}
				is(x, want, "after a put that failed")
				x.end(true)
			}
		}
	})
}

// What a call costs in the application's transaction: questions to the server, where there is one thing to write.
func TestTx_RoundTrips(t *testing.T) {
	for name, most := range map[string]int64{"pgx": 4, "sql": 6} {
		w := ways[0]
		if name == "sql" {
			w = ways[3]
		}
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			wire := newWire(t, d.url)
			x := w.begin(t, wire.url, "")
			x.put(d.s, due("first", "", 2*time.Hour)) // by then the driver has prepared what it prepares
			before := wire.asked.Load()
			x.put(d.s, due("second", "", 2*time.Hour))
			if n := wire.asked.Load() - before; n > most {
				t.Errorf("a put asks the server %d times, want %d", n, most)
			}
			x.end(false)
		})
	}
}

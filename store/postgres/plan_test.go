package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// What a server plans while the table is a few pages is to read all of it, or of an index. Whoever keeps such a plan reads all of it for each
// name when the table has grown, and nobody gets a claim or an outcome through until the server looks at the table again.
func TestPlans_FollowTheTable(t *testing.T) {
	o, url := quiet(t), database(t)
	o.Writers = 1
	s := opened(t, url, o)
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
	const many = 20_000
	exec(t, adm, fmt.Sprintf(`insert into %[1]s.task select ns, 'm' || i, shard, due, generation, kind, tags, paused, running, attempt, body, payload
from %[1]s.task, generate_series(1, %[2]d) i`, o.Schema, many))
	for i := range 10 {
		pause(fmt.Sprintf("m%d", i+1))
	}
	if err := s.Close(); err != nil { // what a session has counted is known when it has ended
		t.Fatal(err)
	}
	open, read := 1, 0
	for open > 0 {
		err := adm.QueryRow(t.Context(), `select count(*) from pg_locks l join pg_stat_activity a using (pid)
where a.application_name = 'duly' and l.relation = $1::regclass`, o.Schema+".task").Scan(&open)
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

package postgres_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/store/storetest"
)

var update = flag.Bool("update", false, "record testdata of this version of the schema: only before it is released, or for a new one")

// A recording is what a schema of one version held, row by row, and what the store showed of it then.
type recording struct {
	Rows      map[string]json.RawMessage // of each table, as an array of objects
	Sequences map[string]int64           // the last number that was given out
	Shows     shown
}

// shown is what a store shows.
type shown struct {
	Tasks, Dead []*store.Task
	Events      []store.Event
	Stats       store.Stats
}

// recorded are the tables whose rows are. Those of who works on them are not: nobody does when a schema is brought to a new version, or
// it does not matter who did.
var recorded = []string{"task", "dead", "history", "counter", "counter_delta", "note"}

var recordedSequences = []string{"number", "history_seq"}

func look(t *testing.T, s *postgres.Store) (x shown) {
	t.Helper()
	ctx := t.Context()
	tasks, err := s.List(ctx, store.Query{AllNamespaces: true, Limit: 1000})
	dead, derr := s.List(ctx, store.Query{AllNamespaces: true, State: store.Dead, Limit: 1000})
	events, eerr := s.History(ctx, store.HistoryQuery{Limit: 1000})
	stats, serr := s.Stats(ctx)
	if err := errors.Join(err, derr, eerr, serr); err != nil {
		t.Fatal(err)
	}
	x = shown{Tasks: tasks.Tasks, Dead: dead.Tasks, Events: events, Stats: stats}
	for _, tasks := range [][]*store.Task{x.Tasks, x.Dead} {
		for _, task := range tasks {
			for i := range task.Runs {
				task.Runs[i].Lease = 0 // it ends with the process
			}
		}
	}
	return x
}

// furnish puts something of every kind into a store: plain, large, paused, running, retried, dead and ended tasks, and their history.
func furnish(t *testing.T, s *postgres.Store) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	spec := store.Spec{Kind: "remind", Schedule: "in 1s", Policy: []byte(`{"attempts":3}`), LimitKey: "shop", Tags: []string{"a", "b"}, Priority: -3}
	var puts []store.Put
	for i := range 24 {
		p := store.Put{Key: store.Key{Namespace: []string{"", "shop"}[i%2], Name: fmt.Sprintf("task-%02d", i)}, Spec: spec, When: store.In(0, 0)}
		if p.Payload = fmt.Appendf(nil, `{"n":%d}`, i); i%10 == 9 {
			p.Payload = []byte(strings.Repeat("large", 500+i))
		}
		if i >= 12 {
			p.When = store.In(time.Duration(i)*time.Hour, 0)
		}
		puts = append(puts, p)
	}
	put, err := s.Put(ctx, puts)
	ok(err)
	for i := range put[:12] {
		ok(put[i].Err)
		task := put[i].Task
		claims, err := s.Claim(ctx, []store.Claim{{
			RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Lease: time.Minute, Owner: "node",
		}})
		ok(err)
		ok(claims[0].Err)
		end := store.Settlement{RunID: claims[0].RunID, Fence: claims[0].Fence, Verb: store.VerbSettle, State: store.Done}
		switch i % 4 {
		case 0:
			continue // it runs
		case 1:
			end.State, end.Reason = store.Dead, "too often"
		case 2:
			end.Verb, end.State, end.When = store.VerbRetry, store.None, store.In(time.Minute, 0)
		}
		settled, err := s.Settle(ctx, []store.Settlement{end})
		ok(err)
		ok(settled[0].Err)
	}
	edits, err := s.Edit(ctx, []store.Edit{{Verb: store.VerbPause, Key: put[13].Task.Key, Reason: "stocktaking"}})
	ok(err)
	ok(edits[0].Err)
	ok(s.SetNote(ctx, "zones", "2026a"))
}

// record makes the recording of this program's version. What was recorded of one that was released is not to be made again.
func record(t *testing.T, conn *pgx.Conn, path string) {
	t.Helper()
	o := quiet(t)
	s := opened(t, database(t), o)
	furnish(t, s)
	r := recording{Rows: map[string]json.RawMessage{}, Sequences: map[string]int64{}, Shows: look(t, s)}
	for _, table := range recorded {
		var rows []byte
		sql := fmt.Sprintf("select coalesce(json_agg(x), '[]') from %s.%s x", o.Schema, table)
		if err := conn.QueryRow(t.Context(), sql).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		r.Rows[table] = rows
	}
	for _, name := range recordedSequences {
		var last int64
		if err := conn.QueryRow(t.Context(), fmt.Sprintf("select last_value from %s.%s", o.Schema, name)).Scan(&last); err != nil {
			t.Fatal(err)
		}
		r.Sequences[name] = last
	}
	text, err := json.MarshalIndent(&r, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restore makes a schema of a version, and puts what was recorded of it there.
func restore(t *testing.T, conn *pgx.Conn, o postgres.Options, version int, r *recording) {
	t.Helper()
	for v := 1; v <= version; v++ {
		text, err := postgres.MigrationSQL(v, o.Schema)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "begin;"+text+";commit")
	}
	for table, rows := range r.Rows {
		in := o.Schema + "." + table
		exec(t, conn, "delete from "+in)
		sql := fmt.Sprintf("insert into %s select * from json_populate_recordset(null::%s, $1)", in, in)
		if _, err := conn.Exec(t.Context(), sql, string(rows)); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	for name, last := range r.Sequences {
		exec(t, conn, fmt.Sprintf("select setval('%s.%s', %d)", o.Schema, name, last))
	}
}

// Each version of the schema that there has been, with tasks in it, is brought to the newest one: the store shows what was there, and goes
// on, with numbers above those that were given out.
func TestMigrate_EveryVersion(t *testing.T) {
	url := database(t)
	conn := admin(t, url)
	if *update {
		record(t, conn, filepath.Join("testdata", fmt.Sprintf("data-v%d.json", postgres.Wanted)))
	}
	for version := 1; version <= postgres.Wanted; version++ {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("data-v%d.json", version)))
			if err != nil {
				t.Fatalf("nothing is recorded of version %d; to record this program's: -update. %v", version, err)
			}
			var r recording
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			want := r.Shows
			if len(want.Tasks) < 15 || len(want.Dead) == 0 || len(want.Events) == 0 || !slices.ContainsFunc(want.Tasks, (*store.Task).Paused) {
				t.Fatalf("%d tasks, %d dead runs and %d entries show too little", len(want.Tasks), len(want.Dead), len(want.Events))
			}
			o := quiet(t)
			restore(t, conn, o, version, &r)
			before, after, err := postgres.Migrate(t.Context(), url, o)
			if err != nil || before.Version != version || after.Version != postgres.Wanted || !after.Fits() {
				t.Fatalf("Migrate: from %+v to %+v, %v", before, after, err)
			}
			s := opened(t, url, o)
			if diff := cmp.Diff(want, look(t, s)); diff != "" {
				t.Errorf("(-was +is):\n%s", diff)
			}
			storetest.Invariants(t, s)
			if note, err := s.Note(t.Context(), "zones"); err != nil || note != "2026a" {
				t.Errorf("the note is %q, %v", note, err)
			}
			highest := int64(0)
			for _, task := range want.Tasks {
				highest = max(highest, task.Generation)
				for i := range task.Runs {
					highest = max(highest, task.Runs[i].Fence)
				}
			}
			res, err := s.Put(t.Context(), []store.Put{plainPut("new")})
			if err != nil || res[0].Err != nil || res[0].Task.Generation <= highest {
				t.Errorf("put: %+v, %v; want a generation above %d", res, err, highest)
			}
		})
	}
}

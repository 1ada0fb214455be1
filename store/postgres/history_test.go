package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// follow returns the numbers of the entries after one.
func follow(t *testing.T, s store.Store, after int64) []int64 {
	t.Helper()
	return numbers(t, s, store.HistoryQuery{After: after})
}

// numbers returns those of the entries that a query is answered with.
func numbers(t *testing.T, s store.Store, q store.HistoryQuery) (seqs []int64) {
	t.Helper()
	evs, err := s.History(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range evs {
		seqs = append(seqs, evs[i].Seq)
	}
	return seqs
}

// TestHistory_IsFollowedWithoutGaps: an entry has its number before it is committed, so whoever goes on from the newest would never see
// those of a transaction that takes longer.
//
// contract: K2.
func TestHistory_IsFollowedWithoutGaps(t *testing.T) {
	o, url := quiet(t), database(t)
	s := opened(t, url, o)
	put := func(name string) {
		t.Helper()
		if _, err := s.Put(t.Context(), []store.Put{plainPut(name)}); err != nil {
			t.Fatal(err)
		}
	}
	cancel := func(name string) {
		t.Helper()
		if _, err := s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: name}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "slow", "b", "c"} {
		put(name)
	}
	cancel("a")
	known := follow(t, s, 0)
	if len(known) != 1 {
		t.Fatalf("entries %v; want one", known)
	}

	conn := admin(t, url)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := s.CancelTx(t.Context(), tx, []store.Cancel{{Key: store.Key{Name: "slow"}}}); err != nil {
		t.Fatal(err)
	}
	cancel("b")
	if got := follow(t, s, known[0]); len(got) != 0 {
		t.Errorf("while a transaction is under way that began before: entries %v; want none, or its own would be passed by", got)
	}
	newest := store.HistoryQuery{Newest: true}
	from := numbers(t, s, newest)
	if !slices.Equal(from, known) {
		t.Errorf("the newest meanwhile: entries %v; want %v, or whoever goes on from the first would pass its own by", from, known)
	}
	evs, err := s.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: "b"}})
	if err != nil || len(evs) != 1 {
		t.Errorf("the history of one name: %v, %v; want its entry, which is committed", evs, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel("c")
	if got := numbers(t, s, newest); len(got) != 4 || got[0] <= got[1] || got[1] <= got[2] || got[3] != known[0] {
		t.Errorf("the newest afterwards: entries %v; want four, falling", got)
	}
	if got := follow(t, s, from[0]); len(got) != 3 || got[0] >= got[1] || got[1] >= got[2] {
		t.Errorf("afterwards: entries %v; want three, rising", got)
	}
}

// TestNumbers_RiseAfterALoss: a server that has lost its last commits gives the numbers out again that these had, unless they are raised.
//
// contract: D3.
func TestNumbers_RiseAfterALoss(t *testing.T) {
	srv := pgtest.Start(t, pgtest.Options{})
	url := srv.URL("postgres")
	o := quiet(t)
	s := opened(t, url, o)
	put := func() int64 {
		t.Helper()
		res, err := s.Put(t.Context(), []store.Put{plainPut("a")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "a"}}}); err != nil {
			t.Fatal(err)
		}
		return res[0].Task.Generation
	}
	count := func() (n int) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(t.Context()) }()
		if err := conn.QueryRow(t.Context(), "select count(*) from "+o.Schema+".raised").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := put()
	if n := count(); n != 1 {
		t.Fatalf("%d rows say that numbers are raised; want 1", n)
	}
	if err := srv.Restart(pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1 {
		t.Errorf("after a restart in good order: %d rows; want 1, for nothing can be lost", n)
	}
	if err := srv.Restart(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("after a crash: %d rows; want 0", n)
	}
	exec(t, admin(t, url), "select setval('"+o.Schema+".number', 1)") // as if all had been lost
	var again int64
	for again == 0 { // the first calls may find connections of before
		if res, err := s.Put(t.Context(), []store.Put{plainPut("a")}); err == nil {
			again = res[0].Task.Generation
		}
	}
	if again <= first {
		t.Errorf("generation %d after %d: it has been given out before", again, first)
	}
	if n := count(); n != 1 {
		t.Errorf("%d rows say that numbers are raised; want 1", n)
	}
}

// What is asked of a name's history costs what answers it: of a name that ends again and again there may be hundreds of thousands of entries, and
// the rows of a batch are locked meanwhile.
func TestHistory_IsAskedNoMoreThanAnswers(t *testing.T) {
	d := newDesk(t)
	ran := due("n", "", -time.Hour)
	run := claim(t, d.s, put(t, d.s, ran).Task)
	res, err := d.s.Settle(t.Context(), []store.Settlement{{RunID: run.RunID, Fence: run.Fence, Verb: store.VerbSettle, State: store.Done}})
	if err != nil || res[0].Err != nil {
		t.Fatal(res, err)
	}
	const many, most = 45_000, 12_000
	exec(t, d.admin, fmt.Sprintf(`insert into %[1]s.history (at, key, ns, name, identity, body)
select at - 600000000, key, ns, name, decode(md5(i::text), 'hex'), body from %[1]s.history, generate_series(1, %[2]d) i`, d.schema, many))
	exec(t, d.admin, "vacuum analyze "+d.schema+".history")
	eachWay(t, both, func(t *testing.T, w way) {
		for name, ask := range map[string]func(x *txn){
			"a cancel": func(x *txn) {
				res, err := d.s.CancelTx(t.Context(), x.tx, []store.Cancel{{Key: store.Key{Name: "n"}}})
				if err != nil || res[0].Outcome != store.CancelFinished {
					t.Errorf("CancelTx: %+v, error %v, want that it has ended", res, err)
				}
			},
			"a put": func(x *txn) {
				if got := x.put(d.s, due("n", "other", -time.Second)).Outcome; got != store.Created {
					t.Errorf("PutTx: %v, want that it is made", got)
				}
			},
		} {
			x := w.begin(t, d.url, "")
			read := "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables where relid = '" + d.schema + ".history'::regclass"
			if err := x.exec(t.Context(), "select set_config('test.before', ("+read+")::text, true)"); err != nil { // the session may have been another's
				t.Fatal(err)
			}
			ask(x)
			err := x.exec(t.Context(), fmt.Sprintf(`do $$ declare n bigint := (%s) - current_setting('test.before')::bigint; begin
if n > %d then raise '%% entries were read', n; end if; end $$`, read, most))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			x.end(false)
		}
	})
	if got := put(t, d.s, ran).Outcome; got != store.AlreadyRan {
		t.Errorf("Put of what has run before all that: %v, want that it has already run", got)
	}
	ran.Payload = []byte("other")
	if got := put(t, d.s, ran).Outcome; got != store.Created {
		t.Errorf("Put of what has not run: %v, want that it is made", got)
	}
}

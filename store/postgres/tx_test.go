package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// A txn is an application's transaction, on a connection of its own.
type txn struct {
	t        *testing.T
	tx       any
	exec     func(ctx context.Context, sql string) error
	commit   func(ctx context.Context) error
	rollback func(ctx context.Context) error
}

// A way is how an application comes to a transaction.
type way struct {
	name  string
	begin func(t *testing.T, url string, level string) *txn
}

// levels are the isolation levels, by the name that SQL has for them; "" is read committed.
var levels = map[string]sql.IsolationLevel{"": sql.LevelDefault, "repeatable read": sql.LevelRepeatableRead, "serializable": sql.LevelSerializable}

var ways = []way{
	{"pgx", viaPgx(pgx.QueryExecModeCacheStatement)},
	{"pgx without prepared statements", viaPgx(pgx.QueryExecModeExec)},
	{"pgx, simple protocol", viaPgx(pgx.QueryExecModeSimpleProtocol)},
	{"sql", viaSQL(pgx.QueryExecModeCacheStatement)},
	{"sql, simple protocol", viaSQL(pgx.QueryExecModeSimpleProtocol)},
}

// both are the two kinds of transactions there are.
var both = []way{ways[0], ways[3]}

func (w way) String() string { return w.name }

func eachWay(t *testing.T, ways []way, f func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

func config(t *testing.T, url string, mode pgx.QueryExecMode) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = mode
	return cfg
}

func viaPgx(mode pgx.QueryExecMode) func(t *testing.T, url, level string) *txn {
	return func(t *testing.T, url, level string) *txn {
		t.Helper()
		conn, err := pgx.ConnectConfig(t.Context(), config(t, url, mode))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.TxIsoLevel(level)})
		if err != nil {
			t.Fatal(err)
		}
		exec := func(ctx context.Context, sql string) error {
			_, err := tx.Exec(ctx, sql)
			return err
		}
		return &txn{t: t, tx: tx, exec: exec, commit: tx.Commit, rollback: tx.Rollback}
	}
}

func viaSQL(mode pgx.QueryExecMode) func(t *testing.T, url, level string) *txn {
	return func(t *testing.T, url, level string) *txn {
		t.Helper()
		db := stdlib.OpenDB(*config(t, url, mode))
		t.Cleanup(func() { _ = db.Close() })
		tx, err := db.BeginTx(context.WithoutCancel(t.Context()), &sql.TxOptions{Isolation: levels[level]})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() }) // mostly it has ended
		exec := func(ctx context.Context, sql string) error {
			_, err := tx.ExecContext(ctx, sql)
			return err
		}
		return &txn{
			t: t, tx: tx, exec: exec,
			commit:   func(context.Context) error { return tx.Commit() },
			rollback: func(context.Context) error { return tx.Rollback() },
		}
	}
}

// end ends the transaction.
func (x *txn) end(commit bool) {
	x.t.Helper()
	end := x.rollback
	if commit {
		end = x.commit
	}
	if err := end(x.t.Context()); err != nil {
		x.t.Fatalf("end of the transaction (commit: %v): %v", commit, err)
	}
}

// lives fails the test if the transaction can't go on.
func (x *txn) lives(after string) {
	x.t.Helper()
	if err := x.exec(x.t.Context(), "select 1"); err != nil {
		x.t.Errorf("after %s the transaction is lost: %v", after, err)
	}
}

// put puts in the transaction, which must succeed.
func (x *txn) put(s *postgres.Store, p store.Put) store.PutResult {
	x.t.Helper()
	res, err := s.PutTx(x.t.Context(), x.tx, []store.Put{p})
	if err != nil || len(res) != 1 || res[0].Err != nil {
		x.t.Fatalf("PutTx %s: %+v, error %v", p.Key, res, err)
	}
	return res[0]
}

// A desk is a store that two processes share.
type desk struct {
	*testing.T
	url, schema string
	s, other    *postgres.Store
	admin       *pgx.Conn
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	o := quiet(t)
	url := database(t)
	return &desk{T: t, url: url, schema: o.Schema, s: opened(t, url, o), other: opened(t, url, o), admin: admin(t, url)}
}

// due is a put of a task that is due so long from now.
func due(name, payload string, d time.Duration) store.Put {
	p := plainPut(name)
	p.Payload, p.When = []byte(payload), store.On(store.Occurrence{For: store.At(time.Now().Add(d))})
	return p
}

func put(t *testing.T, s *postgres.Store, p store.Put) store.PutResult {
	t.Helper()
	res, err := s.Put(t.Context(), []store.Put{p})
	if err != nil || res[0].Err != nil {
		t.Fatalf("Put %s: %+v, error %v", p.Key, res, err)
	}
	return res[0]
}

func get(t *testing.T, s *postgres.Store, name string) *store.Task {
	t.Helper()
	ts, err := s.Get(t.Context(), []store.Key{{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return ts[0]
}

// claim claims the next occurrence of a task.
func claim(t *testing.T, s *postgres.Store, task *store.Task) store.ClaimResult {
	t.Helper()
	id := store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}
	res, err := s.Claim(t.Context(), []store.Claim{{RunID: id, Lease: time.Hour, Owner: "me"}})
	if err != nil || res[0].Err != nil {
		t.Fatalf("Claim: %+v, error %v", res, err)
	}
	return res[0]
}

// movesOf returns what the history says of a name, in short.
func movesOf(t *testing.T, s *postgres.Store, name string) string {
	t.Helper()
	events, err := s.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range events {
		all = append(all, events[i].From.String()+">"+events[i].To.String()+" "+events[i].Verb.String())
	}
	return strings.Join(all, ", ")
}

// A picture is all that a store shows.
type picture struct {
	Tasks  []*store.Task
	Stats  store.Stats
	Events []store.Event
}

func (d *desk) look() (p picture) {
	d.Helper()
	page, err := d.other.List(d.Context(), store.Query{AllNamespaces: true})
	if err == nil {
		p.Tasks = page.Tasks
		p.Stats, err = d.other.Stats(d.Context())
	}
	if err == nil {
		p.Events, err = d.other.History(d.Context(), store.HistoryQuery{Newest: true})
	}
	if err != nil {
		d.Fatal(err)
	}
	return p
}

// waits returns when n statements wait for others' transactions. It fails the test when done has something before.
func (d *desk) waits(n int, done <-chan error) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	for {
		if _, err := d.admin.Exec(ctx, "select pg_sleep(0.01)"); err != nil {
			d.Fatalf("waited in vain for %d statements to wait: %v", n, err)
		}
		var is int
		err := d.admin.QueryRow(ctx, `select count(distinct a.pid) from pg_stat_activity a join pg_locks l on l.pid = a.pid and not l.granted
where a.datname = current_database() and a.wait_event_type = 'Lock'`).Scan(&is)
		if err != nil {
			d.Fatal(err)
		}
		select {
		case err := <-done:
			d.Fatalf("it has not waited, error %v", err)
		default:
		}
		if is >= n {
			return
		}
	}
}

// codeOf is the server's name of what went wrong, "" if it was not the server.
func codeOf(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}

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
		}
		x := w.begin(t, d.url, "")
		x.put(d.s, due("early", "", -time.Hour))
		x.end(false)
		x = w.begin(t, d.url, "")
		want := x.put(d.s, due("late", "", time.Second)).Task.Position()
		x.end(true)
		for i, h := range hints {
			if got := heard(t, h); got.At != want || got.Shards == (store.Shards{}) {
				t.Errorf("store %d has heard %+v first, want what is due at %v", i, got, want)
			}
		}
	})
}

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

package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// What is known of the server's clock is never behind it, so that no delay is made shorter: not by clocks that drift apart, and, from the first
// answer on that shows it, not by one that was set forward.
//
// contract: A3
func TestTick(t *testing.T) {
	const ms = int64(1_000_000)
	var k tick
	if _, known := k.now(0); known {
		t.Error("a clock is known that nobody has asked for")
	}
	at := func(boot int64, want store.Instant, what string) {
		t.Helper()
		if got, known := k.now(boot); got != want || !known {
			t.Errorf("%s: %d, %v; want %d", what, got, known, want)
		}
	}
	k.set(0, 2*ms, 1_001_000) // the server's clock is 1 s ahead, or 0.999 s
	at(0, 1_001_001, "after one answer")
	k.set(10*ms, 14*ms, 1_012_500) // which says less
	at(10*ms, 1_011_005, "after a slower answer")
	k.set(20*ms, 21*ms, 1_020_500)
	at(20*ms, 1_020_501, "after a faster one")
	at(20*ms+2000*ms, 3_021_501, "two seconds later, in which clocks may have drifted apart by a millisecond")
	k.set(30*ms, 31*ms, 1_930_500)
	at(30*ms, 1_930_501, "after the server's clock was set forward")
	k.set(40*ms, 41*ms, 140_500)
	at(40*ms, 140_501, "after it was set back")
	if _, known := k.now(40*ms + tickFor + 1); known {
		t.Error("a clock is known that was last heard of too long ago")
	}
	k.forget()
	if _, known := k.now(40 * ms); known {
		t.Error("a clock is known that was forgotten")
	}
}

// What is known of the history is by the last question, in whatever order the answers come: something later may have been written before an earlier
// answer is taken in.
//
// contract: A5
func TestHigh(t *testing.T) {
	const ms = int64(1_000_000)
	var h high
	if !h.stale(0) {
		t.Error("it is known what nobody has asked for")
	}
	h.reread(7, 100, 0)
	h.reread(9, 300, 20*ms)
	h.reread(8, 200, 10*ms)
	if got, last := h.raise(5), h.entry(); got != 9 || last != 300 || h.stale(20*ms+highFor-1) || !h.stale(20*ms+highFor) {
		t.Errorf("the latest time is %v, and the history went up to %d; want 9 and 300, known for a second from the last question on", got, last)
	}
	h.reread(6, 50, 2000*ms) // the server has lost its last commits
	if got, last := h.raise(12), h.entry(); got != 12 || last != 50 {
		t.Errorf("the latest time is %v, and the history went up to %d; want 12 and 50", got, last)
	}
}

// Two calls in one batch, of which one makes a task and the other changes it: who has made it is told the generation that it has.
//
// contract: B4
func TestWrite_MadeAndChangedAtOnce(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }() // a second time is none
	k := store.Key{Name: "n"}
	puts := []store.Put{{Key: k, When: store.In(3_600_000_000, 0), Spec: store.Spec{Kind: "k", Schedule: "every 1h", Recurring: true}}}
	edits := []store.Edit{{Verb: store.VerbRun, Key: k}}
	made, answer := rowsOf(puts, putKey, putSize, (*store.Put).Apply)
	changed, _ := rowsOf(edits, func(x *store.Edit) store.Key { return x.Key }, nil, (*store.Edit).Apply)
	calls := []*call{{op: "put", rows: made, done: make(chan struct{})}, {op: "edit", rows: changed, done: make(chan struct{})}}
	(&writer{s: s}).write(calls, lockTimeout, asFound)
	for _, c := range calls {
		if <-c.done; c.err != nil {
			t.Fatal(c.err)
		}
	}
	got, err := s.Get(t.Context(), []store.Key{k})
	if err != nil || got[0] == nil || len(got[0].Runs) != 1 || got[0].Generation != answer[0].Task.Generation {
		t.Errorf("there is %+v, error %v; want what was put with generation %d, and a run beside it", got[0], err, answer[0].Task.Generation)
	}
}

// Calls in one batch, of which one ends a task, and another puts what had run under its name before: that does not run again, as it would not in
// the batch behind it.
//
// contract: A5
func TestWrite_EndedAndPutAtOnce(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }() // a second time is none
	past := store.At(time.Now().Add(-time.Minute))
	of := func(name, payload string) store.Put {
		return store.Put{
			Key: store.Key{Name: name}, When: store.On(store.Occurrence{For: past}), Spec: store.Spec{Kind: "k", Payload: []byte(payload)},
		}
	}
	puts := []store.Put{of("free", "ran"), of("live", "ran"), of("live", "new")}
	for _, p := range puts[:2] {
		put, err := s.Put(t.Context(), []store.Put{p})
		if err != nil {
			t.Fatal(err)
		}
		id := store.RunID{Key: p.Key, Generation: put[0].Task.Generation, For: past}
		run, err := s.Claim(t.Context(), []store.Claim{{RunID: id, Lease: time.Hour, Owner: "me"}})
		if err != nil {
			t.Fatal(err)
		}
		set, err := s.Settle(t.Context(), []store.Settlement{{RunID: id, Fence: run[0].Fence, Verb: store.VerbSettle, State: store.Done}})
		if err != nil || set[0].Err != nil {
			t.Fatal(set, err)
		}
	}
	if res, err := s.Put(t.Context(), puts[2:]); err != nil || res[0].Outcome != store.Created {
		t.Fatal(res, err)
	}
	first, firstAnswer := rowsOf(puts[:1], putKey, putSize, (*store.Put).Apply)
	ended, endAnswer := rowsOf([]store.Cancel{{Key: puts[1].Key}}, cancelKey, nil, (*store.Cancel).Apply)
	again, againAnswer := rowsOf(puts[1:2], putKey, putSize, (*store.Put).Apply)
	var calls []*call
	for _, rows := range [][]row{first, ended, again} {
		calls = append(calls, &call{rows: rows, done: make(chan struct{})})
	}
	(&writer{s: s}).write(calls, lockTimeout, asFound)
	for _, c := range calls {
		if <-c.done; c.err != nil {
			t.Fatal(c.err)
		}
	}
	if firstAnswer[0].Outcome != store.AlreadyRan || endAnswer[0].Outcome != store.CancelCancelled || againAnswer[0].Outcome != store.AlreadyRan {
		t.Errorf("the free name: %v, the end of the other: %v, and what had run under it: %v", firstAnswer[0].Outcome, endAnswer[0].Outcome, againAnswer[0].Outcome)
	}
	if got, err := s.Get(t.Context(), []store.Key{puts[1].Key}); err != nil || got[0] != nil {
		t.Errorf("there is %+v, error %v; want nothing", got, err)
	}
}

// A plan is kept, so that it has to be the right one for a large table also when it is made while there is one task, of which each index has
// a page.
func TestPlans_OfOneTask(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }() // a second time is none
	if _, err := s.Put(t.Context(), []store.Put{{Key: store.Key{Name: "n"}, When: store.In(3_600_000_000, 0), Spec: store.Spec{Kind: "k"}}}); err != nil {
		t.Fatal(err)
	}
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	run := func(sql string) string {
		t.Helper()
		res, err := conn.Conn().PgConn().Exec(t.Context(), sql).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		var text strings.Builder
		for _, row := range res[0].Rows {
			text.Write(row[0])
			text.WriteByte('\n')
		}
		return text.String()
	}
	some, _ := within(&store.Shards{2}, map[string]store.Shards{"k": {}}, 8)
	run("vacuum analyze duly.task")
	for i, c := range []struct{ sql, args, want string }{
		{getTasks, "'{}', '{}'", "Index Scan using task_pkey"},
		{readRows, "'{}', '{}'", "Index Scan using task_pkey"},
		{lockRows, "'{}', '{}'", "Index Scan using task_pkey"},
		{passRows, "'{}', '{}'", "Index Scan using task_pkey"},
		{thereRows, "'{}', '{}'", "Index Only Scan using task_pkey"},
		{lockSame, "'{}', '{}', '{}'", "Tid Scan"},
		{alone[changeTasks], "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 0", "Tid Scan"},
		{alone[replaceTasks], "'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', 0", "Tid Scan"},
		{alone[deleteTasks], "'{}', '{}', '{}', 0", "Tid Scan"},
		{duePage + dueTasks + duePageEnd, "0, '', '', 0, 1, 1", "Index Scan using task_due"},
		{duePage + dueAmong + some + dueAmongEnd + duePageEnd, "0, '', '', 0, 1, 1, 9, '{1}', '{}', '{}'", "Index Scan using task_due"},
		{sweepDue + sweepOrder, "0, 1, 0, '', '', 1", "Index Scan using task_due"},
	} {
		run(fmt.Sprintf("prepare p%d as %s", i, c.sql))
		plan := run(fmt.Sprintf("explain (costs off) execute p%d(%s)", i, c.args))
		if !strings.Contains(plan, c.want) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") {
			t.Errorf("%s\nis done by\n%swant %s", c.sql, plan, c.want)
		}
	}
}

// A reader who follows the history asks first what the last number is, and then who is writing: a writer that has begun in between holds
// nothing back.
func TestHistory_WriterThatHasJustBegun(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }() // a second time is none
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	q := piped{conn}
	end := func() int64 {
		t.Helper()
		n, err := s.entriesEnd(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	do := func(sql string, args ...any) {
		t.Helper()
		if err := q.do(context.WithoutCancel(t.Context()), stmt{sql: sql, args: args}); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []int64{7, 1<<31 + 1, 5<<31 - 1} {
		do("select setval('duly.history_seq', $1)", last)
		do("select pg_advisory_lock_shared($1, $2)", s.entriesClass(), int32((last+3)&0x7fffffff))
		if got := end(); got != last {
			t.Errorf("behind %d writes one that began at %d: the end is %d, want %d", last, last+3, got, last)
		}
		do("select pg_advisory_lock_shared($1, $2)", s.entriesClass(), int32((last-3)&0x7fffffff))
		if got := end(); got != last-3 {
			t.Errorf("one that began at %d writes: the end is %d", last-3, got)
		}
		do("select pg_advisory_unlock_all()")
	}
}

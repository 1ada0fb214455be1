package postgres

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// planOf returns how the server goes about a statement on a connection of the store's.
func planOf(t *testing.T, s *Store, sql string, args ...any) string {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), "explain "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// A sweep looks at what is overdue, and at nothing that is due later, however much that is.
func TestSweep_ReadsWhatIsOverdue(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	some := setOf([]int16{1, 2})
	for name, share := range map[string]store.Share{
		"all":   {Shards: every()},
		"some":  {Shards: some},
		"kinds": {Shards: some, Kinds: map[string]store.Shards{"k": every()}},
	} {
		where, args := within(&share.Shards, share.Kinds, 3)
		plan := planOf(t, s, sweepDue+where+sweepOrder, append([]any{overdue.Microseconds(), int64(mostSwept)}, args...)...)
		if !strings.Contains(plan, "Index Cond: (due <= ") {
			t.Errorf("%s: what is due later is read and passed over:\n%s", name, plan)
		}
	}
}

// What is overdue and was not found by the last look is told of, also where that has found as much, and what is newer.
func TestSweep_TellsOfWhatIsNewToIt(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.nodes.grant.Store(&grant{share: store.Share{Shards: every()}})
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into duly.task (ns, name, shard, due, generation, kind, paused, running, attempt, body)
select '', n, 0, 1, g, 'k', false, 0, 0, '' from (values ('older', 1), ('newer', 2)) v(n, g)`)
	var last sweep
	for i, step := range []struct {
		overdue string
		told    bool
	}{{"newer", true}, {"newer", false}, {"older", true}, {"older", false}, {"", false}, {"older", true}} {
		exec("update duly.task set due = case when name = $1::text then 1 else $2::bigint end", step.overdue, int64(store.Never))
		before := s.Health().Swept
		if err := last.look(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := s.Health().Swept - before; got != 0 != step.told {
			t.Errorf("look %d finds %q, and %d of it to be late; want that it is told: %v", i, step.overdue, got, step.told)
		}
	}
}

// So does the question for what is next of some kinds, or in some shards, and it sorts nothing.
func TestNext_FollowsTheIndex(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	some := setOf([]int16{1, 2})
	for name, share := range map[string]store.Share{
		"some":  {Shards: some},
		"kinds": {Shards: some, Kinds: map[string]store.Shards{"k": every()}},
	} {
		where, args := within(&share.Shards, share.Kinds, 4)
		plan := planOf(t, s, nextAmong+where+nextAmongEnd, append([]any{int64(1), int64(lookMost), int64(store.Never)}, args...)...)
		if strings.Count(plan, "Index Cond: (due > ") != 2 || strings.Contains(plan, "Sort") {
			t.Errorf("%s: the index is not followed:\n%s", name, plan)
		}
	}
}

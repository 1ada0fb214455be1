package postgres

import (
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

package postgres

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		where, args := within(&share.Shards, share.Kinds, 7)
		plan := planOf(t, s, sweepDue+where+sweepOrder, append([]any{int64(store.Never), overdue.Microseconds(), int64(1), "", "", int64(mostSwept)}, args...)...)
		if !strings.Contains(plan, "Index Cond: ((ROW(due, ns, name) > ") || !strings.Contains(plan, "AND (due <= ") || strings.Contains(plan, "Sort") {
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

// What comes to stand behind more than a look has room for is told of all the same, once: while those before it stay, when they have
// gone, and where the rest is somebody else's.
func TestSweep_TellsOfWhatStandsBehindMany(t *testing.T) {
	const kept = 100 // of the backlog, where it falls
	rest := "delete from duly.task where name like 'm%' and generation > " + strconv.Itoa(kept)
	for name, c := range map[string]struct {
		kinds map[string]store.Shards
		then  string
	}{
		"that stay":           {then: "select"},
		"that have gone then": {then: rest},
		"of somebody else's":  {kinds: map[string]store.Shards{"many": {}}, then: "select"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			s.nodes.grant.Store(&grant{share: store.Share{Shards: every(), Kinds: c.kinds}})
			hints, stop := s.hints.Hints() // of those of others it has none
			defer stop()
			exec := func(sql string) {
				t.Helper()
				if _, err := s.pool.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			var last sweep
			looks := func(want ...store.Hint) {
				t.Helper()
				var told []store.Hint
				for range 6 { // of three looks each, at most
					if err := last.look(t.Context(), s); err != nil {
						t.Fatal(err)
					}
					select {
					case h := <-hints:
						told = append(told, h)
					default:
					}
				}
				if diff := cmp.Diff(want, told); diff != "" {
					t.Errorf("(-want that is told +got)\n%s", diff)
				}
			}
			add := func(name, kind string, n, generation, due int) {
				t.Helper()
				exec(fmt.Sprintf(`insert into duly.task (ns, name, shard, due, generation, kind, paused, running, attempt, body)
select '', '%s' || i, 0, %d + i, %d + i, '%s', false, 0, 0, '' from generate_series(1, %d) i`, name, due, generation, kind, n))
			}
			add("m", "many", 2*mostSwept, 1, 1)
			if c.kinds == nil {
				looks(store.Hint{At: 2, Shards: every()})
			} else {
				looks()
			}
			add("late", "k", 1, 0, 3*mostSwept) // its transaction began before theirs
			looks(store.Hint{At: 3*mostSwept + 1, Shards: every()})
			add("another", "k", 1, 0, 4*mostSwept)
			exec(c.then)
			looks(store.Hint{At: 4*mostSwept + 1, Shards: every()})
			looks()
		})
	}
}

// What is too much to be remembered is told of by each sweep, and what it has in memory stays as it is.
func TestSweep_RemembersNoMoreThanItMay(t *testing.T) {
	const more = mostKnown + 2*mostSwept
	generations, dues := make([]int64, mostSwept), make([]int64, mostSwept)
	var w sweep
	sweep := func(n int) (late int64, since store.Instant) {
		for i := range n {
			generations[i%mostSwept], dues[i%mostSwept] = int64(n-i), int64(i+1)
			if at := (i + 1) % mostSwept; at == 0 {
				w.take(generations, dues)
			} else if i+1 == n {
				w.take(generations[:at], dues[:at])
			}
		}
		return w.end()
	}
	for i, step := range []struct {
		overdue     int
		late, since int64
	}{{more, mostKnown, 1}, {more, 0, mostKnown + 1}, {mostKnown, 1, 1}, {mostKnown, 0, int64(store.Never)}} {
		late, since := sweep(step.overdue)
		if late != step.late || since != store.Instant(step.since) {
			t.Errorf("sweep %d finds %d late, and tells of what is due since %d; want %d and %d", i, late, since, step.late, step.since)
		}
		if len(w.known) > mostKnown {
			t.Fatalf("sweep %d remembers %d tasks, want %d at most", i, len(w.known), mostKnown)
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

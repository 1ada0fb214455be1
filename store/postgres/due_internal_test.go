package postgres

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
)

// A page of what is due looks at no more than it may of what is somebody else's, and the next goes on behind that: nothing is passed over, and
// what is asked of the server is short, whatever stands before what is ours.
func TestDue_AmongManyOfOthers(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var puts []store.Put
	var want []string
	for _, at := range []store.Instant{
		1, lookMost - 3, lookMost - 2, // the last that the first look is at,
		lookMost - 1, lookMost, // and the first that the second is at
		3 * lookMost, 4 * lookMost,
	} {
		name := fmt.Sprint("own", at)
		want = append(want, name)
		puts = append(puts, store.Put{
			Key: store.Key{Name: name}, Spec: store.Spec{Kind: "k", Schedule: "once", Payload: []byte("x")}, When: store.On(store.Occurrence{For: at}),
		})
	}
	res, err := s.Put(t.Context(), puts)
	if err != nil || slices.ContainsFunc(res, func(r store.PutResult) bool { return r.Err != nil }) {
		t.Fatal(err, res)
	}
	if _, err := s.pool.Exec(t.Context(), `insert into duly.task (ns, name, shard, due, generation, kind, paused, running, attempt, body)
select '', 'm' || i, 0, i, 1, 'many', false, 0, 0, '' from generate_series(1, $1::int) i`, 3*lookMost); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 2, 3, 4, 100} {
		var got []string
		pages := 0
		q := store.DueQuery{Until: 4 * lookMost, Limit: limit, Kinds: map[string]store.Shards{"many": {}}}
		for {
			p, err := s.Due(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range p.Tasks {
				got = append(got, x.Name)
			}
			if len(p.Tasks) > limit {
				t.Errorf("a page of %d at most has %d", limit, len(p.Tasks))
			}
			pages++
			if !p.More {
				if p.Next != store.Never {
					t.Errorf("behind all there is something at %v", p.Next)
				}
				break
			}
			var between int
			if err := s.pool.QueryRow(t.Context(), "select count(*) from duly.task where (due, ns, name) > ($1, $2, $3) and (due, ns, name) <= ($4, $5, $6)",
				int64(q.After.At), q.After.Namespace, q.After.Name, int64(p.Cursor.At), p.Cursor.Namespace, p.Cursor.Name).Scan(&between); err != nil {
				t.Fatal(err)
			}
			if between > lookMost || between == 0 {
				t.Fatalf("a page is of %d tasks, want %d at most, and some", between, lookMost)
			}
			q.After = p.Cursor
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got)\n%s", limit, diff)
		}
		if pages < 4 {
			t.Errorf("%d tasks are on %d pages of %d, want no more than %d looked at for each", 3*lookMost, pages, limit, lookMost)
		}
	}
}

// What is looked at for a page follows the index, and is not sorted.
func TestDue_FollowsTheIndex(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Shared(t).Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	some := setOf([]int16{1, 2})
	for name, kinds := range map[string]map[string]store.Shards{"some": nil, "kinds": {"k": every()}} {
		sql, args := dueOf(&store.DueQuery{Until: 1, Shards: &some, Kinds: kinds}, 1)
		plan := planOf(t, s, sql, args...)
		if strings.Count(plan, "Index Cond: ((ROW(due, ns, name) > ") != 1 || strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s: the index is not followed:\n%s", name, plan)
		}
	}
}

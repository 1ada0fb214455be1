package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// Entries that were written while the server's clock was ahead are from the time to come when it is right again. They stay, and what is behind
// them and too old does not, however much that is.
//
// contract: K2
func TestTrim_BehindTheTimeToCome(t *testing.T) {
	d := newDesk(t)
	put(t, d.s, due("n", "", time.Hour))
	if _, err := d.s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "n"}}}); err != nil {
		t.Fatal(err)
	}
	const page = 10_000
	from := store.At(time.Now().Add(-7 * 24 * time.Hour))
	fill := func(n int, at store.Instant) {
		exec(t, d.admin, fmt.Sprintf(`insert into %[1]s.history (at, key, ns, name, body)
select %[2]d, key, ns, name, body from (select * from %[1]s.history order by seq limit 1) h, generate_series(1, %[3]d)`, d.schema, at, n))
		exec(t, d.admin, fmt.Sprintf("update %s.counter set history = history + %d where lane = 1", d.schema, n))
	}
	fill(1, from.Add(365*24*time.Hour))
	fill(2*page, from.Add(-time.Hour))
	fill(page+1, from.Add(30*24*time.Hour))
	fill(page, from.Add(-time.Hour))
	fill(5, from.Add(time.Hour))
	n, err := d.s.Trim(t.Context(), store.Retention{HistoryFrom: from})
	if err != nil || n != 3*page {
		t.Errorf("Trim: %d, error %v; want %d forgotten", n, err, 3*page)
	}
	if got, want := d.look().Stats.History, int64(1+1+page+1+5); got != want {
		t.Errorf("%d entries are counted, want %d", got, want)
	}
}

// What transactions of others have counted is added up, a bounded part at a time: there may be millions of them where nobody has trimmed for long.
//
// contract: K2
func TestTrim_AddsUpInParts(t *testing.T) {
	d := newDesk(t)
	put(t, d.s, due("n", "", time.Hour))
	const most, many = 10_000, 25_001
	exec(t, d.admin, fmt.Sprintf("insert into %s.counter_delta select 1, 0, 0, 0, 0 from generate_series(1, %d)", d.schema, many))
	exec(t, d.admin, fmt.Sprintf(`create function %[1]s.bounded() returns trigger language plpgsql as $$ declare n bigint; begin
select count(*) into n from gone;
if n > %[2]d then raise '%% at once', n; end if;
return null; end $$;
create trigger bounded after delete on %[1]s.counter_delta referencing old table as gone for each statement execute function %[1]s.bounded()`, d.schema, most))
	for range 2 {
		if n, err := d.s.Trim(t.Context(), store.Retention{HistoryFrom: 1}); err != nil || n != 0 {
			t.Errorf("Trim: %d, error %v; want nothing forgotten", n, err)
		}
		if got := d.look().Stats.Tasks; got != many+1 {
			t.Errorf("%d tasks are counted, want %d", got, many+1)
		}
		var left int
		if err := d.admin.QueryRow(t.Context(), "select count(*) from "+d.schema+".counter_delta").Scan(&left); err != nil || left != 0 {
			t.Errorf("%d counts are left, error %v; want none", left, err)
		}
	}
}

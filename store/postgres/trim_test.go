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

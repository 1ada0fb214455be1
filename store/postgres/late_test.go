package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// asked is a session that notes what it is asked.
type asked []string

func (a *asked) do(_ context.Context, stmts ...stmt) error {
	for i := range stmts {
		*a = append(*a, stmts[i].sql)
	}
	return nil
}

// What others were not told, because it is in shards of ours, they are told after the commit if it may be in theirs by then.
func TestTellLate(t *testing.T) {
	both := setOf([]int16{1, 2})
	for name, c := range map[string]struct {
		owned  store.Shards
		linked bool
		passed time.Duration
		near   store.Instant
		told   bool
	}{
		"all are ours still":               {owned: every(), linked: true, near: 5},
		"one has gone to somebody else":    {owned: without(every(), setOf([]int16{2})), linked: true, near: 5, told: true},
		"the grant has ended meanwhile":    {owned: every(), linked: true, passed: time.Second, near: 5, told: true},
		"the connection was lost":          {owned: every(), near: 5, told: true},
		"others were told, or need not be": {near: store.Never},
	} {
		t.Run(name, func(t *testing.T) {
			clk := clock.NewManual(time.Unix(0, 0))
			s := &Store{}
			s.nodes.clk = clk
			s.nodes.grant.Store(&grant{share: store.Share{Shards: c.owned}, until: clk.Read().Boot + int64(time.Second)})
			s.nodes.linked.Store(c.linked)
			if err := clk.Run(t.Context(), c.passed); err != nil {
				t.Fatal(err)
			}
			var q asked
			b := newBatch(t.Context(), s, &q, 0)
			b.near = store.Hint{At: c.near, Shards: both}
			b.tellLate(t.Context(), &q)
			if told := len(q) == 1; told != c.told {
				t.Errorf("others are told: %v, want %v", told, c.told)
			}
		})
	}
}

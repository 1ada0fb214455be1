package pebble_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// TestTrim_PartByPart: one Trim gets behind everything that was written when the clock was ahead, however much that is, and forgets all that
// is old, although it looks at a few entries at a time.
//
// contract: K2.
func TestTrim_PartByPart(t *testing.T) {
	defer pebble.SmallTrims(7)()
	const years = 10 * 365 * 24 * time.Hour
	m := clock.NewManual(time.Unix(1_770_000_000, 0))
	s, err := newHome(t, m).Open()
	if err != nil {
		t.Fatal(err)
	}
	move := func(w *clock.Move) {
		t.Helper()
		if err := w.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	end := func(n int, prefix string) { // an entry each
		t.Helper()
		for i := range n {
			k := store.Key{Name: fmt.Sprint(prefix, i)}
			at := store.At(time.Unix(0, m.Now().Wall).Add(time.Hour))
			if _, err := s.Put(t.Context(), []store.Put{{Key: k, Spec: store.Spec{Kind: "k"}, When: store.On(store.Occurrence{For: at})}}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Cancel(t.Context(), []store.Cancel{{Key: k}}); err != nil {
				t.Fatal(err)
			}
			move(m.Advance(time.Second))
		}
	}
	move(m.Step(years))
	end(50, "future")
	move(m.Step(-years))
	end(40, "old")
	move(m.Advance(time.Hour))
	from := store.At(time.Unix(0, m.Now().Wall))
	end(3, "new")
	n, err := s.Trim(t.Context(), store.Retention{HistoryFrom: from})
	if err != nil || n != 90 {
		t.Errorf("forgot %d entries, %v, want 90", n, err)
	}
	left, err := s.History(t.Context(), store.HistoryQuery{})
	if err != nil || len(left) != 3 || left[0].Name != "new0" {
		t.Errorf("left: %v, %v, want those of the end", left, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

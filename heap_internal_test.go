package duly

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dulyhq/duly/store"
)

// held fails if an entry does not know its place, or does not stand behind its parent; and if what has left is still held.
func (p *pile) held(t *testing.T) {
	t.Helper()
	for i, e := range p.es {
		if at := *p.place(e); at != i+1 {
			t.Fatalf("an entry at %d of %d takes its place to be %d", i+1, len(p.es), at)
		}
		if i > 0 && p.less(e, p.es[(i-1)/2]) {
			t.Fatalf("an entry at %d of %d stands behind one that it belongs before", i+1, len(p.es))
		}
	}
	for _, e := range p.es[len(p.es):cap(p.es)] {
		if e != nil {
			t.Fatal("what has left is still held")
		}
	}
}

// TestPile: whatever is put, moved and dropped, in whichever order, the first is on top, and all come out in order.
func TestPile(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := byTime()
		var model []*entry // by wait, which no two share
		all := make([]*entry, 1+r.IntN(40))
		for i := range all {
			all[i] = &entry{}
		}
		next := func() store.Instant {
			for {
				at := store.Instant(r.IntN(1000))
				if !slices.ContainsFunc(model, func(e *entry) bool { return e.wait == at }) {
					return at
				}
			}
		}
		for step := range 300 {
			e := all[r.IntN(len(all))]
			at := slices.Index(model, e)
			what := r.IntN(8)
			switch {
			case what < 5:
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
				e.wait = next()
				model = append(model, e)
				slices.SortFunc(model, func(a, b *entry) int { return int(a.wait - b.wait) })
				p.put(e)
			case what < 7:
				if at >= 0 {
					model = slices.Delete(model, at, at+1)
				}
				p.drop(e)
			default:
				var want *entry
				if len(model) > 0 {
					want, model = model[0], model[1:]
				}
				if got := p.pop(); got != want {
					t.Fatalf("seed %d, step %d: popped %+v, want %+v", seed, step, got, want)
				}
			}
			p.held(t)
			if p.len() != len(model) {
				t.Fatalf("seed %d, step %d: %d entries, want %d", seed, step, p.len(), len(model))
			}
			var want *entry
			if len(model) > 0 {
				want = model[0]
			}
			if got := p.top(); got != want {
				t.Fatalf("seed %d, step %d: %+v is on top, want %+v", seed, step, got, want)
			}
			for _, e := range all {
				if in := slices.Contains(model, e); in != (e.timed != 0) {
					t.Fatalf("seed %d, step %d: an entry is in: %v, and takes its place to be %d", seed, step, in, e.timed)
				}
			}
		}
		for _, want := range model {
			if got := p.pop(); got != want {
				t.Fatalf("seed %d: popped %+v at the end, want %+v", seed, got, want)
			}
		}
	}
}

// TestPiles: each pile has its order, and a place of its own, so that an entry may be in all of them. What is due starts by priority, then by
// when it is due, which is that of its retry if that comes first, then as it was accepted.
//
// contract: C3
func TestPiles(t *testing.T) {
	task := func(generation int64, priority int32, due, retry store.Instant) *store.Task {
		x := &store.Task{Spec: store.Spec{Priority: priority}, Generation: generation, Next: store.Occurrence{For: due, Due: due}}
		if retry != 0 {
			x.Runs = []store.Run{{State: store.Pending, Due: retry}}
		}
		return x
	}
	es := []*entry{ // as due tasks start
		{task: task(9, 2, 500, 0), wait: 4, lease: 3},
		{task: task(8, 1, 100, 0), wait: 3, lease: 5},
		{task: task(6, 1, 200, 0), wait: 1, lease: 2},
		{task: task(7, 1, 200, 0), wait: 5, lease: 4},
		{task: task(2, 1, 900, 300), wait: 2, lease: 6},
		{task: task(1, 1, 301, 0), wait: 6, lease: 1},
		{task: task(3, -1, 1, 0), wait: 7, lease: 7},
	}
	due := []int{0, 1, 2, 3, 4, 5, 6}
	for _, tt := range []struct {
		name string
		p    pile
		want []int
	}{
		{"by time", byTime(), []int{2, 4, 1, 0, 3, 5, 6}},
		{"by lease", byLease(), []int{5, 2, 0, 3, 1, 4, 6}},
		{"by order", byOrder(), due},
		{"by haste", byHaste(), due},
		{"by gate", byGate(), due},
	} {
		for range 20 {
			for _, i := range rand.Perm(len(es)) {
				tt.p.put(es[i])
			}
			tt.p.held(t)
			var got []int
			for e := tt.p.pop(); e != nil; e = tt.p.pop() {
				got = append(got, slices.Index(es, e))
			}
			if !slices.Equal(got, tt.want) {
				t.Fatalf("%s: %v, want %v", tt.name, got, tt.want)
			}
		}
	}
	var w window
	w.init()
	g := byGate()
	for i, p := range []*pile{&w.waiting, &w.leases, &w.first, &w.ready, &g} {
		p.put(es[0])
		if got, want := fmt.Sprint(es[0].timed, es[0].leased, es[0].early, es[0].queued, es[0].gated), []string{"1 0 0 0 0", "1 1 0 0 0", "1 1 1 0 0", "1 1 1 1 0", "1 1 1 1 1"}[i]; got != want {
			t.Errorf("in %d piles its places are %s, want %s", i+1, got, want)
		}
	}
}

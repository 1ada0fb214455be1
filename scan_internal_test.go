package duly

import (
	"context"
	"testing"

	"github.com/dulyhq/duly/store"
)

// meanwhile is a store that does something between reading tasks and handing them out.
type meanwhile struct {
	store.Store
	do func() error
}

func (s *meanwhile) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	ts, err := s.Store.Get(ctx, keys)
	if derr := s.do(); derr != nil {
		return nil, derr
	}
	return ts, err
}

// TestFetch: what was read is known, unless it was written meanwhile, or the read fails: then it is read again. So it is when a write that was
// under way has ended: which came last nobody knows.
func TestFetch(t *testing.T) {
	k, other := store.Key{Name: "a"}, store.Key{Name: "b"}
	task := &store.Task{Key: k, Spec: store.Spec{Kind: "k"}, Generation: 9, Next: store.Occurrence{For: 1, Due: 1}}
	for _, tt := range []struct {
		what        string
		before      func(c *core) // the read
		do          func(c *core) error
		known       bool // what was read is
		again       bool // it is read again, at once
		after       func(c *core)
		againInTime bool // when what was under way has ended
	}{
		{"nothing happens", nil, nil, true, false, nil, false},
		{"it fails", nil, func(*core) error { return store.ErrBroken }, false, true, nil, true},
		{"it is written", nil, func(c *core) error { c.beginLocked(k); c.endLocked(k, task, true); return nil }, false, true, nil, true},
		{"another is written", nil, func(c *core) error { c.beginLocked(other); c.endLocked(other, nil, true); return nil }, true, false, nil, false},
		{
			"it is being written since before", func(c *core) { c.beginLocked(k) }, nil, false, false,
			func(c *core) { c.endLocked(k, task, true) }, true,
		},
		{
			"it is being written since", nil, func(c *core) error { c.beginLocked(k); return nil }, false, false,
			func(c *core) { c.endLocked(k, task, true) }, true,
		},
		{
			"of two writes one has ended", func(c *core) { c.beginLocked(k); c.beginLocked(k) }, func(c *core) error { c.endLocked(k, task, true); return nil }, false, true,
			func(c *core) { c.endLocked(k, task, true) }, true,
		},
	} {
		inRun(t, func(t *testing.T, r *run, st *surveyed) {
			c := r.c
			r.own, r.window.after.At = nil, store.Never
			c.running = r
			c.store = &meanwhile{st, func() error {
				c.mu.Lock()
				defer c.mu.Unlock()
				if tt.do == nil {
					return nil
				}
				return tt.do(c)
			}}
			r.window.entries[k] = &entry{task: task, memo: memo{found: 1}} // the store has none
			r.refetch[k] = struct{}{}
			if tt.before != nil {
				tt.before(c)
			}
			if err := r.fetch(t.Context(), []store.Key{k}); err != nil {
				t.Errorf("%s: %v", tt.what, err)
			}
			if known := r.window.entries[k] == nil; known != tt.known {
				t.Errorf("%s: what was read is known: %v, want %v", tt.what, known, tt.known)
			}
			if _, again := r.refetch[k]; again != tt.again {
				t.Errorf("%s: it is read again: %v, want %v", tt.what, again, tt.again)
			}
			if tt.after != nil {
				tt.after(c)
			}
			if _, again := r.refetch[k]; again != tt.againInTime || len(c.writing) != 0 {
				t.Errorf("%s: it is read again: %v, want %v; %d writes are under way", tt.what, again, tt.againInTime, len(c.writing))
			}
			if r.fetching != nil || (r.failing != "") != (tt.what == "it fails") {
				t.Errorf("%s: %v are being read, and the store fails to %q", tt.what, r.fetching, r.failing)
			}
			c.running = nil
		})
	}
}

// TestWriting: what a write has left is known by its answer, where there was no other beside it, and else read.
func TestWriting(t *testing.T) {
	k := store.Key{Name: "a"}
	task := &store.Task{Key: k, Spec: store.Spec{Kind: "k"}, Generation: 9, Next: store.Occurrence{For: 1, Due: 1}}
	for _, tt := range []struct {
		what  string
		do    string // b begins a write, e ends one whose answer tells, u one whose answer does not
		reads bool
	}{
		{"one", "be", false},
		{"one after another", "bebe", false},
		{"its answer is lost", "bu", true},
		{"the first answer is lost", "bube", true},
		{"two at once", "bbee", true},
		{"the first of two is lost", "bbue", true},
		{"three, never fewer than one", "bbebee", true},
		{"four in a chain", "bbebebee", true},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			c := r.c
			r.own, r.window.after.At = nil, store.Never
			r.handles(t, "k")
			c.running = r
			for _, x := range tt.do {
				switch x {
				case 'b':
					c.beginLocked(k)
				case 'e':
					c.endLocked(k, task, true)
				case 'u':
					c.endLocked(k, nil, false)
				}
			}
			_, reads := r.refetch[k]
			if reads != tt.reads || len(c.writing) != 0 {
				t.Errorf("%s: it is read: %v, want %v; %d writes are under way", tt.what, reads, tt.reads, len(c.writing))
			}
			c.running = nil
		})
	}
}

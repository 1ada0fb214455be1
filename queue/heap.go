package queue

import (
	"cmp"
	"slices"
)

// A heap is a store ordered by less, first in, first out among equals. All calls of less come before the first change: if less
// panics, the heap is as it was before.
type heap[T any] struct {
	less  func(a, b T) bool
	items []ranked[T]
	seq   uint64
}

type ranked[T any] struct {
	v   T
	seq uint64
}

// before says whether a comes out before b. It asks less a second time only if less(a, b) is false.
func (h *heap[T]) before(a, b *ranked[T]) bool {
	if h.less(a.v, b.v) {
		return true
	}
	return a.seq < b.seq && !h.less(b.v, a.v)
}

// place finds the slot for a new value: the number of its ancestors that it goes before says where.
func (h *heap[T]) place(v T) int {
	i := len(h.items)
	for i > 0 {
		up := (i - 1) / 2
		if !h.less(v, h.items[up].v) { // an equal one was there first
			break
		}
		i = up
	}
	return i
}

// insert puts a value where place said.
func (h *heap[T]) insert(v T, at int) {
	h.seq++
	h.items = append(h.items, ranked[T]{})
	i := len(h.items) - 1
	for i > at {
		up := (i - 1) / 2
		h.items[i] = h.items[up]
		i = up
	}
	h.items[at] = ranked[T]{v: v, seq: h.seq}
}

// pop takes out the first value of a heap that is not empty.
func (h *heap[T]) pop() T {
	n := len(h.items) - 1
	last := h.items[n]
	at := h.sink(&last, n)
	v := h.items[0].v
	for at > 0 { // everything on the way up moves up by one
		up := (at - 1) / 2
		h.items[at], last = last, h.items[at]
		at = up
	}
	h.items[0] = last
	clear(h.items[n:])
	h.items = h.items[:n]
	if size := cap(h.items); size > least && n <= size/4 {
		h.items = append(make([]ranked[T], 0, size/2), h.items...)
	}
	return v
}

// sink finds the slot for x among the first n items when the first one has left.
func (h *heap[T]) sink(x *ranked[T], n int) int {
	at := 0
	for {
		child := 2*at + 1
		if child >= n {
			return at
		}
		if child+1 < n && h.before(&h.items[child+1], &h.items[child]) {
			child++
		}
		if !h.before(&h.items[child], x) {
			return at
		}
		at = child
	}
}

// take empties the heap and returns what was in it, in no order: sorted brings it into one.
func (h *heap[T]) take() []ranked[T] {
	all := h.items
	h.items = nil
	return all
}

func (h *heap[T]) sorted(all []ranked[T]) []T {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b ranked[T]) int {
		switch {
		case h.less(a.v, b.v):
			return -1
		case h.less(b.v, a.v):
			return 1
		}
		return cmp.Compare(a.seq, b.seq)
	})
	vs := make([]T, len(all))
	for i := range all {
		vs[i] = all[i].v
	}
	return vs
}

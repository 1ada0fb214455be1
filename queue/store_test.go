package queue

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// After a burst the memory is given back, and what is left is whole and in order.
func TestStores_ShrinkAfterABurst(t *testing.T) {
	const n, left = 100_000, 10
	for name, q := range map[string]*Queue[int]{
		"fifo": New[int](0), "lifo": NewLIFO[int](0), "priority": NewPriority(0, func(a, b int) bool { return a < b }),
	} {
		for i := range n {
			q.TryPut(i)
		}
		for i := range n - left {
			want := i
			if q.last {
				want = n - 1 - i
			}
			if got, ok := q.TryGet(); got != want || !ok {
				t.Fatalf("%s: got %d, want %d", name, got, want)
			}
		}
		if size := len(q.ring.buf) + cap(q.heap.items); size > 4*left && size > least {
			t.Errorf("%s: %d slots for %d values", name, size, left)
		}
		if got := len(q.GetAll()); got != left {
			t.Errorf("%s: %d values were left", name, got)
		}
		for i := range 1000 { // a ring that was never full, and wraps
			q.TryPut(i)
			if got, _ := q.TryGet(); got != i {
				t.Fatalf("%s: got %d, want %d", name, got, i)
			}
		}
		if size := len(q.ring.buf) + cap(q.heap.items); size > least {
			t.Errorf("%s: %d slots for one value at a time", name, size)
		}
	}
	var d Delay[int]
	var handles []Delayed[int]
	for i := range n {
		h, err := d.Put(i, 1<<62)
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, h)
	}
	rand.Shuffle(n, func(i, j int) { handles[i], handles[j] = handles[j], handles[i] })
	for _, h := range handles[left:] {
		if !h.Remove() {
			t.Fatal("was not there")
		}
	}
	if size := cap(d.delays.heap); size > 4*left {
		t.Errorf("%d slots for %d values", size, left)
	}
}

// Every slot that holds no value is zero.
func TestStores_FreeSlotsAreZero(t *testing.T) {
	value := new(int)
	for name, q := range map[string]*Queue[*int]{
		"fifo": New[*int](0), "lifo": NewLIFO[*int](0), "priority": NewPriority(0, func(a, b *int) bool { return *a < *b }),
	} {
		r := rand.New(rand.NewPCG(1, 2))
		for range 5000 {
			if r.IntN(2) == 0 {
				q.TryPut(value)
			} else {
				q.TryGet()
			}
			held := 0
			for _, p := range q.ring.buf {
				if p != nil {
					held++
				}
			}
			for _, it := range q.heap.items[:cap(q.heap.items)] {
				if it.v != nil {
					held++
				}
			}
			if held != q.Len() {
				t.Fatalf("%s: %d slots refer to something, for %d values", name, held, q.Len())
			}
		}
	}
}

// Bookmarks are no messages, and since finds the first that is newer.
func TestLetters(t *testing.T) {
	var ls letters[int]
	if ls.first() != nil || ls.since(0) != nil {
		t.Error("not empty")
	}
	for i := range 5 {
		ls.push(i)
	}
	second := ls.after(ls.first())
	mark := &letter[int]{}
	ls.insert(mark, second)
	if ls.after(mark) != second || ls.after(ls.first()) != second || ls.since(1) != second {
		t.Error("a bookmark is in the way")
	}
	ls.take(second)
	if got := ls.since(1); got == nil || got.v != 2 {
		t.Errorf("%v is newer than the first", got)
	}
	if ls.since(5) != nil {
		t.Error("nothing is newer than the last")
	}
	ls.remove(mark)
	var got []int
	for l := ls.first(); l != nil; l = ls.first() {
		got = append(got, ls.take(l))
	}
	if d := cmp.Diff([]int{0, 2, 3, 4}, got); d != "" || ls.n != 0 {
		t.Error(d, ls.n)
	}
}

// No bookmark stays when its receiver has gone, whichever way.
func TestLetters_NoBookmarkStays(t *testing.T) {
	var m Mailbox[int]
	for i := range 3 {
		if err := m.Send(i); err != nil {
			t.Fatal(err)
		}
	}
	m.TryReceiveIf(func(n int) bool { return n == 1 })
	m.TryReceiveIf(func(int) bool { return false })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		m.TryReceiveIf(func(int) bool { panic("broken") })
	}()
	all := 0
	for l := m.msgs.end().next; l != &m.msgs.root; l = l.next {
		all++
	}
	if all != 2 || m.Len() != 2 {
		t.Errorf("%d letters for %d messages", all, m.Len())
	}
}

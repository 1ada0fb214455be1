package timer

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// pendingSet is what a timer engine needs of its structure: add, cancel, and take out what is due.
type pendingSet interface {
	add(due int64) uint32
	cancel(h uint32)
	expire(now int64) int
}

// wheelSet is the engine's own.
type wheelSet struct {
	w   wheel
	s   slab
	buf []uint32
}

func (x *wheelSet) add(due int64) uint32 { return addTo(&x.w, &x.s, due, 0) }

func (x *wheelSet) cancel(h uint32) {
	x.w.remove(&x.s, h)
	x.s.free(h)
}

func (x *wheelSet) expire(now int64) (n int) {
	for more := true; more; {
		if x.buf, more = x.w.expire(&x.s, now, batchSize, x.buf[:0]); len(x.buf) > 0 {
			n += len(x.buf)
			for _, idx := range x.buf {
				x.s.free(idx)
			}
		}
	}
	return n
}

// heapSet is a binary heap whose elements know their place, so that any can be removed.
type heapSet struct {
	heap []*heapItem
	all  []*heapItem // by handle
	free []uint32
}

type heapItem struct {
	due    int64
	place  int
	handle uint32
}

func (x *heapSet) Len() int           { return len(x.heap) }
func (x *heapSet) Less(i, j int) bool { return x.heap[i].due < x.heap[j].due }

func (x *heapSet) Swap(i, j int) {
	x.heap[i], x.heap[j] = x.heap[j], x.heap[i]
	x.heap[i].place, x.heap[j].place = i, j
}

func (x *heapSet) Push(v any) {
	it := v.(*heapItem) //nolint:forcetypeassert // only heap.Push calls it
	it.place = len(x.heap)
	x.heap = append(x.heap, it)
}

func (x *heapSet) Pop() any {
	last := len(x.heap) - 1
	it := x.heap[last]
	x.heap[last] = nil
	x.heap = x.heap[:last]
	return it
}

func (x *heapSet) add(due int64) uint32 {
	it := &heapItem{due: due, handle: uint32(len(x.all))}
	if n := len(x.free); n > 0 {
		it.handle, x.free = x.free[n-1], x.free[:n-1]
		x.all[it.handle] = it
	} else {
		x.all = append(x.all, it)
	}
	heap.Push(x, it)
	return it.handle
}

func (x *heapSet) cancel(h uint32) {
	heap.Remove(x, x.all[h].place)
	x.free = append(x.free, h)
}

func (x *heapSet) expire(now int64) (n int) {
	for len(x.heap) > 0 && x.heap[0].due <= now {
		x.free = append(x.free, x.heap[0].handle)
		heap.Pop(x)
		n++
	}
	return n
}

// listSet is a sorted doubly linked list. Taking out what is due and removing an element cost O(1), but adding looks for
// its place from the end: O(n). It is the insertion that is the list's weakness, not finding what is due.
type listSet struct {
	items      []listItem
	free       []uint32
	head, tail uint32
}

type listItem struct {
	due        int64
	next, prev uint32
}

func newListSet() *listSet { return &listSet{head: nilIdx, tail: nilIdx} }

func (x *listSet) add(due int64) uint32 {
	h := uint32(len(x.items))
	if n := len(x.free); n > 0 {
		h, x.free = x.free[n-1], x.free[:n-1]
	} else {
		x.items = append(x.items, listItem{})
	}
	after := x.tail
	for after != nilIdx && x.items[after].due > due {
		after = x.items[after].prev
	}
	next := x.head
	if after != nilIdx {
		next = x.items[after].next
		x.items[after].next = h
	} else {
		x.head = h
	}
	if next != nilIdx {
		x.items[next].prev = h
	} else {
		x.tail = h
	}
	x.items[h] = listItem{due: due, next: next, prev: after}
	return h
}

func (x *listSet) cancel(h uint32) {
	it := x.items[h]
	if it.prev != nilIdx {
		x.items[it.prev].next = it.next
	} else {
		x.head = it.next
	}
	if it.next != nilIdx {
		x.items[it.next].prev = it.prev
	} else {
		x.tail = it.prev
	}
	x.free = append(x.free, h)
}

func (x *listSet) expire(now int64) (n int) {
	for x.head != nilIdx && x.items[x.head].due <= now {
		x.cancel(x.head)
		n++
	}
	return n
}

func newWheelSet() pendingSet {
	x := &wheelSet{}
	x.s.init()
	return x
}

var structures = []struct {
	name string
	make func() pendingSet
}{
	{"wheel", newWheelSet},
	{"heap", func() pendingSet { return &heapSet{} }},
	{"list", func() pendingSet { return newListSet() }},
}

const structuresSpan = int64(time.Hour)

// fill adds n in the order of their due times, which is quick for all three.
func fill(x pendingSet, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = x.add(int64(i+1) * (structuresSpan / int64(n+1)))
	}
	return all
}

// The three structures give the same answers, so that they can be compared.
func TestStructures_Agree(t *testing.T) {
	const n = 1000
	var left [3][]int
	for i, s := range structures {
		rng := rand.New(rand.NewPCG(1, 2))
		x := s.make()
		all := fill(x, n)
		for range n {
			if k := rng.IntN(len(all)); rng.IntN(2) == 0 {
				x.cancel(all[k])
				all[k] = x.add(rng.Int64N(structuresSpan))
			} else {
				all = append(all, x.add(rng.Int64N(structuresSpan)))
			}
		}
		for now := int64(0); now <= structuresSpan; now += structuresSpan / 50 {
			left[i] = append(left[i], x.expire(now))
		}
	}
	for i, s := range structures[1:] {
		if fmt.Sprint(left[i+1]) != fmt.Sprint(left[0]) {
			t.Errorf("the %s took out %v, the %s %v", s.name, left[i+1], structures[0].name, left[0])
		}
	}
}

// BenchmarkStructures compares the engine's wheel with a binary heap and a sorted list: adding, cancelling, and taking out
// what is due, among 1,000 to 1,000,000 others. Whoever says that the list is slow to find what is due mixes up the two: it
// takes that out in O(1), the fastest of all, and is O(n) in adding.
func BenchmarkStructures(b *testing.B) {
	for _, s := range structures {
		for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/add+cancel/%d", s.name, n), func(b *testing.B) {
				x := s.make()
				fill(x, n)
				rng := rand.New(rand.NewPCG(1, 2))
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					x.cancel(x.add(rng.Int64N(structuresSpan)))
				}
			})
			b.Run(fmt.Sprintf("%s/fire/%d", s.name, n), func(b *testing.B) {
				done := 0
				for done < b.N {
					b.StopTimer()
					x := s.make()
					fill(x, n)
					b.StartTimer()
					done += x.expire(structuresSpan)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(done), "ns/fire")
				b.ReportMetric(0, "ns/op") // N is rounded up to whole fillings
			})
		}
	}
}

// BenchmarkAdd_1e3_1e6 adds, and cancels, among 1,000 to 1,000,000 that are pending: the cost must not grow with them by
// more than memory's latency does.
func BenchmarkAdd_1e3_1e6(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("timer/%d", n), func(b *testing.B) {
			e := New()
			for range n {
				e.AfterFunc(time.Hour+time.Duration(rand.Int64N(structuresSpan)), func() {})
			}
			f := func() {}
			b.ReportAllocs()
			for b.Loop() {
				e.AfterFunc(2*time.Hour, f).Stop()
			}
			b.StopTimer()
			closeBench(b, e)
		})
		b.Run(fmt.Sprintf("task/%d", n), func(b *testing.B) {
			e := New()
			fn := Plain(func() {})
			put := func(name string, d time.Duration) {
				if _, err := e.Put(name, schedule.After(d), fn); err != nil {
					b.Fatal(err)
				}
			}
			for i := range n {
				put(strconv.Itoa(i), time.Hour+time.Duration(rand.Int64N(structuresSpan)))
			}
			b.ReportAllocs()
			for b.Loop() {
				put("one more", 2*time.Hour)
				e.Cancel("one more")
			}
			b.StopTimer()
			closeBench(b, e)
		})
	}
}

func closeBench(b *testing.B, e *Engine) {
	b.Helper()
	if _, err := e.Close(b.Context()); err != nil {
		b.Error(err)
	}
}

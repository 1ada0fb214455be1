package queue

// A shelf is the part of a Delay that follows one timeline: a heap ordered by due time and then by arrival. Every value knows
// its place, so that it can be removed.
type shelf[T any] struct {
	heap []*delayed[T]
	bell *bell[T] // what is set, for the first value
}

// delayed is one value on a shelf.
type delayed[T any] struct {
	v   T
	at  int64 // on the shelf's timeline, in ns
	seq uint64
	s   *shelf[T]
	pos int // in the heap, -1 if it is out
}

// due is the first value if it is due, or nil.
func (s *shelf[T]) due(now int64) *delayed[T] {
	if len(s.heap) == 0 || s.heap[0].at > now {
		return nil
	}
	return s.heap[0]
}

// wrong says that the bell is not set as it should be: for the first value, and not at all if nobody waits.
func (s *shelf[T]) wrong(anybody bool) bool {
	if !anybody || len(s.heap) == 0 {
		return s.bell != nil
	}
	return s.bell == nil || s.bell.at != s.heap[0].at
}

func (x *delayed[T]) before(y *delayed[T]) bool {
	if x.at != y.at {
		return x.at < y.at
	}
	return x.seq < y.seq
}

func (s *shelf[T]) push(x *delayed[T]) {
	s.heap = append(s.heap, x)
	s.up(x, len(s.heap)-1)
}

// remove takes a value out that is in the heap. What is left behind for handles refers to nothing.
func (s *shelf[T]) remove(x *delayed[T]) T {
	n := len(s.heap) - 1
	last := s.heap[n]
	s.heap[n] = nil
	s.heap = s.heap[:n]
	if last != x {
		s.up(last, x.pos)
		s.down(last)
	}
	if size := cap(s.heap); size > least && n <= size/4 {
		s.heap = append(make([]*delayed[T], 0, size/2), s.heap...)
	}
	var none T
	v := x.v
	x.v, x.pos = none, -1
	return v
}

// up puts x into slot i, or into one of those above it.
func (s *shelf[T]) up(x *delayed[T], i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !x.before(s.heap[p]) {
			break
		}
		s.set(s.heap[p], i)
		i = p
	}
	s.set(x, i)
}

// down moves x to where everything below it comes later.
func (s *shelf[T]) down(x *delayed[T]) {
	i := x.pos
	for {
		c := 2*i + 1
		if c >= len(s.heap) {
			break
		}
		if c+1 < len(s.heap) && s.heap[c+1].before(s.heap[c]) {
			c++
		}
		if !s.heap[c].before(x) {
			break
		}
		s.set(s.heap[c], i)
		i = c
	}
	s.set(x, i)
}

func (s *shelf[T]) set(x *delayed[T], i int) {
	s.heap[i] = x
	x.pos = i
}

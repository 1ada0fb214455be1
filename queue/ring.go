package queue

// least is the number of slots that are kept when a store shrinks.
const least = 16

// A ring is a double-ended store of values. Slots that hold none are zero. It doubles when it is full and halves when it is a
// quarter full, so that a value costs constant time on average. The zero ring is empty.
type ring[T any] struct {
	buf  []T // its length is a power of two, or 0
	head int
	n    int
}

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		r.resize(max(least, 2*len(r.buf)))
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = v
	r.n++
}

// pop takes out the value that was put in first, or last.
func (r *ring[T]) pop(last bool) T {
	i := r.head
	if last {
		i = (r.head + r.n - 1) & (len(r.buf) - 1)
	} else {
		r.head = (r.head + 1) & (len(r.buf) - 1)
	}
	v := r.buf[i]
	clear(r.buf[i : i+1])
	r.n--
	if len(r.buf) > least && r.n <= len(r.buf)/4 {
		r.resize(len(r.buf) / 2)
	}
	return v
}

// take empties the ring and returns what was in it, oldest first.
func (r *ring[T]) take() []T {
	if r.n == 0 {
		return nil
	}
	all := r.copyTo(make([]T, r.n))
	*r = ring[T]{}
	return all
}

func (r *ring[T]) resize(size int) {
	r.buf, r.head = r.copyTo(make([]T, size)), 0
}

func (r *ring[T]) copyTo(to []T) []T {
	k := copy(to, r.buf[r.head:min(r.head+r.n, len(r.buf))])
	copy(to[k:], r.buf[:r.n-k])
	return to
}

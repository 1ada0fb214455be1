package target

import (
	"time"
	"unicode/utf8"
)

const (
	// maxTail is how many pieces a tail has at most; see maxHead.
	maxTail = 8 << 10
	// pieceCost is counted for each piece, beside its bytes.
	pieceCost = 64
	// A piece gets larger by what follows it within mergeWithin, until it is so large.
	pieceMerge  = 4 << 10
	mergeWithin = 100 * time.Millisecond
)

// A tailPiece is a piece that is in memory, with the time at which its first byte came.
type tailPiece struct {
	piece
	at time.Time
}

// A tail is the end of an output that is too long, in memory.
type tail struct {
	pieces  []tailPiece
	n       int64  // bytes
	charged int64  // what is counted of the memory for it
	spare   []byte // of a piece that was dropped
}

func (t *tail) cost() int64 { return t.n + int64(len(t.pieces))*pieceCost }

// push adds a piece, whose bytes it copies, and drops from the beginning what is then too much: more than most bytes, more than
// maxTail pieces, and where the memory of all is used up, as much as was added.
func (t *tail) push(x tailPiece, most int64, o *Outputs) {
	if rest := int64(len(x.data)) - most; rest > 0 {
		rest = afterRune(x.data, rest)
		x.data, x.off = x.data[rest:], x.off+rest
	}
	if len(x.data) == 0 {
		return
	}
	if !t.merge(&x) {
		t.add(x)
	}
	for t.n > most {
		t.drop(t.n - most)
	}
	for len(t.pieces) > maxTail {
		t.drop(int64(len(t.pieces[0].data)))
	}
	if o.memory.Load()+t.cost()-t.charged > o.opts.MaxMemory {
		for t.cost() > t.charged && len(t.pieces) > 1 {
			t.drop(int64(len(t.pieces[0].data)))
		}
	}
	o.memory.Add(t.cost() - t.charged)
	t.charged = t.cost()
}

// hold adds a piece, whose bytes it copies, to one of which there is little: it is not counted, and drops nothing.
func (t *tail) hold(x tailPiece) {
	if !t.merge(&x) {
		t.add(x)
	}
}

// merge appends to the last piece, if that is of the same stream and moment and not large yet.
func (t *tail) merge(x *tailPiece) bool {
	if len(t.pieces) == 0 {
		return false
	}
	last := &t.pieces[len(t.pieces)-1]
	if last.stream != x.stream || x.at.Sub(last.at) >= mergeWithin || len(last.data)+len(x.data) > pieceMerge || last.off+int64(len(last.data)) != x.off {
		return false
	}
	last.data = append(last.data, x.data...)
	t.n += int64(len(x.data))
	return true
}

func (t *tail) add(x tailPiece) {
	var buf []byte
	if len(x.data) >= cap(t.spare)/2 { // a small piece must not hold a large buffer
		buf, t.spare = t.spare, nil
	}
	x.data = append(buf[:0], x.data...)
	t.pieces = append(t.pieces, x)
	t.n += int64(len(x.data))
}

// drop drops n bytes of the first piece, or all of it.
func (t *tail) drop(n int64) {
	first := &t.pieces[0]
	n = afterRune(first.data, n)
	t.n -= n
	if n < int64(len(first.data)) {
		first.data, first.off = first.data[n:], first.off+n
		return
	}
	t.spare = first.data[:0]
	*first = tailPiece{}
	t.pieces = t.pieces[1:]
}

// afterRune returns the least n from the given one on at which b can be cut between characters.
func afterRune(b []byte, n int64) int64 {
	for k := n; k < int64(len(b)) && k < n+utf8.UTFMax; k++ {
		if utf8.RuneStart(b[k]) {
			return k
		}
	}
	return min(n, int64(len(b)))
}

package memory

import (
	"iter"
	"slices"
)

// chunkMost is how many values a chunk of a sorted set holds. A few hundred make moving the rest of a chunk as cheap as finding the
// place in it.
const chunkMost = 512

// A sorted set keeps values in order, in chunks: finding takes binary searches, inserting and removing move no more than one chunk
// and, rarely, the list of chunks.
type sorted[T any] struct {
	compare func(a, b T) int
	chunks  [][]T // none is empty
}

func newSorted[T any](compare func(a, b T) int) *sorted[T] { return &sorted[T]{compare: compare} }

// find returns the place of the first value that is not before v, and whether it is equal to v. The place may be the end of a chunk
// if v is after all values.
func (s *sorted[T]) find(v T) (chunk, i int, found bool) {
	// The last chunk whose first value is not after v is where v belongs.
	n, _ := slices.BinarySearchFunc(s.chunks, v, func(c []T, v T) int {
		if s.compare(c[0], v) <= 0 {
			return -1
		}
		return 1
	})
	chunk = max(n-1, 0)
	if len(s.chunks) == 0 {
		return 0, 0, false
	}
	i, found = slices.BinarySearchFunc(s.chunks[chunk], v, s.compare)
	return chunk, i, found
}

// insert puts v in. One that is there already is replaced.
func (s *sorted[T]) insert(v T) {
	c, i, found := s.find(v)
	switch {
	case found:
		s.chunks[c][i] = v
		return
	case len(s.chunks) == 0:
		s.chunks = append(s.chunks, append(make([]T, 0, 8), v))
		return
	}
	s.chunks[c] = slices.Insert(s.chunks[c], i, v)
	if len(s.chunks[c]) <= chunkMost {
		return
	}
	at := chunkMost / 2
	if c == len(s.chunks)-1 && i == chunkMost {
		at = chunkMost // values that come in order leave full chunks behind
	}
	rest := append(make([]T, 0, chunkMost+1), s.chunks[c][at:]...)
	s.chunks[c] = slices.Delete(s.chunks[c], at, len(s.chunks[c]))
	s.chunks = slices.Insert(s.chunks, c+1, rest)
}

// remove takes v out, if it is there.
func (s *sorted[T]) remove(v T) {
	c, i, found := s.find(v)
	if !found {
		return
	}
	s.chunks[c] = slices.Delete(s.chunks[c], i, i+1)
	switch n := len(s.chunks[c]); {
	case n == 0:
		s.chunks = slices.Delete(s.chunks, c, c+1)
	case n < chunkMost/4 && c+1 < len(s.chunks) && n+len(s.chunks[c+1]) <= chunkMost/2:
		s.join(c)
	case n < chunkMost/4 && c > 0 && n+len(s.chunks[c-1]) <= chunkMost/2:
		s.join(c - 1)
	}
}

// join makes one of a chunk and the one behind it.
func (s *sorted[T]) join(c int) {
	s.chunks[c] = append(s.chunks[c], s.chunks[c+1]...)
	s.chunks = slices.Delete(s.chunks, c+1, c+2)
}

// from yields the values that are not before v, in order. The set must not change meanwhile.
func (s *sorted[T]) from(v T) iter.Seq[T] {
	return func(yield func(T) bool) {
		c, i, _ := s.find(v)
		for ; c < len(s.chunks); c, i = c+1, 0 {
			for _, v := range s.chunks[c][i:] {
				if !yield(v) {
					return
				}
			}
		}
	}
}

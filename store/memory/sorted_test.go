package memory

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// held says what is wrong with the chunks of a set.
func (s *sorted[T]) held(t *rapid.T) []T {
	var all []T
	for i, c := range s.chunks {
		if len(c) == 0 || len(c) > chunkMost {
			t.Fatalf("chunk %d of %d holds %d values, want 1 to %d", i, len(s.chunks), len(c), chunkMost)
		}
		all = append(all, c...)
	}
	return all
}

// TestSorted compares a set with a sorted slice, through growth to several chunks and back to nothing.
func TestSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSorted(cmp.Compare[int])
		var want []int
		insert := func(v int) {
			s.insert(v)
			if i, found := slices.BinarySearch(want, v); !found {
				want = slices.Insert(want, i, v)
			}
		}
		remove := func(v int) {
			s.remove(v)
			if i, found := slices.BinarySearch(want, v); found {
				want = slices.Delete(want, i, i+1)
			}
		}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			from, n := rapid.IntRange(0, 4000).Draw(t, "from"), rapid.IntRange(1, 2000).Draw(t, "n")
			step := rapid.SampledFrom([]int{1, -1, 7}).Draw(t, "step")
			do := rapid.SampledFrom([]func(int){insert, insert, remove}).Draw(t, "do")
			for i := range n {
				do(from + i*step)
			}
			got := s.held(t)
			if d := gocmp.Diff(append([]int(nil), want...), got); d != "" {
				t.Fatalf("values (-want +got):\n%s", d)
			}
			i, _ := slices.BinarySearch(want, from)
			if d := gocmp.Diff(append([]int(nil), want[i:]...), slices.Collect(s.from(from))); d != "" {
				t.Fatalf("values from %d (-want +got):\n%s", from, d)
			}
		}
		for _, v := range slices.Clone(want) {
			remove(v)
		}
		if len(s.chunks) != 0 {
			t.Fatalf("%d chunks are left of nothing", len(s.chunks))
		}
	})
}

// TestSortedSparse holds the set to few chunks after most of it was taken out.
func TestSortedSparse(t *testing.T) {
	s := newSorted(cmp.Compare[int])
	for i := range 100_000 {
		s.insert(i * 7919 % 100_000)
	}
	if n := len(s.chunks); n > 100_000/(chunkMost/2)+1 {
		t.Errorf("%d chunks for 100,000 values", n)
	}
	for i := range 100_000 {
		if i%100 != 0 {
			s.remove(i)
		}
	}
	if n := len(s.chunks); n > 1000/(chunkMost/8)+1 {
		t.Errorf("%d chunks for 1,000 values", n)
	}
}

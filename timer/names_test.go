package timer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// checkNames says what is wrong with a table that must hold the given entries' names.
func checkNames(n *names, want map[uint32]uint32) error {
	found := 0
	for i, v := range n.slots {
		if v == 0 {
			continue
		}
		found++
		hash, idx := uint32(v>>32), uint32(v)-1
		if h, ok := want[idx]; !ok || h != hash {
			return fmt.Errorf("slot %d holds entry %d with hash %#x, which is not there", i, idx, hash)
		}
		for j := n.home(hash); j != i; j = (j + 1) % len(n.slots) {
			if n.slots[j] == 0 {
				return fmt.Errorf("slot %d is cut off from its home %d by the empty slot %d", i, n.home(hash), j)
			}
		}
	}
	switch {
	case found != len(want) || n.count != len(want):
		return fmt.Errorf("%d names found, count is %d, want %d", found, n.count, len(want))
	case found*5 > len(n.slots)*4:
		return fmt.Errorf("%d names in %d slots are too many", found, len(n.slots))
	case len(n.slots) > minNames && found*4 < len(n.slots):
		return fmt.Errorf("%d names in %d slots are too few", found, len(n.slots))
	}
	return nil
}

// Hashes that an adversary would choose: all alike, at the end of the table so that clusters wrap around, or few.
var namesHashes = map[string]func(string) uint32{
	"zero": func(string) uint32 { return 0 },
	"last": func(string) uint32 { return math.MaxUint32 },
	"few":  func(s string) uint32 { return uint32(len(s)%3) << 30 },
	"end":  func(s string) uint32 { return math.MaxUint32 - uint32(len(s)) },
	"good": func(s string) uint32 {
		h := uint32(2166136261)
		for i := range len(s) {
			h = (h ^ uint32(s[i])) * 16777619
		}
		return h
	},
}

func namesProperty(t *rapid.T) {
	kinds := make([]string, 0, len(namesHashes))
	for kind := range namesHashes {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	hash := namesHashes[rapid.SampledFrom(kinds).Draw(t, "hashes")]
	var (
		n     names
		s     slab
		model = map[string]uint32{}
		made  int
	)
	s.init()
	add := func(name string) {
		idx := s.alloc()
		en := s.at(idx)
		en.tag, en.name = makeTag(1), name
		n.add(hash(name), idx)
		model[name] = idx
	}
	remove := func(name string) {
		n.remove(hash(name), model[name])
		s.free(model[name])
		delete(model, name)
	}
	sorted := func() []string {
		all := make([]string, 0, len(model))
		for name := range model {
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	fresh := func() string {
		made++
		return strconv.Itoa(made * made * made * made) // lengths differ
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			want := map[uint32]uint32{}
			for name, idx := range model {
				want[idx] = hash(name)
				if got := n.find(hash(name), name, &s); got != idx {
					t.Fatalf("find %q is %d, want %d", name, got, idx)
				}
			}
			if got := n.find(hash("absent"), "absent", &s); got != nilIdx {
				t.Fatalf("find of an absent name is %d", got)
			}
			if err := checkNames(&n, want); err != nil {
				t.Fatal(err)
			}
		},
		"add": func(*rapid.T) { add(fresh()) },
		"add many": func(t *rapid.T) {
			for range rapid.IntRange(1, 60).Draw(t, "number") {
				add(fresh())
			}
		},
		"remove": func(t *rapid.T) {
			all := sorted()
			if len(all) == 0 {
				t.Skip("nothing is there")
			}
			name := rapid.SampledFrom(all).Draw(t, "name")
			remove(name)
			if got := n.find(hash(name), name, &s); got != nilIdx {
				t.Fatalf("find %q is %d after it was removed", name, got)
			}
		},
		"remove many": func(t *rapid.T) {
			all := sorted()
			from := rapid.IntRange(0, len(all)).Draw(t, "from")
			for _, name := range all[from:] {
				remove(name)
			}
		},
	})
}

func TestNames_AgreeWithMap(t *testing.T) {
	checkRapid(t, 200, 40, namesProperty)
}

// A name costs at most 10 to 15 bytes when there are many, whether the table has grown to it or shrunk to it.
func TestNames_BytesPerName(t *testing.T) {
	var n names
	hash := namesHashes["good"]
	const most = 200_000
	for i := range uint32(most) {
		n.add(hash(strconv.Itoa(int(i))), i)
		if bytes := 8 * float64(len(n.slots)) / float64(i+1); i > 1000 && (bytes < 10 || bytes > 15.1) {
			t.Fatalf("%d names cost %.1f bytes each, want 10 to 15", i+1, bytes)
		}
	}
	for i := range uint32(most) {
		n.remove(hash(strconv.Itoa(int(i))), i)
		if left := most - i - 1; left > 0 && len(n.slots) > minNames && 8*len(n.slots) > 32*int(left) {
			t.Fatalf("%d names are left in %d slots", left, len(n.slots))
		}
	}
	if n.count != 0 || len(n.slots) > minNames {
		t.Errorf("the empty table has count %d and %d slots", n.count, len(n.slots))
	}
}
